//! A loaded model as an [`Encoder`], as a tokenizer of recordings, and as an encoder of text.
//!
//! This module must not know: files, training.

mod mel;
mod mel_conformer;
mod mert2;
mod mulan;
mod multi_view;
mod network;
mod precision;
mod text;
mod tokenize;
mod vit1d;
mod waveform_transformer;

pub use mulan::MulanAudioEncoder;
pub use network::{HiddenState, Network, NetworkEncoder, samples_at_once};
pub use precision::{Precision, PrecisionError};
pub use text::{TextEmbedding, TextEncoder, TextError};
pub use tokenize::{Tokens, tokenize};

use burn::tensor::Device;
use solfa_signal::encoder::Encoder;

use crate::checkpoint::LoadedModel;

/// The encoder that a model makes. `clips_per_pass` is the largest number of clips in one pass where the device is not
/// the processor.
///
/// # Errors
/// [`PrecisionError`] where the model does not compute in `precision`.
pub fn encoder(
    model: LoadedModel,
    device: Device,
    clips_per_pass: usize,
    precision: Precision,
) -> Result<Box<dyn Encoder>, PrecisionError> {
    fn boxed<N: Network + 'static>(
        encoder: NetworkEncoder<N>,
        precision: Precision,
    ) -> Result<Box<dyn Encoder>, PrecisionError> {
        Ok(Box::new(encoder.with_precision(precision)?))
    }
    match model {
        LoadedModel::MelConformer(model) => boxed(NetworkEncoder::new(*model, device, clips_per_pass), precision),
        LoadedModel::Mulan(model) => boxed(model.split(device, clips_per_pass).0, precision),
        LoadedModel::WaveformTransformer(model) => {
            boxed(NetworkEncoder::new(*model, device, clips_per_pass), precision)
        }
        LoadedModel::MultiView(model) => boxed(NetworkEncoder::new(*model, device, clips_per_pass), precision),
        LoadedModel::Mert2(model) => boxed(NetworkEncoder::new(*model, device, clips_per_pass), precision),
        LoadedModel::Vit1d(model) => boxed(NetworkEncoder::new(*model, device, clips_per_pass), precision),
    }
}
