//! ViT-1D against an implementation in PyTorch, and its checkpoints; see `fixtures/golden/MANIFEST.md`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::common::weights::{StoredTensor, Tensors, copy_checkpoint, read_safetensors, write_safetensors};
use crate::common::{assert_error, clips, device, fixture, tensors};
use burn::module::Module;
use serde_json::{Value, json};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError, LoadedModel, Vit1dEncoderConfig, Vit1dModel, save_vit1d};
use solfa_learn::embed::NetworkEncoder;
use solfa_learn::model::{Vit1d, Vit1dConfig};
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::features::MelConfig;
use solfa_signal::testing::{assert_golden, check_encoder, musical_signal};
use tempfile::TempDir;

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

const CASES: [&str; 2] = ["vit1d-learned", "vit1d-rotary"];

fn case(name: &str) -> PathBuf {
    fixture("golden").join(name)
}

fn try_load(path: &Path) -> Result<Vit1dModel, CheckpointError> {
    let LoadedModel::Vit1d(model) = Checkpoint::open(path)?.load(&device())? else {
        panic!("{}: a model of another family", path.display())
    };
    Ok(*model)
}

fn encoder(path: &Path) -> NetworkEncoder<Vit1dModel> {
    NetworkEncoder::new(try_load(path).unwrap_or_else(|error| panic!("{error}")), device(), 4)
}

#[test]
fn every_hidden_state_class_token_and_attention_map_is_the_references() {
    for name in CASES {
        let folder = case(name);
        let clips = clips(&tensors(&folder.join("inputs.safetensors")), 16_000);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let encoder = encoder(&folder);
        let mut num_compared = 0;
        let mut check = |what: &str, item: usize, found: &[f32]| {
            assert_golden(&format!("{name}: {what}, item {item}"), found, expected[what].item(item), TOLERANCE);
            num_compared += 1;
        };
        let batch = encoder.encode(&clips, &LayerChoice::All).unwrap();
        assert_eq!(batch.layers.len(), 4);
        for (item, clip) in clips.iter().enumerate() {
            let mel = encoder.network().normalized_mel(std::slice::from_ref(clip), &device());
            check("mel", item, &mel.into_data().try_to_vec::<f32>().unwrap());
            for layer in &batch.layers {
                // The reference has the class token before the frames.
                let tokens = [layer.class_tokens[item].as_slice(), layer.clips[item].data()].concat();
                check(&format!("hidden_{}", layer.layer), item, &tokens);
            }
            let visited = encoder.attention_maps(clip, &LayerChoice::All, &mut |maps| {
                check(&format!("attention_{}", maps.layer), item, &maps.weights);
                ControlFlow::Continue(())
            });
            assert_eq!(visited, Ok(()));
        }
        assert_eq!(num_compared, 2 * (1 + 4 + 3), "{name}");
    }
}

#[test]
fn keeps_the_laws_of_encoders() {
    for name in CASES {
        check_encoder(&encoder(&case(name)), 12_000);
    }
}

#[test]
fn clips_are_as_long_as_learned_positions_and_windows_as_clips() {
    let learned = encoder(&case("vit1d-learned"));
    assert_eq!(learned.spec().maximum_samples, Some(24 * 512 - 1));
    assert_eq!(learned.spec().default_window_seconds, (23 * 512) as f64 / 16_000.0);
    let rotary = encoder(&case("vit1d-rotary"));
    assert_eq!((rotary.spec().maximum_samples, rotary.spec().default_window_seconds), (None, 4.0));
    assert!(rotary.encode(&[musical_signal(200_000, 16_000, 1)], &LayerChoice::Last).is_ok());

    let config = full_size(Vit1dConfig::paper());
    assert_eq!(config.maximum_samples(), Some(64_511));
    let folder = tempfile::tempdir().unwrap();
    save_vit1d(folder.path(), &config, &Vit1d::new(&config.network, &device())).unwrap();
    let encoder = encoder(folder.path());
    assert_eq!(encoder.spec().default_window_seconds, 4.0);
    let batch = encoder.encode(&[musical_signal(64_000, 16_000, 1)], &LayerChoice::Last).unwrap();
    assert_eq!((batch.layers[0].clips[0].num_frames(), batch.layers[0].clips[0].dim()), (126, 192));
}

