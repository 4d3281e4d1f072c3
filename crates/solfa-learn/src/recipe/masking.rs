//! What is hidden of a clip, whatever is asked of what is hidden: blocks of the waveform become noise, or spans of frames
//! become one learned vector.

use burn::module::{Initializer, Param};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::checkpoint::EncoderConfig;
use crate::data::Batch;
use crate::model::HiddenFrames;
use crate::views::{BlockMask, BlockMaskConfig, ClipSeed, SpanMaskConfig, ViewError, equalize_masks};

/// What is hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MaskConfig {
    /// Blocks of the waveform are replaced by noise: MuQ and MusicFM.
    Blocks(BlockMaskConfig),
    /// Spans of frames are replaced by a learned vector: HuBERT and data2vec.
    Spans(SpanMaskConfig),
}

/// A [`MaskConfig`] for an encoder.
pub(super) struct Masking {
    kind: Kind,
    seed: u64,
}

enum Kind {
    Blocks(BlockMask),
    Spans(SpanMaskConfig),
}

/// A batch of which something is hidden.
pub(super) struct Masked {
    /// The samples of every clip as the network is shown them.
    pub(super) clips: Vec<Vec<f32>>,
    /// Which frames are hidden, clip after clip.
    pub(super) is_hidden: Vec<bool>,
    /// Frames of a clip.
    pub(super) num_frames: usize,
}

impl Masked {
    /// `[clips, frames]`, true where a frame is hidden.
    pub(super) fn flags(&self, device: &Device) -> Tensor<2, Bool> {
        let shape = [self.clips.len(), self.num_frames];
        Tensor::from_data(TensorData::new(self.is_hidden.clone(), shape), device)
    }

    /// The frames that `vector` stands for; none where frames are not hidden.
    pub(super) fn hidden_frames(&self, vector: Option<&Param<Tensor<1>>>, device: &Device) -> Option<HiddenFrames> {
        vector.map(|vector| HiddenFrames { is_hidden: self.flags(device), embedding: vector.val() })
    }

    /// The numbers of the hidden frames, counted over all clips.
    pub(super) fn hidden_rows(&self) -> Vec<i64> {
        (0_i64..).zip(&self.is_hidden).filter(|(_, is_hidden)| **is_hidden).map(|(row, _)| row).collect()
    }
}

impl Masking {
    /// # Errors
    /// [`ViewError::Value`] for settings without meaning, or blocks that are no whole number of the encoder's frames.
    pub(super) fn new(config: &MaskConfig, encoder: &EncoderConfig, seed: u64) -> Result<Self, ViewError> {
        let rate = encoder.sample_rate();
        let kind = match config {
            MaskConfig::Blocks(config) => {
                Kind::Blocks(BlockMask::new(config, rate, f64::from(rate) / encoder.hop_samples() as f64)?)
            }
            MaskConfig::Spans(config) => {
                config.validate()?;
                Kind::Spans(config.clone())
            }
        };
        Ok(Self { kind, seed })
    }

    /// What a network learns to put in the place of hidden frames, `[dim]`, begun as wav2vec 2.0's; none where frames are not
    /// hidden.
    pub(super) fn hidden_frame(&self, dim: usize, device: &Device) -> Option<Param<Tensor<1>>> {
        self.hides_frames().then(|| Initializer::Uniform { min: 0.0, max: 1.0 }.init([dim], device))
    }

    fn hides_frames(&self) -> bool {
        matches!(self.kind, Kind::Spans(_))
    }

    /// Hides something of the first crop of every clip; the same for the same seed and step. Of spans, every clip has as
    /// many hidden frames (fairseq's `require_same_masks`).
    pub(super) fn apply(&self, batch: &Batch, num_frames: usize) -> Masked {
        let seed = |clip: usize| ClipSeed { seed: self.seed, step: batch.step, clip: clip as u64 };
        let mut masks = Vec::with_capacity(batch.clips.len());
        let clips = first_crops(batch).enumerate().map(|(number, mut samples)| {
            let mut random = seed(number).stream("mask");
            masks.push(match &self.kind {
                Kind::Blocks(mask) => mask.apply(&mut samples, num_frames, &mut random),
                Kind::Spans(mask) => mask.draw(num_frames, &mut random),
            });
            samples
        });
        let clips = clips.collect();
        if self.hides_frames() {
            equalize_masks(&mut masks, &mut seed(0).stream("equal masks"));
        }
        Masked { clips, is_hidden: masks.concat(), num_frames }
    }
}

/// The first crop of every clip: the only one, unless pairs are drawn.
pub(super) fn first_crops(batch: &Batch) -> impl Iterator<Item = Vec<f32>> + '_ {
    batch.clips.iter().filter_map(|clip| clip.crops.first().cloned())
}

/// Samples of a crop: as many in every clip.
pub(super) fn crop_samples(batch: &Batch) -> usize {
    batch.clips.first().and_then(|clip| clip.crops.first()).map_or(0, Vec::len)
}
