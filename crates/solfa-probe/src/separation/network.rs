//! The network for separation: from frozen features to a mask on the mixture's spectrum, by stacked LSTMs.
//!
//! It is MARBLE's (Yuan et al. 2023, appendix A: a 3-layer LSTM of width 512), whose code takes Open-Unmix (Stöter et al.
//! 2019) and puts an encoder's features where the spectrogram was: a linear layer, batch norm and tanh; the LSTMs, forward
//! in time only; what went into them beside what comes out; two more linear layers with batch norms; a scale and a shift of
//! every bin; ReLU. No linear layer has a bias, since a norm follows each. MARBLE also shifts and scales its input by learned
//! numbers, which the linear layer and its norm can do as well; they are left out.

use burn::tensor::{Device, Tensor, activation};
use rand_chacha::ChaCha8Rng;

use crate::head::{Parameters, tensor, values};
use crate::mix::{LayerMix, uniform};
use crate::train::dropout_factors;

/// PyTorch's defaults for batch norms.
const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// Batch norms of the network.
const NUM_NORMS: usize = 3;

/// The network without its parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeparationNetwork {
    pub(crate) mix: LayerMix,
    pub(crate) hidden: usize,
    pub(crate) num_layers: usize,
    /// Share of what goes from one LSTM to the next that is dropped in training.
    pub(crate) dropout: f32,
    pub(crate) num_bins: usize,
}

/// What a batch norm divides by.
enum Norms<'run> {
    /// The batch's own mean and variance, which are written down.
    OfBatch(&'run mut Vec<[Vec<f32>; 2]>),
    /// Means and variances of training.
    Running(&'run [Tensor<2>]),
}

/// Takes one part of the parameters after the other.
struct Rest<'p>(&'p [Tensor<2>]);

impl Rest<'_> {
    fn next(&mut self) -> Tensor<2> {
        let (first, rest) = self.0.split_at(1);
        self.0 = rest;
        first[0].clone()
    }
}

impl SeparationNetwork {
    /// Shapes of what is learned, rows and columns.
    pub(crate) fn shapes(&self) -> Vec<[usize; 2]> {
        let Self { hidden, num_bins, .. } = *self;
        let mut shapes = self.mix.shapes();
        shapes.extend([[self.mix.width(), hidden], [1, hidden], [1, hidden]]);
        for _ in 0..self.num_layers {
            shapes.extend([[hidden, 4 * hidden], [hidden, 4 * hidden], [1, 4 * hidden]]);
        }
        shapes.extend([[2 * hidden, hidden], [1, hidden], [1, hidden]]);
        shapes.extend([[hidden, num_bins], [1, num_bins], [1, num_bins], [1, num_bins], [1, num_bins]]);
        shapes
    }

    /// Means and variances of the batch norms, which come after what is learned: width by width.
    fn norm_widths(&self) -> [usize; NUM_NORMS] {
        [self.hidden, self.hidden, self.num_bins]
    }

    /// All parameters before training: those that are learned, then means and variances. Linear layers and LSTMs are drawn
    /// as PyTorch draws them; norms, scales and shifts begin as they do there.
    pub(crate) fn initial(&self, random: &mut ChaCha8Rng) -> Parameters {
        let Self { hidden, num_bins, .. } = *self;
        let mut parameters = self.mix.initial(random);
        let linear = |inputs: usize, outputs: usize, random: &mut ChaCha8Rng| {
            uniform(inputs * outputs, 1.0 / (inputs as f32).sqrt(), random)
        };
        let norm = |width: usize| [vec![1.0; width], vec![0.0; width]];
        parameters.push(linear(self.mix.width(), hidden, random));
        parameters.extend(norm(hidden));
        for _ in 0..self.num_layers {
            let bound = 1.0 / (hidden as f32).sqrt();
            parameters.push(uniform(4 * hidden * hidden, bound, random));
            parameters.push(uniform(4 * hidden * hidden, bound, random));
            // PyTorch adds two biases.
            let (first, second) = (uniform(4 * hidden, bound, random), uniform(4 * hidden, bound, random));
            parameters.push(first.iter().zip(&second).map(|(a, b)| a + b).collect());
        }
        parameters.push(linear(2 * hidden, hidden, random));
        parameters.extend(norm(hidden));
        parameters.push(linear(hidden, num_bins, random));
        parameters.extend(norm(num_bins));
        parameters.extend([vec![1.0; num_bins], vec![1.0; num_bins]]);
        for width in self.norm_widths() {
            parameters.extend([vec![0.0; width], vec![1.0; width]]);
        }
        parameters
    }

    /// The mask for a batch in training, and the means and variances that its norms saw.
    ///
    /// # Shapes
    /// - features: `[frames * batch, inputs]`, all clips' first frames first
    /// - output: `[frames * batch, bins]`
    pub(crate) fn forward_training(
        &self,
        learned: &[Tensor<2>],
        features: Tensor<2>,
        batch: usize,
        random: &mut ChaCha8Rng,
    ) -> (Tensor<2>, Vec<[Vec<f32>; 2]>) {
        let mut statistics = Vec::with_capacity(NUM_NORMS);
        let mask = self.forward(learned, features, batch, &mut Norms::OfBatch(&mut statistics), Some(random));
        (mask, statistics)
    }

