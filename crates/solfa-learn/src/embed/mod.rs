//! A loaded model as an [`Encoder`], as a tokenizer of recordings, and as an encoder of text.
//!
//! This module must not know: files, training.

mod input;
mod mel;
mod mel_conformer;
mod mel_rvq;
mod mert2;
mod mulan;
mod multi_view;
mod network;
mod precision;
mod text;
mod tokenize;
mod vit1d;
mod waveform_transformer;

pub use input::EncoderInput;
pub use mulan::MulanAudioEncoder;
pub use network::{HiddenState, Network, NetworkEncoder, samples_at_once};
pub use precision::PrecisionError;
pub use text::{TextEmbedding, TextEncoder, TextError};
pub use tokenize::{Tokens, tokenize};

use burn::tensor::Device;
use solfa_kernels::Arithmetic;
use solfa_signal::encoder::Encoder;

use crate::checkpoint::LoadedModel;
use crate::device::is_cpu_without_autodiff;

/// The encoder that a model makes. `clips_per_pass` is the largest number of clips in one pass where the device is not
/// the processor; `arithmetic` is how the processor multiplies.
///
/// # Errors
/// [`PrecisionError`] where the model does not compute in the arithmetic's precision on this device.
pub fn encoder(
    model: LoadedModel,
    device: Device,
    clips_per_pass: usize,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Encoder>, PrecisionError> {
    let has_plan = is_cpu_without_autodiff(&device);
    match model {
        LoadedModel::MelConformer(model) if has_plan => boxed(model.into_plan(arithmetic), device, clips_per_pass),
        LoadedModel::WaveformTransformer(model) if has_plan => {
            boxed(model.into_plan(arithmetic), device, clips_per_pass)
        }
        LoadedModel::Mulan(model) => Ok(Box::new(model.split(device, clips_per_pass, arithmetic)?.0)),
        LoadedModel::MelConformer(model) => single(*model, device, clips_per_pass, arithmetic),
        LoadedModel::WaveformTransformer(model) => single(*model, device, clips_per_pass, arithmetic),
        LoadedModel::MultiView(model) => single(*model, device, clips_per_pass, arithmetic),
        LoadedModel::Mert2(model) => single(*model, device, clips_per_pass, arithmetic),
        LoadedModel::Vit1d(model) => single(*model, device, clips_per_pass, arithmetic),
        LoadedModel::MelRvq(model) => single(*model, device, clips_per_pass, arithmetic),
    }
}

/// A network that computes in single precision only.
fn single<N: Network + 'static>(
    network: N,
    device: Device,
    clips_per_pass: usize,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Encoder>, PrecisionError> {
    PrecisionError::check(arithmetic.precision(), || network.encoder_spec().name)?;
    boxed(network, device, clips_per_pass)
}

fn boxed<N: Network + 'static>(
    network: N,
    device: Device,
    clips_per_pass: usize,
) -> Result<Box<dyn Encoder>, PrecisionError> {
    Ok(Box::new(NetworkEncoder::new(network, device, clips_per_pass)))
}
