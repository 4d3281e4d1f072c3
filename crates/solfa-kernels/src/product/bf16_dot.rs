//! Strips by dot products of bfloat16 pairs (AVX512-BF16).
#![allow(unsafe_code, reason = "vector instructions on pointers: see the SAFETY comments")]

use std::arch::x86_64::*;

use super::operand::OperandFormat;
use super::packed::Format;
use super::{Kernel, LINE_BYTES, PANEL_COLUMNS, Strip, prefetch};
use crate::instruction_set::InstructionSet;

const ROWS: usize = 14;

pub(super) const KERNEL: Kernel = Kernel {
    set: InstructionSet::Avx512Bf16,
    operand: OperandFormat::Bf16,
    packed: Format::Bf16Pairs { step_inputs: 2 },
    step_inputs: 2,
    strip_rows: ROWS,
    has_even_strips: true,
    block_rows: 126,
    block_inputs: 2048,
    chunk_inputs: 2048,
    uses_tiles: false,
    multiply,
};

/// # Safety
/// As [`Strip`] says; the processor has AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn multiply(given: &Strip) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match given.rows {
                $($rows => strip::<$rows>(given),)*
                rows => unreachable!("a strip of {rows} rows"),
            }
        };
    }
    // SAFETY: the caller's.
    unsafe { by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14) }
}

#[inline(always)]
unsafe fn strip<const ROWS: usize>(strip: &Strip) {
    let mut right: *const i32 = strip.right.cast();
    let mut upcoming = strip.upcoming;
    let upcoming_step = strip.upcoming_lines * LINE_BYTES;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for step in 0..strip.steps {
            prefetch(upcoming);
            upcoming = upcoming.wrapping_add(upcoming_step);
            let weights =
                [as_bf16(_mm512_loadu_si512(right.cast())), as_bf16(_mm512_loadu_si512(right.add(16).cast()))];
            for (row, sums) in sums.iter_mut().enumerate() {
                // A row may begin at any even address.
                let pair = as_bf16(_mm512_set1_epi32(
                    strip.left.add(row * strip.left_pitch + step * size_of::<i32>()).cast::<i32>().read_unaligned(),
                ));
                for (sum, &weights) in sums.iter_mut().zip(&weights) {
                    *sum = _mm512_dpbf16_ps(*sum, pair, weights);
                }
            }
            right = right.wrapping_add(PANEL_COLUMNS);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let place = strip.sums.add(row * PANEL_COLUMNS + vector * 16);
                let sum = if strip.accumulates { _mm512_add_ps(_mm512_loadu_ps(place), sum) } else { sum };
                _mm512_storeu_ps(place, sum);
            }
        }
    }
}

#[inline(always)]
unsafe fn as_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits without invalid values.
    unsafe { std::mem::transmute(bits) }
}
