//! Networks. Each returns all of its layers, as its paper numbers them.

mod attention;
mod attention_pooling;
mod conformer;
mod conv_subsampling;
mod gated_feed_forward;
mod mel_conformer;
mod modified_resnet;
mod rotary;
mod vit1d;
mod weight_norm;

pub use attention::{AttentionObserver, RotarySelfAttention, scaled_dot_product_attention};
pub use attention_pooling::{AttentionPooling, AttentionPoolingConfig};
pub use conformer::{Conformer, ConformerConfig, ConformerLayer};
pub use conv_subsampling::{Conv2dSubsampling, ResidualConvBlock};
pub use gated_feed_forward::GatedFeedForward;
pub use mel_conformer::{MelConformer, MelConformerConfig};
pub use modified_resnet::{ModifiedResNet, ModifiedResNetConfig};
pub use rotary::{RotaryAngles, RotaryPositions};
pub use vit1d::{Vit1d, Vit1dConfig, Vit1dFeedForward, Vit1dNorm, Vit1dPositions};
pub use weight_norm::WeightNormLinear;
