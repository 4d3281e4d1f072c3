//! 3x3 convolutions over images `[time][band][channel]`, such as spectrograms and what networks make of them.
//!
//! Batch normalisation after the convolution is folded into its weights and the bias of the [`Epilogue`], and what follows
//! (residual, activation) happens before a value is first written. A [`Placement`] writes the result into the middle of
//! the next convolution's image.
//!
//! Tiles of Winograd's algorithm begin at the first time step, and its rounding errors differ from place to place in a
//! tile: of an image that is convolved in parts, the parts agree with the whole within those errors, and bit for bit where
//! each begins at a multiple of four time steps.

mod algorithm;
mod single;
mod tiles;

use self::algorithm::{Polyphase, Winograd};
use self::single::SingleInput;
use self::tiles::Transformed;
use crate::instruction_set::InstructionSet;
use crate::product::{self, Arithmetic, Epilogue, PackedMatrix, Placement, Precision, Windows, extent};

/// Taps of a kernel over time, and over bands.
const TAPS: usize = 3;

/// Channels, of inputs and of outputs, from which on tiles are faster than the definition, as measured: fewer channels are
/// transformed for the same products.
const FEWEST_CHANNELS: usize = 32;
/// The same where products are on matrix tiles, which are so fast that transforms weigh more.
const FEWEST_CHANNELS_ON_MATRIX_TILES: usize = 128;

/// The weights of a 3x3 convolution, packed once for one kind of arithmetic.
#[derive(Debug)]
pub struct PackedConvolution {
    input_channels: usize,
    output_channels: usize,
    strides: [usize; 2],
    way: Way,
}

/// How it is computed, and the weights for that.
#[derive(Debug)]
enum Way {
    /// As it is defined: a product with windows of three stretches.
    Direct(PackedMatrix),
    /// As it is defined, for one channel.
    SingleInput(SingleInput),
    /// At stride 1, tiles of four by four outputs.
    Winograd(Transformed<Winograd>),
    /// At stride 2, tiles of two by two outputs.
    Polyphase(Transformed<Polyphase>),
}

impl PackedConvolution {
    /// Packs `weight(output, input, time_tap, band_tap)` of a convolution whose `strides` are those over time and over
    /// bands.
    ///
    /// # Panics
    /// If a stride or a number of channels is 0.
    pub fn pack(
        arithmetic: Arithmetic,
        input_channels: usize,
        output_channels: usize,
        strides: [usize; 2],
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        assert!(strides.iter().all(|&stride| stride > 0), "strides of {strides:?}");
        assert!(input_channels > 0 && output_channels > 0, "{input_channels} channels to {output_channels}");
        let way = Way::new(arithmetic, input_channels, output_channels, strides, weight);
        Self { input_channels, output_channels, strides, way }
    }

    /// Channels of the image that it is given.
    pub fn input_channels(&self) -> usize {
        self.input_channels
    }

    /// Channels of what it makes.
    pub fn output_channels(&self) -> usize {
        self.output_channels
    }

    /// Bands of what it makes of an image with so many, the two of the border included.
    pub fn output_bands(&self, padded_bands: usize) -> usize {
        output_extent(padded_bands, self.strides[1])
    }

    /// Time steps of what it makes of an image with so many, the two of the border included.
    pub fn output_times(&self, padded_times: usize) -> usize {
        output_extent(padded_times, self.strides[0])
    }

    /// Memory that it takes.
    pub fn num_bytes(&self) -> usize {
        match &self.way {
            Way::Direct(matrix) => matrix.num_bytes(),
            Way::SingleInput(weights) => weights.num_bytes(),
            Way::Winograd(weights) => weights.num_bytes(),
            Way::Polyphase(weights) => weights.num_bytes(),
        }
    }
}

