//! The residual convolutional block of MusicFM's and MuQ's front end, as one operation with its gradient.
//!
//! `relu(norm(conv(relu(norm(conv(x))))) + norm(conv(x)))`, 3x3 convolutions and batch norms in training, on images whose
//! channels come last: see [`ResidualConvBlock`](crate::model::ResidualConvBlock), which composes the same of Burn's
//! operations on other devices.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::memory::{Borrowed, borrow};
use solfa_kernels::training::{
    BatchNorm, BatchStatistics, ConvolutionShape, batch_norm_gradient, batch_norm_relu_padded, batch_norm_sum_relu,
    batch_statistics, convolution, input_gradient, padded, weight_gradient,
};
use solfa_kernels::{Arithmetic, Precision};

use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// Convolutions of a block, each with its norm.
const NUM_CONVOLUTIONS: usize = 3;

/// A convolution and the gain and shift of the norm behind it.
#[derive(Clone, Debug)]
pub struct BlockNorm {
    /// `[outputs, inputs, band taps, time taps]`
    pub weight: Tensor<4>,
    /// `[outputs]`
    pub bias: Tensor<1>,
    /// `[outputs]`
    pub gain: Tensor<1>,
    /// `[outputs]`
    pub shift: Tensor<1>,
}

/// Parameters of a block.
#[derive(Clone, Debug)]
pub struct BlockParameters {
    /// The first convolution, the second, and the one beside them.
    pub convolutions: [BlockNorm; NUM_CONVOLUTIONS],
    /// Strides over time and over bands of the first and of the one beside.
    pub strides: [usize; 2],
    /// Added to variances.
    pub epsilon: f64,
}

/// Mean and variance of every norm's batch, in the order of the convolutions.
pub type BlockStatistics = [BatchStatistics; NUM_CONVOLUTIONS];

/// The block in training, and what its norms saw.
///
/// # Shapes
/// - images: `[clips, times, bands, inputs]`
/// - output: `[clips, times / stride, bands / stride, outputs]`, rounded up
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn residual_block(images: Tensor<4>, parameters: BlockParameters) -> (Tensor<4>, BlockStatistics) {
    let statistics = Arc::new(Mutex::new(None));
    let block =
        Block { strides: parameters.strides, epsilon: parameters.epsilon as f32, statistics: Arc::clone(&statistics) };
    let device = images.device();
    let mut inputs = vec![images.into_dispatch()];
    for BlockNorm { weight, bias, gain, shift } in parameters.convolutions {
        inputs.extend([weight.into_dispatch(), bias.into_dispatch(), gain.into_dispatch(), shift.into_dispatch()]);
    }
    let output = run(block, inputs, &device);
    let found = statistics.lock().unwrap_or_else(PoisonError::into_inner).take();
    #[allow(clippy::expect_used, reason = "the operation has run, and every run writes them")]
    let statistics = found.expect("statistics of the batch");
    (output, statistics)
}

/// The operation: what is no tensor, and where statistics go.
struct Block {
    strides: [usize; 2],
    epsilon: f32,
    statistics: Arc<Mutex<Option<BlockStatistics>>>,
}

/// What the gradient needs of the forward pass.
struct Forward {
    shapes: [ConvolutionShape; NUM_CONVOLUTIONS],
    /// What the convolutions gave.
    convolved: [Borrowed<f32>; NUM_CONVOLUTIONS],
    statistics: BlockStatistics,
}

/// Of a convolution its weights (0), bias (1), gain (2) or shift (3).
fn parameter(inputs: &[Plain], convolution: usize, which: usize) -> &[f32] {
    inputs[1 + 4 * convolution + which].values()
}

impl Block {
    /// The norm behind a convolution.
    fn norm<'a>(&self, inputs: &'a [Plain], convolution: usize, statistics: &'a BatchStatistics) -> BatchNorm<'a> {
        let (gain, shift) = (parameter(inputs, convolution, 2), parameter(inputs, convolution, 3));
        BatchNorm { statistics, gain, shift, epsilon: self.epsilon }
    }
}

/// Narrow blocks are computed in full single precision.
fn arithmetic(outputs: usize) -> Arithmetic {
    Arithmetic::new(Precision::F32).for_width(outputs)
}

