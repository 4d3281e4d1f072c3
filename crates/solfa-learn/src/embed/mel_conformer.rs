//! MusicFM and MuQ as encoders.

use burn::tensor::{Device, Tensor, TensorData};
use sha2::{Digest, Sha256};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{
    EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice, LayerFrames, LayerSpec, check_clips, check_finite,
};
use solfa_signal::frames::Frames;

use crate::checkpoint::MelConformerModel;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 1;

/// Seconds of the clips that both models were trained on.
const TRAINING_CLIP_SECONDS: f64 = 30.0;

/// A model of the MusicFM and MuQ family on a device, as an [`Encoder`].
///
/// On the processor every clip is its own pass, so a clip gives the same bits whatever it is batched with, and there is
/// nothing to gain from larger passes: one clip of 30 s already keeps all cores busy. On other devices clips of equal
/// length share a pass. Clips of different lengths never do: the convolutions would mix padding into the result.
pub struct MelConformerEncoder {
    model: MelConformerModel,
    device: Device,
    clips_per_pass: usize,
    spec: EncoderSpec,
}

impl MelConformerEncoder {
    /// Wraps a model that was loaded on `device`. `clips_per_pass` is the largest number of clips in one pass where the
    /// device is not the processor.
    pub fn new(model: MelConformerModel, device: Device, clips_per_pass: usize) -> Self {
        let is_processor = device == Device::flex();
        let spec = encoder_spec(&model);
        Self { model, device, clips_per_pass: if is_processor { 1 } else { clips_per_pass.max(1) }, spec }
    }

    /// The model.
    pub fn model(&self) -> &MelConformerModel {
        &self.model
    }

    /// The network's input: normalised decibels, without the last frame of the centred spectrogram.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, mels, frames]`
    ///
    /// # Panics
    /// If the clips have different lengths, are too short or at another rate.
    pub fn normalized_mel(&self, clips: &[Waveform]) -> Tensor<3> {
        let num_mels = self.model.config.num_mels;
        let mut values = Vec::new();
        let mut num_frames = 0;
        for clip in clips {
            let frames = self.model.mel.compute(clip);
            num_frames = frames.num_frames() - 1;
            values.extend(normalized(&self.model, frames.slice(0..num_frames)));
        }
        let shape = [clips.len(), num_frames, num_mels];
        Tensor::<3>::from_data(TensorData::new(values, shape), &self.device).swap_dims(1, 2)
    }

    /// The chosen layers of clips of equal length, in one pass.
    fn pass(&self, clips: &[Waveform], layers: &[usize]) -> Result<Vec<Vec<Frames>>, EncodeError> {
        let last_layer = layers.last().copied().unwrap_or(0);
        let hidden_states = self.model.network.forward(self.normalized_mel(clips), None, last_layer);
        layers
            .iter()
            .map(|&layer| {
                let hidden = hidden_states[layer].clone();
                let [_, num_frames, dim] = hidden.dims();
                let values = hidden
                    .into_data()
                    .try_to_vec::<f32>()
                    .map_err(|error| EncodeError::Device(format!("layer {layer} cannot be read back: {error:?}")))?;
                let rate = self.spec.frames_per_second(layer);
                let clip_values = values.chunks_exact(num_frames * dim);
                Ok(clip_values.map(|values| Frames::new(values.to_vec(), num_frames, dim, rate)).collect())
            })
            .collect()
    }
}

/// Decibels to the scale that the network was trained on.
pub(super) fn normalized(model: &MelConformerModel, decibels: &[f32]) -> impl Iterator<Item = f32> {
    let (mean, deviation) = (model.mel_mean, model.mel_deviation);
    decibels.iter().map(move |value| (value - mean) / deviation)
}

impl Encoder for MelConformerEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        let layers = layers.resolve(self.spec.layers.len())?;
        check_clips(&self.spec, clips)?;
        let mut batch = LayerBatch {
            layers: layers.iter().map(|&layer| LayerFrames { layer, clips: Vec::with_capacity(clips.len()) }).collect(),
        };
        for equal in clips.chunk_by(|left, right| left.num_samples() == right.num_samples()) {
            for clips in equal.chunks(self.clips_per_pass) {
                let frames = self.pass(clips, &layers)?;
                for (layer, frames) in batch.layers.iter_mut().zip(frames) {
                    layer.clips.extend(frames);
                }
            }
        }
        check_finite(&batch)?;
        Ok(batch)
    }
}

fn encoder_spec(model: &MelConformerModel) -> EncoderSpec {
    let mel = model.mel.spec();
    let config = &model.config;
    let hop_samples = mel.layers[0].hop_samples * config.time_strides.iter().product::<usize>();
    let layers = (0..=config.conformer.num_layers).map(|number| LayerSpec {
        name: if number == 0 { "front end".into() } else { format!("conformer layer {number}") },
        dim: config.conformer.hidden_size,
        hop_samples,
    });
    let identity = format!(
        "{} {NUMERICS_VERSION}\nmel={}\nmean={}\ndeviation={}\nconfig={config:?}\nweights={}\n",
        model.name, mel.identity, model.mel_mean, model.mel_deviation, model.weights_sha256
    );
    EncoderSpec {
        name: model.name.into(),
        identity: Sha256::digest(identity).iter().map(|byte| format!("{byte:02x}")).collect(),
        weights_sha256: Some(model.weights_sha256.clone()),
        sample_rate: mel.sample_rate,
        layers: layers.collect(),
        minimum_samples: mel.minimum_samples,
        context_samples: None,
        default_window_seconds: TRAINING_CLIP_SECONDS,
    }
}
