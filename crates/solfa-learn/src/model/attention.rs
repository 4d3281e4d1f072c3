//! Multi-head self-attention: the product that all transformers share, the usual module, and the Wav2Vec2 conformer's.
//!
//! Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sec. 3.2.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};

use super::RotaryAngles;
use crate::ops::{self, Projection, RotaryAttentionParameters};

/// Who is shown the attention weights of a pass: the layer's number, from 1 on, and its weights
/// `[batch, heads, tokens that attend, tokens attended to]`. Nobody, as a rule: then the weights are never formed.
pub type AttentionObserver<'observer> = Option<&'observer mut dyn FnMut(usize, Tensor<4>)>;

/// `softmax(query key^T / sqrt(head_dim)) value` for every head. The weights of layer number `layer` are shown to the
/// observer, if there is one.
///
/// # Shapes
/// - query, key, value and output: `[batch, heads, tokens, head_dim]`
/// - padding: `[batch, tokens]`, true where a token is padding that nobody may attend to
pub fn scaled_dot_product_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    padding: Option<&Tensor<2, Bool>>,
    layer: usize,
    observer: &mut AttentionObserver<'_>,
) -> Tensor<4> {
    let [batch, num_heads, num_tokens, head_dim] = query.dims();
    let mask = padding.map(|padding| {
        padding.clone().reshape([batch, 1, 1, num_tokens]).expand([batch, num_heads, num_tokens, num_tokens])
    });
    let Some(observer) = observer else {
        return attention(query, key, value, mask, None, AttentionModuleOptions::default());
    };
    let scores = query.matmul(key.swap_dims(2, 3)) / (head_dim as f64).sqrt();
    let scores = match mask {
        Some(mask) => scores.mask_fill(mask, f32::MIN),
        None => scores,
    };
    let weights = softmax(scores, 3);
    observer(layer, weights.clone());
    weights.matmul(value)
}

/// Scaled dot-product attention of every token with every token, all projections with bias. Rotary positions, where
/// there are any, rotate the projected queries and keys, as is usual; [`RotarySelfAttention`] rotates what is projected.
#[derive(Module, Debug)]
pub struct SelfAttention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    num_heads: usize,
}

impl SelfAttention {
    /// `num_heads` heads of width `dim / num_heads`.
    pub fn new(dim: usize, num_heads: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(dim, dim).init(device);
        Self { query: linear(), key: linear(), value: linear(), output: linear(), num_heads }
    }

    /// The attention of layer number `layer`.
    ///
    /// # Shapes
    /// - input and output: `[batch, tokens, dim]`
    /// - padding: `[batch, tokens]`, true where a token is padding that nobody may attend to
    pub fn forward(
        &self,
        input: Tensor<3>,
        angles: Option<&RotaryAngles>,
        padding: Option<&Tensor<2, Bool>>,
        layer: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let [batch, num_tokens, dim] = input.dims();
        let split = |projected: Tensor<3>| projected.reshape([batch, num_tokens, self.num_heads, dim / self.num_heads]);
        let rotate = |heads: Tensor<4>| match angles {
            Some(angles) => angles.rotate(heads),
            None => heads,
        };
        // [batch, tokens, heads, head_dim] -> [batch, heads, tokens, head_dim]
        let attended = scaled_dot_product_attention(
            rotate(split(self.query.forward(input.clone()))).swap_dims(1, 2),
            rotate(split(self.key.forward(input.clone()))).swap_dims(1, 2),
            split(self.value.forward(input)).swap_dims(1, 2),
            padding,
            layer,
            observer,
        );
        self.output.forward(attended.swap_dims(1, 2).reshape([batch, num_tokens, dim]))
    }
}

/// Weights and bias of a layer that has both.
fn projection(layer: &Linear) -> Option<Projection> {
    layer.bias.as_ref().map(|bias| Projection { weight: layer.weight.val(), bias: bias.val() })
}

/// Scaled dot-product attention of every frame with every frame, with rotary positions.
///
/// Differs from the usual rotary attention in one point, faithfully to the reference (Hugging Face
/// `Wav2Vec2ConformerSelfAttention`): the *input* of the query and key projections is rotated, head by head, and not
/// the projected queries and keys.
#[derive(Module, Debug)]
pub struct RotarySelfAttention {
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    num_heads: usize,
}

