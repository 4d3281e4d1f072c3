//! Strips by fused multiply-add: weights in single precision, or in bfloat16 and widened on the way.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use super::operand::OperandFormat;
use super::packed::Format;
use super::{Kernel, LINE_BYTES, PANEL_COLUMNS, Precision, Strip, prefetch};
use crate::instruction_set::InstructionSet;
use crate::simd::{Plain, Simd};

/// Rows of a strip: so many that their sums fill the registers.
const AVX512_ROWS: usize = 14;
const AVX512_WIDENED_ROWS: usize = 12;
const AVX2_ROWS: usize = 6;
const AVX2_WIDENED_ROWS: usize = 5;
const PLAIN_ROWS: usize = 4;

pub(super) fn kernel(set: InstructionSet, precision: Precision) -> Kernel {
    let (packed, step_inputs) = match precision {
        Precision::F32 => (Format::F32, 1),
        Precision::Bf16 => (Format::Bf16Pairs { step_inputs: 2 }, 2),
    };
    let (strip_rows, multiply): (usize, unsafe fn(&Strip)) = match (set, precision) {
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Avx2, Precision::F32) => (AVX2_ROWS, x86::avx2),
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Avx2, Precision::Bf16) => (AVX2_WIDENED_ROWS, x86::avx2_widened),
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx, Precision::F32) => {
            (AVX512_ROWS, x86::avx512)
        }
        #[cfg(target_arch = "x86_64")]
        (InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx, Precision::Bf16) => {
            (AVX512_WIDENED_ROWS, x86::avx512_widened)
        }
        (_, Precision::F32) => (PLAIN_ROWS, plain),
        (_, Precision::Bf16) => (PLAIN_ROWS, plain_widened),
    };
    // 126 rows of 1024 inputs take half a megabyte, a panel of as many inputs takes an eighth.
    let block_rows = 126 / strip_rows * strip_rows;
    Kernel {
        set,
        operand: OperandFormat::F32,
        packed,
        step_inputs,
        strip_rows,
        has_even_strips: true,
        block_rows,
        block_inputs: 1024,
        chunk_inputs: 1024,
        uses_tiles: false,
        multiply,
    }
}

/// One strip of `ROWS` rows, `VECTORS` vectors of columns at a time. Its inner loops count, because some builds leave
/// iterators there as calls of functions.
///
/// # Safety
/// As [`Strip`] says, and as [`Simd`] says.
#[inline(always)]
unsafe fn strip<S: Simd, const ROWS: usize, const VECTORS: usize>(strip: &Strip) {
    let left: *const f32 = strip.left.cast();
    let left_pitch = strip.left_pitch / size_of::<f32>();
    let mut upcoming = strip.upcoming;
    let upcoming_step = strip.upcoming_lines * LINE_BYTES;
    let mut first_column = 0;
    while first_column < PANEL_COLUMNS {
        let mut right: *const f32 = strip.right.cast::<f32>().wrapping_add(first_column);
        // SAFETY: see above.
        unsafe {
            let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
            let mut weights = [S::splat(0.0); VECTORS];
            for step in 0..strip.steps {
                prefetch(upcoming);
                upcoming = upcoming.wrapping_add(upcoming_step);
                for (vector, weights) in weights.iter_mut().enumerate() {
                    *weights = S::load(right.add(vector * S::LANES));
                }
                let mut row = 0;
                while row < ROWS {
                    let value = S::splat(*left.add(row * left_pitch + step));
                    let mut vector = 0;
                    while vector < VECTORS {
                        sums[row][vector] = S::mul_add(value, weights[vector], sums[row][vector]);
                        vector += 1;
                    }
                    row += 1;
                }
                right = right.wrapping_add(PANEL_COLUMNS);
            }
            store::<S, ROWS, VECTORS>(strip, first_column, &sums);
        }
        first_column += VECTORS * S::LANES;
    }
}

