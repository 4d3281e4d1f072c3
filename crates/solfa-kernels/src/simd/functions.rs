//! Functions of one value, as kernels apply them: exponentials and activations.

use super::Simd;

/// A function of every number of a vector. A closure would not do where much is calculated: the compiler does not promise
/// to inline it, and outside of [`dispatch`](super::dispatch) vector instructions are slow calls.
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
    use crate::instruction_set::InstructionSet;
    use crate::simd::{Operation, dispatch};

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
