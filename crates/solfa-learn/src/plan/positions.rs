//! Positions by convolution, see [`crate::model::WeightNormedPositions`] and [`crate::model::StackedPositions`].

use burn::tensor::Tensor;
use rayon::prelude::*;
use solfa_kernels::memory::{Borrowed, borrow};
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Residual, Windows, multiply};
use solfa_kernels::{Arithmetic, elementwise};

use super::{Norm, values};
use crate::model::{STACKED_NORM_EPSILON, StackedPositions, WeightNormedPositions};

/// Grouped convolutions with packed weights.
pub(super) enum PositionsPlan {
    /// One, and GELU.
    WeightNormed(GroupedConvolutionPlan),
    /// Several, each with a norm and GELU.
    Stacked(Vec<GroupedConvolutionPlan>, Norm),
}

impl PositionsPlan {
    pub(super) fn weight_normed(module: WeightNormedPositions, arithmetic: Arithmetic) -> Self {
        let weight = module.weight();
        Self::WeightNormed(GroupedConvolutionPlan::new(weight, values(module.bias.into_value()), arithmetic))
    }

    pub(super) fn stacked(module: StackedPositions, dim: usize, arithmetic: Arithmetic) -> Self {
        let layers = module.layers.into_iter().map(|layer| {
            let bias = values(layer.conv.bias.into_value());
            GroupedConvolutionPlan::new(layer.conv.weight.into_value(), bias, arithmetic)
        });
        Self::Stacked(layers.collect(), Norm::plain(dim, STACKED_NORM_EPSILON))
    }

    pub(super) fn num_bytes(&self) -> usize {
        match self {
            Self::WeightNormed(convolution) => convolution.num_bytes(),
            Self::Stacked(convolutions, _) => convolutions.iter().map(GroupedConvolutionPlan::num_bytes).sum(),
        }
    }

    /// Adds the positions to `[frames, dim]`.
    pub(super) fn add_to(&self, arithmetic: Arithmetic, hidden: &mut [f32]) {
        match self {
            Self::WeightNormed(convolution) => {
                let gathered = convolution.gather(hidden);
                let epilogue =
                    Epilogue { activation: Activation::Gelu, residual: Residual::Last, ..Epilogue::default() };
                convolution.multiply(&gathered, epilogue, hidden);
            }
            Self::Stacked(convolutions, norm) => {
                let set = arithmetic.instruction_set();
                let mut positions = borrow::<f32>(hidden.len());
                for (number, convolution) in convolutions.iter().enumerate() {
                    let gathered = convolution.gather(if number == 0 { hidden } else { &positions });
                    convolution.multiply(&gathered, Epilogue::default(), &mut positions);
                    norm.apply_in_place(set, &mut positions, Activation::Gelu);
                }
                if convolutions.is_empty() {
                    positions.copy_from_slice(hidden);
                }
                elementwise::add_scaled(set, hidden, &positions, 1.0);
            }
        }
    }
}

/// A grouped convolution of stride 1 that gives as many frames as it gets, one product for each group.
pub(super) struct GroupedConvolutionPlan {
    groups: Vec<PackedMatrix>,
    bias: Vec<f32>,
    kernel: usize,
    group_dim: usize,
}

impl GroupedConvolutionPlan {
    /// `weight` is `[dim, dim / groups, kernel]`.
    fn new(weight: Tensor<3>, bias: Vec<f32>, arithmetic: Arithmetic) -> Self {
        let [dim, group_dim, kernel] = weight.dims();
        let weight = values(weight);
        let groups = (0..dim / group_dim).map(|group| {
            PackedMatrix::pack(arithmetic, 1, kernel * group_dim, group_dim, |input, column| {
                let (tap, channel) = (input / group_dim, input % group_dim);
                weight[((group * group_dim + column) * group_dim + channel) * kernel + tap]
            })
        });
        Self { groups: groups.collect(), bias, kernel, group_dim }
    }

    fn num_bytes(&self) -> usize {
        self.groups.iter().map(PackedMatrix::num_bytes).sum()
    }

    /// `[frames, dim]` -> `[group, padded frames, group_dim]`, with zeros around: a kernel of an even number of taps
    /// reaches one frame further back than ahead.
    fn gather(&self, input: &[f32]) -> Borrowed<f32> {
        let Self { kernel, group_dim, .. } = *self;
        let dim = self.bias.len();
        let num_frames = input.len() / dim;
        let padded = (num_frames + kernel - 1) * group_dim;
        let mut gathered = borrow::<f32>(self.groups.len() * padded);
        gathered.par_chunks_exact_mut(padded).enumerate().for_each(|(group, gathered)| {
            let (before, others) = gathered.split_at_mut(kernel / 2 * group_dim);
            let (inside, after) = others.split_at_mut(num_frames * group_dim);
            before.fill(0.0);
            after.fill(0.0);
            for (gathered, frame) in inside.chunks_exact_mut(group_dim).zip(input.chunks_exact(dim)) {
                gathered.copy_from_slice(&frame[group * group_dim..(group + 1) * group_dim]);
            }
        });
        gathered
    }

    /// What was gathered, convolved, into `[frames, dim]`.
    fn multiply(&self, gathered: &[f32], epilogue: Epilogue<'_>, output: &mut [f32]) {
        let Self { kernel, group_dim, .. } = *self;
        let dim = self.bias.len();
        let num_frames = output.len() / dim;
        let padded = (num_frames + kernel - 1) * group_dim;
        for (group, (weights, gathered)) in self.groups.iter().zip(gathered.chunks_exact(padded)).enumerate() {
            let first = group * group_dim;
            let windows = Windows::frames(gathered, num_frames, group_dim, kernel * group_dim);
            let epilogue = Epilogue { bias: Some(&self.bias[first..first + group_dim]), ..epilogue };
            multiply(&windows, weights, &epilogue, &mut output[first..], Placement { group_pitch: 0, row_pitch: dim });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use crate::plan::testing::{disturbed, noise, noise_tensor, tolerance};
    use burn::tensor::Tensor;
    use solfa_kernels::Precision;
    use solfa_signal::testing::assert_golden;

    #[test]
    fn positions_are_the_modules() {
        let device = test_device();
        for (frames, kernel, groups) in [(1, 8, 1), (1, 5, 8), (7, 128, 2), (40, 8, 4), (300, 19, 1), (9, 1, 2)] {
            let dim = 24;
            let weight_normed = disturbed(WeightNormedPositions::new(dim, kernel, groups, &device));
            let stacked = disturbed(StackedPositions::new(dim, 3, kernel, groups, &device));
            let input: Tensor<3> = noise_tensor([1, frames, dim], 5);
            let both = [
                ("weight-normed", values(weight_normed.forward(input.clone()) + input.clone())),
                ("stacked", values(stacked.forward(input.clone()) + input)),
            ];
            for arithmetic in Arithmetic::available(Precision::F32) {
                let plans = [
                    PositionsPlan::weight_normed(weight_normed.clone(), arithmetic),
                    PositionsPlan::stacked(stacked.clone(), dim, arithmetic),
                ];
                for (plan, (name, expected)) in plans.iter().zip(&both) {
                    let mut found = noise(frames * dim, 5);
                    plan.add_to(arithmetic, &mut found);
                    let what = format!("{name}, {arithmetic:?}: {frames} frames, kernel {kernel}, {groups} groups");
                    assert_golden(&what, &found, expected, tolerance(arithmetic));
                }
            }
        }
    }
}
