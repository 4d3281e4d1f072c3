//! Resampling by a windowed sinc, as torchaudio does it.
//!
//! Output sample `n` stands at input position `n * input / output` (rates in lowest terms) and is the sum of the input
//! samples around it, weighed by a windowed sinc centred there (Smith, *Digital Audio Resampling*,
//! <https://ccrma.stanford.edu/~jos/resample/>). Only `output` different positions between samples occur, so the weights
//! of each such phase are computed once.
//!
//! Numbers follow `torchaudio.transforms.Resample`
//! (<https://github.com/pytorch/audio/blob/v2.11.0/src/torchaudio/functional/functional.py>, `_get_sinc_resample_kernel`
//! with no `dtype`): weights in double precision but for the phase, which torchaudio rounds to single, and in the end
//! rounded to single. `torchaudio.functional.resample` computes weights in the precision of the waveform, mostly single,
//! which adds noise of some 1e-5 of rms (1e-3 for coprime rates) that is not imitated here. Two more differences are
//! meant: weights that are zero are not stored, and the output's length is exact, while torchaudio computes it in single
//! precision and is off by a sample or so beyond 2^24 samples.

use std::f64::consts::PI;

use super::{AudioError, Converter, Ratio};

/// Memory that the weights of one pair of rates may take, in bytes. Rates in use stay far below (44.1 to 24 kHz: 8 kB
/// and 80 kB); coprime ones may need tens of megabytes.
const MAXIMUM_WEIGHT_BYTES: f64 = (1u32 << 27) as f64;

/// Products are summed in this many places at once, so that they fill vector registers. The weights of each phase are
/// padded with zeros to a multiple.
const LANES: usize = 8;

/// The shape of the low-pass filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct SincFilter {
    /// Zero crossings of the sinc on either side (torchaudio: `lowpass_filter_width`).
    zero_crossings: f64,
    /// Cutoff as a share of the lower Nyquist frequency.
    rolloff: f64,
    window: SincWindow,
}

#[derive(Clone, Copy, Debug)]
enum SincWindow {
    Hann,
    /// `bessel_at_beta` is the Bessel function I0 at `beta`, so that the window's peak is 1.
    Kaiser {
        beta: f64,
        bessel_at_beta: f64,
    },
}

impl SincFilter {
    pub(super) const TORCHAUDIO_DEFAULT: Self = Self { zero_crossings: 6.0, rolloff: 0.99, window: SincWindow::Hann };

    /// <https://pytorch.org/audio/stable/tutorials/audio_resampling_tutorial.html>, "kaiser_best".
    pub(super) const TORCHAUDIO_KAISER_BEST: Self = Self {
        zero_crossings: 64.0,
        rolloff: 0.9475937167399596,
        window: SincWindow::Kaiser { beta: 14.769656459379492, bessel_at_beta: 271903.64068145666 },
    };

    /// The windowed sinc at `crossings` zero crossings from its centre.
    fn value(self, crossings: f64) -> f64 {
        if crossings.abs() >= self.zero_crossings {
            return 0.0;
        }
        let angle = crossings * PI;
        let sinc = if crossings == 0.0 { 1.0 } else { angle.sin() / angle };
        let position = crossings / self.zero_crossings;
        sinc * match self.window {
            SincWindow::Hann => (position * PI / 2.0).cos().powi(2),
            SincWindow::Kaiser { beta, bessel_at_beta } => {
                bessel_i0(beta * (1.0 - position * position).sqrt()) / bessel_at_beta
            }
        }
    }
}

/// The modified Bessel function of the first kind and order 0, by its power series (Abramowitz and Stegun 9.6.12):
/// exact to double precision for the arguments in use, which stay below 20. A Kaiser window is made of it.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut order) = (1.0, 1.0, 1.0);
    while term > sum * f64::EPSILON / 4.0 {
        term *= quarter / (order * order);
        sum += term;
        order += 1.0;
    }
    sum
}

/// The weights of every phase.
#[derive(Debug)]
struct PolyphaseWeights {
    /// `[phases, taps]`
    weights: Vec<f32>,
    /// Number of weights of each phase, a multiple of [`LANES`].
    taps: usize,
    /// For each phase, the input sample that its first weight belongs to, counted from the sample at or before phase 0.
    first_sample: Vec<i64>,
}

impl PolyphaseWeights {
    fn new(filter: SincFilter, ratio: Ratio) -> Result<Self, AudioError> {
        let (input, phases) = (ratio.input as f64, ratio.output as f64);
        let cutoff = ratio.input.min(ratio.output) as f64 * filter.rolloff;
        // Input samples on either side of the centre where the filter is not zero.
        let reach = filter.zero_crossings * input / cutoff;
        let needed_bytes = phases * (2.0 * reach + LANES as f64) * size_of::<f32>() as f64;
        if needed_bytes > MAXIMUM_WEIGHT_BYTES {
            return Err(ratio.error(format!(
                "in lowest terms that is {} to {}, and the filter would take {:.0} MB (at most {:.0} MB): convert to a \
                 usual rate first, or take the resampler `fast`",
                ratio.input,
                ratio.output,
                needed_bytes / 1e6,
                MAXIMUM_WEIGHT_BYTES / 1e6
            )));
        }
        let taps = (2.0 * reach + 1.0).ceil() as usize;
        let taps = taps.next_multiple_of(LANES);
        let mut weights = Vec::with_capacity(ratio.output * taps);
        let mut first_sample = Vec::with_capacity(ratio.output);
        for phase in 0..ratio.output {
            let first = (phase as f64 * input / phases - reach).ceil();
            first_sample.push(first as i64);
            let phase = f64::from(phase as f32 / ratio.output as f32);
            weights.extend((0..taps).map(|tap| {
                let cycles_from_centre = (first + tap as f64) / input - phase;
                (filter.value(cycles_from_centre * cutoff) * cutoff / input) as f32
            }));
        }
        Ok(Self { weights, taps, first_sample })
    }

