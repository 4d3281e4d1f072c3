//! MuQ-MuLan: sound and text in one space, a recording's text nearer to it than the other texts of the batch.
//!
//! Zhu et al. 2025, arXiv:2501.01108, after Huang et al. 2022 (MuLan), arXiv:2208.12415. A model of text stays as it is, with
//! a transformer on top that learns; the audio tower learns whole. Texts are tags, half of the time put into sentences, or
//! captions. The loss is the decoupled contrastive one (Yeh et al. 2022, arXiv:2110.06848), with softmax and sigmoid as
//! options.
//!
//! As published, the mean over a text's positions goes over padding too. Here a batch is the whole matrix of the loss;
//! the paper's is gathered from 32 processors.

mod templates;
mod text_states;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use self::templates::TextConfig;
use self::text_states::TextStates;
use super::masking::first_crops;
use super::two_views::{check_crop_of_resnet, spread_signals};
use super::{ConfigError, Ground, Method, PretrainError, RunConfig, TrackTexts, texts};
use crate::checkpoint::{
    Checkpoint, CheckpointError, EncoderConfig, LoadedModel, MelConformerEncoderConfig, MelConformerModel, MulanAudio,
    MulanModel, ResnetEncoderConfig, TextModel, TextModelRecord, WaveformTransformerEncoderConfig,
    WaveformTransformerModel,
};
use crate::data::{Batch, Clip, EpochEnd};
use crate::embed::EncoderInput;
use crate::model::{Backbone, BackboneConfig, JointSpaceConfig, JointSpaceHead};
use crate::objective::{Contrast, ObjectiveError, Terms, language_audio};
use crate::train::{EmaScope, Moment, Recipe, TrainingObserver, config_differences, update_teacher};
use crate::views::ClipSeed;

/// What errors call it.
const NAME: &str = "the loss of sound and text";

/// What a text model may be.
const TEXT_MODEL: &str = "the folder of an XLM-RoBERTa (config.json, tokenizer.json and weights, such as a copy of \
                          FacebookAI/xlm-roberta-base) or of a MuQ-MuLan";

/// `[method]` of `mulan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MulanMethod {
    /// The text model, which does not learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text_model: Option<PathBuf>,
    /// What the audio tower begins as: a run, or a released model. Without it, random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_from: Option<PathBuf>,
    /// How pairs are told from other combinations.
    #[serde(default)]
    contrast: Contrast,
    /// What cosines are multiplied by at first. It is learned.
    #[serde(default = "ten")]
    initial_scale: f64,
    /// What is added to every similarity at first, of the sigmoid. It is learned; SigLIP begins at -10.
    #[serde(default = "minus_ten")]
    initial_bias: f64,
    /// The joint space, and what leads there.
    #[serde(default)]
    joint_space: JointSpaceConfig,
    /// How the text of a clip is drawn.
    #[serde(default)]
    texts: TextConfig,
}

fn ten() -> f64 {
    10.0
}

fn minus_ten() -> f64 {
    -10.0
}

/// The method, ready for batches.
pub(super) struct Mulan {
    method: MulanMethod,
    seed: u64,
    backbone: BackboneConfig,
    input: EncoderInput,
    text_dim: usize,
    /// What the audio tower begins as.
    audio_from: Option<Backbone>,
    states: TextStates,
    /// What is said of every track.
    texts: Vec<TrackTexts>,
    /// Vectors of the last batch, for the log.
    last: Mutex<Option<Tensor<2>>>,
}

/// What learns.
#[derive(Module, Debug)]
pub(super) struct MulanNetwork {
    backbone: Backbone,
    audio_head: JointSpaceHead,
    text_head: JointSpaceHead,
    /// `[1]`: the logarithm of what cosines are multiplied by.
    log_scale: Param<Tensor<1>>,
    /// `[1]`: what is added to every similarity, of the sigmoid.
    bias: Option<Param<Tensor<1>>>,
}

