//! Vectors of AVX2 and AVX-512.

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
            let [first, second] = [first, second].map(|vector| _mm256_srli_epi32::<16>(_mm256_castps_si256(vector)));
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
