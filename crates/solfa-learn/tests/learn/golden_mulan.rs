//! MuQ-MuLan against its reference implementation; see `fixtures/golden/MANIFEST.md`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::common::weights::{read_safetensors, write_safetensors};
use crate::common::{GoldenTensor, device, fixture, single_precision, tensors};
use serde_json::Value;
use solfa_learn::checkpoint::{Checkpoint, LoadedModel, MulanModel};
use solfa_learn::embed::{MulanAudioEncoder, NetworkEncoder, TextEncoder, TextError, encoder};
use solfa_signal::audio::{Waveform, WaveformSource};
use solfa_signal::encoder::{Encoder, LayerChoice, Tail};
use solfa_signal::extract::{ExtractedContent, extract};
use solfa_signal::frames::Pooling;
use solfa_signal::testing::{assert_golden, check_encoder, compare};
use solfa_signal::windows::{WindowLength, WindowPlan};
use tempfile::TempDir;

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

/// `mulan-tiny` has every part. Its outputs were made with values in a buffer that the reference does not save (the biases
/// of bias-less layer norms), so the checkpoint as it is saved has outputs of its own, and those buffers lie beside it for
/// [`tiny_as_computed`]. `mulan-released` is put together as the released model is: no transformer above the
/// audio model, no projection above the text model. It takes another hidden state than the last one.
const CASES: [&str; 2] = ["mulan-tiny", "mulan-released"];

fn folder(case: &str) -> PathBuf {
    fixture("golden").join(case)
}

/// The outputs that belong to a checkpoint as it is saved.
fn outputs(case: &str) -> HashMap<String, GoldenTensor> {
    let name = if case == "mulan-tiny" { "outputs_as_saved.safetensors" } else { "outputs.safetensors" };
    tensors(&folder(case).join(name))
}

/// `mulan-tiny` with the buffers in its weight file that its outputs were made with.
fn tiny_as_computed() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let files = ["config.json", "tiny-muq/config.json", "tiny-xlm-roberta-base/config.json"];
    for file in files.into_iter().chain(["tiny-xlm-roberta-base/tokenizer.json"]) {
        let target = copy.path().join(file);
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::copy(folder("mulan-tiny").join(file), target).unwrap();
    }
    let mut stored = read_safetensors(&folder("mulan-tiny").join("model.safetensors"));
    let unsaved = read_safetensors(&folder("mulan-tiny").join("unsaved_buffers.safetensors"));
    assert_eq!(unsaved.len(), 4);
    stored.extend(unsaved);
    write_safetensors(&copy.path().join("model.safetensors"), &stored);
    copy
}

fn load_folder(folder: &Path) -> LoadedModel {
    let checkpoint = Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}"));
    checkpoint.load(&device()).unwrap_or_else(|error| panic!("{error}"))
}

fn load(case: &str) -> LoadedModel {
    load_folder(&folder(case))
}

fn mulan(model: LoadedModel) -> MulanModel {
    let LoadedModel::Mulan(model) = model else { panic!("no MuQ-MuLan") };
    *model
}

fn load_mulan(case: &str) -> MulanModel {
    mulan(load(case))
}

fn encoders(case: &str) -> (NetworkEncoder<MulanAudioEncoder>, TextEncoder) {
    load_mulan(case).split(device(), 4, single_precision()).unwrap()
}

fn texts(case: &str) -> Value {
    serde_json::from_slice(&fs_err::read(folder(case).join("texts.json")).unwrap()).unwrap()
}

fn strings(texts: &Value) -> Vec<String> {
    serde_json::from_value(texts.clone()).unwrap()
}

/// A recording's vector: the mean of its clips', cut and wrapped round as by default.
fn recording(encoder: &dyn Encoder, samples: &[f32]) -> Vec<f32> {
    let spec = encoder.spec();
    let plan = WindowPlan::new(spec, WindowLength::Default, None, spec.default_tail).unwrap();
    let source = WaveformSource::new(Waveform::new(samples.to_vec(), spec.sample_rate));
    let layer = extract(source, encoder, &plan, &LayerChoice::Last, Pooling::Mean).unwrap().remove(0);
    assert_eq!(layer.num_frames as usize, samples.len().div_ceil(spec.clip_samples.unwrap()), "clips");
    let ExtractedContent::Pooled(vector) = layer.content else { panic!("not pooled") };
    vector
}

