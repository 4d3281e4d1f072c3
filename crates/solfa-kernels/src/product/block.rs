//! Products of rows that an operation has made in scratch memory, on the calling thread alone: the parts of operations
//! which transform their operand, multiply, and transform the result.
#![allow(unsafe_code, reason = "kernels work on pointers into slices that were checked here: see the SAFETY comments")]

use std::ops::Range;

use super::operand::{Layout, OperandView};
use super::{Chunks, ConfiguredTiles, Kernel, PANEL_COLUMNS, PackedMatrix, Strip, Upcoming, strips_of};

/// Where rows lie in scratch memory: input `i` of tap `t` of row `r` is at byte
/// `t * tap_pitch + r * row_pitch + i * bytes of a value`, and its low part `low_offset` behind it, where values are
/// [split](super::OperandFormat::SplitBf16).
#[derive(Clone, Copy)]
pub(crate) struct BlockOperand<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) tap_pitch: usize,
    pub(crate) row_pitch: usize,
    pub(crate) low_offset: usize,
}

/// Some rows, in the [form](Arithmetic::operand_format) that the weights are for, times the taps of packed weights.
pub(crate) struct BlockProduct<'a> {
    kernel: Kernel,
    weights: &'a PackedMatrix,
    strips: Vec<(usize, usize)>,
    chunks: Chunks,
    chunks_per_tap: usize,
}

impl<'a> BlockProduct<'a> {
    pub(crate) fn new(weights: &'a PackedMatrix, num_rows: usize) -> Self {
        let kernel = weights.arithmetic().kernel();
        let (taps, tap_inputs) = weights.taps();
        let chunks = Chunks::new(&kernel, taps, tap_inputs, true);
        Self {
            strips: strips_of(&kernel, num_rows),
            chunks_per_tap: chunks.len() / taps.max(1),
            kernel,
            weights,
            chunks,
        }
    }

    /// Rows that the operand and the sums must have room for. What the additional ones hold does not matter.
    pub(crate) fn padded_rows(&self) -> usize {
        self.strips.len() * self.kernel.strip_rows
    }

    /// For every one of `panels`, the sum over `taps` of the tap's rows times its weights, into `sums`
    /// `[panel][padded row][column]`. The weights of `next`, a tap and a panel, are fetched on the way.
    ///
    /// # Panics
    /// If the operand or the sums are too small.
    pub(crate) fn multiply(
        &self,
        operand: BlockOperand<'_>,
        taps: Range<usize>,
        panels: Range<usize>,
        sums: &mut [f32],
        next: Option<(usize, usize)>,
    ) {
        let Self { kernel, weights, .. } = self;
        let (_, tap_inputs) = weights.taps();
        let value_bytes = kernel.operand.value_bytes();
        let padded_inputs = tap_inputs.next_multiple_of(kernel.step_inputs);
        let needed = (taps.end - 1) * operand.tap_pitch
            + (self.padded_rows() - 1) * operand.row_pitch
            + padded_inputs * value_bytes;
        assert!(needed + operand.low_offset <= operand.bytes.len(), "rows reach beyond their memory");
        let panel_sums = self.padded_rows() * PANEL_COLUMNS;
        assert!(panels.len() * panel_sums <= sums.len(), "sums reach beyond their memory");
        let view = OperandView::new(
            operand.bytes,
            Layout {
                group_pitch: 0,
                row_pitch: operand.row_pitch,
                tap_pitch: operand.tap_pitch,
                value_bytes,
                low_offset: operand.low_offset,
            },
        );
        let numbers = taps.start * self.chunks_per_tap..taps.end * self.chunks_per_tap;
        let weights_of = |panel: usize, number: usize| &weights.panel(panel)[self.chunks.bytes_of(number)];
        let _configured = ConfiguredTiles::new(kernel);
        for (panel, panel_sums) in panels.clone().zip(sums.chunks_exact_mut(panel_sums)) {
            for number in numbers.clone() {
                let chunk = self.chunks.get(number);
                let upcoming = if number + 1 < numbers.end {
                    Some(weights_of(panel, number + 1))
                } else if panel + 1 < panels.end {
                    Some(weights_of(panel + 1, numbers.start))
                } else {
                    next.map(|(tap, panel)| weights_of(panel, tap * self.chunks_per_tap))
                };
                let mut upcoming = Upcoming::new(upcoming, self.strips.len() * chunk.steps);
                for &(row, rows) in &self.strips {
                    let (upcoming, upcoming_lines) = upcoming.next(chunk.steps);
                    let strip = Strip {
                        rows,
                        steps: chunk.steps,
                        left: view.row(0, row, chunk.tap, chunk.first_step * kernel.step_inputs),
                        left_pitch: operand.row_pitch,
                        left_low: operand.low_offset,
                        right: weights_of(panel, number).as_ptr(),
                        sums: panel_sums[row * PANEL_COLUMNS..].as_mut_ptr(),
                        accumulates: number > numbers.start,
                        upcoming,
                        upcoming_lines,
                    };
                    // SAFETY: the kernel's instructions are available (`Arithmetic` sees to it). Operand and sums have
                    // room for whole strips, as is checked above; the panel has these steps.
                    unsafe { (kernel.multiply)(&strip) };
                }
            }
        }
    }
}
