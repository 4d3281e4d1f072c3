//! The left operand of a product in the form that a kernel reads.

use rayon::prelude::*;

use super::{Kernel, Windows};
use crate::memory::{Borrowed, borrow};
use crate::simd::{Operation, Simd, dispatch};

/// How the left operand lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperandFormat {
    /// Single precision, where possible in place.
    F32,
    /// bfloat16, rounded to the nearest.
    Bf16,
    /// Two planes of bfloat16, whose sum is the number: what it rounds to, and what is then left.
    SplitBf16,
}

impl OperandFormat {
    /// Bytes of a value in one plane.
    pub(crate) fn value_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::SplitBf16 => 2,
        }
    }

    pub(crate) fn num_planes(self) -> usize {
        if self == Self::SplitBf16 { 2 } else { 1 }
    }
}

/// The left operand, in place or converted into borrowed memory.
pub(super) enum Operand<'a> {
    InPlace { values: &'a [f32], layout: Layout },
    Converted { memory: Borrowed<u8>, layout: Layout },
}

/// Bytes from one thing to the next.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) group_pitch: usize,
    pub(super) row_pitch: usize,
    pub(super) tap_pitch: usize,
    pub(super) value_bytes: usize,
    /// From a value to its low part.
    pub(super) low_offset: usize,
}

/// A left operand from some row on.
#[derive(Clone, Copy)]
pub(super) struct OperandView<'a> {
    /// From the first value of the first row on.
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> OperandView<'a> {
    /// Rows of which the first begins with the first byte.
    pub(super) fn new(bytes: &'a [u8], layout: Layout) -> Self {
        Self { bytes, layout }
    }

    /// The same from another row on.
    pub(super) fn at(self, group: usize, row: usize) -> Self {
        let offset = group * self.layout.group_pitch + row * self.layout.row_pitch;
        Self { bytes: &self.bytes[offset..], ..self }
    }

    pub(super) fn row(&self, group: usize, row: usize, tap: usize, first_input: usize) -> *const u8 {
        let Layout { group_pitch, row_pitch, tap_pitch, value_bytes, .. } = self.layout;
        let offset = group * group_pitch + row * row_pitch + tap * tap_pitch + first_input * value_bytes;
        self.bytes[offset..].as_ptr()
    }

    pub(super) fn row_pitch(&self) -> usize {
        self.layout.row_pitch
    }

    pub(super) fn low_offset(&self) -> usize {
        self.layout.low_offset
    }
}

