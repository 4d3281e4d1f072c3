//! The conformer of MusicFM and MuQ, see [`crate::model::Conformer`].

use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::depthwise::depthwise;
use solfa_kernels::elementwise::rotate;
use solfa_kernels::memory::borrow;
use solfa_kernels::product::{Activation, PackedMatrix};
use solfa_kernels::{Arithmetic, InstructionSet};

use super::linear::PackedLinear;
use super::{FoldedBatchNorm, Norm, WeightsObserver, values};
use crate::model::{
    Conformer, ConformerConfig, ConformerFeedForward, ConformerLayer, ConvolutionModule, INNER_NORM_EPSILON,
};

pub(super) struct ConformerPlan {
    layers: Vec<LayerPlan>,
    norm: Norm,
    inverse_frequencies: Vec<f32>,
    config: ConformerConfig,
    arithmetic: Arithmetic,
}

struct LayerPlan {
    feed_forward1: FeedForwardPlan,
    attention_norm: Norm,
    query_and_key: PackedLinear,
    value: PackedLinear,
    attention_output: PackedLinear,
    convolution: ConvolutionPlan,
    feed_forward2: FeedForwardPlan,
    final_norm: Norm,
}

struct FeedForwardPlan {
    norm: Norm,
    expand: PackedLinear,
    contract: PackedLinear,
}

struct ConvolutionPlan {
    norm: Norm,
    pointwise_in: PackedLinear,
    /// `[taps, channels]`, with the batch norm folded in.
    depthwise: Vec<f32>,
    depthwise_bias: Vec<f32>,
    pointwise_out: PackedLinear,
}

impl ConformerPlan {
    pub(super) fn new(conformer: Conformer, config: &ConformerConfig, arithmetic: Arithmetic) -> Self {
        let Conformer { layers, norm, positions } = conformer;
        Self {
            layers: layers.into_iter().map(|layer| LayerPlan::new(layer, arithmetic)).collect(),
            norm: Norm::new(norm, config.layer_norm_epsilon),
            inverse_frequencies: values(positions.inverse_frequencies()),
            config: config.clone(),
            arithmetic,
        }
    }

    pub(super) fn num_bytes(&self) -> usize {
        let layer = |layer: &LayerPlan| {
            let linears = [&layer.query_and_key, &layer.value, &layer.attention_output];
            let convolution = [&layer.convolution.pointwise_in, &layer.convolution.pointwise_out];
            let feed_forward = [&layer.feed_forward1, &layer.feed_forward2];
            let feed_forward = feed_forward.into_iter().flat_map(|half| [&half.expand, &half.contract]);
            linears.into_iter().chain(convolution).chain(feed_forward).map(PackedLinear::num_bytes).sum::<usize>()
        };
        self.layers.iter().map(layer).sum()
    }

    /// As [`Conformer::forward`], for one clip without padding; `hidden` is `[frames, hidden_size]`.
    pub(super) fn hidden_states(
        &self,
        mut hidden: Vec<f32>,
        last_layer: usize,
        mut watch: WeightsObserver<'_>,
    ) -> Vec<Vec<f32>> {
        let dim = self.config.hidden_size;
        let num_frames = hidden.len() / dim;
        let half = self.inverse_frequencies.len();
        let mut cosine = borrow::<f32>(num_frames * half);
        let mut sine = borrow::<f32>(num_frames * half);
        for (frame, (cosine, sine)) in cosine.chunks_exact_mut(half).zip(sine.chunks_exact_mut(half)).enumerate() {
            for ((cosine, sine), frequency) in cosine.iter_mut().zip(sine).zip(&self.inverse_frequencies) {
                (*sine, *cosine) = (frame as f32 * frequency).sin_cos();
            }
        }
        let mut hidden_states = Vec::with_capacity(last_layer + 1);
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            let input = std::mem::replace(&mut hidden, vec![0.0; num_frames * dim]);
            hidden.copy_from_slice(&input);
            hidden_states.push(input);
            self.pass(layer, &mut hidden, [&cosine, &sine], index + 1, &mut watch);
        }
        if last_layer >= self.layers.len() {
            let mut normed = vec![0.0; num_frames * dim];
            self.norm.apply(self.arithmetic.instruction_set(), &hidden, &mut normed);
            hidden = normed;
        }
        hidden_states.push(hidden);
        hidden_states
    }

    /// One layer, on its input.
    fn pass(
        &self,
        layer: &LayerPlan,
        hidden: &mut [f32],
        [cosine, sine]: [&[f32]; 2],
        number: usize,
        watch: &mut WeightsObserver<'_>,
    ) {
        let set = self.arithmetic.instruction_set();
        let ConformerConfig { hidden_size: dim, num_heads, .. } = self.config;
        let num_frames = hidden.len() / dim;
        let head_dim = dim / num_heads;
        let mut normed = borrow::<f32>(num_frames * dim);
        let mut wide = borrow::<f32>(num_frames * self.config.intermediate_size.max(2 * dim));
        let mut other = borrow::<f32>(num_frames * dim);

        layer.feed_forward1.add_half_to(set, hidden, &mut normed, &mut wide);

        layer.attention_norm.apply(set, hidden, &mut normed);
        rotate(set, &normed, cosine, sine, head_dim, &mut other);
        let query_and_key = &mut wide[..num_frames * 2 * dim];
        layer.query_and_key.forward(&other, Activation::None, query_and_key);
        layer.value.forward(&normed, Activation::None, &mut other);
        let mut weights = watch.as_ref().map(|_| vec![0.0; num_heads * num_frames * num_frames]);
        attend(
            self.arithmetic,
            AttentionShape { num_frames, num_heads, head_dim },
            Heads { values: query_and_key, row_pitch: 2 * dim },
            Heads { values: &query_and_key[dim..], row_pitch: 2 * dim },
            Heads { values: &other, row_pitch: dim },
            1.0 / (head_dim as f32).sqrt(),
            None,
            weights.as_deref_mut(),
            &mut normed,
        );
        if let (Some(watch), Some(weights)) = (watch, weights) {
            watch(number, weights);
        }
        layer.attention_output.add_to(&normed, 1.0, hidden);

        let convolution = &layer.convolution;
        convolution.norm.apply(set, hidden, &mut normed);
        convolution.pointwise_in.forward(&normed, Activation::GatedSigmoid, &mut other);
        let ConvolutionPlan { depthwise: weights, depthwise_bias, .. } = convolution;
        depthwise(set, &other, weights, depthwise_bias, self.config.depthwise_kernel, Activation::Silu, &mut normed);
        convolution.pointwise_out.add_to(&normed, 1.0, hidden);

        layer.feed_forward2.add_half_to(set, hidden, &mut normed, &mut wide);
        layer.final_norm.apply(set, hidden, &mut normed);
        hidden.copy_from_slice(&normed);
    }
}

