//! music2vec: what a slow copy of the network makes of the whole clip, said at frames that were hidden.
//!
//! Li et al. 2022, arXiv:2212.02508, and the study of speech models for music (arXiv:2307.05161); the method is data2vec's
//! (Baevski et al. 2022, arXiv:2202.03555). Spans of frames are hidden by one learned vector; the target is the mean of the
//! top layers of the copy, each normalised over time, and each taken from the feed-forward part before its residual sum.
//!
//! As in fairseq's base configuration the copy follows the transformer's layers alone (`ema_layers_only`); what comes
//! before them, it shares with the network that learns.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::masked_prediction::framed_backbone;
use super::masking::{Masking, crop_samples, first_crops};
use super::{ConfigError, Ground, MaskConfig, Method, PretrainError, RunConfig};
use crate::checkpoint::EncoderConfig;
use crate::data::Batch;
use crate::embed::EncoderInput;
use crate::model::{Backbone, BackboneConfig, BackboneOutput, WaveformTransformer};
use crate::objective::{ObjectiveError, RegressionConfig, Terms, mean_of_normalized_layers, regression};
use crate::train::{
    EmaScope, Moment, Recipe, Schedule, TeacherMode, TrainingObserver, spread, teacher_of, update_teacher,
};
use crate::views::SpanMaskConfig;

/// `[method]` of `music2vec`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data2VecMethod {
    /// What is hidden.
    #[serde(default = "published_mask")]
    mask: MaskConfig,
    /// How many of the copy's last layers are the target; 8 in music2vec.
    top_layers: usize,
    /// What of a layer is the target.
    #[serde(default)]
    target: LayerTarget,
    /// The share of the copy that stays at each update.
    momentum: Schedule,
    /// The objective.
    #[serde(default)]
    objective: RegressionConfig,
}

fn published_mask() -> MaskConfig {
    MaskConfig::Spans(SpanMaskConfig::data2vec())
}

/// What of a layer is the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LayerTarget {
    /// The feed-forward part's output before the residual sum, as published. Waveform transformers only.
    #[default]
    FeedForward,
    /// The layer's output.
    Output,
}

/// The method, ready for batches.
pub(super) struct Data2Vec {
    encoder: EncoderConfig,
    backbone: BackboneConfig,
    input: EncoderInput,
    masking: Masking,
    method: Data2VecMethod,
    /// Frames of the last batch, for the log.
    last: Mutex<Option<Tensor<3>>>,
}

/// What learns, and its slow copy.
#[derive(Module, Debug)]
pub(super) struct Data2VecNetwork {
    backbone: Backbone,
    head: Linear,
    /// `[hidden_size]`: what stands for hidden frames, where frames are hidden.
    hidden_frame: Option<Param<Tensor<1>>>,
    teacher: Backbone,
}

impl Method for Data2VecMethod {
    type Recipe = Data2Vec;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        let Self { mask: _, top_layers, target, momentum, objective } = &config.method;
        let backbone = framed_backbone(&config.encoder)?;
        let num_layers = backbone.num_layers();
        if !(1..=num_layers).contains(top_layers) {
            return Err(ConfigError::of(format!("method.top_layers: expected 1 to {num_layers}, found {top_layers}")));
        }
        if *target == LayerTarget::FeedForward && !matches!(backbone, BackboneConfig::WaveformTransformer(_)) {
            let kind = config.encoder.kind();
            let reason =
                format!("method.target: expected \"output\" with an encoder of kind {kind}, found \"feed-forward\"");
            return Err(ConfigError::of(reason));
        }
        momentum.check().map_err(|error| ConfigError::of(format!("method.momentum.{error}")))?;
        if !objective.beta.is_finite() || objective.beta < 0.0 {
            return Err(ConfigError::of(format!(
                "method.objective.beta: expected 0 or more, found {}",
                objective.beta
            )));
        }
        Ok(())
    }

    fn prepare(
        config: &RunConfig<Self>,
        _ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<Data2Vec, PretrainError> {
        Ok(Data2Vec {
            backbone: framed_backbone(&config.encoder)?,
            input: EncoderInput::new(&config.encoder).map_err(ConfigError::of)?,
            masking: Masking::new(&config.method.mask, &config.encoder, config.seed)?,
            encoder: config.encoder.clone(),
            method: config.method.clone(),
            last: Mutex::new(None),
        })
    }
}

impl Data2Vec {
    fn layers(&self, output: BackboneOutput) -> Vec<Tensor<3>> {
        match self.method.target {
            LayerTarget::FeedForward => output.feed_forward,
            LayerTarget::Output => output.frames,
        }
    }
}

impl Recipe for Data2Vec {
    type Network = Data2VecNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> Data2VecNetwork {
        let dim = self.backbone.frame_dim().unwrap_or_default();
        let backbone = self.backbone.init(device);
        let teacher = teacher_of(&backbone, TeacherMode::Evaluation);
        Data2VecNetwork {
            backbone,
            head: LinearConfig::new(dim, dim).init(device),
            hidden_frame: self.masking.hidden_frame(dim, device),
            teacher,
        }
    }

