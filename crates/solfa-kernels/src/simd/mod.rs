//! Vectors of single precision, so that a kernel is written once and compiled for every instruction set.
//!
//! A kernel is an [`Operation`]: its `run` is generic over the [`Simd`] it is given and everything it calls is inlined
//! into a function for which the compiler may use that set's instructions.
#![allow(unsafe_code, reason = "vector instructions of the processor: see the SAFETY comments")]

mod functions;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use functions::{Function, Gelu, GeluSlope, Identity, Relu, Silu, SiluSlope, exp, exp2, sigmoid};
pub(crate) use plain::Plain;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

use crate::instruction_set::InstructionSet;

/// A vector type and what can be done with it.
///
/// # Safety
/// The functions may be called only inside [`dispatch`], which knows that the processor has the instructions; pointers
/// must be valid for what is read or written.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Numbers in a vector.
    const LANES: usize;
    /// The vector.
    type Vector: Copy;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(pointer: *const f32) -> Self::Vector;
    /// The first `count` numbers, zeros after them.
    unsafe fn load_first(pointer: *const f32, count: usize) -> Self::Vector;
    unsafe fn store(pointer: *mut f32, vector: Self::Vector);
    /// The first `count` numbers only.
    unsafe fn store_first(pointer: *mut f32, vector: Self::Vector, count: usize);
    unsafe fn add(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn sub(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn mul(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn div(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// `left * right + addend`, rounded once where the processor can.
    unsafe fn mul_add(left: Self::Vector, right: Self::Vector, addend: Self::Vector) -> Self::Vector;
    /// The larger of each pair; NaN where `value` is NaN.
    unsafe fn at_least(value: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; NaN where `value` is NaN.
    unsafe fn at_most(value: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// To the nearest whole number.
    unsafe fn round(value: Self::Vector) -> Self::Vector;
    /// `2 ^ exponent`, for whole exponents from -126 to 127.
    unsafe fn power_of_two(exponent: Self::Vector) -> Self::Vector;
    /// Of 32-bit lanes that hold two bfloat16 each, the ones in the low halves as numbers.
    unsafe fn low_halves(pairs: Self::Vector) -> Self::Vector;
    /// Of 32-bit lanes that hold two bfloat16 each, the ones in the high halves as numbers.
    unsafe fn high_halves(pairs: Self::Vector) -> Self::Vector;
    /// Numbers whose high halves are the nearest bfloat16; what the low halves hold is arbitrary. NaN stays NaN.
    unsafe fn nearest_bf16(vector: Self::Vector) -> Self::Vector;
    /// 32-bit lanes that hold two bfloat16 each: the high half of `first` in the low half, that of `second` in the high
    /// one.
    unsafe fn pair(first: Self::Vector, second: Self::Vector) -> Self::Vector;
    /// The high halves of both vectors, one after another.
    unsafe fn store_high_halves(pointer: *mut u16, first: Self::Vector, second: Self::Vector);
    /// Stores each number as the nearest bfloat16, the one away from zero where two are as near, and gives what is then
    /// left of it. NaN stays NaN.
    unsafe fn store_bf16(pointer: *mut u16, vector: Self::Vector) -> Self::Vector;
    unsafe fn sum(vector: Self::Vector) -> f32;
    unsafe fn largest(vector: Self::Vector) -> f32;
}

/// Loads up to a whole vector, with zeros after `count` numbers.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn load_count<S: Simd>(pointer: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller's.
    unsafe { if count >= S::LANES { S::load(pointer) } else { S::load_first(pointer, count) } }
}

/// Stores up to a whole vector.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn store_count<S: Simd>(pointer: *mut f32, vector: S::Vector, count: usize) {
    // SAFETY: the caller's.
    unsafe { if count >= S::LANES { S::store(pointer, vector) } else { S::store_first(pointer, vector, count) } }
}

/// Work that is compiled once for every instruction set.
pub(crate) trait Operation {
    type Output;
    /// # Safety
    /// Only [`dispatch`] calls this. Implementations are `#[inline(always)]`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs an operation with the instructions of a set.
///
/// # Panics
/// If this processor does not have them.
#[inline]
pub(crate) fn dispatch<O: Operation>(set: InstructionSet, operation: O) -> O::Output {
    assert!(set <= InstructionSet::best(), "{} is not available here", set.name());
    match set {
        // SAFETY: sets include those before them, so this one is available; every processor runs the plain one.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx => unsafe {
            x86::run_avx512(operation)
        },
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { x86::run_avx2(operation) },
        _ => unsafe { operation.run::<Plain>() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct StoreBf16 {
        value: f32,
    }

    impl Operation for StoreBf16 {
        type Output = (Vec<u16>, Vec<f32>);

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> Self::Output {
            let (mut stored, mut rest) = (vec![0; S::LANES], vec![0.0; S::LANES]);
            let values: Vec<f32> = (0..S::LANES).map(|lane| self.value * (1.0 + lane as f32)).collect();
            unsafe {
                let left = S::store_bf16(stored.as_mut_ptr(), S::load(values.as_ptr()));
                S::store(rest.as_mut_ptr(), left);
            }
            (stored, rest)
        }
    }

    #[test]
    fn bfloat16_is_the_nearest_and_what_is_left_completes_it() {
        for set in InstructionSet::available() {
            for value in [0.0, -0.0, 1.0, 1.003_906_3, -3.001_592_7, 1e-20, 7.7e30, -255.5] {
                let (stored, rest) = dispatch(set, StoreBf16 { value });
                for (lane, (stored, rest)) in stored.into_iter().zip(rest).enumerate() {
                    let value = value * (1.0 + lane as f32);
                    assert_eq!(f32::from_bits(u32::from(stored) << 16) + rest, value, "{}", set.name());
                    assert!(rest.abs() <= value.abs() / 256.0, "{}: {value} leaves {rest}", set.name());
                }
            }
            for value in [f32::NAN, f32::from_bits(0x7fff_ffff), f32::from_bits(0xffff_ffff)] {
                let (stored, rest) = dispatch(set, StoreBf16 { value });
                assert!(stored.iter().all(|&stored| f32::from_bits(u32::from(stored) << 16).is_nan()));
                assert!(rest.iter().all(|rest| rest.is_nan()));
            }
        }
    }
}
