//! Networks. Each returns all of its layers, as its paper numbers them.

mod attention;
mod attention_pooling;
mod conformer;
mod conv_subsampling;
mod mel_conformer;
mod modified_resnet;
mod rotary;
mod weight_norm;

pub use attention::{AttentionObserver, RotarySelfAttention, scaled_dot_product_attention};
pub use attention_pooling::{AttentionPooling, AttentionPoolingConfig};
pub use conformer::{Conformer, ConformerConfig, ConformerLayer};
pub use conv_subsampling::{Conv2dSubsampling, ResidualConvBlock};
pub use mel_conformer::{MelConformer, MelConformerConfig};
pub use modified_resnet::{ModifiedResNet, ModifiedResNetConfig};
pub use rotary::{RotaryAngles, RotaryPositions};
pub use weight_norm::WeightNormLinear;
