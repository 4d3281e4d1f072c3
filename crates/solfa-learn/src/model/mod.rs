//! Networks. Each returns all of its layers, as its paper numbers them.

mod attention;
mod conformer;
mod conv_subsampling;
mod gelu;
mod mel_conformer;
mod positional_convolution;
mod rotary;
mod transformer;
mod waveform_frontend;
mod waveform_transformer;
mod weight_norm;

pub use attention::{AttentionObserver, RotarySelfAttention, scaled_dot_product_attention};
pub use conformer::{Conformer, ConformerConfig, ConformerLayer};
pub use conv_subsampling::{Conv2dSubsampling, ResidualConvBlock};
pub use gelu::gelu;
pub use mel_conformer::{MelConformer, MelConformerConfig};
pub use positional_convolution::{PositionalConvolutionConfig, StackedPositions, WeightNormedPositions};
pub use rotary::{RotaryAngles, RotaryPositions};
pub use transformer::{NormPlacement, TransformerConfig, TransformerLayer};
pub use waveform_frontend::{ConvolutionSize, FrontendNorm, WaveformFrontend, WaveformFrontendConfig};
pub use waveform_transformer::{WaveformTransformer, WaveformTransformerConfig};
pub use weight_norm::WeightNormLinear;
