//! Convolutions tile by tile, by a fast [`Algorithm`] in both dimensions.
//!
//! A task is some tiles. It transforms their inputs into scratch memory, one matrix `[tiles, input channels]` for every
//! product of the algorithm; then, for a few panels of output channels at a time, it multiplies all of them and transforms
//! the sums into outputs. Vectors run over channels. Scratch memory stays in the caches; transformed weights, four times as
//! large as the weights, stream past it, which is why a task has as many tiles as the caches allow.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::algorithm::{Algorithm, Line, MOST_POINTS};
use super::{Image, TAPS};
use crate::elementwise::with_activation;
use crate::memory::borrow;
use crate::product::{
    Arithmetic, BlockOperand, BlockProduct, Epilogue, OperandFormat, OutputPointer, PANEL_COLUMNS, PackedMatrix,
    Placement, even_parts, prefetch,
};
use crate::simd::{Function, Operation, Simd, dispatch};

/// Input channels must be a multiple of this: of the longest step of a kernel.
const INPUT_MULTIPLE: usize = 32;
/// Output channels must be a multiple of this: of the longest vector.
const OUTPUT_MULTIPLE: usize = 16;
/// Tiles that a task has at least, where there are enough.
const FEWEST_TILES: usize = 14;

/// Products of the largest algorithm in two dimensions.
const MOST_PRODUCTS: usize = MOST_POINTS * MOST_POINTS;

/// Whether so many channels can be convolved in tiles.
pub(super) fn suit(input_channels: usize, output_channels: usize) -> bool {
    input_channels.is_multiple_of(INPUT_MULTIPLE) && output_channels.is_multiple_of(OUTPUT_MULTIPLE)
}

/// Transformed weights.
#[derive(Debug)]
pub(super) struct Transformed<A> {
    /// A tap for every product, those of a sum one after another.
    matrix: PackedMatrix,
    input_channels: usize,
    algorithm: PhantomData<A>,
}

/// The sizes of a task.
struct TaskSizes {
    /// Tiles that it has at most.
    most_tiles: usize,
    /// Panels of output channels that are multiplied before their sums are transformed.
    panels_at_once: usize,
}

impl TaskSizes {
    /// Measured. The faster the products are, the more of them each weight that is read must serve.
    fn of(format: OperandFormat) -> Self {
        match format {
            OperandFormat::F32 => Self { most_tiles: 84, panels_at_once: 4 },
            OperandFormat::Bf16 | OperandFormat::SplitBf16 => Self { most_tiles: 128, panels_at_once: 16 },
        }
    }
}

/// Where products and sums of an algorithm stand in two dimensions.
struct Order {
    /// The matrix of product `[time][band]`.
    matrix_of: [usize; MOST_PRODUCTS],
    /// The matrices of sum `[time][band]`, and how many sums there are.
    sums: [Range<usize>; MOST_PRODUCTS],
    num_sums: usize,
}

impl Order {
    fn of<A: Algorithm>() -> Self {
        let mut matrix_of = [0; MOST_PRODUCTS];
        let mut sums = [const { 0..0 }; MOST_PRODUCTS];
        let mut next = 0;
        for (sum, matrices) in sums.iter_mut().enumerate().take(A::SUMS * A::SUMS) {
            let first = next;
            for time in A::products_of(sum / A::SUMS) {
                for band in A::products_of(sum % A::SUMS) {
                    matrix_of[time * A::POINTS + band] = next;
                    next += 1;
                }
            }
            *matrices = first..next;
        }
        Self { matrix_of, sums, num_sums: A::SUMS * A::SUMS }
    }

    fn sums(&self) -> &[Range<usize>] {
        &self.sums[..self.num_sums]
    }
}

impl<A: Algorithm> Transformed<A> {
    const NUM_PRODUCTS: usize = A::POINTS * A::POINTS;

