//! Tokens of the spectrogram as it was: what masked prediction asks of MuQ and MusicFM.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use solfa_signal::features::MelConfig;

use super::masking::first_crops;
use super::{ConfigError, MaskConfig, RunConfig};
use crate::checkpoint::{EncoderConfig, MelRvqEncoderConfig};
use crate::data::Batch;
use crate::embed::EncoderInput;
use crate::targets::{MelTokenizer, MelTokenizerConfig, ResidualVectorQuantizerConfig, stack_frames};

/// The spectrogram that tokens are made of, for encoders that see another one or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpectrogramConfig {
    /// The spectrogram, in decibels, at the encoder's sample rate.
    pub mel: MelConfig,
    /// Mean of the training data's spectrograms, in decibels.
    pub mel_mean: f32,
    /// Standard deviation of the training data's spectrograms, in decibels.
    pub mel_deviation: f32,
    /// Consecutive frames that make one token.
    pub fold: usize,
}

impl TokenSpectrogramConfig {
    /// The spectrogram that is configured, or else that of a conformer, whose tokens come at the rate of its frames.
    ///
    /// # Errors
    /// Another encoder without a spectrogram of its own, a conformer with one, or a spectrogram at another rate than the
    /// encoder's.
    pub(super) fn of<M>(config: &RunConfig<M>, configured: Option<&Self>) -> Result<Self, ConfigError> {
        let found = match (configured, &config.encoder) {
            (Some(_), EncoderConfig::MelConformer(_)) => {
                let reason = "method.spectrogram: leave it out: a conformer's tokens are of what it sees";
                return Err(ConfigError::of(reason));
            }
            (Some(configured), _) => configured.clone(),
            (None, EncoderConfig::MelConformer(encoder)) => Self {
                mel: encoder.mel.clone(),
                mel_mean: encoder.mel_mean,
                mel_deviation: encoder.mel_deviation,
                fold: encoder.network.time_strides.iter().product(),
            },
            (None, encoder) => {
                let reason = format!("method.spectrogram: needed with an encoder of kind {}", encoder.kind());
                return Err(ConfigError::of(reason));
            }
        };
        let (expected, rate) = (config.encoder.sample_rate(), found.mel.stft.sample_rate);
        if rate != expected {
            let reason =
                format!("method.spectrogram.mel.stft.sample_rate: expected the encoder's, {expected}, found {rate}");
            return Err(ConfigError::of(reason));
        }
        Ok(found)
    }

    /// Width of what is quantised.
    pub(super) fn input_dim(&self) -> usize {
        self.mel.num_mels * self.fold
    }

    /// A quantiser of this spectrogram as an encoder of its own: what a run that fits it trains.
    pub(super) fn encoder(&self, quantizer: ResidualVectorQuantizerConfig) -> EncoderConfig {
        let Self { mel, mel_mean, mel_deviation, fold } = self.clone();
        EncoderConfig::MelRvq(MelRvqEncoderConfig { mel, mel_mean, mel_deviation, fold, quantizer })
    }
}

/// Makes tokens of clips.
pub(super) struct SpectrogramTokens {
    input: EncoderInput,
    fold: usize,
    /// Samples from one token to the next.
    pub(super) hop_samples: usize,
}

impl SpectrogramTokens {
    /// # Errors
    /// What is wrong with the spectrogram.
    pub(super) fn new(config: &TokenSpectrogramConfig) -> Result<Self, ConfigError> {
        // Only the spectrogram of the encoder is used.
        let sizes = ResidualVectorQuantizerConfig {
            input_dim: config.input_dim(),
            num_codebooks: 1,
            num_codes: 1,
            code_dim: 1,
        };
        let input = EncoderInput::new(&config.encoder(sizes)).map_err(ConfigError::of)?;
        let hop_samples = config.mel.stft.hop_samples * config.fold;
        Ok(Self { input, fold: config.fold, hop_samples })
    }

    /// `[clips, codebooks, tokens]`, row by row, and the number of tokens of a clip.
    pub(super) fn of(&self, tokenizer: &MelTokenizer, batch: &Batch, device: &Device) -> (Vec<i64>, usize) {
        let Some(spectrogram) = self.input.spectrogram(first_crops(batch), device) else { return (Vec::new(), 0) };
        let codes = tokenizer.codes(spectrogram, self.fold);
        let num_tokens = codes.dims()[2];
        (codes.into_data().convert::<i64>().iter::<i64>().collect(), num_tokens)
    }

    /// Frames of the normalised spectrogram, stacked: `[clips, tokens, fold x mels]`.
    pub(super) fn stacked(&self, batch: &Batch, device: &Device) -> Option<Tensor<3>> {
        let spectrogram = self.input.spectrogram(first_crops(batch), device)?;
        Some(stack_frames(spectrogram.swap_dims(1, 2), self.fold))
    }
}

/// Refuses quantisers of another kind than the recipe's or of no possible size, encoders and masks that they do not fit, and
/// spectrograms that cannot be.
pub(super) fn check<M>(
    config: &RunConfig<M>,
    mask: &MaskConfig,
    tokenizer: &MelTokenizerConfig,
    spectrogram: Option<&TokenSpectrogramConfig>,
    is_kind: bool,
) -> Result<(), ConfigError> {
    if !is_kind {
        let reason = "expected mel-rvq for the recipe muq, and random-projection for musicfm";
        return Err(ConfigError::Value { key: "method.tokenizer.kind".into(), reason: reason.into() });
    }
    tokenizer.check().map_err(|reason| ConfigError::of(format!("method.tokenizer.{reason}")))?;
    SpectrogramTokens::new(&TokenSpectrogramConfig::of(config, spectrogram)?)?;
    super::masked_prediction::check(config, mask, tokenizer.sizes())
}