/// Less than half a clip: the reference repeats it once and takes the shorter clip.
#[test]
fn the_vector_of_a_short_recording_is_the_references() {
    let (audio, _) = encoders("mulan-tiny");
    let wav = &tensors(&folder("mulan-tiny").join("inputs.safetensors"))["wav"];
    let expected = &tensors(&folder("mulan-tiny").join("outputs_as_saved.safetensors"))["short_audio_latents"];
    let found = recording(&audio, &wav.item(0)[..14_400]);
    assert_golden("a recording of 0.6 s", &found, expected.item(0), TOLERANCE);
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The golden case as it was handed out, with what the reference had in memory and did not save.
#[test]
fn with_the_buffers_that_were_not_saved_all_outputs_are_the_references() {
    let checkpoint = tiny_as_computed();
    let (audio, text) = mulan(load_folder(checkpoint.path())).split(device(), 1, single_precision()).unwrap();
    let expected = tensors(&folder("mulan-tiny").join("outputs.safetensors"));
    let wav = &tensors(&folder("mulan-tiny").join("inputs.safetensors"))["wav"];
    let recording = recording(&audio, wav.item(0));
    assert_golden("recording", &recording, expected["audio_latents"].item(0), TOLERANCE);
    let texts = strings(&texts("mulan-tiny"));
    let vectors = text.encode_padded_together(&texts).unwrap();
    assert_eq!(vectors.len(), 4);
    for (item, vector) in vectors.iter().enumerate() {
        assert_golden(&texts[item], &vector.vector, expected["text_latents"].item(item), TOLERANCE);
    }
    let similarity: Vec<f32> = vectors.iter().map(|vector| dot(&recording, &vector.vector)).collect();
    assert_golden("similarity", &similarity, expected["similarity"].item(0), TOLERANCE);

    // They matter: this is not the checkpoint as it is saved.
    let saved = &outputs("mulan-tiny")["audio_latents"];
    assert!(compare(&recording, saved.item(0)).unwrap().relative() > 0.01);
}

#[test]
fn vectors_of_recordings_are_the_references() {
    let mut num_compared = 0;
    for case in CASES {
        let (audio, _) = encoders(case);
        let wav = &tensors(&folder(case).join("inputs.safetensors"))["wav"];
        let expected = &outputs(case)["audio_latents"];
        assert_eq!(expected.shape, [wav.shape[0], audio.spec().layers[0].dim]);
        for item in 0..wav.shape[0] {
            let found = recording(&audio, wav.item(item));
            assert_golden(&format!("{case}: recording {item}"), &found, expected.item(item), TOLERANCE);
            num_compared += 1;
        }
    }
    assert_eq!(num_compared, 3);
}

#[test]
fn tokens_are_the_references() {
    let model = load_mulan("mulan-tiny");
    let expected = outputs("mulan-tiny");
    let texts = strings(&texts("mulan-tiny"));
    assert_eq!(expected["input_ids"].shape, [4, 37]);
    assert_eq!(texts.len(), 4);
    for (item, text) in texts.iter().enumerate() {
        let mut tokens = model.text.tokenizer.encode(text).unwrap().tokens;
        let num_tokens: f32 = expected["attention_mask"].item(item).iter().sum();
        assert_eq!(tokens.len(), num_tokens as usize, "{text}");
        tokens.resize(37, model.text.tokenizer.padding_token());
        let found: Vec<f32> = tokens.iter().map(|&token| token as f32).collect();
        assert_eq!(found, expected["input_ids"].item(item), "{text}");
    }
}

/// English and Chinese, padded to the longest of a call as the reference does.
#[test]
fn vectors_of_texts_that_are_padded_together_are_the_references() {
    for (case, name) in [("mulan-tiny", "text_latents"), ("mulan-released", "text_latents_together")] {
        let (_, text) = encoders(case);
        let texts = texts(case);
        let texts = strings(texts.get("texts").unwrap_or(&texts));
        let expected = &outputs(case)[name];
        let found = text.encode_padded_together(&texts).unwrap();
        assert_eq!(found.len(), expected.shape[0]);
        for (item, found) in found.iter().enumerate() {
            assert!(!found.was_cut);
            assert_golden(&format!("{case}: {}", texts[item]), &found.vector, expected.item(item), TOLERANCE);
        }
    }
}

#[test]
fn vectors_of_texts_alone_are_the_references() {
    let (_, text) = encoders("mulan-released");
    let fields = texts("mulan-released");
    let expected = &outputs("mulan-released")["text_latents_alone"];
    let (texts, num_tokens): (_, Vec<usize>) =
        (strings(&fields["texts"]), serde_json::from_value(fields["num_tokens"].clone()).unwrap());
    let found = text.encode(&texts).unwrap();
    assert_eq!(expected.shape, [3, 12]);
    assert_eq!(found.len(), 3);
    for (item, found) in found.iter().enumerate() {
        assert_eq!((found.num_tokens, found.was_cut), (num_tokens[item], false));
        assert_golden(&texts[item], &found.vector, expected.item(item), TOLERANCE);
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_as_the_references_tokenizer_cuts_it() {
    let (_, text) = encoders("mulan-released");
    let long_text = texts("mulan-released")["long_text"].as_str().unwrap().to_owned();
    let found = text.encode(std::slice::from_ref(&long_text)).unwrap().remove(0);
    assert_eq!((found.num_tokens, found.was_cut), (40, true));
    assert_eq!(text.maximum_tokens(), 40);
    let expected = &outputs("mulan-released")["cut_latents"];
    assert_golden("cut", &found.vector, expected.item(0), TOLERANCE);

    // What is cut off has no effect, and a text that just fits is not cut.
    let longer = format!("{long_text}{}", " slow piano".repeat(1_000));
    assert_eq!(text.encode(&[longer]).unwrap()[0], found);
    let model = load_mulan("mulan-released");
    let letters = |number: usize| "q ".repeat(number);
    let fits = (1..).take_while(|&number| !model.text.tokenizer.encode(&letters(number)).unwrap().was_cut).count();
    let fitting = text.encode(&[letters(fits), letters(fits + 1)]).unwrap();
    assert_eq!((fitting[0].was_cut, fitting[1].was_cut), (false, true));
    assert!((39..=40).contains(&fitting[0].num_tokens), "{}", fitting[0].num_tokens);
    assert_eq!(fitting[1].num_tokens, 40);
}

#[test]
fn similarities_are_the_references() {
    let mut num_compared = 0;
    for case in CASES {
        let (audio, text) = encoders(case);
        let fields = texts(case);
        let texts = strings(fields.get("texts").unwrap_or(&fields));
        let vectors = match case {
            "mulan-tiny" => text.encode_padded_together(&texts),
            _ => text.encode(&texts),
        };
        let vectors = vectors.unwrap();
        let wav = &tensors(&folder(case).join("inputs.safetensors"))["wav"];
        let expected = &outputs(case)["similarity"];
        assert_eq!(expected.shape, [wav.shape[0], texts.len()]);
        for item in 0..wav.shape[0] {
            let recording = recording(&audio, wav.item(item));
            let found: Vec<f32> = vectors.iter().map(|text| dot(&recording, &text.vector)).collect();
            assert_golden(&format!("{case}: similarity {item}"), &found, expected.item(item), TOLERANCE);
            num_compared += found.len();
        }
    }
    assert_eq!(num_compared, 4 + 6);
}

#[test]
fn the_audio_tower_keeps_the_laws_of_encoders() {
    for case in CASES {
        let encoder = encoder(load(case), device(), 4, single_precision()).unwrap();
        let spec = encoder.spec();
        let seconds = if case == "mulan-tiny" { 2 } else { 1 };
        assert_eq!(spec.clip_samples, Some(24_000 * seconds));
        assert_eq!(spec.default_window_seconds, seconds as f64);
        assert_eq!((spec.default_tail, spec.layers.len()), (Tail::Wrap, 1));
        check_encoder(encoder.as_ref(), 24_000);
    }
}

#[test]
fn a_text_gives_the_same_bits_whatever_it_is_called_with() {
    let (_, text) = encoders("mulan-tiny");
    let texts = strings(&texts("mulan-tiny"));
    let together = text.encode(&texts).unwrap();
    for (index, one) in texts.iter().enumerate() {
        assert_eq!(text.encode(std::slice::from_ref(one)).unwrap(), [together[index].clone()], "{one}");
        assert_eq!(text.encode_padded_together(std::slice::from_ref(one)).unwrap(), [together[index].clone()], "{one}");
    }
    assert_eq!(text.encode(&texts).unwrap(), together, "twice the same texts");

    // Padded to a longer text, all but the longest are other vectors: the reference lets the padding count.
    let padded = text.encode_padded_together(&texts).unwrap();
    let similarities: Vec<f32> =
        padded.iter().zip(&together).map(|(padded, alone)| dot(&padded.vector, &alone.vector)).collect();
    assert!(similarities[0] > 0.999_99, "{similarities:?}");
    assert!(similarities[1..].iter().all(|&similarity| similarity < 0.999), "{similarities:?}");
    assert_eq!(text.encode_padded_together(&[""; 0]), Ok(Vec::new()));
    assert_eq!(text.encode(&[""; 0]), Ok(Vec::new()));
}

#[test]
fn texts_without_words_are_errors() {
    let (_, text) = encoders("mulan-tiny");
    for empty in ["", " ", "\n\t", "\u{3000}"] {
        let found = empty.to_owned();
        assert_eq!(text.encode(&["piano", empty]), Err(TextError::Empty { index: 1, found: found.clone() }));
        let error = text.encode_padded_together(&[empty]).unwrap_err();
        assert_eq!(error, TextError::Empty { index: 0, found });
        assert!(error.to_string().contains("text number 1 is empty"), "{error}");
    }
}

/// Anything that can be typed has a vector, special tokens included.
#[test]
fn strange_texts_are_texts() {
    let (_, text) = encoders("mulan-tiny");
    for strange in
        ["🎻", "\u{0}", "<s>", "<pad>", "</s><pad><mask> piano", "\u{202e}abc", "e\u{301}", &"♪".repeat(9_999)]
    {
        let found = text.encode(&[strange]).unwrap().remove(0);
        assert!((dot(&found.vector, &found.vector) - 1.0).abs() < 1e-5, "{strange:?}");
    }
}

#[test]
fn sound_and_text_of_one_checkpoint_are_of_one_space() {
    let mut identities = Vec::new();
    for case in CASES {
        let (audio, text) = encoders(case);
        assert_eq!(audio.network().joint_space_identity(), text.joint_space_identity());
        assert_eq!(audio.spec().identity, text.joint_space_identity());
        assert_ne!(text.identity(), text.joint_space_identity());
        identities.push(text.joint_space_identity().to_owned());
    }
    assert_ne!(identities[0], identities[1]);
}
