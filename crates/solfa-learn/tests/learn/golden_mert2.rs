//! MERT v2 against PyTorch and against `clap-cpp`, and its checkpoints; see `fixtures/golden/MANIFEST.md`.

use std::collections::HashMap;
use std::path::Path;

use crate::common::weights::{StoredTensor, Tensors, copy_checkpoint, read_safetensors, write_safetensors};
use crate::common::{GoldenTensor, assert_error, clips, device, fixture, tensors};
use safetensors::Dtype;
use serde_json::{Value, json};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError, LoadedModel, Mert2Model};
use solfa_learn::embed::{Network, NetworkEncoder};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, LayerBatch, LayerChoice};
use solfa_signal::testing::{assert_golden, check_encoder, musical_signal};
use std::ops::ControlFlow;
use tempfile::TempDir;

const CASE: &str = "mert2-tiny";
const WEIGHTS: &str = "model.safetensors";
const SAMPLE_RATE: u32 = 24_000;
const LAYERS: usize = 2;

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

fn try_load(path: &Path) -> Result<Mert2Model, CheckpointError> {
    let LoadedModel::Mert2(model) = Checkpoint::open(path)?.load(&device())? else {
        panic!("{}: a model of another family", path.display())
    };
    Ok(*model)
}

fn encoder_of(path: &Path) -> NetworkEncoder<Mert2Model> {
    NetworkEncoder::new(try_load(path).unwrap_or_else(|error| panic!("{error}")), device(), 4)
}

fn golden_encoder() -> NetworkEncoder<Mert2Model> {
    encoder_of(&fixture("golden").join(CASE))
}

fn golden_clips() -> Vec<Waveform> {
    let clips = clips(&tensors(&fixture("golden").join(CASE).join("inputs.safetensors")), SAMPLE_RATE);
    assert_eq!(clips.len(), 2);
    clips
}

fn expected() -> HashMap<String, GoldenTensor> {
    tensors(&fixture("golden").join(CASE).join("outputs.safetensors"))
}

#[test]
fn the_spectrogram_is_pytorchs() {
    let expected = &expected()["mel"];
    let model = golden_encoder();
    for (item, clip) in golden_clips().iter().enumerate() {
        let mel = model.network().normalized_mel(std::slice::from_ref(clip), &device());
        assert_eq!(mel.dims()[1..], expected.shape[1..]);
        let found: Vec<f32> = mel.into_data().try_to_vec().unwrap();
        assert_golden(&format!("mel, item {item}"), &found, expected.item(item), TOLERANCE);
    }
}

#[test]
fn every_hidden_state_is_pytorchs() {
    let expected = expected();
    let found = golden_encoder().encode(&golden_clips(), &LayerChoice::All).unwrap();
    assert_eq!(found.layers.len(), 1 + LAYERS);
    for (layer, frames) in found.layers.iter().enumerate() {
        let expected = &expected[&format!("hidden_{layer}")];
        assert_eq!(frames.clips.len(), 2);
        for (item, frames) in frames.clips.iter().enumerate() {
            assert_eq!([2, frames.num_frames(), frames.dim()], expected.shape[..], "shape of layer {layer}");
            assert_golden(&format!("layer {layer}, item {item}"), frames.data(), expected.item(item), TOLERANCE);
        }
    }
}

/// As on devices other than the processor.
#[test]
fn two_clips_in_one_pass_are_pytorchs() {
    let expected = expected();
    let found = golden_encoder().network().hidden_states(&golden_clips(), &device(), LAYERS, None);
    assert_eq!(found.len(), 1 + LAYERS);
    for (layer, hidden_state) in found.into_iter().enumerate() {
        let expected = &expected[&format!("hidden_{layer}")];
        assert_eq!(hidden_state.frames.dims()[..], expected.shape[..]);
        let found: Vec<f32> = hidden_state.frames.into_data().try_to_vec().unwrap();
        assert_golden(&format!("layer {layer}, both items"), &found, &expected.values, TOLERANCE);
    }
}

