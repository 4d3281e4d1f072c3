//! The transformer of the waveform models, see [`crate::model::TransformerLayer`].

use burn::nn::LayerNorm;
use rayon::prelude::*;
use solfa_kernels::Arithmetic;
use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::memory::borrow;
use solfa_kernels::product::Activation;

use super::linear::PackedLinear;
use super::{Norm, WeightsObserver};
use crate::model::{NormPlacement, TransformerConfig, TransformerLayer};

/// Layers and the norm before or after them all, with packed weights.
pub(super) struct TransformerPlan {
    norm: Norm,
    layers: Vec<LayerPlan>,
    config: TransformerConfig,
    arithmetic: Arithmetic,
}

struct LayerPlan {
    query_key_value: PackedLinear,
    attention_output: PackedLinear,
    attention_norm: Norm,
    expand: PackedLinear,
    contract: PackedLinear,
    feed_forward_norm: Norm,
}

impl LayerPlan {
    fn new(layer: TransformerLayer, epsilon: f64, arithmetic: Arithmetic) -> Self {
        let TransformerLayer { attention, attention_norm, feed_forward, feed_forward_norm, .. } = layer;
        let query_key_value = [attention.query, attention.key, attention.value];
        Self {
            query_key_value: PackedLinear::side_by_side(query_key_value, arithmetic),
            attention_output: PackedLinear::new(attention.output, arithmetic),
            attention_norm: Norm::new(attention_norm, epsilon),
            expand: PackedLinear::new(feed_forward.expand, arithmetic),
            contract: PackedLinear::new(feed_forward.contract, arithmetic),
            feed_forward_norm: Norm::new(feed_forward_norm, epsilon),
        }
    }

    fn num_bytes(&self) -> usize {
        let linears = [&self.query_key_value, &self.attention_output, &self.expand, &self.contract];
        linears.into_iter().map(PackedLinear::num_bytes).sum()
    }
}

impl TransformerPlan {
    /// `norm` stands before all layers where each of them norms its output, and after them where each norms its input.
    pub(super) fn new(
        norm: LayerNorm,
        layers: Vec<TransformerLayer>,
        config: &TransformerConfig,
        arithmetic: Arithmetic,
    ) -> Self {
        let epsilon = config.layer_norm_epsilon;
        Self {
            norm: Norm::new(norm, epsilon),
            layers: layers.into_iter().map(|layer| LayerPlan::new(layer, epsilon, arithmetic)).collect(),
            config: config.clone(),
            arithmetic,
        }
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.layers.iter().map(LayerPlan::num_bytes).sum()
    }

    /// The input of the first layer, then the output of every layer up to `last_layer`. `hidden` is
    /// `[frames, hidden_size]`.
    pub(super) fn hidden_states(
        &self,
        mut hidden: Vec<f32>,
        last_layer: usize,
        mut watch: WeightsObserver<'_>,
    ) -> Vec<Vec<f32>> {
        let set = self.arithmetic.instruction_set();
        let is_norm_before = self.config.norm_placement == NormPlacement::Before;
        if !is_norm_before {
            self.norm.apply_in_place(set, &mut hidden, Activation::None);
        }
        let mut hidden_states = Vec::with_capacity(last_layer.min(self.layers.len()) + 1);
        for (index, layer) in self.layers.iter().take(last_layer).enumerate() {
            let input = hidden;
            hidden = vec![0.0; input.len()];
            let attend = |projected: &[f32], output: &mut [f32]| {
                self.attend(projected, index + 1, &mut watch, output);
            };
            if is_norm_before {
                self.pass_norms_before(layer, &input, attend, &mut hidden);
            } else {
                self.pass_norms_after(layer, &input, attend, &mut hidden);
            }
            hidden_states.push(input);
        }
        if is_norm_before && last_layer >= self.layers.len() {
            self.norm.apply_in_place(set, &mut hidden, Activation::None);
        }
        hidden_states.push(hidden);
        hidden_states
    }