impl RotarySelfAttention {
    /// `input + attention(norm(input))`; in training on the processor, one operation where nobody looks on and nothing is
    /// padding.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward). `epsilon` is the norm's.
    #[expect(clippy::too_many_arguments, reason = "those of `forward`, and the norm")]
    pub(crate) fn forward_with_residual(
        &self,
        norm: &LayerNorm,
        epsilon: f64,
        input: Tensor<3>,
        angles: &RotaryAngles,
        padding: Option<&Tensor<2, Bool>>,
        layer: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let projections = [&self.query, &self.key, &self.value, &self.output].map(projection);
        let is_plain = padding.is_none() && observer.is_none() && ops::are_available(&input.device());
        if let (true, Some(shift), [Some(query), Some(key), Some(value), Some(output)]) =
            (is_plain, &norm.beta, projections)
        {
            let [cosine, sine] = angles.cosine_and_sine();
            let parameters = RotaryAttentionParameters {
                gain: norm.gamma.val(),
                shift: shift.val(),
                projections: [query, key, value, output],
                cosine,
                sine,
                num_heads: self.num_heads,
                epsilon,
            };
            return ops::rotary_attention(input, parameters);
        }
        self.forward(norm.forward(input.clone()), angles, padding, layer, observer) + input
    }

    /// `num_heads` heads of width `dim / num_heads`, all projections with bias.
    pub fn new(dim: usize, num_heads: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(dim, dim).init(device);
        Self { query: linear(), key: linear(), value: linear(), output: linear(), num_heads }
    }

    /// The attention of layer number `layer`.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, dim]`
    /// - padding: `[batch, frames]`, true where a frame is padding that nobody may attend to
    pub fn forward(
        &self,
        input: Tensor<3>,
        angles: &RotaryAngles,
        padding: Option<&Tensor<2, Bool>>,
        layer: usize,
        observer: &mut AttentionObserver<'_>,
    ) -> Tensor<3> {
        let [batch, frames, dim] = input.dims();
        let head_shape = [batch, frames, self.num_heads, dim / self.num_heads];
        let rotated = angles.rotate(input.clone().reshape(head_shape)).reshape([batch, frames, dim]);
        // [batch, frames, dim] -> [batch, heads, frames, head_dim]
        let split = |projected: Tensor<3>| projected.reshape(head_shape).swap_dims(1, 2);
        let attended = scaled_dot_product_attention(
            split(self.query.forward(rotated.clone())),
            split(self.key.forward(rotated)),
            split(self.value.forward(input)),
            padding,
            layer,
            observer,
        );
        self.output.forward(attended.swap_dims(1, 2).reshape([batch, frames, dim]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use burn::tensor::Distribution;

    #[test]
    fn who_looks_on_changes_nothing() {
        let device = test_device();
        let random = || Tensor::<4>::random([2, 3, 17, 4], Distribution::Normal(0.0, 2.0), &device);
        let (query, key, value) = (random(), random(), random());
        let padded = Tensor::<2, Bool>::from_data([[false; 17], std::array::from_fn(|token| token > 11)], &device);
        for padding in [None, Some(&padded)] {
            let alone = scaled_dot_product_attention(query.clone(), key.clone(), value.clone(), padding, 1, &mut None);
            let mut seen = Vec::new();
            let mut observer = |layer: usize, weights: Tensor<4>| seen.push((layer, weights));
            let watched = scaled_dot_product_attention(
                query.clone(),
                key.clone(),
                value.clone(),
                padding,
                5,
                &mut Some(&mut observer),
            );
            let difference = (alone - watched).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{difference}");
            let (layer, weights) = seen.pop().unwrap();
            assert_eq!((layer, weights.dims()), (5, [2, 3, 17, 17]));
            let off_by = (weights.clone().sum_dim(3) - 1.0).abs().max().into_scalar::<f32>();
            assert!(off_by < 1e-5, "{off_by}");
            if padding.is_some() {
                assert_eq!(weights.narrow(0, 1, 1).narrow(3, 12, 5).abs().max().into_scalar::<f32>(), 0.0);
            }
        }
    }
}