#[test]
fn every_attention_map_is_pytorchs() {
    let expected = expected();
    let encoder = golden_encoder();
    let mut num_compared = 0;
    for (item, clip) in golden_clips().iter().enumerate() {
        let visit = &mut |maps: solfa_signal::encoder::AttentionMaps| {
            let expected = &expected[&format!("attention_{}", maps.layer)];
            assert_eq!([2, maps.num_heads, maps.num_tokens, maps.num_tokens], expected.shape[..]);
            let what = format!("attention of layer {}, item {item}", maps.layer);
            assert_golden(&what, &maps.weights, expected.item(item), TOLERANCE);
            num_compared += 1;
            ControlFlow::Continue(())
        };
        encoder.attention_maps(clip, &LayerChoice::All, visit).unwrap();
    }
    assert_eq!(num_compared, 2 * LAYERS);
}

/// An implementation by others, in another language, that says that it equals the released model: it gives the mean
/// over frames.
#[test]
fn the_mean_of_every_layer_is_clap_cpps() {
    let expected = expected();
    let found = golden_encoder().encode(&golden_clips(), &LayerChoice::All).unwrap();
    let mut num_compared = 0;
    for (layer, frames) in found.layers.iter().enumerate().skip(1) {
        for (item, frames) in frames.clips.iter().enumerate() {
            let mean: Vec<f32> = (0..frames.dim())
                .map(|dimension| {
                    let sum: f64 =
                        (0..frames.num_frames()).map(|frame| f64::from(frames.frame(frame)[dimension])).sum();
                    (sum / frames.num_frames() as f64) as f32
                })
                .collect();
            let expected = expected[&format!("clap_cpp_mean_{layer}")].item(item);
            assert_golden(&format!("mean of layer {layer}, item {item}"), &mean, expected, TOLERANCE);
            num_compared += 1;
        }
    }
    assert_eq!(num_compared, 2 * LAYERS);
}

#[test]
fn the_model_keeps_the_laws_of_encoders() {
    check_encoder(&golden_encoder(), 24_000);
}

#[test]
fn every_length_gives_the_whole_part_of_its_quotient() {
    let encoder = golden_encoder();
    let spec = encoder.spec();
    assert_eq!((spec.minimum_samples, spec.layers[0].hop_samples, spec.default_window_seconds), (960, 960, 360.0));
    for samples in [960, 1_199, 1_200, 1_919, 1_920, 2_159, 2_879, 2_880, 3_839, 3_840, 23_999, 24_000, 24_001] {
        let batch = encoder.encode(&[musical_signal(samples, SAMPLE_RATE, 5)], &LayerChoice::Last).unwrap();
        assert_eq!(batch.layers[0].clips[0].num_frames(), samples / 960, "{samples} samples");
    }
}

/// A golden checkpoint with changed tensors.
fn with_tensors(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let folder = copy_checkpoint(CASE);
    let path = folder.path().join(WEIGHTS);
    let mut tensors = read_safetensors(&path);
    assert!(tensors.len() > 60, "{} tensors", tensors.len());
    change(&mut tensors);
    write_safetensors(&path, &tensors);
    folder
}

