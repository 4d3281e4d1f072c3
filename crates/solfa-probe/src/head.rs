//! The heads: what stands between frozen features and a task.
//!
//! A head is a way to bring layers together ([`LayerMix`]) followed by a small network ([`HeadKind`]). Its parameters
//! are plain vectors with a shape each, and its forward pass is a function of them, so that the same definition serves
//! training with gradients and inference without.
//!
//! Sources: the linear probe and the MLP with one hidden layer of 512 are those of MARBLE's constrained track (Yuan et al.
//! 2023, appendix A).

use burn::tensor::{Device, Tensor, activation};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::mix::{HeadError, LayerMix, LayerPolicy, initial_linear, linear, uniform};

/// The network on top.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum HeadKind {
    /// One linear layer.
    Linear,
    /// One hidden layer with ReLU and dropout.
    Mlp {
        /// Width of the hidden layer.
        hidden: usize,
        /// Share of the hidden layer that is dropped in training.
        dropout: f32,
    },
    /// The class whose mean is nearest (Euclidean distance): nothing is learned by gradients.
    ClassMean,
}

impl HeadKind {
    /// The name in results: `linear`, `mlp-512`, `class-mean`.
    pub fn name(self) -> String {
        match self {
            Self::Linear => "linear".to_owned(),
            Self::Mlp { hidden, .. } => format!("mlp-{hidden}"),
            Self::ClassMean => "class-mean".to_owned(),
        }
    }
}

/// A head without its parameters: shapes, and what is done with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    mix: LayerMix,
    kind: HeadKind,
    /// Number of outputs.
    num_outputs: usize,
}

/// Parameters of a head: one vector of values for each of [`Head::shapes`].
pub type Parameters = Vec<Vec<f32>>;

impl Head {
    /// A head on layers of these widths.
    ///
    /// # Errors
    /// [`HeadError`] where policy and layers do not fit.
    pub fn new(policy: LayerPolicy, kind: HeadKind, dims: &[usize], num_outputs: usize) -> Result<Self, HeadError> {
        Ok(Self { mix: LayerMix::new(policy, dims)?, kind, num_outputs })
    }

    /// Number of outputs.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }

    /// Width of the features of an item: all layers together.
    pub fn num_inputs(&self) -> usize {
        self.mix.num_inputs()
    }

    /// The shape of each vector of parameters: rows and columns. A linear layer has `[inputs, outputs]` and `[1, outputs]`.
    pub fn shapes(&self) -> Vec<[usize; 2]> {
        let (width, mut shapes) = (self.mix.width(), self.mix.shapes());
        match self.kind {
            HeadKind::Linear => shapes.extend([[width, self.num_outputs], [1, self.num_outputs]]),
            HeadKind::Mlp { hidden, .. } => {
                shapes.extend([[width, hidden], [1, hidden], [hidden, self.num_outputs], [1, self.num_outputs]]);
            }
            // A row of features for each class.
            HeadKind::ClassMean => shapes.push([self.num_outputs, width]),
        }
        shapes
    }

    /// Number of parameters that are learned.
    pub fn num_parameters(&self) -> usize {
        self.shapes().iter().map(|[rows, columns]| rows * columns).sum()
    }

    /// Parameters before training.
    pub fn initial(&self, random: &mut ChaCha8Rng) -> Parameters {
        let mut parameters = self.mix.initial(random);
        let width = self.mix.width();
        match self.kind {
            HeadKind::Linear => parameters.extend(initial_linear(width, self.num_outputs, random)),
            HeadKind::Mlp { hidden, .. } => {
                parameters.extend(initial_linear(width, hidden, random));
                parameters.extend(initial_linear(hidden, self.num_outputs, random));
            }
            HeadKind::ClassMean => {
                parameters.push(uniform(self.num_outputs * width, 1.0 / (width as f32).sqrt(), random));
            }
        }
        parameters
    }

    /// Weights of the layers of a [`LayerPolicy::Weighted`] head, which sum to 1; nothing for others.
    pub fn layer_weights(&self, parameters: &Parameters) -> Option<Vec<f64>> {
        self.mix.weights(parameters)
    }

    /// The outputs for a batch of features.
    ///
    /// `dropped` is what the hidden layer is multiplied by in training, `[batch, hidden]`.
    ///
    /// # Shapes
    /// - features: `[batch, inputs]`
    /// - output: `[batch, outputs]`; for class means, the negative squared distances
    pub(crate) fn forward(
        &self,
        parameters: &[Tensor<2>],
        features: Tensor<2>,
        dropped: Option<Tensor<2>>,
    ) -> Tensor<2> {
        let (mixed, rest) = self.mix.forward(parameters, features);
        match self.kind {
            HeadKind::Linear => linear(mixed, rest),
            HeadKind::Mlp { .. } => {
                let hidden = activation::relu(linear(mixed, &rest[..2]));
                let hidden = match dropped {
                    Some(dropped) => hidden * dropped,
                    None => hidden,
                };
                linear(hidden, &rest[2..])
            }
            HeadKind::ClassMean => {
                // ‖x - m‖² = ‖x‖² - 2 x·m + ‖m‖²
                let means = rest[0].clone();
                let squares = (mixed.clone() * mixed.clone()).sum_dim(1);
                let mean_squares = (means.clone() * means.clone()).sum_dim(1).transpose();
                mixed.matmul(means.transpose()) * 2.0 - squares - mean_squares
            }
        }
    }