    /// Transforms `weight(output, input, time_tap, band_tap)` in double precision, and packs it.
    pub(super) fn pack(
        arithmetic: Arithmetic,
        input_channels: usize,
        output_channels: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let order = Order::of::<A>();
        let taps = A::taps();
        let mut factors = [[[0.0; TAPS]; TAPS]; MOST_PRODUCTS];
        for time in 0..A::POINTS {
            for band in 0..A::POINTS {
                factors[order.matrix_of[time * A::POINTS + band]] =
                    taps[time].map(|time_factor| taps[band].map(|band_factor| time_factor * band_factor));
            }
        }
        let transformed = |input: usize, output: usize| {
            let (product, input) = (input / input_channels, input % input_channels);
            let mut sum = 0.0;
            for (time_tap, factors) in factors[product].iter().enumerate() {
                for (band_tap, &factor) in factors.iter().enumerate() {
                    sum += factor * f64::from(weight(output, input, time_tap, band_tap));
                }
            }
            sum as f32
        };
        let matrix = PackedMatrix::pack(arithmetic, Self::NUM_PRODUCTS, input_channels, output_channels, transformed);
        Self { matrix, input_channels, algorithm: PhantomData }
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.matrix.num_bytes()
    }

    /// See [`convolve`](super::convolve), which has checked the image.
    pub(super) fn convolve(
        &self,
        image: &Image<'_>,
        num_times: usize,
        num_bands: usize,
        epilogue: &Epilogue<'_>,
        output: &mut [f32],
        placement: Placement,
    ) {
        epilogue.check(self.matrix.columns(), false);
        placement.check(num_times, num_bands, self.matrix.columns(), output.len());
        let sizes = TaskSizes::of(self.matrix.arithmetic().operand_format());
        let num_tiles = num_times.div_ceil(A::OUTPUTS) * num_bands.div_ceil(A::OUTPUTS);
        let balanced = num_tiles.div_ceil(sizes.most_tiles).next_multiple_of(rayon::current_num_threads());
        let num_tasks = balanced.min(num_tiles.div_ceil(FEWEST_TILES));
        let job = Job {
            image,
            num_times,
            num_bands,
            weights: self,
            order: Order::of::<A>(),
            epilogue,
            output: OutputPointer(output.as_mut_ptr()),
            placement,
            panels_at_once: sizes.panels_at_once.min(self.matrix.num_panels()),
        };
        let tasks: Vec<_> = even_parts(num_tiles, num_tasks).collect();
        tasks.into_par_iter().for_each(|(first, count)| job.run(first, count));
    }
}

/// One convolution.
struct Job<'a, A> {
    image: &'a Image<'a>,
    num_times: usize,
    num_bands: usize,
    weights: &'a Transformed<A>,
    order: Order,
    epilogue: &'a Epilogue<'a>,
    output: OutputPointer,
    placement: Placement,
    panels_at_once: usize,
}

/// `bytes` and at most two cache lines more, so that matrices which lie so far apart do not all begin in the same sets of
/// the first-level cache.
fn spread(bytes: usize) -> usize {
    const LINE_BYTES: usize = 64;
    (bytes.div_ceil(LINE_BYTES) | 1) * LINE_BYTES
}

impl<A: Algorithm> Job<'_, A> {
    /// Convolves some tiles, which are counted through the bands of a time first.
    fn run(&self, first_tile: usize, num_tiles: usize) {
        let matrix = &self.weights.matrix;
        let set = matrix.arithmetic().instruction_set();
        let product = BlockProduct::new(matrix, num_tiles);
        let format = matrix.arithmetic().operand_format();
        let row_pitch = spread(self.weights.input_channels * format.value_bytes());
        let tap_pitch = spread(product.padded_rows() * row_pitch);
        let plane = Transformed::<A>::NUM_PRODUCTS * tap_pitch;
        let mut inputs = borrow::<u8>(plane * format.num_planes());
        let tiles = first_tile..first_tile + num_tiles;
        let transform = TransformInputs {
            job: self,
            tiles: tiles.clone(),
            format,
            inputs: &mut inputs,
            plane,
            tap_pitch,
            row_pitch,
        };
        dispatch(set, transform);
        let low_offset = if format == OperandFormat::SplitBf16 { plane } else { 0 };
        let operand = BlockOperand { bytes: &inputs, tap_pitch, row_pitch, low_offset };

        let panel_pitch = product.padded_rows() * PANEL_COLUMNS;
        let sum_pitch = spread(self.panels_at_once * panel_pitch * size_of::<f32>()) / size_of::<f32>();
        let order = self.order.sums();
        let mut sums = borrow::<f32>(order.len() * sum_pitch);
        for first_panel in (0..matrix.num_panels()).step_by(self.panels_at_once) {
            let panels = first_panel..(first_panel + self.panels_at_once).min(matrix.num_panels());
            for (number, (taps, sums)) in order.iter().zip(sums.chunks_exact_mut(sum_pitch)).enumerate() {
                let next = match order.get(number + 1) {
                    Some(next) => Some((next.start, panels.start)),
                    None => Some((0, panels.end)).filter(|&(_, panel)| panel < matrix.num_panels()),
                };
                product.multiply(operand, taps.clone(), panels.clone(), sums, next);
            }
            let transform =
                TransformSums { job: self, tiles: tiles.clone(), panels, sums: &sums, sum_pitch, panel_pitch };
            dispatch(set, transform);
        }
    }

    /// The first output of a tile: time and band.
    fn origin(&self, tile: usize) -> (usize, usize) {
        let tiles_per_time = self.num_bands.div_ceil(A::OUTPUTS);
        (tile / tiles_per_time * A::OUTPUTS, tile % tiles_per_time * A::OUTPUTS)
    }
}

