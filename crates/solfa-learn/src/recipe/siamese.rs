//! One network and one head for both segments of a pair, and a loss of the two projections: contrastive learning, Barlow
//! Twins, VICReg.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::two_views::{ProjectionHead, TwoViews, check_head};
use super::{ConfigError, Ground, Method, PretrainError, RunConfig};
use crate::data::Batch;
use crate::model::Backbone;
use crate::objective::{ObjectiveError, Terms};
use crate::train::{Moment, Recipe, TrainingObserver};

/// A loss of two projections, and the head that makes them.
pub(super) trait PairMethod: Clone + Serialize + DeserializeOwned + 'static {
    /// Widths of the projection head's layers; none for the vectors themselves.
    fn head(&self) -> &[usize];

    /// Refuses settings without meaning.
    fn check(&self) -> Result<(), ConfigError>;

    /// The loss: `[clips, dim]` of each segment.
    fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Result<Terms, ObjectiveError>;
}

/// The method, ready for batches.
pub(super) struct Siamese<M> {
    views: TwoViews,
    method: M,
}

/// What learns.
#[derive(Module, Debug)]
pub(super) struct SiameseNetwork {
    backbone: Backbone,
    head: ProjectionHead,
}

impl<M: PairMethod> Method for M {
    type Recipe = Siamese<M>;

    fn check(config: &RunConfig<Self>) -> Result<(), ConfigError> {
        check_head("head", config.method.head())?;
        PairMethod::check(&config.method)?;
        TwoViews::new(config).map(drop)
    }

    fn prepare(
        config: &RunConfig<Self>,
        _ground: &Ground<'_>,
        _observer: &mut dyn TrainingObserver,
    ) -> Result<Siamese<M>, PretrainError> {
        Ok(Siamese { views: TwoViews::new(config)?, method: config.method.clone() })
    }
}

impl<M: PairMethod> Recipe for Siamese<M> {
    type Network = SiameseNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> SiameseNetwork {
        let backbone = self.views.backbone.init(device);
        let head = ProjectionHead::new(self.views.backbone.clip_dim(), self.method.head(), device);
        SiameseNetwork { backbone, head }
    }

    fn terms(
        &self,
        network: &SiameseNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let vectors = self.views.vectors(&network.backbone, self.views.inputs(batch, device));
        let [first, second] = vectors.map(|vectors| network.head.forward(vectors));
        Ok((self.method.loss(first, second)?, ()))
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        self.views.signals()
    }
}
