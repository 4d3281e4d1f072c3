//! Fast algorithms for a few neighbouring outputs of a kernel of three taps.
//!
//! Each computes the outputs of one dimension from as many products as inputs: inputs and taps are transformed, multiplied
//! one with one, and the products summed. Nested in two dimensions, over tiles of an image, every product becomes a
//! product of matrices `[tiles, input channels] x [input channels, output channels]`.
#![allow(unsafe_code, reason = "vector code that runs inside `dispatch`")]

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

use super::TAPS;
use crate::simd::Simd;

/// Inputs and products of the largest algorithm in one dimension.
pub(super) const MOST_POINTS: usize = 6;

/// Vectors of one dimension; those behind what an algorithm needs are not used.
pub(super) type Line<S> = [<S as Simd>::Vector; MOST_POINTS];

/// An algorithm in one dimension.
pub(super) trait Algorithm: Send + Sync + 'static {
    /// Inputs, and products.
    const POINTS: usize;
    /// Sums of products that are made by the matrix products themselves.
    const SUMS: usize;
    /// Outputs.
    const OUTPUTS: usize;
    /// Inputs from one output to the next.
    const STRIDE: usize;

    /// The products that a sum is made of.
    fn products_of(sum: usize) -> Range<usize>;
    /// The factors of the taps in what each product multiplies.
    fn taps() -> [[f64; TAPS]; MOST_POINTS];
    /// What each product multiplies, of the inputs.
    ///
    /// # Safety
    /// As for [`Simd`]; so below.
    unsafe fn transform_inputs<S: Simd>(inputs: Line<S>) -> Line<S>;
    /// The outputs, of the sums.
    unsafe fn transform_sums<S: Simd>(sums: Line<S>) -> Line<S>;
}

/// F(4, 3): four outputs from six products instead of twelve.
///
/// Winograd 1980, "Arithmetic Complexity of Computations"; Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural
/// Networks", arXiv:1509.09308. It multiplies polynomials by their values at 0, at infinity, and at four points more:
/// here those are +-sqrt(1/2) and +-sqrt(2), whose powers stay nearer to 1 than those of +-1 and +-2 do, so that rounding
/// errors are smaller by 40 %.
#[derive(Debug)]
pub(super) struct Winograd;

/// The points of [`Winograd`], and their powers.
const NEAR: f64 = FRAC_1_SQRT_2;
const FAR: f64 = SQRT_2;
const NEAR_SQUARED: f64 = 0.5;
const FAR_SQUARED: f64 = 2.0;

impl Algorithm for Winograd {
    const POINTS: usize = 6;
    const SUMS: usize = 6;
    const OUTPUTS: usize = 4;
    const STRIDE: usize = 1;

    fn products_of(sum: usize) -> Range<usize> {
        sum..sum + 1
    }

    fn taps() -> [[f64; TAPS]; MOST_POINTS] {
        let at = |point: f64, norm: f64| [1.0 / norm, point / norm, point * point / norm];
        let near = 2.0 * NEAR_SQUARED * (NEAR_SQUARED - FAR_SQUARED);
        let far = 2.0 * FAR_SQUARED * (FAR_SQUARED - NEAR_SQUARED);
        [[1.0, 0.0, 0.0], at(NEAR, near), at(-NEAR, near), at(FAR, far), at(-FAR, far), [0.0, 0.0, 1.0]]
    }

    #[inline(always)]
    unsafe fn transform_inputs<S: Simd>(inputs: Line<S>) -> Line<S> {
        let [d0, d1, d2, d3, d4, d5] = inputs;
        // SAFETY: the caller's.
        unsafe {
            let both = S::splat(-(NEAR_SQUARED + FAR_SQUARED) as f32);
            let (near_squared, far_squared) = (S::splat(-NEAR_SQUARED as f32), S::splat(-FAR_SQUARED as f32));
            let near_even = S::mul_add(d2, far_squared, d4);
            let near_odd = S::mul(S::mul_add(d1, far_squared, d3), S::splat(NEAR as f32));
            let far_even = S::mul_add(d2, near_squared, d4);
            let far_odd = S::mul(S::mul_add(d1, near_squared, d3), S::splat(FAR as f32));
            [
                // The product of all four points is 1.
                S::add(d0, S::mul_add(d2, both, d4)),
                S::add(near_even, near_odd),
                S::sub(near_even, near_odd),
                S::add(far_even, far_odd),
                S::sub(far_even, far_odd),
                S::add(d1, S::mul_add(d3, both, d5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn transform_sums<S: Simd>(sums: Line<S>) -> Line<S> {
        let [m0, m1, m2, m3, m4, m5] = sums;
        // SAFETY: the caller's.
        unsafe {
            let (near_even, near_odd) = (S::add(m1, m2), S::sub(m1, m2));
            let (far_even, far_odd) = (S::add(m3, m4), S::sub(m3, m4));
            let combined = |near: S::Vector, near_factor: f64, far: S::Vector, far_factor: f64| {
                S::mul_add(near, S::splat(near_factor as f32), S::mul(far, S::splat(far_factor as f32)))
            };
            [
                S::add(m0, S::add(near_even, far_even)),
                combined(near_odd, NEAR, far_odd, FAR),
                combined(near_even, NEAR_SQUARED, far_even, FAR_SQUARED),
                S::add(m5, combined(near_odd, NEAR * NEAR_SQUARED, far_odd, FAR * FAR_SQUARED)),
                m0,
                m0,
            ]
        }
    }
}

/// Two outputs at stride 2 from five products instead of six: what even inputs give is itself a convolution of two taps
/// at stride 1, which F(2, 2) computes from three products instead of four; odd inputs see one tap.
///
/// ```text
/// y0 = (d0 - d2) g0 + d1 g1 + d2 (g0 + g2)
/// y1 = d2 (g0 + g2) + (d4 - d2) g2 + d3 g1
/// ```
#[derive(Debug)]
pub(super) struct Polyphase;

impl Algorithm for Polyphase {
    const POINTS: usize = 5;
    const SUMS: usize = 3;
    const OUTPUTS: usize = 2;
    const STRIDE: usize = 2;

    fn products_of(sum: usize) -> Range<usize> {
        [0..2, 2..3, 3..5][sum].clone()
    }

    fn taps() -> [[f64; TAPS]; MOST_POINTS] {
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0; TAPS]]
    }

    #[inline(always)]
    unsafe fn transform_inputs<S: Simd>(inputs: Line<S>) -> Line<S> {
        let [d0, d1, d2, d3, d4, unused] = inputs;
        // SAFETY: the caller's.
        unsafe { [S::sub(d0, d2), d1, d2, S::sub(d4, d2), d3, unused] }
    }

    #[inline(always)]
    unsafe fn transform_sums<S: Simd>(sums: Line<S>) -> Line<S> {
        let [m0, m1, m2, ..] = sums;
        // SAFETY: the caller's.
        unsafe { [S::add(m0, m1), S::add(m1, m2), m0, m0, m0, m0] }
    }
}
