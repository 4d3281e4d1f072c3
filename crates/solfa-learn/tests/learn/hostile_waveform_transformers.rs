//! Configurations of HuBERT, MERT and data2vec that are damaged or not understood: each is an error that names the
//! file, the field, what was expected and what was found.

use crate::common::assert_error;
use std::path::Path;

use crate::common::device;
use crate::common::weights::{copy_checkpoint, read_safetensors, write_safetensors};
use serde_json::{Value, json};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError};
use tempfile::TempDir;

const PREPROCESSOR: &str = "preprocessor_config.json";

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(path: &Path, parts: &[&str]) -> CheckpointError {
    assert_error(Checkpoint::open(path).and_then(|checkpoint| checkpoint.load(&device())), parts)
}

/// A golden checkpoint with changed fields in `config.json`.
fn with_config(case: &str, fields: &Value) -> TempDir {
    let folder = copy_checkpoint(case);
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let before = config.clone();
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    assert_ne!(config, before, "the test changes nothing");
    fs_err::write(&path, config.to_string()).unwrap();
    folder
}

#[track_caller]
fn assert_config_refused(case: &str, fields: Value, parts: &[&str]) {
    let folder = with_config(case, &fields);
    let error = assert_refused(folder.path(), &[&["config.json"], parts].concat());
    assert!(matches!(error, CheckpointError::Config { .. }), "{fields}: {error:?}");
}

const CASES: [&str; 4] = ["mert-95m-tiny", "mert-330m-tiny", "music2vec-tiny", "mert-cqt-tiny"];

#[test]
fn fields_of_every_family_that_are_not_understood() {
    for case in CASES {
        for (fields, parts) in [
            (json!({"hidden_size": 0}), &["hidden_size: expected 1 to 65536, found 0"][..]),
            (json!({"hidden_size": 1u64 << 40}), &["hidden_size: expected 1 to 65536, found 1099511627776"]),
            (json!({"hidden_size": -32}), &["invalid value: integer `-32`, expected usize"]),
            (json!({"hidden_size": "32"}), &["invalid type: string \"32\", expected usize"]),
            (json!({"num_hidden_layers": 0}), &["num_hidden_layers: expected 1 to 256, found 0"]),
            (
                json!({"num_hidden_layers": u64::MAX}),
                &["num_hidden_layers: expected 1 to 256, found 18446744073709551615"],
            ),
            (json!({"num_hidden_layers": 2.5}), &["invalid type: floating point `2.5`, expected usize"]),
            (json!({"num_attention_heads": 0}), &["num_attention_heads: expected 1 to 65536, found 0"]),
            (
                json!({"num_attention_heads": 5}),
                &["num_attention_heads: expected a divisor of hidden_size 32, found 5"],
            ),
            (json!({"intermediate_size": 0}), &["intermediate_size: expected 1 to 65536, found 0"]),
            (json!({"hidden_act": "relu"}), &["hidden_act: expected \"gelu\", found \"relu\""]),
            (json!({"hidden_act": null}), &["invalid type: null, expected a string"]),
            (json!({"feat_extract_activation": "gelu_new"}), &["feat_extract_activation: expected \"gelu\", found"]),
            (json!({"layer_norm_eps": 0.0}), &["layer_norm_eps: expected a number above 0, found 0"]),
            (json!({"layer_norm_eps": -1e-5}), &["layer_norm_eps: expected a number above 0, found -0.00001"]),
            (json!({"layer_norm_eps": 1e-60}), &["layer_norm_eps: expected a number above 0"]),
            (json!({"layer_norm_eps": 1e60}), &["layer_norm_eps: expected a number above 0"]),
            (json!({"layer_norm_eps": "NaN"}), &["invalid type: string \"NaN\", expected f64"]),
            (json!({"conv_dim": []}), &["the length of conv_dim: expected 1 to 64, found 0"]),
            (json!({"conv_dim": vec![1; 65]}), &["the length of conv_dim: expected 1 to 64, found 65"]),
            (json!({"conv_dim": 16}), &["invalid type: integer `16`, expected a sequence"]),
            (json!({"conv_dim": [16, 16, 16, 0, 16, 16, 16]}), &["conv_dim: expected 1 to 65536, found 0"]),
            (json!({"conv_kernel": [10, 3]}), &["conv_kernel: expected 7 numbers, as in conv_dim, found 2"]),
            (json!({"conv_kernel": [0, 3, 3, 3, 3, 2, 2]}), &["conv_kernel: expected 1 to 128, found 0"]),
            (json!({"conv_stride": [5, 2]}), &["conv_stride: expected 7 numbers, as in conv_dim, found 2"]),
            (json!({"conv_stride": [5, 2, 0, 2, 2, 2, 2]}), &["conv_stride: expected 1 to 1048576, found 0"]),
            (
                json!({"conv_stride": [1 << 20, 1 << 20, 2, 2, 2, 2, 2]}),
                &["the product of conv_stride: expected 1 to 1048576, found 1099511627776"],
            ),
            (json!({"conv_bias": "no"}), &["invalid type: string \"no\", expected a boolean"]),
            (json!({"num_conv_pos_embeddings": 0}), &["num_conv_pos_embeddings: expected 1 to", "found 0"]),
            (
                json!({"num_conv_pos_embeddings": 1u64 << 50}),
                &["num_conv_pos_embeddings: expected 1 to", "found 1125899"],
            ),
            (json!({"num_conv_pos_embedding_groups": 0}), &["num_conv_pos_embedding_groups: expected 1 to", "found 0"]),
            (
                json!({"num_conv_pos_embedding_groups": 5}),
                &["num_conv_pos_embedding_groups: expected a divisor of hidden_size 32, found 5"],
            ),
            (json!({"model_type": "wav2vec2"}), &["model_type: expected one of", "hubert", "found \"wav2vec2\""]),
            (json!({"model_type": 3}), &["model_type: expected one of", "found 3"]),
        ] {
            assert_config_refused(case, fields, parts);
        }
    }
}

