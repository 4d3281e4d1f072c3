//! Networks. Each returns all of its layers, as its paper numbers them.

mod attention;
mod conformer;
mod conv_subsampling;
mod convnext_subsampling;
mod mel_conformer;
mod mert2;
mod rotary;
mod weight_norm;

pub use attention::{AttentionObserver, RotarySelfAttention, scaled_dot_product_attention};
pub use conformer::{Conformer, ConformerConfig, ConformerLayer};
pub use conv_subsampling::{Conv2dSubsampling, ResidualConvBlock};
pub use convnext_subsampling::{ConvNextBlock, ConvNextSubsampling, ConvNextSubsamplingConfig, GlobalResponseNorm};
pub use mel_conformer::{MelConformer, MelConformerConfig};
pub use mert2::{Mert2, Mert2Config, Mert2Layer};
pub use rotary::{RotaryAngles, RotaryPositions};
pub use weight_norm::WeightNormLinear;
