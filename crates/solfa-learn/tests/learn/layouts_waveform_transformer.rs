//! HuBERT, MERT and data2vec in every layout that is accepted, and what is taken for granted where files are missing.

use std::path::Path;

use crate::common::weights::{
    Pickled, StoredTensor, Tensors, copy_checkpoint, read_safetensors, write_pytorch, write_safetensors,
};
use crate::common::{device, fixture, single_precision};
use solfa_learn::checkpoint::{Checkpoint, LoadedModel, TensorSource};
use solfa_learn::device::Device;
use solfa_learn::embed;
use solfa_signal::encoder::{Encoder, EncoderSpec, LayerChoice};
use solfa_signal::testing::musical_signal;
use tempfile::TempDir;

const CASES: [&str; 3] = ["mert-95m-tiny", "mert-330m-tiny", "music2vec-tiny"];
const WEIGHTS: &str = "model.safetensors";
const PREPROCESSOR: &str = "preprocessor_config.json";

fn load(path: &Path) -> LoadedModel {
    Checkpoint::open(path)
        .and_then(|checkpoint| checkpoint.load(&device()))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn encoder(model: LoadedModel, device: Device, clips_per_pass: usize) -> Box<dyn Encoder> {
    embed::encoder(model, device, clips_per_pass, single_precision()).unwrap()
}

/// All hidden states of one sound, as bits.
fn outputs(path: &Path) -> Vec<Vec<u32>> {
    let encoder = encoder(load(path), device(), 1);
    let clip = musical_signal(9_000, encoder.spec().sample_rate, 5);
    let batch = encoder.encode(&[clip], &LayerChoice::All).unwrap();
    let hidden: Vec<Vec<u32>> =
        batch.layers.iter().map(|layer| layer.clips[0].data().iter().map(|value| value.to_bits()).collect()).collect();
    assert_eq!(hidden.len(), 3);
    assert!(hidden.iter().all(|hidden| hidden.len() == 27 * 32));
    hidden
}

/// Fails unless both are the same; not printed, because they are thousands of numbers.
fn assert_same(what: &str, path: &Path, expected: &[Vec<u32>]) {
    assert!(outputs(path) == expected, "{what}: other hidden states");
}

fn tensors_of(case: &str) -> Tensors {
    read_safetensors(&fixture("golden").join(case).join(WEIGHTS))
}

/// A golden checkpoint with other weights.
fn with_tensors(case: &str, tensors: &Tensors) -> TempDir {
    let folder = copy_checkpoint(case);
    write_safetensors(&folder.path().join(WEIGHTS), tensors);
    folder
}

/// The tensors with other names.
fn renamed(tensors: Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect()
}

/// A golden checkpoint with a changed `config.json`.
fn with_config(case: &str, fields: serde_json::Value) -> TempDir {
    let folder = copy_checkpoint(case);
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    fs_err::write(&path, config.to_string()).unwrap();
    folder
}

#[test]
fn every_layout_is_the_same_model() {
    for case in CASES {
        let original = fixture("golden").join(case);
        let expected = outputs(&original);
        assert_same("the file", &original.join(WEIGHTS), &expected);

        let folder = copy_checkpoint(case);
        fs_err::remove_file(folder.path().join(WEIGHTS)).unwrap();
        write_pytorch(&folder.path().join("pytorch_model.bin"), &Pickled::Tensors(tensors_of(case)));
        assert_same(".bin", folder.path(), &expected);

        let folder = copy_checkpoint(case);
        fs_err::remove_file(folder.path().join(WEIGHTS)).unwrap();
        let mut first = tensors_of(case);
        let second = first.split_off("encoder.layers.1");
        let mut weight_map = serde_json::Map::new();
        for (name, shard) in [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)]
        {
            assert!(!shard.is_empty());
            write_safetensors(&folder.path().join(name), &shard);
            weight_map.extend(shard.into_keys().map(|tensor| (tensor, name.into())));
        }
        let index = serde_json::json!({ "weight_map": weight_map }).to_string();
        fs_err::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        assert_same("shards", folder.path(), &expected);
    }
}

