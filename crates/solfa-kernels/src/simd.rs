//! Vectors of single precision, so that a kernel is written once and compiled for every instruction set.
//!
//! A kernel is an [`Operation`]: its `run` is generic over the [`Simd`] it is given and everything it calls is inlined
//! into a function for which the compiler may use that set's instructions.
#![allow(unsafe_code, reason = "vector instructions of the processor: see the SAFETY comments")]

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

/// A function of every number of a vector. A closure would not do where much is calculated: the compiler does not promise
/// to inline it, and outside of [`dispatch`] vector instructions are slow calls.
///
/// # Safety
/// As for [`Simd`].
pub(crate) trait Function: Copy {
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector;
}

/// The number itself.
#[derive(Clone, Copy)]
pub(crate) struct Identity;

/// `max(x, 0)`
#[derive(Clone, Copy)]
pub(crate) struct Relu;

/// [`silu`]
#[derive(Clone, Copy)]
pub(crate) struct Silu;

/// [`gelu`]
#[derive(Clone, Copy)]
pub(crate) struct Gelu;

/// The derivative of [`silu`]: `s (1 + x (1 - s))` with `s` the sigmoid.
#[derive(Clone, Copy)]
pub(crate) struct SiluSlope;

/// The derivative of [`gelu`]: `Phi(x) + x Phi'(x)`.
#[derive(Clone, Copy)]
pub(crate) struct GeluSlope;

impl Function for Identity {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        value
    }
}

impl Function for Relu {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        unsafe { S::at_least(value, S::splat(0.0)) }
    }
}

impl Function for Silu {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        unsafe { silu::<S>(value) }
    }
}

impl Function for Gelu {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        unsafe { gelu::<S>(value) }
    }
}

impl Function for SiluSlope {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        unsafe {
            let one = S::splat(1.0);
            let gate = sigmoid::<S>(value);
            S::mul(gate, S::mul_add(value, S::sub(one, gate), one))
        }
    }
}

impl Function for GeluSlope {
    #[inline(always)]
    unsafe fn of<S: Simd>(value: S::Vector) -> S::Vector {
        /// `1 / sqrt(2 pi)`
        const DENSITY_AT_0: f32 = 0.398_942_3;
        /// Beyond this the density is 0 for all purposes here.
        const REACH: f32 = 13.0;
        unsafe {
            let near = S::at_most(S::at_least(value, S::splat(-REACH)), S::splat(REACH));
            let density = exp::<S>(S::mul(S::mul(near, near), S::splat(-0.5)));
            S::mul_add(S::mul(near, density), S::splat(DENSITY_AT_0), normal_distribution::<S>(value))
        }
    }
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

/// Eight numbers, left to the compiler.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

/// Lanes of [`Plain`].
const PLAIN_LANES: usize = 8;

type PlainVector = [f32; PLAIN_LANES];

/// As [`Simd::store_bf16`] rounds.
#[inline(always)]
fn nearest_bf16(value: f32) -> u16 {
    if value.is_nan() { 0x7fc0 } else { (value.to_bits().wrapping_add(0x8000) >> 16) as u16 }
}

#[inline(always)]
fn lanewise(left: PlainVector, right: PlainVector, operation: impl Fn(f32, f32) -> f32) -> PlainVector {
    std::array::from_fn(|lane| operation(left[lane], right[lane]))
}

impl Simd for Plain {
    const LANES: usize = PLAIN_LANES;
    type Vector = PlainVector;

