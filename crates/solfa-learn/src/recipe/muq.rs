//! MuQ: masked prediction of Mel-RVQ tokens, all codebooks at once.
//!
//! Zhu et al. 2025, "MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector Quantization",
//! arXiv:2501.01108. Blocks of 400 ms of the waveform are replaced by noise, each with a probability of 0.6, and at every
//! token under them the network says the codes of the sound as it was. Where no quantiser is given, one is fitted first.

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::masked_prediction::{MaskedPrediction, Tokens};
use super::mel_rvq::QuantizerFit;
use super::musicfm::published_mask;
use super::spectrogram_tokens::{SpectrogramTokens, check_tokenizer};
use super::{ConfigError, Ground, MaskConfig, Method, PretrainError, RunConfig, TokenSpectrogramConfig};
use crate::checkpoint::{Checkpoint, LoadedModel};
use crate::targets::{MelTokenizer, MelTokenizerConfig, ResidualVectorQuantizer, ResidualVectorQuantizerConfig};
use crate::train::TrainingObserver;

/// `[method]` of `muq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Muq {
    /// What is hidden.
    #[serde(default = "published_mask")]
    mask: MaskConfig,
    /// The quantiser, of kind `mel-rvq`.
    tokenizer: MelTokenizerConfig,
    /// Where a fitted quantiser is: a run of `mel-rvq`, or a checkpoint of MuQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokenizer_from: Option<String>,
    /// How it is fitted where none is given.
    #[serde(default = "published_fit")]
    fit_tokenizer: QuantizerFit,
    /// What tokens are made of, where it is not what the encoder sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spectrogram: Option<TokenSpectrogramConfig>,
}

fn published_fit() -> QuantizerFit {
    QuantizerFit::published(4_000, 5.0)
}

impl Method for Muq {
    type Recipe = MaskedPrediction;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        check_tokenizer(&config.method.tokenizer)?;
        if !matches!(config.method.tokenizer, MelTokenizerConfig::MelRvq { .. }) {
            return Err(ConfigError::of(
                "method.tokenizer.kind: expected mel-rvq (random-projection is the recipe musicfm)",
            ));
        }
        let spectrogram = TokenSpectrogramConfig::of(config, config.method.spectrogram.as_ref())?;
        SpectrogramTokens::new(&spectrogram)?;
        super::masked_prediction::check(config, &config.method.mask, config.method.tokenizer.sizes())
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<MaskedPrediction, PretrainError> {
        let Self { mask, tokenizer, tokenizer_from, fit_tokenizer, spectrogram } = &config.method;
        let spectrogram = TokenSpectrogramConfig::of(config, spectrogram.as_ref())?;
        let sizes = tokenizer.residual(spectrogram.input_dim());
        let sizes = sizes.ok_or_else(|| ConfigError::of("method.tokenizer.kind: expected mel-rvq"))?;
        let quantizer = match tokenizer_from {
            Some(path) => given(path, &spectrogram, &sizes, ground.device)?,
            None => fit_tokenizer.run(spectrogram.encoder(sizes), config.seed, ground, observer)?,
        };
        let fitted = Box::new(MelTokenizer::MelRvq(quantizer));
        let tokens = Tokens::Spectrogram(Box::new(SpectrogramTokens::new(&spectrogram)?), fitted);
        MaskedPrediction::new(config, mask, tokens, tokenizer.sizes())
    }
}

/// A quantiser that was fitted before, of the same spectrogram and sizes.
fn given(
    path: &str,
    spectrogram: &TokenSpectrogramConfig,
    sizes: &ResidualVectorQuantizerConfig,
    device: &Device,
) -> Result<ResidualVectorQuantizer, PretrainError> {
    let wrong = |reason: String| ConfigError::Value { key: "method.tokenizer_from".to_owned(), reason };
    let (quantizer, found) = match Checkpoint::open(path.as_ref())?.load(device)? {
        LoadedModel::MelRvq(model) => {
            let config = &model.config;
            let (mel_mean, mel_deviation, fold) = (config.mel_mean, config.mel_deviation, config.fold);
            let found = TokenSpectrogramConfig { mel: config.mel.clone(), mel_mean, mel_deviation, fold };
            (model.quantizer, found)
        }
        LoadedModel::MelConformer(model) => {
            let (mel_mean, mel_deviation, fold) = (model.mel_mean, model.mel_deviation, model.fold);
            let found = TokenSpectrogramConfig { mel: model.mel.config().clone(), mel_mean, mel_deviation, fold };
            match model.tokenizer {
                Some(MelTokenizer::MelRvq(quantizer)) => (quantizer, found),
                _ => return Err(wrong(format!("{path}: the model has no Mel-RVQ")).into()),
            }
        }
        _ => return Err(wrong(format!("{path}: expected a run of mel-rvq or a MuQ")).into()),
    };
    if quantizer.config() != *sizes {
        let found = quantizer.config();
        return Err(wrong(format!("{path}: expected a quantiser of {sizes:?}, found {found:?}")).into());
    }
    if found != *spectrogram {
        return Err(wrong(format!("{path}: expected a quantiser of {spectrogram:?}, found one of {found:?}")).into());
    }
    Ok(quantizer.no_grad())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_resume, log_of, mean, model_of, tiny, train_in};
    use crate::checkpoint::LoadedModel;
    use crate::targets::MelTokenizer;

    #[test]
    fn a_quantiser_is_fitted_first_and_then_its_codes_are_learned() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let fit = "method.fit_tokenizer.training.steps=20";
        train_in(&path, &tiny("muq", &["training.steps=40", fit, "training.signals_every=40"]), &mut ());
        assert_eq!(log_of(&path.join("tokenizer")).len(), 20);
        let lines = log_of(&path);
        let (first, last) = (mean(&lines[..5], |line| line.loss), mean(&lines[35..], |line| line.loss));
        assert!(last < first - 0.3, "from {first} to {last}");
        assert!(lines[39].terms.contains_key("code_usage_4"), "{:?}", lines[39].terms);
        let LoadedModel::MelConformer(model) = model_of(&path) else { panic!("another model") };
        assert_eq!(model.name, "muq");
        assert!(matches!(model.tokenizer, Some(MelTokenizer::MelRvq(_))));
        // The quantiser of the run is good for another.
        let given = format!("method.tokenizer_from={}", path.display());
        train_in(&parent.path().join("other"), &tiny("muq", &["training.steps=1", &given]), &mut ());
        let parts = "method.tokenizer.code_dim=4";
        let error = crate::recipe::Plan::read(&tiny("muq", &[parts, &given]));
        assert!(error.is_ok(), "that it does not fit is seen when it is opened");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("muq", &["method.fit_tokenizer.training.steps=2", "sampling.clips_per_batch=2"]);
    }
}
