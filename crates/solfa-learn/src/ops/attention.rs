//! Self-attention with its residual as one operation with its gradient: `x + linear(attend(x))`, with a norm before it and
//! rotary positions where a network has them.

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::elementwise::rotate;
use solfa_kernels::training::{
    add_linear, add_linear_input_gradient, add_transposed_product, attention_gradient, column_sums, linear,
    linear_input_gradient,
};
use solfa_kernels::{Arithmetic, Precision};

use super::layer_norm::InputNorm;
use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// A linear layer as Burn keeps it.
#[derive(Clone, Debug)]
pub struct Projection {
    /// `[inputs, outputs]`
    pub weight: Tensor<2>,
    /// `[outputs]`
    pub bias: Tensor<1>,
}

/// Parameters of attention in a conformer.
#[derive(Clone, Debug)]
pub struct RotaryAttentionParameters {
    /// Gain of the norm.
    pub gain: Tensor<1>,
    /// Shift of the norm.
    pub shift: Tensor<1>,
    /// Of queries, keys and values, and of what was attended to.
    pub projections: [Projection; 4],
    /// Cosines of every frame and pair of dimensions, `[1, frames, 1, head_dim]`, of which the second half repeats the
    /// first.
    pub cosine: Tensor<4>,
    /// Sines, as the cosines.
    pub sine: Tensor<4>,
    /// Heads; divides the width.
    pub num_heads: usize,
    /// Added to variances.
    pub epsilon: f64,
}

/// `x + attention(norm(x))`, where the input of queries and keys is rotated, and not they.
///
/// # Shapes
/// - input and output: `[batch, frames, width]`
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn rotary_attention(input: Tensor<3>, parameters: RotaryAttentionParameters) -> Tensor<3> {
    let device = input.device();
    let attention =
        RotaryAttention { num_heads: parameters.num_heads, norm: InputNorm { epsilon: parameters.epsilon as f32 } };
    let mut inputs = vec![input.into_dispatch(), parameters.gain.into_dispatch(), parameters.shift.into_dispatch()];
    for Projection { weight, bias } in parameters.projections {
        inputs.extend([weight.into_dispatch(), bias.into_dispatch()]);
    }
    inputs.extend([parameters.cosine.into_dispatch(), parameters.sine.into_dispatch()]);
    run(attention, inputs, &device)
}

struct RotaryAttention {
    num_heads: usize,
    norm: InputNorm,
}

/// The projections, in the order of the inputs.
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;
const OUTPUT: usize = 3;

/// What the gradient needs of the forward pass: `[batch, frames, width]` each.
struct Forward {
    projected: [Vec<f32>; 3],
    attended: Vec<f32>,
}

/// Sizes, and how to multiply.
struct Sizes {
    clip: usize,
    width: usize,
    shape: AttentionShape,
    scale: f32,
    arithmetic: Arithmetic,
}

fn weight(inputs: &[Plain], projection: usize) -> &[f32] {
    inputs[3 + 2 * projection].values()
}

fn bias(inputs: &[Plain], projection: usize) -> &[f32] {
    inputs[4 + 2 * projection].values()
}

/// Cosines and sines of one half of the dimensions of a head, `[frames, head_dim / 2]`.
fn angles(inputs: &[Plain]) -> [Vec<f32>; 2] {
    let [_, _, _, head_dim] = inputs[11].shape::<4>();
    [11, 12].map(|place| {
        let frames = inputs[place].values().chunks_exact(head_dim);
        frames.flat_map(|frame| &frame[..head_dim / 2]).copied().collect()
    })
}

impl RotaryAttention {
    fn sizes(&self, inputs: &[Plain]) -> Sizes {
        let [_, num_frames, width] = inputs[0].shape();
        let head_dim = width / self.num_heads;
        Sizes {
            clip: num_frames * width,
            width,
            shape: AttentionShape { num_frames, num_heads: self.num_heads, head_dim },
            scale: 1.0 / (head_dim as f32).sqrt(),
            arithmetic: Arithmetic::new(Precision::F32).for_width(width),
        }
    }
}

