//! MuQ and MusicFM against their reference implementations; see `fixtures/golden/MANIFEST.md`.

use crate::common::{clips, device, fixture, load, tensors};
use burn::tensor::{Bool, Tensor, TensorData};
use solfa_kernels::{Arithmetic, Precision};
use solfa_learn::embed::{NetworkEncoder, tokenize};
use solfa_learn::model::MelConformer;
use solfa_signal::audio::WaveformSource;
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::testing::{assert_golden, check_encoder, compare, musical_signal};

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

/// The same for the spectrogram in decibels: its quietest values, 95 dB down, show the rounding noise of the reference's
/// single-precision FFT. What the network makes of them is within [`TOLERANCE`].
const MEL_TOLERANCE: f64 = 2e-4;

const CASES: [&str; 3] = ["muq-25hz", "muq-50hz", "musicfm-tiny"];

#[test]
fn every_hidden_state_is_the_references() {
    for case in CASES {
        let folder = fixture("golden").join(case);
        check_hidden_states(case, "module", &NetworkEncoder::new(load(&folder), device(), 1));
        for arithmetic in Arithmetic::available(Precision::F32) {
            let encoder = NetworkEncoder::new(load(&folder).into_plan(arithmetic), device(), 1);
            check_hidden_states(case, &format!("{arithmetic:?}"), &encoder);
        }
    }
}

/// Every hidden state of both clips of a case.
fn check_hidden_states(case: &str, how: &str, encoder: &dyn Encoder) {
    let folder = fixture("golden").join(case);
    let clips = clips(&tensors(&folder.join("inputs.safetensors")), 24_000);
    let expected = tensors(&folder.join("outputs.safetensors"));
    let found = encoder.encode(&clips, &LayerChoice::All).unwrap();
    let num_expected = (0..).take_while(|layer| expected.contains_key(&format!("hidden_{layer}"))).count();
    assert_eq!(found.layers.len(), num_expected, "{case}: number of hidden states");
    assert_eq!(num_expected, 3, "{case}: hidden states compared");
    for (layer, frames) in found.layers.iter().enumerate() {
        let expected = &expected[&format!("hidden_{layer}")];
        assert_eq!(frames.clips.len(), 2);
        for (item, frames) in frames.clips.iter().enumerate() {
            assert_eq!([2, frames.num_frames(), frames.dim()], expected.shape[..], "{case}: shape of layer {layer}");
            let what = format!("{case}, {how}: layer {layer}, item {item}");
            assert_golden(&what, frames.data(), expected.item(item), TOLERANCE);
        }
    }
}

#[test]
fn the_spectrogram_the_logits_and_masked_hidden_states_are_the_references() {
    for case in CASES {
        let folder = fixture("golden").join(case);
        let inputs = tensors(&folder.join("inputs.safetensors"));
        let expected = tensors(&folder.join("outputs.safetensors"));
        let clips = clips(&inputs, 24_000);
        let encoder = NetworkEncoder::new(load(&folder), device(), 1);
        let network = &encoder.network().network;
        let last_layer = encoder.spec().layers.len() - 1;
        let compare = |name: &str, found: Tensor<3>, item: usize| {
            let expected = &expected[name];
            assert_eq!(found.dims()[1..], expected.shape[1..], "{case}: shape of {name}");
            let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
            let tolerance = if name == "mel" { MEL_TOLERANCE } else { TOLERANCE };
            assert_golden(&format!("{case}: {name}, item {item}"), &found, expected.item(item), tolerance);
        };
        for (item, clip) in clips.iter().enumerate() {
            let mel = encoder.network().normalized_mel(std::slice::from_ref(clip), &device());
            let hidden_states = network.forward(mel.clone(), None, last_layer, None);
            compare("logits", network.logits(hidden_states[last_layer].clone()), item);
            if case == "musicfm-tiny" {
                continue; // The case has neither the spectrogram nor masked hidden states.
            }
            compare("mel", mel.clone(), item);
            compare("conv", hidden_states[0].clone(), item);
            let mask: Vec<bool> = inputs["attention_mask"].item(item).iter().map(|&value| value == 0.0).collect();
            let samples = mask.len();
            let sample_padding = Tensor::<2, Bool>::from_data(TensorData::new(mask, [1, samples]), &device());
            let padding = MelConformer::frame_padding(sample_padding, hidden_states[0].dims()[1]);
            let masked = network.forward(mel, Some(padding), last_layer, None);
            for (layer, hidden) in masked.into_iter().enumerate() {
                compare(&format!("masked_hidden_{layer}"), hidden, item);
            }
        }
    }
}

