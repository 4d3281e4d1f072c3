//! Beside PyTorch, by hand, and at the edges.

use std::path::Path;

use burn::module::Param;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use solfa_signal::testing::assert_golden;

use super::*;
use crate::checkpoint::stage_tensors;
use crate::device::test_device;

#[derive(Module, Debug)]
struct Three {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    late: Param<Tensor<2>>,
}

const NAMES: [&str; 3] = ["weight", "bias", "late"];

/// PyTorch's steps, by `tools/reference/adam.py`.
fn golden() -> TensorSource {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/adam/case.safetensors");
    TensorSource::open_safetensors(&[path]).unwrap()
}

fn param<const D: usize>(source: &TensorSource, name: &str, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(source.read(&format!("initial.{name}")).unwrap(), device))
}

fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().inner().into_data().try_to_vec().unwrap()
}

impl Three {
    fn initial(source: &TensorSource, device: &Device) -> Self {
        Self {
            weight: param(source, "weight", device),
            bias: param(source, "bias", device),
            late: param(source, "late", device),
        }
    }

    /// Gradients that are the case's: those of the sum of products with them.
    fn gradients(&self, source: &TensorSource, step: usize, factor: f32) -> Gradients {
        let device = self.weight.val().device();
        fn product<const D: usize>(parameter: &Param<Tensor<D>>, gradient: TensorData, device: &Device) -> Tensor<1> {
            (parameter.val() * Tensor::from_data(gradient, device)).sum()
        }
        let read = |name: &str| source.read(&format!("gradient.{step}.{name}")).ok();
        let mut sum = product(&self.weight, read("weight").unwrap(), &device)
            + product(&self.bias, read("bias").unwrap(), &device);
        if let Some(gradient) = read("late") {
            sum = sum + product(&self.late, gradient, &device);
        }
        (sum * factor).backward()
    }

    fn values(&self) -> [Vec<f32>; 3] {
        [floats(&self.weight.val()), floats(&self.bias.val()), floats(&self.late.val())]
    }
}

fn golden_config(kind: WeightDecayKind) -> AdamConfig {
    AdamConfig {
        betas: [0.9, 0.98],
        epsilon: 1e-6,
        weight_decay: 0.05,
        weight_decay_kind: kind,
        clip_norm: Some(1.5),
        ..AdamConfig::default()
    }
}

fn rates(learning_rate: f64) -> Rates {
    Rates { learning_rate, weight_decay: None }
}

/// Where moments are kept.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    InMemory,
    /// As on other devices than the processor.
    AsTensors,
}

/// So many batches a step, whose gradients have the case's as their mean.
fn run_golden(kind: WeightDecayKind, name: &str, batches: u32, kept: Kept) {
    let source = golden();
    let device = test_device().autodiff();
    let mut module = Three::initial(&source, &device);
    let mut adam = Adam::new(golden_config(kind), &module).unwrap();
    adam.slots.iter_mut().for_each(|slot| slot.is_in_memory = kept == Kept::InMemory);
    let norms = source.read_floats("norms").unwrap();
    let mut found_norms = Vec::new();
    for (step, rate) in source.read_floats("rates").unwrap().into_iter().enumerate() {
        for batch in 0..batches {
            let factor = (2 * batch + 1) as f32 / batches as f32;
            adam.accumulate(&module, &mut module.gradients(&source, step, factor));
        }
        let (updated, outcome) = adam.step(module, rates(f64::from(rate)));
        module = updated;
        found_norms.push(outcome.gradient_norm as f32);
        for (which, found) in NAMES.iter().zip(module.values()) {
            let expected = source.read_floats(&format!("{name}.{step}.{which}")).unwrap();
            assert_golden(&format!("{name}, step {step}, {which}"), &found, &expected, 1e-6);
        }
    }
    assert_golden("norms", &found_norms, &norms, 1e-6);
    let moments: Vec<_> = adam.tensors("state").into_iter().skip(1).collect();
    assert_eq!(moments.len(), 6);
    for NamedTensor { name: path, values, .. } in moments {
        let found = match (values, kept) {
            (TensorValues::Floats(values), Kept::InMemory) => values.to_vec(),
            (TensorValues::Tensor(tensor), Kept::AsTensors) => floats(&tensor),
            _ => panic!("{path} is not where it should be"),
        };
        let expected = source.read_floats(&path.replace("state", name)).unwrap();
        assert_golden(&path, &found, &expected, 1e-6);
    }
}