#[test]
fn the_comparison_sees_one_changed_weight() {
    for (case, name) in [
        ("mert-95m-tiny", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
        ("mert-330m-tiny", "feature_extractor.conv_layers.6.conv.bias"),
        ("music2vec-tiny", "encoder.pos_conv_embed.layers.4.conv.bias"),
    ] {
        let mut tensors = tensors_of(case);
        let tensor = tensors.get_mut(name).unwrap();
        let values = tensor.floats();
        *tensor = StoredTensor::from_floats(&tensor.shape, values.into_iter().map(|value| 2.0 * value + 0.5));
        let found = outputs(with_tensors(case, &tensors).path());
        assert!(found != outputs(&fixture("golden").join(case)), "{name}");
    }
}

#[test]
fn both_spellings_of_weight_norm_are_the_same_model() {
    for case in &CASES[..2] {
        let older = renamed(tensors_of(case), |name| {
            name.replace("parametrizations.weight.original0", "weight_g")
                .replace("parametrizations.weight.original1", "weight_v")
        });
        assert_eq!(older.keys().filter(|name| name.contains("weight_")).count(), 2);
        assert_same(case, with_tensors(case, &older).path(), &outputs(&fixture("golden").join(case)));
    }
}

#[test]
fn models_for_tasks_hold_the_same_network() {
    for (case, prefix) in
        [("mert-95m-tiny", "hubert."), ("mert-330m-tiny", "mert_model."), ("music2vec-tiny", "data2vec_audio.")]
    {
        let mut wrapped = renamed(tensors_of(case), |name| format!("{prefix}{name}"));
        for head in ["lm_head.weight", "projector.bias", "classifier.weight", "layer_weights"] {
            wrapped.insert(head.into(), StoredTensor::from_floats(&[2], [1.0, 2.0]));
        }
        assert_same(case, with_tensors(case, &wrapped).path(), &outputs(&fixture("golden").join(case)));
        // A network alone has no head: there the same name is a surprise.
        let mut bare = tensors_of(case);
        bare.insert("lm_head.weight".into(), StoredTensor::from_floats(&[2], [1.0, 2.0]));
        let folder = with_tensors(case, &bare);
        let error = Checkpoint::open(folder.path()).unwrap().load(&device()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("not part of the model (1)") && error.contains("lm_head.weight [2]"), "{error}");
    }
}

#[test]
fn a_mert_is_the_hubert_that_it_is_made_of() {
    for (case, model_type) in CASES.into_iter().zip(["mert_model", "music_hubert"]) {
        let folder = with_config(case, serde_json::json!({"model_type": model_type, "sample_rate": 24_000}));
        assert_same(case, folder.path(), &outputs(&fixture("golden").join(case)));
        assert_eq!(encoder(load(folder.path()), device(), 1).spec().name, "mert");
    }
}

/// `attention_relax` is a way to softmax, not another result; `mert-cqt-tiny` has it in its reference.
#[test]
fn relaxed_attention_is_attention() {
    for case in &CASES[..2] {
        let folder = with_config(case, serde_json::json!({"attention_relax": 32.0, "deepnorm": false}));
        assert_same(case, folder.path(), &outputs(&fixture("golden").join(case)));
    }
}

#[test]
fn the_preprocessor_says_rate_and_normalisation() {
    let spec_with = |preprocessor: &str| -> EncoderSpec {
        let folder = copy_checkpoint("mert-95m-tiny");
        fs_err::write(folder.path().join(PREPROCESSOR), preprocessor).unwrap();
        let model = load(folder.path());
        assert_eq!(model.notes(), [""; 0]);
        encoder(model, device(), 1).spec().clone()
    };
    let golden = encoder(load(&fixture("golden/mert-95m-tiny")), device(), 1).spec().clone();
    let plain = spec_with(r#"{"do_normalize": false, "sampling_rate": 24000, "padding_side": "right"}"#);
    assert_eq!(plain, golden);
    let normalized = spec_with(r#"{"do_normalize": true, "sampling_rate": 24000}"#);
    assert_ne!(normalized.identity, golden.identity);
    let slower = spec_with(r#"{"do_normalize": false, "sampling_rate": 16000}"#);
    assert_eq!(slower.sample_rate, 16_000);
    assert_ne!(slower.identity, golden.identity);
    // The library's defaults.
    let empty = spec_with("{}");
    assert_eq!(empty, spec_with(r#"{"do_normalize": true, "sampling_rate": 16000}"#));
}

/// A folder without a preprocessor's configuration; `config.json` with these fields.
fn without_preprocessor(case: &str, fields: serde_json::Value) -> (EncoderSpec, bool, String) {
    let folder = with_config(case, fields);
    fs_err::remove_file(folder.path().join(PREPROCESSOR)).unwrap();
    let model = load(folder.path());
    let [note] = model.notes() else { panic!("{:?}", model.notes()) };
    let note = note.clone();
    let LoadedModel::WaveformTransformer(inner) = &model else { panic!("a model of another family") };
    let is_normalized = inner.is_normalized;
    (encoder(model, device(), 1).spec().clone(), is_normalized, note)
}

#[test]
fn without_a_preprocessor_a_note_says_what_is_taken_for_granted() {
    let cases = [
        ("mert-95m-tiny", serde_json::json!({}), 24_000, "24000 Hz, which is MERT's"),
        ("mert-95m-tiny", serde_json::json!({"model_type": "mert_model"}), 24_000, "24000 Hz, which is MERT's"),
        ("mert-330m-tiny", serde_json::json!({"sample_rate": 16_000}), 16_000, "16000 Hz, which config.json gives"),
        ("music2vec-tiny", serde_json::json!({}), 16_000, "16000 Hz"),
    ];
    for (case, fields, sample_rate, part) in cases {
        let (spec, is_normalized, note) = without_preprocessor(case, fields);
        assert_eq!((spec.sample_rate, is_normalized), (sample_rate, true), "{case}");
        assert!(note.contains(part) && note.contains(PREPROCESSOR) && note.contains("mean 0"), "{note}");
    }
    // Two files that disagree are worth a note as well.
    let folder = with_config("mert-95m-tiny", serde_json::json!({"sample_rate": 16_000}));
    let model = load(folder.path());
    let [note] = model.notes() else { panic!("{:?}", model.notes()) };
    assert!(note.contains("16000 Hz") && note.contains("24000 Hz; the latter is used"), "{note}");
    assert_eq!(encoder(model, device(), 1).spec().sample_rate, 24_000);
}

/// The tensors of the golden MERT with a constant-Q transform, of which PyTorch wrote the file.
fn cqt_tensors() -> Tensors {
    let source = TensorSource::open_pytorch(&fixture("golden/mert-cqt-tiny/pytorch_model.bin"), None).unwrap();
    let read = |name: &str| source.read(name).unwrap().try_to_vec::<f32>().unwrap();
    source.shapes().map(|(name, shape)| (name.to_owned(), StoredTensor::from_floats(shape, read(name)))).collect()
}

/// The golden MERT with a constant-Q transform, with other weights.
fn cqt_folder(tensors: &Tensors) -> TempDir {
    let folder = copy_checkpoint("mert-cqt-tiny");
    fs_err::remove_file(folder.path().join("pytorch_model.bin")).unwrap();
    write_safetensors(&folder.path().join(WEIGHTS), tensors);
    folder
}

#[test]
fn stored_constant_q_kernels_are_checked_and_may_be_absent() {
    const KERNELS: &str = "feature_extractor_cqt.cqt_kernels_real";
    let whole = cqt_tensors();
    let num_stored = whole.keys().filter(|name| name.starts_with("feature_extractor_cqt.")).count();
    assert_eq!(num_stored, 3);
    let expected = outputs(&fixture("golden/mert-cqt-tiny"));
    assert_same("safetensors", cqt_folder(&whole).path(), &expected);
    let mut bare = whole.clone();
    bare.retain(|name, _| !name.starts_with("feature_extractor_cqt."));
    assert_same("without kernels", cqt_folder(&bare).path(), &expected);

    let refused = |tensors: &Tensors, parts: &[&str]| {
        let folder = cqt_folder(tensors);
        let error = Checkpoint::open(folder.path()).unwrap().load(&device()).map(|_| ()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    };
    let change = |name: &str, index: usize, value: f32| {
        let mut tensors = whole.clone();
        let tensor = tensors.get_mut(name).unwrap();
        let mut values = tensor.floats();
        values[index] += value;
        *tensor = StoredTensor::from_floats(&tensor.shape, values);
        tensors
    };
    let middle = 3 * 2048 + 1024;
    refused(&change(KERNELS, middle, 1e-6), &[KERNELS, "21 bins, 3 to the octave, at 16000 Hz", "in bin 3"]);
    refused(&change(KERNELS, 20 * 2048, 1e-3), &[KERNELS, "instead of 0 in bin 20"]);
    refused(&change("feature_extractor_cqt.cqt_kernels_imag", middle + 5, f32::NAN), &["imag", "found NaN"]);
    refused(&change("feature_extractor_cqt.lenghts", 2, 1.0), &["lenghts", "in bin 2"]);
    let mut partial = whole.clone();
    partial.remove(KERNELS).unwrap();
    refused(&partial, &["missing from the file (1)", KERNELS, "[21, 1, 2048]"]);
    // A model without the transform has no use for its kernels.
    let mut surprised = tensors_of("mert-95m-tiny");
    surprised.insert(KERNELS.into(), whole[KERNELS].clone());
    let folder = with_tensors("mert-95m-tiny", &surprised);
    let error = Checkpoint::open(folder.path()).unwrap().load(&device()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("not part of the model (1)") && error.contains(KERNELS), "{error}");
}
