//! The same weights through every layout that is accepted give the same bits.

use std::path::Path;

use crate::common::weights::{
    Pickled, StoredTensor, Tensors, copy_checkpoint, musicfm_tensors, read_safetensors, write_pytorch,
    write_safetensors,
};
use crate::common::{device, fixture, load, try_load};
use half::{bf16, f16};
use safetensors::Dtype;
use solfa_learn::checkpoint::{CheckpointError, MelConformerModel};
use solfa_learn::embed::{NetworkEncoder, tokenize};
use solfa_signal::audio::WaveformSource;
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::testing::musical_signal;
use tempfile::TempDir;

/// All that a model makes of a sound, as bits: every hidden state, and the tokens.
#[derive(PartialEq)]
struct Outputs {
    hidden_states: Vec<Vec<u32>>,
    codes: Vec<Vec<i64>>,
}

fn outputs(path: &Path) -> Outputs {
    outputs_of(load(path))
}

fn outputs_of(model: MelConformerModel) -> Outputs {
    let clip = musical_signal(12_345, 24_000, 5);
    let codes = tokenize(WaveformSource::new(clip.clone()), &model, &device()).unwrap().codes;
    let encoder = NetworkEncoder::new(model, device(), 1);
    let batch = encoder.encode(std::slice::from_ref(&clip), &LayerChoice::All).unwrap();
    let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    let hidden_states: Vec<_> = batch.layers.iter().map(|layer| bits(layer.clips[0].data())).collect();
    assert_eq!(hidden_states.len(), 3);
    assert!(hidden_states.iter().all(|hidden| hidden.len() >= 10 * 32));
    assert!(codes.iter().all(|codes| codes.len() >= 10));
    Outputs { hidden_states, codes }
}

/// Fails unless both are the same; not printed, because they are thousands of numbers.
fn assert_same(what: &str, found: &Outputs, expected: &Outputs) {
    assert!(found.hidden_states == expected.hidden_states, "{what}: other hidden states");
    assert!(found.codes == expected.codes, "{what}: other tokens");
}

fn muq_tensors() -> Tensors {
    read_safetensors(&fixture("golden/muq-50hz/model.safetensors"))
}

/// A MuQ's folder without weights.
fn muq_folder() -> TempDir {
    let folder = copy_checkpoint("muq-50hz");
    fs_err::remove_file(folder.path().join("model.safetensors")).unwrap();
    folder
}

/// A MusicFM's folder without weights.
fn musicfm_folder() -> TempDir {
    let folder = copy_checkpoint("musicfm-tiny");
    fs_err::remove_file(folder.path().join("pretrained_tiny.pt")).unwrap();
    folder
}

/// Writes the tensors in two shards and their index, whose name is returned.
fn write_shards(folder: &Path, tensors: &Tensors, extension: &str, write: impl Fn(&Path, &Tensors)) -> String {
    let middle = tensors.keys().nth(tensors.len() / 2).unwrap();
    let mut first = tensors.clone();
    let second = first.split_off(middle);
    let mut weight_map = serde_json::Map::new();
    for (number, shard) in [first, second].into_iter().enumerate() {
        let stem = if extension == "bin" { "pytorch_model" } else { "model" };
        let name = format!("{stem}-0000{}-of-00002.{extension}", number + 1);
        assert!(!shard.is_empty());
        write(&folder.join(&name), &shard);
        weight_map.extend(shard.into_keys().map(|tensor| (tensor, name.clone().into())));
    }
    let index = if extension == "bin" { "pytorch_model.bin.index.json" } else { "model.safetensors.index.json" };
    let contents = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    fs_err::write(folder.join(index), contents.to_string()).unwrap();
    index.into()
}

fn write_bin(path: &Path, tensors: &Tensors) {
    write_pytorch(path, &Pickled::Tensors(tensors.clone()));
}

#[test]
fn the_comparison_sees_one_changed_weight() {
    let expected = outputs(&fixture("golden/muq-50hz"));
    for name in ["model.conformer.layers.1.ffn1.intermediate_dense.bias", "model.rvq.quantizers.0.in_proj.bias"] {
        let folder = muq_folder();
        let mut tensors = muq_tensors();
        let tensor = tensors.get_mut(name).unwrap();
        let values = tensor.floats();
        *tensor = StoredTensor::from_floats(&tensor.shape, values.into_iter().map(|value| 2.0 * value + 0.5));
        write_safetensors(&folder.path().join("model.safetensors"), &tensors);
        let found = outputs(folder.path());
        assert!(found != expected, "{name}");
        assert_eq!(found.hidden_states == expected.hidden_states, name.contains("rvq"), "{name}");
    }
}

