//! A transformer on convolutions over the waveform: HuBERT, MERT, data2vec, music2vec.
//!
//! Hsu et al. 2021, "HuBERT", arXiv:2106.07447, sec. 2; Li et al. 2023, "MERT", arXiv:2306.00107; Baevski et al. 2022,
//! "data2vec", arXiv:2202.03555; all have the architecture of wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477).

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    AttentionObserver, NormPlacement, PositionalConvolutionConfig, StackedPositions, TransformerConfig,
    TransformerLayer, WaveformFrontend, WaveformFrontendConfig, WeightNormedPositions,
};

/// Sizes of the whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformTransformerConfig {
    /// The convolutions over the waveform.
    pub frontend: WaveformFrontendConfig,
    /// Width of the features that are put beside every frame of the convolutions; 0 for none.
    pub extra_dim: usize,
    /// Whether frames are normed before they are projected to the transformer's width.
    pub has_projection_norm: bool,
    /// What tells frames apart by their order.
    pub positions: PositionalConvolutionConfig,
    /// The transformer.
    pub transformer: TransformerConfig,
}

/// Convolutions over the waveform, a projection, positions, and a transformer.
#[derive(Module, Debug)]
pub struct WaveformTransformer {
    pub(crate) frontend: WaveformFrontend,
    pub(crate) projection: FeatureProjection,
    pub(crate) encoder: PositionedTransformer,
}

impl WaveformTransformer {
    /// A network with random weights.
    pub fn new(config: &WaveformTransformerConfig, device: &Device) -> Self {
        let feature_dim = config.frontend.dim() + config.extra_dim;
        let TransformerConfig { hidden_size, layer_norm_epsilon, .. } = config.transformer;
        let norm = LayerNormConfig::new(feature_dim).with_epsilon(layer_norm_epsilon);
        Self {
            frontend: WaveformFrontend::new(&config.frontend, device),
            projection: FeatureProjection {
                norm: config.has_projection_norm.then(|| norm.init(device)),
                linear: LinearConfig::new(feature_dim, hidden_size).init(device),
            },
            encoder: PositionedTransformer::new(config, device),
        }
    }

    /// The input of the first layer, then the output of every layer up to number `last_layer`, as Hugging Face numbers
    /// its hidden states. Layers beyond `last_layer` are not computed.
    ///
    /// Frames of padding are set to zero before the positions are added, and nobody attends to them. With
    /// [`FrontendNorm::ChannelsOfFirstLayer`](super::FrontendNorm) the samples behind them have changed all frames by
    /// then.
    ///
    /// # Shapes
    /// - waveform: `[batch, samples]`
    /// - extra_features: `[batch, frames or more, extra_dim]`, of which the first frames are used
    /// - padding: `[batch, frames]`, true where a frame is padding; see [`frame_padding`](Self::frame_padding)
    /// - every output: `[batch, frames, hidden_size]`
    pub fn forward(
        &self,
        waveform: Tensor<2>,
        extra_features: Option<Tensor<3>>,
        padding: Option<Tensor<2, Bool>>,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        let features = beside(self.frontend.forward(waveform), extra_features);
        self.encoder.forward(self.projection.forward(features), padding, last_layer, observer, |_| {})
    }

