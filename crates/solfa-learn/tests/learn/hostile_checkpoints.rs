//! Damaged, wrong and malicious checkpoints: each is an error that names the file, what was expected and what was found.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::common::weights::{
    Pickled, StoredTensor, Tensors, copy_checkpoint, musicfm_tensors, read_safetensors, write_pytorch,
    write_safetensors,
};
use crate::common::{assert_error, device, fixture, try_load};
use safetensors::Dtype;
use serde_json::{Value, json};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError};
use tempfile::TempDir;

const MUQ_WEIGHTS: &str = "model.safetensors";
const MUSICFM_WEIGHTS: &str = "pretrained_tiny.pt";

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(path: &Path, parts: &[&str]) -> CheckpointError {
    assert_error(try_load(path), parts)
}

/// A golden MuQ with another weight file.
#[track_caller]
fn assert_muq_bytes_refused(bytes: &[u8], parts: &[&str]) {
    let folder = copy_checkpoint("muq-25hz");
    fs_err::write(folder.path().join(MUQ_WEIGHTS), bytes).unwrap();
    let error = assert_refused(folder.path(), &[&[MUQ_WEIGHTS, "expected", "found"], parts].concat());
    assert!(matches!(error, CheckpointError::Damaged { .. }), "{error:?}");
}

/// A golden MusicFM with another weight file.
#[track_caller]
fn assert_musicfm_bytes_refused(bytes: &[u8], parts: &[&str]) -> CheckpointError {
    let folder = copy_checkpoint("musicfm-tiny");
    fs_err::write(folder.path().join(MUSICFM_WEIGHTS), bytes).unwrap();
    assert_refused(folder.path(), &[&[MUSICFM_WEIGHTS, "expected", "found"], parts].concat())
}

/// A golden MuQ with changed tensors.
fn muq_with(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let folder = copy_checkpoint("muq-25hz");
    let path = folder.path().join(MUQ_WEIGHTS);
    let mut tensors = read_safetensors(&path);
    change(&mut tensors);
    write_safetensors(&path, &tensors);
    folder
}

/// A golden MusicFM with changed tensors.
fn musicfm_with(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let folder = copy_checkpoint("musicfm-tiny");
    let mut tensors = musicfm_tensors();
    change(&mut tensors);
    let contents = Pickled::Dictionary(vec![("state_dict", Pickled::Tensors(tensors))]);
    write_pytorch(&folder.path().join(MUSICFM_WEIGHTS), &contents);
    folder
}

/// A golden checkpoint with a changed JSON file.
fn json_with(case: &str, file: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = copy_checkpoint(case);
    let path = folder.path().join(file);
    let mut value: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let before = value.clone();
    change(&mut value);
    assert_ne!(value, before, "the test changes nothing");
    fs_err::write(&path, value.to_string()).unwrap();
    folder
}

