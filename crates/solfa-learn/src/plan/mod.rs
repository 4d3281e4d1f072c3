//! Inference on the processor: a network's weights packed once, its passes on plain memory.
//!
//! A plan is made of a Burn module, which stays the definition of the network and what other devices and training use. It
//! takes the module apart and packs every weight in the order that the kernels of [`solfa_kernels`] read, so that memory
//! holds the weights once; a pass then works on one clip as `[frames, channels]` and asks for no memory but that of its
//! results. `ARCHITECTURE.md` says what was measured before this was chosen over operations inside Burn.
//!
//! This module must not know: files, clips' sample rates, batches.

mod conformer;
mod conv_subsampling;
mod linear;
mod mel_conformer;

pub use mel_conformer::MelConformerPlan;

use burn::nn::{BatchNorm, LayerNorm};
use burn::tensor::Tensor;
use solfa_kernels::{InstructionSet, norm};

/// Shown the attention weights of a pass: the layer's number, from 1 on, its weights `[heads, frames, frames]`, and the
/// number of heads and of frames.
pub type WeightsObserver<'observer> = Option<&'observer mut dyn FnMut(usize, Vec<f32>, [usize; 2])>;

/// The hidden states of one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStates {
    /// Width of every frame.
    pub dim: usize,
    /// Of every layer `[frames, dim]`.
    pub layers: Vec<Vec<f32>>,
}

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

    /// Of every row of `input`.
    fn apply(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        norm::layer_norm(set, input, &self.gamma, &self.beta, self.epsilon, output);
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