/// A golden checkpoint with a changed configuration; a null takes a field away.
fn with_config(changes: &[(&str, Value)]) -> TempDir {
    let folder = copy_checkpoint(CASE);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let fields = config.as_object_mut().unwrap();
    for (name, value) in changes {
        let before = fields.remove(*name);
        assert_ne!(before.as_ref(), Some(value), "the test changes nothing");
        if !value.is_null() {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    fs_err::write(&path, config.to_string()).unwrap();
    folder
}

fn outputs(path: &Path) -> LayerBatch {
    encoder_of(path).encode(&golden_clips(), &LayerChoice::All).unwrap()
}

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(path: &Path, parts: &[&str]) -> CheckpointError {
    assert_error(try_load(path), parts)
}

#[test]
fn a_prefix_before_all_names_is_the_same_model() {
    let expected = outputs(&fixture("golden").join(CASE));
    for prefix in ["", "mert2.", "model.encoder."] {
        let folder = with_tensors(|tensors| {
            *tensors =
                std::mem::take(tensors).into_iter().map(|(name, tensor)| (prefix.to_owned() + &name, tensor)).collect();
        });
        assert!(outputs(folder.path()) == expected, "prefix `{prefix}`");
    }
    let folder = with_tensors(|tensors| {
        *tensors =
            std::mem::take(tensors).into_iter().map(|(name, tensor)| (format!("mert2.{name}"), tensor)).collect();
        let tensor = tensors.remove("mert2.layers.1.attn.key_proj.bias").unwrap();
        tensors.insert("layers.1.attn.key_proj.bias".into(), tensor);
    });
    assert_refused(folder.path(), &["missing from the file (1):\n    mert2.layers.1.attn.key_proj.bias [32]"]);

    // What stands beside the encoder is another thing's, and is told of.
    let folder = with_tensors(|tensors| {
        let bias = tensors["layers.1.attn.key_proj.bias"].clone();
        *tensors =
            std::mem::take(tensors).into_iter().map(|(name, tensor)| (format!("encoder.{name}"), tensor)).collect();
        tensors.insert("head.bias".into(), bias);
    });
    let model = Checkpoint::open(folder.path()).unwrap().load(&device()).unwrap();
    assert_eq!(model.notes(), ["1 tensors are not below `encoder.` and are not used, such as head.bias"]);
    assert!(outputs(folder.path()) == expected);
}

#[test]
fn what_follows_from_other_fields_may_be_left_out() {
    let expected = outputs(&fixture("golden").join(CASE));
    let folder = with_config(&[
        ("win_length", Value::Null),
        ("minimum_input_samples", Value::Null),
        ("inputs_to_logits_ratio", Value::Null),
        ("context_seconds", Value::Null),
        ("variant", json!("30s")),
        ("a_field_of_another_version", json!([1, 2])),
    ]);
    assert!(outputs(folder.path()) == expected);
    assert_eq!(encoder_of(folder.path()).spec().default_window_seconds, 30.0);
}

#[test]
fn stored_rotary_frequencies_are_what_counts() {
    let expected = outputs(&fixture("golden").join(CASE));
    let stored = |scale: f32| {
        let frequencies = (0..4).map(|index| scale / 10_000f32.powf(2.0 * index as f32 / 8.0));
        StoredTensor::from_floats(&[4], frequencies)
    };
    let with_frequencies = |first: f32, second: f32| {
        with_tensors(|tensors| {
            tensors.insert("layers.0.attn.rotary.inv_freq".into(), stored(first));
            tensors.insert("layers.1.attn.rotary.inv_freq".into(), stored(second));
        })
    };
    assert!(outputs(with_frequencies(1.0, 1.0).path()) == expected);
    let others = outputs(with_frequencies(0.5, 0.5).path());
    assert!(others.layers[0] == expected.layers[0]);
    assert!(others.layers[1] != expected.layers[1]);
    assert_refused(
        with_frequencies(1.0, 0.5).path(),
        &[WEIGHTS, "layers.1.attn.rotary.inv_freq: expected the values of layers.0.attn.rotary.inv_freq, found others"],
    );
}

#[test]
fn a_band_that_never_varied_is_divided_by_a_small_number() {
    let folder = with_tensors(|tensors| {
        let deviation = tensors.get_mut("feature_extractor.mel_std").unwrap();
        let mut values = deviation.floats();
        values[3] = 0.0;
        *deviation = StoredTensor::from_floats(&[16], values);
    });
    let model = try_load(folder.path()).unwrap();
    assert_eq!(model.mel_deviation[3], 1e-5);
    assert!(model.mel_deviation[2] > 1.0);
}

#[test]
fn configurations_that_are_impossible() {
    let huge = json!(1u64 << 40);
    let cases: &[(&str, Value, &[&str])] = &[
        ("hidden_size", json!(0), &["hidden_size: expected 1 to 65536, found 0"]),
        ("hidden_size", huge.clone(), &["hidden_size: expected 1 to 65536, found 1099511627776"]),
        ("hidden_size", Value::Null, &["missing field `hidden_size`"]),
        ("hidden_size", json!("32"), &["MERT v2's configuration", "invalid type: string"]),
        ("hidden_size", json!(-1), &["MERT v2's configuration", "invalid value: integer `-1`"]),
        (
            "hidden_size",
            json!(64),
            &["subsampling_channels: expected 64 as the last one, which is hidden_size, found 32"],
        ),
        ("intermediate_size", json!(0), &["intermediate_size: expected 1 to 65536, found 0"]),
        ("num_hidden_layers", json!(0), &["num_hidden_layers: expected 1 to 256, found 0"]),
        ("num_hidden_layers", huge.clone(), &["num_hidden_layers: expected 1 to 256"]),
        ("num_attention_heads", json!(0), &["num_attention_heads: expected 1 to 65536, found 0"]),
        (
            "num_attention_heads",
            json!(3),
            &["num_attention_heads: expected a number that divides hidden_size 32", "found 3"],
        ),
        ("num_attention_heads", json!(32), &["num_attention_heads", "even widths, found 32"]),
        ("num_mel_bins", json!(0), &["num_mel_bins: expected 1 to 65536, found 0"]),
        (
            "num_mel_bins",
            json!(17),
            &["subsampling_channels: expected 17 as the first one, which is num_mel_bins, found 16"],
        ),
        ("sampling_rate", json!(0), &["sampling_rate: expected 1 to", "found 0"]),
        ("sampling_rate", huge.clone(), &["sampling_rate: expected 1 to"]),
        ("n_fft", json!(0), &["n_fft: expected 1 to 65536, found 0"]),
        ("n_fft", json!(500), &["n_fft: expected a power of two, found 500"]),
        ("n_fft", json!(1024), &["win_length: expected 1024, which is n_fft, found 512"]),
        ("win_length", json!(400), &["win_length: expected 512, which is n_fft, found 400"]),
        ("hop_length", json!(0), &["hop_length: expected 1 to 65536, found 0"]),
        ("hop_length", json!(160), &["inputs_to_logits_ratio: expected 640, which is 4 times hop_length, found 960"]),
        ("minimum_input_samples", json!(1), &["minimum_input_samples: expected 257", "found 1"]),
        ("subsampling_channels", json!([16, 32]), &["subsampling_channels: expected 3 stages, found 2"]),
        ("subsampling_channels", json!([16, 0, 32]), &["subsampling_channels: expected 1 to 65536, found 0"]),
        ("subsampling_depths", json!([1, 1]), &["subsampling_depths: expected 3 stages, found 2"]),
        ("subsampling_depths", json!([1, 0, 1]), &["subsampling_depths: expected 1 to 256, found 0"]),
        ("subsampling_depths", json!([1, 1 << 30, 1]), &["subsampling_depths: expected 1 to 256"]),
        (
            "conv_depthwise_kernel_size",
            json!(4),
            &["conv_depthwise_kernel_size: expected an odd number of taps, found 4"],
        ),
        ("conv_depthwise_kernel_size", json!(0), &["conv_depthwise_kernel_size: expected 1 to 65536, found 0"]),
        ("layer_norm_eps", json!(0.0), &["layer_norm_eps: expected a number above 0, found 0"]),
        ("layer_norm_eps", json!("NaN"), &["invalid type: string \"NaN\""]),
        ("subsampling_layer_norm_eps", json!(1e-60), &["subsampling_layer_norm_eps: expected a number above 0"]),
        ("rotary_embedding_base", json!(-1.0), &["rotary_embedding_base: expected a number above 0, found -1"]),
        ("context_seconds", json!(0.0), &["context_seconds: expected 1 to 86400, found 0"]),
        ("context_seconds", json!(1e300), &["context_seconds: expected 1 to 86400"]),
        ("model_type", json!("mert3"), &["model_type: expected one of", "mert2", "found \"mert3\""]),
    ];
    for (field, value, parts) in cases {
        let folder = with_config(&[(field, value.clone())]);
        let error = assert_refused(folder.path(), &[&["config.json"], *parts].concat());
        assert!(matches!(error, CheckpointError::Config { .. }), "{field}: {error:?}");
    }
}

/// Sizes that are allowed but are not the file's are found out before anything of that size is made.
#[test]
fn sizes_of_another_model() {
    let folder = with_config(&[
        ("hidden_size", json!(65_536)),
        ("intermediate_size", json!(65_536)),
        ("num_hidden_layers", json!(256)),
        ("subsampling_channels", json!([16, 65_536, 65_536])),
        ("subsampling_depths", json!([256, 256, 256])),
        ("conv_depthwise_kernel_size", json!(65_535)),
    ]);
    let error = assert_refused(folder.path(), &[WEIGHTS, "missing from the file", "of another shape"]);
    let CheckpointError::Mismatch { mismatch, .. } = error else { panic!("{error:?}") };
    let name = "layers.1.ffn1.w_1.weight";
    let expected = (name.to_owned(), vec![65_536, 65_536], vec![40, 32]);
    assert!(mismatch.mis_shaped.contains(&expected), "{:?}", mismatch.mis_shaped);
}

#[test]
fn tensors_that_are_not_the_models() {
    let name = "subsampling_module.1.convnext_layers.1.pointwise_block.3.weight";
    let folder = with_tensors(|tensors| drop(tensors.remove(name).unwrap()));
    assert_refused(folder.path(), &["missing from the file (1)", &format!("{name} [1, 1, 96]")]);

    let folder = with_tensors(|tensors| tensors.get_mut(name).unwrap().shape = vec![96]);
    assert_refused(folder.path(), &["of another shape (1)", &format!("{name}: expected [1, 1, 96], found [96]")]);

    let folder = with_tensors(|tensors| {
        tensors.insert("head.weight".into(), StoredTensor::from_floats(&[2], [0.0, 1.0]));
    });
    assert_refused(folder.path(), &["in the file and not part of the model (1)", "head.weight [2]"]);

    for name in ["feature_extractor.mel_mean", "feature_extractor.mel_scale.fb", "layers.0.attn.value_proj.weight"] {
        let folder = with_tensors(|tensors| {
            let tensor = tensors.get_mut(name).unwrap();
            *tensor = StoredTensor { dtype: Dtype::I32, ..tensor.clone() };
        });
        assert_refused(folder.path(), &["of another type (1)", &format!("{name}: expected floats, found I32")]);

        let folder = with_tensors(|tensors| {
            let tensor = tensors.remove(name).unwrap();
            tensors.insert("elsewhere".into(), tensor);
        });
        assert_refused(folder.path(), &["missing from the file", name, "elsewhere"]);
    }

    for (name, value) in [("feature_extractor.mel_mean", f32::NAN), ("feature_extractor.mel_std", f32::INFINITY)] {
        let folder = with_tensors(|tensors| {
            let mut values = tensors[name].floats();
            values[5] = value;
            tensors.insert(name.into(), StoredTensor::from_floats(&[16], values));
        });
        assert_refused(folder.path(), &[name, "expected finite numbers", &format!("found {value} in band 5")]);
    }
}

#[test]
fn weights_that_are_no_numbers_never_become_frames() {
    let folder = with_tensors(|tensors| {
        let name = "feature_extractor.spectrogram.window";
        let mut values = tensors[name].floats();
        values[100] = f32::NAN;
        tensors.insert(name.into(), StoredTensor::from_floats(&[512], values));
    });
    let error = encoder_of(folder.path()).encode(&golden_clips(), &LayerChoice::Last).unwrap_err();
    assert!(error.to_string().contains("not finite"), "{error}");
}