#[test]
fn muq_in_every_layout_is_the_same_model() {
    let expected = outputs(&fixture("golden/muq-50hz"));
    let tensors = muq_tensors();

    assert_same("the file", &outputs(&fixture("golden/muq-50hz/model.safetensors")), &expected);
    assert_same("PyTorch 2's .bin", &outputs(&fixture("layouts/muq-50hz-bin")), &expected);
    assert_same("its file", &outputs(&fixture("layouts/muq-50hz-bin/pytorch_model.bin")), &expected);

    let folder = muq_folder();
    write_bin(&folder.path().join("pytorch_model.bin"), &tensors);
    assert_same("PyTorch 1.5's .bin", &outputs(folder.path()), &expected);

    let folder = muq_folder();
    let index = write_shards(folder.path(), &tensors, "safetensors", write_safetensors);
    assert_same("shards", &outputs(folder.path()), &expected);
    assert_same("the index of shards", &outputs(&folder.path().join(index)), &expected);

    let folder = muq_folder();
    let index = write_shards(folder.path(), &tensors, "bin", write_bin);
    assert_same("shards by PyTorch", &outputs(folder.path()), &expected);
    assert_same("their index", &outputs(&folder.path().join(index)), &expected);
}

#[test]
fn both_spellings_of_weight_norm_are_the_same_model() {
    let folder = muq_folder();
    let mut num_renamed = 0;
    let renamed = muq_tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let newer = name
                .replace(".weight_g", ".parametrizations.weight.original0")
                .replace(".weight_v", ".parametrizations.weight.original1");
            num_renamed += usize::from(newer != name);
            (newer, tensor)
        })
        .collect();
    assert_eq!(num_renamed, 8);
    write_safetensors(&folder.path().join("model.safetensors"), &renamed);
    assert_same("parametrizations", &outputs(folder.path()), &outputs(&fixture("golden/muq-50hz")));
}

/// The float tensors with every value passed through `store`.
fn stored_as(tensors: &Tensors, dtype: Dtype, store: impl Fn(f32) -> Vec<u8>) -> Tensors {
    let mut num_stored = 0;
    let stored = tensors
        .iter()
        .map(|(name, tensor)| {
            if tensor.dtype != Dtype::F32 {
                return (name.clone(), tensor.clone());
            }
            num_stored += 1;
            let bytes = tensor.floats().into_iter().flat_map(&store).collect();
            (name.clone(), StoredTensor { dtype, shape: tensor.shape.clone(), bytes })
        })
        .collect();
    assert!(num_stored > 100, "{num_stored} tensors");
    stored
}

#[test]
fn weights_in_half_precision_are_the_rounded_weights() {
    let tensors = muq_tensors();
    let original = outputs(&fixture("golden/muq-50hz"));
    let load_stored = |tensors: &Tensors| {
        let folder = muq_folder();
        write_safetensors(&folder.path().join("model.safetensors"), tensors);
        outputs(folder.path())
    };
    let (as_f16, as_bf16) = (f16::from_f32, bf16::from_f32);
    let half = stored_as(&tensors, Dtype::F16, |value| as_f16(value).to_le_bytes().to_vec());
    let half_rounded = stored_as(&tensors, Dtype::F32, |value| as_f16(value).to_f32().to_le_bytes().to_vec());
    let brain = stored_as(&tensors, Dtype::BF16, |value| as_bf16(value).to_le_bytes().to_vec());
    let brain_rounded = stored_as(&tensors, Dtype::F32, |value| as_bf16(value).to_f32().to_le_bytes().to_vec());
    for (what, stored, rounded) in [("F16", half, half_rounded), ("BF16", brain, brain_rounded)] {
        let found = load_stored(&stored);
        assert_same(what, &found, &load_stored(&rounded));
        assert!(found != original, "{what}: rounding changed nothing");
    }
    let double = stored_as(&tensors, Dtype::F64, |value| f64::from(value).to_le_bytes().to_vec());
    assert_same("F64", &load_stored(&double), &original);
}

