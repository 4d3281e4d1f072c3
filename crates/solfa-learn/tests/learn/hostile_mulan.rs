//! Damaged and wrong checkpoints of MuQ-MuLan: each is an error that names the file, what was expected and what was found.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::common::weights::{StoredTensor, Tensors, read_safetensors, write_safetensors};
use crate::common::{assert_error, device, fixture, single_precision};
use serde_json::{Value, json};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError, FindModel, LoadedModel, MulanModel, Tower};
use solfa_learn::embed::TextError;
use tempfile::TempDir;

const AUDIO_CONFIG: &str = "tiny-muq/config.json";
const TEXT_CONFIG: &str = "tiny-xlm-roberta-base/config.json";
const TOKENIZER: &str = "tiny-xlm-roberta-base/tokenizer.json";

/// The golden checkpoint in a folder of its own: only what loading needs.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", AUDIO_CONFIG, TEXT_CONFIG, TOKENIZER] {
        let target = folder.path().join(file);
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::copy(fixture("golden/mulan-tiny").join(file), target).unwrap();
    }
    folder
}

fn try_load_with(path: &Path, find_model: FindModel<'_>) -> Result<MulanModel, CheckpointError> {
    match Checkpoint::open_with(path, find_model)?.load(&device())? {
        LoadedModel::Mulan(model) => Ok(*model),
        _ => panic!("{}: a model of another family", path.display()),
    }
}

fn try_load(path: &Path) -> Result<MulanModel, CheckpointError> {
    try_load_with(path, &|name, _| Err(format!("`{name}` is not in the cache")))
}

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(path: &Path, parts: &[&str]) -> CheckpointError {
    assert_error(try_load(path), parts)
}

/// The golden checkpoint with a changed JSON file.
fn json_with(file: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = copy();
    let path = folder.path().join(file);
    let mut value: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let before = value.clone();
    change(&mut value);
    assert_ne!(value, before, "the test changes nothing");
    fs_err::write(&path, value.to_string()).unwrap();
    folder
}

fn tensors_with(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let folder = copy();
    let path = folder.path().join("model.safetensors");
    let mut tensors = read_safetensors(&path);
    change(&mut tensors);
    write_safetensors(&path, &tensors);
    folder
}

