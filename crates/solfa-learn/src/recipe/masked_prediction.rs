//! Masked prediction of tokens, several codebooks at once: what MuQ, its refinement and MusicFM have in common.
//!
//! Something of every clip is hidden, and at every hidden frame a linear head says the codes of the sound as it was. Which
//! tokens those are, a recipe says by its [`Tokens`].
//!
//! Logits are computed of hidden frames alone, which changes no number.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::masking::{Masking, crop_samples};
use super::mel_rvq::usage_signals;
use super::spectrogram_tokens::SpectrogramTokens;
use super::{ConfigError, MaskConfig, PretrainError, RunConfig};
use crate::checkpoint::EncoderConfig;
use crate::data::Batch;
use crate::embed::EncoderInput;
use crate::model::{Backbone, BackboneConfig};
use crate::objective::{ObjectiveError, Terms, masked_prediction, split_codebooks};
use crate::targets::MelTokenizer;
use crate::targets::stored::LabelStore;
use crate::train::{CodeCounts, Moment, Recipe};

/// Where tokens come from.
pub(super) enum Tokens {
    /// From the clip's spectrogram, by a quantiser that is kept with the network.
    Spectrogram(Box<SpectrogramTokens>, Box<MelTokenizer>),
    /// Made before, for every window of every track.
    Labels {
        /// The codes.
        labels: LabelStore,
        /// Samples of a window.
        window_samples: u64,
        /// Samples from one code to the next.
        hop_samples: usize,
    },
}

/// The method, ready for batches.
pub(super) struct MaskedPrediction {
    encoder: EncoderConfig,
    backbone: BackboneConfig,
    input: EncoderInput,
    masking: Masking,
    tokens: Tokens,
    num_codebooks: usize,
    num_codes: usize,
    /// How often each code was to be predicted since the log was told last.
    counts: Mutex<CodeCounts>,
}

/// What learns, and the quantiser that does not.
#[derive(Module, Debug)]
pub(super) struct MaskedPredictionNetwork {
    backbone: Backbone,
    /// Logits of all codes of all codebooks. A conformer has a head of its own.
    head: Option<Linear>,
    /// `[hidden_size]`: what stands for hidden frames, where frames are hidden.
    hidden_frame: Option<Param<Tensor<1>>>,
    tokenizer: Option<MelTokenizer>,
}

impl MaskedPrediction {
    /// Sets the method up for tokens of `num_codebooks` codebooks with `num_codes` codes each.
    ///
    /// # Errors
    /// An encoder without frames or with another head, or a mask that does not fit it.
    pub(super) fn new<M>(
        config: &RunConfig<M>,
        mask: &MaskConfig,
        tokens: Tokens,
        (num_codebooks, num_codes): (usize, usize),
    ) -> Result<Self, PretrainError> {
        let backbone = framed_backbone(&config.encoder)?;
        check_head(&backbone, num_codebooks * num_codes)?;
        Ok(Self {
            input: EncoderInput::new(&config.encoder).map_err(ConfigError::of)?,
            masking: Masking::new(mask, &config.encoder, config.seed)?,
            encoder: config.encoder.clone(),
            backbone,
            tokens,
            num_codebooks,
            num_codes,
            counts: Mutex::new(CodeCounts::new(num_codebooks, num_codes)),
        })
    }

    /// The codes of every frame, `[clips, codebooks, frames]` row by row: of the token that covers the frame's beginning.
    fn codes(
        &self,
        network: &MaskedPredictionNetwork,
        batch: &Batch,
        num_frames: usize,
        device: &Device,
    ) -> Result<Vec<i64>, ObjectiveError> {
        let (codes, num_tokens, hop_samples) = match &self.tokens {
            Tokens::Spectrogram(tokens, fitted) => {
                let tokenizer = network.tokenizer.as_ref().unwrap_or(fitted);
                let (codes, num_tokens) = tokens.of(tokenizer, batch, device);
                (codes, num_tokens, tokens.hop_samples)
            }
            Tokens::Labels { labels, window_samples, hop_samples } => {
                let codes = labels_of(labels, *window_samples, batch)?;
                (codes, labels.description().frames_per_window, *hop_samples)
            }
        };
        Ok(at_frames(&codes, num_tokens, hop_samples, num_frames, self.encoder.hop_samples()))
    }
}

/// The labels of the windows that the clips of a batch are.
fn labels_of(labels: &LabelStore, window_samples: u64, batch: &Batch) -> Result<Vec<i64>, ObjectiveError> {
    let mut codes = Vec::new();
    for clip in &batch.clips {
        let start = clip.starts.first().copied().unwrap_or(0);
        let wrong = |reason: String| ObjectiveError::Target { reason: format!("{}: {reason}", clip.name) };
        let window = (start / window_samples) as usize;
        let found = labels.codes(clip.track, window).map_err(|error| wrong(error.to_string()))?;
        let found = found.ok_or_else(|| wrong(format!("there are no labels of window {window}")))?;
        codes.extend(found.into_iter().map(i64::from));
    }
    Ok(codes)
}

/// Refuses encoders without frames or with another head, and masks that do not fit them.
pub(super) fn check<M>(
    config: &RunConfig<M>,
    mask: &MaskConfig,
    (num_codebooks, num_codes): (usize, usize),
) -> Result<(), ConfigError> {
    check_head(&framed_backbone(&config.encoder)?, num_codebooks * num_codes)?;
    let masking = Masking::new(mask, &config.encoder, config.seed);
    masking.map(drop).map_err(|error| ConfigError::of(format!("method.mask: {error}")))
}

