//! Checks of the sizes and numbers that configurations of all families state: what is impossible is refused by its name
//! before anything is built from it.

use std::fmt::Display;

/// Far above any published model: a larger size in a file is damage, and would only exhaust the memory.
pub(super) const LARGEST_WIDTH: usize = 1 << 16;
/// The same for the number of layers, each of which costs time even before its weights are looked for.
pub(super) const LARGEST_DEPTH: usize = 256;
/// The highest sample rate that audio interfaces have: a higher one in a file is damage.
const HIGHEST_SAMPLE_RATE: u32 = 768_000;

/// Checks one size.
///
/// # Errors
/// A sentence with its name, what was expected and what was found.
pub(super) fn check_size(name: &str, size: usize, largest: usize) -> Result<(), String> {
    if (1..=largest).contains(&size) { Ok(()) } else { Err(format!("{name}: expected 1 to {largest}, found {size}")) }
}

/// Checks a number that has to be above 0 in the single precision that networks compute in, where a huge number is
/// infinite and a tiny one is zero.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_positive(name: &str, value: impl Into<f64> + Display + Copy) -> Result<(), String> {
    let value_used = value.into() as f32;
    if value_used.is_finite() && value_used > 0.0 {
        return Ok(());
    }
    Err(format!("{name}: expected a number above 0, found {value}"))
}

/// Checks that heads, whose number is from 1 to [`LARGEST_WIDTH`], divide a width, which is given with its name.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_heads(name: &str, num_heads: usize, width: (&str, usize)) -> Result<(), String> {
    let (width_name, width) = width;
    if width.is_multiple_of(num_heads) {
        return Ok(());
    }
    Err(format!("{name}: expected a number that divides {width_name} {width}, found {num_heads}"))
}

/// The same for heads that have rotary positions, which need even widths.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_rotary_heads(name: &str, num_heads: usize, width: (&str, usize)) -> Result<(), String> {
    let (width_name, width) = width;
    if width.is_multiple_of(2 * num_heads) {
        return Ok(());
    }
    Err(format!("{name}: expected a number that divides {width_name} {width} into even widths, found {num_heads}"))
}

/// Checks that a convolution has a middle tap.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_odd_taps(name: &str, kernel: usize) -> Result<(), String> {
    check_size(name, kernel, LARGEST_WIDTH)?;
    if kernel.is_multiple_of(2) {
        return Err(format!("{name}: expected an odd number of taps, found {kernel}"));
    }
    Ok(())
}

/// Checks a sample rate, and gives it in Hz.
///
/// # Errors
/// As [`check_size`].
pub(super) fn check_sample_rate(name: &str, sample_rate: impl TryInto<u32> + Display + Copy) -> Result<u32, String> {
    let in_hertz = sample_rate.try_into().ok();
    in_hertz
        .filter(|rate| (1..=HIGHEST_SAMPLE_RATE).contains(rate))
        .ok_or_else(|| format!("{name}: expected 1 to {HIGHEST_SAMPLE_RATE} Hz, found {sample_rate}"))
}
