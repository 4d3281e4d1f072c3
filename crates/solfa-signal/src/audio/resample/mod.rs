//! From one sample rate to another.
//!
//! The embedding of a file depends on the resampler, so each has a name that goes into the metadata of every output.
//! [`Resampler::SincHann`] and [`Resampler::SincKaiser`] give what torchaudio gives; [`Resampler::Fast`] is for users
//! who need no such parity.

mod fast;
mod sinc;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AudioError, MonoSource, Waveform};
use fast::FastConverter;
pub(crate) use sinc::bessel_i0;
use sinc::{SincConverter, SincFilter};

/// How sound is brought to another sample rate.
///
/// All three put sample 0 of the result at the time of sample 0 of the input, and give
/// `ceil(samples * new_rate / old_rate)` samples. Beyond its ends a recording counts as silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampler {
    /// torchaudio's default, which most music encoders were trained with: a sinc of 6 zero crossings on either side
    /// under a Hann window, rolled off at 0.99 of the Nyquist frequency. Within 2e-6 of rms of
    /// `torchaudio.transforms.Resample` 2.11, and 2e-5 of `torchaudio.functional.resample`, whose weights are of single
    /// precision (white noise at ten pairs of rates). Its transition band is wide: tones within some ten per cent of the
    /// Nyquist frequency lose level, and alias.
    #[default]
    SincHann,
    /// torchaudio's published "kaiser best" setting, which imitates librosa's: 64 zero crossings on either side under a
    /// Kaiser window (beta 14.769656459379492), rolled off at 0.9475937167399596 of the Nyquist frequency. Within 1e-5
    /// of rms of `torchaudio.transforms.Resample` 2.11, and 2e-5 of `torchaudio.functional.resample`.
    SincKaiser,
    /// Band-limited conversion by FFT (rubato's `Fft`, Blackman-Harris window squared), time-aligned. Not meant to equal
    /// any other program's numbers. A sine sweep up to 0.85 of the lower Nyquist frequency stays within 2e-5 of rms of
    /// [`Resampler::SincKaiser`]'s (tested from 44.1, 48 and 16 to 24 kHz); above that, this one keeps more. The last
    /// bits may differ between kinds of processor, since the FFT uses the widest vector instructions it finds.
    Fast,
}

impl Resampler {
    /// Every resampler.
    pub const ALL: [Self; 3] = [Self::SincHann, Self::SincKaiser, Self::Fast];

    /// The name on the command line and in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::SincHann => "sinc-hann",
            Self::SincKaiser => "sinc-kaiser",
            Self::Fast => "fast",
        }
    }

    /// A converter between two different rates.
    fn converter(self, ratio: Ratio) -> Result<Box<dyn Converter>, AudioError> {
        Ok(match self {
            Self::SincHann => Box::new(SincConverter::new(SincFilter::TORCHAUDIO_DEFAULT, ratio)?),
            Self::SincKaiser => Box::new(SincConverter::new(SincFilter::TORCHAUDIO_KAISER_BEST, ratio)?),
            Self::Fast => Box::new(FastConverter::new(ratio)?),
        })
    }
}

impl fmt::Display for Resampler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Resampler {
    type Err = String;

    /// Reads a [`Resampler::name`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|resampler| resampler.name() == text.trim()).ok_or_else(|| {
            format!("`{text}` is not a resampler: expected `sinc-hann` (as torchaudio), `sinc-kaiser` or `fast`")
        })
    }
}

/// Two sample rates and their lowest terms: `output` samples for every `input` samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) input: usize,
    pub(super) output: usize,
}

impl Ratio {
    pub(super) fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        if from == 0 || to == 0 {
            return Err(AudioError::Resample { from, to, reason: "both rates must be above 0".into() });
        }
        let (mut divisor, mut rest) = (from, to);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        Ok(Self { from, to, input: (from / divisor) as usize, output: (to / divisor) as usize })
    }

    /// Samples that come of `num_samples`.
    fn output_samples(self, num_samples: u64) -> u64 {
        let samples = (u128::from(num_samples) * self.output as u128).div_ceil(self.input as u128);
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// Input samples to convert at a time, so that neither they nor what comes of them take much memory.
    fn step_samples(self) -> usize {
        /// Enough for the cost of a step to vanish, and little beside a window of sound.
        const STEP: usize = 1 << 16;
        (STEP * self.input / self.input.max(self.output)).max(1)
    }

    fn error(self, reason: impl Into<String>) -> AudioError {
        AudioError::Resample { from: self.from, to: self.to, reason: reason.into() }
    }
}