impl Method for MulanMethod {
    type Recipe = Mulan;

    const LEARNS_FROM_TEXTS: bool = true;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: String| Err(ConfigError::Value { key: key.to_owned(), reason });
        let Self { text_model, initial_scale, initial_bias, joint_space, texts, .. } = &config.method;
        if text_model.is_none() {
            let reason = format!("missing: expected {TEXT_MODEL}, as in --set method.text_model=DIR");
            return wrong("method.text_model", reason);
        }
        if !initial_scale.is_finite() || *initial_scale <= 0.0 {
            return wrong("method.initial_scale", format!("expected a number above 0, found {initial_scale}"));
        }
        if !initial_bias.is_finite() {
            return wrong("method.initial_bias", format!("expected a number, found {initial_bias}"));
        }
        joint_space.check().map_err(|reason| ConfigError::of(format!("method.joint_space.{reason}")))?;
        texts.check()?;
        backbone_of(&config.encoder)?;
        let sampling = &config.sampling;
        if sampling.clips_per_batch < 2 {
            let found = sampling.clips_per_batch;
            let reason = format!("expected 2 or more, found {found}: pairs are told from other pairs");
            return wrong("sampling.clips_per_batch", reason);
        }
        if sampling.crop.pair.is_some() {
            return wrong("sampling.crop.pair", "expected none: this method takes one crop of a track".into());
        }
        if sampling.epoch_end != EpochEnd::WholeBatches {
            let reason = "expected \"whole-batches\": no track may be in a batch twice";
            return wrong("sampling.epoch_end", reason.into());
        }
        check_crop_of_resnet(config)
    }

    fn check_files(config: &RunConfig<Self>) -> Result<(), PretrainError> {
        let path = config.method.text_model.as_deref().unwrap_or(Path::new(""));
        TextModel::check(path).map_err(|error| no_text_model(&error))?;
        if let Some(path) = &config.method.audio_from {
            Checkpoint::open(path).map_err(|error| no_audio(error.to_string()))?;
        }
        Ok(())
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<Mulan, PretrainError> {
        let method = config.method.clone();
        let path = method.text_model.as_deref().unwrap_or(Path::new(""));
        let model = TextModel::open(path, ground.device).map_err(|error| no_text_model(&error))?;
        TextModelRecord::keep(ground.folder.path(), path, &model)?;
        let audio_from = method.audio_from.as_deref().map(|path| start_of(path, &config.encoder, ground.device));
        let text_dim = model.config.hidden_size;
        let states = TextStates::new(model, ground.device);
        let texts = readable(texts::tidied(ground), ground, &states)?;
        Ok(Mulan {
            seed: config.seed,
            backbone: backbone_of(&config.encoder)?,
            input: EncoderInput::new(&config.encoder).map_err(ConfigError::of)?,
            text_dim,
            audio_from: audio_from.transpose()?,
            states,
            texts,
            last: Mutex::new(None),
            method,
        })
    }
}

fn backbone_of(encoder: &EncoderConfig) -> Result<BackboneConfig, ConfigError> {
    let kind = encoder.kind();
    encoder.backbone().ok_or_else(|| ConfigError::of(format!("encoder.kind: expected a network, found {kind}")))
}

fn no_text_model(error: &CheckpointError) -> ConfigError {
    let reason = format!("{error}; expected {TEXT_MODEL}, as in --set method.text_model=DIR");
    ConfigError::Value { key: "method.text_model".into(), reason }
}

fn no_audio(reason: String) -> ConfigError {
    ConfigError::Value { key: "method.audio_from".into(), reason }
}