#[test]
fn what_the_tests_write_again_unchanged_loads() {
    for folder in [copy(), tensors_with(|_| ())] {
        try_load(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        try_load(&folder.path().join("model.safetensors")).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn towers_are_looked_for_beside_the_checkpoint_and_then_elsewhere() {
    let folder = copy();
    let elsewhere = tempfile::tempdir().unwrap();
    for tower in ["tiny-muq", "tiny-xlm-roberta-base"] {
        fs_err::rename(folder.path().join(tower), elsewhere.path().join(tower)).unwrap();
    }
    assert_refused(
        folder.path(),
        &[
            "config.json",
            "audio_model.name: expected the folder",
            "/tiny-muq",
            "`tiny-muq` is not in the cache",
            "found config.json",
        ],
    );
    let message = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("no other place was searched"), "{message}");
    let asked = RefCell::new(Vec::new());
    let find_model = |name: &str, tower: Tower| -> Result<PathBuf, String> {
        asked.borrow_mut().push((name.to_owned(), tower));
        Ok(elsewhere.path().join(name))
    };
    try_load_with(folder.path(), &find_model).unwrap_or_else(|error| panic!("{error}"));
    let expected = [("tiny-muq".to_owned(), Tower::Audio), ("tiny-xlm-roberta-base".to_owned(), Tower::Text)];
    assert_eq!(asked.into_inner(), expected);

    fs_err::rename(elsewhere.path().join("tiny-muq"), folder.path().join("tiny-muq")).unwrap();
    assert_refused(folder.path(), &["text_model.name", "/tiny-xlm-roberta-base", "not in the cache"]);

    // A folder that is there and lacks its files is not passed over for another place.
    fs_err::create_dir(folder.path().join("tiny-xlm-roberta-base")).unwrap();
    assert_refused(folder.path(), &[TEXT_CONFIG, "cannot be read"]);
}

#[test]
fn a_model_of_a_name_with_an_organisation_lies_under_either_name() {
    for tower in ["tiny-muq", "example/tiny-muq"] {
        let folder = json_with("config.json", |config| config["audio_model"]["name"] = "example/tiny-muq".into());
        let target = folder.path().join(tower);
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::rename(folder.path().join("tiny-muq"), target).unwrap();
        try_load(folder.path()).unwrap_or_else(|error| panic!("{tower}: {error}"));
    }
}

#[test]
fn a_missing_or_broken_tokenizer() {
    let folder = copy();
    let path = folder.path().join(TOKENIZER);
    let whole = fs_err::read(&path).unwrap();
    fs_err::remove_file(&path).unwrap();
    assert_refused(folder.path(), &[TOKENIZER, "expected the text model's tokenizer", "found config.json"]);
    for broken in [&whole[..whole.len() / 2], b"", b"{}", b"[]", b"null", b"\xff\xfe", b"{\"model\": 3}"] {
        fs_err::write(&path, broken).unwrap();
        assert_refused(folder.path(), &[TOKENIZER, "expected a tokenizer", &format!("found {} bytes", broken.len())]);
    }
}

#[test]
fn a_tokenizer_that_does_not_fit_the_text_model() {
    let fits =
        ["tokenizer.json", "does not fit the text model", "tiny-xlm-roberta-base/config.json", "expected", "found"];
    let refused = |folder: &TempDir, parts: &[&str]| {
        assert_refused(folder.path(), &[&fits, parts].concat());
    };
    // A vocabulary larger than the table of words: here the last of 50 tokens has no row.
    let smaller = json_with(TEXT_CONFIG, |config| config["vocab_size"] = 49.into());
    refused(&smaller, &["below vocab_size 49", "found 49 for `适`"]);
    let larger = json_with(TOKENIZER, |tokenizer| {
        tokenizer["model"]["vocab"].as_array_mut().unwrap().push(json!(["zither", -5.0]));
    });
    refused(&larger, &["below vocab_size 50", "found 50 for `zither`"]);

    let padding = json_with(TEXT_CONFIG, |config| config["pad_token_id"] = 3.into());
    refused(&padding, &["`<pad>` to be pad_token_id 3, found 1"]);
    let end = json_with(TEXT_CONFIG, |config| config["eos_token_id"] = 4.into());
    refused(&end, &["`</s>` to be eos_token_id 4, found 2"]);
    let renamed = json_with(TOKENIZER, |tokenizer| {
        tokenizer["added_tokens"].as_array_mut().unwrap().remove(1);
        tokenizer["model"]["vocab"][1][0] = "[PAD]".into();
    });
    refused(&renamed, &["`<pad>` to be pad_token_id 1, found no such token"]);

    let without_ends = json_with(TOKENIZER, |tokenizer| tokenizer["post_processor"] = Value::Null);
    refused(&without_ends, &["between `<s>` (0) and `</s>` (2)", "for `a`"]);
    let swapped = json_with(TOKENIZER, |tokenizer| {
        tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"][0] = 2.into();
    });
    refused(&swapped, &["found [2, "]);
    let outside = json_with(TOKENIZER, |tokenizer| {
        tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"][0] = 4_000_000_000_u32.into();
    });
    refused(&outside, &["below vocab_size 50", "found 4000000000"]);
    // Here the library would panic.
    let contradictory = json_with(TOKENIZER, |tokenizer| {
        tokenizer["post_processor"]["special_tokens"].as_object_mut().unwrap().remove("<s>");
    });
    assert_refused(contradictory.path(), &[TOKENIZER, "expected a tokenizer", "`<s>` is not among its special_tokens"]);
    let nested = json_with(TOKENIZER, |tokenizer| {
        let mut template = tokenizer["post_processor"].take();
        template["special_tokens"] = json!({});
        tokenizer["post_processor"] = json!({"type": "Sequence", "processors": [template]});
    });
    assert_refused(nested.path(), &[TOKENIZER, "`<s>` is not among its special_tokens"]);
}

/// A text that only fits the tokenizer: a fault that shows when it is encoded is an error too.
#[test]
fn a_tokenizer_without_an_unknown_token() {
    let folder = json_with(TOKENIZER, |tokenizer| tokenizer["model"]["unk_id"] = Value::Null);
    let (_, text) = try_load(folder.path()).unwrap().split(device(), 1, single_precision()).unwrap();
    assert_eq!(text.encode(&["piano"]).unwrap().len(), 1);
    match text.encode(&["piano", "Ω"]) {
        Err(TextError::Tokenizer { index: 1, reason }) => assert!(reason.contains(TOKENIZER), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tokenizer_that_cuts_or_pads_by_itself_is_told_not_to() {
    let folder = json_with(TOKENIZER, |tokenizer| {
        tokenizer["truncation"] =
            json!({"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0});
        tokenizer["padding"] = json!({"strategy": {"Fixed": 60}, "direction": "Left", "pad_to_multiple_of": null,
            "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>"});
    });
    let encode = |path: &Path| {
        try_load(path)
            .unwrap()
            .split(device(), 1, single_precision())
            .unwrap()
            .1
            .encode(&["fast metal guitar"])
            .unwrap()
    };
    assert_eq!(encode(folder.path()), encode(&fixture("golden/mulan-tiny")));
}

#[test]
fn impossible_configurations() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, &[&str])] = &[
        ("config.json", |c| c["mulan"] = json!([24000, 2, 32]), &["mulan: expected an object"]),
        ("config.json", |c| c["mulan"]["sr"] = 44_100.into(), &["mulan.sr: expected 24000", "found 44100"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = 0.into(), &["mulan.clip_secs", "found 0 seconds"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = (-2).into(), &["mulan.clip_secs", "found -2 seconds"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = 0.01.into(), &["mulan.clip_secs", "found 0.01 seconds"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = 1.00001.into(), &["mulan.clip_secs", "whole number"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = 1e300.into(), &["mulan.clip_secs", "600 seconds"]),
        ("config.json", |c| c["mulan"]["clip_secs"] = "2".into(), &["mulan: ", "2"]),
        ("config.json", |c| c["mulan"]["dim_latent"] = 0.into(), &["mulan.dim_latent: expected 1", "found 0"]),
        ("config.json", |c| c["mulan"]["dim_latent"] = 10_000_000_000_u64.into(), &["mulan.dim_latent"]),
        ("config.json", |c| c["mulan"]["dim_latent"] = Value::Null, &["mulan: ", "null"]),
        ("config.json", |c| c["mulan"]["proj_to_latent"] = false.into(), &["mulan.proj_to_latent: expected true"]),
        ("config.json", |c| c["mulan"]["norm_type"] = "none".into(), &["mulan.norm_type: expected \"l2norm\""]),
        ("config.json", |c| c["audio_model"] = "tiny-muq".into(), &["audio_model: expected an object"]),
        ("config.json", |c| c["audio_model"]["name"] = "".into(), &["audio_model.name", "name of a folder beside it"]),
        ("config.json", |c| c["audio_model"]["name"] = "..".into(), &["audio_model.name", "`..` is not in the cache"]),
        (
            "config.json",
            |c| c["text_model"]["name"] = "/etc".into(),
            &["text_model.name", "`/etc` is not in the cache"],
        ),
        ("config.json", |c| c["audio_model"]["use_layer_idx"] = 3.into(), &["use_layer_idx", "-3 to 2", "found 3"]),
        ("config.json", |c| c["audio_model"]["use_layer_idx"] = (-4).into(), &["use_layer_idx", "found -4"]),
        (
            "config.json",
            |c| c["audio_model"]["model_dim"] = 33.into(),
            &["audio_model.model_dim: expected encoder_dim 32", AUDIO_CONFIG, "found 33"],
        ),
        ("config.json", |c| c["audio_model"]["model_dim"] = Value::Null, &["audio_model.model_dim", "found nothing"]),
        (
            "config.json",
            |c| c["text_model"]["model_dim"] = 49.into(),
            &["text_model.model_dim: expected hidden_size 48", TEXT_CONFIG, "found 49"],
        ),
        // Without a projection the widths must be the same.
        (
            "config.json",
            |c| c["text_model"]["model_dim"] = Value::Null,
            &["text_transformer.dim: expected hidden_size 48", "found 56"],
        ),
        ("config.json", |c| c["audio_transformer"]["dim"] = 0.into(), &["audio_transformer.dim", "found 0"]),
        ("config.json", |c| c["audio_transformer"]["tf_depth"] = 1_000_000_000.into(), &["audio_transformer.tf_depth"]),
        ("config.json", |c| c["audio_transformer"]["heads"] = 0.into(), &["audio_transformer.heads", "found 0"]),
        ("config.json", |c| c["text_transformer"]["dim_head"] = 0.into(), &["text_transformer.dim_head", "found 0"]),
        ("config.json", |c| c["text_transformer"]["heads"] = 65_536.into(), &["text_transformer.dim_head"]),
        ("config.json", |c| c["text_transformer"]["ff_mult"] = 0.into(), &["text_transformer.ff_mult", "found 0"]),
        ("config.json", |c| c["text_transformer"]["ff_mult"] = u64::MAX.into(), &["text_transformer.ff_mult"]),
        ("config.json", |c| c["text_transformer"]["tf_depth"] = (-1).into(), &["text_transformer: "]),
        (TEXT_CONFIG, |c| c["model_type"] = "qwen2".into(), &["model_type: expected \"xlm-roberta\"", "qwen2"]),
        (TEXT_CONFIG, |c| c["hidden_act"] = "relu".into(), &["hidden_act: expected \"gelu\"", "relu"]),
        (TEXT_CONFIG, |c| c["position_embedding_type"] = "relative_key".into(), &["position_embedding_type"]),
        (TEXT_CONFIG, |c| c["is_decoder"] = true.into(), &["is_decoder: expected false"]),
        (TEXT_CONFIG, |c| c["num_attention_heads"] = 0.into(), &["num_attention_heads", "found 0"]),
        (
            TEXT_CONFIG,
            |c| c["num_attention_heads"] = 5.into(),
            &["num_attention_heads: expected a number that divides hidden_size 48, found 5"],
        ),
        (TEXT_CONFIG, |c| c["layer_norm_eps"] = 0.into(), &["layer_norm_eps: expected a number above 0, found 0"]),
        (TEXT_CONFIG, |c| c["layer_norm_eps"] = 1e-60.into(), &["layer_norm_eps"]),
        (TEXT_CONFIG, |c| c["layer_norm_eps"] = "NaN".into(), &["XLM-RoBERTa's configuration"]),
        (TEXT_CONFIG, |c| c["vocab_size"] = u64::MAX.into(), &["vocab_size"]),
        (TEXT_CONFIG, |c| c["num_hidden_layers"] = 0.into(), &["num_hidden_layers: expected 1 to 256, found 0"]),
        (
            TEXT_CONFIG,
            |c| c["max_position_embeddings"] = 4.into(),
            &["max_position_embeddings: expected 5 or more", "found 4"],
        ),
        (TEXT_CONFIG, |c| c["type_vocab_size"] = 0.into(), &["type_vocab_size", "found 0"]),
        (TEXT_CONFIG, |c| c["pad_token_id"] = 50.into(), &["pad_token_id: expected a number below vocab_size 50"]),
        (TEXT_CONFIG, |c| c["pad_token_id"] = Value::Null, &["XLM-RoBERTa's configuration", "null"]),
        (TEXT_CONFIG, |c| c["eos_token_id"] = 0.into(), &["eos_token_id: expected another number than bos_token_id's"]),
        (AUDIO_CONFIG, |c| c["w2v2_config"]["num_attention_heads"] = 3.into(), &["num_attention_heads", "found 3"]),
        (AUDIO_CONFIG, |c| c["model_type"] = "hubert".into(), &["MuQ's configuration", "model_type"]),
    ];
    for (file, change, parts) in cases {
        let folder = json_with(file, change);
        assert_refused(folder.path(), &[&[*file], *parts].concat());
    }
    for name in ["mulan", "text_model", "audio_transformer", "text_transformer"] {
        let folder = json_with("config.json", |config| drop(config.as_object_mut().unwrap().remove(name)));
        // Without `mulan` it is taken for MuQ, whose configuration this is not either.
        let part = if name == "mulan" { "MuQ's configuration" } else { &format!("{name}: expected an object") };
        assert_refused(folder.path(), &["config.json", part]);
    }
}

#[test]
fn every_tensor_is_accounted_for() {
    let name = "mulan.text.transformer.layers.0.1.4.weight";
    let missing = tensors_with(|tensors| drop(tensors.remove(name).unwrap()));
    assert_refused(missing.path(), &["missing from the file (1)", name]);
    let extra = tensors_with(|tensors| {
        let tensor = StoredTensor::from_floats(&[1], [1.0]);
        tensors.insert("mulan.text.transformer.layers.1.0.q_scale".into(), tensor);
    });
    assert_refused(extra.path(), &["not part of the model (1)", "mulan.text.transformer.layers.1.0.q_scale"]);
    let mis_shaped = json_with("config.json", |config| config["mulan"]["dim_latent"] = 31.into());
    assert_refused(
        mis_shaped.path(),
        &["of another shape (4)", "mulan.text_to_latents.weight: expected [31, 56], found [32, 56]"],
    );
    let huge = json_with(TEXT_CONFIG, |config| config["intermediate_size"] = 65_536.into());
    assert_refused(huge.path(), &["of another shape", "expected [65536, 48], found [96, 48]"]);
    let huge = json_with(TEXT_CONFIG, |config| config["vocab_size"] = 4_000_000.into());
    assert_refused(huge.path(), &["of another shape (1)", "expected [4000000, 48], found [50, 48]"]);

    // What no vector depends on may be absent: the joint space has no tokens, no loss and no pooled text.
    let without = tensors_with(|tensors| {
        let before = tensors.len();
        tensors.retain(|name, _| !["rvq", "contrast", "aggregator", "pooler"].iter().any(|part| name.contains(part)));
        assert_eq!(before - tensors.len(), 2 * 8 + 1 + 2 + 2);
    });
    try_load(without.path()).unwrap_or_else(|error| panic!("{error}"));
    // Older versions of the library stored the numbers 0, 1, 2, ...
    let older = tensors_with(|tensors| {
        let bytes = (0..64_i64).flat_map(i64::to_le_bytes).collect();
        let positions = StoredTensor { dtype: safetensors::Dtype::I64, shape: vec![1, 64], bytes };
        tensors.insert("mulan.text.model.embeddings.position_ids".into(), positions);
    });
    try_load(older.path()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn randomly_damaged_files_never_panic() {
    let folder = copy();
    for (file, iterations) in [("config.json", 200), (AUDIO_CONFIG, 60), (TEXT_CONFIG, 200), (TOKENIZER, 300)] {
        let path = folder.path().join(file);
        let whole = fs_err::read(&path).unwrap();
        let mut random = 17_u64;
        let mut next = |below: usize| {
            // Knuth's linear congruential generator; its upper bits are the good ones.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut loaded = 0;
        for _ in 0..iterations {
            let mut bytes = whole.clone();
            for _ in 0..=next(3) {
                let position = next(bytes.len());
                bytes[position] =
                    if next(2) == 0 { b"0123456789.,:{}[]\"-eE"[next(21)] } else { bytes[position] ^ (1 << next(7)) };
            }
            fs_err::write(&path, bytes).unwrap();
            if let Ok(model) = try_load(folder.path()) {
                loaded += 1;
                // Whatever loads can be used, or says why not.
                let _ = model.split(device(), 1, single_precision()).unwrap().1.encode(&["slow piano, 快", "♪"]);
            }
        }
        fs_err::write(&path, whole).unwrap();
        println!("{file}: {loaded} of {iterations} damaged files still load");
        assert!(loaded < iterations, "{file}: the damage never shows");
    }
}