    fn of_phase(&self, phase: usize) -> &[f32] {
        &self.weights[phase * self.taps..(phase + 1) * self.taps]
    }

    /// Input samples from phase 0 up to and including the last that any phase of the same cycle needs.
    fn cycle_samples(&self) -> usize {
        let last = self.first_sample.last().map_or(0, |last| last - self.first_sample[0]);
        last as usize + self.taps
    }

    /// Appends the output of one whole cycle, every phase once. `samples` begins with the first one that phase 0 needs,
    /// and there are [`cycle_samples`](Self::cycle_samples) of them.
    fn convert_cycle(&self, samples: &[f32], output: &mut Vec<f32>) {
        let phases = self.weights.chunks_exact(self.taps).zip(&self.first_sample);
        output.extend(phases.map(|(weights, first)| {
            let first = (first - self.first_sample[0]) as usize;
            dot(weights, &samples[first..first + self.taps])
        }));
    }
}

/// The sum of products, always added in the same order.
fn dot(weights: &[f32], samples: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (weights, _) = weights.as_chunks::<LANES>();
    let (samples, _) = samples.as_chunks::<LANES>();
    for (weights, samples) in weights.iter().zip(samples) {
        for ((sum, weight), sample) in sums.iter_mut().zip(weights).zip(samples) {
            *sum += weight * sample;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// A windowed-sinc conversion under way.
#[derive(Debug)]
pub(super) struct SincConverter {
    ratio: Ratio,
    weights: PolyphaseWeights,
    /// Input that is still needed, preceded at the start by the silence before the recording.
    history: Vec<f32>,
    /// Input sample that `history[0]` is.
    history_start: i64,
    /// Input sample at phase 0 of the present cycle, and the phase of the next output sample.
    cycle_start: i64,
    phase: usize,
    num_input: u64,
    num_output: u64,
}

impl SincConverter {
    pub(super) fn new(filter: SincFilter, ratio: Ratio) -> Result<Self, AudioError> {
        let weights = PolyphaseWeights::new(filter, ratio)?;
        let history_start = weights.first_sample[0];
        Ok(Self {
            ratio,
            history: vec![0.0; history_start.unsigned_abs() as usize],
            weights,
            history_start,
            cycle_start: 0,
            phase: 0,
            num_input: 0,
            num_output: 0,
        })
    }

    /// Appends every output sample up to number `end` whose input is there, and forgets the input no longer needed.
    fn convert(&mut self, end: u64, output: &mut Vec<f32>) {
        let taps = self.weights.taps;
        let (phases, cycle_samples) = (self.ratio.output, self.weights.cycle_samples());
        loop {
            let first = (self.cycle_start + self.weights.first_sample[self.phase] - self.history_start) as usize;
            let samples = self.history.get(first..first + taps);
            let Some(samples) = samples.filter(|_| self.num_output < end) else {
                self.history.drain(..first.min(self.history.len()));
                self.history_start += first as i64;
                break;
            };
            // Most of a recording: whole cycles, without asking anew for each sample whether there is enough input.
            if self.phase == 0
                && end - self.num_output >= phases as u64
                && let Some(samples) = self.history.get(first..first + cycle_samples)
            {
                self.weights.convert_cycle(samples, output);
                self.num_output += phases as u64;
                self.cycle_start += self.ratio.input as i64;
                continue;
            }
            output.push(dot(self.weights.of_phase(self.phase), samples));
            self.num_output += 1;
            self.phase += 1;
            if self.phase == self.ratio.output {
                self.phase = 0;
                self.cycle_start += self.ratio.input as i64;
            }
        }
    }
}

impl Converter for SincConverter {
    fn push(&mut self, input: &[f32], output: &mut Vec<f32>) -> Result<(), AudioError> {
        self.history.extend_from_slice(input);
        self.num_input += input.len() as u64;
        self.convert(u64::MAX, output);
        Ok(())
    }

    fn finish(&mut self, output: &mut Vec<f32>) -> Result<(), AudioError> {
        self.history.resize(self.history.len() + self.weights.taps, 0.0);
        self.convert(self.ratio.output_samples(self.num_input), output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_i0_at_tabulated_points() {
        // 1: Abramowitz and Stegun, table 9.8. Kaiser best's beta: the series in rational arithmetic, in Python.
        for (x, expected) in [(0.0, 1.0), (1.0, 1.266065877752008), (14.769656459379492, 271903.64068145666)] {
            assert!((bessel_i0(x) / expected - 1.0).abs() < 1e-14, "{x}: {}", bessel_i0(x));
        }
    }

    #[test]
    fn weights_of_each_phase_sum_to_one() {
        for filter in [SincFilter::TORCHAUDIO_DEFAULT, SincFilter::TORCHAUDIO_KAISER_BEST] {
            for (from, to) in [(44_100, 24_000), (8_000, 24_000), (192_000, 24_000), (44_100, 48_000)] {
                let weights = PolyphaseWeights::new(filter, Ratio::new(from, to).unwrap()).unwrap();
                for phase in 0..weights.first_sample.len() {
                    let sum: f64 = weights.of_phase(phase).iter().map(|&weight| f64::from(weight)).sum();
                    assert!((sum - 1.0).abs() < 2e-3, "{filter:?} {from} to {to}, phase {phase}: {sum}");
                }
            }
        }
    }
}
