//! The convolutional front end of MusicFM and MuQ, see [`crate::model::Conv2dSubsampling`].
//!
//! Images lie as `[time, band, channel]`, with a border of zeros around. A clip is worked through in stretches of time, so
//! that memory does not grow with it: the images of half a minute would take 600 MB. A stretch computes all that it sees of
//! the earlier images itself, a few time steps twice.

use std::ops::Range;

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use solfa_kernels::Arithmetic;
use solfa_kernels::convolution::{Image, PackedConvolution, convolve};
use solfa_kernels::memory::{Borrowed, borrow};
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Residual, Windows};

use super::linear::PackedLinear;
use super::{FoldedBatchNorm, values};
use crate::model::{Conv2dSubsampling, ResidualConvBlock};

/// Time steps of the output that are computed together: 7.5 s at 25 a second.
const STRETCH_FRAMES: usize = 188;

pub(super) struct SubsamplingPlan {
    blocks: Vec<BlockPlan>,
    projection: PackedLinear,
}

struct BlockPlan {
    conv1: NormedConvolution,
    conv2: NormedConvolution,
    shortcut: NormedConvolution,
    /// Over time and bands.
    strides: [usize; 2],
}

struct NormedConvolution {
    weights: PackedConvolution,
    bias: Vec<f32>,
}

/// A part of an image: all bands of some time steps, and the border.
struct Stretch {
    /// `[times.len(), bands + 2, channels]`
    values: Borrowed<f32>,
    /// The time steps that it has. Those before the first and behind the last of the whole image are zeros.
    times: Range<isize>,
    bands: usize,
    channels: usize,
}

impl Stretch {
    /// Zeros at the border, and arbitrary values inside. `num_times` is the length of the whole image.
    fn new(times: Range<isize>, num_times: usize, bands: usize, channels: usize) -> Self {
        let row = (bands + 2) * channels;
        let mut values = borrow::<f32>(times.clone().count() * row);
        for (time, values) in times.clone().zip(values.chunks_exact_mut(row)) {
            if (0..num_times as isize).contains(&time) {
                values[..channels].fill(0.0);
                values[row - channels..].fill(0.0);
            } else {
                values.fill(0.0);
            }
        }
        Self { values, times, bands, channels }
    }

    fn row(&self) -> usize {
        (self.bands + 2) * self.channels
    }

    /// Where a time step begins, border included.
    fn start(&self, time: isize) -> usize {
        (time - self.times.start) as usize * self.row()
    }

    /// From a time step on, border included.
    fn image(&self, time: isize) -> Image<'_> {
        Image { values: &self.values[self.start(time)..], padded_bands: self.bands + 2 }
    }

    fn placement(&self) -> Placement {
        Placement { group_pitch: self.row(), row_pitch: self.channels }
    }
}

impl SubsamplingPlan {
    pub(super) fn new(module: Conv2dSubsampling, arithmetic: Arithmetic) -> Self {
        let Conv2dSubsampling { blocks, projection } = module;
        let blocks: Vec<BlockPlan> = blocks.into_iter().map(|block| BlockPlan::new(block, arithmetic)).collect();
        let [inputs, columns] = projection.weight.dims();
        let channels = blocks.last().map_or(1, |block| block.conv2.weights.output_channels());
        let bands = inputs / channels;
        // [outputs, channels x bands], to be used on bands x channels.
        let weights = values(projection.weight.val().transpose());
        let packed = PackedMatrix::pack(arithmetic, 1, inputs, columns, |input, column| {
            let (band, channel) = (input / channels, input % channels);
            weights[column * inputs + channel * bands + band]
        });
        let bias = projection.bias.map(|bias| values(bias.val()));
        Self { blocks, projection: PackedLinear::from_matrix(packed, bias) }
    }

    pub(super) fn num_bytes(&self) -> usize {
        let convolutions = self.blocks.iter().flat_map(|block| [&block.conv1, &block.conv2, &block.shortcut]);
        convolutions.map(|convolution| convolution.weights.num_bytes()).sum::<usize>() + self.projection.num_bytes()
    }