/// Sound at one rate in, sound at another rate out. What comes out does not depend on how the input was cut.
trait Converter: Send {
    /// Takes more input and appends what it makes possible.
    fn push(&mut self, input: &[f32], output: &mut Vec<f32>) -> Result<(), AudioError>;

    /// Ends the input and appends the rest.
    fn finish(&mut self, output: &mut Vec<f32>) -> Result<(), AudioError>;
}

/// The whole of `waveform` at `rate` Hz: bit for bit what [`Resampled`] gives block by block. At its own rate it is
/// returned as it is.
///
/// ```
/// use solfa_signal::audio::{Resampler, Waveform, resample};
///
/// let second = Waveform::new(vec![0.0; 44_100], 44_100);
/// assert_eq!(resample(&second, 24_000, Resampler::SincHann)?.num_samples(), 24_000);
/// # Ok::<(), solfa_signal::audio::AudioError>(())
/// ```
///
/// # Errors
/// [`AudioError::Resample`] for a pair of rates that the resampler cannot convert between in reasonable memory.
pub fn resample(waveform: &Waveform, rate: u32, resampler: Resampler) -> Result<Waveform, AudioError> {
    if waveform.sample_rate() == rate {
        return Ok(waveform.clone());
    }
    let ratio = Ratio::new(waveform.sample_rate(), rate)?;
    let mut converter = resampler.converter(ratio)?;
    let mut output = Vec::new();
    for step in waveform.samples().chunks(ratio.step_samples()) {
        converter.push(step, &mut output)?;
    }
    converter.finish(&mut output)?;
    Ok(Waveform::new(output, rate))
}

/// A source at another sample rate than the one it was made from.
///
/// Memory is bounded whatever the size of the source's blocks: one of them, the filter, and what comes of some 65,536
/// samples, or of one FFT block, at a time.
pub struct Resampled<S> {
    source: S,
    rate: u32,
    conversion: Option<Conversion>,
}

/// A conversion under way.
struct Conversion {
    ratio: Ratio,
    converter: Box<dyn Converter>,
    /// The source's latest block, and how much of it has been converted.
    block: Vec<f32>,
    converted: usize,
    ended: bool,
}

impl<S: MonoSource> Resampled<S> {
    /// `source` at `rate` Hz. At the source's own rate its blocks pass through untouched.
    ///
    /// # Errors
    /// [`AudioError::Resample`] for a pair of rates that the resampler cannot convert between in reasonable memory.
    pub fn new(source: S, rate: u32, resampler: Resampler) -> Result<Self, AudioError> {
        let ratio = Ratio::new(source.sample_rate(), rate)?;
        let conversion = if ratio.from == ratio.to {
            None
        } else {
            let converter = resampler.converter(ratio)?;
            Some(Conversion { ratio, converter, block: Vec::new(), converted: 0, ended: false })
        };
        Ok(Self { source, rate, conversion })
    }
}

impl Conversion {
    /// The next samples; empty once the sound has ended.
    fn next_samples(&mut self, source: &mut impl MonoSource) -> Result<Vec<f32>, AudioError> {
        let mut output = Vec::new();
        while output.is_empty() && !self.ended {
            if self.converted < self.block.len() {
                let end = self.block.len().min(self.converted + self.ratio.step_samples());
                self.converter.push(&self.block[self.converted..end], &mut output)?;
                self.converted = end;
            } else if let Some(block) = source.next_block()? {
                self.block = block.into_samples();
                self.converted = 0;
            } else {
                self.ended = true;
                self.block = Vec::new();
                self.converter.finish(&mut output)?;
            }
        }
        Ok(output)
    }
}

impl<S: MonoSource> MonoSource for Resampled<S> {
    fn sample_rate(&self) -> u32 {
        self.rate
    }

    fn num_samples_hint(&self) -> Option<u64> {
        let hint = self.source.num_samples_hint()?;
        Some(self.conversion.as_ref().map_or(hint, |conversion| conversion.ratio.output_samples(hint)))
    }

    fn next_block(&mut self) -> Result<Option<Waveform>, AudioError> {
        let Some(conversion) = &mut self.conversion else {
            return self.source.next_block();
        };
        let samples = conversion.next_samples(&mut self.source).inspect_err(|_| conversion.ended = true)?;
        Ok(if samples.is_empty() { None } else { Some(Waveform::new(samples, self.rate)) })
    }
}

#[cfg(test)]
mod tests;
