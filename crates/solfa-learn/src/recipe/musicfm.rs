//! MusicFM: masked prediction of random-projection tokens.
//!
//! Won et al. 2023, "A Foundation Model for Music Informatics", arXiv:2311.03318; the targets are BEST-RQ's (Chiu et al.
//! 2022, arXiv:2202.01855). Blocks of 400 ms of the waveform are replaced by noise, each with a probability of 0.6, and at
//! every token under them the network says which code the quantiser gives the sound as it was.
//!
//! The quantiser is drawn from the published seed, 142, but by another generator: its numbers are others.

use serde::{Deserialize, Serialize};

use super::masked_prediction::{MaskedPrediction, Tokens};
use super::spectrogram_tokens::{SpectrogramTokens, check_tokenizer};
use super::{ConfigError, Ground, MaskConfig, Method, PretrainError, RunConfig, TokenSpectrogramConfig};
use crate::targets::MelTokenizerConfig;
use crate::train::TrainingObserver;
use crate::views::{BlockMaskConfig, ClipSeed};

const QUANTIZER_SEED: u64 = 142;

/// `[method]` of `musicfm`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MusicFm {
    /// What is hidden.
    #[serde(default = "published_mask")]
    mask: MaskConfig,
    /// The quantiser, of kind `random-projection`.
    tokenizer: MelTokenizerConfig,
    /// What tokens are made of, where it is not what the encoder sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spectrogram: Option<TokenSpectrogramConfig>,
}

/// Blocks, as MuQ and MusicFM hide them.
pub(super) fn published_mask() -> MaskConfig {
    MaskConfig::Blocks(BlockMaskConfig::default())
}

impl Method for MusicFm {
    type Recipe = MaskedPrediction;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        check_tokenizer(&config.method.tokenizer)?;
        if !matches!(config.method.tokenizer, MelTokenizerConfig::RandomProjection { .. }) {
            return Err(ConfigError::of(
                "method.tokenizer.kind: expected random-projection (mel-rvq is the recipe muq)",
            ));
        }
        let spectrogram = TokenSpectrogramConfig::of(config, config.method.spectrogram.as_ref())?;
        SpectrogramTokens::new(&spectrogram)?;
        super::masked_prediction::check(config, &config.method.mask, config.method.tokenizer.sizes())
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<MaskedPrediction, PretrainError> {
        let Self { mask, tokenizer, spectrogram } = &config.method;
        let spectrogram = TokenSpectrogramConfig::of(config, spectrogram.as_ref())?;
        let mut random = ClipSeed { seed: QUANTIZER_SEED, step: 0, clip: 0 }.stream("quantizer");
        let drawn = tokenizer.init(spectrogram.input_dim(), || random.normal_pair()[0], ground.device);
        let tokens = Tokens::Spectrogram(Box::new(SpectrogramTokens::new(&spectrogram)?), Box::new(drawn));
        MaskedPrediction::new(config, mask, tokens, tokenizer.sizes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_resume, log_of, mean, model_of, tiny, train_in};
    use crate::checkpoint::LoadedModel;
    use crate::targets::MelTokenizer;

    #[test]
    fn it_learns_which_codes_were_hidden_and_is_then_a_model() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        train_in(&path, &tiny("musicfm", &["training.steps=40", "training.signals_every=20"]), &mut ());
        let lines = log_of(&path);
        let (first, last) = (mean(&lines[..5], |line| line.loss), mean(&lines[35..], |line| line.loss));
        assert!((lines[0].loss - 256.0_f64.ln()).abs() < 1.0, "without knowledge: {}", lines[0].loss);
        assert!(last < first - 0.5, "from {first} to {last}");
        let signals = &lines[39].terms;
        assert!(signals["code_usage_1"] > 0.1 && signals["code_perplexity_1"] > 2.0, "{signals:?}");
        assert!(!lines[38].terms.contains_key("code_perplexity_1"));
        let LoadedModel::MelConformer(model) = model_of(&path) else { panic!("another model") };
        assert_eq!(model.name, "musicfm");
        assert!(matches!(model.tokenizer, Some(MelTokenizer::RandomProjection(_))));
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("musicfm", &["training.accumulate=2", "sampling.clips_per_batch=2"]);
    }
}
