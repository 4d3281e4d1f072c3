//! musicHuBERT and MERT: the tokens of one teacher or several, predicted by cosine at frames that were hidden; and with MERT
//! the constant-Q spectrogram beside them.
//!
//! Hsu et al. 2021, "HuBERT", arXiv:2106.07447, with k-means of MFCC and then of hidden states, on music in arXiv:2307.05161;
//! Li et al. 2023, "MERT", arXiv:2306.00107, with teachers of log-mel and chroma. Teachers are fitted on the run's own clips
//! where no centroids are given, and see the sound as it was.

use std::collections::BTreeMap;
use std::sync::Mutex;

use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use solfa_signal::audio::Waveform;
use solfa_signal::features::{Cqt, CqtConfig};
use solfa_signal::frames::Frames;

use super::hidden_states::HiddenStates;
use super::masked_prediction::framed_backbone;
use super::masking::{Masking, first_crops};
use super::mel_rvq::usage_signals;
use super::{ConfigError, Ground, MaskConfig, Method, PretrainError, RunConfig};
use crate::checkpoint::EncoderConfig;
use crate::data::{Batch, Loader, Sampler};
use crate::embed::EncoderInput;
use crate::model::{Backbone, BackboneConfig};
use crate::objective::{HubertConfig, HubertPrediction, ObjectiveError, Terms, cqt_reconstruction, hubert};
use crate::targets::stored::{KMeansDescription, load_kmeans, save_kmeans};
use crate::targets::{FrameFeature, KMeans, KMeansConfig, KMeansFeature, RowsOfToken, align_rows};
use crate::train::{CodeCounts, Moment, Recipe, TrainingObserver};
use crate::views::SpanMaskConfig;

/// `[method]` of `musichubert` and `mert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubertMethod {
    /// What is hidden.
    #[serde(default = "published_mask")]
    mask: MaskConfig,
    /// Whose tokens are predicted.
    teachers: Vec<TeacherConfig>,
    /// Width in which frames are compared with codes; 256 in HuBERT, 64 in MERT.
    final_dim: usize,
    /// Clips that teachers are fitted on.
    #[serde(default = "default_fit_clips")]
    fit_clips: usize,
    /// The objective.
    #[serde(default)]
    objective: HubertConfig,
    /// A spectrogram that is predicted too: MERT's musical teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cqt: Option<CqtTarget>,
}

fn published_mask() -> MaskConfig {
    MaskConfig::Spans(SpanMaskConfig::hubert())
}

fn default_fit_clips() -> usize {
    500
}

/// A teacher: k-means on a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeacherConfig {
    /// What its rows are.
    feature: KMeansFeature,
    /// How it is fitted.
    kmeans: KMeansConfig,
    /// What a frame takes of the rows that it covers.
    #[serde(default)]
    rows: RowsOfToken,
    /// Centroids that were fitted before, of the same feature: the file of another run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    centroids_from: Option<String>,
}

/// A constant-Q transform that is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CqtTarget {
    /// The transform, at the encoder's sample rate; MERT's without it.
    #[serde(default = "CqtConfig::mert")]
    transform: CqtConfig,
    /// Weight of its error beside the tokens' loss.
    weight: f64,
}

/// The method, ready for batches.
pub(super) struct Hubert {
    encoder: EncoderConfig,
    backbone: BackboneConfig,
    input: EncoderInput,
    masking: Masking,
    method: HubertMethod,
    teachers: Vec<Teacher>,
    cqt: Option<Cqt>,
}

/// A fitted teacher.
struct Teacher {
    rows: TeacherRows,
    kmeans: KMeans,
    counts: Mutex<CodeCounts>,
}

/// Makes a teacher's rows of clips.
struct TeacherRows {
    source: RowSource,
    choice: RowsOfToken,
    /// What the rows are, for the file of centroids.
    feature: KMeansFeature,
}

enum RowSource {
    Feature(Box<FrameFeature>),
    Hidden(HiddenStates),
}

/// What learns.
#[derive(Module, Debug)]
pub(super) struct HubertNetwork {
    backbone: Backbone,
    heads: Vec<CodeHead>,
    cqt_head: Option<Linear>,
    /// `[hidden_size]`: what stands for hidden frames, where frames are hidden.
    hidden_frame: Option<Param<Tensor<1>>>,
}

/// A teacher's codes, and the projection in which frames are compared with them.
#[derive(Module, Debug)]
struct CodeHead {
    projection: Linear,
    /// `[codes, final_dim]`
    codes: Param<Tensor<2>>,
}

