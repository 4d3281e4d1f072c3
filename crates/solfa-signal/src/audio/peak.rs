//! Sound scaled so that its largest sample has the size 1.

use super::{AudioError, MonoSource, Waveform};

/// What to multiply a recording with so that its largest absolute sample becomes 1; 1 for silence. Reads it to its end.
///
/// # Errors
/// A source that fails.
pub fn peak_gain(mut source: impl MonoSource) -> Result<f32, AudioError> {
    let mut peak = 0.0f32;
    while let Some(block) = source.next_block()? {
        peak = block.samples().iter().fold(peak, |peak, sample| peak.max(sample.abs()));
    }
    let gain = 1.0 / peak;
    // The gain of a peak near zero is no number that sound can be multiplied with.
    Ok(if gain.is_finite() && gain > 0.0 { gain } else { 1.0 })
}

/// A source whose samples are multiplied with a gain.
pub struct Scaled<S> {
    source: S,
    gain: f32,
}

impl<S: MonoSource> Scaled<S> {
    /// `source` times `gain`; a gain of 1 leaves every bit as it is.
    pub fn new(source: S, gain: f32) -> Self {
        Self { source, gain }
    }
}

impl<S: MonoSource> MonoSource for Scaled<S> {
    fn sample_rate(&self) -> u32 {
        self.source.sample_rate()
    }

    fn num_samples_hint(&self) -> Option<u64> {
        self.source.num_samples_hint()
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        let block = self.source.next_block()?;
        if self.gain == 1.0 {
            return Ok(block);
        }
        Ok(block.map(|block| {
            let sample_rate = block.sample_rate();
            let mut samples = block.into_samples();
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
            Waveform::new(samples, sample_rate)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::WaveformSource;

    fn source(samples: &[f32]) -> WaveformSource {
        WaveformSource::new(Waveform::new(samples.to_vec(), 100))
    }

    #[test]
    fn the_largest_sample_becomes_one_whatever_its_sign() {
        for samples in [[0.25, -0.5, 0.125], [0.5, 0.25, -0.125]] {
            let gain = peak_gain(source(&samples)).unwrap();
            assert_eq!(gain, 2.0);
            let scaled = Scaled::new(source(&samples), gain).next_block().unwrap().unwrap();
            assert_eq!(scaled.samples(), samples.map(|sample| 2.0 * sample));
        }
    }

    #[test]
    fn what_has_no_peak_is_left_as_it_is() {
        for samples in [&[][..], &[0.0, -0.0], &[1e-42]] {
            assert_eq!(peak_gain(source(samples)).unwrap(), 1.0, "{samples:?}");
        }
    }
}
