//! Vectors for any processor.

use super::Simd;

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
