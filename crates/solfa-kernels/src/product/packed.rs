//! Weights in the order that a kernel reads them.

use rayon::prelude::*;

use super::operand::{from_bf16, to_bf16};
use super::{Arithmetic, PANEL_COLUMNS};
use crate::memory::Buffer;

/// How the weights of a panel lie in memory. Inputs come in steps; columns in panels of [`PANEL_COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `[input][column]` in single precision.
    F32,
    /// `[pair of inputs][column][input of the pair]` in bfloat16, in steps of so many inputs.
    Bf16Pairs {
        /// Inputs of a step.
        step_inputs: usize,
    },
    /// Steps of 32 inputs, each as above twice: what the weights round to, and what is then left.
    SplitBf16Pairs,
}

impl Format {
    pub(super) fn step_inputs(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16Pairs { step_inputs } => step_inputs,
            Self::SplitBf16Pairs => 32,
        }
    }

    /// Bytes of a step.
    pub(super) fn step_bytes(self) -> usize {
        let value_bytes = if matches!(self, Self::Bf16Pairs { .. }) { 2 } else { 4 };
        self.step_inputs() * PANEL_COLUMNS * value_bytes
    }

    /// Writes one weight into its panel.
    fn write(self, panel: &mut [u8], input: usize, column: usize, weight: f32) {
        let (step, input) = (input / self.step_inputs(), input % self.step_inputs());
        let step = &mut panel[step * self.step_bytes()..][..self.step_bytes()];
        let in_pairs = ((input / 2) * PANEL_COLUMNS + column) * 2 + input % 2;
        match self {
            Self::F32 => bytemuck::cast_slice_mut::<u8, f32>(step)[column] = weight,
            Self::Bf16Pairs { .. } => bytemuck::cast_slice_mut::<u8, u16>(step)[in_pairs] = to_bf16(weight),
            Self::SplitBf16Pairs => {
                let (high, low) = bytemuck::cast_slice_mut::<u8, u16>(step).split_at_mut(32 * PANEL_COLUMNS);
                high[in_pairs] = to_bf16(weight);
                low[in_pairs] = to_bf16(weight - from_bf16(high[in_pairs]));
            }
        }
    }
}

/// A matrix of weights `[inputs, columns]`, packed once for one kind of arithmetic.
#[derive(Debug)]
pub struct PackedMatrix {
    arithmetic: Arithmetic,
    taps: usize,
    tap_inputs: usize,
    columns: usize,
    is_gated: bool,
    panel_bytes: usize,
    memory: Buffer,
}

impl PackedMatrix {
    /// Packs `weight(input, column)`, where `input` counts through all taps.
    pub fn pack(
        arithmetic: Arithmetic,
        taps: usize,
        tap_inputs: usize,
        columns: usize,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let in_panel =
            |panel: usize, column: usize| Some(panel * PANEL_COLUMNS + column).filter(|&column| column < columns);
        Self::pack_columns(arithmetic, taps, tap_inputs, columns, false, in_panel, weight)
    }

    /// Packs the weights of a gated linear unit: of `2 * columns` columns, the second half gates the first, see
    /// [`Activation::GatedSigmoid`](super::Activation::GatedSigmoid).
    pub fn pack_gated(
        arithmetic: Arithmetic,
        inputs: usize,
        columns: usize,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let in_panel = |panel: usize, column: usize| {
            let half = PANEL_COLUMNS / 2;
            let value = panel * half + column % half;
            Some(if column < half { value } else { columns + value }).filter(|_| value < columns)
        };
        Self::pack_columns(arithmetic, 1, inputs, columns, true, in_panel, weight)
    }

    fn pack_columns(
        arithmetic: Arithmetic,
        taps: usize,
        tap_inputs: usize,
        columns: usize,
        is_gated: bool,
        in_panel: impl Fn(usize, usize) -> Option<usize> + Sync,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let format = arithmetic.kernel().packed;
        let padded_inputs = tap_inputs.next_multiple_of(format.step_inputs());
        let panel_bytes = taps * padded_inputs / format.step_inputs() * format.step_bytes();
        let panel_columns = if is_gated { PANEL_COLUMNS / 2 } else { PANEL_COLUMNS };
        let mut memory = Buffer::zeros::<u8>(columns.div_ceil(panel_columns) * panel_bytes);
        memory.values_mut::<u8>().par_chunks_exact_mut(panel_bytes.max(1)).enumerate().for_each(|(number, panel)| {
            // Blocks of inputs, so that weights which lie column by column are read a cache line at a time.
            const BLOCK: usize = 16;
            for block in (0..taps * tap_inputs).step_by(BLOCK) {
                for column in 0..PANEL_COLUMNS {
                    let Some(source) = in_panel(number, column) else { continue };
                    for input in block..(block + BLOCK).min(taps * tap_inputs) {
                        let padded = input / tap_inputs * padded_inputs + input % tap_inputs;
                        format.write(panel, padded, column, weight(input, source));
                    }
                }
            }
        });
        Self { arithmetic, taps, tap_inputs, columns, is_gated, panel_bytes, memory }
    }

    /// What it was packed for.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Columns of a product's result.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Inputs of a row.
    pub fn inputs(&self) -> usize {
        self.taps * self.tap_inputs
    }

    /// Memory that it takes.
    pub fn num_bytes(&self) -> usize {
        self.memory.num_bytes()
    }

    pub(super) fn taps(&self) -> (usize, usize) {
        (self.taps, self.tap_inputs)
    }

    pub(super) fn is_gated(&self) -> bool {
        self.is_gated
    }

    pub(super) fn num_panels(&self) -> usize {
        self.columns.div_ceil(self.panel_columns())
    }

    /// Columns of the result that a panel gives.
    pub(super) fn panel_columns(&self) -> usize {
        if self.is_gated { PANEL_COLUMNS / 2 } else { PANEL_COLUMNS }
    }

    pub(super) fn panel(&self, number: usize) -> &[u8] {
        &self.memory.values()[number * self.panel_bytes..(number + 1) * self.panel_bytes]
    }
}