    /// The hidden layer's dropout: its width and share.
    pub(crate) fn dropout(&self) -> Option<(usize, f32)> {
        match self.kind {
            HeadKind::Mlp { hidden, dropout } if dropout > 0.0 => Some((hidden, dropout)),
            _ => None,
        }
    }

    /// Parameters as tensors.
    fn tensors(&self, parameters: &Parameters, device: &Device) -> Vec<Tensor<2>> {
        parameters.iter().zip(self.shapes()).map(|(values, shape)| tensor(values.clone(), shape, device)).collect()
    }

    /// The outputs for all items, `[items, outputs]`, without gradients.
    ///
    /// # Panics
    /// For features or parameters that are not this head's.
    pub fn predict(&self, parameters: &Parameters, features: &crate::items::Features) -> Vec<f32> {
        /// Items of one pass.
        const BATCH: usize = 4096;
        let device = Device::flex();
        let tensors = self.tensors(parameters, &device);
        let mut outputs = Vec::with_capacity(features.num_items * self.num_outputs);
        let items: Vec<usize> = (0..features.num_items).collect();
        for batch in items.chunks(BATCH) {
            let input = tensor(features.gather(batch), [batch.len(), self.num_inputs()], &device);
            outputs.extend(values(self.forward(&tensors, input, None)));
        }
        outputs
    }
}

/// `x · weight + bias`.
/// A tensor of plain values.
pub(crate) fn tensor(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(burn::tensor::TensorData::new(values, shape), device)
}

/// The plain values of a tensor.
#[allow(clippy::expect_used, reason = "every tensor here is made of f32 on the processor")]
pub(crate) fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("a tensor of f32")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::items::{Features, LayerFeatures};

    fn two_layers() -> Features {
        Features {
            num_items: 2,
            layers: vec![
                LayerFeatures { number: 0, dim: 2, data: vec![1.0, 2.0, 3.0, 4.0] },
                LayerFeatures { number: 1, dim: 2, data: vec![-1.0, 0.0, 5.0, 2.0] },
            ],
        }
    }

    #[test]
    fn a_linear_head_is_a_matrix_and_a_bias() {
        let head = Head::new(LayerPolicy::Concatenated, HeadKind::Linear, &[2, 2], 1).unwrap();
        let parameters = vec![vec![1.0, 10.0, 100.0, 1000.0], vec![0.5]];
        assert_eq!(head.predict(&parameters, &two_layers()), [-78.5, 2543.5]);
    }

    #[test]
    fn equal_weights_give_the_mean_of_layers() {
        let head = Head::new(LayerPolicy::Weighted, HeadKind::Linear, &[2, 2], 1).unwrap();
        let parameters = vec![vec![0.0, 0.0], vec![1.0, 1.0], vec![0.0]];
        assert_eq!(head.predict(&parameters, &two_layers()), [1.0, 7.0]);
        assert_eq!(head.layer_weights(&parameters).unwrap(), [0.5, 0.5]);
        let all_on_one = vec![vec![0.0, 100.0], vec![1.0, 1.0], vec![0.0]];
        assert_eq!(head.predict(&all_on_one, &two_layers()), [-1.0, 7.0]);
    }

    #[test]
    fn reducing_goes_back_to_the_width_of_one_layer() {
        let head = Head::new(LayerPolicy::Reduced, HeadKind::Linear, &[2, 2], 1).unwrap();
        assert_eq!(head.shapes(), [[4, 2], [1, 2], [2, 1], [1, 1]]);
        let sum_of_first_dimensions = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let parameters = vec![sum_of_first_dimensions, vec![0.0, 7.0], vec![1.0, 1.0], vec![0.0]];
        assert_eq!(head.predict(&parameters, &two_layers()), [7.0, 15.0]);
    }

    #[test]
    fn an_mlp_has_one_hidden_layer_with_relu() {
        let kind = HeadKind::Mlp { hidden: 2, dropout: 0.2 };
        let head = Head::new(LayerPolicy::Single, kind, &[2], 1).unwrap();
        let parameters = vec![vec![1.0, -1.0, 0.0, 0.0], vec![0.0, 0.0], vec![1.0, 10.0], vec![0.25]];
        assert_eq!(head.predict(&parameters, &two_layers().layer(1)), [10.25, 5.25]);
        assert_eq!(head.num_parameters(), 4 + 2 + 2 + 1);
    }

    #[test]
    fn class_means_score_by_distance() {
        let head = Head::new(LayerPolicy::Single, HeadKind::ClassMean, &[2], 2).unwrap();
        let parameters = vec![vec![1.0, 2.0, 0.0, 0.0]];
        assert_eq!(head.predict(&parameters, &two_layers().layer(0)), [0.0, -5.0, -8.0, -25.0]);
    }

    #[test]
    fn initial_values_stay_within_their_bounds() {
        let kind = HeadKind::Mlp { hidden: 64, dropout: 0.0 };
        let head = Head::new(LayerPolicy::Single, kind, &[400], 3).unwrap();
        let parameters = head.initial(&mut ChaCha8Rng::seed_from_u64(1));
        for (values, bound) in parameters.iter().zip([0.05, 0.05, 0.125, 0.125]) {
            let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            assert!(largest <= bound, "{largest} is beyond {bound}");
            assert!(values.len() < 64 || largest > 0.8 * bound, "{largest} is far below {bound}");
        }
    }
}