    fn pass_norms_before(
        &self,
        layer: &LayerPlan,
        input: &[f32],
        attend: impl FnOnce(&[f32], &mut [f32]),
        output: &mut [f32],
    ) {
        let set = self.arithmetic.instruction_set();
        let (projected, expanded) = self.inner_lengths(input.len());
        let mut wide = borrow::<f32>(projected.max(expanded));
        let mut narrow = borrow::<f32>(input.len());

        layer.attention_norm.apply(set, input, &mut narrow);
        layer.query_key_value.forward(&narrow, Activation::None, &mut wide[..projected]);
        attend(&wide[..projected], &mut narrow);
        copy_scaled(input, 1.0, output);
        layer.attention_output.add_to(&narrow, 1.0, output);

        layer.feed_forward_norm.apply(set, output, &mut narrow);
        layer.expand.forward(&narrow, Activation::Gelu, &mut wide[..expanded]);
        layer.contract.add_to(&wide[..expanded], 1.0, output);
    }

    fn pass_norms_after(
        &self,
        layer: &LayerPlan,
        input: &[f32],
        attend: impl FnOnce(&[f32], &mut [f32]),
        output: &mut [f32],
    ) {
        let set = self.arithmetic.instruction_set();
        let residual_scale = self.config.residual_scale() as f32;
        let (projected, expanded) = self.inner_lengths(input.len());
        let mut wide = borrow::<f32>(projected.max(expanded));
        let mut narrow = borrow::<f32>(input.len());

        layer.query_key_value.forward(input, Activation::None, &mut wide[..projected]);
        attend(&wide[..projected], output);
        copy_scaled(input, residual_scale, &mut narrow);
        layer.attention_output.add_to(output, 1.0, &mut narrow);
        layer.attention_norm.apply_in_place(set, &mut narrow, Activation::None);

        layer.expand.forward(&narrow, Activation::Gelu, &mut wide[..expanded]);
        if residual_scale != 1.0 {
            narrow.iter_mut().for_each(|value| *value *= residual_scale);
        }
        layer.contract.add_to(&wide[..expanded], 1.0, &mut narrow);
        layer.feed_forward_norm.apply(set, &narrow, output);
    }

    /// Values of the projected queries, keys and values, and inside the feed-forward part.
    fn inner_lengths(&self, hidden_length: usize) -> (usize, usize) {
        let num_frames = hidden_length / self.config.hidden_size;
        (3 * hidden_length, num_frames * self.config.intermediate_size)
    }

    /// Attention of layer number `number`: `[frames, 3 x hidden_size]` -> `[frames, hidden_size]`.
    fn attend(&self, projected: &[f32], number: usize, watch: &mut WeightsObserver<'_>, output: &mut [f32]) {
        let TransformerConfig { hidden_size, num_heads, .. } = self.config;
        let num_frames = projected.len() / (3 * hidden_size);
        let head_dim = hidden_size / num_heads;
        let heads = |part: usize| Heads { values: &projected[part * hidden_size..], row_pitch: 3 * hidden_size };
        let mut weights = watch.as_ref().map(|_| vec![0.0; num_heads * num_frames * num_frames]);
        attend(
            self.arithmetic,
            AttentionShape { num_frames, num_heads, head_dim },
            heads(0),
            heads(1),
            heads(2),
            1.0 / (head_dim as f32).sqrt(),
            None,
            weights.as_deref_mut(),
            output,
        );
        if let (Some(watch), Some(weights)) = (watch, weights) {
            watch(number, weights);
        }
    }
}

/// `output = scale * input`
fn copy_scaled(input: &[f32], scale: f32, output: &mut [f32]) {
    const CHUNK: usize = 1 << 15;
    output.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).for_each(|(output, input)| {
        if scale == 1.0 {
            output.copy_from_slice(input);
        } else {
            output.iter_mut().zip(input).for_each(|(output, input)| *output = scale * input);
        }
    });
}