    #[inline(always)]
    unsafe fn splat(value: f32) -> PlainVector {
        [value; PLAIN_LANES]
    }
    #[inline(always)]
    unsafe fn load(pointer: *const f32) -> PlainVector {
        unsafe { pointer.cast::<PlainVector>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(pointer: *const f32, count: usize) -> PlainVector {
        std::array::from_fn(|lane| if lane < count { unsafe { *pointer.add(lane) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store(pointer: *mut f32, vector: PlainVector) {
        unsafe { pointer.cast::<PlainVector>().write_unaligned(vector) }
    }
    #[inline(always)]
    unsafe fn store_first(pointer: *mut f32, vector: PlainVector, count: usize) {
        for (lane, &value) in vector.iter().enumerate().take(count) {
            unsafe { *pointer.add(lane) = value }
        }
    }
    #[inline(always)]
    unsafe fn add(left: PlainVector, right: PlainVector) -> PlainVector {
        lanewise(left, right, |left, right| left + right)
    }
    #[inline(always)]
    unsafe fn sub(left: PlainVector, right: PlainVector) -> PlainVector {
        lanewise(left, right, |left, right| left - right)
    }
    #[inline(always)]
    unsafe fn mul(left: PlainVector, right: PlainVector) -> PlainVector {
        lanewise(left, right, |left, right| left * right)
    }
    #[inline(always)]
    unsafe fn div(left: PlainVector, right: PlainVector) -> PlainVector {
        lanewise(left, right, |left, right| left / right)
    }
    #[inline(always)]
    unsafe fn mul_add(left: PlainVector, right: PlainVector, addend: PlainVector) -> PlainVector {
        // Without the instruction, a fused multiply-add is a slow function call.
        std::array::from_fn(|lane| left[lane] * right[lane] + addend[lane])
    }
    #[inline(always)]
    unsafe fn at_least(value: PlainVector, bound: PlainVector) -> PlainVector {
        lanewise(value, bound, |value, bound| if value < bound { bound } else { value })
    }
    #[inline(always)]
    unsafe fn at_most(value: PlainVector, bound: PlainVector) -> PlainVector {
        lanewise(value, bound, |value, bound| if value > bound { bound } else { value })
    }
    #[inline(always)]
    unsafe fn round(value: PlainVector) -> PlainVector {
        /// Adding and taking away this much leaves no room for a fraction.
        const NO_FRACTION: f32 = 12_582_912.0;
        value.map(|value| (value + NO_FRACTION) - NO_FRACTION)
    }
    #[inline(always)]
    unsafe fn power_of_two(exponent: PlainVector) -> PlainVector {
        exponent.map(|exponent| f32::from_bits(((exponent as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn low_halves(pairs: PlainVector) -> PlainVector {
        pairs.map(|pair| f32::from_bits(pair.to_bits() << 16))
    }
    #[inline(always)]
    unsafe fn high_halves(pairs: PlainVector) -> PlainVector {
        pairs.map(|pair| f32::from_bits(pair.to_bits() & 0xffff_0000))
    }
    #[inline(always)]
    unsafe fn nearest_bf16(vector: PlainVector) -> PlainVector {
        vector.map(|value| {
            let rounded = f32::from_bits(value.to_bits().wrapping_add(0x8000));
            if value.is_nan() { f32::NAN } else { rounded }
        })
    }
    #[inline(always)]
    unsafe fn pair(first: PlainVector, second: PlainVector) -> PlainVector {
        lanewise(first, second, |first, second| f32::from_bits(first.to_bits() >> 16 | second.to_bits() & 0xffff_0000))
    }
    #[inline(always)]
    unsafe fn store_high_halves(pointer: *mut u16, first: PlainVector, second: PlainVector) {
        let halves = [first, second].map(|vector| vector.map(|value| (value.to_bits() >> 16) as u16));
        unsafe { pointer.cast::<[[u16; PLAIN_LANES]; 2]>().write_unaligned(halves) }
    }
    #[inline(always)]
    unsafe fn store_bf16(pointer: *mut u16, vector: PlainVector) -> PlainVector {
        let mut rest = vector;
        for (lane, rest) in rest.iter_mut().enumerate() {
            let rounded = nearest_bf16(*rest);
            unsafe { *pointer.add(lane) = rounded }
            *rest -= f32::from_bits(u32::from(rounded) << 16);
        }
        rest
    }
    #[inline(always)]
    unsafe fn sum(vector: PlainVector) -> f32 {
        let [a, b, c, d, e, f, g, h] = vector;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    unsafe fn largest(vector: PlainVector) -> f32 {
        vector.iter().copied().fold(f32::NEG_INFINITY, |largest, value| if value > largest { value } else { largest })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::simd::{Operation, Simd};

    /// Eight numbers.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    /// Sixteen numbers.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    /// # Safety
    /// The processor has these instructions.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<O: Operation>(operation: O) -> O::Output {
        unsafe { operation.run::<Avx2>() }
    }

    /// # Safety
    /// The processor has these instructions.
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn run_avx512<O: Operation>(operation: O) -> O::Output {
        unsafe { operation.run::<Avx512>() }
    }

    /// The sign bits of this are set in the first `count` lanes.
    #[inline(always)]
    unsafe fn first_lanes(count: usize) -> __m256i {
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
        }
    }

    impl Simd for Avx2 {
        const LANES: usize = 8;
        type Vector = __m256;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(pointer: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(pointer) }
        }
        #[inline(always)]
        unsafe fn load_first(pointer: *const f32, count: usize) -> __m256 {
            unsafe { _mm256_maskload_ps(pointer, first_lanes(count)) }
        }
        #[inline(always)]
        unsafe fn store(pointer: *mut f32, vector: __m256) {
            unsafe { _mm256_storeu_ps(pointer, vector) }
        }
        #[inline(always)]
        unsafe fn store_first(pointer: *mut f32, vector: __m256, count: usize) {
            unsafe { _mm256_maskstore_ps(pointer, first_lanes(count), vector) }
        }
        #[inline(always)]
        unsafe fn add(left: __m256, right: __m256) -> __m256 {
            unsafe { _mm256_add_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn sub(left: __m256, right: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn mul(left: __m256, right: __m256) -> __m256 {
            unsafe { _mm256_mul_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn div(left: __m256, right: __m256) -> __m256 {
            unsafe { _mm256_div_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn mul_add(left: __m256, right: __m256, addend: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(left, right, addend) }
        }
        #[inline(always)]
        unsafe fn at_least(value: __m256, bound: __m256) -> __m256 {
            // The instruction gives its second operand where either is NaN.
            unsafe { _mm256_max_ps(bound, value) }
        }
        #[inline(always)]
        unsafe fn at_most(value: __m256, bound: __m256) -> __m256 {
            unsafe { _mm256_min_ps(bound, value) }
        }
        #[inline(always)]
        unsafe fn round(value: __m256) -> __m256 {
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value) }
        }
        #[inline(always)]
        unsafe fn power_of_two(exponent: __m256) -> __m256 {
            unsafe {
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            }
        }
        #[inline(always)]
        unsafe fn low_halves(pairs: __m256) -> __m256 {
            unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs))) }
        }
        #[inline(always)]
        unsafe fn high_halves(pairs: __m256) -> __m256 {
            unsafe { _mm256_and_ps(pairs, _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32))) }
        }
        #[inline(always)]
        unsafe fn nearest_bf16(vector: __m256) -> __m256 {
            unsafe {
                let rounded = _mm256_add_epi32(_mm256_castps_si256(vector), _mm256_set1_epi32(0x8000));
                let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(vector, vector);
                _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_set1_ps(f32::NAN), is_nan)
            }
        }
        #[inline(always)]
        unsafe fn pair(first: __m256, second: __m256) -> __m256 {
            unsafe {
                let first = _mm256_srli_epi32::<16>(_mm256_castps_si256(first));
                _mm256_castsi256_ps(_mm256_blend_epi16::<0b1010_1010>(first, _mm256_castps_si256(second)))
            }
        }
        #[inline(always)]
        unsafe fn store_high_halves(pointer: *mut u16, first: __m256, second: __m256) {
            unsafe {
                let [first, second] =
                    [first, second].map(|vector| _mm256_srli_epi32::<16>(_mm256_castps_si256(vector)));
                let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(first, second));
                _mm256_storeu_si256(pointer.cast(), packed);
            }
        }
        #[inline(always)]
        unsafe fn store_bf16(pointer: *mut u16, vector: __m256) -> __m256 {
            unsafe {
                let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(vector, vector);
                let rounded = _mm256_add_epi32(_mm256_castps_si256(vector), _mm256_set1_epi32(0x8000));
                let rounded = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_set1_ps(f32::NAN), is_nan);
                let halves = _mm256_srli_epi32::<16>(_mm256_castps_si256(rounded));
                let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(halves, halves));
                _mm_storeu_si128(pointer.cast(), _mm256_castsi256_si128(packed));
                _mm256_sub_ps(vector, Self::high_halves(rounded))
            }
        }
        #[inline(always)]
        unsafe fn sum(vector: __m256) -> f32 {
            unsafe {
                let halves = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
                let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
                _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
            }
        }
        #[inline(always)]
        unsafe fn largest(vector: __m256) -> f32 {
            unsafe {
                let halves = _mm_max_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
                let pairs = _mm_max_ps(halves, _mm_movehl_ps(halves, halves));
                _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
            }
        }
    }

    #[inline(always)]
    fn first_bits(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        type Vector = __m512;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(pointer: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(pointer) }
        }
        #[inline(always)]
        unsafe fn load_first(pointer: *const f32, count: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(first_bits(count), pointer) }
        }
        #[inline(always)]
        unsafe fn store(pointer: *mut f32, vector: __m512) {
            unsafe { _mm512_storeu_ps(pointer, vector) }
        }
        #[inline(always)]
        unsafe fn store_first(pointer: *mut f32, vector: __m512, count: usize) {
            unsafe { _mm512_mask_storeu_ps(pointer, first_bits(count), vector) }
        }
        #[inline(always)]
        unsafe fn add(left: __m512, right: __m512) -> __m512 {
            unsafe { _mm512_add_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn sub(left: __m512, right: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn mul(left: __m512, right: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn div(left: __m512, right: __m512) -> __m512 {
            unsafe { _mm512_div_ps(left, right) }
        }
        #[inline(always)]
        unsafe fn mul_add(left: __m512, right: __m512, addend: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(left, right, addend) }
        }
        #[inline(always)]
        unsafe fn at_least(value: __m512, bound: __m512) -> __m512 {
            // The instruction gives its second operand where either is NaN.
            unsafe { _mm512_max_ps(bound, value) }
        }
        #[inline(always)]
        unsafe fn at_most(value: __m512, bound: __m512) -> __m512 {
            unsafe { _mm512_min_ps(bound, value) }
        }
        #[inline(always)]
        unsafe fn round(value: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value) }
        }
        #[inline(always)]
        unsafe fn power_of_two(exponent: __m512) -> __m512 {
            unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), exponent) }
        }
        #[inline(always)]
        unsafe fn low_halves(pairs: __m512) -> __m512 {
            unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pairs))) }
        }
        #[inline(always)]
        unsafe fn high_halves(pairs: __m512) -> __m512 {
            unsafe {
                let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
                _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), mask))
            }
        }
        #[inline(always)]
        unsafe fn nearest_bf16(vector: __m512) -> __m512 {
            unsafe {
                let rounded = _mm512_add_epi32(_mm512_castps_si512(vector), _mm512_set1_epi32(0x8000));
                let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(vector, vector);
                _mm512_mask_blend_ps(is_nan, _mm512_castsi512_ps(rounded), _mm512_set1_ps(f32::NAN))
            }
        }
        #[inline(always)]
        unsafe fn pair(first: __m512, second: __m512) -> __m512 {
            unsafe {
                let first = _mm512_srli_epi32::<16>(_mm512_castps_si512(first));
                let pair = _mm512_mask_blend_epi16(0xaaaa_aaaa, first, _mm512_castps_si512(second));
                _mm512_castsi512_ps(pair)
            }
        }
        #[inline(always)]
        unsafe fn store_high_halves(pointer: *mut u16, first: __m512, second: __m512) {
            /// High halves of 32-bit lanes, counted in 16-bit ones.
            const PLACES: [u16; 32] = {
                let mut places = [0; 32];
                let mut lane = 0;
                while lane < 32 {
                    places[lane] = 2 * lane as u16 + 1;
                    lane += 1;
                }
                places
            };
            unsafe {
                let places = _mm512_loadu_si512(PLACES.as_ptr().cast());
                let packed = _mm512_permutex2var_epi16(_mm512_castps_si512(first), places, _mm512_castps_si512(second));
                _mm512_storeu_si512(pointer.cast(), packed);
            }
        }
        #[inline(always)]
        unsafe fn store_bf16(pointer: *mut u16, vector: __m512) -> __m512 {
            unsafe {
                let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(vector, vector);
                let rounded = _mm512_add_epi32(_mm512_castps_si512(vector), _mm512_set1_epi32(0x8000));
                let rounded = _mm512_mask_mov_ps(_mm512_castsi512_ps(rounded), is_nan, _mm512_set1_ps(f32::NAN));
                let halves = _mm512_srli_epi32::<16>(_mm512_castps_si512(rounded));
                _mm256_storeu_si256(pointer.cast(), _mm512_cvtepi32_epi16(halves));
                _mm512_sub_ps(vector, Self::high_halves(rounded))
            }
        }
        #[inline(always)]
        unsafe fn sum(vector: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(vector) }
        }
        #[inline(always)]
        unsafe fn largest(vector: __m512) -> f32 {
            unsafe { _mm512_reduce_max_ps(vector) }
        }
    }
}