impl Way {
    fn new(
        arithmetic: Arithmetic,
        input_channels: usize,
        output_channels: usize,
        strides: [usize; 2],
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let (set, precision) = (arithmetic.instruction_set(), arithmetic.precision());
        if input_channels == 1 {
            let weight = |output, time_tap, band_tap| weight(output, 0, time_tap, band_tap);
            return Self::SingleInput(SingleInput::pack(set, output_channels, strides, weight));
        }
        // Tiles are in single precision: bfloat16 is too coarse for transformed weights. They are faster than the
        // definition in bfloat16 too, except where there are instructions for that: on matrix tiles always, by dot products
        // at stride 2.
        let is_bf16 = |from: InstructionSet| precision == Precision::Bf16 && set >= from;
        let fewest = if set == InstructionSet::Amx { FEWEST_CHANNELS_ON_MATRIX_TILES } else { FEWEST_CHANNELS };
        let is_large = input_channels.min(output_channels) >= fewest;
        let single = Arithmetic::with_instructions(set, Precision::F32);
        if is_large && tiles::suit(input_channels, output_channels) {
            if strides == [1, 1] && !is_bf16(InstructionSet::Amx) {
                return Self::Winograd(Transformed::pack(single, input_channels, output_channels, weight));
            }
            if strides == [2, 2] && !is_bf16(InstructionSet::Avx512Bf16) {
                return Self::Polyphase(Transformed::pack(single, input_channels, output_channels, weight));
            }
        }
        let tap_inputs = TAPS * input_channels;
        Self::Direct(PackedMatrix::pack(arithmetic, TAPS, tap_inputs, output_channels, |input, output| {
            let (time_tap, rest) = (input / tap_inputs, input % tap_inputs);
            weight(output, rest % input_channels, time_tap, rest / input_channels)
        }))
    }
}

/// Positions of a kernel in a padded extent.
fn output_extent(padded: usize, stride: usize) -> usize {
    if padded < TAPS { 0 } else { (padded - TAPS) / stride + 1 }
}

/// An image with a border.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// `[times + 2][bands + 2][channels]`. The first and the last band are zeros; the first and the last time step are
    /// zeros at the ends of a clip, and the real neighbours inside. The caller fills them.
    pub values: &'a [f32],
    /// Bands, the two of the border included.
    pub padded_bands: usize,
}

