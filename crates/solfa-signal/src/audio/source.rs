//! A stream of mono sound.

use super::{AudioError, Waveform};

/// Mono sound in order, in blocks of whatever size the source finds natural.
pub trait MonoSource: Send {
    /// Samples per second of every block.
    fn sample_rate(&self) -> u32;

    /// Number of samples in all, where it is known before the end. Only a hint, for progress and for reserving memory.
    fn num_samples_hint(&self) -> Option<u64>;

    /// Number of channels that the recording has, before they are mixed down. Only a hint, for listings.
    fn num_channels_hint(&self) -> Option<u32> {
        None
    }

    /// Bits of a sample, where the format has a fixed number. Only a hint, for listings.
    fn bit_depth_hint(&self) -> Option<u32> {
        None
    }

    /// Passes over up to `num_samples` samples where that takes less than decoding them, and says how many; 0 where it
    /// cannot. What follows is bit for bit what would have followed after so many samples. Only before the first block.
    ///
    /// Damage in what is passed over may go unnoticed.
    ///
    /// # Errors
    /// As for [`next_block`](Self::next_block).
    fn pass_over(&mut self, num_samples: u64) -> Result<u64, AudioError> {
        let _ = num_samples;
        Ok(0)
    }

    /// The next block, never empty; `None` once the sound has ended.
    ///
    /// # Errors
    /// A source that fails part way. What was handed out before stays valid, and nothing follows.
    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError>;
}

impl<S: MonoSource + ?Sized> MonoSource for Box<S> {
    fn sample_rate(&self) -> u32 {
        (**self).sample_rate()
    }

    fn num_samples_hint(&self) -> Option<u64> {
        (**self).num_samples_hint()
    }

    fn num_channels_hint(&self) -> Option<u32> {
        (**self).num_channels_hint()
    }

    fn bit_depth_hint(&self) -> Option<u32> {
        (**self).bit_depth_hint()
    }

    fn pass_over(&mut self, num_samples: u64) -> Result<u64, AudioError> {
        (**self).pass_over(num_samples)
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        (**self).next_block()
    }
}

/// A waveform in memory, as a source of one block.
pub struct WaveformSource {
    sample_rate: u32,
    waveform: Option<Waveform>,
}

impl WaveformSource {
    /// The source that hands out `waveform` once.
    pub fn new(waveform: Waveform) -> Self {
        Self { sample_rate: waveform.sample_rate(), waveform: Some(waveform) }
    }
}

impl MonoSource for WaveformSource {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn num_samples_hint(&self) -> Option<u64> {
        self.waveform.as_ref().map(|waveform| waveform.num_samples() as u64)
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        Ok(self.waveform.take().filter(|waveform| waveform.num_samples() > 0))
    }
}
