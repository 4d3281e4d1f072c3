//! Windows of frames times a packed matrix.
//!
//! One loop serves linear layers and convolutions. The rows of the left operand are *windows* into memory that may
//! overlap ([`Windows`]), so that a convolution needs no copy of its input; the right operand, the weights, is packed once
//! in the order its kernel reads ([`PackedMatrix`]); and what follows the product (bias, activation, residual) is done
//! while the result is in the cache ([`Epilogue`]).
//!
//! What multiplies is a kernel of the instruction set: a strip of some rows times a panel of 32 columns. See Goto and
//! van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", for the blocking around it.
#![allow(unsafe_code, reason = "kernels work on pointers into slices that were checked here: see the SAFETY comments")]

#[cfg(target_arch = "x86_64")]
mod amx;
mod arithmetic;
#[cfg(target_arch = "x86_64")]
mod bf16_dot;
mod block;
mod epilogue;
mod fma;
mod operand;
mod packed;
mod panels;
mod windows;

pub use arithmetic::{Arithmetic, Precision};
pub(crate) use block::{BlockOperand, BlockProduct};
pub use epilogue::{Activation, Epilogue, Residual};
pub(crate) use operand::OperandFormat;
pub use packed::PackedMatrix;
pub(crate) use panels::{LeftLayout, PanelProduct, store_operand};
pub(crate) use windows::extent;
pub use windows::{Placement, Windows};

use std::marker::PhantomData;

use rayon::prelude::*;

use self::arithmetic::{Kernel, Strip};
use self::operand::{Operand, OperandView};
use crate::memory::borrow;

/// Columns of a panel, and of what a kernel multiplies at a time.
pub(crate) const PANEL_COLUMNS: usize = 32;

/// `windows x weights`, with everything that an [`Epilogue`] says, into `output`.
///
/// # Panics
/// If the windows' length is not the weights', if windows or rows reach beyond their slices, or if the rows of the output
/// overlap.
pub fn multiply(
    windows: &Windows<'_>,
    weights: &PackedMatrix,
    epilogue: &Epilogue<'_>,
    output: &mut [f32],
    placement: Placement,
) {
    if windows.num_rows() == 0 {
        return;
    }
    assert_eq!((windows.taps, windows.tap_inputs), weights.taps(), "windows and weights do not fit");
    assert!(windows.taps > 0, "windows of no taps");
    let columns = weights.columns();
    epilogue.check(columns, weights.is_gated());
    let needed = windows.span(windows.num_groups, windows.group_rows);
    assert!(needed <= windows.values.len(), "windows see {needed} values of {}", windows.values.len());
    placement.check(windows.num_groups, windows.group_rows, columns, output.len());

    let kernel = weights.arithmetic().kernel();
    let job = Job { kernel, windows, weights, epilogue, output: OutputPointer(output.as_mut_ptr()), placement };
    let tasks = job.tasks();
    if windows.overlaps() {
        tasks.into_par_iter().for_each(|task| {
            let first = task.first_group * windows.group_pitch + task.first_row * windows.row_pitch;
            let span = windows.span(task.num_groups, task.num_rows);
            let operand = Operand::of_stretch(&kernel, windows, &windows.values[first..first + span]);
            job.run(&task, operand.view());
        });
    } else {
        let operand = Operand::of_rows(&kernel, windows);
        tasks.into_par_iter().for_each(|task| job.run(&task, operand.view().at(task.first_group, task.first_row)));
    }
}

/// One product.
struct Job<'a> {
    kernel: Kernel,
    windows: &'a Windows<'a>,
    weights: &'a PackedMatrix,
    epilogue: &'a Epilogue<'a>,
    output: OutputPointer,
    placement: Placement,
}

/// The first value of an output of which every task writes rows and columns of its own.
#[derive(Clone, Copy)]
pub(crate) struct OutputPointer(pub(crate) *mut f32);

// SAFETY: tasks write to places of their own, see [`Job::tasks`]; the output outlives them, because `multiply` waits.
unsafe impl Send for OutputPointer {}
// SAFETY: as above.
unsafe impl Sync for OutputPointer {}

/// A part of a product: rows of groups, times panels of columns.
#[derive(Clone, Copy, Debug)]
struct Task {
    first_group: usize,
    num_groups: usize,
    first_row: usize,
    num_rows: usize,
    first_panel: usize,
    num_panels: usize,
}

