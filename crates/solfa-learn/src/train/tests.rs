//! The tools together: a run that is broken off and resumed is one that never was.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::checkpoint::{TensorValues, module_tensors, restore_module};
use crate::device::test_device;

#[derive(Module, Debug)]
struct Network {
    enter: Linear,
    norm: BatchNorm,
    leave: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            enter: LinearConfig::new(4, 8).init(device),
            norm: BatchNormConfig::new(8).init(device),
            leave: LinearConfig::new(8, 3).init(device),
        }
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.leave.forward(self.norm.forward(self.enter.forward(input)).tanh())
    }
}

/// All that a checkpoint has to hold.
struct Training {
    network: Network,
    teacher: Network,
    adam: Adam,
    random: ChaCha8Rng,
    step: u64,
}

const CHECKPOINT_EVERY: u64 = 4;

const CONFIG: &str = "steps = 11\ncheckpoint_every = 4\n[optimizer]\nclip_norm = 0.5";

impl Training {
    /// Parameters are drawn anew by every process; those of `initial` are taken instead.
    fn begin(initial: &Network) -> Self {
        let config = AdamConfig { weight_decay: 0.1, clip_norm: Some(0.5), ..AdamConfig::default() };
        let network = initial.valid().train();
        let teacher = teacher_of(&network, TeacherMode::Training);
        let adam = Adam::new(config, &network).unwrap();
        Self { network, teacher, adam, random: ChaCha8Rng::seed_from_u64(5), step: 0 }
    }

    fn resume(files: &CheckpointFiles, device: &Device) -> Self {
        let (found, skipped) = files.newest().unwrap();
        assert_eq!(skipped, []);
        let FoundCheckpoint { state, tensors } = found.unwrap();
        let mut training = Self::begin(&Network::new(device));
        training.network = restore_module(training.network, "model", &tensors).unwrap();
        training.teacher = restore_module(training.teacher, "teacher", &tensors).unwrap();
        training.adam.restore(&tensors, "optimizer").unwrap();
        training.random = state.random["views"].generator().unwrap();
        training.step = state.step;
        training
    }

    fn save(&self, files: &CheckpointFiles, config: &toml::Table) {
        let mut tensors = module_tensors(&self.network, "model");
        tensors.extend(module_tensors(&self.teacher, "teacher"));
        tensors.extend(self.adam.tensors("optimizer"));
        let state = CheckpointState {
            step: self.step,
            random: BTreeMap::from([("views".into(), RandomState::of(&self.random))]),
            config_sha256: config_sha256(config, &KEYS_THAT_MAY_CHANGE),
            ..CheckpointState::default()
        };
        files.save(&state, tensors).unwrap();
    }

    fn batch(&mut self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (0..6 * 4).map(|_| self.random.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, [6, 4]), device)
    }

    /// One step of two batches, towards what the teacher says.
    fn step(mut self, device: &Device) -> (Self, f64) {
        let rate = LearningRateSchedule {
            peak: 1e-2,
            warmup_steps: 3,
            warmup_from: 0.0,
            decay: Decay::Cosine { until: 20, floor: 0.0 },
        };
        let mut sum = 0.0;
        for _ in 0..2 {
            let (one, other) = (self.batch(device), self.batch(device));
            let loss = (self.network.forward(one) - self.teacher.forward(other)).square().mean();
            sum += f64::from(loss.clone().inner().into_data().try_to_vec::<f32>().unwrap()[0]);
            self.adam.accumulate(&self.network, &mut loss.backward());
        }
        self.step += 1;
        let rates = Rates { learning_rate: rate.at(self.step), weight_decay: None };
        let (network, outcome) = self.adam.step(self.network, rates);
        assert_eq!(outcome.non_finite, None);
        self.teacher = update_teacher(self.teacher, &network, 0.9, EmaScope::Parameters);
        self.network = network;
        (self, sum / 2.0)
    }

    fn bits(&self) -> Vec<(String, Vec<u32>)> {
        let mut tensors = module_tensors(&self.network, "model");
        tensors.extend(module_tensors(&self.teacher, "teacher"));
        tensors.extend(self.adam.tensors("optimizer"));
        let bits = |values: TensorValues<'_>| -> Vec<u32> {
            match values {
                TensorValues::Floats(values) => values.iter().map(|value| value.to_bits()).collect(),
                TensorValues::Integers(values) => values.iter().map(|&value| value as u32).collect(),
                TensorValues::Tensor(tensor) => {
                    let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
                    values.into_iter().map(f32::to_bits).collect()
                }
            }
        };
        tensors.into_iter().map(|tensor| (tensor.name, bits(tensor.values))).collect()
    }
}

/// Runs until after a step, with a checkpoint every so many steps and a line for each.
fn run(mut training: Training, folder: &RunFolder, until: u64, device: &Device) -> Training {
    let files = CheckpointFiles::new(folder.checkpoints_path(), 2);
    let config = folder.read_config().unwrap();
    let mut log = Log::open(&folder.log_path(), training.step).unwrap();
    while training.step < until {
        let loss;
        (training, loss) = training.step(device);
        log.write(&LogLine { step: training.step, loss, ..LogLine::default() }).unwrap();
        if training.step.is_multiple_of(CHECKPOINT_EVERY) {
            training.save(&files, &config);
        }
    }
    training
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_was_never_broken_off() {
    let device = test_device().autodiff();
    let config: toml::Table = CONFIG.parse().unwrap();
    let initial = Network::new(&device);
    let parent = tempfile::tempdir().unwrap();
    let create = |name: &str| RunFolder::create(&parent.path().join(name), &config).unwrap();
    let lines = |folder: &Path| read_log(&folder.join("log.jsonl")).unwrap();
    let whole = create("whole");
    let expected = run(Training::begin(&initial), &whole, 11, &device);
    // Broken off after every step from the first checkpoint on: right after one, before the next, and after two.
    for broken_at in 4..11 {
        let name = format!("broken-at-{broken_at}");
        let folder = create(&name);
        drop(run(Training::begin(&initial), &folder, broken_at, &device));
        let folder = RunFolder::resume(folder.path(), &config, &KEYS_THAT_MAY_CHANGE).unwrap();
        let resumed = Training::resume(&CheckpointFiles::new(folder.checkpoints_path(), 2), &device);
        assert_eq!(resumed.step, broken_at / CHECKPOINT_EVERY * CHECKPOINT_EVERY);
        let resumed = run(resumed, &folder, 11, &device);
        for ((name, found), (expected_name, expected)) in resumed.bits().iter().zip(expected.bits()) {
            assert_eq!((name, found), (&expected_name, &expected), "{broken_at}");
        }
        assert_eq!(resumed.bits().len(), 6 * 2 + 2 * 2 + 1 + 2 * 6);
        assert_eq!(lines(folder.path()), lines(whole.path()));
    }
}