/// Tensors need not begin at a multiple of four bytes; those that do not cannot be used in place.
#[test]
fn unaligned_weights_are_the_same_model() {
    let folder = copy_checkpoint("muq-50hz");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(length % 8, 0);
    bytes.insert(8 + length as usize, b' ');
    bytes[..8].copy_from_slice(&(length + 1).to_le_bytes());
    fs_err::write(&path, bytes).unwrap();
    assert_same("unaligned", &outputs(folder.path()), &outputs(&fixture("golden/muq-50hz")));
}

#[test]
fn musicfm_in_every_layout_is_the_same_model() {
    let expected = outputs(&fixture("golden/musicfm-tiny"));
    assert_same("the file", &outputs(&fixture("golden/musicfm-tiny/pretrained_tiny.pt")), &expected);

    let whole = || Pickled::Tensors(musicfm_tensors());
    let beside = Pickled::Dictionary(vec![("epoch", Pickled::Number(3)), ("state_dict", whole())]);
    for (what, contents) in [("without `state_dict`", whole()), ("with an epoch", beside)] {
        for name in ["pretrained_tiny.pt", "model.ckpt"] {
            let folder = musicfm_folder();
            write_pytorch(&folder.path().join(name), &contents);
            assert_same(what, &outputs(folder.path()), &expected);
            assert_same(what, &outputs(&folder.path().join(name)), &expected);
        }
    }
}

#[test]
fn a_release_of_musicfm_goes_with_its_own_statistics() {
    let folder = copy_checkpoint("musicfm-tiny");
    let at = |name: &str| folder.path().join(name);
    fs_err::rename(at("pretrained_tiny.pt"), at("pretrained_msd.pt")).unwrap();
    fs_err::write(at("fma_stats.json"), r#"{"melspec_2048_mean": 1.5, "melspec_2048_std": 2.5}"#).unwrap();
    let model = load(folder.path());
    assert_eq!((model.mel_mean, model.mel_deviation), (6.768_445, 18.417_923));
    fs_err::rename(at("pretrained_msd.pt"), at("pretrained_fma.pt")).unwrap();
    let model = load(folder.path());
    assert_eq!((model.mel_mean, model.mel_deviation), (1.5, 2.5));

    fs_err::remove_file(at("fma_stats.json")).unwrap();
    let message = try_load(folder.path()).map(|_| ()).unwrap_err().to_string();
    for part in ["pretrained_fma.pt", "expected", "fma_stats.json", "found msd_stats.json"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn without_a_configuration_a_musicfm_has_the_published_sizes() {
    let folder = copy_checkpoint("musicfm-tiny");
    fs_err::remove_file(folder.path().join("config.json")).unwrap();
    let Err(CheckpointError::Mismatch { mismatch, .. }) = try_load(folder.path()) else {
        panic!("a tiny model has passed for the published one");
    };
    let expected_shape = |name: &str| {
        let mis_shaped = mismatch.mis_shaped.iter().find(|(found, ..)| found == name);
        mis_shaped.unwrap_or_else(|| panic!("{name} is not mis-shaped")).1.clone()
    };
    assert_eq!(expected_shape("model.conv.conv.0.conv1.weight"), [512, 1, 3, 3]);
    assert_eq!(expected_shape("model.conv.linear.weight"), [1024, 512 * 32]);
    assert_eq!(expected_shape("model.conformer.layers.0.ffn1.intermediate_dense.weight"), [4096, 1024]);
    assert_eq!(expected_shape("model.conformer.layers.1.self_attn.linear_q.weight"), [1024, 1024]);
    // 16 heads of width 64, turned in pairs.
    assert_eq!(expected_shape("model.conformer.embed_positions.inv_freq"), [32]);
    assert_eq!(expected_shape("model.linear.weight"), [4096, 1024]);
    assert_eq!(expected_shape("model.quantizer_melspec_2048_0.codebook"), [4096, 16]);
    // The tiny model's kernel of 31 taps is the published one: only the width differs.
    assert_eq!(expected_shape("model.conformer.layers.0.conv_module.depthwise_conv.weight"), [1024, 1, 31]);
    let last_layer = "model.conformer.layers.11.final_layer_norm.weight";
    assert!(mismatch.missing.iter().any(|(name, shape)| name == last_layer && *shape == [1024]));
    assert!(!mismatch.missing.iter().any(|(name, _)| name.contains("layers.12.")));
}