    /// All layers of whole clips, and what pre-training asks for besides. `hide` may change the projected frames before
    /// positions are added to them.
    ///
    /// # Shapes
    /// - waveform: `[batch, samples]`
    /// - extra_features: `[batch, frames or more, extra_dim]`, of which the first frames are used
    /// - what `hide` is given and gives: `[batch, frames, hidden_size]`
    pub fn forward_hiding(
        &self,
        waveform: Tensor<2>,
        extra_features: Option<Tensor<3>>,
        hide: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> WaveformTransformerOutput {
        let front_end = self.frontend.forward(waveform);
        let projected = self.projection.forward(beside(front_end.clone(), extra_features));
        let mut feed_forward = Vec::with_capacity(self.encoder.layers.len());
        let keep = |output: &Tensor<3>| feed_forward.push(output.clone());
        let hidden_states = self.encoder.forward(hide(projected), None, usize::MAX, None, keep);
        WaveformTransformerOutput { hidden_states, front_end, feed_forward }
    }

    /// Which frames are padding where clips of these numbers of samples are filled up to a common length of
    /// `num_frames` frames: those that see samples beyond their clip's end. Every clip has at least the samples of one
    /// frame.
    ///
    /// # Shapes
    /// - output: `[clips, num_frames]`
    pub fn frame_padding(
        config: &WaveformFrontendConfig,
        clip_samples: &[usize],
        num_frames: usize,
        device: &Device,
    ) -> Tensor<2, Bool> {
        let is_padding: Vec<bool> = clip_samples
            .iter()
            .flat_map(|&samples| (0..num_frames).map(move |frame| frame >= config.num_frames(samples)))
            .collect();
        Tensor::from_data(TensorData::new(is_padding, [clip_samples.len(), num_frames]), device)
    }
}

/// What [`WaveformTransformer::forward_hiding`] gives.
#[derive(Clone, Debug)]
pub struct WaveformTransformerOutput {
    /// The input of the first layer, then the output of every layer: `[batch, frames, hidden_size]` each.
    pub hidden_states: Vec<Tensor<3>>,
    /// `[batch, frames, channels]`: what the convolutions gave.
    pub front_end: Tensor<3>,
    /// `[batch, frames, hidden_size]` for every layer: the output of the feed-forward part, before its input is added.
    pub feed_forward: Vec<Tensor<3>>,
}

/// `[batch, frames, channels]` with the first frames of `[batch, frames or more, extra_dim]` beside them.
fn beside(features: Tensor<3>, extra: Option<Tensor<3>>) -> Tensor<3> {
    let Some(extra) = extra else { return features };
    let num_frames = features.dims()[1];
    Tensor::cat(vec![features, extra.narrow(1, 0, num_frames)], 2)
}

/// Norm and Linear.
#[derive(Module, Debug)]
pub(crate) struct FeatureProjection {
    pub(crate) norm: Option<LayerNorm>,
    pub(crate) linear: Linear,
}

impl FeatureProjection {
    /// `[batch, frames, features]` -> `[batch, frames, hidden_size]`.
    fn forward(&self, features: Tensor<3>) -> Tensor<3> {
        self.linear.forward(match &self.norm {
            Some(norm) => norm.forward(features),
            None => features,
        })
    }
}

/// Positions, layers and one more norm: before the layers where each of them norms its output, after the last one
/// where each norms its input.
#[derive(Module, Debug)]
pub(crate) struct PositionedTransformer {
    pub(crate) weight_normed_positions: Option<WeightNormedPositions>,
    pub(crate) stacked_positions: Option<StackedPositions>,
    pub(crate) norm: LayerNorm,
    pub(crate) layers: Vec<TransformerLayer>,
    is_norm_before: bool,
}

impl PositionedTransformer {
    fn new(config: &WaveformTransformerConfig, device: &Device) -> Self {
        let transformer = &config.transformer;
        let dim = transformer.hidden_size;
        let (weight_normed_positions, stacked_positions) = match config.positions {
            PositionalConvolutionConfig::WeightNormed { kernel, groups } => {
                (Some(WeightNormedPositions::new(dim, kernel, groups, device)), None)
            }
            PositionalConvolutionConfig::Stacked { num_layers, kernel, groups } => {
                (None, Some(StackedPositions::new(dim, num_layers, kernel, groups, device)))
            }
        };
        Self {
            weight_normed_positions,
            stacked_positions,
            norm: LayerNormConfig::new(dim).with_epsilon(transformer.layer_norm_epsilon).init(device),
            layers: (0..transformer.num_layers).map(|_| TransformerLayer::new(transformer, device)).collect(),
            is_norm_before: transformer.norm_placement == NormPlacement::Before,
        }
    }

    /// As [`WaveformTransformer::forward`], from the projected frames on. `keep` is shown every layer's feed-forward output.
    fn forward(
        &self,
        input: Tensor<3>,
        padding: Option<Tensor<2, Bool>>,
        last_layer: usize,
        mut observer: AttentionObserver<'_>,
        mut keep: impl FnMut(&Tensor<3>),
    ) -> Vec<Tensor<3>> {
        let mut hidden = match &padding {
            Some(padding) => input.mask_fill(padding.clone().unsqueeze_dim::<3>(2), 0.0),
            None => input,
        };
        if let Some(positions) = &self.weight_normed_positions {
            hidden = positions.forward(hidden.clone()) + hidden;
        }
        if let Some(positions) = &self.stacked_positions {
            hidden = positions.forward(hidden.clone()) + hidden;
        }
        if !self.is_norm_before {
            hidden = self.norm.forward(hidden);
        }
        let mut hidden_states = Vec::with_capacity(self.layers.len() + 1);
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            hidden_states.push(hidden.clone());
            let feed_forward;
            (hidden, feed_forward) = layer.forward_parts(hidden, padding.as_ref(), index + 1, &mut observer);
            keep(&feed_forward);
        }
        let is_normed_last = self.is_norm_before && last_layer >= self.layers.len();
        hidden_states.push(if is_normed_last { self.norm.forward(hidden) } else { hidden });
        hidden_states
    }
}
