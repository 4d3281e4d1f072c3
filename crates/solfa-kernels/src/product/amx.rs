//! Strips by matrix tiles (Intel AMX): 16 rows of 32 bfloat16 times 32 of 16 columns, in 16 cycles.
//!
//! The instructions are written as assembly, because Rust's functions for them are not stable yet.
#![allow(unsafe_code, reason = "instructions that Rust has no stable functions for: see the SAFETY comments")]

use std::arch::asm;

use super::operand::OperandFormat;
use super::packed::Format;
use super::{Kernel, LINE_BYTES, PANEL_COLUMNS, Strip, prefetch};
use crate::instruction_set::InstructionSet;

/// Rows of a tile.
const TILE_ROWS: usize = 16;
/// Inputs of a step: the width of a tile, in bfloat16.
const STEP_INPUTS: usize = 32;
/// Bytes of a step of weights: sixteen pairs of inputs for 32 columns.
const STEP_BYTES: usize = STEP_INPUTS * PANEL_COLUMNS * 2;

/// Weights and values in bfloat16.
pub(super) const BF16: Kernel = Kernel {
    set: InstructionSet::Amx,
    operand: OperandFormat::Bf16,
    packed: Format::Bf16Pairs { step_inputs: STEP_INPUTS },
    step_inputs: STEP_INPUTS,
    strip_rows: 2 * TILE_ROWS,
    has_even_strips: false,
    block_rows: 384,
    block_inputs: 2048,
    chunk_inputs: 1024,
    uses_tiles: true,
    multiply: multiply_bf16,
};

/// Weights and values as sums of two bfloat16: `(a + b) (c + d)` without `b d`, which is below the last bit that counts.
pub(super) const SPLIT: Kernel = Kernel {
    operand: OperandFormat::SplitBf16,
    packed: Format::SplitBf16Pairs,
    block_inputs: 1024,
    chunk_inputs: 512,
    multiply: multiply_split,
    ..BF16
};

/// The layout of a tile configuration, Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, sec. 18.2.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles as sixteen rows of 64 bytes.
static WHOLE_TILES: TileConfiguration = TileConfiguration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// # Safety
/// The processor has tiles and this process may use them.
pub(super) unsafe fn configure_tiles() {
    // SAFETY: the caller's; the configuration is valid.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES, options(nostack, preserves_flags, readonly)) };
}

/// # Safety
/// The processor has tiles and this process may use them.
pub(super) unsafe fn release_tiles() {
    // SAFETY: the caller's.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
}

// The tiles of a strip: 0 to 3 hold sums (rows 0-15 and 16-31, each times columns 0-15 and 16-31), 4 and 5 rows of the
// left operand, 6 and 7 columns of weights. The compiler never uses tiles by itself.

/// # Safety
/// The sums are valid for 32 rows, and tiles are configured.
#[inline(always)]
unsafe fn begin(strip: &Strip) {
    // SAFETY: the caller's.
    unsafe {
        if strip.accumulates {
            asm!(
                "tileloadd tmm0, [{sums} + {pitch}]",
                "tileloadd tmm1, [{sums} + {pitch} + 64]",
                "tileloadd tmm2, [{lower} + {pitch}]",
                "tileloadd tmm3, [{lower} + {pitch} + 64]",
                sums = in(reg) strip.sums,
                lower = in(reg) strip.sums.add(TILE_ROWS * PANEL_COLUMNS),
                pitch = in(reg) PANEL_COLUMNS * size_of::<f32>(),
                options(nostack, preserves_flags, readonly)
            );
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, preserves_flags, nomem)
            );
        }
    }
}

/// # Safety
/// As for [`begin`].
#[inline(always)]
unsafe fn end(strip: &Strip) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "tilestored [{sums} + {pitch}], tmm0",
            "tilestored [{sums} + {pitch} + 64], tmm1",
            "tilestored [{lower} + {pitch}], tmm2",
            "tilestored [{lower} + {pitch} + 64], tmm3",
            sums = in(reg) strip.sums,
            lower = in(reg) strip.sums.add(TILE_ROWS * PANEL_COLUMNS),
            pitch = in(reg) PANEL_COLUMNS * size_of::<f32>(),
            options(nostack, preserves_flags)
        );
    }
}

