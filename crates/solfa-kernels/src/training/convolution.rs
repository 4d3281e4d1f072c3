//! 3x3 convolutions over images `[clip][time][band][channel]` with a border of zeros, and their gradients.
//!
//! The gradient with respect to the input is itself a convolution: at stride 1 with the kernel turned round, at stride 2 four
//! of them, one for each parity of time and band, which see the taps that reach it. That with respect to the weights is, for
//! every time tap, a product of windows transposed with the gradient of the output.

use rayon::prelude::*;

use super::product::{Matrix, product};
use crate::convolution::{Image, PackedConvolution, convolve};
use crate::memory::{Borrowed, borrow};
use crate::product::{Arithmetic, Epilogue, PackedMatrix, Placement, Residual, Windows, multiply};

/// Taps of a kernel over time, and over bands.
const TAPS: usize = 3;

/// Time steps of the output whose part of the weights' gradient is added up before parts are put together.
const TIMES_TOGETHER: usize = 32;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Clips of a batch.
    pub clips: usize,
    /// Time steps and bands of the input, without a border.
    pub extents: [usize; 2],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Strides over time and over bands: 1 or 2.
    pub strides: [usize; 2],
}

impl ConvolutionShape {
    /// Time steps and bands of the output: the input's, divided by the strides and rounded up.
    pub fn output_extents(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.extents[axis].div_ceil(self.strides[axis]))
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.clips * self.extents[0] * self.extents[1] * self.inputs
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        let [times, bands] = self.output_extents();
        self.clips * times * bands * self.outputs
    }

    fn padded_clip_len(&self) -> usize {
        (self.extents[0] + 2) * (self.extents[1] + 2) * self.inputs
    }

    fn check(&self, image: &[f32], weights: &[f32]) {
        assert!(self.strides.iter().all(|stride| [1, 2].contains(stride)), "strides of {:?}", self.strides);
        assert_eq!(image.len(), self.clips * self.padded_clip_len(), "an image with its border");
        assert_eq!(weights.len(), TAPS * TAPS * self.inputs * self.outputs, "weights of a 3x3 kernel");
    }
}

/// Images with a border of zeros around each.
///
/// # Shapes
/// - images: `[clips, times, bands, channels]`
/// - output: `[clips, times + 2, bands + 2, channels]`
pub fn padded(images: &[f32], extents: [usize; 2], channels: usize) -> Borrowed<f32> {
    with_border(images, extents, channels, |image, row| row.copy_from_slice(image))
}

/// Images with a border of zeros around each, where `write` makes a row of bands of one.
pub(super) fn with_border(
    images: &[f32],
    [times, bands]: [usize; 2],
    channels: usize,
    write: impl Fn(&[f32], &mut [f32]) + Sync,
) -> Borrowed<f32> {
    let row = bands * channels;
    let padded_row = row + 2 * channels;
    let clips = images.len() / (times * row).max(1);
    assert_eq!(images.len(), clips * times * row, "images of {times}x{bands}x{channels}");
    let mut output = borrow(clips * (times + 2) * padded_row);
    output.par_chunks_mut(padded_row.max(1)).enumerate().for_each(|(number, padded)| {
        let (clip, time) = (number / (times + 2), number % (times + 2));
        if time == 0 || time == times + 1 {
            return padded.fill(0.0);
        }
        let first = (clip * times + time - 1) * row;
        padded[..channels].fill(0.0);
        write(&images[first..first + row], &mut padded[channels..channels + row]);
        padded[channels + row..].fill(0.0);
    });
    output
}