/// `e ^ x` within 2e-7 of it, for `x` up to 88; below -87 it stays at `e ^ -87`, which is 0 for all purposes here.
///
/// `2 ^ n` times a polynomial in what remains of `x` after the nearest multiple of `ln 2` is taken away, in two steps so
/// that nothing is lost (Cody and Waite). NaN stays NaN.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(value: S::Vector) -> S::Vector {
    /// `e ^ r = 1 + r + r^2 p(r)` for `|r| <= ln 2 / 2`: coefficients of `p`, highest power first.
    const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    unsafe {
        let value = S::at_most(S::at_least(value, S::splat(-87.0)), S::splat(88.0));
        let exponent = S::round(S::mul(value, S::splat(std::f32::consts::LOG2_E)));
        let rest = S::mul_add(exponent, S::splat(-LN_2_HIGH), value);
        let rest = S::mul_add(exponent, S::splat(-LN_2_LOW), rest);
        let mut polynomial = S::splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            polynomial = S::mul_add(polynomial, rest, S::splat(*coefficient));
        }
        let fraction = S::mul_add(S::mul(polynomial, rest), rest, S::add(rest, S::splat(1.0)));
        S::mul(fraction, S::power_of_two(exponent))
    }
}

/// `2 ^ x` within 3e-7 of it for `x` up to 127, 1 at 0; below -126 it stays at `2 ^ -126`. NaN stays NaN.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn exp2<S: Simd>(value: S::Vector) -> S::Vector {
    /// `2 ^ r` for `|r| <= 1/2`: coefficients of the polynomial through the nodes of Chebyshev, highest power first.
    const POLYNOMIAL: [f32; 6] =
        [1.339_086_3e-3, 9.676_032e-3, 5.550_357e-2, 0.240_221_07, std::f32::consts::LN_2, 1.0];
    unsafe {
        let value = S::at_least(value, S::splat(-126.0));
        let exponent = S::round(value);
        let rest = S::sub(value, exponent);
        let mut polynomial = S::splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            polynomial = S::mul_add(polynomial, rest, S::splat(*coefficient));
        }
        S::mul(polynomial, S::power_of_two(exponent))
    }
}