/// The texts without those that the text model's tokenizer cannot read.
///
/// # Errors
/// A track of which no text is left, though something is said of it.
fn readable(
    mut texts: Vec<TrackTexts>,
    ground: &Ground<'_>,
    states: &TextStates,
) -> Result<Vec<TrackTexts>, ConfigError> {
    for (track, texts) in texts.iter_mut().enumerate() {
        let mut fault = None;
        for texts in [&mut texts.tags, &mut texts.captions] {
            texts.retain(|text| match states.check(text) {
                Ok(()) => true,
                Err(reason) => {
                    fault.get_or_insert_with(|| format!("{text:?}: {reason}"));
                    false
                }
            });
        }
        if let Some(fault) = fault.filter(|_| texts.is_empty() && ground.collection.num_samples(track).is_some()) {
            let name = ground.collection.source().name(track);
            return Err(ConfigError::of(format!("{name}: the text model can read none of its texts: {fault}")));
        }
    }
    Ok(texts)
}

/// The network of a run or a released model, which must be of the configuration's sizes and see the same.
fn start_of(path: &Path, encoder: &EncoderConfig, device: &Device) -> Result<Backbone, PretrainError> {
    let loaded = Checkpoint::open(path).and_then(|checkpoint| checkpoint.load(device));
    let (found, backbone) = match loaded.map_err(|error| no_audio(error.to_string()))? {
        LoadedModel::MelConformer(model) => {
            let MelConformerModel { mel, mel_mean, mel_deviation, network, config, .. } = *model;
            let mel = mel.config().clone();
            let found = MelConformerEncoderConfig { mel, mel_mean, mel_deviation, network: config };
            (EncoderConfig::MelConformer(found), Backbone::MelConformer(network))
        }
        LoadedModel::Mulan(model) => {
            let MulanModel { audio: MulanAudio { mel, mel_mean, mel_deviation, network, .. }, config, .. } = *model;
            let mel = mel.config().clone();
            let found = MelConformerEncoderConfig { mel, mel_mean, mel_deviation, network: config.audio_network };
            (EncoderConfig::MelConformer(found), Backbone::MelConformer(network))
        }
        LoadedModel::WaveformTransformer(model) => {
            let WaveformTransformerModel { sample_rate, is_normalized, cqt, network, config, .. } = *model;
            let cqt = cqt.map(|cqt| cqt.config().clone());
            let found = WaveformTransformerEncoderConfig { sample_rate, is_normalized, cqt, network: config };
            (EncoderConfig::WaveformTransformer(found), Backbone::WaveformTransformer(network))
        }
        LoadedModel::MultiView(model) => {
            (EncoderConfig::Resnet(ResnetEncoderConfig { network: model.config }), Backbone::Resnet(model.network))
        }
        LoadedModel::Vit1d(model) => (EncoderConfig::Vit1d(model.config), Backbone::Vit1d(model.network)),
        LoadedModel::Mert2(_) | LoadedModel::MelRvq(_) => {
            let kinds = "a conformer, a transformer of waveforms, a resnet or a ViT-1D";
            let reason = format!("{}: expected {kinds}, found another network", path.display());
            return Err(no_audio(reason).into());
        }
    };
    if let Some(difference) = difference(&found, encoder)? {
        let reason = format!("{}: it is no encoder of this configuration: {difference}", path.display());
        return Err(no_audio(reason).into());
    }
    Ok(backbone)
}

/// The first key of `[encoder]` in which a model differs from the configuration.
fn difference(model: &EncoderConfig, configured: &EncoderConfig) -> Result<Option<String>, ConfigError> {
    let table = |encoder: &EncoderConfig| {
        let table = Table::try_from(encoder).map_err(|error| ConfigError::of(error.to_string()))?;
        Ok::<_, ConfigError>(Table::from_iter([("encoder".to_owned(), Value::Table(table))]))
    };
    let differences = config_differences(&table(model)?, &table(configured)?, &[]);
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    let first = differences.first();
    Ok(first.map(|first| format!("{}: expected {}, found {}", first.key, shown(&first.old), shown(&first.new))))
}