    fn terms(
        &self,
        network: &Data2VecNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let masked = self.masking.apply(batch, self.encoder.num_frames(crop_samples(batch)));
        let flags = masked.flags(device);
        let whole = self.input.of(first_crops(batch), &device.clone().inner());
        let target = self.layers(network.teacher.forward(whole, None));
        let target = mean_of_normalized_layers(&target, self.method.top_layers)?;
        let hidden = masked.hidden_frames(network.hidden_frame.as_ref(), device);
        let input = self.input.of(masked.clips.into_iter(), device);
        let last = network.backbone.forward(input, hidden.as_ref()).frames.pop();
        let last = last.unwrap_or_else(|| Tensor::zeros([0, 0, 0], device));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last.clone().inner());
        Ok((regression(network.head.forward(last), target, Some(flags), &self.method.objective)?, ()))
    }

    fn updated(&self, network: Data2VecNetwork, _carried: Vec<()>, moment: Moment) -> Data2VecNetwork {
        let Data2VecNetwork { backbone, head, hidden_frame, teacher } = network;
        let momentum = self.method.momentum.at(moment.step);
        let teacher = match (teacher, &backbone) {
            (Backbone::WaveformTransformer(teacher), Backbone::WaveformTransformer(student)) => {
                Backbone::WaveformTransformer(follow_layers(teacher, student, momentum))
            }
            (teacher, student) => update_teacher(teacher, student, momentum, EmaScope::ParametersAndStatistics),
        };
        Data2VecNetwork { backbone, head, hidden_frame, teacher }
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = last.and_then(|frames| {
            let dim = frames.dims()[2];
            let values: Vec<f32> = frames.into_data().convert::<f32>().iter::<f32>().collect();
            spread(&values, dim).ok()
        });
        let Some(spread) = found else { return BTreeMap::new() };
        let numbers = [("frame_deviation", spread.deviation), ("frame_effective_rank", spread.effective_rank)];
        numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The copy's layers move towards the network's; all that comes before them is the network's.
fn follow_layers(
    mut teacher: WaveformTransformer,
    student: &WaveformTransformer,
    momentum: f64,
) -> WaveformTransformer {
    let scope = EmaScope::Parameters;
    teacher.encoder.layers = update_teacher(teacher.encoder.layers, &student.encoder.layers, momentum, scope);
    teacher.frontend = update_teacher(teacher.frontend, &student.frontend, 0.0, scope);
    teacher.projection = update_teacher(teacher.projection, &student.projection, 0.0, scope);
    let (following, followed) = (&mut teacher.encoder, &student.encoder);
    following.norm = update_teacher(following.norm.clone(), &followed.norm, 0.0, scope);
    following.weight_normed_positions =
        update_teacher(following.weight_normed_positions.take(), &followed.weight_normed_positions, 0.0, scope);
    following.stacked_positions =
        update_teacher(following.stacked_positions.take(), &followed.stacked_positions, 0.0, scope);
    teacher
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume, tiny};
    use super::*;
    use crate::checkpoint::{NamedTensor, TensorValues, module_tensors};
    use crate::device::test_device;
    use crate::recipe::Plan;

    #[test]
    fn it_comes_to_say_what_the_whole_clip_gives() {
        check_learning("music2vec", 20, 0.2, "target_deviation");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("music2vec", &["sampling.clips_per_batch=2"]);
    }

    #[test]
    fn the_copy_follows_the_layers_and_shares_the_rest() {
        let config = crate::recipe::run_config::parse::<Data2VecMethod>(&tiny("music2vec", &[])).unwrap();
        let device = test_device().autodiff();
        let backbones = [(); 2].map(|()| framed_backbone(&config.encoder).unwrap().init(&device));
        let [Backbone::WaveformTransformer(student), Backbone::WaveformTransformer(other)] = backbones else {
            panic!("another network")
        };
        let teacher = teacher_of(&other, TeacherMode::Evaluation);
        let moved = follow_layers(teacher.clone(), &student, 0.75);
        let values = |tensor: NamedTensor<'_>| match tensor.values {
            TensorValues::Tensor(tensor) => tensor.into_data().try_to_vec::<f32>().unwrap(),
            _ => panic!("no floats"),
        };
        let names: Vec<String> = module_tensors(&moved, "t").into_iter().map(|tensor| tensor.name).collect();
        let [old, new, followed] =
            [module_tensors(&teacher, "t"), module_tensors(&moved, "t"), module_tensors(&student, "t")]
                .map(|tensors| tensors.into_iter().map(values).collect::<Vec<_>>());
        for (number, name) in names.iter().enumerate() {
            let share = if name.starts_with("t.encoder.layers.") { 0.25 } else { 1.0 };
            for ((new, old), followed) in new[number].iter().zip(&old[number]).zip(&followed[number]) {
                assert!(
                    (new - (old + share * (followed - old))).abs() < 1e-6,
                    "{name}: {old} to {followed} gave {new}"
                );
            }
        }
    }

    #[test]
    fn feed_forward_targets_are_of_waveform_transformers_only() {
        let mut table = tiny("musicfm", &["recipe=music2vec", "method.top_layers=2"]);
        table["method"] =
            "top_layers = 2\n[momentum]\nkind = \"constant\"\nvalue = 0.99".parse::<toml::Table>().unwrap().into();
        let error = Plan::read(&table).err().unwrap().to_string();
        assert!(
            error.starts_with("method.target: expected \"output\" with an encoder of kind mel-conformer"),
            "{error}"
        );
        super::super::set(&mut table, "method.target=output").unwrap();
        assert!(Plan::read(&table).is_ok(), "a conformer can learn so too");
    }
}