/// `1 / (1 + e ^ -x)`.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn sigmoid<S: Simd>(value: S::Vector) -> S::Vector {
    unsafe {
        let one = S::splat(1.0);
        S::div(one, S::add(one, exp::<S>(S::sub(S::splat(0.0), value))))
    }
}

/// `x / (1 + e ^ -x)`; 0 where that is below `1e-36`.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn silu<S: Simd>(value: S::Vector) -> S::Vector {
    unsafe {
        // Beyond this the exponential stays where it is, and must not be divided into ever larger numbers.
        let value = S::at_least(value, S::splat(-88.0));
        S::div(value, S::add(S::splat(1.0), exp::<S>(S::sub(S::splat(0.0), value))))
    }
}

/// Where the normal distribution is taken for 0 or 1: it is within 5e-9 of that.
const GELU_REACH: f32 = 5.75;

/// `x Phi(x)` with the normal distribution itself, within 3e-7 times the larger of 1 and `|x|`.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(crate) unsafe fn gelu<S: Simd>(value: S::Vector) -> S::Vector {
    // At the left end the quotient's rounding would be multiplied with the value, however large it is.
    unsafe { S::mul(S::at_least(value, S::splat(-GELU_REACH)), normal_distribution::<S>(value)) }
}

/// `Phi(x)`, the normal distribution.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn normal_distribution<S: Simd>(value: S::Vector) -> S::Vector {
    /// `(Phi(x) - 1/2) / x` is the quotient of these polynomials in `x^2`, lowest power first, within `4e-8 / x^2`.
    /// Fitted by weighted least squares, reweighted towards the smallest maximum: `tools/reference/fit_gelu.py`.
    const NUMERATOR: [f32; 6] =
        [0.398_941_76, 0.037_007_23, 0.004_879_832, 2.024_534e-4, 6.719_082_6e-6, 2.106_453_3e-8];
    const DENOMINATOR: [f32; 6] = [1.0, 0.259_424_54, 0.030_476_949, 0.002_072_299_4, 8.519_827e-5, 1.175_871_4e-6];
    unsafe {
        let near = S::at_most(S::at_least(value, S::splat(-GELU_REACH)), S::splat(GELU_REACH));
        let square = S::mul(near, near);
        let mut numerator = S::splat(NUMERATOR[5]);
        let mut denominator = S::splat(DENOMINATOR[5]);
        for power in (0..5).rev() {
            numerator = S::mul_add(numerator, square, S::splat(NUMERATOR[power]));
            denominator = S::mul_add(denominator, square, S::splat(DENOMINATOR[power]));
        }
        let distribution = S::mul_add(near, S::div(numerator, denominator), S::splat(0.5));
        S::at_least(distribution, S::splat(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function of one value, on all values.
    struct Apply<'a> {
        values: &'a [f32],
        which: fn(f64) -> f64,
        number: usize,
    }

    impl Operation for Apply<'_> {
        type Output = f64;

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> f64 {
            let mut largest = 0.0f64;
            for chunk in self.values.chunks(S::LANES) {
                let mut found = vec![0.0; chunk.len()];
                unsafe {
                    let value = S::load_first(chunk.as_ptr(), chunk.len());
                    let result = match self.number {
                        0 => exp::<S>(value),
                        1 => sigmoid::<S>(value),
                        2 => silu::<S>(value),
                        3 => exp2::<S>(value),
                        _ => gelu::<S>(value),
                    };
                    S::store_first(found.as_mut_ptr(), result, chunk.len());
                }
                for (&value, &found) in chunk.iter().zip(&found) {
                    let expected = (self.which)(f64::from(value));
                    let scale =
                        if self.number == 0 || self.number == 3 { expected } else { f64::from(value.abs()).max(1.0) };
                    let difference = (f64::from(found) - expected).abs() / scale;
                    if difference.is_nan() || difference > largest {
                        largest = difference;
                    }
                }
            }
            largest
        }
    }

    fn normal_distribution(value: f64) -> f64 {
        // The integral of the density from 0, by Simpson's rule.
        let steps = 400;
        let width = value / f64::from(steps);
        let density = |at: f64| (-0.5 * at * at).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let sum: f64 = (0..steps)
            .map(|step| {
                let start = f64::from(step) * width;
                width / 6.0 * (density(start) + 4.0 * density(start + width / 2.0) + density(start + width))
            })
            .sum();
        0.5 + sum
    }

    #[test]
    fn functions_of_one_value_are_exact_on_every_instruction_set() {
        let values: Vec<f32> = (-8_601..8_601).map(|step| step as f32 * 0.01).collect();
        type Case = (fn(f64) -> f64, f64);
        let functions: [Case; 5] = [
            (f64::exp, 3e-7),
            (|value| 1.0 / (1.0 + (-value).exp()), 3e-7),
            (|value| value / (1.0 + (-value).exp()), 3e-7),
            (f64::exp2, 4e-7),
            (|value| value * normal_distribution(value), 4e-7),
        ];
        for set in InstructionSet::available() {
            for (number, (which, tolerance)) in functions.into_iter().enumerate() {
                let largest = dispatch(set, Apply { values: &values, which, number });
                assert!(largest < tolerance, "{}, function {number}: {largest:e}", set.name());
                assert!(largest > 0.0, "compared with itself");
            }
        }
    }

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

    struct Extremes;

    impl Operation for Extremes {
        type Output = [[f32; 4]; 3];

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> Self::Output {
            let values = [f32::NAN, f32::MIN, 1e30, f32::INFINITY];
            unsafe {
                let value = S::load_first(values.as_ptr(), 4);
                [exp::<S>(value), silu::<S>(value), gelu::<S>(value)].map(|result| {
                    let mut found = [7.0; 4];
                    S::store_first(found.as_mut_ptr(), result, 4);
                    found
                })
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so_and_nothing_overflows_to_it() {
        for set in InstructionSet::available() {
            let [exp, silu, gelu] = dispatch(set, Extremes);
            for found in [exp, silu, gelu] {
                assert!(found[0].is_nan(), "{}: {found:?}", set.name());
            }
            assert!(exp[1] < 1e-37 && exp[2] > 1e38, "{exp:?}");
            assert!(silu[1].abs() < 1e-7 && silu[2] == 1e30 && silu[3] == f32::INFINITY, "{silu:?}");
            assert!(gelu[1].abs() < 1e-7 && gelu[2] == 1e30 && gelu[3] == f32::INFINITY, "{gelu:?}");
        }
    }
}