impl Method for HubertMethod {
    type Recipe = Hubert;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        let Self { mask, teachers, final_dim, fit_clips, objective: _, cqt } = &config.method;
        framed_backbone(&config.encoder)?;
        if teachers.is_empty() {
            return Err(ConfigError::of("method.teachers: expected one or more"));
        }
        for (key, found) in [("final_dim", final_dim), ("fit_clips", fit_clips)] {
            if !(1..=1 << 20).contains(found) {
                return Err(ConfigError::of(format!("method.{key}: expected 1 to {}, found {found}", 1 << 20)));
            }
        }
        let rate = config.encoder.sample_rate();
        for (number, teacher) in teachers.iter().enumerate() {
            if !matches!(teacher.feature, KMeansFeature::Hidden { .. }) {
                FrameFeature::new(&teacher.feature, rate)
                    .map_err(|error| ConfigError::of(format!("method.teachers.{number}.feature: {error}")))?;
            }
        }
        if let Some(CqtTarget { transform, weight }) = cqt {
            let found = transform.sample_rate;
            if found != rate {
                let reason = format!("expected the encoder's, {rate}, found {found}");
                return Err(ConfigError::of(format!("method.cqt.transform.sample_rate: {reason}")));
            }
            Cqt::new(transform.clone()).map_err(|error| ConfigError::of(format!("method.cqt.transform.{error}")))?;
            if !weight.is_finite() {
                return Err(ConfigError::of(format!("method.cqt.weight: expected a number, found {weight}")));
            }
        }
        let masking = Masking::new(mask, &config.encoder, config.seed);
        masking.map(drop).map_err(|error| ConfigError::of(format!("method.mask: {error}")))
    }

    fn prepare(
        config: &RunConfig<Self>,
        ground: &Ground<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Hubert, PretrainError> {
        let method = &config.method;
        let mut teachers = Vec::with_capacity(method.teachers.len());
        for (number, teacher) in method.teachers.iter().enumerate() {
            let rows = TeacherRows::new(number, teacher, config.encoder.sample_rate(), ground)?;
            let kmeans = fitted(number, teacher, &rows, config, ground, observer)?;
            let counts = Mutex::new(CodeCounts::new(1, kmeans.num_clusters()));
            teachers.push(Teacher { rows, kmeans, counts });
        }
        let cqt = method.cqt.as_ref().map(|target| Cqt::new(target.transform.clone())).transpose();
        Ok(Hubert {
            backbone: framed_backbone(&config.encoder)?,
            input: EncoderInput::new(&config.encoder).map_err(ConfigError::of)?,
            masking: Masking::new(&method.mask, &config.encoder, config.seed)?,
            encoder: config.encoder.clone(),
            method: method.clone(),
            teachers,
            cqt: cqt.map_err(|error| ConfigError::of(format!("method.cqt.transform.{error}")))?,
        })
    }
}

impl TeacherRows {
    fn new(number: usize, teacher: &TeacherConfig, rate: u32, ground: &Ground<'_>) -> Result<Self, PretrainError> {
        let key = format!("method.teachers.{number}.feature");
        let (source, feature) = match &teacher.feature {
            KMeansFeature::Hidden { layer, model } => {
                let states = HiddenStates::open(&key, model, *layer, ground.device)?;
                if states.sample_rate() != rate {
                    let found = states.sample_rate();
                    let reason = format!("{model} works at {found} Hz, and the encoder at {rate} Hz");
                    return Err(ConfigError::Value { key, reason }.into());
                }
                let feature = KMeansFeature::Hidden { layer: *layer, model: states.identity() };
                (RowSource::Hidden(states), feature)
            }
            feature => {
                let prepared = FrameFeature::new(feature, rate);
                let prepared = prepared.map_err(|error| ConfigError::Value { key, reason: error.to_string() })?;
                (RowSource::Feature(Box::new(prepared)), feature.clone())
            }
        };
        Ok(Self { source, choice: teacher.rows, feature })
    }

    /// `num_frames` rows of every clip.
    ///
    /// # Errors
    /// A sentence for clips that have no such rows.
    fn of(&self, clips: &[Waveform], num_frames: usize, frames_per_second: f64) -> Result<Vec<Frames>, String> {
        let rows = match &self.source {
            RowSource::Feature(feature) => {
                let rows = |clip| feature.rows(clip).map_err(|error| error.to_string());
                clips.par_iter().map(rows).collect::<Result<Vec<Frames>, String>>()?
            }
            RowSource::Hidden(states) => states.of(clips)?,
        };
        let aligned = |rows: &Frames| {
            align_rows(rows, num_frames, frames_per_second, self.choice).map_err(|error| error.to_string())
        };
        rows.iter().map(aligned).collect()
    }
}