/// Rotates every clip.
fn rotated(sizes: &Sizes, values: &[f32], cosine: &[f32], sine: &[f32]) -> Vec<f32> {
    let mut output = vec![0.0; values.len()];
    output.par_chunks_mut(sizes.clip).zip(values.par_chunks(sizes.clip)).for_each(|(output, values)| {
        rotate(sizes.arithmetic.instruction_set(), values, cosine, sine, sizes.shape.head_dim, output);
    });
    output
}

impl PlainOperation for RotaryAttention {
    fn name(&self) -> &'static str {
        "rotary attention"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let sizes = self.sizes(inputs);
        let Sizes { clip, width, shape, scale, arithmetic } = sizes;
        let [cosine, sine] = angles(inputs);
        let normed = self.norm.forward(inputs);
        let turned = rotated(&sizes, &normed, &cosine, &sine);
        let project = |which: usize, from: &[f32]| {
            linear(arithmetic, from, weight(inputs, which), Some(bias(inputs, which)), width)
        };
        let projected = [project(QUERY, &turned), project(KEY, &turned), project(VALUE, &normed)];
        let mut attended = vec![0.0; normed.len()];
        for (number, attended) in attended.chunks_exact_mut(clip).enumerate() {
            let [queries, keys, values] = projected
                .each_ref()
                .map(|values| Heads { values: &values[number * clip..(number + 1) * clip], row_pitch: width });
            attend(arithmetic, shape, queries, keys, values, scale, None, None, attended);
        }
        let mut output = inputs[0].values().to_vec();
        add_linear(arithmetic, &attended, weight(inputs, OUTPUT), Some(bias(inputs, OUTPUT)), width, 1.0, &mut output);
        (Values::new(output, inputs[0].shape::<3>()), Box::new(Forward { projected, attended }))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let Some(Forward { projected: [queries, keys, values], attended }) = kept.downcast_ref() else {
            return Vec::new();
        };
        let sizes = self.sizes(inputs);
        let Sizes { width, shape, scale, arithmetic, .. } = sizes;
        let [cosine, sine] = angles(inputs);
        let normed = self.norm.forward(inputs);
        let turned = rotated(&sizes, &normed, &cosine, &sine);
        let to_parameters = |input: &[f32], gradient: &[f32]| {
            let mut to_weight = vec![0.0; width * width];
            add_transposed_product(input, gradient, width, width, &mut to_weight);
            let to_bias = column_sums(gradient, width);
            [Some(Values::new(to_weight, [width, width])), Some(Values::new(to_bias, [width]))]
        };
        let to_output = to_parameters(attended, incoming);
        let to_attended = linear_input_gradient(arithmetic, incoming, weight(inputs, OUTPUT), width);
        let found = attention_gradient(shape, queries, keys, values, scale, &to_attended);
        drop(to_attended);
        let parameters = [
            to_parameters(&turned, &found.queries),
            to_parameters(&turned, &found.keys),
            to_parameters(&normed, &found.values),
            to_output,
        ];
        drop((normed, turned));
        let mut to_turned = linear_input_gradient(arithmetic, &found.queries, weight(inputs, QUERY), width);
        add_linear_input_gradient(arithmetic, &found.keys, weight(inputs, KEY), width, &mut to_turned);
        // Turning back is turning by the opposite angles.
        let opposite: Vec<f32> = sine.iter().map(|sine| -sine).collect();
        let mut to_normed = rotated(&sizes, &to_turned, &cosine, &opposite);
        add_linear_input_gradient(arithmetic, &found.values, weight(inputs, VALUE), width, &mut to_normed);
        let first = self.norm.backward(inputs, &to_normed, incoming.to_vec());
        first.into_iter().chain(parameters.into_iter().flatten()).collect()
    }
}