impl Mulan {
    /// One vector of length one for every clip: of the class token or the embedding of a network that has one, else of the
    /// last layer's frames.
    fn audio_vectors(&self, network: &MulanNetwork, batch: &Batch, device: &Device) -> Tensor<2> {
        let output = network.backbone.forward(self.input.of(first_crops(batch), device), None);
        let hidden = match output.embedding {
            // [clips, dim] -> [clips, 1, dim]
            Some(embedding) => embedding.unsqueeze_dim::<3>(1),
            None => output.frames.into_iter().next_back().unwrap_or_else(|| Tensor::zeros([0, 0, 0], device)),
        };
        network.audio_head.forward(hidden)
    }

    fn text_vectors(
        &self,
        network: &MulanNetwork,
        batch: &Batch,
        device: &Device,
    ) -> Result<Tensor<2>, ObjectiveError> {
        let draw = |(place, clip): (usize, &Clip)| {
            let seed = ClipSeed { seed: self.seed, step: batch.step, clip: place as u64 };
            self.method.texts.draw(&self.texts[clip.track], seed)
        };
        let texts: Vec<String> = batch.clips.iter().enumerate().map(draw).collect();
        // What a text is made of was read before: tags and captions each by itself.
        let unread = |_| ObjectiveError::TooFew { objective: NAME, what: "tokens in a text", needed: 1, found: 0 };
        Ok(network.text_head.forward(self.states.of(&texts, device).map_err(unread)?))
    }
}

impl Recipe for Mulan {
    type Network = MulanNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> MulanNetwork {
        let MulanMethod { joint_space, contrast, initial_scale, initial_bias, .. } = &self.method;
        let number = |value: f64| Initializer::Constant { value }.init([1], device);
        let backbone = self.backbone.init(device);
        let backbone = match &self.audio_from {
            Some(start) => update_teacher(backbone, start, 0.0, EmaScope::ParametersAndStatistics),
            None => backbone,
        };
        MulanNetwork {
            backbone,
            audio_head: JointSpaceHead::new(&joint_space.audio_head(self.backbone.clip_dim()), device),
            text_head: JointSpaceHead::new(&joint_space.text_head(self.text_dim), device),
            log_scale: number(initial_scale.ln()),
            bias: (*contrast == Contrast::Sigmoid).then(|| number(*initial_bias)),
        }
    }

    fn terms(
        &self,
        network: &MulanNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let audio = self.audio_vectors(network, batch, device);
        let text = self.text_vectors(network, batch, device)?;
        let [of_pairs, of_others] = mean_cosines(audio.clone().inner(), text.clone().inner());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(audio.clone().inner());
        let bias = network.bias.as_ref().map(Param::val);
        let mut terms = language_audio(audio, text, network.log_scale.val(), bias, self.method.contrast)?;
        terms.named.extend([("pair_similarity", of_pairs), ("other_similarity", of_others)]);
        Ok((terms, ()))
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        spread_signals(self.last.lock().unwrap_or_else(PoisonError::into_inner).take())
    }
}

/// The mean cosine of pairs, and that of all other combinations, of vectors of length one.
fn mean_cosines(audio: Tensor<2>, text: Tensor<2>) -> [Tensor<1>; 2] {
    let batch = audio.dims()[0] as f64;
    let of_pairs = (audio.clone() * text.clone()).sum();
    let of_others = (audio.matmul(text.transpose()).sum() - of_pairs.clone()) / (batch * (batch - 1.0)).max(1.0);
    [of_pairs / batch, of_others]
}

#[cfg(test)]
mod tests {
    use solfa_kernels::{Arithmetic, Precision};
    use solfa_signal::encoder::{Encoder, LayerChoice};

    use super::super::testing::{Chords, check_resume, log_of, mean, model_of, tiny, train_in, try_train_in};
    use super::super::{Plan, set};
    use super::*;
    use crate::checkpoint::{NamedTensor, TensorValues, module_tensors};
    use crate::data::{Collection, SkippedTrack, TrackSource};
    use crate::device::test_device;
    use crate::recipe::run_config::parse;

    const NUM_TRACKS: usize = 12;