/// The same with weights in pairs of bfloat16.
///
/// # Safety
/// As [`Strip`] says, and as [`Simd`] says.
#[inline(always)]
unsafe fn widened_strip<S: Simd, const ROWS: usize, const VECTORS: usize>(strip: &Strip) {
    let left: *const f32 = strip.left.cast();
    let left_pitch = strip.left_pitch / size_of::<f32>();
    let mut upcoming = strip.upcoming;
    let upcoming_step = strip.upcoming_lines * LINE_BYTES;
    let mut first_column = 0;
    while first_column < PANEL_COLUMNS {
        let mut right: *const f32 = strip.right.cast::<f32>().wrapping_add(first_column);
        // SAFETY: see above.
        unsafe {
            let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
            let mut pairs = [S::splat(0.0); VECTORS];
            for step in 0..strip.steps {
                prefetch(upcoming);
                upcoming = upcoming.wrapping_add(upcoming_step);
                for (vector, pairs) in pairs.iter_mut().enumerate() {
                    *pairs = S::load(right.add(vector * S::LANES));
                }
                let mut row = 0;
                while row < ROWS {
                    let values = left.add(row * left_pitch + 2 * step);
                    let (first, second) = (S::splat(*values), S::splat(*values.add(1)));
                    let mut vector = 0;
                    while vector < VECTORS {
                        let sum = S::mul_add(first, S::low_halves(pairs[vector]), sums[row][vector]);
                        sums[row][vector] = S::mul_add(second, S::high_halves(pairs[vector]), sum);
                        vector += 1;
                    }
                    row += 1;
                }
                right = right.wrapping_add(PANEL_COLUMNS);
            }
            store::<S, ROWS, VECTORS>(strip, first_column, &sums);
        }
        first_column += VECTORS * S::LANES;
    }
}

/// # Safety
/// As [`Strip`] says, and as [`Simd`] says.
#[inline(always)]
unsafe fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    strip: &Strip,
    first_column: usize,
    sums: &[[S::Vector; VECTORS]; ROWS],
) {
    for (row, sums) in sums.iter().enumerate() {
        for (vector, &sum) in sums.iter().enumerate() {
            // SAFETY: the sums have this row and these columns.
            unsafe {
                let place = strip.sums.add(row * PANEL_COLUMNS + first_column + vector * S::LANES);
                S::store(place, if strip.accumulates { S::add(S::load(place), sum) } else { sum });
            }
        }
    }
}

/// Calls the strip of as many rows as there are.
macro_rules! by_rows {
    ($strip:ident, $simd:ty, $vectors:literal, $given:ident, $($rows:literal)*) => {
        match $given.rows {
            $($rows => $strip::<$simd, $rows, $vectors>($given),)*
            rows => unreachable!("a strip of {rows} rows"),
        }
    };
}

unsafe fn plain(given: &Strip) {
    // SAFETY: every processor runs this; the strip is the caller's.
    unsafe { by_rows!(strip, Plain, 1, given, 1 2 3 4) }
}

unsafe fn plain_widened(given: &Strip) {
    // SAFETY: as above.
    unsafe { by_rows!(widened_strip, Plain, 1, given, 1 2 3 4) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Strip, strip, widened_strip};
    use crate::simd::{Avx2, Avx512};

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(given: &Strip) {
        // SAFETY: the caller knows that the processor has the instructions; the strip is the caller's.
        unsafe { by_rows!(strip, Avx2, 2, given, 1 2 3 4 5 6) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2_widened(given: &Strip) {
        // SAFETY: as above.
        unsafe { by_rows!(widened_strip, Avx2, 2, given, 1 2 3 4 5) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn avx512(given: &Strip) {
        // SAFETY: as above.
        unsafe { by_rows!(strip, Avx512, 2, given, 1 2 3 4 5 6 7 8 9 10 11 12 13 14) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn avx512_widened(given: &Strip) {
        // SAFETY: as above.
        unsafe { by_rows!(widened_strip, Avx512, 2, given, 1 2 3 4 5 6 7 8 9 10 11 12) }
    }
}