impl FeedForwardPlan {
    fn add_half_to(&self, set: InstructionSet, hidden: &mut [f32], normed: &mut [f32], wide: &mut [f32]) {
        let wide = &mut wide[..hidden.len() / self.norm.gamma.len() * self.expand.outputs()];
        self.norm.apply(set, hidden, normed);
        self.expand.forward(normed, Activation::Silu, wide);
        self.contract.add_to(wide, 0.5, hidden);
    }
}

impl LayerPlan {
    fn new(layer: ConformerLayer, arithmetic: Arithmetic) -> Self {
        let linear = |linear| PackedLinear::new(linear, arithmetic);
        let attention = layer.attention;
        let convolution = layer.convolution;
        let feed_forward = |norm, feed_forward: ConformerFeedForward| FeedForwardPlan {
            norm: Norm::new(norm, INNER_NORM_EPSILON),
            expand: linear(feed_forward.expand),
            contract: linear(feed_forward.contract),
        };
        Self {
            feed_forward1: feed_forward(layer.feed_forward1_norm, layer.feed_forward1),
            attention_norm: Norm::new(layer.attention_norm, INNER_NORM_EPSILON),
            query_and_key: PackedLinear::side_by_side([attention.query, attention.key], arithmetic),
            value: linear(attention.value),
            attention_output: linear(attention.output),
            convolution: ConvolutionPlan::new(convolution, arithmetic),
            feed_forward2: feed_forward(layer.feed_forward2_norm, layer.feed_forward2),
            final_norm: Norm::new(layer.final_norm, INNER_NORM_EPSILON),
        }
    }
}

impl ConvolutionPlan {
    fn new(module: ConvolutionModule, arithmetic: Arithmetic) -> Self {
        let norm = Norm::new(module.norm, INNER_NORM_EPSILON);
        let [channels, _, taps] = module.depthwise.weight.dims();
        let batch_norm = FoldedBatchNorm::new(module.batch_norm);
        // [channels, 1, taps]
        let weights = values(module.depthwise.weight.val());
        let depthwise = (0..taps * channels)
            .map(|index| {
                let (tap, channel) = (index / channels, index % channels);
                weights[channel * taps + tap] * batch_norm.scale[channel]
            })
            .collect();
        let depthwise_bias = batch_norm.fold_bias(module.depthwise.bias.map(|bias| values(bias.val())));
        let pointwise_in = values(module.pointwise_in.weight());
        let pointwise_in = PackedMatrix::pack_gated(arithmetic, channels, channels, |input, column| {
            pointwise_in[column * channels + input]
        });
        let pointwise_out = values(module.pointwise_out.weight());
        let pointwise_out = PackedMatrix::pack(arithmetic, 1, channels, channels, |input, column| {
            pointwise_out[column * channels + input]
        });
        Self {
            norm,
            pointwise_in: PackedLinear::from_matrix(pointwise_in, None),
            depthwise,
            depthwise_bias,
            pointwise_out: PackedLinear::from_matrix(pointwise_out, None),
        }
    }
}