#[test]
fn what_the_tests_write_again_unchanged_loads() {
    for folder in [muq_with(|_| ()), musicfm_with(|_| ())] {
        try_load(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_truncated_safetensors_file() {
    let whole = fs_err::read(fixture("golden/muq-25hz").join(MUQ_WEIGHTS)).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let data = whole.len() - 8 - header;
    let (header_text, data_text) = (format!("{header} bytes"), format!("{data} bytes of tensors"));

    let folder = copy_checkpoint("muq-25hz");
    fs_err::write(folder.path().join(MUQ_WEIGHTS), []).unwrap();
    assert_refused(folder.path(), &[MUQ_WEIGHTS, "empty (0 bytes)"]);

    for length in [1, 7] {
        assert_muq_bytes_refused(&whole[..length], &["8 bytes or more", &format!("found {length} bytes")]);
    }
    for length in [8, 9, 8 + header / 2, 8 + header - 1] {
        assert_muq_bytes_refused(&whole[..length], &["header", &header_text, &format!("found {} bytes", length - 8)]);
    }
    for missing in [data, data / 2, 1] {
        let found = format!("found {}", data - missing);
        assert_muq_bytes_refused(&whole[..whole.len() - missing], &[&data_text, &found]);
    }
    let longer = [&whole[..], b"garbage"].concat();
    assert_muq_bytes_refused(&longer, &[&data_text, &format!("found {}", data + 7)]);
}

/// A safetensors file with this header and as many bytes of data.
fn safetensors_bytes(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn a_safetensors_header_that_lies() {
    let whole = fs_err::read(fixture("golden/muq-25hz").join(MUQ_WEIGHTS)).unwrap();
    for length in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40, whole.len() as u64] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_muq_bytes_refused(&bytes, &["header", &format!("{length} bytes")]);
    }
    for header in ["", "garbage", "NaN", r#"{"a": NaN}"#, "[]", "{", "\u{0}\u{0}", &"[".repeat(100_000)] {
        assert_muq_bytes_refused(&safetensors_bytes(header, 0), &["header in JSON"]);
    }
    assert_muq_bytes_refused(&[&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), &["header in JSON"]);
    // Well-formed JSON that says something impossible of its tensors.
    let tensor =
        |shape: &str, offsets: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
    for header in [
        tensor("[2]", "[0,4]"),
        tensor("[2]", "[4,0]"),
        tensor("[2]", "[4,4]"),
        tensor("[-1]", "[0,4]"),
        tensor("[1.5]", "[0,4]"),
        tensor("[18446744073709551615,18446744073709551615]", "[0,4]"),
        tensor("[1]", "[0]"),
        tensor("[1]", "[]"),
        tensor("[1]", "null"),
        tensor("[1]", "[0,4]").replace("F32", "F31"),
        r#"{"a":1}"#.into(),
        r#"{"a":null,"b":{}}"#.into(),
    ] {
        for data in [0, 4] {
            assert_muq_bytes_refused(&safetensors_bytes(&header, data), &[]);
        }
    }
    // Tensors of 2^60 bytes each whose ends add up to nearly 2^64.
    let mut header = String::from("{");
    for number in 0..15u64 {
        let (start, end) = (number << 60, (number + 1) << 60);
        write!(header, r#""t{number}":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}},"#, 1u64 << 58)
            .unwrap();
    }
    let rest = u64::MAX - (15 << 60);
    write!(header, r#""z":{{"dtype":"U8","shape":[{rest}],"data_offsets":[{},{}]}}}}"#, 15u64 << 60, u64::MAX).unwrap();
    assert_muq_bytes_refused(&safetensors_bytes(&header, 0), &["18446744073709551615 bytes of tensors"]);
}

#[test]
fn tensors_that_are_missing_unexpected_mis_shaped_or_no_floats() {
    let name = "model.conformer.layers.1.self_attn.linear_q.bias";
    type Change = fn(&mut Tensors, &str);
    let missing: Change = |tensors, name| assert!(tensors.remove(name).is_some());
    let unexpected: Change =
        |tensors, _| assert!(tensors.insert("surprise".into(), StoredTensor::from_floats(&[2], [1.0, 2.0])).is_none());
    let mis_shaped: Change =
        |tensors, name| assert!(tensors.insert(name.into(), StoredTensor::from_floats(&[2], [1.0, 2.0])).is_some());
    let other_rank: Change = |tensors, name| tensors.get_mut(name).unwrap().shape = vec![4, 8];
    let integers: Change = |tensors, name| {
        let tensor = StoredTensor { dtype: Dtype::I64, shape: vec![32], bytes: vec![1; 256] };
        assert!(tensors.insert(name.into(), tensor).is_some());
    };
    let cases: [(Change, &[&str]); 5] = [
        (missing, &["missing from the file (1)", name, "[32]"]),
        (unexpected, &["not part of the model (1)", "surprise [2]"]),
        (mis_shaped, &["of another shape (1)", name, "expected [32], found [2]"]),
        (other_rank, &["of another shape (1)", name, "expected [32], found [4, 8]"]),
        (integers, &["of another type (1)", name, "expected floats, found I64"]),
    ];
    for (change, parts) in cases {
        for (folder, file) in [
            (muq_with(|tensors| change(tensors, name)), MUQ_WEIGHTS),
            (musicfm_with(|tensors| change(tensors, name)), MUSICFM_WEIGHTS),
        ] {
            let error = assert_refused(folder.path(), &[&[file], parts].concat());
            assert!(matches!(error, CheckpointError::Mismatch { .. }), "{error:?}");
        }
    }
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let folder = muq_with(|tensors| {
        tensors.retain(|name, _| !name.starts_with("model.conformer.layers.1."));
        tensors.get_mut("model.linear.bias").unwrap().shape = vec![2, 1024];
        tensors.insert("surprise".into(), StoredTensor::from_floats(&[1], [1.0]));
    });
    let error = assert_refused(folder.path(), &["missing", "... and", "surprise", "model.linear.bias"]);
    let CheckpointError::Mismatch { mismatch, .. } = error else { panic!("{error:?}") };
    assert_eq!(mismatch.missing.len(), 33);
    assert!(mismatch.missing.iter().all(|(name, _)| name.starts_with("model.conformer.layers.1.")));
    assert_eq!((mismatch.unexpected.len(), mismatch.mis_shaped.len()), (1, 1));
}

#[test]
fn stored_spectrograms_that_are_wrong() {
    let window = "model.preprocessor_melspec_2048.mel_stft.spectrogram.window";
    let folder = musicfm_with(|tensors| assert!(tensors.remove(window).is_some()));
    assert_refused(folder.path(), &[MUSICFM_WEIGHTS, "missing", window, "[2048]"]);
    let folder = musicfm_with(|tensors| tensors.get_mut(window).unwrap().shape = vec![2, 1024]);
    assert_refused(folder.path(), &[MUSICFM_WEIGHTS, window, "expected [2048], found [2, 1024]"]);
    let folder = musicfm_with(|tensors| {
        let tensor = tensors.get_mut(window).unwrap();
        *tensor = StoredTensor { dtype: Dtype::I64, shape: vec![2048], bytes: vec![0; 8 * 2048] };
    });
    assert_refused(folder.path(), &[MUSICFM_WEIGHTS, window, "expected floats, found I64"]);
}

#[test]
fn a_muq_configuration_that_is_missing_or_no_json() {
    let folder = copy_checkpoint("muq-25hz");
    let path = folder.path().join("config.json");
    fs_err::remove_file(&path).unwrap();
    assert_refused(folder.path(), &["config.json", "expected a model's configuration", "found model.safetensors"]);
    for contents in [&b""[..], b"not JSON", b"[1, 2]", b"3", b"{", b"\xff\xfe", b"{\"label_rate\": NaN}"] {
        fs_err::write(&path, contents).unwrap();
        let found = format!("found {} bytes", contents.len());
        assert_refused(folder.path(), &["config.json", "expected a model's configuration", &found]);
    }
    fs_err::write(&path, r#"{"stat":"#.repeat(100_000)).unwrap();
    assert_refused(folder.path(), &["config.json", "expected a model's configuration", "found 800000 bytes"]);
    fs_err::write(&path, r#"{"mask_hop":"#.to_owned() + &"[".repeat(100_000)).unwrap();
    assert_refused(folder.path(), &["config.json", "recursion limit"]);
    // Empty, it has MuQ's defaults, but those say nothing about the statistics.
    fs_err::write(&path, "{}").unwrap();
    assert_refused(folder.path(), &["config.json", "melspec_2048_mean", "expected", "found no such entry"]);
}

#[test]
fn muq_configurations_with_values_that_are_not_understood() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("/surprise", json!(1), &["unknown field `surprise`", "expected one of `label_rate`"]),
        ("/label_rate", json!(75), &["label_rate: expected 25 or 50, found 75"]),
        ("/label_rate", json!(0), &["label_rate: expected 25 or 50, found 0"]),
        ("/label_rate", json!("25"), &["invalid type: string \"25\", expected usize"]),
        ("/label_rate", json!(-25), &["invalid value: integer `-25`, expected usize"]),
        ("/num_codebooks", json!(2), &["num_codebooks: expected 1, found 2"]),
        ("/features", json!(["encodec"]), &["features: expected [\"melspec_2048\"], found [\"encodec\"]"]),
        ("/features", json!([]), &["features: expected [\"melspec_2048\"], found []"]),
        ("/hop_length", json!(160), &["hop_length: expected 240, found 160"]),
        ("/n_mels", json!(80), &["n_mels: expected 128, found 80"]),
        ("/use_vq_target", json!(true), &["use_vq_target: expected false", "found true"]),
        ("/use_encodec_target", json!(true), &["use_encodec_target: expected false, found true"]),
        ("/rvq_multi_layer_num", json!(2), &["rvq_multi_layer_num: expected 1", "found 2"]),
        ("/rvq_n_codebooks", json!(0), &["rvq_n_codebooks: expected 1 to 64, found 0"]),
        ("/rvq_n_codebooks", json!(1u64 << 40), &["rvq_n_codebooks: expected 1 to 64, found 1099511627776"]),
        ("/conv_dim", json!(0), &["conv_dim: expected 1 to 65536, found 0"]),
        ("/encoder_dim", json!(u64::MAX), &["encoder_dim: expected 1 to 65536, found 18446744073709551615"]),
        ("/encoder_depth", json!(0), &["encoder_depth: expected 1 to 256, found 0"]),
        ("/encoder_depth", json!(4_000_000_000u64), &["encoder_depth: expected 1 to 256, found 4000000000"]),
        ("/encoder_depth", json!(2.5), &["invalid type: floating point `2.5`, expected usize"]),
        ("/codebook_size", json!(1u64 << 40), &["codebook_size: expected 1 to 131072, found 1099511627776"]),
        ("/w2v2_config/hidden_act", json!("gelu"), &["w2v2_config.hidden_act: expected \"swish\", found \"gelu\""]),
        (
            "/w2v2_config/position_embeddings_type",
            json!("relative"),
            &["w2v2_config.position_embeddings_type: expected \"rotary\", found \"relative\""],
        ),
        ("/w2v2_config/position_embeddings_type", Value::Null, &["invalid type: null, expected a string"]),
        ("/w2v2_config/num_attention_heads", json!(0), &["w2v2_config.num_attention_heads: expected 1 to", "found 0"]),
        (
            "/w2v2_config/num_attention_heads",
            json!(5),
            &["w2v2_config.num_attention_heads: expected a number that divides encoder_dim 32", "found 5"],
        ),
        ("/w2v2_config/num_attention_heads", json!(32), &["num_attention_heads", "even widths, found 32"]),
        ("/w2v2_config/intermediate_size", json!(0), &["w2v2_config.intermediate_size: expected 1 to", "found 0"]),
        ("/w2v2_config/conv_depthwise_kernel_size", json!(30), &["conv_depthwise_kernel_size: expected an odd", "30"]),
        ("/w2v2_config/layer_norm_eps", json!(0.0), &["w2v2_config.layer_norm_eps: expected", "above 0, found 0"]),
        ("/w2v2_config/layer_norm_eps", json!(1e-60), &["w2v2_config.layer_norm_eps: expected", "above 0, found 0.00"]),
        ("/w2v2_config/rotary_embedding_base", json!(-1), &["rotary_embedding_base: expected", "above 0, found -1"]),
        ("/w2v2_config/rotary_embedding_base", json!(1e60), &["rotary_embedding_base: expected", "found 1"]),
        ("/w2v2_config", json!([4, 64]), &["expected MuQ's configuration", "invalid type: sequence"]),
        ("/w2v2_config", Value::Null, &["expected MuQ's configuration", "invalid type: null"]),
        ("/stat", json!({}), &["stat.melspec_2048_mean: expected a number, found no such entry"]),
        ("/stat", Value::Null, &["expected MuQ's configuration", "invalid type: null"]),
        ("/stat/melspec_2048_mean", Value::Null, &["stat.melspec_2048_mean: expected a number, found null"]),
        ("/stat/melspec_2048_mean", json!("NaN"), &["stat.melspec_2048_mean: expected a number, found \"NaN\""]),
        ("/stat/melspec_2048_mean", json!(1e60), &["stat.melspec_2048_mean: expected a number, found 1e+60"]),
        ("/stat/melspec_2048_std", json!(0), &["stat.melspec_2048_std: expected a number above 0, found 0"]),
        ("/stat/melspec_2048_std", json!(-2.5), &["stat.melspec_2048_std: expected a number above 0, found -2.5"]),
        ("/stat/melspec_2048_std", json!(1e-60), &["stat.melspec_2048_std: expected a number above 0, found 1e-60"]),
    ];
    for (pointer, value, parts) in cases {
        let folder = json_with("muq-25hz", "config.json", |config| set(config, pointer, value.clone()));
        let error = assert_refused(folder.path(), &[&["config.json"], *parts].concat());
        assert!(matches!(error, CheckpointError::Config { .. }), "{pointer}: {error:?}");
    }
}

/// Replaces or adds what a JSON pointer leads to.
fn set(config: &mut Value, pointer: &str, value: Value) {
    let (object, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(object).unwrap().as_object_mut().unwrap().insert(name.into(), value);
}

/// Sizes that are possible and not those of the weights: slow or large things must not happen before that is noticed.
#[test]
fn configurations_of_another_model() {
    for (pointer, value) in [
        ("/encoder_dim", 65_536),
        ("/encoder_depth", 256),
        ("/conv_dim", 65_536),
        ("/codebook_size", 131_072),
        ("/w2v2_config/intermediate_size", 65_536),
        ("/w2v2_config/conv_depthwise_kernel_size", 65_535),
        ("/rvq_n_codebooks", 64),
        ("/label_rate", 50),
    ] {
        let folder = json_with("muq-25hz", "config.json", |config| set(config, pointer, json!(value)));
        let error = assert_refused(folder.path(), &[MUQ_WEIGHTS]);
        assert!(matches!(error, CheckpointError::Mismatch { .. }), "{pointer}: {error:?}");
    }
    // The random-projection quantiser is the one whose sizes are all the file's.
    for (size, dim) in [(131_072, 512), (1, 1)] {
        let folder = json_with("muq-25hz", "config.json", |config| {
            set(config, "/use_rvq_target", json!(false));
            set(config, "/codebook_size", json!(size));
            set(config, "/codebook_dim", json!(dim));
        });
        assert_refused(
            folder.path(),
            &[MUQ_WEIGHTS, "model.quantizer_melspec_2048.codebook", &format!("[{size}, {dim}]")],
        );
    }
    let folder = json_with("muq-25hz", "config.json", |config| {
        set(config, "/use_rvq_target", json!(false));
        set(config, "/codebook_dim", json!(1u64 << 50));
    });
    assert_refused(folder.path(), &["config.json", "codebook_dim: expected 1 to 512, found 1125899906842624"]);
}

#[test]
fn a_musicfm_configuration_that_is_not_understood() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("/surprise", json!(1), &["unknown field `surprise`", "expected one of `conv_dim`"]),
        ("/encoder_depth", json!(4_000_000_000u64), &["encoder_depth: expected 1 to 256, found 4000000000"]),
        ("/num_attention_heads", json!(0), &["num_attention_heads: expected 1 to 65536, found 0"]),
        ("/num_attention_heads", json!(7), &["num_attention_heads: expected", "divides encoder_dim 32", "found 7"]),
        ("/conv_depthwise_kernel_size", json!(4), &["conv_depthwise_kernel_size: expected an odd", "found 4"]),
        ("/conv_dim", json!("8"), &["expected MusicFM's sizes", "invalid type: string \"8\", expected usize"]),
    ];
    for (pointer, value, parts) in cases {
        let folder = json_with("musicfm-tiny", "config.json", |config| set(config, pointer, value.clone()));
        let error = assert_refused(folder.path(), &[&["config.json"], *parts].concat());
        assert!(matches!(error, CheckpointError::Config { .. }), "{pointer}: {error:?}");
    }
    let folder = copy_checkpoint("musicfm-tiny");
    for contents in ["", "not JSON", "[]"] {
        fs_err::write(folder.path().join("config.json"), contents).unwrap();
        assert_refused(folder.path(), &["config.json", "expected MusicFM's sizes", "found"]);
    }
}

#[test]
fn musicfm_statistics_that_are_missing_doubled_or_wrong() {
    let folder = copy_checkpoint("musicfm-tiny");
    let path = folder.path().join("msd_stats.json");
    for (contents, parts) in [
        ("", &["expected statistics", "found 0 bytes"][..]),
        ("[]", &["expected statistics", "found 2 bytes", "no JSON object"]),
        (r#"{"melspec_2048_mean": NaN, "melspec_2048_std": 1}"#, &["expected statistics", "found"]),
        (r#"{"melspec_2048_mean": 1e999, "melspec_2048_std": 1}"#, &["expected statistics", "found"]),
        (r#"{"melspec_2048_std": 1}"#, &["melspec_2048_mean: expected a number, found no such entry"]),
        (r#"{"melspec_2048_mean": 1}"#, &["melspec_2048_std: expected a number above 0, found no such entry"]),
        (
            r#"{"melspec_2048_mean": 1, "melspec_2048_std": 0}"#,
            &["melspec_2048_std: expected a number above 0, found 0"],
        ),
    ] {
        fs_err::write(&path, contents).unwrap();
        assert_refused(folder.path(), &[&["msd_stats.json"], parts].concat());
    }
    fs_err::write(folder.path().join("fma_stats.json"), "{}").unwrap();
    let parts =
        [MUSICFM_WEIGHTS, "expected", "one file such as msd_stats.json", "found fma_stats.json, msd_stats.json"];
    assert_refused(folder.path(), &parts);
    for name in ["msd_stats.json", "fma_stats.json"] {
        fs_err::remove_file(folder.path().join(name)).unwrap();
    }
    let parts = [MUSICFM_WEIGHTS, "statistics", "expected", "msd_stats.json", "found config.json, pretrained_tiny.pt"];
    assert_refused(folder.path(), &parts);
}

#[test]
fn paths_that_lead_to_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_refused(&at("nowhere"), &["nowhere", "cannot be read"]);
    assert_refused(&at("nowhere/model.safetensors"), &["nowhere/model.safetensors", "cannot be read"]);
    let name = folder.path().to_str().unwrap();
    assert_refused(folder.path(), &[name, "expected model.safetensors", "found an empty folder"]);
    fs_err::write(at("readme.md"), "hello").unwrap();
    assert_refused(folder.path(), &[name, "expected model.safetensors", "found readme.md"]);
    fs_err::create_dir(at("model.safetensors")).unwrap();
    assert_refused(folder.path(), &[name, "expected model.safetensors", "found model.safetensors, readme.md"]);
    let wav = fixture("audio/rainy.wav");
    assert_refused(&wav, &["rainy.wav", "expected a .safetensors, .bin or .pt file", "found a file called rainy.wav"]);
    assert_refused(&at("readme.md"), &["readme.md", "expected", "found a file called readme.md"]);
    for name in ["b.pt", "a.pt"] {
        fs_err::write(at(name), "").unwrap();
    }
    assert_refused(folder.path(), &[name, "expected one .pt file", "found a.pt, b.pt"]);
}

#[test]
fn files_of_another_kind_under_the_names_of_weights() {
    let wav = fs_err::read(fixture("audio/rainy.wav")).unwrap();
    let safetensors = fs_err::read(fixture("golden/muq-25hz").join(MUQ_WEIGHTS)).unwrap();
    let pt = fs_err::read(fixture("golden/musicfm-tiny").join(MUSICFM_WEIGHTS)).unwrap();
    assert_muq_bytes_refused(&wav, &[]);
    assert_muq_bytes_refused(&pt, &[]);
    assert_musicfm_bytes_refused(&wav, &["whole PyTorch file"]);
    assert_musicfm_bytes_refused(&safetensors, &["whole PyTorch file"]);
}

#[test]
fn indexes_of_shards_that_are_wrong() {
    let folder = copy_checkpoint("muq-25hz");
    let at = |name: &str| folder.path().join(name);
    let tensors = read_safetensors(&at(MUQ_WEIGHTS));
    fs_err::rename(at(MUQ_WEIGHTS), at("one.safetensors")).unwrap();
    let index = "model.safetensors.index.json";
    for (contents, parts) in [
        ("", &["index of shards"][..]),
        ("[{}]", &["index of shards", "no JSON object"]),
        ("{}", &["index of shards", "weight_map"]),
        (r#"{"weight_map": {}}"#, &["expected the names of shards", "found none"]),
        (r#"{"weight_map": {"a": 1}}"#, &["index of shards", "expected a string"]),
        (r#"{"weight_map": {"a": "two.safetensors"}}"#, &["expected shard `two.safetensors`", "found config.json"]),
        (r#"{"weight_map": {"a": "../one.safetensors"}}"#, &["beside the index", "found `../one.safetensors`"]),
        (r#"{"weight_map": {"a": "/etc/passwd"}}"#, &["beside the index", "found `/etc/passwd`"]),
        (r#"{"weight_map": {"a": ".."}}"#, &["expected shard `..`", "found"]),
        (r#"{"weight_map": {"a": ""}}"#, &["beside the index", "found ``"]),
        (r#"{"weight_map": {"a": "config.json"}}"#, &["expected a safetensors", "found"]),
    ] {
        fs_err::write(at(index), contents).unwrap();
        let file = if contents.contains("config.json") { "config.json" } else { index };
        assert_refused(folder.path(), &[&[file], parts].concat());
    }
    // Twice the same tensor: neither may silently win.
    let (name, tensor) = tensors.iter().next().unwrap();
    write_safetensors(&at("two.safetensors"), &Tensors::from([(name.clone(), tensor.clone())]));
    fs_err::write(at(index), r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#).unwrap();
    assert_refused(folder.path(), &["two.safetensors", name, "expected in one shard only", "found also in one.safe"]);
}

#[test]
fn a_truncated_pytorch_file() {
    let zipped = fs_err::read(fixture("golden/musicfm-tiny").join(MUSICFM_WEIGHTS)).unwrap();
    let folder = musicfm_with(|_| ());
    let legacy = fs_err::read(folder.path().join(MUSICFM_WEIGHTS)).unwrap();
    for whole in [zipped, legacy] {
        let length = whole.len();
        for kept in [0, 1, 3, 4, 30, 100, 300, 1000, 5000, length / 4, length / 2, length - 100, length - 1] {
            let found = format!("found {kept} bytes");
            let error = assert_musicfm_bytes_refused(&whole[..kept], &["whole PyTorch file", &found]);
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{kept}: {error:?}");
        }
    }
}

/// Where the malicious pickles below would leave a trace.
const TRACE: &str = "/tmp/solfa-pickle-ran";

/// `pickle.dumps(Evil(), protocol=2)` with `__reduce__` returning `(os.system, ("echo ran > /tmp/solfa-pickle-ran",))`.
const CALL: &[u8] = b"\x80\x02cposix\nsystem\nq\x00X \x00\x00\x00echo ran > /tmp/solfa-pickle-ranq\x01\x85q\x02Rq\x03.";

/// The same with protocol 4.
const CALL_PROTOCOL_4: &[u8] =
    b"\x80\x04\x95;\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c \
    echo ran > /tmp/solfa-pickle-ran\x94\x85\x94R\x94.";

/// `pickle.dumps({"state_dict": {"model.linear.weight": Evil()}}, protocol=2)`
const CALL_AMONG_WEIGHTS: &[u8] = b"\x80\x02}q\x00X\n\x00\x00\x00state_dictq\x01}q\x02X\x13\x00\x00\x00model.linear.\
    weightq\x03cposix\nsystem\nq\x04X \x00\x00\x00echo ran > /tmp/solfa-pickle-ranq\x05\x85q\x06Rq\x07ss.";

/// The call alone, without a pickle's header and end.
const BARE_CALL: &[u8] = b"cposix\nsystem\nX \x00\x00\x00echo ran > /tmp/solfa-pickle-ran\x85R";

#[test]
fn a_pickle_that_calls_something_is_refused_and_nothing_runs() {
    let _ = fs_err::remove_file(TRACE);
    for (pickle, place) in
        [(CALL, "the root"), (CALL_PROTOCOL_4, "the root"), (CALL_AMONG_WEIGHTS, "state_dict.model.linear.weight")]
    {
        let error = assert_musicfm_bytes_refused(pickle, &["posix.system", place, "nothing in the file was run"]);
        assert!(matches!(error, CheckpointError::NotData { .. }), "{error:?}");
    }
    // All weights are whole, and something to be run lies beside or among them.
    let folder = copy_checkpoint("musicfm-tiny");
    let path = folder.path().join(MUSICFM_WEIGHTS);
    let weights = || Pickled::Tensors(musicfm_tensors());
    for (contents, place) in [
        (vec![("state_dict", weights()), ("callbacks", Pickled::Raw(BARE_CALL))], "callbacks"),
        (
            vec![("state_dict", Pickled::Dictionary(vec![("w", weights()), ("x", Pickled::Raw(BARE_CALL))]))],
            "state_dict.x",
        ),
        (vec![("state_dict", Pickled::Raw(BARE_CALL))], "state_dict"),
    ] {
        write_pytorch(&path, &Pickled::Dictionary(contents));
        let error = assert_refused(folder.path(), &[MUSICFM_WEIGHTS, "expected tensors", "found posix.system", place]);
        assert!(matches!(error, CheckpointError::NotData { .. }), "{error:?}");
    }
    assert!(!Path::new(TRACE).exists(), "the pickle has run");
    // MuQ's pickles go the same way.
    let folder = copy_checkpoint("muq-25hz");
    fs_err::remove_file(folder.path().join(MUQ_WEIGHTS)).unwrap();
    fs_err::write(folder.path().join("pytorch_model.bin"), CALL).unwrap();
    assert_refused(folder.path(), &["pytorch_model.bin", "expected tensors", "found posix.system"]);
    assert!(!Path::new(TRACE).exists(), "the pickle has run");
}

/// A call whose result is thrown away leaves nothing behind that could be refused. It does not run either.
#[test]
fn a_call_that_a_pickle_discards_does_not_run() {
    /// `BARE_CALL`, the opcode that drops its result, and None in its place.
    const DISCARDED_CALL: &[u8] = b"cposix\nsystem\nX#\x00\x00\x00echo ran > /tmp/solfa-discarded-ran\x85R0N";
    const TRACE: &str = "/tmp/solfa-discarded-ran";
    let _ = fs_err::remove_file(TRACE);
    let folder = copy_checkpoint("musicfm-tiny");
    let weights = Pickled::Tensors(musicfm_tensors());
    let contents = vec![("note", Pickled::Raw(DISCARDED_CALL)), ("state_dict", weights)];
    write_pytorch(&folder.path().join(MUSICFM_WEIGHTS), &Pickled::Dictionary(contents));
    try_load(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!Path::new(TRACE).exists(), "the pickle has run");
}

#[test]
fn pickles_made_to_exhaust_memory_or_stack() {
    let nested = [b"\x80\x02".as_slice(), &b"]".repeat(200_000), &b"a".repeat(199_999), b"."].concat();
    assert_musicfm_bytes_refused(&nested, &["nesting"]);
    // A text of 2 GB, of which nothing is there.
    assert_musicfm_bytes_refused(b"\x80\x02X\x00\x00\x00\x7f", &["whole PyTorch file"]);
    // Each list holds the one before it twice, 60 times over.
    let doubled = [b"\x80\x02]q\x00".as_slice(), &b"(h\x00h\x00lq\x00".repeat(60), b"."].concat();
    assert_musicfm_bytes_refused(&doubled, &["memo bomb"]);
}

/// Opens and loads; only whether it comes back matters.
fn survives(path: &Path) -> bool {
    Checkpoint::open(path).and_then(|checkpoint| checkpoint.load(&device())).is_ok()
}

/// Damages random bytes among the first and last ones and loads what results. `loaded` counts those that still load.
fn fuzz(folder: &Path, file: &str, seed: u64, iterations: usize, reach: usize) -> usize {
    let path = folder.join(file);
    let whole = fs_err::read(&path).unwrap();
    let reach = reach.min(whole.len());
    let mut random = seed;
    let mut next = move |below: usize| {
        // Knuth's linear congruential generator; its upper bits are the good ones.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut loaded = 0;
    for _ in 0..iterations {
        let mut bytes = whole.clone();
        for _ in 0..=next(4) {
            // The ends of a zip file hold its directory.
            let position = if next(3) == 0 { whole.len() - 1 - next(reach) } else { next(reach) };
            bytes[position] = if next(2) == 0 { bytes[position] ^ (1 << next(8)) } else { next(256) as u8 };
        }
        fs_err::write(&path, bytes).unwrap();
        loaded += usize::from(survives(folder));
    }
    fs_err::write(&path, whole).unwrap();
    assert!(survives(folder), "{file} does not load unchanged");
    loaded
}

#[test]
fn randomly_damaged_weights_never_panic() {
    let muq = copy_checkpoint("muq-25hz");
    let musicfm = copy_checkpoint("musicfm-tiny");
    let legacy = musicfm_with(|_| ());
    let multi_view = copy_checkpoint("multi-view-tiny");
    let vit1d = copy_checkpoint("vit1d-learned");
    for (folder, file, reach) in [
        (&muq, MUQ_WEIGHTS, 15_000),
        (&musicfm, MUSICFM_WEIGHTS, 16_000),
        (&legacy, MUSICFM_WEIGHTS, 16_000),
        (&multi_view, "contrastive.pt", 60_000),
        (&vit1d, "model.safetensors", 6_000),
    ] {
        const ITERATIONS: usize = 150;
        let loaded = fuzz(folder.path(), file, 7, ITERATIONS, reach);
        // Damage that never shows, or always does, would mean that the test damages nothing, or everything.
        println!("{file}: {loaded} of {ITERATIONS} damaged files still load");
        assert!(loaded < ITERATIONS);
    }
}

#[test]
fn randomly_damaged_configurations_never_panic() {
    let muq = copy_checkpoint("muq-25hz");
    let musicfm = copy_checkpoint("musicfm-tiny");
    let (learned, rotary) = (copy_checkpoint("vit1d-learned"), copy_checkpoint("vit1d-rotary"));
    let files: [(&TempDir, &str); 5] = [
        (&muq, "config.json"),
        (&musicfm, "config.json"),
        (&musicfm, "msd_stats.json"),
        (&learned, "config.json"),
        (&rotary, "config.json"),
    ];
    for (folder, file) in files {
        const ITERATIONS: usize = 150;
        let loaded = fuzz(folder.path(), file, 11, ITERATIONS, usize::MAX);
        println!("{file}: {loaded} of {ITERATIONS} damaged files still load");
        assert!(loaded < ITERATIONS);
    }
}

/// A path that is given as a file, beside nothing else.
#[test]
fn a_file_without_its_companions() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |case: &str, file: &str| -> PathBuf {
        let path = folder.path().join(file);
        fs_err::copy(fixture("golden").join(case).join(file), &path).unwrap();
        path
    };
    let muq = copy("muq-25hz", MUQ_WEIGHTS);
    assert_refused(&muq, &["config.json", "expected a model's configuration", "found model.safetensors"]);
    let musicfm = copy("musicfm-tiny", MUSICFM_WEIGHTS);
    assert_refused(
        &musicfm,
        &[MUSICFM_WEIGHTS, "expected", "msd_stats.json", "found model.safetensors, pretrained_tiny.pt"],
    );
}