/// The centroids of a teacher: given, kept in the run's folder, or fitted now and kept there.
fn fitted(
    number: usize,
    teacher: &TeacherConfig,
    rows: &TeacherRows,
    config: &RunConfig<HubertMethod>,
    ground: &Ground<'_>,
    observer: &mut dyn TrainingObserver,
) -> Result<KMeans, PretrainError> {
    let key = || format!("method.teachers.{number}");
    let wrong = |reason: String| ConfigError::Value { key: key(), reason };
    let feature = serde_json::to_value(&rows.feature).map_err(|error| wrong(error.to_string()))?;
    let kept = ground.folder.path().join(format!("teacher-{number}.safetensors"));
    let path = teacher.centroids_from.as_ref().map_or(kept.as_path(), std::path::Path::new);
    if teacher.centroids_from.is_some() || kept.exists() {
        let (kmeans, _) = load_kmeans(path, Some(&feature))?;
        let (expected, found) = (teacher.kmeans.num_clusters, kmeans.num_clusters());
        if expected != found {
            let reason = format!("kmeans.num_clusters is {expected}, and {} has {found} centroids", path.display());
            return Err(wrong(reason).into());
        }
        return Ok(kmeans);
    }
    let sampler = Sampler::new(ground.collection, &config.sampling, config.seed)?;
    let num_samples = sampler.crop_samples();
    let mut loader = Loader::new(ground.collection.clone(), sampler, config.loader, 0)?;
    let rate = config.encoder.sample_rate();
    let (num_frames, per_second) = frames_of(&config.encoder, num_samples);
    let (mut values, mut dim, mut clips) = (Vec::new(), 0, 0);
    observer.begins(&format!("rows of teacher {}", number + 1), config.method.fit_clips as u64);
    while clips < config.method.fit_clips {
        let batch = loader.next_batch()?;
        let waveforms: Vec<Waveform> = first_crops(&batch).map(|samples| Waveform::new(samples, rate)).collect();
        for frames in rows.of(&waveforms, num_frames, per_second).map_err(wrong)? {
            dim = frames.dim();
            values.extend_from_slice(frames.data());
        }
        clips += waveforms.len();
        observer.advanced(clips as u64);
        if observer.wants_to_stop() {
            return Err(PretrainError::Stopped);
        }
    }
    drop(loader);
    observer.begins(&format!("k-means of teacher {}", number + 1), 1);
    let seed = config.seed.wrapping_add(number as u64);
    let kmeans = KMeans::fit(&values, dim, &teacher.kmeans, seed).map_err(|error| wrong(error.to_string()))?;
    let description = KMeansDescription { feature, data_sha256: Some(ground.collection.data_sha256()), seed };
    save_kmeans(&kept, &kmeans, &description)?;
    Ok(kmeans)
}

/// Frames of a clip, and frames per second.
fn frames_of(encoder: &EncoderConfig, num_samples: usize) -> (usize, f64) {
    (encoder.num_frames(num_samples), f64::from(encoder.sample_rate()) / encoder.hop_samples() as f64)
}

impl Recipe for Hubert {
    type Network = HubertNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> HubertNetwork {
        let dim = self.backbone.frame_dim().unwrap_or_default();
        let final_dim = self.method.final_dim;
        let unit = Initializer::Uniform { min: 0.0, max: 1.0 };
        let head = |teacher: &Teacher| CodeHead {
            projection: LinearConfig::new(dim, final_dim).init(device),
            codes: unit.init([teacher.kmeans.num_clusters(), final_dim], device),
        };
        let cqt_head = self.cqt.as_ref().map(|cqt| LinearConfig::new(dim, cqt.config().num_bins).init(device));
        HubertNetwork {
            backbone: self.backbone.init(device),
            heads: self.teachers.iter().map(head).collect(),
            cqt_head,
            hidden_frame: self.masking.hidden_frame(dim, device),
        }
    }