/// The convolution itself, with a bias.
///
/// # Shapes
/// - image: with its border, see [`padded`]
/// - weights: `[outputs, inputs, band taps, time taps]`, as a network keeps them
/// - output: `[clips, output times, output bands, outputs]`
///
/// # Panics
/// If sizes do not fit.
pub fn convolution(
    arithmetic: Arithmetic,
    shape: &ConvolutionShape,
    image: &[f32],
    weights: &[f32],
    bias: &[f32],
) -> Borrowed<f32> {
    shape.check(image, weights);
    let ConvolutionShape { inputs, outputs, strides, .. } = *shape;
    let packed = PackedConvolution::pack(arithmetic, inputs, outputs, strides, |output, input, time_tap, band_tap| {
        weights[((output * inputs + input) * TAPS + band_tap) * TAPS + time_tap]
    });
    let [times, bands] = shape.output_extents();
    let mut output = borrow(shape.output_len());
    let epilogue = Epilogue { bias: Some(bias), ..Epilogue::default() };
    let placement = Placement { group_pitch: bands * outputs, row_pitch: outputs };
    for (image, output) in
        image.chunks_exact(shape.padded_clip_len()).zip(output.chunks_exact_mut(times * bands * outputs))
    {
        let image = Image { values: image, padded_bands: shape.extents[1] + 2 };
        convolve(&image, times, &packed, &epilogue, output, placement);
    }
    output
}

/// Positions of one parity along one axis: which taps reach them, and from where.
struct Phase {
    /// The first position, and how far apart they are.
    first: usize,
    stride: usize,
    count: usize,
    /// Where the first sees the padded gradient.
    from: usize,
    taps: &'static [usize],
}

/// At stride 1 there is one kind of position, at stride 2 there are two.
fn phases(extent: usize, stride: usize) -> Vec<Phase> {
    if stride == 1 {
        return vec![Phase { first: 0, stride: 1, count: extent, from: 0, taps: &[2, 1, 0] }];
    }
    let even = Phase { first: 0, stride: 2, count: extent.div_ceil(2), from: 1, taps: &[1] };
    let odd = Phase { first: 1, stride: 2, count: extent / 2, from: 1, taps: &[2, 0] };
    vec![even, odd]
}

/// The gradient with respect to the input into `output`, or added to it.
///
/// # Shapes
/// - gradient: `[clips, output times, output bands, outputs]`
/// - weights: as for [`convolution`]
/// - output: `[clips, times, bands, inputs]`, without a border
///
/// # Panics
/// If sizes do not fit.
pub fn input_gradient(
    arithmetic: Arithmetic,
    shape: &ConvolutionShape,
    gradient: &[f32],
    weights: &[f32],
    is_added: bool,
    output: &mut [f32],
) {
    let ConvolutionShape { extents, inputs, outputs, strides, .. } = *shape;
    assert_eq!((gradient.len(), output.len()), (shape.output_len(), shape.input_len()), "sizes of the gradients");
    assert_eq!(weights.len(), TAPS * TAPS * inputs * outputs, "weights of a 3x3 kernel");
    let [times, bands] = shape.output_extents();
    let image = padded(gradient, [times, bands], outputs);
    let row = (bands + 2) * outputs;
    let weight = |output: usize, input: usize, time_tap: usize, band_tap: usize| {
        weights[((output * inputs + input) * TAPS + band_tap) * TAPS + time_tap]
    };
    let clip = extents[0] * extents[1] * inputs;
    let residual = if is_added { Residual::Last } else { Residual::None };
    let epilogue = Epilogue { residual, ..Epilogue::default() };
    let clips = || image.chunks_exact((times + 2) * row);
    if strides == [1, 1] {
        let turned = |input: usize, output: usize, time_tap: usize, band_tap: usize| {
            weight(output, input, TAPS - 1 - time_tap, TAPS - 1 - band_tap)
        };
        let packed = PackedConvolution::pack(arithmetic, outputs, inputs, strides, turned);
        let placement = Placement { group_pitch: bands * inputs, row_pitch: inputs };
        for (image, output) in clips().zip(output.chunks_exact_mut(clip)) {
            let image = Image { values: image, padded_bands: bands + 2 };
            convolve(&image, times, &packed, &epilogue, output, placement);
        }
        return;
    }
    for over_time in phases(extents[0], strides[0]) {
        for over_bands in phases(extents[1], strides[1]) {
            if over_time.count == 0 || over_bands.count == 0 {
                continue;
            }
            let tap_inputs = over_bands.taps.len() * outputs;
            let packed = PackedMatrix::pack(arithmetic, over_time.taps.len(), tap_inputs, inputs, |place, input| {
                let (time, rest) = (place / tap_inputs, place % tap_inputs);
                weight(rest % outputs, input, over_time.taps[time], over_bands.taps[rest / outputs])
            });
            let first = (over_time.first * extents[1] + over_bands.first) * inputs;
            let placement = Placement {
                group_pitch: over_time.stride * extents[1] * inputs,
                row_pitch: over_bands.stride * inputs,
            };
            for (image, output) in clips().zip(output.chunks_exact_mut(clip)) {
                let windows = Windows {
                    values: &image[over_time.from * row + over_bands.from * outputs..],
                    num_groups: over_time.count,
                    group_rows: over_bands.count,
                    group_pitch: row,
                    row_pitch: outputs,
                    taps: over_time.taps.len(),
                    tap_pitch: row,
                    tap_inputs,
                };
                multiply(&windows, &packed, &epilogue, &mut output[first..], placement);
            }
        }
    }
}

