//! BYOL: a predictor on one segment's projection says what a slow copy of the network makes of the other segment.
//!
//! Grill et al. 2020, "Bootstrap your own latent", arXiv:2006.07733, as the multi-view study has it (arXiv:2404.09177): the
//! copy follows parameters and running statistics. The study's released code adds over the batch where the paper adds over
//! dimensions; that is an option ([`ByolConfig`]).

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::two_views::{ProjectionHead, TwoViews, check_head, vectors_of};
use super::{ConfigError, Ground, Method, PretrainError, RunConfig};
use crate::data::Batch;
use crate::model::Backbone;
use crate::objective::{ByolConfig, ObjectiveError, Terms, byol};
use crate::train::{EmaScope, Moment, Recipe, Schedule, TeacherMode, TrainingObserver, teacher_of, update_teacher};

/// `[method]` of `resnet-byol`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByolMethod {
    /// Widths of the projection head's layers.
    head: Vec<usize>,
    /// Widths of the predictor's layers; the last one is that of the projection.
    predictor: Vec<usize>,
    /// The share of the teacher that stays at each update.
    momentum: Schedule,
    /// The objective.
    #[serde(default)]
    objective: ByolConfig,
}

/// The method, ready for batches.
pub(super) struct Byol {
    views: TwoViews,
    method: ByolMethod,
}

/// What learns, and its slow copy.
#[derive(Module, Debug)]
pub(super) struct ByolNetwork {
    backbone: Backbone,
    head: ProjectionHead,
    predictor: ProjectionHead,
    teacher: Backbone,
    teacher_head: ProjectionHead,
}

impl Method for ByolMethod {
    type Recipe = Byol;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        let Self { head, predictor, momentum, objective: _ } = &config.method;
        check_head("head", head)?;
        check_head("predictor", predictor)?;
        momentum.check().map_err(|error| ConfigError::of(format!("method.momentum.{error}")))?;
        let views = TwoViews::new(config)?;
        let projected = head.last().copied().unwrap_or(views.backbone.clip_dim());
        if predictor.last() != Some(&projected) {
            let found = predictor.last().map_or("none".into(), usize::to_string);
            let reason = format!("expected a last width of {projected}, the projection's, found {found}");
            return Err(ConfigError::Value { key: "method.predictor".into(), reason });
        }
        Ok(())
    }

    fn prepare(
        config: &RunConfig<Self>,
        _ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<Byol, PretrainError> {
        Ok(Byol { views: TwoViews::new(config)?, method: config.method.clone() })
    }
}

impl Recipe for Byol {
    type Network = ByolNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> ByolNetwork {
        let backbone = self.views.backbone.init(device);
        let head = ProjectionHead::new(self.views.backbone.clip_dim(), &self.method.head, device);
        let projected = self.method.predictor.last().copied().unwrap_or_default();
        let predictor = ProjectionHead::new(projected, &self.method.predictor, device);
        let teacher = teacher_of(&backbone, TeacherMode::Training);
        let teacher_head = teacher_of(&head, TeacherMode::Training);
        ByolNetwork { backbone, head, predictor, teacher, teacher_head }
    }

    fn terms(
        &self,
        network: &ByolNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let inputs = self.views.inputs(batch, device);
        let vectors = self.views.vectors(&network.backbone, inputs.clone());
        let predictions = vectors.map(|vectors| network.predictor.forward(network.head.forward(vectors)));
        let targets = inputs.map(|input| network.teacher_head.forward(vectors_of(&network.teacher, input)));
        Ok((byol(predictions, targets, &self.method.objective)?, ()))
    }

    fn updated(&self, network: ByolNetwork, _carried: Vec<()>, moment: Moment) -> ByolNetwork {
        let ByolNetwork { backbone, head, predictor, teacher, teacher_head } = network;
        let momentum = self.method.momentum.at(moment.step);
        let scope = EmaScope::ParametersAndStatistics;
        let teacher = update_teacher(teacher, &backbone, momentum, scope);
        let teacher_head = update_teacher(teacher_head, &head, momentum, scope);
        ByolNetwork { backbone, head, predictor, teacher, teacher_head }
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        self.views.signals()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume, tiny};
    use crate::recipe::Plan;

    #[test]
    fn the_predictor_comes_to_say_what_the_teacher_says() {
        check_learning("resnet-byol", 20, 0.1, "similarity");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("resnet-byol", &["sampling.clips_per_batch=4"]);
    }

    #[test]
    fn a_predictor_of_another_width_than_the_projection_is_refused() {
        let error = Plan::read(&tiny("resnet-byol", &["method.predictor=[32, 7]"])).err().unwrap().to_string();
        assert!(error.starts_with("method.predictor: expected a last width of "), "{error}");
    }
}
