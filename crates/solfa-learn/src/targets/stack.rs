//! Consecutive frames side by side: what the quantisers see of a spectrogram.

use burn::tensor::Tensor;

/// Joins every `fold` consecutive frames into one vector, frame after frame; a rest of fewer frames is left out.
///
/// # Shapes
/// - frames: `[batch, frames, dim]`
/// - output: `[batch, frames / fold, fold x dim]`, rounded down
pub fn stack_frames(frames: Tensor<3>, fold: usize) -> Tensor<3> {
    let [batch, num_frames, dim] = frames.dims();
    let stacked = num_frames / fold;
    frames.narrow(1, 0, stacked * fold).reshape([batch, stacked, fold * dim])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;

    #[test]
    fn frames_are_joined_in_order_and_the_rest_is_left_out() {
        let frames =
            Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 0.0]]], &test_device());
        let stacked = stack_frames(frames, 2);
        assert_eq!(stacked.dims(), [1, 2, 4]);
        assert_eq!(stacked.into_data().try_to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    }
}
