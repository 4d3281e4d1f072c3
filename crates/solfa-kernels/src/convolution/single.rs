//! Convolutions of images with one channel: nine multiplications for every output, so that writing them takes longest.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use std::ops::Range;

use rayon::prelude::*;

use super::{Image, TAPS};
use crate::elementwise::with_activation;
use crate::instruction_set::InstructionSet;
use crate::memory::Buffer;
use crate::product::{Epilogue, OutputPointer, Placement, even_parts};
use crate::simd::{Function, Operation, Simd, dispatch};

/// Outputs are padded to a multiple of this, of the longest vector.
const OUTPUT_MULTIPLE: usize = 16;
/// Neighbouring outputs that share what is loaded of the weights.
const BANDS_AT_ONCE: usize = 2;
/// Parts for every thread, so that none waits long for the last one.
const PARTS_PER_THREAD: usize = 4;

/// Weights `[time tap][band tap][output]`.
#[derive(Debug)]
pub(super) struct SingleInput {
    set: InstructionSet,
    output_channels: usize,
    padded_channels: usize,
    strides: [usize; 2],
    weights: Buffer,
}

impl SingleInput {
    /// Packs `weight(output, time_tap, band_tap)`, in single precision.
    pub(super) fn pack(
        set: InstructionSet,
        output_channels: usize,
        strides: [usize; 2],
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let padded_channels = output_channels.next_multiple_of(OUTPUT_MULTIPLE);
        let mut weights = Buffer::zeros::<f32>(TAPS * TAPS * padded_channels);
        for (tap, weights) in weights.values_mut::<f32>().chunks_exact_mut(padded_channels).enumerate() {
            for (output, place) in weights.iter_mut().take(output_channels).enumerate() {
                *place = weight(output, tap / TAPS, tap % TAPS);
            }
        }
        Self { set, output_channels, padded_channels, strides, weights }
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.weights.num_bytes()
    }

    /// See [`convolve`](super::convolve), which has checked the image.
    pub(super) fn convolve(
        &self,
        image: &Image<'_>,
        num_times: usize,
        num_bands: usize,
        epilogue: &Epilogue<'_>,
        output: &mut [f32],
        placement: Placement,
    ) {
        epilogue.check(self.output_channels, false);
        placement.check(num_times, num_bands, self.output_channels, output.len());
        let output = OutputPointer(output.as_mut_ptr());
        let num_parts = (PARTS_PER_THREAD * rayon::current_num_threads()).min(num_times);
        let parts: Vec<_> = even_parts(num_times, num_parts).collect();
        parts.into_par_iter().for_each(|(first, count)| {
            let times = first..first + count;
            dispatch(self.set, Part { weights: self, image, times, num_bands, epilogue, output, placement });
        });
    }
}

/// Some time steps of the output.
struct Part<'a> {
    weights: &'a SingleInput,
    image: &'a Image<'a>,
    times: Range<usize>,
    num_bands: usize,
    epilogue: &'a Epilogue<'a>,
    output: OutputPointer,
    placement: Placement,
}

impl Operation for Part<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { with_activation!(S, self.epilogue.activation, self.times) }
    }
}

impl Part<'_> {
    #[inline(always)]
    unsafe fn times<S: Simd, F: Function>(&self) {
        for time in self.times.clone() {
            let whole = self.num_bands / BANDS_AT_ONCE * BANDS_AT_ONCE;
            // SAFETY: the caller's.
            unsafe {
                for band in (0..whole).step_by(BANDS_AT_ONCE) {
                    self.bands::<S, F, BANDS_AT_ONCE>(time, band);
                }
                for band in whole..self.num_bands {
                    self.bands::<S, F, 1>(time, band);
                }
            }
        }
    }

    /// All channels of `BANDS` bands.
    #[inline(always)]
    unsafe fn bands<S: Simd, F: Function, const BANDS: usize>(&self, time: usize, first_band: usize) {
        let Self { weights, image, epilogue, output, placement, .. } = self;
        let [time_stride, band_stride] = weights.strides;
        // SAFETY: the vectors are those of the caller's `dispatch`. Weights are padded to whole vectors; the bias and the
        // output are touched for `count` channels only, and `SingleInput::convolve` has checked that they have those.
        // This part alone writes these times.
        unsafe {
            let mut values = [[S::splat(0.0); TAPS * TAPS]; BANDS];
            for (band, values) in values.iter_mut().enumerate() {
                for (tap, value) in values.iter_mut().enumerate() {
                    let row = (time * time_stride + tap / TAPS) * image.padded_bands;
                    *value = S::splat(image.values[row + (first_band + band) * band_stride + tap % TAPS]);
                }
            }
            let packed: *const f32 = weights.weights.values().as_ptr();
            let place = output.0.add(time * placement.group_pitch + first_band * placement.row_pitch);
            let mut channel = 0;
            while channel < weights.output_channels {
                let count = (weights.output_channels - channel).min(S::LANES);
                let mut sums = [S::splat(0.0); BANDS];
                for tap in 0..TAPS * TAPS {
                    let weight = S::load(packed.add(tap * weights.padded_channels + channel));
                    for (sum, values) in sums.iter_mut().zip(&values) {
                        *sum = S::mul_add(values[tap], weight, *sum);
                    }
                }
                let bias = epilogue.bias.map(|bias| bias.as_ptr().add(channel));
                for (band, &sum) in sums.iter().enumerate() {
                    let place = place.add(band * placement.row_pitch + channel);
                    epilogue.place::<S, F>(sum, None, bias, place, count);
                }
                channel += S::LANES;
            }
        }
    }
}