    fn terms(
        &self,
        network: &HubertNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let rate = self.encoder.sample_rate();
        let clips: Vec<Waveform> = first_crops(batch).map(|samples| Waveform::new(samples, rate)).collect();
        let num_samples = clips.first().map_or(0, Waveform::num_samples);
        let (num_frames, per_second) = frames_of(&self.encoder, num_samples);
        let masked = self.masking.apply(batch, num_frames);
        let flags = masked.flags(device);
        let hidden = masked.hidden_frames(network.hidden_frame.as_ref(), device);
        let output = network.backbone.forward(self.input.of(masked.clips.into_iter(), device), hidden.as_ref());
        let front_end = output.front_end;
        let last = output.frames.into_iter().next_back().unwrap_or_else(|| Tensor::zeros([0, 0, 0], device));
        let mut predictions = Vec::with_capacity(self.teachers.len());
        for (teacher, head) in self.teachers.iter().zip(&network.heads) {
            let codes = teacher.codes(&clips, num_frames, per_second)?;
            let targets = Tensor::<2, Int>::from_data(TensorData::new(codes, [clips.len(), num_frames]), device);
            let (projected, embeddings) = (head.projection.forward(last.clone()), head.codes.val());
            predictions.push(HubertPrediction { projected, embeddings, targets });
        }
        let terms = hubert(predictions, Some(flags.clone()), front_end, &self.method.objective)?;
        let terms = match (&self.cqt, &network.cqt_head, &self.method.cqt) {
            (Some(cqt), Some(head), Some(CqtTarget { weight, .. })) => {
                let target = magnitudes(cqt, &clips, (num_frames, per_second), device)?;
                terms.plus(*weight, cqt_reconstruction(head.forward(last), target, Some(flags))?)
            }
            _ => terms,
        };
        Ok((terms, ()))
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        let of_teacher = |(number, teacher): (usize, &Teacher)| {
            let numbers = usage_signals(&teacher.counts).into_iter();
            let named =
                numbers.map(move |(name, value)| (name.replace("_1", &format!("_of_teacher_{}", number + 1)), value));
            named.collect::<Vec<_>>()
        };
        self.teachers.iter().enumerate().flat_map(of_teacher).collect()
    }
}

impl Teacher {
    /// The code of every frame, clip after clip.
    fn codes(&self, clips: &[Waveform], num_frames: usize, per_second: f64) -> Result<Vec<i64>, ObjectiveError> {
        let wrong = |reason: String| ObjectiveError::Target { reason };
        let mut codes = Vec::with_capacity(clips.len() * num_frames);
        for rows in self.rows.of(clips, num_frames, per_second).map_err(wrong)? {
            let assigned = self.kmeans.assign(rows.data()).map_err(|error| wrong(error.to_string()))?;
            codes.extend(assigned.into_iter().map(i64::from));
        }
        // Codes come from centroids of this number.
        let _ = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(0, &codes);
        Ok(codes)
    }
}

/// `[clips, frames, bins]`: of what the transform gives, the row in which each of the network's frames begins.
fn magnitudes(
    cqt: &Cqt,
    clips: &[Waveform],
    (num_frames, per_second): (usize, f64),
    device: &Device,
) -> Result<Tensor<3>, ObjectiveError> {
    let num_bins = cqt.config().num_bins;
    let rows = |clip| align_rows(&cqt.compute(clip), num_frames, per_second, RowsOfToken::First);
    let frames = clips.par_iter().map(rows).collect::<Result<Vec<Frames>, _>>();
    let frames = frames.map_err(|error| ObjectiveError::Target { reason: error.to_string() })?;
    let values: Vec<f32> = frames.iter().flat_map(|frames| frames.data().iter().copied()).collect();
    Ok(Tensor::from_data(TensorData::new(values, [clips.len(), num_frames, num_bins]), device))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume, log_of, model_of, tiny, train_in};
    use crate::checkpoint::LoadedModel;

    #[test]
    fn it_comes_to_say_the_codes_of_k_means() {
        check_learning("musichubert", 20, 0.2, "masked_accuracy");
    }

    #[test]
    fn several_teachers_and_a_spectrogram() {
        check_learning("mert", 20, 0.2, "cqt_error");
    }

    #[test]
    fn a_second_round_learns_codes_of_the_first_one() {
        let parent = tempfile::tempdir().unwrap();
        let (first, second) = (parent.path().join("first"), parent.path().join("second"));
        let few = ["training.steps=3", "method.fit_clips=8"];
        train_in(&first, &tiny("musichubert", &few), &mut ());
        let model = format!(
            "[{{ feature = {{ kind = \"hidden\", layer = 2, model = \"{}\" }}, kmeans = {{ num_clusters = 20 }} }}]",
            first.display()
        );
        train_in(&second, &tiny("musichubert", &[few[0], few[1], &format!("method.teachers={model}")]), &mut ());
        assert_eq!(log_of(&second).len(), 3);
        assert!(matches!(model_of(&second), LoadedModel::WaveformTransformer(_)));
        assert!(second.join("teacher-0.safetensors").is_file());
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("mert", &["method.fit_clips=8", "sampling.clips_per_batch=2"]);
    }
}