    /// As [`Conv2dSubsampling::forward`], for one spectrogram `[frames, mels]`.
    pub(super) fn forward(&self, spectrogram: &[f32], num_mels: usize) -> Vec<f32> {
        let num_inputs = spectrogram.len() / num_mels;
        // The lengths and heights of the images: the input's, then each block's.
        let mut sizes = vec![(num_inputs, num_mels)];
        for block in &self.blocks {
            let (times, bands) = sizes[sizes.len() - 1];
            sizes.push((times.div_ceil(block.strides[0]), bands.div_ceil(block.strides[1])));
        }
        let num_frames = sizes[sizes.len() - 1].0;
        let width = self.projection.outputs();
        let mut output = vec![0.0; num_frames * width];
        let stretches = num_frames.div_ceil(STRETCH_FRAMES);
        for stretch in 0..stretches {
            let frames = num_frames * stretch / stretches..num_frames * (stretch + 1) / stretches;
            let image = self.image(self.blocks.len(), frames.start as isize..frames.end as isize, spectrogram, &sizes);
            let windows = Windows::frames(
                &image.values[image.channels..],
                frames.len(),
                image.row(),
                image.bands * image.channels,
            );
            self.projection.of_windows(&windows, &mut output[frames.start * width..frames.end * width]);
        }
        output
    }

    /// The output of block number `depth` at these time steps, or the spectrogram for block 0.
    fn image(&self, depth: usize, times: Range<isize>, spectrogram: &[f32], sizes: &[(usize, usize)]) -> Stretch {
        let (num_times, bands) = sizes[depth];
        let inside = times.start.max(0)..times.end.min(num_times as isize);
        let Some(block) = depth.checked_sub(1).map(|number| &self.blocks[number]) else {
            let mut image = Stretch::new(times, num_times, bands, 1);
            for time in inside {
                let start = image.start(time) + 1;
                let frame = &spectrogram[time as usize * bands..][..bands];
                image.values[start..start + bands].copy_from_slice(frame);
            }
            return image;
        };
        let channels = block.conv2.weights.output_channels();
        let stride = block.strides[0] as isize;
        // The second convolution sees one time step more at either end; the strided ones see what lies between.
        let hidden_times = inside.start - 1..inside.end + 1;
        let hidden_inside = hidden_times.start.max(0)..hidden_times.end.min(num_times as isize);
        let input_times = hidden_inside.start * stride - 1..(hidden_inside.end - 1) * stride + 2;
        let input = self.image(depth - 1, input_times, spectrogram, sizes);

        let mut output = Stretch::new(times, num_times, bands, channels);
        block.shortcut.apply(
            &input.image(inside.start * stride - 1),
            inside.len(),
            Epilogue::default(),
            &mut output,
            inside.start,
        );
        let mut hidden = Stretch::new(hidden_times, num_times, bands, channels);
        let relu = Epilogue { activation: Activation::Relu, ..Epilogue::default() };
        block.conv1.apply(&input.image(input.times.start), hidden_inside.len(), relu, &mut hidden, hidden_inside.start);
        drop(input);
        let relu_of_sum = Epilogue { residual: Residual::BeforeActivation, ..relu };
        block.conv2.apply(&hidden.image(inside.start - 1), inside.len(), relu_of_sum, &mut output, inside.start);
        output
    }
}

impl BlockPlan {
    fn new(block: ResidualConvBlock, arithmetic: Arithmetic) -> Self {
        let ResidualConvBlock { conv1, norm1, conv2, norm2, shortcut_conv, shortcut_norm } = block;
        let [bands, times] = conv1.stride;
        Self {
            conv1: NormedConvolution::new(conv1, norm1, arithmetic),
            conv2: NormedConvolution::new(conv2, norm2, arithmetic),
            shortcut: NormedConvolution::new(shortcut_conv, shortcut_norm, arithmetic),
            strides: [times, bands],
        }
    }
}

impl NormedConvolution {
    fn new(conv: Conv2d, norm: BatchNorm, arithmetic: Arithmetic) -> Self {
        let norm = FoldedBatchNorm::new(norm);
        let [output_channels, input_channels, _, _] = conv.weight.dims();
        let [bands, times] = conv.stride;
        // [output, input, band, time]
        let weights = values(conv.weight.val());
        let weight = |output: usize, input: usize, time: usize, band: usize| {
            weights[((output * input_channels + input) * 3 + band) * 3 + time] * norm.scale[output]
        };
        let weights = PackedConvolution::pack(arithmetic, input_channels, output_channels, [times, bands], weight);
        Self { weights, bias: norm.fold_bias(conv.bias.map(|bias| values(bias.val()))) }
    }

    /// Convolves as many time steps as `num_times`, from the beginning of `image` on, into `output` from `first_time` on.
    fn apply(
        &self,
        image: &Image<'_>,
        num_times: usize,
        epilogue: Epilogue<'_>,
        output: &mut Stretch,
        first_time: isize,
    ) {
        let epilogue = Epilogue { bias: Some(&self.bias), ..epilogue };
        let (start, placement) = (output.start(first_time) + output.channels, output.placement());
        convolve(image, num_times, &self.weights, &epilogue, &mut output.values[start..], placement);
    }
}