#[test]
fn golden_adam() {
    run_golden(WeightDecayKind::L2, "adam", 1, Kept::InMemory);
}

#[test]
fn golden_adamw() {
    run_golden(WeightDecayKind::Decoupled, "adamw", 1, Kept::InMemory);
}

#[test]
fn golden_adamw_of_two_batches() {
    run_golden(WeightDecayKind::Decoupled, "adamw", 2, Kept::InMemory);
}

#[test]
fn golden_as_on_other_devices() {
    run_golden(WeightDecayKind::L2, "adam", 1, Kept::AsTensors);
    run_golden(WeightDecayKind::Decoupled, "adamw", 2, Kept::AsTensors);
}

#[test]
fn several_chunks_are_as_one() {
    let length = 2 * CHUNK_VALUES + 7;
    let values: Vec<f32> = (0..length).map(|number| (number as f32 * 0.37).sin()).collect();
    let gradient: Vec<f32> = (0..length).map(|number| (number as f32 * 0.11).cos()).collect();
    let update = Update {
        gradient_scale: 1.0,
        penalty: 0.1,
        kept: 1.0,
        first_weight: 0.1,
        second_kept: 0.9,
        second_weight: 0.1,
        rate: 0.1,
        root_correction: 0.5,
        epsilon: 1e-8,
    };
    let state = || (values.clone(), vec![0.5_f32; length], vec![0.25_f32; length]);
    let (mut together, mut alone) = (state(), state());
    update.apply(&mut together.0, &gradient, &mut together.1, &mut together.2);
    update.apply_to_chunk(&mut alone.0, &gradient, &mut alone.1, &mut alone.2);
    assert!(together == alone);
    let (mut sum, expected) = (values.clone(), values.iter().zip(&gradient).map(|(a, b)| a + b).collect::<Vec<f32>>());
    add(&mut sum, &gradient);
    assert!(sum == expected);
    let expected: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
    assert!((sum_of_squares(&values) / expected - 1.0).abs() < 1e-12);
}

#[derive(Module, Debug)]
struct Network {
    enter: Linear,
    norm: BatchNorm,
    leave: Linear,
}

fn network(device: &Device) -> Network {
    Network {
        enter: LinearConfig::new(3, 4).init(device),
        norm: BatchNormConfig::new(4).init(device),
        leave: LinearConfig::new(4, 2).init(device),
    }
}

fn loss(network: &Network, step: u32, device: &Device) -> Tensor<1> {
    let values: Vec<f32> = (0..15).map(|number| ((number * 7 + step * 3) as f32).sin()).collect();
    let input = Tensor::<2>::from_data(TensorData::new(values, [5, 3]), device);
    network.leave.forward(network.norm.forward(network.enter.forward(input))).square().mean()
}

fn all_values(network: &Network) -> Vec<Vec<f32>> {
    let sources = crate::checkpoint::module_tensors(network, "network");
    let values = sources.into_iter().map(|tensor| match tensor.values {
        TensorValues::Tensor(tensor) => floats(&tensor),
        _ => panic!("{}", tensor.name),
    });
    values.collect()
}

fn stored(adam: &Adam) -> (tempfile::TempDir, TensorSource) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    stage_tensors(path.clone(), adam.tensors("optimizer")).unwrap().0.commit().unwrap();
    (folder, TensorSource::open_safetensors(&[path]).unwrap())
}

#[test]
fn a_restored_state_goes_on_bit_for_bit() {
    for kept in [Kept::InMemory, Kept::AsTensors] {
        restored_state_goes_on(kept);
    }
}