/// # Safety
/// As [`Strip`] says, for 32 rows; tiles are configured.
unsafe fn multiply_bf16(strip: &Strip) {
    let pitch = strip.left_pitch;
    let mut left = strip.left;
    let mut right = strip.right;
    let mut upcoming = strip.upcoming;
    let is_one_tile = strip.rows <= TILE_ROWS;
    // SAFETY: the caller's.
    unsafe {
        begin(strip);
        for _ in 0..strip.steps {
            for _ in 0..strip.upcoming_lines {
                prefetch(upcoming);
                upcoming = upcoming.wrapping_add(LINE_BYTES);
            }
            asm!(
                "tileloadd tmm6, [{right} + {right_pitch}]",
                "tileloadd tmm4, [{left} + {left_pitch}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {right_pitch} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                left = in(reg) left,
                left_pitch = in(reg) pitch,
                right = in(reg) right,
                right_pitch = in(reg) PANEL_COLUMNS * 4,
                options(nostack, preserves_flags, readonly)
            );
            if !is_one_tile {
                asm!(
                    "tileloadd tmm5, [{lower} + {left_pitch}]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    lower = in(reg) left.wrapping_add(TILE_ROWS * pitch),
                    left_pitch = in(reg) pitch,
                    options(nostack, preserves_flags, readonly)
                );
            }
            left = left.wrapping_add(STEP_INPUTS * 2);
            right = right.wrapping_add(STEP_BYTES);
        }
        end(strip);
    }
}

/// # Safety
/// As [`Strip`] says, for 32 rows; tiles are configured.
unsafe fn multiply_split(strip: &Strip) {
    let pitch = strip.left_pitch;
    let mut left = strip.left;
    let mut right = strip.right;
    let mut upcoming = strip.upcoming;
    let is_one_tile = strip.rows <= TILE_ROWS;
    // SAFETY: the caller's.
    unsafe {
        begin(strip);
        for _ in 0..strip.steps {
            for _ in 0..strip.upcoming_lines {
                prefetch(upcoming);
                upcoming = upcoming.wrapping_add(LINE_BYTES);
            }
            let left_low = left.wrapping_add(strip.left_low);
            let right_low = right.wrapping_add(STEP_BYTES);
            if is_one_tile {
                // In the same order as below: a row gives the same sums in either.
                asm!(
                    "tileloadd tmm6, [{right} + {right_pitch}]",
                    "tileloadd tmm4, [{left} + {left_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm6, [{right_low} + {right_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right_low} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm4, [{left_low} + {left_pitch}]",
                    "tileloadd tmm6, [{right} + {right_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    left = in(reg) left,
                    left_low = in(reg) left_low,
                    left_pitch = in(reg) pitch,
                    right = in(reg) right,
                    right_low = in(reg) right_low,
                    right_pitch = in(reg) PANEL_COLUMNS * 4,
                    options(nostack, preserves_flags, readonly)
                );
            } else {
                asm!(
                    // high x high
                    "tileloadd tmm6, [{right} + {right_pitch}]",
                    "tileloadd tmm4, [{left} + {left_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{lower} + {left_pitch}]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    // high x low
                    "tileloadd tmm6, [{right_low} + {right_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tileloadd tmm7, [{right_low} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    // low x high
                    "tileloadd tmm4, [{left_low} + {left_pitch}]",
                    "tileloadd tmm6, [{right} + {right_pitch}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {right_pitch} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{lower_low} + {left_pitch}]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    left = in(reg) left,
                    lower = in(reg) left.wrapping_add(TILE_ROWS * pitch),
                    left_low = in(reg) left_low,
                    lower_low = in(reg) left_low.wrapping_add(TILE_ROWS * pitch),
                    left_pitch = in(reg) pitch,
                    right = in(reg) right,
                    right_low = in(reg) right_low,
                    right_pitch = in(reg) PANEL_COLUMNS * 4,
                    options(nostack, preserves_flags, readonly)
                );
            }
            left = left.wrapping_add(STEP_INPUTS * 2);
            right = right.wrapping_add(2 * STEP_BYTES);
        }
        end(strip);
    }
}