#[test]
fn fields_of_one_family_that_are_not_understood() {
    for (fields, parts) in [
        (
            json!({"feat_extract_norm": "batch"}),
            &["feat_extract_norm: expected \"group\" or \"layer\", found \"batch\""][..],
        ),
        (json!({"conv_pos_batch_norm": true}), &["conv_pos_batch_norm: expected false", "found true"]),
        (json!({"adapter_attn_dim": 16}), &["adapter_attn_dim: expected none", "found 16"]),
        (json!({"do_stable_layer_norm": 1}), &["invalid type: integer `1`, expected a boolean"]),
        (
            json!({"model_type": "mert_model", "deepnorm": true, "do_stable_layer_norm": true}),
            &["deepnorm: expected false with do_stable_layer_norm, found true"],
        ),
        (json!({"deepnorm": true}), &["deepnorm: expected false with model_type hubert", "found true"]),
        (json!({"sample_rate": 0}), &["sample_rate: expected 1 to 768000 Hz, found 0"]),
        (json!({"sample_rate": 4_000_000_000u64}), &["sample_rate: expected 1 to 768000 Hz, found 4000000000"]),
        (json!({"sample_rate": 1e9}), &["invalid type: floating point", "expected u32"]),
    ] {
        assert_config_refused("mert-95m-tiny", fields.clone(), parts);
        assert_config_refused("mert-330m-tiny", fields, parts);
    }
    for (fields, parts) in [
        (json!({"conv_pos_kernel_size": 0}), &["conv_pos_kernel_size: expected 1 to 4096, found 0"][..]),
        (json!({"num_conv_pos_embeddings": 65}), &["num_conv_pos_embeddings: expected 1 to 64, found 65"]),
    ] {
        assert_config_refused("music2vec-tiny", fields, parts);
    }
}

