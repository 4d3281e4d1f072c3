//! The Gaussian error linear unit, fast on the processor.
//!
//! Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415: `x Phi(x)`, with the distribution
//! function of the normal distribution itself and not its approximation by `tanh`.
//!
//! Burn's CPU backend computes `erf` for one value after the other, on one core. Here `Phi` is a quotient of
//! polynomials, which the compiler turns into vector instructions, on all cores.

use burn::tensor::activation;
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::device::is_cpu_without_autodiff;

/// Values that one core works on at a time: large enough to be worth a hand-over, small enough to stay in its cache.
const CHUNK_VALUES: usize = 1 << 14;

/// Beyond this, `Phi` is taken for 0 or 1: it is within 5e-9 of that.
const REACH: f32 = 5.75;

/// `(Phi(x) - 1/2) / x` is the quotient of these polynomials in `x^2`, lowest power first, within `4e-8 / x^2`. Fitted
/// to the function by weighted least squares, reweighted towards the smallest maximum. All coefficients are positive,
/// so the denominator is. Made by `tools/reference/fit_gelu.py`.
const NUMERATOR: [f32; 6] = [0.398_941_76, 0.037_007_23, 0.004_879_832, 2.024_534e-4, 6.719_082_6e-6, 2.106_453_3e-8];
const DENOMINATOR: [f32; 6] = [1.0, 0.259_424_54, 0.030_476_949, 0.002_072_299_4, 8.519_827e-5, 1.175_871_4e-6];

/// `x Phi(x)` of every value, within 3e-7 times the larger of 1 and `|x|`. Where gradients are tracked, and on other
/// devices than the processor, this is Burn's own function.
///
/// # Shapes
/// - input and output: any, the same
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let device = input.device();
    if !is_cpu_without_autodiff(&device) || input.dtype() != DType::F32 {
        return activation::gelu(input);
    }
    let mut data = input.into_data();
    match data.as_mut_slice::<f32>() {
        Ok(values) => values.par_chunks_mut(CHUNK_VALUES).for_each(|chunk| {
            chunk.iter_mut().for_each(|value| *value = gelu_of(*value));
        }),
        Err(_) => return activation::gelu(Tensor::from_data(data, &device)),
    }
    Tensor::from_data(data, &device)
}

#[inline]
fn gelu_of(value: f32) -> f32 {
    let near = value.clamp(-REACH, REACH);
    let square = near * near;
    let polynomial = |coefficients: [f32; 6]| {
        let [a, b, c, d, e, f] = coefficients;
        ((((f * square + e) * square + d) * square + c) * square + b) * square + a
    };
    let distribution = 0.5 + near * polynomial(NUMERATOR) / polynomial(DENOMINATOR);
    // Far to the left the quotient's rounding would be multiplied with the value. (This keeps NaN.)
    if value < -REACH { 0.0 } else { value * distribution }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn equals_the_function_by_erf() {
        let values: Vec<f32> = (-1_200_000..=1_200_000).map(|step| step as f32 * 1e-5).collect();
        let input = Tensor::<1>::from_floats(values.as_slice(), &test_device());
        let [found, expected]: [Vec<f32>; 2] =
            [gelu(input.clone()), activation::gelu(input)].map(|output| output.into_data().try_to_vec().unwrap());
        assert_eq!(found.len(), values.len());
        let mut largest = 0.0f32;
        for ((value, found), expected) in values.iter().zip(&found).zip(&expected) {
            // Both round: the reference is off by 1e-7 of its own.
            largest = largest.max((found - expected).abs() / value.abs().max(1.0));
        }
        assert!(largest < 4e-7, "{largest:e}");
        assert!(largest > 0.0, "compared with itself");
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let input = Tensor::<1>::from_floats([f32::NAN, f32::INFINITY, 1e30, -1e30, 0.0, -0.0], &test_device());
        let output: Vec<f32> = gelu(input).into_data().try_to_vec().unwrap();
        assert!(output[0].is_nan());
        assert_eq!(output[1], f32::INFINITY);
        assert_eq!(output[2], 1e30);
        assert_eq!(output[3], 0.0);
        assert_eq!(output[4..], [0.0, 0.0]);
    }

    #[test]
    fn views_and_shared_tensors_are_left_alone() {
        let input = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]], &test_device());
        let output: Vec<f32> = gelu(input.clone().swap_dims(0, 1)).into_data().try_to_vec().unwrap();
        let expected = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0].map(gelu_of);
        assert_eq!(output, expected);
        let kept: Vec<f32> = input.into_data().try_to_vec().unwrap();
        assert_eq!(kept, [1.0, 2.0, 3.0, -1.0, -2.0, -3.0]);
    }
}
