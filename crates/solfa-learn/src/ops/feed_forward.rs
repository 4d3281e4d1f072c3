//! The half feed-forward of a conformer layer as one operation with its gradient: `x + linear(silu(linear(norm(x)))) / 2`.

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::product::Activation;
use solfa_kernels::training::{
    activation, activation_gradient, add_linear, add_transposed_product, column_sums, linear, linear_input_gradient,
};
use solfa_kernels::{Arithmetic, Precision};

use super::layer_norm::InputNorm;
use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// What is added to the input is multiplied by this.
const SHARE: f32 = 0.5;

/// Values of one task.
const TOGETHER: usize = 1 << 14;

/// Parameters of the norm and of the two linear layers, as Burn keeps them: weights are `[inputs, outputs]`.
#[derive(Clone, Debug)]
pub struct FeedForwardParameters {
    /// Gain of the norm.
    pub gain: Tensor<1>,
    /// Shift of the norm.
    pub shift: Tensor<1>,
    /// Weights of the first layer.
    pub expand: Tensor<2>,
    /// Bias of the first layer.
    pub expand_bias: Tensor<1>,
    /// Weights of the second layer.
    pub contract: Tensor<2>,
    /// Bias of the second layer.
    pub contract_bias: Tensor<1>,
    /// Added to variances.
    pub epsilon: f64,
}

/// The half feed-forward and its residual.
///
/// # Shapes
/// - input and output: `[batch, frames, width]`
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn half_feed_forward(input: Tensor<3>, parameters: FeedForwardParameters) -> Tensor<3> {
    let device = input.device();
    let FeedForwardParameters { gain, shift, expand, expand_bias, contract, contract_bias, epsilon } = parameters;
    let inputs = vec![
        input.into_dispatch(),
        gain.into_dispatch(),
        shift.into_dispatch(),
        expand.into_dispatch(),
        expand_bias.into_dispatch(),
        contract.into_dispatch(),
        contract_bias.into_dispatch(),
    ];
    run(HalfFeedForward { norm: InputNorm { epsilon: epsilon as f32 } }, inputs, &device)
}

struct HalfFeedForward {
    norm: InputNorm,
}

impl HalfFeedForward {
    fn arithmetic(width: usize) -> Arithmetic {
        Arithmetic::new(Precision::F32).for_width(width)
    }
}

impl PlainOperation for HalfFeedForward {
    fn name(&self) -> &'static str {
        "half feed-forward"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let shape = inputs[0].shape::<3>();
        let [width, hidden] = inputs[3].shape();
        let arithmetic = Self::arithmetic(width);
        let expanded =
            linear(arithmetic, &self.norm.forward(inputs), inputs[3].values(), Some(inputs[4].values()), width);
        let active = activation(&expanded, Activation::Silu);
        let (weights, bias) = (inputs[5].values(), inputs[6].values());
        let mut output = inputs[0].values().to_vec();
        add_linear(arithmetic, &active, weights, Some(bias), hidden, SHARE, &mut output);
        (Values::new(output, shape), Box::new(expanded))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let Some(expanded) = kept.downcast_ref::<Vec<f32>>() else { return Vec::new() };
        let [width, hidden] = inputs[3].shape();
        let arithmetic = Self::arithmetic(width);
        let to_contracted: Vec<f32> =
            incoming.par_iter().with_min_len(TOGETHER).map(|gradient| gradient * SHARE).collect();
        let active = activation(expanded, Activation::Silu);
        let mut to_contract = vec![0.0; hidden * width];
        add_transposed_product(&active, &to_contracted, hidden, width, &mut to_contract);
        drop(active);
        let mut to_expanded = linear_input_gradient(arithmetic, &to_contracted, inputs[5].values(), hidden);
        activation_gradient(expanded, Activation::Silu, &mut to_expanded);
        let mut to_expand = vec![0.0; width * hidden];
        add_transposed_product(&self.norm.forward(inputs), &to_expanded, width, hidden, &mut to_expand);
        let to_normed = linear_input_gradient(arithmetic, &to_expanded, inputs[3].values(), width);
        let mut gradients = Vec::from(self.norm.backward(inputs, &to_normed, incoming.to_vec()));
        gradients.extend([
            Some(Values::new(to_expand, [width, hidden])),
            Some(Values::new(column_sums(&to_expanded, hidden), [hidden])),
            Some(Values::new(to_contract, [hidden, width])),
            Some(Values::new(column_sums(&to_contracted, width), [width])),
        ]);
        gradients
    }
}
