//! A loaded model as an [`Encoder`], as a tokenizer of recordings, and as an encoder of text.
//!
//! This module must not know: files, training.

mod mel;
mod mel_conformer;
mod mert2;
mod mulan;
mod multi_view;
mod network;
mod text;
mod tokenize;
mod vit1d;
mod waveform_transformer;

pub use mulan::MulanAudioEncoder;
pub use network::{HiddenState, Network, NetworkEncoder};
pub use text::{TextEmbedding, TextEncoder, TextError};
pub use tokenize::{Tokens, tokenize};

use burn::tensor::Device;
use solfa_kernels::{Arithmetic, Precision};
use solfa_signal::encoder::Encoder;

use crate::checkpoint::LoadedModel;
use crate::device::is_cpu_without_autodiff;

/// The encoder that a model makes. `clips_per_pass` is the largest number of clips in one pass where the device is not
/// the processor.
pub fn encoder(model: LoadedModel, device: Device, clips_per_pass: usize) -> Box<dyn Encoder> {
    match model {
        LoadedModel::MelConformer(model) => Box::new(NetworkEncoder::new(*model, device, clips_per_pass)),
        LoadedModel::Mulan(model) => Box::new(model.split(device, clips_per_pass).0),
        LoadedModel::WaveformTransformer(model) if is_cpu_without_autodiff(&device) => {
            let planned = model.planned(Arithmetic::new(Precision::F32));
            Box::new(NetworkEncoder::new(planned, device, clips_per_pass))
        }
        LoadedModel::WaveformTransformer(model) => Box::new(NetworkEncoder::new(*model, device, clips_per_pass)),
        LoadedModel::MultiView(model) => Box::new(NetworkEncoder::new(*model, device, clips_per_pass)),
        LoadedModel::Mert2(model) => Box::new(NetworkEncoder::new(*model, device, clips_per_pass)),
        LoadedModel::Vit1d(model) => Box::new(NetworkEncoder::new(*model, device, clips_per_pass)),
    }
}
