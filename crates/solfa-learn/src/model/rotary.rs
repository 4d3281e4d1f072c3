//! Rotary positions.
//!
//! Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv:2104.09864, in the half-split
//! layout: dimension `i` is rotated together with dimension `i + head_dim / 2`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The frequencies of every pair of dimensions. They follow from the base; released checkpoints store them, and what
/// they store is what counts.
#[derive(Module, Debug)]
pub struct RotaryPositions {
    /// `[head_dim / 2]`, in radians per frame; not trained.
    inverse_frequencies: Param<Tensor<1>>,
}

/// The cosines and sines of every position, shared by all layers of one pass.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// `[1, frames, 1, head_dim]`
    cosine: Tensor<4>,
    /// `[1, frames, 1, head_dim]`
    sine: Tensor<4>,
}

impl RotaryPositions {
    /// Frequencies `base^(-2 i / head_dim)`.
    ///
    /// # Panics
    /// If `head_dim` is odd.
    pub fn new(head_dim: usize, base: f64, device: &Device) -> Self {
        assert!(head_dim.is_multiple_of(2), "RotaryPositions: head_dim {head_dim} is odd");
        let half = head_dim / 2;
        let frequencies = (0..half).map(|index| 1.0 / (base as f32).powf(2.0 * index as f32 / head_dim as f32));
        Self::from_stored(frequencies.collect(), device)
    }

    /// Frequencies that were stored with a model, in radians per frame, one for every pair of dimensions of a head.
    pub fn from_stored(frequencies: Vec<f32>, device: &Device) -> Self {
        let half = frequencies.len();
        let frequencies = Tensor::from_data(TensorData::new(frequencies, [half]), device);
        Self { inverse_frequencies: Param::from_tensor(frequencies).set_require_grad(false) }
    }

    /// `[head_dim / 2]`, as stored.
    pub(crate) fn inverse_frequencies(&self) -> Tensor<1> {
        self.inverse_frequencies.val()
    }

    /// The angles of positions `0..num_frames`.
    pub fn angles(&self, num_frames: usize) -> RotaryAngles {
        let frequencies = self.inverse_frequencies.val();
        let half = frequencies.dims()[0];
        let positions = Tensor::<1, Int>::arange(0..num_frames as i64, &frequencies.device()).float();
        // [frames, 1] x [1, half] -> [frames, half], twice side by side
        let angles = positions.unsqueeze_dim::<2>(1) * frequencies.unsqueeze_dim::<2>(0);
        let angles = Tensor::cat(vec![angles.clone(), angles], 1).reshape([1, num_frames, 1, 2 * half]);
        RotaryAngles { cosine: angles.clone().cos(), sine: angles.sin() }
    }
}

impl RotaryAngles {
    /// Cosines and sines, `[1, frames, 1, head_dim]`: the second half of the last axis repeats the first.
    pub(crate) fn cosine_and_sine(&self) -> [Tensor<4>; 2] {
        [self.cosine.clone(), self.sine.clone()]
    }

    /// Turns every pair of dimensions by its position's angle.
    ///
    /// # Shapes
    /// - input and output: `[batch, frames, heads, head_dim]`
    pub fn rotate(&self, heads: Tensor<4>) -> Tensor<4> {
        let half = heads.dims()[3] / 2;
        let first = heads.clone().narrow(3, 0, half);
        let second = heads.clone().narrow(3, half, half);
        let quarter_turned = Tensor::cat(vec![second.neg(), first], 3);
        heads * self.cosine.clone() + quarter_turned * self.sine.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn position_zero_is_unchanged_and_lengths_are_kept() {
        let device = test_device();
        let angles = RotaryPositions::new(4, 10_000.0, &device).angles(3);
        let heads = Tensor::<4>::ones([1, 3, 1, 4], &device);
        let values: Vec<f32> = angles.rotate(heads).into_data().try_to_vec().unwrap();
        assert_eq!(values[..4], [1.0; 4]);
        // Position 1, first pair turned by 1 radian: (cos - sin, cos + sin).
        let (sine, cosine) = 1f32.sin_cos();
        assert!((values[4] - (cosine - sine)).abs() < 1e-6 && (values[6] - (cosine + sine)).abs() < 1e-6);
        for frame in values.chunks(4) {
            assert!((frame.iter().map(|value| value * value).sum::<f32>() - 4.0).abs() < 1e-5);
        }
    }
}
