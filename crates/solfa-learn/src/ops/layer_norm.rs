//! Layer norm as one operation with its gradient.

use burn::tensor::Tensor;
use solfa_kernels::training;

use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// Every frame by its own mean and variance, times a gain, plus a shift.
///
/// # Shapes
/// - input and output: `[batch, frames, width]`
/// - gain and shift: `[width]`
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn layer_norm(input: Tensor<3>, gain: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let device = input.device();
    let inputs = vec![input.into_dispatch(), gain.into_dispatch(), shift.into_dispatch()];
    run(LayerNorm { epsilon: epsilon as f32 }, inputs, &device)
}

struct LayerNorm {
    epsilon: f32,
}

impl PlainOperation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let output = training::layer_norm(inputs[0].values(), inputs[1].values(), inputs[2].values(), self.epsilon);
        (Values::new(output, inputs[0].shape::<3>()), Box::new(()))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        _kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let (input, gain) = (inputs[0].values(), inputs[1].values());
        let mut to_input = vec![0.0; input.len()];
        let (to_gain, to_shift) = training::layer_norm_gradient(input, gain, self.epsilon, incoming, &mut to_input);
        let width = gain.len();
        vec![
            Some(Values::new(to_input, inputs[0].shape::<3>())),
            Some(Values::new(to_gain, [width])),
            Some(Values::new(to_shift, [width])),
        ]
    }
}
