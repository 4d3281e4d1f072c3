//! The residual convolutional block of MusicFM's and MuQ's front end, as one operation with its gradient.
//!
//! `relu(norm(conv(relu(norm(conv(x))))) + norm(conv(x)))`, 3x3 convolutions and batch norms in training, on images whose
//! channels come last: see [`ResidualConvBlock`](crate::model::ResidualConvBlock), which composes the same of Burn's
//! operations on other devices.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::training::{
    BatchStatistics, ConvolutionShape, batch_norm, batch_norm_gradient, batch_statistics, column_sums, convolution,
    input_gradient, padded, weight_gradient,
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
    convolved: [Vec<f32>; NUM_CONVOLUTIONS],
    /// What the second one was given, without a border.
    hidden: Vec<f32>,
    statistics: BlockStatistics,
}

/// Of a convolution its weights (0), bias (1), gain (2) or shift (3).
fn parameter(inputs: &[Plain], convolution: usize, which: usize) -> &[f32] {
    inputs[1 + 4 * convolution + which].values()
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
        let norm =
            |number: usize, values: &[f32], statistics: &BatchStatistics, into: &mut [f32], finish: fn(f32) -> f32| {
                let (gain, shift) = (parameter(inputs, number, 2), parameter(inputs, number, 3));
                batch_norm(values, statistics, gain, shift, self.epsilon, into, finish);
            };
        let relu: fn(f32) -> f32 = |value| value.max(0.0);
        let image = padded(inputs[0].values(), strided.extents, channels);
        let (first, first_statistics) = convolve(0, &image);
        let (beside, beside_statistics) = convolve(2, &image);
        drop(image);
        let mut hidden = vec![0.0; first.len()];
        norm(0, &first, &first_statistics, &mut hidden, relu);
        let (second, second_statistics) = convolve(1, &padded(&hidden, extents, outputs));
        let mut output = vec![0.0; second.len()];
        norm(2, &beside, &beside_statistics, &mut output, |value| value);
        norm(1, &second, &second_statistics, &mut output, relu);
        let statistics = [first_statistics, second_statistics, beside_statistics];
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = Some(statistics.clone());
        let kept = Forward { shapes, convolved: [first, second, beside], hidden, statistics };
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
        let Some(Forward { shapes, convolved, hidden, statistics }) = kept.downcast_ref() else { return Vec::new() };
        let [strided, straight, _] = *shapes;
        let outputs = straight.outputs;
        // Where the last ReLU let something through.
        let incoming = gated(incoming, output.values());
        let of_norm = |number: usize, incoming: &[f32]| {
            let gain = parameter(inputs, number, 2);
            batch_norm_gradient(&convolved[number], &statistics[number], gain, self.epsilon, incoming)
        };
        let vector = |values: Vec<f32>| Some(Values::new(values, [outputs]));
        let parameters =
            |shape: &ConvolutionShape, image: &[f32], incoming: &[f32], gain: Vec<f32>, shift: Vec<f32>| {
                let weight = Values::new(weight_gradient(shape, image, incoming), [outputs, shape.inputs, 3, 3]);
                [Some(weight), vector(column_sums(incoming, outputs)), vector(gain), vector(shift)]
            };
        let (to_second, gain, shift) = of_norm(1, &incoming);
        let second = parameters(&straight, &padded(hidden, straight.extents, outputs), &to_second, gain, shift);
        let mut to_hidden = vec![0.0; hidden.len()];
        input_gradient(arithmetic(outputs), &straight, &to_second, parameter(inputs, 1, 0), &mut to_hidden);
        drop(to_second);
        let (to_first, first_gain, first_shift) = of_norm(0, &gated(&to_hidden, hidden));
        drop(to_hidden);
        let (to_beside, beside_gain, beside_shift) = of_norm(2, &incoming);
        let image = padded(inputs[0].values(), strided.extents, strided.inputs);
        let first = parameters(&strided, &image, &to_first, first_gain, first_shift);
        let beside = parameters(&strided, &image, &to_beside, beside_gain, beside_shift);
        drop(image);
        let to_image = wanted[0].then(|| {
            let mut to_image = vec![0.0; strided.input_len()];
            for (number, gradient) in [(0, &to_first), (2, &to_beside)] {
                input_gradient(arithmetic(outputs), &strided, gradient, parameter(inputs, number, 0), &mut to_image);
            }
            let [times, bands] = strided.extents;
            Values::new(to_image, [strided.clips, times, bands, strided.inputs])
        });
        std::iter::once(to_image).chain(first).chain(second).chain(beside).collect()
    }
}

/// What a ReLU passes back: the gradient where its output is above 0.
fn gated(gradient: &[f32], output: &[f32]) -> Vec<f32> {
    let pairs = gradient.par_iter().zip(output).with_min_len(1 << 14);
    pairs.map(|(&gradient, &output)| if output > 0.0 { gradient } else { 0.0 }).collect()
}