/// `total` as `parts` ranges whose lengths differ by one at most: first and length.
pub(crate) fn even_parts(total: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..parts).map(move |part| {
        let start = total * part / parts;
        (start, total * (part + 1) / parts - start)
    })
}

impl Job<'_> {
    /// Parts that cover the product without overlap: as many rows as suit the second-level cache, and so many parts that
    /// every thread has work.
    fn tasks(&self) -> Vec<Task> {
        let windows = self.windows;
        let threads = rayon::current_num_threads();
        let block_rows = self.kernel.block_rows;
        let whole_groups = (block_rows / windows.group_rows.max(1)).clamp(1, windows.num_groups);
        let row_parts = windows.group_rows.div_ceil(block_rows);
        let group_parts = windows.num_groups.div_ceil(whole_groups);
        let num_blocks = row_parts * group_parts;
        // The last round of blocks should keep all threads busy too.
        let balanced = num_blocks.next_multiple_of(threads);
        let (group_parts, row_parts) = if num_blocks < threads {
            (group_parts, row_parts)
        } else if group_parts > 1 {
            (balanced.div_ceil(row_parts).min(windows.num_groups), row_parts)
        } else {
            let fewest_rows = self.kernel.strip_rows.min(block_rows);
            (group_parts, balanced.min(windows.group_rows.div_ceil(fewest_rows)).max(row_parts))
        };
        let num_panels = self.weights.num_panels();
        let column_parts = threads.div_ceil(group_parts * row_parts).min(num_panels).max(1);
        let groups = even_parts(windows.num_groups, group_parts);
        let rows = even_parts(windows.group_rows, row_parts);
        let panels = even_parts(num_panels, column_parts);
        groups
            .flat_map(|groups| rows.clone().map(move |rows| (groups, rows)))
            .flat_map(|(groups, rows)| panels.clone().map(move |panels| (groups, rows, panels)))
            .map(|((first_group, num_groups), (first_row, num_rows), (first_panel, num_panels))| Task {
                first_group,
                num_groups,
                first_row,
                num_rows,
                first_panel,
                num_panels,
            })
            .collect()
    }

    /// Does a task, whose rows `operand` begins with.
    fn run(&self, task: &Task, operand: OperandView<'_>) {
        let Self { kernel, windows, weights, epilogue, output, placement } = self;
        let strips = strips_of(kernel, task.num_rows);
        let num_strips = task.num_groups * strips.len();
        // Windows that overlap are small in memory, however many inputs they have.
        let chunks = Chunks::new(kernel, windows.taps, windows.tap_inputs, windows.overlaps());
        let panel_sums = num_strips * kernel.strip_rows * PANEL_COLUMNS;
        let mut sums = borrow::<f32>(if chunks.num_rounds() > 1 { task.num_panels * panel_sums } else { panel_sums });
        let sums_kept = chunks.num_rounds() > 1;
        let _configured = ConfiguredTiles::new(kernel);
        for round in 0..chunks.num_rounds() {
            for panel in 0..task.num_panels {
                let packed = weights.panel(task.first_panel + panel);
                let panel_start = if sums_kept { panel * panel_sums } else { 0 };
                let panel_sums = &mut sums[panel_start..panel_start + panel_sums];
                for number in chunks.of_round(round) {
                    let chunk = chunks.get(number);
                    let upcoming = match chunks.after(number, round) {
                        Some(next) => Some(&packed[chunks.bytes_of(next)]),
                        None if panel + 1 < task.num_panels => {
                            let first = chunks.of_round(round).start;
                            Some(&weights.panel(task.first_panel + panel + 1)[chunks.bytes_of(first)])
                        }
                        None => None,
                    };
                    let mut upcoming = Upcoming::new(upcoming, num_strips * chunk.steps);
                    let is_last = number + 1 == chunks.len();
                    let strip_sums = panel_sums.chunks_exact_mut(kernel.strip_rows * PANEL_COLUMNS);
                    let places = (0..task.num_groups)
                        .flat_map(|group| strips.iter().map(move |&(row, rows)| (group, row, rows)));
                    for ((group, row, rows), sums) in places.zip(strip_sums) {
                        let (upcoming, upcoming_lines) = upcoming.next(chunk.steps);
                        let strip = Strip {
                            rows,
                            steps: chunk.steps,
                            left: operand.row(group, row, chunk.tap, chunk.first_step * kernel.step_inputs),
                            left_pitch: operand.row_pitch(),
                            left_low: operand.low_offset(),
                            right: packed[chunks.bytes_of(number)].as_ptr(),
                            sums: sums.as_mut_ptr(),
                            accumulates: number > 0,
                            upcoming,
                            upcoming_lines,
                        };
                        // SAFETY: the kernel's instructions are available (`Arithmetic` sees to it). The operand has
                        // `rows` rows of these steps, and where the kernel reads `strip_rows`, memory behind them; the
                        // panel has these steps; the sums have `strip_rows` rows.
                        unsafe { (kernel.multiply)(&strip) };
                        if is_last {
                            let place = (task.first_group + group) * placement.group_pitch
                                + (task.first_row + row) * placement.row_pitch;
                            // SAFETY: `multiply` has checked that all rows lie within the output; this task alone
                            // writes these rows and columns.
                            unsafe {
                                epilogue.finish(
                                    kernel.set,
                                    sums,
                                    rows,
                                    weights,
                                    task.first_panel + panel,
                                    output.0.add(place),
                                    placement.row_pitch,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// First row and height of the strips of `rows` rows.
fn strips_of(kernel: &Kernel, rows: usize) -> Vec<(usize, usize)> {
    let count = rows.div_ceil(kernel.strip_rows);
    if kernel.has_even_strips {
        return even_parts(rows, count).collect();
    }
    (0..count)
        .map(|strip| (strip * kernel.strip_rows, kernel.strip_rows.min(rows - strip * kernel.strip_rows)))
        .collect()
}

/// A stretch of inputs that is multiplied in one call.
#[derive(Clone, Copy)]
struct Chunk {
    tap: usize,
    first_step: usize,
    steps: usize,
}

/// The inputs of a product in the order they are worked on: chunks that suit the first-level cache, in rounds whose left
/// operand suits the second-level one.
struct Chunks {
    chunks: Vec<Chunk>,
    chunks_per_round: usize,
    steps_per_tap: usize,
    step_bytes: usize,
}

impl Chunks {
    fn new(kernel: &Kernel, taps: usize, tap_inputs: usize, is_one_round: bool) -> Self {
        let steps_per_tap = tap_inputs.div_ceil(kernel.step_inputs);
        let chunk_steps = (kernel.chunk_inputs / kernel.step_inputs).max(1);
        let per_tap = steps_per_tap.div_ceil(chunk_steps).max(1);
        let chunks: Vec<Chunk> = (0..taps)
            .flat_map(|tap| {
                even_parts(steps_per_tap, per_tap).map(move |(first_step, steps)| Chunk { tap, first_step, steps })
            })
            .collect();
        let chunks_per_round =
            if is_one_round { chunks.len() } else { (kernel.block_inputs / kernel.chunk_inputs).max(1) };
        Self { chunks, chunks_per_round, steps_per_tap, step_bytes: kernel.packed.step_bytes() }
    }

    fn len(&self) -> usize {
        self.chunks.len()
    }

    fn num_rounds(&self) -> usize {
        self.chunks.len().div_ceil(self.chunks_per_round)
    }

    fn of_round(&self, round: usize) -> std::ops::Range<usize> {
        let start = round * self.chunks_per_round;
        start..(start + self.chunks_per_round).min(self.chunks.len())
    }

    fn get(&self, number: usize) -> Chunk {
        self.chunks[number]
    }

    fn after(&self, number: usize, round: usize) -> Option<usize> {
        Some(number + 1).filter(|next| self.of_round(round).contains(next))
    }

    /// Where a chunk lies in a panel.
    fn bytes_of(&self, number: usize) -> std::ops::Range<usize> {
        let Chunk { tap, first_step, steps } = self.chunks[number];
        let start = (tap * self.steps_per_tap + first_step) * self.step_bytes;
        start..start + steps * self.step_bytes
    }
}

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Memory to be fetched ahead, spread over the steps of the strips at hand: weights do not fit into the caches, and the
/// hardware notices the next panel too late.
struct Upcoming<'a> {
    bytes: &'a [u8],
    lines_per_step: usize,
}

impl<'a> Upcoming<'a> {
    fn new(bytes: Option<&'a [u8]>, total_steps: usize) -> Self {
        let bytes = bytes.unwrap_or_default();
        Self { bytes, lines_per_step: bytes.len().div_ceil(LINE_BYTES).div_ceil(total_steps.max(1)) }
    }

    /// The share of the next strip.
    fn next(&mut self, steps: usize) -> (*const u8, usize) {
        let share = steps * self.lines_per_step * LINE_BYTES;
        match self.bytes.split_at_checked(share) {
            Some((now, later)) if share > 0 => {
                self.bytes = later;
                (now.as_ptr(), self.lines_per_step)
            }
            _ => (self.bytes.as_ptr(), 0),
        }
    }
}

/// Asks for a line of memory. Any address will do: nothing happens where there is no memory.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Matrix tiles are configured while this lives, for a kernel that uses them.
pub(crate) struct ConfiguredTiles {
    is_configured: bool,
    /// Keeps it on its thread.
    _not_send: PhantomData<*const ()>,
}

impl ConfiguredTiles {
    /// For what an arithmetic multiplies with.
    pub(crate) fn of(arithmetic: Arithmetic) -> Self {
        Self::new(&arithmetic.kernel())
    }

    fn new(kernel: &Kernel) -> Self {
        let is_configured = kernel.uses_tiles;
        #[cfg(target_arch = "x86_64")]
        if is_configured {
            // SAFETY: a kernel that uses tiles exists only where they are available.
            unsafe { amx::configure_tiles() };
        }
        Self { is_configured, _not_send: PhantomData }
    }
}

impl Drop for ConfiguredTiles {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.is_configured {
            // SAFETY: they were configured on this thread: this value does not leave it.
            unsafe { amx::release_tiles() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{activated, arithmetics, assert_near, noise, tolerance};

    /// The product as it is defined, in double precision.
    fn composed(
        windows: &Windows<'_>,
        weight: impl Fn(usize, usize) -> f32,
        weight_columns: usize,
        epilogue: &Epilogue<'_>,
        before: &[f32],
        placement: Placement,
    ) -> Vec<f32> {
        let mut output = before.to_vec();
        let is_gated = epilogue.activation == Activation::GatedSigmoid;
        let columns = if is_gated { weight_columns / 2 } else { weight_columns };
        for group in 0..windows.num_groups {
            for row in 0..windows.group_rows {
                let start = group * windows.group_pitch + row * windows.row_pitch;
                let sum = |column: usize| -> f64 {
                    (0..windows.taps * windows.tap_inputs)
                        .map(|input| {
                            let (tap, offset) = (input / windows.tap_inputs, input % windows.tap_inputs);
                            let value = windows.values[start + tap * windows.tap_pitch + offset];
                            f64::from(value) * f64::from(weight(input, column))
                        })
                        .sum()
                };
                for column in 0..columns {
                    let place = &mut output[group * placement.group_pitch + row * placement.row_pitch + column];
                    let mut value = sum(column) + epilogue.bias.map_or(0.0, |bias| f64::from(bias[column]));
                    if epilogue.residual == Residual::BeforeActivation {
                        value += f64::from(*place);
                    }
                    value = match epilogue.activation {
                        Activation::GatedSigmoid => value / (1.0 + (-sum(columns + column)).exp()),
                        activation => activated(activation, value),
                    };
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

    fn check(windows: &Windows<'_>, columns: usize, epilogue: &Epilogue<'_>, placement: Placement, name: &str) {
        let inputs = windows.taps * windows.tap_inputs;
        let is_gated = epilogue.activation == Activation::GatedSigmoid;
        let weight_columns = if is_gated { 2 * columns } else { columns };
        let weights = noise(inputs * weight_columns, 2);
        let scale = 1.0 / (inputs as f32).sqrt();
        let weight = |input: usize, column: usize| weights[column * inputs + input] * scale;
        let last_row =
            (windows.num_groups - 1) * placement.group_pitch + (windows.group_rows - 1) * placement.row_pitch;
        let before = noise(last_row + columns + 5, 3);
        let expected = composed(windows, weight, weight_columns, epilogue, &before, placement);
        for arithmetic in arithmetics() {
            let packed = if is_gated {
                PackedMatrix::pack_gated(arithmetic, inputs, columns, weight)
            } else {
                PackedMatrix::pack(arithmetic, windows.taps, windows.tap_inputs, columns, weight)
            };
            assert_eq!((packed.inputs(), packed.columns()), (inputs, columns));
            let mut found = before.clone();
            multiply(windows, &packed, epilogue, &mut found, placement);
            let name = format!("{name}, {arithmetic:?}");
            assert_near(&name, &found, &expected, tolerance(arithmetic));
            // What lies between and behind the rows is left alone.
            let mut is_row = vec![false; before.len()];
            for group in 0..windows.num_groups {
                for row in 0..windows.group_rows {
                    let start = group * placement.group_pitch + row * placement.row_pitch;
                    is_row[start..start + columns].fill(true);
                }
            }
            for (index, (found, before)) in found.iter().zip(&before).enumerate() {
                assert!(is_row[index] || found == before, "{name}: value {index} was touched");
            }
        }
    }

    #[test]
    fn linear_layers_of_odd_shapes() {
        for (rows, inputs, columns) in [
            (1, 1, 1),
            (7, 3, 5),
            (14, 32, 32),
            (17, 33, 31),
            (33, 64, 65),
            (50, 257, 16),
            (400, 40, 130),
            (3, 2500, 40),
        ] {
            let values = noise(rows * inputs, 1);
            let windows = Windows::matrix(&values, inputs);
            let bias = noise(columns, 4);
            let placement = Placement { group_pitch: 0, row_pitch: columns };
            let name = format!("{rows}x{inputs}x{columns}");
            check(&windows, columns, &Epilogue::default(), placement, &name);
            let epilogue = Epilogue { bias: Some(&bias), scale: 0.5, residual: Residual::Last, ..Epilogue::default() };
            check(&windows, columns, &epilogue, Placement { row_pitch: columns + 3, ..placement }, &name);
        }
    }

    #[test]
    fn everything_that_may_follow_a_product() {
        let (rows, inputs, columns) = (19, 37, 45);
        let values = noise(rows * inputs, 1);
        let windows = Windows::matrix(&values, inputs);
        let placement = Placement { group_pitch: 0, row_pitch: columns };
        let bias = noise(columns, 4);
        for activation in
            [Activation::None, Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GatedSigmoid]
        {
            for residual in [Residual::None, Residual::BeforeActivation, Residual::Last] {
                let bias = Some(bias.as_slice()).filter(|_| activation != Activation::GatedSigmoid);
                let epilogue = Epilogue { bias, activation, scale: 1.5, residual };
                check(&windows, columns, &epilogue, placement, &format!("{activation:?}, {residual:?}"));
            }
        }
    }

    #[test]
    fn convolutions_over_frames() {
        for (frames, channels, kernel, stride, columns) in [
            (12, 1, 10, 5, 6),
            (57, 6, 3, 2, 8),
            (31, 16, 2, 2, 33),
            (1000, 5, 3, 2, 4),
            (20, 7, 3, 1, 40),
            (4, 3, 2, 4, 3),
        ] {
            let values = noise(frames * channels, 1);
            let num_rows = (frames - kernel) / stride + 1;
            let windows = Windows::frames(&values, num_rows, stride * channels, kernel * channels);
            let placement = Placement { group_pitch: 0, row_pitch: columns };
            check(&windows, columns, &Epilogue::default(), placement, &format!("{frames} frames, {kernel}/{stride}"));
        }
    }

    #[test]
    fn convolutions_over_images() {
        for (times, bands, channels, columns, stride) in
            [(1, 1, 1, 1, 1), (5, 7, 3, 5, 1), (9, 40, 16, 33, 1), (30, 64, 4, 8, 1), (8, 6, 5, 7, 2)]
        {
            // [time, band, channel] with a border of one.
            let (padded_times, padded_bands) = ((times - 1) * stride + 3, (bands - 1) * stride + 3);
            let values = noise(padded_times * padded_bands * channels, 1);
            let row = padded_bands * channels;
            let windows = Windows {
                values: &values,
                num_groups: times,
                group_rows: bands,
                group_pitch: stride * row,
                row_pitch: stride * channels,
                taps: 3,
                tap_pitch: row,
                tap_inputs: 3 * channels,
            };
            let placement = Placement { group_pitch: (bands + 2) * columns, row_pitch: columns };
            let epilogue =
                Epilogue { activation: Activation::Relu, residual: Residual::BeforeActivation, ..Epilogue::default() };
            check(&windows, columns, &epilogue, placement, &format!("{times}x{bands}x{channels} by {stride}"));
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads_and_beside_any_other_rows() {
        let (rows, inputs, columns) = (150, 96, 70);
        let values = noise(rows * inputs, 1);
        let weights = noise(inputs * columns, 2);
        for arithmetic in arithmetics() {
            let packed =
                PackedMatrix::pack(arithmetic, 1, inputs, columns, |input, column| weights[input * columns + column]);
            let product = |values: &[f32], threads: usize| {
                let mut output = vec![0.0; values.len() / inputs * columns];
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let placement = Placement { group_pitch: 0, row_pitch: columns };
                let windows = Windows::matrix(values, inputs);
                pool.install(|| multiply(&windows, &packed, &Epilogue::default(), &mut output, placement));
                output
            };
            let whole = product(&values, 1);
            assert!(whole == product(&values, 3), "{arithmetic:?}");
            assert!(whole[..37 * columns] == product(&values[..37 * inputs], 2), "{arithmetic:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_in_its_row() {
        let (rows, inputs, columns) = (40, 33, 20);
        let mut values = noise(rows * inputs, 1);
        values[5 * inputs + 7] = f32::NAN;
        values[8 * inputs + 7] = f32::INFINITY;
        for arithmetic in arithmetics() {
            let packed = PackedMatrix::pack(arithmetic, 1, inputs, columns, |input, column| (input + column) as f32);
            let mut output = vec![0.0; rows * columns];
            let placement = Placement { group_pitch: 0, row_pitch: columns };
            multiply(&Windows::matrix(&values, inputs), &packed, &Epilogue::default(), &mut output, placement);
            for (row, values) in output.chunks(columns).enumerate() {
                let is_whole = values.iter().all(|value| value.is_finite());
                assert_eq!(is_whole, row != 5 && row != 8, "{arithmetic:?}: row {row}");
            }
            assert!(output[5 * columns].is_nan(), "{arithmetic:?}");
        }
    }

    #[test]
    #[should_panic(expected = "windows see 12 values of 11")]
    fn windows_beyond_their_memory_are_refused() {
        let packed = PackedMatrix::pack(Arithmetic::new(Precision::F32), 1, 4, 2, |_, _| 1.0);
        let windows = Windows::frames(&[0.0; 11], 3, 4, 4);
        multiply(&windows, &packed, &Epilogue::default(), &mut [0.0; 6], Placement { group_pitch: 0, row_pitch: 2 });
    }

    #[test]
    #[should_panic(expected = "windows see 18446744073709551615 values of 40")]
    fn windows_so_far_apart_that_no_number_says_it_are_refused() {
        let packed = PackedMatrix::pack(Arithmetic::new(Precision::F32), 1, 4, 2, |_, _| 1.0);
        let windows = Windows::frames(&[0.0; 40], 33, 1 << 59, 4);
        multiply(&windows, &packed, &Epilogue::default(), &mut [0.0; 66], Placement { group_pitch: 0, row_pitch: 2 });
    }

    #[test]
    #[should_panic(expected = "rows need 18446744073709551615 values of 66")]
    fn rows_so_far_apart_that_no_number_says_it_are_refused() {
        let packed = PackedMatrix::pack(Arithmetic::new(Precision::F32), 1, 1, 2, |_, _| 1.0);
        let placement = Placement { group_pitch: 0, row_pitch: 1 << 59 };
        multiply(&Windows::matrix(&[0.0; 33], 1), &packed, &Epilogue::default(), &mut [0.0; 66], placement);
    }

    #[test]
    #[should_panic(expected = "rows need 6 values of 5")]
    fn rows_beyond_their_memory_are_refused() {
        let packed = PackedMatrix::pack(Arithmetic::new(Precision::F32), 1, 4, 2, |_, _| 1.0);
        let windows = Windows::frames(&[0.0; 12], 3, 4, 4);
        multiply(&windows, &packed, &Epilogue::default(), &mut [0.0; 5], Placement { group_pitch: 0, row_pitch: 2 });
    }
}
