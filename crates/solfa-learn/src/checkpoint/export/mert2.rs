//! MERT v2's layout, as written: `config.json` and `model.safetensors`, without a prefix before the names.

use serde_json::{Value, json};

use super::check_same;
use crate::checkpoint::mert2::{self, Mert2Settings};
use crate::checkpoint::save::{CheckpointFolder, named_tensors};
use crate::checkpoint::{CheckpointError, Mert2Model, NamedTensor, TensorValues};
use crate::model::RotaryPositions;

fn config_json(model: &Mert2Model) -> Value {
    let (network, mel) = (&model.config, model.mel.config());
    json!({
        "model_type": "mert2",
        "hidden_size": network.hidden_size,
        "intermediate_size": network.intermediate_size,
        "num_hidden_layers": network.num_layers,
        "num_attention_heads": network.num_heads,
        "num_mel_bins": mel.num_mels,
        "sampling_rate": mel.stft.sample_rate,
        "n_fft": mel.stft.fft_samples,
        "win_length": mel.stft.window_samples,
        "hop_length": mel.stft.hop_samples,
        "minimum_input_samples": mel.stft.fft_samples / 2 + 1,
        "inputs_to_logits_ratio": mert2::SUBSAMPLING * mel.stft.hop_samples,
        "subsampling_channels": network.subsampling.channels,
        "subsampling_depths": network.subsampling.depths,
        "conv_depthwise_kernel_size": network.depthwise_kernel,
        "layer_norm_eps": network.layer_norm_epsilon,
        "subsampling_layer_norm_eps": network.subsampling.layer_norm_epsilon,
        "rotary_embedding_base": network.rotary_base,
        "context_seconds": model.context_seconds,
    })
}

pub(super) fn check(model: &Mert2Model) -> Result<(), String> {
    let read = Mert2Settings::of_json(config_json(model))?;
    check_same("network", &model.config, &read.network)?;
    check_same("mel spectrogram", model.mel.config(), &read.mel)?;
    check_same("context in seconds", &model.context_seconds, &read.context_seconds)
}

pub(super) fn write(files: &mut CheckpointFolder, weights: &str, model: &Mert2Model) -> Result<(), CheckpointError> {
    let (network, config, mel) = (&model.network, &model.config, model.mel.config());
    let mut tensors = named_tensors(&network.subsampling, mert2::FRONT_END);
    tensors.extend(named_tensors(&network.layers, mert2::LAYERS));
    let mut push = |name: String, shape: &[usize], values: Vec<f32>| {
        tensors.push(NamedTensor { name, shape: shape.to_vec(), values: TensorValues::Floats(values.into()) });
    };
    let (window, filters) = model.mel.stored_parts();
    push(mert2::STORED_MEAN.into(), &[mel.num_mels], model.mel_mean.clone());
    push(mert2::STORED_DEVIATION.into(), &[mel.num_mels], model.mel_deviation.clone());
    push(mert2::STORED_WINDOW.into(), &[mel.stft.window_samples], window);
    push(mert2::STORED_FILTERS.into(), &[mel.stft.num_bins(), mel.num_mels], filters);
    // Stored only where they are not those of the base: the released files are not known to have them.
    let stored = network.positions.inverse_frequencies();
    let head_dim = config.hidden_size / config.num_heads;
    let of_base = RotaryPositions::new(head_dim, config.rotary_base, &stored.device()).inverse_frequencies();
    let [stored, of_base] =
        [stored, of_base].map(|tensor| tensor.inner().into_data().iter::<f32>().collect::<Vec<_>>());
    if stored != of_base {
        for layer in 0..config.num_layers {
            push(format!("layers.{layer}.attn.rotary{}", mert2::STORED_FREQUENCIES), &[stored.len()], stored.clone());
        }
    }
    files.safetensors(weights, tensors)?;
    files.json("config.json", &config_json(model))
}
