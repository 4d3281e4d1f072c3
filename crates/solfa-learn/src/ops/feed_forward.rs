//! The half feed-forward of a conformer layer as one operation with its gradient: `x + linear(silu(linear(norm(x)))) / 2`.

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::elementwise::{activate, add_scaled};
use solfa_kernels::norm::layer_norm;
use solfa_kernels::product::Activation;
use solfa_kernels::training::{
    add_transposed_product, column_sums, layer_norm_gradient, linear, linear_input_gradient,
};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

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
    run(HalfFeedForward { epsilon: epsilon as f32 }, inputs, &device)
}

struct HalfFeedForward {
    epsilon: f32,
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// `silu(x) = x sigmoid(x)` of every value.
fn silu(set: InstructionSet, values: &[f32]) -> Vec<f32> {
    let mut output = values.to_vec();
    activate(set, &mut output, Activation::Silu);
    output
}

impl HalfFeedForward {
    fn arithmetic(width: usize) -> Arithmetic {
        Arithmetic::new(Precision::F32).for_width(width)
    }

    fn norm(&self, set: InstructionSet, inputs: &[Plain]) -> Vec<f32> {
        let [values, gain, shift] = [0, 1, 2].map(|place| inputs[place].values());
        let mut output = vec![0.0; values.len()];
        layer_norm(set, values, gain, shift, self.epsilon, &mut output);
        output
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
        let set = arithmetic.instruction_set();
        let expanded = linear(arithmetic, &self.norm(set, inputs), inputs[3].values(), Some(inputs[4].values()), width);
        let active = silu(set, &expanded);
        let contracted = linear(arithmetic, &active, inputs[5].values(), Some(inputs[6].values()), hidden);
        let mut output = inputs[0].values().to_vec();
        add_scaled(set, &mut output, &contracted, SHARE);
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
        let set = arithmetic.instruction_set();
        let mut to_contracted = vec![0.0; incoming.len()];
        add_scaled(set, &mut to_contracted, incoming, SHARE);
        let active = silu(set, expanded);
        let mut to_contract = vec![0.0; hidden * width];
        add_transposed_product(&active, &to_contracted, hidden, width, &mut to_contract);
        drop(active);
        let mut to_expanded = linear_input_gradient(arithmetic, &to_contracted, inputs[5].values(), hidden);
        to_expanded.par_chunks_mut(TOGETHER).zip(expanded.par_chunks(TOGETHER)).for_each(|(gradients, values)| {
            for (gradient, &value) in gradients.iter_mut().zip(values) {
                let gate = sigmoid(value);
                *gradient *= gate * (1.0 + value * (1.0 - gate));
            }
        });
        let mut to_expand = vec![0.0; width * hidden];
        add_transposed_product(&self.norm(set, inputs), &to_expanded, width, hidden, &mut to_expand);
        let to_normed = linear_input_gradient(arithmetic, &to_expanded, inputs[3].values(), width);
        let mut to_input = incoming.to_vec();
        let (to_gain, to_shift) =
            layer_norm_gradient(inputs[0].values(), inputs[1].values(), self.epsilon, &to_normed, &mut to_input);
        vec![
            Some(Values::new(to_input, inputs[0].shape::<3>())),
            Some(Values::new(to_gain, [width])),
            Some(Values::new(to_shift, [width])),
            Some(Values::new(to_expand, [width, hidden])),
            Some(Values::new(column_sums(&to_expanded, hidden), [hidden])),
            Some(Values::new(to_contract, [hidden, width])),
            Some(Values::new(column_sums(&to_contracted, width), [width])),
        ]
    }
}