fn full_size(network: Vit1dConfig) -> Vit1dEncoderConfig {
    Vit1dEncoderConfig { mel: MelConfig::multi_view(), mel_mean: -38.7, mel_deviation: 21.3, network }
}

/// What the encoder makes of a sound, as bits.
fn bits(path: &Path) -> Vec<Vec<u32>> {
    let batch = encoder(path).encode(&[musical_signal(11_000, 16_000, 5)], &LayerChoice::All).unwrap();
    let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    batch.layers.iter().flat_map(|layer| [bits(layer.clips[0].data()), bits(&layer.class_tokens[0])]).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_what_was_loaded() {
    for name in CASES {
        let model = try_load(&case(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/checkpoint");
        save_vit1d(&path, &model.config, &model.network).unwrap();
        assert_eq!(names_in(&path), ["config.json", "model.safetensors"]);
        // Names, shapes and bits are those that PyTorch wrote, linear weights included.
        let (saved, original) = (path.join("model.safetensors"), case(name).join("model.safetensors"));
        assert!(read_safetensors(&saved) == read_safetensors(&original), "{name}: other tensors");
        assert_eq!(try_load(&path).unwrap().config, model.config);
        assert_eq!(bits(&path), bits(&case(name)), "{name}");
        // Over itself: the same bytes, and nothing beside them.
        let before = fs_err::read(&saved).unwrap();
        save_vit1d(&path, &model.config, &try_load(&path).unwrap().network).unwrap();
        assert!(fs_err::read(&saved).unwrap() == before, "{name}: other bytes");
        assert_eq!(names_in(&path), ["config.json", "model.safetensors"]);
    }
}

#[test]
fn a_network_that_was_never_trained_is_saved_and_loaded() {
    for network in [Vit1dConfig::paper(), Vit1dConfig::rotary()] {
        let config = full_size(Vit1dConfig { num_layers: 2, ..network });
        let network = Vit1d::new(&config.network, &device());
        let folder = tempfile::tempdir().unwrap();
        save_vit1d(folder.path(), &config, &network).unwrap();
        let loaded = try_load(folder.path()).unwrap();
        assert_eq!((&loaded.config, loaded.network.num_params()), (&config, network.num_params()));
        let mel = loaded.normalized_mel(&[musical_signal(20_000, 16_000, 2)], &device());
        let outputs = |network: &Vit1d| -> Vec<f32> {
            network.forward(mel.clone(), 2, None).remove(2).into_data().try_to_vec().unwrap()
        };
        assert_eq!(outputs(&loaded.network), outputs(&network));
    }
}

#[test]
fn what_cannot_be_saved_is_an_error_that_leaves_the_checkpoint_as_it_was() {
    let model = try_load(&case("vit1d-rotary")).unwrap();
    let folder = copy_checkpoint("vit1d-rotary");
    let before = bits(folder.path());
    let wrong = Vit1dEncoderConfig { mel_deviation: 0.0, ..model.config.clone() };
    let error = save_vit1d(folder.path(), &wrong, &model.network).unwrap_err().to_string();
    assert!(error.contains("config.json") && error.contains("mel_deviation: expected a number above 0"), "{error}");
    assert_eq!(bits(folder.path()), before);

    let file = folder.path().join("config.json");
    let error = save_vit1d(&file, &model.config, &model.network).unwrap_err();
    assert!(matches!(&error, CheckpointError::Write { path, .. } if *path == file), "{error}");
    assert!(error.to_string().contains("cannot be written"), "{error}");
    // The weights cannot have their name, for a folder has it.
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(folder.path().join("model.safetensors/inner")).unwrap();
    let error = save_vit1d(folder.path(), &model.config, &model.network).unwrap_err();
    assert!(matches!(&error, CheckpointError::Write { .. }), "{error}");
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);
}

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(folder: &TempDir, parts: &[&str]) {
    assert_error(try_load(folder.path()), parts);
}

/// A checkpoint with a changed configuration.
fn configured(name: &str, pointer: &str, value: &Value) -> TempDir {
    let folder = copy_checkpoint(name);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let (object, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(object).unwrap().as_object_mut().unwrap().insert(key.into(), value.clone());
    fs_err::write(&path, config.to_string()).unwrap();
    folder
}

#[test]
fn configurations_that_are_not_understood() {
    let learned: &[(&str, Value, &[&str])] = &[
        ("/surprise", json!(1), &["unknown field `surprise`"]),
        ("/mel/surprise", json!(1), &["unknown field `surprise`"]),
        ("/network/surprise", json!(1), &["unknown field `surprise`"]),
        ("/network/positions/surprise", json!(1), &["unknown field `surprise`"]),
        ("/model_type", json!("solfa-vit2d"), &["model_type: expected one of", "solfa-vit1d", "found \"solfa-vit2d\""]),
        ("/model_type", json!(1), &["model_type: expected one of", "found 1"]),
        ("/network", json!([128]), &["expected a ViT-1D's configuration", "invalid type: sequence"]),
        ("/mel", Value::Null, &["expected a ViT-1D's configuration", "invalid type: null"]),
        ("/mel_mean", json!("0"), &["invalid type: string \"0\", expected f32"]),
        ("/mel_mean", json!(1e60), &["a ViT-1D's configuration", "number out of range"]),
        ("/mel_deviation", json!(0), &["mel_deviation: expected a number above 0, found 0"]),
        ("/mel_deviation", json!(-1), &["mel_deviation: expected a number above 0, found -1"]),
        ("/mel_deviation", json!(1e-60), &["mel_deviation: expected a number above 0, found 0"]),
        ("/network/num_mels", json!(64), &["network.num_mels: expected mel.num_mels, 128, found 64"]),
        ("/network/hidden_size", json!(0), &["network.hidden_size: expected 1 to 65536, found 0"]),
        ("/network/hidden_size", json!(-1), &["invalid value: integer `-1`, expected usize"]),
        ("/network/hidden_size", json!(1u64 << 60), &["network.hidden_size: expected 1 to 65536"]),
        ("/network/num_layers", json!(0), &["network.num_layers: expected 1 to 256, found 0"]),
        ("/network/num_layers", json!(4_000_000_000u64), &["network.num_layers: expected 1 to 256"]),
        ("/network/num_layers", json!(2.5), &["floating point `2.5`, expected usize"]),
        ("/network/num_heads", json!(0), &["network.num_heads: expected 1 to", "found 0"]),
        (
            "/network/num_heads",
            json!(5),
            &["network.num_heads: expected a number that divides hidden_size 32, found 5"],
        ),
        ("/network/intermediate_size", json!(0), &["network.intermediate_size: expected 1 to", "found 0"]),
        ("/network/norm_epsilon", json!(0), &["network.norm_epsilon: expected a number above 0, found 0"]),
        ("/network/norm_epsilon", json!(-1e-5), &["network.norm_epsilon: expected a number above 0"]),
        ("/network/norm_epsilon", json!(1e-60), &["network.norm_epsilon: expected a number above 0"]),
        ("/network/norm_epsilon", json!(1e60), &["network.norm_epsilon: expected a number above 0"]),
        ("/network/norm_epsilon", Value::Null, &["invalid type: null, expected f64"]),
        ("/network/norm", json!("batch-norm"), &["unknown variant `batch-norm`, expected `layer-norm` or `rms-norm`"]),
        ("/network/feed_forward", json!("relu"), &["unknown variant `relu`, expected `gelu` or `gated`"]),
        ("/network/positions", json!({"kind": "sine"}), &["unknown variant `sine`, expected `learned` or `rotary`"]),
        ("/network/positions", json!({"kind": "learned"}), &["missing field `maximum_frames`"]),
        ("/network/positions/maximum_frames", json!(0), &["positions.maximum_frames: expected 1 to", "found 0"]),
        ("/network/positions/maximum_frames", json!(u64::MAX), &["positions.maximum_frames: expected 1 to"]),
        (
            "/network/positions/maximum_frames",
            json!(1),
            &["maximum_frames: expected the frames of a clip of 513", "found 1"],
        ),
        ("/mel/num_mels", json!(0), &["network.num_mels: expected mel.num_mels, 0"]),
        ("/mel/stft/fft_samples", json!(0), &["mel.fft_samples is 0: expected 2 to"]),
        ("/mel/stft/fft_samples", json!(1u64 << 40), &["mel.fft_samples is 1099511627776: expected 2 to"]),
        ("/mel/stft/hop_samples", json!(0), &["mel.hop_samples is 0: expected 1 to"]),
        ("/mel/stft/sample_rate", json!(0), &["mel.sample_rate is 0: expected 1 to"]),
        ("/mel/compression/floor", json!(0), &["mel.floor is 0: expected"]),
        ("/mel/scale", json!("bark"), &["unknown variant `bark`, expected `htk` or `slaney`"]),
    ];
    let rotary: &[(&str, Value, &[&str])] = &[
        ("/network/num_heads", json!(32), &["network.num_heads: expected a number", "into even widths, found 32"]),
        ("/network/positions/base", json!(0), &["network.positions.base: expected a number above 0, found 0"]),
        ("/network/positions/base", json!(-1), &["network.positions.base: expected a number above 0, found -1"]),
        ("/network/positions/base", json!(1e60), &["network.positions.base: expected a number above 0"]),
        ("/network/positions/maximum_frames", json!(3), &["unknown field `maximum_frames`"]),
    ];
    for (name, cases) in [("vit1d-learned", learned), ("vit1d-rotary", rotary)] {
        for (pointer, value, parts) in cases {
            assert_refused(&configured(name, pointer, value), &[&["config.json"], *parts].concat());
        }
    }
}

/// Sizes that are possible and not those of the weights: slow or large things must not happen before that is noticed.
#[test]
fn configurations_of_another_network() {
    for (name, pointer, value) in [
        ("vit1d-learned", "/network/hidden_size", json!(65_536)),
        ("vit1d-learned", "/network/num_layers", json!(256)),
        ("vit1d-learned", "/network/intermediate_size", json!(65_536)),
        ("vit1d-learned", "/network/positions/maximum_frames", json!(1 << 20)),
        ("vit1d-learned", "/network/positions", json!({"kind": "rotary", "base": 10_000.0})),
        ("vit1d-learned", "/network/norm", json!("rms-norm")),
        ("vit1d-learned", "/network/feed_forward", json!("gated")),
        ("vit1d-rotary", "/network/num_heads", json!(1)),
        ("vit1d-rotary", "/network/norm", json!("layer-norm")),
        ("vit1d-rotary", "/network/feed_forward", json!("gelu")),
    ] {
        let folder = configured(name, pointer, &value);
        let error = try_load(folder.path()).err().unwrap_or_else(|| panic!("{pointer} {value} was loaded"));
        assert!(matches!(error, CheckpointError::Mismatch { .. }), "{pointer}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}

#[test]
fn weights_that_do_not_fit() {
    type Change = fn(&mut Tensors);
    let cases: [(Change, &[&str]); 4] = [
        (
            |tensors| assert!(tensors.remove("blocks.1.attention_norm.bias").is_some()),
            &["missing from the file (1)", "blocks.1.attention_norm.bias [32]"],
        ),
        (
            |tensors| assert!(tensors.insert("head.weight".into(), StoredTensor::from_floats(&[1], [1.0])).is_none()),
            &["not part of the model (1)", "head.weight [1]"],
        ),
        (
            |tensors| tensors.get_mut("projection.weight").unwrap().shape.reverse(),
            &["projection.weight: expected [32, 128], found [128, 32]"],
        ),
        (
            |tensors| tensors.get_mut("learned_positions").unwrap().shape = vec![800],
            &["learned_positions: expected [25, 32], found [800]"],
        ),
    ];
    for (change, parts) in cases {
        let folder = copy_checkpoint("vit1d-learned");
        let path = folder.path().join("model.safetensors");
        let mut tensors = read_safetensors(&path);
        change(&mut tensors);
        write_safetensors(&path, &tensors);
        assert_refused(&folder, &[&["model.safetensors"], parts].concat());
    }
}
