//! The tokens of a recording: what a model of the MusicFM and MuQ family was trained to predict.

use std::io;

use burn::tensor::{Device, Int, Tensor, TensorData};
use solfa_signal::audio::MonoSource;
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::extract::{ExtractError, FrameSink, Stitcher};
use solfa_signal::windows::{Tail, WindowLength, WindowPlan, WindowStream};

use super::mel_conformer::normalized;
use crate::checkpoint::MelConformerModel;
use crate::targets::MelTokenizer;

/// Discrete tokens at a known rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// `codes[codebook][frame]`
    pub codes: Vec<Vec<i64>>,
    /// Tokens of each codebook per second of audio.
    pub frames_per_second: f64,
}

impl MelConformerModel {
    /// The codes of a normalised spectrogram; a rest of frames that makes no whole token is left out. None where the model
    /// has no tokenizer.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`
    /// - output: `[batch, codebooks, frames / fold]`
    pub fn codes(&self, spectrogram: Tensor<3>) -> Option<Tensor<3, Int>> {
        Some(self.tokenizer.as_ref()?.codes(spectrogram, self.fold))
    }
}

/// The tokens of a whole recording, from its mel spectrogram, in memory bounded by a few windows of sound.
///
/// The spectrogram is that of the whole recording, not of windows of it, and as in training its last frame is left out.
///
/// # Errors
/// As [`solfa_signal::extract::extract`]: a source that fails, a recording too short for one token, or a model without a
/// tokenizer.
pub fn tokenize(source: impl MonoSource, model: &MelConformerModel, device: &Device) -> Result<Tokens, ExtractError> {
    let Some(tokenizer) = &model.tokenizer else {
        return Err(ExtractError::Sink(io::Error::other(
            "the model was not trained to predict tokens of spectrograms",
        )));
    };
    let mel = &model.mel;
    // The default hop overlaps windows by the spectrogram's context, so that they stitch exactly.
    let plan = WindowPlan::new(mel.spec(), WindowLength::Default, None, Tail::Overlap)
        .map_err(|error| ExtractError::Sink(io::Error::other(error)))?;
    let mut stitcher = Stitcher::new(mel.spec(), &plan, &LayerChoice::All)?;
    let mut windows = WindowStream::new(source, plan.clone());
    let mut quantizing = Quantizing { model, tokenizer, device, pending: Vec::new(), codes: Vec::new() };
    for window in windows.by_ref() {
        let window = window?;
        let batch = mel.encode(std::slice::from_ref(&window.waveform), &LayerChoice::All)?;
        stitcher.push(&window.position, &batch, 0, &mut quantizing)?;
    }
    if quantizing.codes.is_empty() {
        return Err(ExtractError::no_frames(&plan, windows.num_samples()));
    }
    let frames_per_second = mel.spec().frames_per_second(0) / model.fold as f64;
    Ok(Tokens { codes: quantizing.codes, frames_per_second })
}

/// Quantises mel frames as they come, holding back the last one.
struct Quantizing<'model> {
    model: &'model MelConformerModel,
    tokenizer: &'model MelTokenizer,
    device: &'model Device,
    pending: Vec<f32>,
    codes: Vec<Vec<i64>>,
}

impl FrameSink for Quantizing<'_> {
    fn push(&mut self, _layer: usize, frames: &[f32]) -> io::Result<()> {
        let Self { model, tokenizer, pending, codes, .. } = self;
        pending.extend(normalized(model, frames));
        let num_mels = model.config.num_mels;
        let num_tokens = (pending.len() / num_mels).saturating_sub(1) / model.fold;
        if num_tokens == 0 {
            return Ok(());
        }
        let num_frames = num_tokens * model.fold;
        let values: Vec<f32> = pending.drain(..num_frames * num_mels).collect();
        let frames = Tensor::<3>::from_data(TensorData::new(values, [1, num_frames, num_mels]), self.device);
        let found =
            tokenizer.codes(frames.swap_dims(1, 2), model.fold).into_data().convert::<i64>().try_to_vec::<i64>();
        let found = found.map_err(|error| io::Error::other(format!("{error:?}")))?;
        codes.resize(found.len() / num_tokens, Vec::new());
        for (codebook, found) in codes.iter_mut().zip(found.chunks_exact(num_tokens)) {
            codebook.extend_from_slice(found);
        }
        Ok(())
    }
}