/// The constant-Q transform of MERT's code has 50 frames per second: where the convolutions have another number, that
/// code fails or joins frames of different times.
#[test]
fn a_constant_q_transform_that_does_not_fit_the_convolutions() {
    let hop = "feature_extractor_cqt: expected a sample_rate whose 50th part is the 320 samples of a frame";
    for (fields, parts) in [
        (json!({"feature_extractor_cqt_bins": 0}), &["feature_extractor_cqt_bins: found 0: ", "num_bins is 0"][..]),
        (json!({"feature_extractor_cqt_bins": 6}), &["feature_extractor_cqt_bins: found 6: ", "bins_per_octave is 0"]),
        (json!({"feature_extractor_cqt_bins": 13}), &["feature_extractor_cqt_bins: found 13: ", "the highest bin"]),
        (json!({"feature_extractor_cqt_bins": u64::MAX}), &["feature_extractor_cqt_bins: found 1844", "num_bins is"]),
        (
            json!({"sample_rate": 24_000}),
            &["feature_extractor_cqt: expected a sampling_rate of 24000 Hz", "found 16000"],
        ),
        (json!({"conv_stride": [5, 2, 2, 2, 2, 2, 1]}), &["is the 160 samples of a frame", "16000 / 50 = 320"]),
    ] {
        assert_config_refused("mert-cqt-tiny", fields, parts);
    }
    for sample_rate in [24_000, 8_000] {
        let folder = with_config("mert-95m-tiny", &json!({"feature_extractor_cqt": true, "sample_rate": sample_rate}));
        fs_err::remove_file(folder.path().join(PREPROCESSOR)).unwrap();
        let found = format!("found {sample_rate} / 50 = {}", sample_rate / 50);
        let error = assert_refused(folder.path(), &["config.json", hop, &found]);
        assert!(matches!(error, CheckpointError::Config { .. }), "{error:?}");
    }
}

/// Sizes that are possible and not those of the weights: slow or large things must not happen before that is noticed.
#[test]
fn configurations_of_another_model() {
    for case in CASES {
        let file = if case == "mert-cqt-tiny" { "pytorch_model.bin" } else { "model.safetensors" };
        for fields in [
            json!({"hidden_size": 65_536}),
            json!({"num_hidden_layers": 256}),
            json!({"intermediate_size": 65_536}),
            json!({"conv_dim": vec![65_536; 7]}),
            json!({"conv_kernel": vec![128; 7]}),
            json!({"conv_dim": vec![16; 8], "conv_kernel": vec![3; 8], "conv_stride": [5, 2, 2, 2, 2, 2, 2, 1]}),
            json!({"num_conv_pos_embeddings": 64}),
            json!({"num_conv_pos_embedding_groups": 1}),
        ] {
            let folder = with_config(case, &fields);
            let error = assert_refused(folder.path(), &[file]);
            assert!(matches!(error, CheckpointError::Mismatch { .. }), "{fields}: {error:?}");
        }
    }
    for (case, fields, name) in [
        ("mert-95m-tiny", json!({"feat_extract_norm": "layer"}), "feature_extractor.conv_layers.1.layer_norm.weight"),
        ("mert-95m-tiny", json!({"conv_bias": true}), "feature_extractor.conv_layers.1.conv.bias"),
        ("mert-330m-tiny", json!({"conv_bias": false}), "feature_extractor.conv_layers.1.conv.bias"),
        ("mert-330m-tiny", json!({"feat_proj_layer_norm": false}), "feature_projection.layer_norm.weight"),
        ("mert-cqt-tiny", json!({"feature_extractor_cqt": false}), "feature_extractor_cqt.lenghts"),
        ("music2vec-tiny", json!({"model_type": "hubert"}), "encoder.pos_conv_embed.layers.4.conv.bias"),
    ] {
        let folder = with_config(case, &fields);
        let error = assert_refused(folder.path(), &[]);
        let CheckpointError::Mismatch { mismatch, .. } = error else { panic!("{fields}: {error:?}") };
        let mut names = mismatch.missing.iter().chain(&mismatch.unexpected).map(|(name, _)| name.as_str());
        assert!(names.any(|found| found == name), "{fields}: {mismatch}");
    }
}