#[test]
fn tokens_are_the_references() {
    for (case, name) in [("muq-25hz", "codes"), ("muq-50hz", "codes"), ("musicfm-tiny", "tokens")] {
        let folder = fixture("golden").join(case);
        let model = load(&folder);
        let expected = tensors(&folder.join("outputs.safetensors"));
        for (item, clip) in clips(&tensors(&folder.join("inputs.safetensors")), 24_000).into_iter().enumerate() {
            let tokens = tokenize(WaveformSource::new(clip), &model, &device()).unwrap();
            assert_eq!(tokens.frames_per_second, if case == "muq-50hz" { 50.0 } else { 25.0 });
            let found: Vec<f32> = tokens.codes.concat().iter().map(|&code| code as f32).collect();
            assert_codes(&format!("{case}: {name}, item {item}"), &found, expected[name].item(item));
        }
    }
}

/// Codes are whole numbers: they are equal, or they are wrong. The canary is the same comparison with one code changed.
fn assert_codes(what: &str, found: &[f32], expected: &[f32]) {
    let differ = |found: &[f32]| compare(found, expected).unwrap().max_difference >= 1.0;
    assert!(!differ(found), "{what}: {:?}", compare(found, expected));
    let mut perturbed = found.to_vec();
    perturbed[found.len() / 2] += 1.0;
    assert!(differ(&perturbed), "{what}: the canary was not rejected");
}

#[test]
fn what_the_quantiser_keeps_of_the_spectrogram_is_the_references() {
    for case in ["muq-25hz", "muq-50hz"] {
        let folder = fixture("golden").join(case);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let encoder = NetworkEncoder::new(load(&folder), device(), 1);
        let Some(solfa_learn::targets::MelTokenizer::MelRvq(quantizer)) = &encoder.network().tokenizer else {
            panic!("{case}: MuQ without Mel-RVQ")
        };
        for (item, clip) in clips(&tensors(&folder.join("inputs.safetensors")), 24_000).iter().enumerate() {
            let mel = encoder.network().normalized_mel(std::slice::from_ref(clip), &device()).swap_dims(1, 2);
            let stacked = solfa_learn::targets::stack_frames(mel, encoder.network().fold);
            // [1, frames, dim] -> [1, dim, frames], as the reference has it
            let found = quantizer.quantize(stacked).reconstruction.swap_dims(1, 2);
            let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
            assert_golden(case, &found, expected["rvq_reconstruction"].item(item), TOLERANCE);
        }
    }
}

#[test]
fn every_model_keeps_the_laws_of_encoders() {
    for case in CASES {
        check_encoder(&NetworkEncoder::new(load(&fixture("golden").join(case)), device(), 4), 24_000);
    }
}

#[test]
fn a_layer_alone_is_the_layer_of_all() {
    let encoder = NetworkEncoder::new(load(&fixture("golden/muq-25hz")), device(), 1);
    let clip = [musical_signal(30_000, 24_000, 7)];
    let all = encoder.encode(&clip, &LayerChoice::All).unwrap();
    for layer in 0..all.layers.len() {
        let alone = encoder.encode(&clip, &LayerChoice::Numbers(vec![layer])).unwrap();
        assert!(alone.layers[0] == all.layers[layer], "layer {layer}");
    }
}

#[test]
fn tokens_of_a_long_recording_do_not_depend_on_windows() {
    let model = load(&fixture("golden/muq-25hz"));
    let clip = musical_signal(24_000 * 70 + 777, 24_000, 3);
    let encoder = NetworkEncoder::new(load(&fixture("golden/muq-25hz")), device(), 1);
    let mel = encoder.network().normalized_mel(std::slice::from_ref(&clip), &device());
    let whole = encoder.network().codes(mel).unwrap();
    let whole: Vec<i64> = whole.into_data().convert::<i64>().try_to_vec().unwrap();
    let tokens = tokenize(WaveformSource::new(clip), &model, &device()).unwrap();
    assert_eq!(tokens.codes.concat(), whole);
}