impl PlainOperation for Block {
    fn name(&self) -> &'static str {
        "residual convolutional block"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let [clips, times, bands, channels] = inputs[0].shape();
        let [outputs, ..] = inputs[1].shape::<4>();
        let extents = [times, bands];
        let strided = ConvolutionShape { clips, extents, inputs: channels, outputs, strides: self.strides };
        let extents = strided.output_extents();
        let straight = ConvolutionShape { clips, extents, inputs: outputs, outputs, strides: [1, 1] };
        let shapes = [strided, straight, strided];
        let convolve = |number: usize, image: &[f32]| {
            let (weights, bias) = (parameter(inputs, number, 0), parameter(inputs, number, 1));
            let convolved = convolution(arithmetic(outputs), &shapes[number], image, weights, bias);
            let statistics = batch_statistics(&convolved, outputs);
            (convolved, statistics)
        };
        let image = padded(inputs[0].values(), strided.extents, channels);
        let (first, first_statistics) = convolve(0, &image);
        let (beside, beside_statistics) = convolve(2, &image);
        drop(image);
        let hidden = batch_norm_relu_padded(self.norm(inputs, 0, &first_statistics), &first, extents);
        let (second, second_statistics) = convolve(1, &hidden);
        drop(hidden);
        let mut output = vec![0.0; second.len()];
        batch_norm_sum_relu(
            (self.norm(inputs, 1, &second_statistics), &second),
            (self.norm(inputs, 2, &beside_statistics), &beside),
            &mut output,
        );
        let statistics = [first_statistics, second_statistics, beside_statistics];
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = Some(statistics.clone());
        let kept = Forward { shapes, convolved: [first, second, beside], statistics };
        (Values::new(output, [clips, extents[0], extents[1], outputs]), Box::new(kept))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        kept: &Kept,
        output: &Plain,
        incoming: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let Some(Forward { shapes, convolved, statistics }) = kept.downcast_ref() else { return Vec::new() };
        let [strided, straight, _] = *shapes;
        let outputs = straight.outputs;
        let norm = |number: usize| self.norm(inputs, number, &statistics[number]);
        let vector = |values: Vec<f32>| Some(Values::new(values, [outputs]));
        let parameters = |shape: &ConvolutionShape, image: &[f32], incoming: &[f32], (gain, shift)| {
            let weight = Values::new(weight_gradient(shape, image, incoming), [outputs, shape.inputs, 3, 3]);
            // A norm takes the mean away, and with it all that a bias adds: its gradient is 0.
            [Some(weight), vector(vec![0.0; outputs]), vector(gain), vector(shift)]
        };
        // Where the last ReLU let something through.
        let mut to_beside = gated(incoming, output.values());
        let mut to_second = borrow::<f32>(to_beside.len());
        copy(&to_beside, &mut to_second);
        let of_norm = batch_norm_gradient(norm(1), &convolved[1], false, &mut to_second);
        let hidden = batch_norm_relu_padded(norm(0), &convolved[0], straight.extents);
        let second = parameters(&straight, &hidden, &to_second, of_norm);
        drop(hidden);
        let mut to_first = borrow::<f32>(to_second.len());
        let weights = parameter(inputs, 1, 0);
        input_gradient(arithmetic(outputs), &straight, &to_second, weights, false, &mut to_first);
        drop(to_second);
        let of_first = batch_norm_gradient(norm(0), &convolved[0], true, &mut to_first);
        let of_beside = batch_norm_gradient(norm(2), &convolved[2], false, &mut to_beside);
        let image = padded(inputs[0].values(), strided.extents, strided.inputs);
        let first = parameters(&strided, &image, &to_first, of_first);
        let beside = parameters(&strided, &image, &to_beside, of_beside);
        drop(image);
        let to_image = wanted[0].then(|| {
            let mut to_image = vec![0.0; strided.input_len()];
            for (number, gradient, is_added) in [(0, &to_first, false), (2, &to_beside, true)] {
                let weights = parameter(inputs, number, 0);
                input_gradient(arithmetic(outputs), &strided, gradient, weights, is_added, &mut to_image);
            }
            let [times, bands] = strided.extents;
            Values::new(to_image, [strided.clips, times, bands, strided.inputs])
        });
        std::iter::once(to_image).chain(first).chain(second).chain(beside).collect()
    }
}

/// Values of one task.
const TOGETHER: usize = 1 << 14;

/// What a ReLU passes back: the gradient where its output is above 0.
fn gated(gradient: &[f32], output: &[f32]) -> Borrowed<f32> {
    let mut passed = borrow::<f32>(gradient.len());
    let parts = gradient.par_chunks(TOGETHER).zip(output.par_chunks(TOGETHER));
    passed.par_chunks_mut(TOGETHER).zip(parts).for_each(|(passed, (gradient, output))| {
        for ((passed, &gradient), &output) in passed.iter_mut().zip(gradient).zip(output) {
            *passed = if output > 0.0 { gradient } else { 0.0 };
        }
    });
    passed
}

fn copy(from: &[f32], into: &mut [f32]) {
    into.par_chunks_mut(TOGETHER).zip(from.par_chunks(TOGETHER)).for_each(|(into, from)| into.copy_from_slice(from));
}
