//! Mono samples that always know their rate.

/// One channel of sound at a known sample rate, nominally within -1 to 1.
#[derive(Clone, PartialEq)]
pub struct Waveform {
    samples: Vec<f32>,
    sample_rate: u32,
}

impl Waveform {
    /// Samples at `sample_rate` Hz.
    ///
    /// # Panics
    /// If the rate is 0: whoever reads a rate from a file checks it first.
    pub fn new(samples: Vec<f32>, sample_rate: u32) -> Self {
        assert!(sample_rate > 0, "Waveform::new: the sample rate is 0");
        Self { samples, sample_rate }
    }

    /// The samples, in order.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// The samples, given away.
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Number of samples.
    pub fn num_samples(&self) -> usize {
        self.samples.len()
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}

impl std::fmt::Debug for Waveform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Waveform({} samples at {} Hz)", self.samples.len(), self.sample_rate)
    }
}