fn restored_state_goes_on(kept: Kept) {
    let device = test_device().autodiff();
    let mut trained = network(&device);
    let new = |module: &Network| {
        let mut adam = Adam::new(golden_config(WeightDecayKind::Decoupled), module).unwrap();
        adam.slots.iter_mut().for_each(|slot| slot.is_in_memory = kept == Kept::InMemory);
        adam
    };
    let mut adam = new(&trained);
    let step = |network: Network, adam: &mut Adam, number: u32| {
        adam.accumulate(&network, &mut loss(&network, number, &device).backward());
        let (network, outcome) = adam.step(network, rates(1e-2));
        assert_eq!(outcome.non_finite, None);
        network
    };
    for number in 0..4 {
        trained = step(trained, &mut adam, number);
    }
    let (_folder, source) = stored(&adam);
    let mut restored = new(&trained);
    restored.restore(&source, "optimizer").unwrap();
    let mut other = trained.clone();
    for number in 4..8 {
        trained = step(trained, &mut adam, number);
        other = step(other, &mut restored, number);
        assert_eq!(all_values(&trained)[0], all_values(&other)[0]);
    }
    assert_eq!(all_values(&trained)[6..], all_values(&other)[6..]);
    // Steps without the moments are another run.
    let mut fresh = new(&trained);
    assert_ne!(all_values(&step(other, &mut fresh, 9))[0], all_values(&step(trained, &mut adam, 9))[0]);
}

#[test]
fn a_state_of_another_module_is_refused_with_all_names() {
    let device = test_device().autodiff();
    let module = network(&device);
    let mut adam = Adam::new(AdamConfig::default(), &module).unwrap();
    adam.accumulate(&module, &mut loss(&module, 0, &device).backward());
    let (module, _) = adam.step(module, rates(1e-2));
    let (_folder, source) = stored(&adam);
    let linear: Linear = LinearConfig::new(3, 4).init(&device);
    let mut other = Adam::new(AdamConfig::default(), &linear).unwrap();
    let error = other.restore(&source, "optimizer").unwrap_err().to_string();
    assert!(error.contains("optimizer.steps: expected [2], found [8]"), "{error}");
    let error = other.restore(&source, "nothing").unwrap_err().to_string();
    assert!(error.contains("missing from the file (1):") && error.contains("nothing.steps [2]"), "{error}");
    let mut wide = module;
    wide.leave = LinearConfig::new(4, 5).init(&device);
    let error = Adam::new(AdamConfig::default(), &wide).unwrap().restore(&source, "optimizer").unwrap_err().to_string();
    assert!(error.contains("optimizer.first.leave.weight: expected [4, 5], found [4, 2]"), "{error}");
}

#[test]
fn a_gradient_that_is_not_finite_skips_the_step_and_touches_nothing() {
    let device = test_device().autodiff();
    let source = golden();
    let mut module = Three::initial(&source, &device);
    let mut adam = Adam::new(golden_config(WeightDecayKind::L2), &module).unwrap();
    let step = |module: Three, adam: &mut Adam, factor: f32| {
        adam.accumulate(&module, &mut module.gradients(&source, 0, factor));
        adam.step(module, rates(1e-2))
    };
    module = step(module, &mut adam, 1.0).0;
    let state = |adam: &Adam| format!("{:?}", adam.tensors("state"));
    let (values, moments) = (module.values(), state(&adam));
    for factor in [f32::NAN, f32::INFINITY] {
        let (skipped, outcome) = step(module, &mut adam, factor);
        module = skipped;
        assert_eq!(outcome.non_finite.as_deref(), Some("weight"));
        assert!(!outcome.gradient_norm.is_finite());
        assert_eq!((module.values(), state(&adam)), (values.clone(), moments.clone()));
    }
    // Large and finite is no fault: its norm would overflow in single precision.
    let (module, outcome) = step(module, &mut adam, 1e25);
    assert!(outcome.non_finite.is_none() && outcome.gradient_norm > 1e24);
    assert!(module.values().iter().flatten().all(|value| value.is_finite()));
}

#[test]
fn discarded_gradients_have_no_part_in_a_step() {
    let device = test_device().autodiff();
    let source = golden();
    let module = Three::initial(&source, &device);
    let values = module.values();
    let mut adam = Adam::new(AdamConfig::default(), &module).unwrap();
    adam.accumulate(&module, &mut module.gradients(&source, 0, 1.0));
    adam.discard();
    let (module, outcome) = adam.step(module, rates(1e-2));
    assert_eq!((module.values(), outcome.gradient_norm), (values, 0.0));
}