/// Convolves an image and writes `num_times` time steps of [all bands](PackedConvolution::output_bands) to `output`,
/// where a group is a time step and a row is a band.
///
/// Of the image, the first `(num_times - 1) * stride + 3` time steps are read.
///
/// # Panics
/// If the image is shorter than that, if the epilogue does not fit the weights, if places lie beyond the output or
/// overlap.
pub fn convolve(
    image: &Image<'_>,
    num_times: usize,
    weights: &PackedConvolution,
    epilogue: &Epilogue<'_>,
    output: &mut [f32],
    placement: Placement,
) {
    let num_bands = weights.output_bands(image.padded_bands);
    if num_times == 0 || num_bands == 0 {
        return;
    }
    let channels = weights.input_channels;
    let row = image.padded_bands.saturating_mul(channels);
    let [time_stride, band_stride] = weights.strides;
    let padded_times = extent(&[(num_times, time_stride)], TAPS);
    let needed = padded_times.saturating_mul(row);
    let found = image.values.len();
    assert!(needed <= found, "{padded_times} time steps of {row} values need {needed}, not {found}");
    match &weights.way {
        Way::Direct(matrix) => {
            let windows = Windows {
                values: image.values,
                num_groups: num_times,
                group_rows: num_bands,
                group_pitch: time_stride * row,
                row_pitch: band_stride * channels,
                taps: TAPS,
                tap_pitch: row,
                tap_inputs: TAPS * channels,
            };
            product::multiply(&windows, matrix, epilogue, output, placement);
        }
        Way::SingleInput(weights) => weights.convolve(image, num_times, num_bands, epilogue, output, placement),
        Way::Winograd(weights) => weights.convolve(image, num_times, num_bands, epilogue, output, placement),
        Way::Polyphase(weights) => weights.convolve(image, num_times, num_bands, epilogue, output, placement),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;
    use crate::product::{Activation, Precision, Residual};
    use crate::testing::{arithmetics, assert_near, noise};

    /// The convolution as it is defined, in double precision.
    #[expect(clippy::too_many_arguments, reason = "a convolution is its shapes, its numbers and its places")]
    fn composed(
        image: &Image<'_>,
        (num_times, num_bands): (usize, usize),
        (input_channels, output_channels): (usize, usize),
        strides: [usize; 2],
        weight: impl Fn(usize, usize, usize, usize) -> f32,
        epilogue: &Epilogue<'_>,
        before: &[f32],
        placement: Placement,
    ) -> Vec<f32> {
        // [output][time tap][band tap][input], so that the inner loop is over neighbours.
        let inputs = TAPS * TAPS * input_channels;
        let weights: Vec<f64> = (0..output_channels * inputs)
            .map(|index| {
                let (output, rest) = (index / inputs, index % inputs);
                let (tap, input) = (rest / input_channels, rest % input_channels);
                f64::from(weight(output, input, tap / TAPS, tap % TAPS))
            })
            .collect();
        let mut output = before.to_vec();
        for time in 0..num_times {
            for band in 0..num_bands {
                let mut window = Vec::with_capacity(inputs);
                for time_tap in 0..TAPS {
                    let first = (time * strides[0] + time_tap) * image.padded_bands + band * strides[1];
                    let stretch = &image.values[first * input_channels..(first + TAPS) * input_channels];
                    window.extend(stretch.iter().map(|&value| f64::from(value)));
                }
                for (channel, weights) in weights.chunks(inputs).enumerate() {
                    let place = &mut output[time * placement.group_pitch + band * placement.row_pitch + channel];
                    let mut value: f64 = window.iter().zip(weights).map(|(value, weight)| value * weight).sum();
                    value += epilogue.bias.map_or(0.0, |bias| f64::from(bias[channel]));
                    if epilogue.residual == Residual::BeforeActivation {
                        value += f64::from(*place);
                    }
                    if epilogue.activation == Activation::Relu {
                        value = value.max(0.0);
                    }
                    value *= f64::from(epilogue.scale);
                    if epilogue.residual == Residual::Last {
                        value += f64::from(*place);
                    }
                    *place = value as f32;
                }
            }
        }
        output
    }

    /// An image of noise with a border of zero bands, and the bands of the output.
    fn image_of(times: usize, bands: usize, channels: usize) -> Vec<f32> {
        let mut values = noise((times + 2) * (bands + 2) * channels, 1);
        for row in values.chunks_mut((bands + 2) * channels) {
            row[..channels].fill(0.0);
            row[(bands + 1) * channels..].fill(0.0);
        }
        values
    }

    /// What a convolution of numbers around 1 may be off by, as a share of their root mean square. The sums of sums of
    /// Winograd's algorithm lose two bits more than a product does: errors of 2e-6 (2e-5 on matrix tiles), and the largest
    /// of thousands is five times as large.
    fn tolerance(packed: &PackedConvolution, arithmetic: Arithmetic) -> f32 {
        match (&packed.way, arithmetic.precision(), arithmetic.instruction_set()) {
            (Way::Direct(_), _, _) => crate::testing::tolerance(arithmetic),
            (Way::SingleInput(_), _, _) => 3e-6,
            (Way::Winograd(_), Precision::F32, InstructionSet::Amx) => 2e-4,
            (Way::Polyphase(_), Precision::F32, InstructionSet::Amx) => 5e-5,
            (Way::Winograd(_), _, _) => 2e-5,
            (Way::Polyphase(_), _, _) => 1e-5,
        }
    }

    fn check(
        (times, bands): (usize, usize),
        (input_channels, output_channels): (usize, usize),
        strides: [usize; 2],
        epilogue: &Epilogue<'_>,
    ) {
        let name = format!("{times}x{bands}, {input_channels} to {output_channels} channels, strides {strides:?}");
        let values = image_of(times, bands, input_channels);
        let image = Image { values: &values, padded_bands: bands + 2 };
        let inputs = input_channels * TAPS * TAPS;
        let weights = noise(inputs * output_channels, 2);
        let scale = 1.0 / (inputs as f32).sqrt();
        let weight = |output: usize, input: usize, time_tap: usize, band_tap: usize| {
            weights[output * inputs + (input * TAPS + time_tap) * TAPS + band_tap] * scale
        };
        let (num_times, num_bands) = (times.div_ceil(strides[0]), bands.div_ceil(strides[1]));
        // Into the middle of an image that has a border of its own.
        let placement = Placement { group_pitch: (num_bands + 2) * output_channels, row_pitch: output_channels };
        let first = placement.group_pitch + output_channels;
        let before = noise((num_times + 2) * placement.group_pitch, 3);
        let shape = (num_times, num_bands);
        let channels = (input_channels, output_channels);
        let expected = composed(&image, shape, channels, strides, weight, epilogue, &before[first..], placement);
        for arithmetic in arithmetics() {
            let packed = PackedConvolution::pack(arithmetic, input_channels, output_channels, strides, weight);
            assert_eq!((packed.output_times(times + 2), packed.output_bands(bands + 2)), shape);
            assert_eq!((packed.input_channels(), packed.output_channels()), channels);
            assert!(packed.num_bytes() >= inputs * output_channels * 2);
            let mut found = before.clone();
            convolve(&image, num_times, &packed, epilogue, &mut found[first..], placement);
            let name = format!("{name}, {arithmetic:?}");
            assert_near(&name, &found[first..], &expected, tolerance(&packed, arithmetic));
            assert!(found[..first] == before[..first], "{name}: the border was touched");
            for (index, (found, before)) in found[first..].iter().zip(&before[first..]).enumerate() {
                let (time, band) = (index / placement.group_pitch, index % placement.group_pitch / output_channels);
                let is_inside = time < num_times && band < num_bands;
                assert!(is_inside || found == before, "{name}: value {index} was touched");
            }
        }
    }

    #[test]
    fn images_of_odd_extents_and_channels() {
        for (times, bands) in [(1, 1), (1, 7), (5, 3), (9, 40)] {
            for channels in [(1, 1), (1, 48), (3, 16), (16, 33), (33, 3), (48, 64), (32, 48), (64, 80), (128, 144)] {
                for strides in [[1, 1], [2, 2], [1, 2], [2, 1]] {
                    check((times, bands), channels, strides, &Epilogue::default());
                }
            }
        }
    }

    #[test]
    fn everything_that_may_follow_a_convolution() {
        for channels in [(1, 33), (16, 8), (64, 48), (128, 128)] {
            let bias = noise(channels.1, 4);
            for strides in [[1, 1], [2, 2]] {
                for activation in [Activation::None, Activation::Relu] {
                    for residual in [Residual::None, Residual::BeforeActivation, Residual::Last] {
                        let epilogue = Epilogue { bias: Some(&bias), activation, residual, scale: 1.5 };
                        check((7, 6), channels, strides, &epilogue);
                        check((7, 6), channels, strides, &Epilogue { bias: None, ..epilogue });
                    }
                }
            }
        }
    }

    #[test]
    fn every_way_is_taken_where_it_is_fastest() {
        let way = |set, precision, channels, strides| {
            let arithmetic = Arithmetic::with_instructions(set, precision);
            let packed = PackedConvolution::pack(arithmetic, channels, 128, strides, |_, _, _, _| 1.0);
            match packed.way {
                Way::Direct(_) => "direct",
                Way::SingleInput(_) => "single",
                Way::Winograd(_) => "winograd",
                Way::Polyphase(_) => "polyphase",
            }
        };
        for set in InstructionSet::available() {
            for precision in [Precision::F32, Precision::Bf16] {
                let has_fast_bf16 = precision == Precision::Bf16 && set >= InstructionSet::Avx512Bf16;
                let is_on_matrix_tiles = set == InstructionSet::Amx;
                assert_eq!(way(set, precision, 1, [1, 1]), "single");
                assert_eq!(way(set, precision, 128, [1, 2]), "direct");
                assert_eq!(way(set, precision, 100, [1, 1]), "direct");
                assert_eq!(way(set, precision, 128, [1, 1]) == "winograd", !(has_fast_bf16 && is_on_matrix_tiles));
                assert_eq!(way(set, precision, 128, [2, 2]) == "polyphase", !has_fast_bf16);
                assert_eq!(way(set, precision, 64, [1, 1]) == "winograd", !is_on_matrix_tiles);
            }
        }
    }

    #[test]
    fn extents_of_outputs() {
        let packed =
            |strides| PackedConvolution::pack(Arithmetic::new(Precision::F32), 1, 1, strides, |_, _, _, _| 1.0);
        for bands in 0..20 {
            assert_eq!(packed([1, 1]).output_bands(bands + 2), bands);
            assert_eq!(packed([1, 2]).output_bands(bands + 2), bands.div_ceil(2));
            assert_eq!(packed([3, 1]).output_times(bands + 2), bands.div_ceil(3));
        }
        assert_eq!(packed([1, 1]).output_bands(0), 0);
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let (times, bands) = (23, 37);
        for (channels, strides) in [((1, 40), [2, 2]), ((3, 40), [1, 1]), ((128, 144), [1, 1]), ((128, 144), [2, 2])] {
            let values = image_of(times, bands, channels.0);
            let image = Image { values: &values, padded_bands: bands + 2 };
            let weights = noise(channels.0 * channels.1 * TAPS * TAPS, 2);
            for arithmetic in arithmetics() {
                let packed =
                    PackedConvolution::pack(arithmetic, channels.0, channels.1, strides, |output, input, y, x| {
                        weights[((output * channels.0 + input) * TAPS + y) * TAPS + x]
                    });
                let (num_times, num_bands) = (packed.output_times(times + 2), packed.output_bands(bands + 2));
                let convolved = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let mut output = vec![0.0; num_times * num_bands * channels.1];
                    let placement = Placement { group_pitch: num_bands * channels.1, row_pitch: channels.1 };
                    let epilogue = Epilogue::default();
                    pool.install(|| convolve(&image, num_times, &packed, &epilogue, &mut output, placement));
                    output
                };
                let whole = convolved(1);
                assert!(whole == convolved(3), "{arithmetic:?}, {channels:?}, {strides:?}");
                assert!(whole.iter().any(|&value| value != 0.0));
            }
        }
    }

    #[test]
    fn parts_that_begin_at_a_multiple_of_four_have_the_bits_of_the_whole() {
        let (times, bands) = (26, 9);
        for (channels, strides) in [((1, 40), [2, 2]), ((3, 40), [1, 1]), ((128, 144), [1, 1]), ((128, 144), [2, 2])] {
            let values = image_of(times, bands, channels.0);
            let image_row = (bands + 2) * channels.0;
            let weights = noise(channels.0 * channels.1 * TAPS * TAPS, 2);
            for arithmetic in arithmetics() {
                let packed =
                    PackedConvolution::pack(arithmetic, channels.0, channels.1, strides, |output, input, y, x| {
                        weights[((output * channels.0 + input) * TAPS + y) * TAPS + x]
                    });
                let row = packed.output_bands(bands + 2) * channels.1;
                let convolved = |first: usize, num_times: usize| {
                    let image = Image { values: &values[first * strides[0] * image_row..], padded_bands: bands + 2 };
                    let mut output = vec![0.0; num_times * row];
                    let placement = Placement { group_pitch: row, row_pitch: channels.1 };
                    convolve(&image, num_times, &packed, &Epilogue::default(), &mut output, placement);
                    output
                };
                let num_times = packed.output_times(times + 2);
                let parts = [convolved(0, 8), convolved(8, num_times - 8)].concat();
                assert!(convolved(0, num_times) == parts, "{arithmetic:?}, {channels:?}, {strides:?}");
            }
        }
    }

    #[test]
    fn what_lies_behind_the_needed_time_steps_is_not_read() {
        for (channels, strides) in [((1, 16), [1, 1]), ((3, 16), [1, 1]), ((128, 128), [1, 1]), ((128, 128), [2, 2])] {
            let (times, bands) = (9, 6);
            let mut values = image_of(times, bands, channels.0);
            let row = (bands + 2) * channels.0;
            let num_times = 3;
            let needed = ((num_times - 1) * strides[0] + TAPS) * row;
            for arithmetic in arithmetics() {
                let packed =
                    PackedConvolution::pack(arithmetic, channels.0, channels.1, strides, |_, input, _, _| input as f32);
                let num_bands = packed.output_bands(bands + 2);
                let mut convolved = |behind: f32| {
                    values[needed..].fill(behind);
                    let image = Image { values: &values, padded_bands: bands + 2 };
                    let mut output = vec![0.0; num_times * num_bands * channels.1];
                    let placement = Placement { group_pitch: num_bands * channels.1, row_pitch: channels.1 };
                    convolve(&image, num_times, &packed, &Epilogue::default(), &mut output, placement);
                    output
                };
                assert!(convolved(1.0) == convolved(f32::NAN), "{arithmetic:?}, {channels:?}, {strides:?}");
            }
        }
    }

    fn ones(input_channels: usize) -> PackedConvolution {
        PackedConvolution::pack(Arithmetic::new(Precision::F32), input_channels, 32, [1, 1], |_, _, _, _| 1.0)
    }

    #[test]
    #[should_panic(expected = "need 1920, not 1919")]
    fn an_image_that_is_too_short_is_refused() {
        let image = Image { values: &[0.0; 1919], padded_bands: 12 };
        let placement = Placement { group_pitch: 320, row_pitch: 32 };
        convolve(&image, 3, &ones(32), &Epilogue::default(), &mut [0.0; 960], placement);
    }

    #[test]
    fn places_beyond_the_output_are_refused() {
        for channels in [1, 4, 128] {
            let values = vec![0.0; 5 * 12 * channels];
            let image = Image { values: &values, padded_bands: 12 };
            let placement = Placement { group_pitch: 320, row_pitch: 32 };
            let convolved = |len: usize| {
                let mut output = vec![0.0; len];
                convolve(&image, 3, &ones(channels), &Epilogue::default(), &mut output, placement);
            };
            convolved(960);
            assert!(std::panic::catch_unwind(|| convolved(959)).is_err(), "{channels} channels");
        }
    }
}
