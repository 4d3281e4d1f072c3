//! MusicFM: masked prediction of random-projection tokens.
//!
//! Won et al. 2023, "A Foundation Model for Music Informatics", arXiv:2311.03318; the targets are BEST-RQ's (Chiu et al.
//! 2022, arXiv:2202.01855). Blocks of 400 ms of the waveform are replaced by noise, each with a probability of 0.6, and at
//! every token under them the network says which code the quantiser gives the sound as it was.
//!
//! The quantiser is drawn from the published seed, 142, but by another generator: its numbers are others.

use serde::{Deserialize, Serialize};

use super::masked_prediction::{MaskedPrediction, Tokens};
use super::spectrogram_tokens::{SpectrogramTokens, check};
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
        let Self { mask, tokenizer, spectrogram, .. } = &config.method;
        let is_kind = matches!(tokenizer, MelTokenizerConfig::RandomProjection { .. });
        check(config, mask, tokenizer, spectrogram.as_ref(), is_kind)
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
    use std::sync::Arc;

    use super::super::testing::{check_resume, chords, log_of, mean, model_of, tiny, train_in};
    use super::super::{Ground, Method, run_config};
    use super::MusicFm;
    use crate::checkpoint::{LoadedModel, restore_module};
    use crate::data::{Collection, Loader, Sampler};
    use crate::device::test_device;
    use crate::targets::MelTokenizer;
    use crate::train::{CheckpointFiles, Moment, Recipe, RunFolder};

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

    /// Running statistics are those of the batches: without them the network would be another one in use than in training.
    #[test]
    fn the_network_says_as_much_in_use_as_in_training() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let table = tiny("musicfm", &["training.steps=60", "sampling.clips_per_batch=8"]);
        train_in(&path, &table, &mut ());
        let config = run_config::parse::<MusicFm>(&table).unwrap();
        let device = test_device();
        let collection = Collection::survey(Arc::new(chords(24_000))).unwrap();
        let folder = RunFolder::open(&path).unwrap();
        let texts = [];
        let ground = Ground { folder: &folder, collection: &collection, texts: &texts, device: &device };
        let recipe = MusicFm::prepare(&config, &ground, &mut ()).unwrap();
        let trained = CheckpointFiles::new(folder.checkpoints_path(), 2).newest().unwrap().0.unwrap();
        let sampler = Sampler::new(&collection, &config.sampling, 99).unwrap();
        let batch = Loader::new(collection.clone(), sampler, config.loader, 500).unwrap().next_batch().unwrap();
        let moment = Moment { step: 1, steps: 1 };
        let mut losses = Vec::new();
        for device in [device.clone().autodiff(), device.clone()] {
            let network = restore_module(recipe.network(&device), "network", &trained.tensors).unwrap();
            let (terms, ()) = recipe.terms(&network, &batch, moment, &device).unwrap();
            losses.push(terms.loss.into_scalar::<f32>());
        }
        let [training, in_use] = losses[..] else { unreachable!() };
        println!("in training {training}, in use {in_use}");
        assert!((in_use - training).abs() < 0.3, "in training {training}, in use {in_use}");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("musicfm", &["training.accumulate=2", "sampling.clips_per_batch=2"]);
    }
}