/// Transforms the inputs of tiles.
struct TransformInputs<'a, A> {
    job: &'a Job<'a, A>,
    tiles: Range<usize>,
    format: OperandFormat,
    inputs: &'a mut [u8],
    /// Bytes of all matrices.
    plane: usize,
    tap_pitch: usize,
    row_pitch: usize,
}

impl<A: Algorithm> Operation for TransformInputs<'_, A> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let plane = self.plane;
        // SAFETY: the caller's; `tiles` sees to it that there is room for every vector, in both planes.
        unsafe {
            match self.format {
                OperandFormat::F32 => self.tiles::<S>(|place, vector| S::store(place.cast(), vector)),
                OperandFormat::Bf16 => self.tiles::<S>(|place, vector| {
                    S::store_bf16(place.cast(), vector);
                }),
                OperandFormat::SplitBf16 => self.tiles::<S>(|place, vector| {
                    let rest = S::store_bf16(place.cast(), vector);
                    S::store_bf16(place.add(plane).cast(), rest);
                }),
            }
        }
    }
}

impl<A: Algorithm> TransformInputs<'_, A> {
    #[inline(always)]
    unsafe fn tiles<S: Simd>(self, store: impl Fn(*mut u8, S::Vector)) {
        let Self { job, tiles, format, inputs, plane, tap_pitch, row_pitch } = self;
        let channels = job.weights.input_channels;
        let image_row = job.image.padded_bands * channels;
        let seen_times = (job.num_times - 1) * A::STRIDE + TAPS;
        let seen_bands = (job.num_bands - 1) * A::STRIDE + TAPS;
        let mut zeros = borrow::<f32>(channels);
        zeros.fill(0.0);
        let needed = (Transformed::<A>::NUM_PRODUCTS - 1) * tap_pitch
            + (tiles.len() - 1) * row_pitch
            + channels * format.value_bytes();
        assert!(needed <= plane, "transformed inputs need {needed} bytes of {plane}");
        assert!(plane * format.num_planes() <= inputs.len(), "planes of {plane} bytes in {}", inputs.len());
        for (row, tile) in tiles.enumerate() {
            let (time, band) = job.origin(tile);
            let (time, band) = (time * A::STRIDE, band * A::STRIDE);
            // A tile at the edge sees zeros where nothing is.
            let mut sources = [zeros.as_ptr(); MOST_PRODUCTS];
            for (number, source) in sources.iter_mut().take(Transformed::<A>::NUM_PRODUCTS).enumerate() {
                let (time, band) = (time + number / A::POINTS, band + number % A::POINTS);
                if time < seen_times && band < seen_bands {
                    *source = job.image.values[time * image_row + band * channels..][..channels].as_ptr();
                }
            }
            let mut channel = 0;
            while channel < channels {
                // SAFETY: every source has all channels, which are a multiple of the lanes. There is room for all products
                // of this row, as is checked above.
                unsafe {
                    let zero = S::splat(0.0);
                    let mut rows = [[zero; MOST_POINTS]; MOST_POINTS];
                    for band in 0..A::POINTS {
                        let mut line: Line<S> = [zero; MOST_POINTS];
                        for (time, value) in line.iter_mut().enumerate().take(A::POINTS) {
                            let source = sources[time * A::POINTS + band].add(channel);
                            *value = S::load(source);
                            if band < A::OUTPUTS * A::STRIDE {
                                prefetch(source.wrapping_add(A::POINTS * channels).cast());
                            }
                        }
                        let line = A::transform_inputs::<S>(line);
                        for (row, value) in rows.iter_mut().zip(line).take(A::POINTS) {
                            row[band] = value;
                        }
                    }
                    let place = inputs.as_mut_ptr().add(row * row_pitch + channel * format.value_bytes());
                    for (time, line) in rows.into_iter().enumerate().take(A::POINTS) {
                        let line = A::transform_inputs::<S>(line);
                        for (band, value) in line.into_iter().enumerate().take(A::POINTS) {
                            let product = job.order.matrix_of[time * A::POINTS + band];
                            store(place.add(product * tap_pitch), value);
                        }
                    }
                }
                channel += S::LANES;
            }
        }
    }
}

