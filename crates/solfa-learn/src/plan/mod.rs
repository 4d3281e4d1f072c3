//! Inference on the processor: a network's weights packed once, its passes on plain memory.
//!
//! A plan is made of a Burn module, which stays the definition of the network and what other devices and training use. It
//! takes the module apart and packs every weight in the order that the kernels of [`solfa_kernels`] read, so that memory
//! holds the weights once; a pass then works on one clip as `[frames, channels]`, in borrowed memory: after the first
//! one, nothing large is asked for but the results. `ARCHITECTURE.md` says what was measured before this was chosen over operations inside Burn.
//!
//! This module must not know: files, clips' sample rates, batches.

mod conformer;
mod conv_subsampling;
mod linear;
mod mel_conformer;
mod positions;
mod transformer;
mod waveform_frontend;
mod waveform_transformer;

pub use mel_conformer::MelConformerPlan;
pub use waveform_transformer::WaveformTransformerPlan;

use burn::nn::{BatchNorm, LayerNorm};
use burn::tensor::Tensor;
use solfa_kernels::product::Activation;
use solfa_kernels::{InstructionSet, norm};

/// Shown the attention weights of a pass: the layer's number, from 1 on, and `[heads, frames, frames]`.
pub type WeightsObserver<'observer> = Option<&'observer mut dyn FnMut(usize, Vec<f32>)>;

/// A tensor's values, row by row.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    match tensor.into_data().try_to_vec::<f32>() {
        Ok(values) => values,
        Err(error) => unreachable!("weights are loaded in single precision: {error:?}"),
    }
}

/// A layer norm's gain and bias.
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Burn keeps the epsilon to itself.
    fn new(norm: LayerNorm, epsilon: f64) -> Self {
        let gamma = values(norm.gamma.val());
        let beta = norm.beta.map_or_else(|| vec![0.0; gamma.len()], |beta| values(beta.val()));
        Self { gamma, beta, epsilon: epsilon as f32 }
    }

    /// One without gain and bias.
    fn plain(dim: usize, epsilon: f64) -> Self {
        Self { gamma: vec![1.0; dim], beta: vec![0.0; dim], epsilon: epsilon as f32 }
    }

    /// Of every row of `input`.
    fn apply(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        norm::layer_norm(set, input, &self.gamma, &self.beta, self.epsilon, output);
    }

    /// Of every frame, and a function of what it gives.
    fn apply_in_place(&self, set: InstructionSet, frames: &mut [f32], activation: Activation) {
        norm::layer_norm_in_place(set, frames, &self.gamma, &self.beta, self.epsilon, activation);
    }
}

/// A batch norm of running statistics as a factor and a summand of every channel, to be folded into the convolution
/// before it.
struct FoldedBatchNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl FoldedBatchNorm {
    fn new(norm: BatchNorm) -> Self {
        let variance = values(norm.running_var.value());
        let gamma = values(norm.gamma.val());
        let factor = |(gamma, variance): (&f32, &f32)| f64::from(*gamma) / (f64::from(*variance) + norm.epsilon).sqrt();
        let factors: Vec<f64> = gamma.iter().zip(&variance).map(factor).collect();
        let means = values(norm.running_mean.value());
        let beta = values(norm.beta.val());
        let shift = beta.iter().zip(&means).zip(&factors);
        Self {
            shift: shift.map(|((beta, mean), factor)| (f64::from(*beta) - f64::from(*mean) * factor) as f32).collect(),
            scale: factors.into_iter().map(|factor| factor as f32).collect(),
        }
    }

    /// The bias of the convolution and the norm together.
    fn fold_bias(&self, bias: Option<Vec<f32>>) -> Vec<f32> {
        match bias {
            Some(bias) => {
                let folded = bias.iter().zip(&self.scale).zip(&self.shift);
                folded.map(|((bias, scale), shift)| bias * scale + shift).collect()
            }
            None => self.shift.clone(),
        }
    }
}

#[cfg(test)]
mod testing {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Tensor, TensorData};
    use solfa_kernels::{Arithmetic, InstructionSet};

    use super::values;

    /// What a network's numbers may be off by, as a share of their root mean square. Matrix tiles multiply with 16 bits of
    /// mantissa.
    pub(super) fn tolerance(arithmetic: Arithmetic) -> f64 {
        if arithmetic.instruction_set() == InstructionSet::Amx { 4e-4 } else { 1e-4 }
    }

    /// Numbers from -1.7 to 1.7 of variance 1, the same for the same seed.
    pub(super) fn noise(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 3.464
            })
            .collect()
    }

    pub(super) fn noise_tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let values = noise(shape.iter().product(), seed);
        Tensor::from_data(TensorData::new(values, shape), &crate::device::test_device())
    }

    /// The same module with no weight that does nothing: gains are not 1 and biases not 0.
    pub(super) fn disturbed<M: Module>(module: M) -> M {
        module.map(&mut Disturb { seed: 0 })
    }

    struct Disturb {
        seed: u64,
    }

    impl ModuleMapper for Disturb {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.seed += 1;
            let value = param.into_value();
            let numbers = values(value.clone());
            let mean_square = numbers.iter().map(|number| number * number).sum::<f32>() / numbers.len() as f32;
            let noise = noise_tensor(value.dims(), self.seed);
            Param::from_tensor(if D == 1 { value + noise * 0.3 } else { noise * mean_square.sqrt() })
        }
    }
}
