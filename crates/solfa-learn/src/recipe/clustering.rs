//! Clustering: a segment's prototypes are to be those that a slow copy of the network gives the other segment.
//!
//! Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO), arXiv:2104.14294, as the
//! multi-view study has it (arXiv:2404.09177). The copy's outputs are centred by a running mean and sharpened by a lower
//! temperature, so that neither all prototypes nor one of them wins. The copy follows parameters; running statistics are its
//! own.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::two_views::{ProjectionHead, TwoViews, check_head, check_temperature, vectors_of};
use super::{ConfigError, Ground, Method, PretrainError, RunConfig};
use crate::data::Batch;
use crate::model::Backbone;
use crate::objective::{Clustering as Clustered, ClusteringConfig, ObjectiveError, Terms, clustering};
use crate::train::{EmaScope, Moment, Recipe, Schedule, TeacherMode, TrainingObserver, teacher_of, update_teacher};

/// `[method]` of `resnet-clustering`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusteringMethod {
    /// Widths of the projection head's layers; the last one is the number of prototypes.
    head: Vec<usize>,
    /// The share of the teacher that stays at each update.
    momentum: Schedule,
    /// What the teacher's outputs are divided by.
    teacher_temperature: Schedule,
    /// The objective.
    #[serde(default)]
    objective: ClusteringConfig,
}

/// The method, ready for batches.
pub(super) struct Clustering {
    views: TwoViews,
    method: ClusteringMethod,
}

/// What learns, its slow copy, and the mean of what that says.
#[derive(Module, Debug)]
pub(super) struct ClusteringNetwork {
    backbone: Backbone,
    head: ProjectionHead,
    teacher: Backbone,
    teacher_head: ProjectionHead,
    /// `[1, prototypes]`
    center: Param<Tensor<2>>,
}

impl Method for ClusteringMethod {
    type Recipe = Clustering;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        let Self { head, momentum, teacher_temperature, objective } = &config.method;
        check_head("head", head)?;
        for (name, schedule) in [("momentum", momentum), ("teacher_temperature", teacher_temperature)] {
            schedule.check().map_err(|error| ConfigError::of(format!("method.{name}.{error}")))?;
        }
        check_temperature("objective.student_temperature", objective.student_temperature)?;
        for step in [1, u64::MAX] {
            check_temperature("teacher_temperature", teacher_temperature.at(step))?;
        }
        TwoViews::new(config).map(drop)
    }

    fn prepare(
        config: &RunConfig<Self>,
        _ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<Clustering, PretrainError> {
        Ok(Clustering { views: TwoViews::new(config)?, method: config.method.clone() })
    }
}

impl Recipe for Clustering {
    type Network = ClusteringNetwork;
    type Carried = Tensor<2>;

    fn network(&self, device: &Device) -> ClusteringNetwork {
        let backbone = self.views.backbone.init(device);
        let dim = self.views.backbone.clip_dim();
        let head = ProjectionHead::new(dim, &self.method.head, device);
        let num_prototypes = self.method.head.last().copied().unwrap_or(dim);
        let teacher = teacher_of(&backbone, TeacherMode::Training);
        let teacher_head = teacher_of(&head, TeacherMode::Training);
        let center = Param::from_tensor(Tensor::zeros([1, num_prototypes], device)).set_require_grad(false);
        ClusteringNetwork { backbone, head, teacher, teacher_head, center }
    }

    fn terms(
        &self,
        network: &ClusteringNetwork,
        batch: &Batch,
        moment: Moment,
        device: &Device,
    ) -> Result<(Terms, Tensor<2>), ObjectiveError> {
        let inputs = self.views.inputs(batch, device);
        let vectors = self.views.vectors(&network.backbone, inputs.clone());
        let student = vectors.map(|vectors| network.head.forward(vectors));
        let teacher = inputs.map(|input| network.teacher_head.forward(vectors_of(&network.teacher, input)));
        let temperature = self.method.teacher_temperature.at(moment.step);
        let center = network.center.val();
        let Clustered { terms, center } = clustering(student, teacher, center, temperature, &self.method.objective)?;
        Ok((terms, center))
    }

    fn updated(&self, network: ClusteringNetwork, carried: Vec<Tensor<2>>, moment: Moment) -> ClusteringNetwork {
        let ClusteringNetwork { backbone, head, teacher, teacher_head, center } = network;
        let momentum = self.method.momentum.at(moment.step);
        let teacher = update_teacher(teacher, &backbone, momentum, EmaScope::Parameters);
        let teacher_head = update_teacher(teacher_head, &head, momentum, EmaScope::Parameters);
        // Of several batches that make one update, each moved the centre from where it was.
        let count = carried.len() as f64;
        let center = match carried.into_iter().reduce(|sum, center| sum + center) {
            Some(sum) => center.map(|old| (sum / count).to_device(&old.device()).set_require_grad(false)),
            None => center,
        };
        ClusteringNetwork { backbone, head, teacher, teacher_head, center }
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        self.views.signals()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_learning, check_resume};

    #[test]
    fn the_student_comes_to_choose_as_the_teacher_does() {
        check_learning("resnet-clustering", 20, 0.02, "teacher_entropy");
    }

    #[test]
    fn a_run_that_was_broken_off_ends_with_the_same_bits() {
        check_resume("resnet-clustering", &["sampling.clips_per_batch=4"]);
    }
}