    fn chords() -> Chords {
        Chords { sample_rate: 24_000, num_tracks: NUM_TRACKS, seconds: 6.0 }
    }

    fn error(changes: &[&str]) -> String {
        Plan::read(&tiny("mulan", changes)).err().unwrap().to_string()
    }

    #[test]
    fn texts_come_near_to_their_recordings_and_the_run_is_a_model_of_both() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let steps = 60;
        let table = tiny("mulan", &["training.steps=60", "training.signals_every=30", "sampling.clips_per_batch=6"]);
        let texts = chords().texts();
        try_train_in(&path, &table, chords(), &texts, &mut ()).unwrap();
        let lines = log_of(&path);
        assert_eq!(lines.len(), steps);
        let (first, last) = (mean(&lines[..10], |line| line.loss), mean(&lines[steps - 10..], |line| line.loss));
        assert!(last < first - 0.1, "from {first} to {last}");
        let margin = mean(&lines[steps - 10..], |line| line.terms["pair_similarity"] - line.terms["other_similarity"]);
        assert!(margin > 0.1, "margin {margin}");
        assert!(lines[steps - 1].terms.contains_key("embedding_effective_rank"));

        let LoadedModel::Mulan(model) = model_of(&path) else { panic!("another model") };
        assert!(model.logit_scale.unwrap() > 1.0);
        let arithmetic = Arithmetic::new(Precision::F32);
        let (audio, text) = model.split(test_device(), 1, arithmetic).unwrap();
        let words: Vec<String> = texts.iter().map(|texts| texts.tags.join(", ")).collect();
        let words: Vec<Vec<f32>> = text.encode(&words).unwrap().into_iter().map(|found| found.vector).collect();
        let (mut own, mut others) = (0.0, 0.0);
        for track in 0..NUM_TRACKS {
            let clip = chords().read(track, 24_000, audio.spec().clip_samples.unwrap()).unwrap();
            let found = audio.encode(&[clip], &LayerChoice::Last).unwrap();
            let vector = found.layers[0].clips[0].data();
            for (number, words) in words.iter().enumerate() {
                let cosine: f32 = vector.iter().zip(words).map(|(a, b)| a * b).sum();
                *(if number == track { &mut own } else { &mut others }) += f64::from(cosine);
            }
        }
        let count = NUM_TRACKS as f64;
        let margin = own / count - others / (count * (count - 1.0));
        assert!(margin > 0.1, "the model's own margin is {margin}");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("mulan", &["training.accumulate=2", "sampling.clips_per_batch=2"]);
    }

    #[test]
    fn every_contrast_can_be_chosen() {
        for contrast in ["softmax", "sigmoid"] {
            let parent = tempfile::tempdir().unwrap();
            let path = parent.path().join("run");
            let contrast_is = format!("method.contrast={contrast}");
            let changes = [contrast_is.as_str(), "training.steps=3", "sampling.clips_per_batch=3"];
            train_in(&path, &tiny("mulan", &changes), &mut ());
            let lines = log_of(&path);
            assert!(lines.iter().all(|line| !line.skipped && line.terms.contains_key("scale")), "{contrast}");
            let weights = std::fs::read(path.join("checkpoints/step-0000003.safetensors")).unwrap();
            let header = String::from_utf8_lossy(&weights[..weights.len().min(1 << 16)]).into_owned();
            assert!(header.contains("network.log_scale") && !header.contains("token_embeddings"));
            assert_eq!(header.contains("network.bias"), contrast == "sigmoid");
        }
        assert!(error(&["method.contrast=hard"]).contains("method.contrast"), "{}", error(&["method.contrast=hard"]));
    }

    #[test]
    fn an_audio_tower_begins_as_the_model_that_it_is_from_to_the_bit() {
        let parent = tempfile::tempdir().unwrap();
        let (first, second) = (parent.path().join("first"), parent.path().join("second"));
        let small = ["training.steps=1", "sampling.clips_per_batch=2"];
        train_in(&first, &tiny("mulan", &small), &mut ());
        let from = format!("method.audio_from={}", first.display());
        let standing =
            ["training.steps=1", "sampling.clips_per_batch=2", "training.learning_rate.peak=0.0", from.as_str()];
        train_in(&second, &tiny("mulan", &standing), &mut ());
        let tensors = |path: &Path| -> Vec<Vec<f32>> {
            let values = |tensor: NamedTensor<'_>| match tensor.values {
                TensorValues::Tensor(tensor) => tensor.into_data().try_to_vec::<f32>().unwrap(),
                _ => Vec::new(),
            };
            let LoadedModel::Mulan(model) = model_of(path) else { panic!("another model") };
            let tensors = module_tensors(&model.audio.network, "n").into_iter();
            tensors.filter(|tensor| !tensor.name.contains("running")).map(values).collect()
        };
        assert!(tensors(&first) == tensors(&second));
        let other =
            ["encoder.network.conformer.hidden_size=32", "encoder.network.conformer.num_heads=2", from.as_str()];
        let texts = chords().texts();
        let third = parent.path().join("third");
        let error = try_train_in(&third, &tiny("mulan", &other), chords(), &texts, &mut ()).unwrap_err().to_string();
        assert!(error.contains("method.audio_from") && error.contains("hidden_size: expected"), "{error}");
    }

    #[test]
    fn a_run_whose_text_model_is_gone_or_another_one_says_so() {
        let parent = tempfile::tempdir().unwrap();
        let (path, place) = (parent.path().join("run"), parent.path().join("text"));
        std::fs::create_dir(&place).unwrap();
        let mut table = tiny("mulan", &["training.steps=1", "sampling.clips_per_batch=2"]);
        let given = table["method"]["text_model"].as_str().unwrap().to_owned();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::copy(Path::new(&given).join(name), place.join(name)).unwrap();
        }
        set(&mut table, &format!("method.text_model={}", place.display())).unwrap();
        train_in(&path, &table, &mut ());
        let load = || Checkpoint::open(&path).and_then(|checkpoint| checkpoint.load(&test_device()));
        assert!(load().is_ok());
        let tokenizer = std::fs::read_to_string(place.join("tokenizer.json")).unwrap();
        std::fs::write(place.join("tokenizer.json"), format!("{tokenizer}\n")).unwrap();
        let error = load().err().unwrap().to_string();
        assert!(error.contains("whose hash is"), "{error}");
        std::fs::remove_dir_all(&place).unwrap();
        let error = load().err().unwrap().to_string();
        assert!(error.contains("found nothing: put it back"), "{error}");
    }

    #[test]
    fn any_network_can_be_the_audio_tower() {
        for other in ["vit1d-contrastive", "resnet-contrastive", "music2vec"] {
            let parent = tempfile::tempdir().unwrap();
            let path = parent.path().join("run");
            let mut table = tiny("mulan", &["training.steps=1", "sampling.clips_per_batch=2"]);
            let source = tiny(other, &[]);
            table["encoder"] = source["encoder"].clone();
            table["sampling"]["crop"]["seconds"] = source["sampling"]["crop"]["seconds"].clone();
            train_in(&path, &table, &mut ());
            assert!(!matches!(model_of(&path), LoadedModel::MelConformer(_) | LoadedModel::Mulan(_)), "{other}");
        }
    }

    #[test]
    fn tracks_without_words_are_left_out_and_no_words_at_all_are_an_error() {
        #[derive(Default)]
        struct Skipped(Vec<String>);
        impl TrainingObserver for Skipped {
            fn tracks_skipped(&mut self, tracks: &[SkippedTrack]) {
                self.0.extend(tracks.iter().map(|track| format!("{}: {}", track.name, track.reason)));
            }
        }
        let table = tiny("mulan", &["training.steps=2", "sampling.clips_per_batch=2"]);
        let parent = tempfile::tempdir().unwrap();
        let mut texts = chords().texts();
        texts[5] = TrackTexts::default();
        let mut skipped = Skipped::default();
        try_train_in(&parent.path().join("some"), &table, chords(), &texts, &mut skipped).unwrap();
        assert_eq!(skipped.0, ["chord 5: nothing is said of it: no tags, no caption"]);
        let error = try_train_in(&parent.path().join("none"), &table, chords(), &[], &mut ()).unwrap_err().to_string();
        assert!(error.contains("of none of 12 tracks is anything said"), "{error}");
        let resumed = tiny("mulan", &["training.steps=3", "sampling.clips_per_batch=2"]);
        texts[4].tags.push("new".into());
        let error = try_train_in(&parent.path().join("some"), &resumed, chords(), &texts, &mut ()).unwrap_err();
        assert!(error.to_string().contains("begun with other data"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_named_before_anything_is_read() {
        let one = error(&["sampling.clips_per_batch=1"]);
        assert_eq!(one, "sampling.clips_per_batch: expected 2 or more, found 1: pairs are told from other pairs");
        assert!(error(&["sampling.epoch_end=continue"]).contains("whole-batches"));
        assert!(error(&["sampling.crop.pair={ minimum_distance_seconds = 1.0 }"]).contains("crop.pair"));
        assert!(error(&["method.initial_scale=0.0"]).contains("expected a number above 0, found 0"));
        assert!(error(&["method.joint_space.latent_dim=0"]).contains("method.joint_space.latent_dim"));
        assert!(error(&["method.texts.plain_rate=2.0"]).contains("method.texts.plain_rate"));
        let mut table = tiny("mulan", &[]);
        table["method"].as_table_mut().unwrap().remove("text_model");
        let missing = Plan::read(&table).err().unwrap().to_string();
        assert!(missing.starts_with("method.text_model: missing: expected the folder of an XLM-RoBERTa"), "{missing}");
    }

    #[test]
    fn a_text_model_without_a_tokenizer_is_found_before_the_run_begins() {
        let place = tempfile::tempdir().unwrap();
        let mut table = tiny("mulan", &[]);
        let given = table["method"]["text_model"].as_str().unwrap().to_owned();
        for name in ["config.json", "model.safetensors"] {
            std::fs::copy(Path::new(&given).join(name), place.path().join(name)).unwrap();
        }
        set(&mut table, &format!("method.text_model={}", place.path().display())).unwrap();
        let collection = Collection::survey(std::sync::Arc::new(chords())).unwrap();
        let error = Plan::read(&table).unwrap().check_files().unwrap_err().to_string();
        assert!(error.contains("method.text_model: ") && error.contains("tokenizer.json: expected"), "{error}");
        let good = Plan::read(&tiny("mulan", &[])).unwrap();
        assert!(good.check_files().is_ok() && good.learns_from_texts());
        assert!(good.check_data(&collection, &chords().texts()).is_ok());
        assert!(good.check_data(&collection, &[]).unwrap_err().to_string().contains("of none of 12 tracks"));
    }

    #[test]
    fn the_published_configuration_is_the_published_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/mulan.toml");
        let config = parse::<MulanMethod>(&std::fs::read_to_string(path).unwrap().parse().unwrap()).unwrap();
        MulanMethod::check(&config).unwrap();
        assert_eq!(config.method.joint_space, JointSpaceConfig::default());
        assert_eq!((config.method.contrast, config.method.initial_scale), (Contrast::Decoupled, 10.0));
        let (training, sampling) = (&config.training, &config.sampling);
        assert_eq!((training.accumulate, sampling.clips_per_batch, sampling.crop.seconds), (10, 24, 10.0));
        let optimizer = &training.optimizer;
        assert_eq!((optimizer.betas, optimizer.clip_norm, optimizer.weight_decay), ([0.9, 0.99], Some(0.5), 0.0));
        assert!((training.learning_rate.at(1) - 1e-4).abs() < 1e-12 && training.learning_rate.at(9999) == 1e-4);
    }
}