#[test]
fn matrices_decay_and_biases_and_norms_do_not_unless_told() {
    let device = test_device().autodiff();
    let module = network(&device);
    let factors = |config: AdamConfig| {
        let adam = Adam::new(config, &module).unwrap();
        let factors: Vec<(f64, f64)> =
            adam.slots.iter().map(|slot| (slot.learning_rate_factor, slot.weight_decay_factor)).collect();
        factors
    };
    // Weight and bias, gamma, beta and two running statistics, weight and bias.
    let by_rule = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    assert_eq!(factors(AdamConfig::default()), by_rule.map(|decay| (1.0, decay)));
    assert_eq!(factors(AdamConfig { decays_all: true, ..AdamConfig::default() }), [(1.0, 1.0); 8]);
    let group = |path: &str, learning_rate_factor, weight_decay_factor| ParameterGroup {
        path: path.into(),
        learning_rate_factor,
        weight_decay_factor,
    };
    let groups = vec![group("enter.weight", 0.5, Some(0.25)), group("enter", 2.0, None), group("norm", 3.0, Some(1.0))];
    let mut expected = by_rule.map(|decay| (1.0, decay));
    (expected[0], expected[1]) = ((0.5, 0.25), (2.0, 0.0));
    expected[2..6].fill((3.0, 1.0));
    assert_eq!(factors(AdamConfig { groups, ..AdamConfig::default() }), expected);
}

/// A scale of a norm over three dimensions is no matrix.
#[test]
fn names_count_as_well_as_shapes() {
    let config = AdamConfig::default();
    assert_eq!(config.decay_factor("layers.0.norm.gamma", 3), 0.0);
    assert_eq!(config.decay_factor("layers.0.convolution.weight", 3), 1.0);
    assert_eq!(config.decay_factor("mask_token", 1), 0.0);
    assert!(has_segments("encoder.layers.10.bias", "layers.10") && !has_segments("encoder.layers.10.bias", "layers.1"));
}

#[test]
fn a_schedules_weight_decay_counts_in_place_of_the_configurations() {
    let device = test_device().autodiff();
    let source = golden();
    let stepped = |configured: f64, scheduled: Option<f64>| {
        let module = Three::initial(&source, &device);
        let mut adam = Adam::new(AdamConfig { weight_decay: configured, ..AdamConfig::default() }, &module).unwrap();
        adam.accumulate(&module, &mut module.gradients(&source, 0, 1.0));
        adam.step(module, Rates { learning_rate: 0.1, weight_decay: scheduled }).0.values()
    };
    assert_eq!(stepped(0.0, Some(0.4)), stepped(0.4, None));
    assert_ne!(stepped(0.0, None), stepped(0.4, None));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let device = test_device().autodiff();
    let module = network(&device);
    let error = |config: AdamConfig| Adam::new(config, &module).unwrap_err().to_string();
    let base = AdamConfig::default;
    assert_eq!(error(AdamConfig { betas: [0.9, 1.0], ..base() }), "betas: expected numbers from 0 to below 1, found 1");
    assert_eq!(error(AdamConfig { epsilon: 0.0, ..base() }), "epsilon: expected a number above 0, found 0");
    assert!(error(AdamConfig { weight_decay: f64::NAN, ..base() }).starts_with("weight_decay: "));
    assert!(error(AdamConfig { clip_norm: Some(-1.0), ..base() }).starts_with("clip_norm: "));
    let groups = vec![ParameterGroup { path: "encoder".into(), learning_rate_factor: 1.0, weight_decay_factor: None }];
    assert_eq!(
        error(AdamConfig { groups, ..base() }),
        "groups: expected a part of a parameter's name, as `enter.weight`, `enter.bias`, `norm.gamma`; found `encoder`, \
         which is in none"
    );
    assert!(toml::from_str::<AdamConfig>("beta = 0.9").is_err());
    let config: AdamConfig = toml::from_str("betas = [0.9, 0.98]\nweight_decay_kind = \"l2\"").unwrap();
    assert_eq!(config, AdamConfig { betas: [0.9, 0.98], weight_decay_kind: WeightDecayKind::L2, ..base() });
    assert_eq!(toml::from_str::<AdamConfig>(&toml::to_string(&config).unwrap()), Ok(config));
}

#[test]
#[should_panic(expected = "the optimiser is for a module with enter.weight where this one has weight")]
fn another_module_is_a_mistake() {
    let device = test_device().autodiff();
    let mut adam = Adam::new(AdamConfig::default(), &network(&device)).unwrap();
    let linear: Linear = LinearConfig::new(3, 4).init(&device);
    adam.accumulate(&linear, &mut linear.forward(Tensor::<2>::ones([1, 3], &device)).sum().backward());
}