#[test]
fn a_preprocessor_that_is_not_understood() {
    let folder = copy_checkpoint("mert-95m-tiny");
    for (contents, parts) in [
        ("", &["expected a preprocessor's configuration", "found 0 bytes"][..]),
        ("[]", &["expected a preprocessor's configuration", "no JSON object"]),
        (r#"{"do_normalize": NaN}"#, &["expected a preprocessor's configuration", "found"]),
        (r#"{"do_normalize": "yes"}"#, &["invalid type: string \"yes\", expected a boolean"]),
        (r#"{"sampling_rate": 0}"#, &["sampling_rate: expected 1 to 768000 Hz, found 0"]),
        (r#"{"sampling_rate": -24000}"#, &["invalid value: integer `-24000`, expected u32"]),
        (r#"{"sampling_rate": 1000000}"#, &["sampling_rate: expected 1 to 768000 Hz, found 1000000"]),
        (
            r#"{"feature_extractor_type": "WhisperFeatureExtractor"}"#,
            &["feature_extractor_type: expected \"Wav2Vec2FeatureExtractor\", found \"WhisperFeatureExtractor\""],
        ),
    ] {
        fs_err::write(folder.path().join(PREPROCESSOR), contents).unwrap();
        let error = assert_refused(folder.path(), &[&[PREPROCESSOR], parts].concat());
        assert!(matches!(error, CheckpointError::Config { .. }), "{contents}: {error:?}");
    }
    fs_err::remove_file(folder.path().join(PREPROCESSOR)).unwrap();
    fs_err::create_dir(folder.path().join(PREPROCESSOR)).unwrap();
    assert_refused(folder.path(), &[PREPROCESSOR, "cannot be read"]);
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let folder = copy_checkpoint("mert-330m-tiny");
    let path = folder.path().join("model.safetensors");
    let mut tensors = read_safetensors(&path);
    tensors.remove("encoder.pos_conv_embed.conv.bias").unwrap();
    tensors.get_mut("encoder.pos_conv_embed.conv.parametrizations.weight.original0").unwrap().shape = vec![128, 1, 1];
    let surprise = tensors["encoder.layer_norm.bias"].clone();
    tensors.insert("encoder.surprise".into(), surprise);
    write_safetensors(&path, &tensors);
    assert_refused(
        folder.path(),
        &[
            "missing from the file (1)",
            "encoder.pos_conv_embed.conv.bias [32]",
            "not part of the model (1)",
            "encoder.surprise [32]",
            "of another shape (1)",
            "original0: expected [1, 1, 128], found [128, 1, 1]",
        ],
    );
}

#[test]
fn randomly_damaged_files_never_panic() {
    for case in CASES {
        for file in ["config.json", PREPROCESSOR] {
            let folder = copy_checkpoint(case);
            let path = folder.path().join(file);
            let whole = fs_err::read(&path).unwrap();
            let mut random = 11u64;
            let mut next = move |below: usize| {
                // Knuth's linear congruential generator; its upper bits are the good ones.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) as usize % below
            };
            let mut num_loaded = 0;
            const ITERATIONS: usize = 100;
            for _ in 0..ITERATIONS {
                let mut bytes = whole.clone();
                for _ in 0..=next(4) {
                    let position = next(bytes.len());
                    bytes[position] = if next(2) == 0 { bytes[position] ^ (1 << next(8)) } else { next(256) as u8 };
                }
                fs_err::write(&path, bytes).unwrap();
                let result = Checkpoint::open(folder.path()).and_then(|checkpoint| checkpoint.load(&device()));
                num_loaded += usize::from(result.is_ok());
            }
            assert!(num_loaded < ITERATIONS, "{case}: {file}: the test damages nothing");
        }
    }
}
