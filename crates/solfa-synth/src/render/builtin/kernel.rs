//! Small pieces of arithmetic that voices share.

use std::f64::consts::TAU;
use std::sync::LazyLock;

/// Samples of one cycle of a stored wave.
pub(super) const TABLE_SAMPLES: usize = 2048;

/// One cycle of a sine, and its first sample again.
pub(super) static SINE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..=TABLE_SAMPLES).map(|place| libm::sin(TAU * place as f64 / TABLE_SAMPLES as f64) as f32).collect()
});

/// The frequency of a MIDI number.
pub(super) fn hertz(pitch: u8) -> f64 {
    440.0 * libm::exp2((f64::from(pitch) - 69.0) / 12.0)
}

/// A stored wave at a phase of 0 to 1.
#[inline]
pub(super) fn look_up(table: &[f32], phase: f32) -> f32 {
    let position = phase * TABLE_SAMPLES as f32;
    let place = (position as usize).min(TABLE_SAMPLES - 1);
    let rest = position - place as f32;
    table[place] + rest * (table[place + 1] - table[place])
}

/// A low-pass of 6 dB an octave in place; `cutoff` is in parts of the sample rate.
pub(super) fn one_pole(samples: &mut [f32], cutoff: f64) {
    let keep = libm::exp(-TAU * cutoff) as f32;
    let mut state = 0.0_f32;
    for sample in samples {
        state = *sample + keep * (state - *sample);
        *sample = state;
    }
}

/// Cheap noise within -1 to 1, the same on every machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u32);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed ^ (seed >> 32)) as u32 | 1)
    }

    #[inline]
    pub(super) fn next(&mut self) -> f32 {
        // Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0
    }
}

/// A resonance of two poles: band-pass for noise, or a mode that rings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resonator {
    forward: f32,
    back: f32,
    gain: f32,
    state: [f32; 2],
}

impl Resonator {
    /// At `center` and as wide as `width`, both in parts of the sample rate.
    pub(super) fn new(center: f64, width: f64) -> Self {
        let radius = libm::exp(-std::f64::consts::PI * width);
        let forward = 2.0 * radius * libm::cos(TAU * center);
        Self { forward: forward as f32, back: (radius * radius) as f32, gain: (1.0 - radius) as f32, state: [0.0; 2] }
    }

    #[inline]
    pub(super) fn next(&mut self, input: f32) -> f32 {
        let value = self.gain * input + self.forward * self.state[0] - self.back * self.state[1];
        self.state = [value, self.state[0]];
        value
    }
}
