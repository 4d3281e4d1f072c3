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
    run(LayerNorm(InputNorm { epsilon: epsilon as f32 }), inputs, &device)
}

/// The layer norm that an operation begins with, whose first three inputs are frames, gain and shift.
pub(super) struct InputNorm {
    pub(super) epsilon: f32,
}

impl InputNorm {
    /// The frames, normed.
    pub(super) fn forward(&self, inputs: &[Plain]) -> Vec<f32> {
        training::layer_norm(inputs[0].values(), inputs[1].values(), inputs[2].values(), self.epsilon)
    }

    /// The gradients of frames, gain and shift. `beside` is what reaches the frames past the norm, by a residual.
    pub(super) fn backward(&self, inputs: &[Plain], to_normed: &[f32], beside: Vec<f32>) -> [Option<Values>; 3] {
        let (input, gain, mut to_input) = (inputs[0].values(), inputs[1].values(), beside);
        let (to_gain, to_shift) = training::layer_norm_gradient(input, gain, self.epsilon, to_normed, &mut to_input);
        let width = gain.len();
        [
            Some(Values::new(to_input, inputs[0].shape::<3>())),
            Some(Values::new(to_gain, [width])),
            Some(Values::new(to_shift, [width])),
        ]
    }
}

struct LayerNorm(InputNorm);

impl PlainOperation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        (Values::new(self.0.forward(inputs), inputs[0].shape::<3>()), Box::new(()))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        _kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Values>> {
        self.0.backward(inputs, incoming, vec![0.0; incoming.len()]).into()
    }
}