/// Codes of frames from codes of tokens that come at another rate, or at the same: `[rows, tokens]` to `[rows, frames]`.
pub(super) fn at_frames(
    codes: &[i64],
    num_tokens: usize,
    token_hop_samples: usize,
    num_frames: usize,
    frame_hop_samples: usize,
) -> Vec<i64> {
    if num_tokens == 0 {
        return Vec::new();
    }
    let token_of = |frame: usize| (frame * frame_hop_samples / token_hop_samples).min(num_tokens - 1);
    codes.chunks_exact(num_tokens).flat_map(|row| (0..num_frames).map(move |frame| row[token_of(frame)])).collect()
}

/// The network of an encoder that has frames.
pub(super) fn framed_backbone(encoder: &EncoderConfig) -> Result<BackboneConfig, ConfigError> {
    encoder.backbone().filter(|backbone| backbone.frame_dim().is_some()).ok_or_else(|| {
        let kinds = "mel-conformer, waveform-transformer or vit1d";
        ConfigError::of(format!("encoder.kind: expected one with frames ({kinds}), found {}", encoder.kind()))
    })
}

fn check_head(backbone: &BackboneConfig, num_logits: usize) -> Result<(), ConfigError> {
    match backbone {
        BackboneConfig::MelConformer(network) if network.num_logits != num_logits => {
            let found = network.num_logits;
            let reason =
                format!("encoder.network.num_logits: expected all codes of all codebooks, {num_logits}, found {found}");
            Err(ConfigError::of(reason))
        }
        _ => Ok(()),
    }
}

impl Recipe for MaskedPrediction {
    type Network = MaskedPredictionNetwork;
    type Carried = ();

    fn network(&self, device: &Device) -> MaskedPredictionNetwork {
        let dim = self.backbone.frame_dim().unwrap_or_default();
        let has_head = matches!(self.backbone, BackboneConfig::MelConformer(_));
        let head = || LinearConfig::new(dim, self.num_codebooks * self.num_codes).init(device);
        let tokenizer = match &self.tokens {
            Tokens::Spectrogram(_, tokenizer) => Some((**tokenizer).clone().to_device(device).no_grad()),
            Tokens::Labels { .. } => None,
        };
        MaskedPredictionNetwork {
            backbone: self.backbone.init(device),
            head: (!has_head).then(head),
            hidden_frame: self.masking.hidden_frame(dim, device),
            tokenizer,
        }
    }

    fn terms(
        &self,
        network: &MaskedPredictionNetwork,
        batch: &Batch,
        _moment: Moment,
        device: &Device,
    ) -> Result<(Terms, ()), ObjectiveError> {
        let num_frames = self.encoder.num_frames(crop_samples(batch));
        let codes = self.codes(network, batch, num_frames, device)?;
        let masked = self.masking.apply(batch, num_frames);
        let rows = masked.hidden_rows();
        let hidden = masked.hidden_frames(network.hidden_frame.as_ref(), device);
        let input = self.input.of(masked.clips.into_iter(), device);
        let last = network.backbone.forward(input, hidden.as_ref()).frames.pop();
        let last = last.unwrap_or_else(|| Tensor::zeros([0, 0, 0], device));
        let [clips, frames, width] = last.dims();
        debug_assert_eq!(frames, num_frames);
        // Without a hidden frame the loss is that of an empty mask: 0, as are its gradients.
        let (rows, mask) = match rows.is_empty() {
            true => (vec![0], Some(Tensor::<2, Bool>::from_data([[false]], device))),
            false => (rows, None),
        };
        let count = rows.len();
        let mut targets = Vec::with_capacity(count * self.num_codebooks);
        for &row in &rows {
            let (clip, frame) = (row as usize / frames, row as usize % frames);
            let code = |codebook: usize| codes[(clip * self.num_codebooks + codebook) * frames + frame];
            targets.extend((0..self.num_codebooks).map(code));
        }
        let targets = Tensor::<3, Int>::from_data(TensorData::new(targets, [1, count, self.num_codebooks]), device);
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), device);
        // [clips, frames, width] -> [1, hidden frames, width]
        let picked = last.reshape([clips * frames, width]).select(0, rows).unsqueeze::<3>();
        let logits = match (&network.head, &network.backbone) {
            (Some(head), _) => head.forward(picked),
            (None, Backbone::MelConformer(conformer)) => conformer.logits(picked),
            (None, _) => picked,
        };
        self.count(&codes, frames);
        Ok((masked_prediction(split_codebooks(logits, self.num_codebooks)?, targets, mask)?, ()))
    }

    fn signals(&self) -> BTreeMap<String, f64> {
        usage_signals(&self.counts)
    }
}

impl MaskedPrediction {
    fn count(&self, codes: &[i64], frames: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, codes) in codes.chunks_exact(frames).enumerate() {
            // Codes come from a quantiser of this size.
            let _ = counts.add(row % self.num_codebooks, codes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_code_of_the_token_that_it_begins_in() {
        let codes = [1, 2, 3, 4, 5, 6];
        assert_eq!(at_frames(&codes, 3, 960, 3, 960), codes);
        assert_eq!(at_frames(&codes, 3, 960, 6, 480), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
        assert_eq!(at_frames(&codes, 3, 480, 2, 960), [1, 3, 4, 6]);
        assert_eq!(at_frames(&codes, 3, 960, 4, 960), [1, 2, 3, 3, 4, 5, 6, 6], "a frame too many has the last one");
        assert_eq!(at_frames(&[], 0, 960, 4, 960), [0; 0]);
    }
}