    /// The mask for a batch, with the means and variances of training.
    ///
    /// # Shapes
    /// As for [`forward_training`](Self::forward_training).
    pub(crate) fn predict(&self, parameters: &Parameters, features: Vec<f32>, batch: usize) -> Vec<f32> {
        let device = Device::flex();
        let mut shapes = self.shapes();
        shapes.extend(self.norm_widths().into_iter().flat_map(|width| [[1, width]; 2]));
        let tensors: Vec<Tensor<2>> =
            parameters.iter().zip(shapes).map(|(values, shape)| tensor(values.clone(), shape, &device)).collect();
        let (learned, running) = tensors.split_at(tensors.len() - 2 * NUM_NORMS);
        let rows = features.len() / self.mix.num_inputs();
        let features = tensor(features, [rows, self.mix.num_inputs()], &device);
        values(self.forward(learned, features, batch, &mut Norms::Running(running), None))
    }

    /// Moves the running means and variances towards those of a batch of so many rows.
    pub(crate) fn update_norms(&self, parameters: &mut Parameters, statistics: &[[Vec<f32>; 2]], rows: usize) {
        let first = parameters.len() - 2 * NUM_NORMS;
        // The variance that is kept is that of the population, as PyTorch's.
        let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
        for (kept, seen) in parameters[first..].chunks_exact_mut(2).zip(statistics) {
            for (place, factor) in [(0, 1.0), (1, unbiased)] {
                for (kept, seen) in kept[place].iter_mut().zip(&seen[place]) {
                    *kept += MOMENTUM * (seen * factor - *kept);
                }
            }
        }
    }

    fn forward(
        &self,
        learned: &[Tensor<2>],
        features: Tensor<2>,
        batch: usize,
        norms: &mut Norms<'_>,
        mut random: Option<&mut ChaCha8Rng>,
    ) -> Tensor<2> {
        let (mixed, rest) = self.mix.forward(learned, features);
        let mut rest = Rest(rest);
        let rows = mixed.dims()[0];
        let num_frames = rows / batch;
        let entered = normalized(mixed.matmul(rest.next()), &mut rest, norms, 0).tanh();
        let mut frames: Vec<Tensor<2>> =
            (0..num_frames).map(|frame| entered.clone().narrow(0, frame * batch, batch)).collect();
        for layer in 0..self.num_layers {
            if let (true, Some(random)) = (layer > 0 && self.dropout > 0.0, random.as_deref_mut()) {
                for frame in &mut frames {
                    let kept = dropout_factors(batch * self.hidden, self.dropout, random);
                    let kept = tensor(kept, [batch, self.hidden], &frame.device());
                    *frame = frame.clone() * kept;
                }
            }
            frames = lstm(frames, [rest.next(), rest.next(), rest.next()], self.hidden);
        }
        let heard = Tensor::cat(vec![entered, Tensor::cat(frames, 0)], 1);
        let hidden = activation::relu(normalized(heard.matmul(rest.next()), &mut rest, norms, 1));
        let bins = normalized(hidden.matmul(rest.next()), &mut rest, norms, 2);
        let (scale, shift) = (rest.next(), rest.next());
        activation::relu(bins * scale + shift)
    }
}

/// A batch norm over rows, with the next two parameters as scale and shift.
fn normalized(input: Tensor<2>, rest: &mut Rest<'_>, norms: &mut Norms<'_>, number: usize) -> Tensor<2> {
    let (mean, variance) = match norms {
        Norms::OfBatch(statistics) => {
            let mean = input.clone().mean_dim(0);
            let difference = input.clone() - mean.clone();
            let variance = (difference.clone() * difference).mean_dim(0);
            statistics.push([values(mean.clone().inner()), values(variance.clone().inner())]);
            (mean, variance)
        }
        Norms::Running(running) => (running[2 * number].clone(), running[2 * number + 1].clone()),
    };
    (input - mean) / (variance + EPSILON).sqrt() * rest.next() + rest.next()
}

