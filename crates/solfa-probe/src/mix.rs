//! How the layers of an encoder come together before a head.
//!
//! The softmax-weighted sum of layers is SUPERB's (Yang et al. 2021), with weights that start equal; [`Reduced`] is MARBLE
//! v2's way to use all layers, a linear layer on their concatenation.
//!
//! [`Reduced`]: LayerPolicy::Reduced

use burn::tensor::{Tensor, activation};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use solfa_eval::tag;

/// How the layers of an encoder become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerPolicy {
    /// One layer, as it is.
    Single,
    /// The mean of all layers, weighted by the softmax of learned numbers.
    Weighted,
    /// All layers, one after the other.
    Concatenated,
    /// All layers one after the other, and a linear layer back to the width of one.
    Reduced,
}

/// Why a head cannot be built on these layers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A weighted mean needs vectors of one width.
    #[error("a weighted sum needs layers of one width, and these have {dims:?}: choose layers of one width, or `all`")]
    Widths {
        /// The widths.
        dims: Vec<usize>,
    },
    /// There is no layer, or a layer without width.
    #[error("a head needs layers of at least one dimension, and these have {dims:?}")]
    NoFeatures {
        /// The widths.
        dims: Vec<usize>,
    },
    /// A head on one layer is given several.
    #[error("a head on a single layer is given {count}")]
    NotSingle {
        /// How many.
        count: usize,
    },
}

/// Layers of some widths, and how they come together: the first part of every network on frozen features.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMix {
    policy: LayerPolicy,
    /// Widths of the layers.
    dims: Vec<usize>,
}

impl LayerMix {
    /// Layers of these widths.
    ///
    /// # Errors
    /// [`HeadError`] where policy and layers do not fit.
    pub fn new(policy: LayerPolicy, dims: &[usize]) -> Result<Self, HeadError> {
        if dims.is_empty() || dims.contains(&0) {
            return Err(HeadError::NoFeatures { dims: dims.to_vec() });
        }
        if policy == LayerPolicy::Single && dims.len() != 1 {
            return Err(HeadError::NotSingle { count: dims.len() });
        }
        if policy == LayerPolicy::Weighted && dims.iter().any(|dim| *dim != dims[0]) {
            return Err(HeadError::Widths { dims: dims.to_vec() });
        }
        Ok(Self { policy, dims: dims.to_vec() })
    }

    /// Width of the features of an item: all layers together.
    pub fn num_inputs(&self) -> usize {
        self.dims.iter().sum()
    }

    /// Width after the layers came together.
    pub fn width(&self) -> usize {
        match self.policy {
            LayerPolicy::Single | LayerPolicy::Weighted | LayerPolicy::Reduced => self.dims[0],
            LayerPolicy::Concatenated => self.num_inputs(),
        }
    }

    /// The shapes of its parameters, which come first among those of a network.
    pub fn shapes(&self) -> Vec<[usize; 2]> {
        match self.policy {
            LayerPolicy::Single | LayerPolicy::Concatenated => Vec::new(),
            LayerPolicy::Weighted => vec![[1, self.dims.len()]],
            LayerPolicy::Reduced => vec![[self.num_inputs(), self.width()], [1, self.width()]],
        }
    }

    /// Parameters before training: equal weights, and a linear layer as PyTorch's.
    pub(crate) fn initial(&self, random: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
        match self.policy {
            LayerPolicy::Single | LayerPolicy::Concatenated => Vec::new(),
            LayerPolicy::Weighted => vec![vec![0.0; self.dims.len()]],
            LayerPolicy::Reduced => initial_linear(self.num_inputs(), self.width(), random).into(),
        }
    }

    /// Weights of the layers of [`LayerPolicy::Weighted`], which sum to 1; nothing for others.
    pub fn weights(&self, parameters: &[Vec<f32>]) -> Option<Vec<f64>> {
        if self.policy != LayerPolicy::Weighted {
            return None;
        }
        parameters.first().map(|logits| softmax(logits))
    }

    /// The layers of a batch as one vector each, and the parameters that are left for what follows.
    ///
    /// # Shapes
    /// - features: `[batch, inputs]`
    /// - output: `[batch, width]`
    pub(crate) fn forward<'p>(&self, parameters: &'p [Tensor<2>], features: Tensor<2>) -> (Tensor<2>, &'p [Tensor<2>]) {
        match self.policy {
            LayerPolicy::Single | LayerPolicy::Concatenated => (features, parameters),
            LayerPolicy::Weighted => {
                let [batch, _] = features.dims();
                let (num_layers, dim) = (self.dims.len(), self.dims[0]);
                let weights = activation::softmax(parameters[0].clone(), 1).reshape([1, num_layers, 1]);
                let layers: Tensor<3> = features.reshape([batch, num_layers, dim]);
                ((layers * weights).sum_dim(1).reshape([batch, dim]), &parameters[1..])
            }
            LayerPolicy::Reduced => (linear(features, &parameters[..2]), &parameters[2..]),
        }
    }
}

/// A linear layer: the first of the parameters is its matrix `[inputs, outputs]`, the second its bias `[1, outputs]`.
pub(crate) fn linear(input: Tensor<2>, parameters: &[Tensor<2>]) -> Tensor<2> {
    input.matmul(parameters[0].clone()) + parameters[1].clone()
}

/// Matrix and bias of a linear layer before training: uniform within ±1/√inputs, as PyTorch's.
pub(crate) fn initial_linear(inputs: usize, outputs: usize, random: &mut ChaCha8Rng) -> [Vec<f32>; 2] {
    [inputs * outputs, outputs].map(|count| uniform(count, 1.0 / (inputs as f32).sqrt(), random))
}

/// Values between `-bound` and `bound`.
pub(crate) fn uniform(count: usize, bound: f32, random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-bound..bound)).collect()
}

/// What logits say as probabilities.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    tag::softmax(&logits, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_different_widths_have_no_weighted_sum() {
        let error = LayerMix::new(LayerPolicy::Weighted, &[2, 3]).unwrap_err();
        assert!(error.to_string().contains("[2, 3]"), "{error}");
        assert!(LayerMix::new(LayerPolicy::Concatenated, &[2, 3]).is_ok());
        assert!(LayerMix::new(LayerPolicy::Single, &[2, 3]).is_err());
        assert!(LayerMix::new(LayerPolicy::Weighted, &[]).is_err());
    }

    #[test]
    fn probabilities_sum_to_one_whatever_the_size_of_logits() {
        let probabilities = softmax(&[1000.0, 1000.0, f32::MIN]);
        assert_eq!(probabilities, [0.5, 0.5, 0.0]);
    }
}
