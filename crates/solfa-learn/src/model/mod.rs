//! Networks. Each returns all of its layers, as its paper numbers them.

mod attention;
mod attention_pooling;
mod conformer;
mod conv_subsampling;
mod convnext_subsampling;
mod feed_forward;
mod gated_feed_forward;
mod gelu;
mod mel_conformer;
mod mert2;
mod modified_resnet;
mod mulan;
mod positional_convolution;
mod query_key_norm;
mod rotary;
mod transformer;
mod vit1d;
mod waveform_frontend;
mod waveform_transformer;
mod weight_norm;
mod xlm_roberta;

pub use attention::{AttentionObserver, RotarySelfAttention, SelfAttention, scaled_dot_product_attention};
pub use attention_pooling::{AttentionPooling, AttentionPoolingConfig};
pub use conformer::{Conformer, ConformerConfig, ConformerLayer};
pub use conv_subsampling::{Conv2dSubsampling, ResidualConvBlock};
pub use convnext_subsampling::{ConvNextBlock, ConvNextSubsampling, ConvNextSubsamplingConfig, GlobalResponseNorm};
pub use feed_forward::FeedForward;
pub use gated_feed_forward::GatedFeedForward;
pub use gelu::gelu;
pub use mel_conformer::{MelConformer, MelConformerConfig};
pub use mert2::{Mert2, Mert2Config, Mert2Layer};
pub use modified_resnet::{ModifiedResNet, ModifiedResNetConfig};
pub use mulan::{JointSpaceHead, JointSpaceHeadConfig, MulanConfig};
pub(crate) use positional_convolution::STACKED_NORM_EPSILON;
pub use positional_convolution::{PositionalConvolutionConfig, StackedPositions, WeightNormedPositions};
pub use query_key_norm::{QueryKeyNormTransformer, QueryKeyNormTransformerConfig};
pub use rotary::{RotaryAngles, RotaryPositions};
pub use transformer::{NormPlacement, TransformerConfig, TransformerLayer};
pub use vit1d::{Vit1d, Vit1dConfig, Vit1dFeedForward, Vit1dNorm, Vit1dPositions};
pub(crate) use waveform_frontend::{CHANNEL_NORM_EPSILON, ChannelNorm};
pub use waveform_frontend::{ConvolutionSize, FrontendNorm, WaveformFrontend, WaveformFrontendConfig};
pub use waveform_transformer::{WaveformTransformer, WaveformTransformerConfig};
pub use weight_norm::WeightNormLinear;
pub use xlm_roberta::{XlmRoberta, XlmRobertaConfig};

use mulan::l2_normalize;