/// A layer of long short-term memory (Hochreiter and Schmidhuber 1997) over frames of a batch, from silence, with PyTorch's
/// order of gates: input, forget, cell, output.
///
/// # Shapes
/// - frames and outputs: `[batch, hidden]` each
/// - parameters: from the input `[hidden, 4 hidden]`, from the last output the same, bias `[1, 4 hidden]`
fn lstm(frames: Vec<Tensor<2>>, [from_input, from_last, bias]: [Tensor<2>; 3], hidden: usize) -> Vec<Tensor<2>> {
    let mut state: Option<(Tensor<2>, Tensor<2>)> = None;
    let mut outputs = Vec::with_capacity(frames.len());
    for frame in frames {
        let mut gates = frame.matmul(from_input.clone()) + bias.clone();
        if let Some((output, _)) = &state {
            gates = gates + output.clone().matmul(from_last.clone());
        }
        let gate = |number: usize| gates.clone().narrow(1, number * hidden, hidden);
        let written = activation::sigmoid(gate(0)) * gate(2).tanh();
        let cell = match state {
            Some((_, cell)) => activation::sigmoid(gate(1)) * cell + written,
            None => written,
        };
        let output = activation::sigmoid(gate(3)) * cell.clone().tanh();
        outputs.push(output.clone());
        state = Some((output, cell));
    }
    outputs
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::SeedableRng;
    use safetensors::SafeTensors;
    use solfa_signal::testing::assert_golden;

    use super::*;
    use crate::mix::LayerPolicy;

    const FRAMES: usize = 7;
    const BATCH: usize = 3;

    fn network(dropout: f32) -> SeparationNetwork {
        let mix = LayerMix::new(LayerPolicy::Single, &[5]).unwrap();
        SeparationNetwork { mix, hidden: 4, num_layers: 3, dropout, num_bins: 6 }
    }

    /// PyTorch's modules, by `tools/reference/separation_head.py`.
    struct Case(Vec<u8>);

    impl Case {
        fn open() -> Self {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/separation-head");
            Self(fs_err::read(fixtures.join("case.safetensors")).unwrap())
        }

        fn values(&self, name: &str) -> Vec<f32> {
            let tensors = SafeTensors::deserialize(&self.0).unwrap();
            let bytes = tensors.tensor(name).unwrap().data().to_vec();
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        }

        fn parameters(&self, statistics: &str) -> Parameters {
            let learned = (0..network(0.0).shapes().len()).map(|number| self.values(&format!("parameter_{number:02}")));
            learned.chain((0..2 * NUM_NORMS).map(|number| self.values(&format!("{statistics}_{number}")))).collect()
        }
    }

    fn learned(parameters: &Parameters, device: &Device) -> Vec<Tensor<2>> {
        let shapes = network(0.0).shapes();
        shapes.into_iter().zip(parameters).map(|(shape, values)| tensor(values.clone(), shape, device)).collect()
    }

    #[test]
    fn golden_prediction() {
        let case = Case::open();
        let found = network(0.4).predict(&case.parameters("statistic"), case.values("features"), BATCH);
        assert_golden("mask", &found, &case.values("predicted"), 1e-5);
    }

    #[test]
    fn golden_training() {
        let case = Case::open();
        let (network, device) = (network(0.0), Device::flex().autodiff());
        let mut parameters = case.parameters("statistic");
        let features = tensor(case.values("features"), [FRAMES * BATCH, 5], &device);
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let (mask, statistics) = network.forward_training(&learned(&parameters, &device), features, BATCH, &mut random);
        assert_golden("mask in training", &values(mask.inner()), &case.values("trained"), 1e-5);
        network.update_norms(&mut parameters, &statistics, FRAMES * BATCH);
        let (found, expected) = (parameters.concat(), case.parameters("next_statistic").concat());
        assert_golden("running statistics", &found, &expected, 1e-6);
    }

    #[test]
    fn golden_gradient() {
        let case = Case::open();
        let device = Device::flex().autodiff();
        let parameters = case.parameters("next_statistic");
        let mut leaves = learned(&parameters, &device);
        leaves[0] = leaves[0].clone().require_grad();
        let shapes = network(0.0).norm_widths().into_iter().flat_map(|width| [[1, width]; 2]);
        let first = parameters.len() - 2 * NUM_NORMS;
        let running: Vec<Tensor<2>> = parameters[first..]
            .iter()
            .zip(shapes)
            .map(|(values, shape)| tensor(values.clone(), shape, &device))
            .collect();
        let features = tensor(case.values("features"), [FRAMES * BATCH, 5], &device);
        let mask = network(0.0).forward(&leaves, features, BATCH, &mut Norms::Running(&running), None);
        let gradients = (mask.clone() * mask).mean().backward();
        let found = values(leaves[0].grad(&gradients).unwrap());
        assert_golden("gradient of the first layer", &found, &case.values("gradient"), 1e-5);
    }

    #[test]
    fn dropout_is_for_training_alone() {
        let case = Case::open();
        let device = Device::flex().autodiff();
        let parameters = case.parameters("statistic");
        let mask = |dropout: f32, seed: u64| {
            let features = tensor(case.values("features"), [FRAMES * BATCH, 5], &device);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let learned = learned(&parameters, &device);
            values(network(dropout).forward_training(&learned, features, BATCH, &mut random).0.inner())
        };
        assert_eq!(mask(0.5, 1), mask(0.5, 1));
        assert_ne!(mask(0.5, 1), mask(0.5, 2));
        assert_ne!(mask(0.5, 1), mask(0.0, 1));
    }

    #[test]
    fn initial_parameters_have_the_shapes() {
        let network = network(0.4);
        let parameters = network.initial(&mut ChaCha8Rng::seed_from_u64(1));
        let shapes = network.shapes();
        assert_eq!(parameters.len(), shapes.len() + 2 * NUM_NORMS);
        for (values, [rows, columns]) in parameters.iter().zip(shapes) {
            assert_eq!(values.len(), rows * columns);
        }
        assert!(network.predict(&parameters, vec![0.5; 5 * 4], 2).iter().all(|value| value.is_finite()));
    }
}
