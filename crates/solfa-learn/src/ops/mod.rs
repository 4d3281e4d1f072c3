//! Operations with gradients of their own, for training on the processor.
//!
//! Burn's autodiff composes gradients of small operations, each with its own pass over memory. Where most of a training step
//! goes, one operation here takes the place of many: its forward pass keeps what its gradient needs, and both run on
//! [`solfa_kernels::training`]. On other devices a network composes Burn's operations instead.
//!
//! This module must not know: networks, losses, files.

mod attention;
mod convolution_module;
mod feed_forward;
mod layer_norm;
mod linear;
mod plain;
mod residual_block;

pub use attention::{Projection, RotaryAttentionParameters, rotary_attention};
pub use convolution_module::{ConvolutionModuleParameters, convolution_module};
pub use feed_forward::{FeedForwardParameters, half_feed_forward};
pub use layer_norm::layer_norm;
pub use linear::linear_layer;
pub use residual_block::{BlockNorm, BlockParameters, BlockStatistics, residual_block};

use burn::tensor::Device;

/// Whether these operations run on tensors of a device: in memory, with gradients.
pub fn are_available(device: &Device) -> bool {
    // Devices are equal with gradients and without.
    device.is_autodiff() && *device == Device::flex().autodiff()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inference_is_left_alone() {
        assert!(are_available(&Device::flex().autodiff()));
        assert!(!are_available(&Device::flex()));
    }
}
