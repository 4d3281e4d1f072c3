//! A linear layer as one operation with its gradient, for those that no other operation holds.

use burn::tensor::Tensor;
use solfa_kernels::training::{add_transposed_product, column_sums, linear, linear_input_gradient};
use solfa_kernels::{Arithmetic, Precision};

use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// Rows times weights, plus a bias.
///
/// # Shapes
/// - input: `[batch, frames, inputs]`
/// - weight: `[inputs, outputs]`
/// - bias: `[outputs]`
/// - output: `[batch, frames, outputs]`
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn linear_layer(input: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let device = input.device();
    run(LinearLayer, vec![input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()], &device)
}

struct LinearLayer;

/// Narrow layers are computed in full single precision.
fn arithmetic(width: usize) -> Arithmetic {
    Arithmetic::new(Precision::F32).for_width(width)
}

impl PlainOperation for LinearLayer {
    fn name(&self) -> &'static str {
        "linear layer"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let [batch, frames, width] = inputs[0].shape();
        let [_, outputs] = inputs[1].shape::<2>();
        let (input, weight, bias) = (inputs[0].values(), inputs[1].values(), inputs[2].values());
        let output = linear(arithmetic(width.min(outputs)), input, weight, Some(bias), width);
        (Values::new(output, [batch, frames, outputs]), Box::new(()))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        _kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let [width, outputs] = inputs[1].shape();
        let mut to_weight = vec![0.0; width * outputs];
        add_transposed_product(inputs[0].values(), incoming, width, outputs, &mut to_weight);
        let to_input = wanted[0].then(|| {
            let arithmetic = arithmetic(width.min(outputs));
            let to_input = linear_input_gradient(arithmetic, incoming, inputs[1].values(), width);
            Values::new(to_input, inputs[0].shape::<3>())
        });
        vec![
            to_input,
            Some(Values::new(to_weight, [width, outputs])),
            Some(Values::new(column_sums(incoming, outputs), [outputs])),
        ]
    }
}