/// Transforms the sums of some panels into outputs.
struct TransformSums<'a, A> {
    job: &'a Job<'a, A>,
    tiles: Range<usize>,
    panels: Range<usize>,
    /// `[sum][panel][tile][column]`
    sums: &'a [f32],
    sum_pitch: usize,
    panel_pitch: usize,
}

impl<A: Algorithm> Operation for TransformSums<'_, A> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { with_activation!(S, self.job.epilogue.activation, self.tiles) }
    }
}

impl<A: Algorithm> TransformSums<'_, A> {
    #[inline(always)]
    unsafe fn tiles<S: Simd, F: Function>(&self) {
        let Self { job, tiles, panels, sums, sum_pitch, panel_pitch } = self;
        let first_column = panels.start * PANEL_COLUMNS;
        let columns = (panels.end * PANEL_COLUMNS).min(job.weights.matrix.columns()) - first_column;
        let needed =
            (A::SUMS * A::SUMS - 1) * sum_pitch + (panels.len() - 1) * panel_pitch + tiles.len() * PANEL_COLUMNS;
        assert!(needed <= sums.len(), "{needed} sums of {}", sums.len());
        for (row, tile) in tiles.clone().enumerate() {
            let (time, band) = job.origin(tile);
            let times = A::OUTPUTS.min(job.num_times - time);
            let bands = A::OUTPUTS.min(job.num_bands - band);
            let mut column = 0;
            while column < columns {
                // SAFETY: there are sums of all panels and tiles, as is checked above; columns are a multiple of the lanes.
                // `Transformed::convolve` has checked that all rows lie within the output, of which this task alone writes
                // these tiles, and that the bias has all columns.
                unsafe {
                    let zero = S::splat(0.0);
                    let in_sum = column / PANEL_COLUMNS * panel_pitch + row * PANEL_COLUMNS + column % PANEL_COLUMNS;
                    let source = sums.as_ptr().add(in_sum);
                    let mut lines = [[zero; MOST_POINTS]; MOST_POINTS];
                    for band in 0..A::SUMS {
                        let mut line: Line<S> = [zero; MOST_POINTS];
                        for (time, sum) in line.iter_mut().enumerate().take(A::SUMS) {
                            *sum = S::load(source.add((time * A::SUMS + band) * sum_pitch));
                        }
                        let line = A::transform_sums::<S>(line);
                        for (output, value) in lines.iter_mut().zip(line).take(A::OUTPUTS) {
                            output[band] = value;
                        }
                    }
                    let bias = job.epilogue.bias.map(|bias| bias.as_ptr().add(first_column + column));
                    for (time, line) in (time..time + times).zip(lines) {
                        let line = A::transform_sums::<S>(line);
                        let place = time * job.placement.group_pitch + band * job.placement.row_pitch;
                        let place = job.output.0.add(place + first_column + column);
                        for (band, &value) in line.iter().enumerate().take(bands) {
                            let place = place.add(band * job.placement.row_pitch);
                            job.epilogue.place::<S, F>(value, None, bias, place, S::LANES);
                        }
                    }
                }
                column += S::LANES;
            }
        }
    }
}