/// The gradient with respect to the weights.
///
/// # Shapes
/// - image: with its border, see [`padded`]
/// - gradient: `[clips, output times, output bands, outputs]`
/// - output: `[outputs, inputs, band taps, time taps]`
///
/// # Panics
/// If sizes do not fit.
pub fn weight_gradient(shape: &ConvolutionShape, image: &[f32], gradient: &[f32]) -> Vec<f32> {
    let ConvolutionShape { clips, extents, inputs, outputs, strides } = *shape;
    assert_eq!(image.len(), clips * shape.padded_clip_len(), "an image with its border");
    assert_eq!(gradient.len(), shape.output_len(), "the gradient's size");
    let [times, bands] = shape.output_extents();
    let row = (extents[1] + 2) * inputs;
    let of_tap = TAPS * inputs * outputs;
    let parts_of_clip = times.div_ceil(TIMES_TOGETHER);
    // [time tap][band tap][input][output] of some time steps of a clip
    let part = |number: usize| {
        let (clip, first) = (number / parts_of_clip, number % parts_of_clip * TIMES_TOGETHER);
        let image = &image[clip * shape.padded_clip_len()..(clip + 1) * shape.padded_clip_len()];
        let gradient = &gradient[clip * times * bands * outputs..(clip + 1) * times * bands * outputs];
        let mut sum = vec![0.0; TAPS * of_tap];
        for time in first..(first + TIMES_TOGETHER).min(times) {
            let gradient = &gradient[time * bands * outputs..(time + 1) * bands * outputs];
            let right = Matrix::of_rows(gradient, bands, outputs, outputs);
            for (time_tap, sum) in sum.chunks_exact_mut(of_tap).enumerate() {
                let values = &image[(time * strides[0] + time_tap) * row..][..row];
                let left = Matrix::of_rows(values, bands, TAPS * inputs, strides[1] * inputs);
                product(left.transposed(), right, sum, true);
            }
        }
        sum
    };
    let parts: Vec<Vec<f32>> = (0..clips * parts_of_clip).into_par_iter().map(part).collect();
    let mut total = vec![0.0_f32; TAPS * of_tap];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    let mut output = vec![0.0; total.len()];
    for (place, value) in output.iter_mut().enumerate() {
        let (time_tap, rest) = (place % TAPS, place / TAPS);
        let (band_tap, rest) = (rest % TAPS, rest / TAPS);
        let (input, channel) = (rest % inputs, rest / inputs);
        *value = total[((time_tap * TAPS + band_tap) * inputs + input) * outputs + channel];
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arithmetics, assert_near, noise, on_threads, tolerance};
    use crate::{Arithmetic, Precision};

    fn shapes() -> impl Iterator<Item = ConvolutionShape> {
        let cases = [([1, 1], [5, 4]), ([2, 2], [6, 8]), ([2, 2], [7, 5]), ([1, 2], [4, 6]), ([2, 1], [9, 3])];
        cases.into_iter().flat_map(|(strides, extents)| {
            [(1, 6), (4, 3), (40, 36)].map(|(inputs, outputs)| ConvolutionShape {
                clips: 2,
                extents,
                inputs,
                outputs,
                strides,
            })
        })
    }

    /// Calls with every pair of an input value and an output value that a weight joins: places of the three.
    fn each(shape: &ConvolutionShape, mut visit: impl FnMut(usize, usize, usize)) {
        let ConvolutionShape { clips, extents: [times, bands], inputs, outputs, strides } = *shape;
        let [output_times, output_bands] = shape.output_extents();
        for clip in 0..clips {
            for (time, band) in (0..output_times).flat_map(|time| (0..output_bands).map(move |band| (time, band))) {
                for (time_tap, band_tap) in (0..TAPS).flat_map(|time| (0..TAPS).map(move |band| (time, band))) {
                    let (from_time, from_band) = (time * strides[0] + time_tap, band * strides[1] + band_tap);
                    if !(1..=times).contains(&from_time) || !(1..=bands).contains(&from_band) {
                        continue;
                    }
                    let from = ((clip * times + from_time - 1) * bands + from_band - 1) * inputs;
                    let to = ((clip * output_times + time) * output_bands + band) * outputs;
                    for (input, output) in (0..inputs).flat_map(|input| (0..outputs).map(move |output| (input, output)))
                    {
                        let weight = ((output * inputs + input) * TAPS + band_tap) * TAPS + time_tap;
                        visit(from + input, weight, to + output);
                    }
                }
            }
        }
    }

    #[test]
    fn convolutions_and_gradients_are_as_defined() {
        for shape in shapes() {
            let (image, weights) = (noise(shape.input_len(), 1), noise(9 * shape.inputs * shape.outputs, 2));
            let (bias, gradient) = (noise(shape.outputs, 3), noise(shape.output_len(), 4));
            let mut expected: Vec<f32> = bias.iter().copied().cycle().take(shape.output_len()).collect();
            let (mut to_image, mut to_weights) = (vec![0.0; image.len()], vec![0.0; weights.len()]);
            each(&shape, |from, weight, to| {
                expected[to] += image[from] * weights[weight];
                to_image[from] += gradient[to] * weights[weight];
                to_weights[weight] += gradient[to] * image[from];
            });
            let bordered = padded(&image, shape.extents, shape.inputs);
            for arithmetic in arithmetics().into_iter().filter(|arithmetic| arithmetic.precision() == Precision::F32) {
                let off = 20.0 * tolerance(arithmetic);
                assert_near(
                    "convolution",
                    &convolution(arithmetic, &shape, &bordered, &weights, &bias),
                    &expected,
                    off,
                );
                let mut found = vec![0.0; image.len()];
                input_gradient(arithmetic, &shape, &gradient, &weights, true, &mut found);
                assert_near("added input gradient", &found, &to_image, off);
                found.fill(f32::NAN);
                input_gradient(arithmetic, &shape, &gradient, &weights, false, &mut found);
                assert_near("input gradient", &found, &to_image, off);
            }
            assert_near("weight gradient", &weight_gradient(&shape, &bordered, &gradient), &to_weights, 1e-4);
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let shape = ConvolutionShape { clips: 2, extents: [70, 12], inputs: 8, outputs: 8, strides: [2, 2] };
        let image = padded(&noise(shape.input_len(), 1), shape.extents, shape.inputs);
        let (weights, gradient) = (noise(9 * 64, 2), noise(shape.output_len(), 4));
        let run = |threads| {
            on_threads(threads, || {
                let mut to_image = vec![0.0; shape.input_len()];
                input_gradient(Arithmetic::new(Precision::F32), &shape, &gradient, &weights, false, &mut to_image);
                (weight_gradient(&shape, &image, &gradient), to_image)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
