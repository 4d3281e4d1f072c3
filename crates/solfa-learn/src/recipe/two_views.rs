//! Two segments of a track, and the network that gives each a vector: what the methods of the multi-view study have in
//! common.
//!
//! Meseguer-Brocal et al. 2024, "An Experimental Comparison of Multi-View Self-Supervised Methods for Music Tagging",
//! arXiv:2404.09177, sec. 3: the same network and pairs under five objectives, each with a projection head.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::{ConfigError, RunConfig};
use crate::checkpoint::EncoderConfig;
use crate::data::{Batch, EpochEnd};
use crate::embed::EncoderInput;
use crate::model::{Backbone, BackboneConfig, BackboneInput};
use crate::train::spread;

/// Far above any published head.
const LARGEST_HEAD: usize = 1 << 17;

/// Linear layers with batch norm and ReLU between them: `Linear` without bias, norm, ReLU, and so on, and a `Linear` with
/// bias at the end. Without layers it gives what it is given.
#[derive(Module, Debug)]
pub(super) struct ProjectionHead {
    hidden: Vec<HiddenLayer>,
    last: Option<Linear>,
}

#[derive(Module, Debug)]
struct HiddenLayer {
    linear: Linear,
    norm: BatchNorm,
}

impl ProjectionHead {
    /// A head with random weights whose layers have these widths.
    pub(super) fn new(mut input_dim: usize, widths: &[usize], device: &Device) -> Self {
        let mut hidden = Vec::new();
        let Some((&output_dim, inner)) = widths.split_last() else { return Self { hidden, last: None } };
        for &width in inner {
            let linear = LinearConfig::new(input_dim, width).with_bias(false).init(device);
            hidden.push(HiddenLayer { linear, norm: BatchNormConfig::new(width).init(device) });
            input_dim = width;
        }
        Self { hidden, last: Some(LinearConfig::new(input_dim, output_dim).init(device)) }
    }

    /// `[clips, input_dim]` to `[clips, output_dim]`.
    pub(super) fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        let hidden =
            self.hidden.iter().fold(vectors, |vectors, layer| relu(layer.norm.forward(layer.linear.forward(vectors))));
        match &self.last {
            Some(last) => last.forward(hidden),
            None => hidden,
        }
    }
}

/// The input of both views of a batch.
pub(super) struct TwoViews {
    input: EncoderInput,
    pub(super) backbone: BackboneConfig,
    /// Vectors of the last batch, for the log.
    last: Mutex<Option<Tensor<2>>>,
}

impl TwoViews {
    /// # Errors
    /// An encoder that gives no vectors, or batches that are no pairs of different tracks.
    pub(super) fn new<M>(config: &RunConfig<M>) -> Result<Self, ConfigError> {
        check_pairs(config)?;
        let backbone = config.encoder.backbone().ok_or_else(|| {
            ConfigError::of(format!("encoder.kind: expected a network, found {}", config.encoder.kind()))
        })?;
        let input = EncoderInput::new(&config.encoder).map_err(ConfigError::of)?;
        Ok(Self { input, backbone, last: Mutex::new(None) })
    }

    /// The network's input of both views.
    pub(super) fn inputs(&self, batch: &Batch, device: &Device) -> [BackboneInput; 2] {
        let crops = |view| batch.clips.iter().filter_map(move |clip| clip.crops.get(view).cloned());
        [0, 1].map(|view| self.input.of(crops(view), device))
    }

    /// The vectors of both views, `[clips, dim]` each, every view in a pass of its own.
    pub(super) fn vectors(&self, backbone: &Backbone, inputs: [BackboneInput; 2]) -> [Tensor<2>; 2] {
        let vectors = inputs.map(|input| vectors_of(backbone, input));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(vectors[0].clone().inner());
        vectors
    }

    /// Whether the vectors of the last batch have collapsed.
    pub(super) fn signals(&self) -> BTreeMap<String, f64> {
        spread_signals(self.last.lock().unwrap_or_else(PoisonError::into_inner).take())
    }
}

/// Whether vectors, `[clips, dim]`, have collapsed: numbers for the log.
pub(super) fn spread_signals(vectors: Option<Tensor<2>>) -> BTreeMap<String, f64> {
    let found = vectors.and_then(|vectors| {
        let dim = vectors.dims()[1];
        let values: Vec<f32> = vectors.into_data().convert::<f32>().iter::<f32>().collect();
        spread(&values, dim).ok()
    });
    let Some(spread) = found else { return BTreeMap::new() };
    let numbers = [
        ("embedding_deviation", spread.deviation),
        ("embedding_normalized_deviation", spread.normalized_deviation),
        ("embedding_effective_rank", spread.effective_rank),
    ];
    numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One vector a clip.
pub(super) fn vectors_of(backbone: &Backbone, input: BackboneInput) -> Tensor<2> {
    // Every network has a layer: the configuration was checked.
    backbone.forward(input, None).into_clip_vectors().unwrap_or_else(|| Tensor::zeros([0, 0], &Device::flex()))
}

/// Refuses batches that are no pairs of segments, each of another track, or segments of another length than the encoder's.
fn check_pairs<M>(config: &RunConfig<M>) -> Result<(), ConfigError> {
    let sampling = &config.sampling;
    let wrong = |key: &str, reason: String| Err(ConfigError::Value { key: format!("sampling.{key}"), reason });
    if sampling.crop.pair.is_none() {
        let reason = "missing: this method learns from pairs of segments (pair = { minimum_distance_seconds = 4.0 })";
        return wrong("crop.pair", reason.into());
    }
    if sampling.clips_per_batch < 2 {
        let reason = format!("expected 2 or more, found {}: pairs are told from other pairs", sampling.clips_per_batch);
        return wrong("clips_per_batch", reason);
    }
    if sampling.epoch_end != EpochEnd::WholeBatches {
        return wrong("epoch_end", "expected \"whole-batches\": no track may be in a batch twice".into());
    }
    check_crop_of_resnet(config)
}

/// Refuses crops of another length than a resnet's.
pub(super) fn check_crop_of_resnet<M>(config: &RunConfig<M>) -> Result<(), ConfigError> {
    if let EncoderConfig::Resnet(_) = &config.encoder {
        let found = config.sampling.crop.seconds;
        let seconds = config.encoder.hop_samples() as f64 / f64::from(config.encoder.sample_rate());
        if found != seconds {
            let reason = format!("expected {seconds:?}, the resnet's, found {found:?}");
            return Err(ConfigError::Value { key: "sampling.crop.seconds".into(), reason });
        }
    }
    Ok(())
}

/// Refuses widths that no head can have.
pub(super) fn check_head(key: &str, widths: &[usize]) -> Result<(), ConfigError> {
    for width in widths {
        if !(1..=LARGEST_HEAD).contains(width) {
            let reason = format!("expected widths of 1 to {LARGEST_HEAD}, found {width}");
            return Err(ConfigError::Value { key: format!("method.{key}"), reason });
        }
    }
    Ok(())
}

/// Refuses a temperature that nothing can be divided by.
pub(super) fn check_temperature(key: &str, found: f64) -> Result<(), ConfigError> {
    if found.is_finite() && found > 0.0 {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: format!("method.{key}"),
        reason: format!("expected a number above 0, found {found}"),
    })
}