impl<'a> Operand<'a> {
    pub(super) fn view(&self) -> OperandView<'_> {
        match self {
            Self::InPlace { values, layout } => OperandView { bytes: bytemuck::cast_slice(values), layout: *layout },
            Self::Converted { memory, layout } => OperandView { bytes: memory, layout: *layout },
        }
    }

    /// Rows that do not overlap, one by one, on all threads: padded with zeros to whole steps, and so far apart that they do
    /// not all begin in the same set of the cache.
    pub(super) fn of_rows(kernel: &Kernel, windows: &Windows<'a>) -> Operand<'static> {
        let format = kernel.operand;
        let num_rows = windows.num_rows();
        let padded_inputs = windows.tap_inputs.next_multiple_of(kernel.step_inputs);
        // An odd number of lines.
        let row_pitch = ((padded_inputs * format.value_bytes()).div_ceil(64) | 1) * 64;
        let plane = (num_rows + kernel.strip_rows) * row_pitch;
        let mut memory = borrow::<u8>(plane * format.num_planes());
        let (high, low) = memory.split_at_mut(plane);
        let convert = |row: usize, high: &mut [u8], low: &mut [u8]| {
            let (group, row) = (row / windows.group_rows, row % windows.group_rows);
            let start = group * windows.group_pitch + row * windows.row_pitch;
            let values = &windows.values[start..start + windows.tap_inputs];
            convert(kernel, values, high, low);
            high[values.len() * format.value_bytes()..].fill(0);
            if format.num_planes() == 2 {
                low[values.len() * format.value_bytes()..].fill(0);
            }
        };
        const ROWS_PER_TASK: usize = 16;
        let high = &mut high[..num_rows * row_pitch];
        let chunks = high.par_chunks_mut(ROWS_PER_TASK * row_pitch).enumerate();
        if format.num_planes() == 2 {
            let low = &mut low[..num_rows * row_pitch];
            chunks.zip(low.par_chunks_mut(ROWS_PER_TASK * row_pitch)).for_each(|((number, high), low)| {
                let rows = high.chunks_exact_mut(row_pitch).zip(low.chunks_exact_mut(row_pitch));
                rows.enumerate().for_each(|(row, (high, low))| convert(number * ROWS_PER_TASK + row, high, low));
            });
        } else {
            chunks.for_each(|(number, high)| {
                let rows = high.chunks_exact_mut(row_pitch).enumerate();
                rows.for_each(|(row, high)| convert(number * ROWS_PER_TASK + row, high, &mut []));
            });
        }
        let layout = Layout {
            group_pitch: windows.group_rows * row_pitch,
            row_pitch,
            tap_pitch: 0,
            value_bytes: format.value_bytes(),
            low_offset: if format.num_planes() == 2 { plane } else { 0 },
        };
        Operand::Converted { memory, layout }
    }

    /// Windows that overlap, as the stretch of memory that they share.
    pub(super) fn of_stretch(kernel: &Kernel, windows: &Windows<'_>, values: &'a [f32]) -> Operand<'a> {
        let format = kernel.operand;
        let value_bytes = format.value_bytes();
        let mut layout = Layout {
            group_pitch: windows.group_pitch * value_bytes,
            row_pitch: windows.row_pitch * value_bytes,
            tap_pitch: windows.tap_pitch * value_bytes,
            value_bytes,
            low_offset: 0,
        };
        if format == OperandFormat::F32 && windows.tap_inputs.is_multiple_of(kernel.step_inputs) {
            return Operand::InPlace { values, layout };
        }
        // A last step that is not whole reads on behind its row, where weights are zero: it must find numbers there. A
        // strip that is not whole reads rows that do not exist, and what comes of them is not used.
        let padding = kernel.step_inputs * value_bytes;
        let plane = values.len() * value_bytes + padding + kernel.strip_rows * layout.row_pitch;
        let plane = plane.next_multiple_of(64);
        let mut memory = borrow::<u8>(plane * format.num_planes());
        let (high, low) = memory.split_at_mut(plane);
        convert(kernel, values, high, low);
        for plane in [high, low] {
            if let Some(padding) = plane.get_mut(values.len() * value_bytes..values.len() * value_bytes + padding) {
                padding.fill(0);
            }
        }
        if format.num_planes() == 2 {
            layout.low_offset = plane;
        }
        Operand::Converted { memory, layout }
    }
}

/// Values to the operand's format; `low` is used where numbers are split.
fn convert(kernel: &Kernel, values: &[f32], high: &mut [u8], low: &mut [u8]) {
    match kernel.operand {
        OperandFormat::F32 => high[..size_of_val(values)].copy_from_slice(bytemuck::cast_slice(values)),
        OperandFormat::Bf16 => {
            let high = bytemuck::cast_slice_mut(&mut high[..values.len() * 2]);
            dispatch(kernel.set, Round { values, rounded: high });
        }
        OperandFormat::SplitBf16 => {
            let high = bytemuck::cast_slice_mut(&mut high[..values.len() * 2]);
            let low = bytemuck::cast_slice_mut(&mut low[..values.len() * 2]);
            dispatch(kernel.set, Split { values, high, low });
        }
    }
}

/// The nearest bfloat16; NaN stays NaN.
#[inline(always)]
pub(super) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if value.is_nan() { 0x7fc0 } else { rounded }
}

/// A bfloat16 as single precision.
#[inline(always)]
pub(super) fn from_bf16(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

struct Round<'a> {
    values: &'a [f32],
    rounded: &'a mut [u16],
}

impl Operation for Round<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (rounded, &value) in self.rounded.iter_mut().zip(self.values) {
            *rounded = to_bf16(value);
        }
    }
}

struct Split<'a> {
    values: &'a [f32],
    high: &'a mut [u16],
    low: &'a mut [u16],
}

impl Operation for Split<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for ((high, low), &value) in self.high.iter_mut().zip(self.low).zip(self.values) {
            *high = to_bf16(value);
            *low = to_bf16(value - from_bf16(*high));
        }
    }
}
