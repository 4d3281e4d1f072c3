//! Hidden states of a model that was trained before: what a next round of training learns to predict the codes of.

use solfa_kernels::{Arithmetic, Precision};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::frames::Frames;

use std::path::Path;

use burn::tensor::Device;

use super::{ConfigError, PretrainError};
use crate::checkpoint::Checkpoint;
use crate::embed;

/// Clips in one pass where the device is not the processor.
const CLIPS_PER_PASS: usize = 8;

/// One layer of a frozen model.
pub(super) struct HiddenStates {
    encoder: Box<dyn Encoder>,
    layer: usize,
}

impl HiddenStates {
    /// Opens a model: a folder or file of any kind that `embed` takes. `key` is the configuration's for it.
    ///
    /// # Errors
    /// A model that cannot be opened, or without this layer.
    pub(super) fn open(key: &str, model: &str, layer: usize, device: &Device) -> Result<Self, PretrainError> {
        let wrong = |reason: String| PretrainError::Config(ConfigError::Value { key: key.to_owned(), reason });
        let loaded = Checkpoint::open(Path::new(model)).and_then(|checkpoint| checkpoint.load(device));
        let loaded = loaded.map_err(|error| wrong(error.to_string()))?;
        let arithmetic = Arithmetic::new(Precision::F32);
        let encoder = embed::encoder(loaded, device.clone(), CLIPS_PER_PASS, arithmetic);
        let encoder = encoder.map_err(|error| wrong(error.to_string()))?;
        let last = encoder.spec().layers.len() - 1;
        if layer > last {
            return Err(wrong(format!("{model} has layers 0 to {last}, and layer {layer} was asked for")));
        }
        Ok(Self { encoder, layer })
    }

    /// Samples per second of the model's clips.
    pub(super) fn sample_rate(&self) -> u32 {
        self.encoder.spec().sample_rate
    }

    /// Samples from one frame to the next.
    pub(super) fn hop_samples(&self) -> usize {
        self.encoder.spec().layers[self.layer].hop_samples
    }

    /// Width of a frame.
    pub(super) fn dim(&self) -> usize {
        self.encoder.spec().layers[self.layer].dim
    }

    /// The model, its weights and the layer, as a hash or a text that no other has.
    pub(super) fn identity(&self) -> String {
        format!("{} layer {}", self.encoder.spec().identity, self.layer)
    }

    /// The frames of every clip.
    ///
    /// # Errors
    /// A sentence for clips that the model cannot take.
    pub(super) fn of(&self, clips: &[Waveform]) -> Result<Vec<Frames>, String> {
        let mut batch =
            self.encoder.encode(clips, &LayerChoice::Numbers(vec![self.layer])).map_err(|error| error.to_string())?;
        // One layer was asked for.
        Ok(batch.layers.swap_remove(0).clips)
    }
}
