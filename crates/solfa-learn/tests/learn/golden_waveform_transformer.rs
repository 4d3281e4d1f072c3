//! HuBERT, MERT and data2vec against their reference implementations; see `fixtures/golden/MANIFEST.md`.

use std::ops::ControlFlow;

use crate::common::{GoldenTensor, clips, device, fixture, tensors};
use solfa_kernels::{Arithmetic, Precision};
use solfa_learn::checkpoint::{Checkpoint, LoadedModel, WaveformTransformerModel};
use solfa_learn::embed::NetworkEncoder;
use solfa_learn::model::WaveformTransformer;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{AttentionMaps, Encoder, LayerChoice};
use solfa_signal::testing::{assert_golden, check_encoder, musical_signal};

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

/// Each with its sample rate.
const CASES: [(&str, u32); 4] =
    [("mert-95m-tiny", 24_000), ("mert-330m-tiny", 24_000), ("music2vec-tiny", 16_000), ("mert-cqt-tiny", 16_000)];

fn load(case: &str) -> WaveformTransformerModel {
    let model = Checkpoint::open(&fixture("golden").join(case)).and_then(|checkpoint| checkpoint.load(&device()));
    match model {
        Ok(LoadedModel::WaveformTransformer(model)) => *model,
        Ok(_) => panic!("{case}: a model of another family"),
        Err(error) => panic!("{error}"),
    }
}

/// The network itself, and its plans for every set of instructions that this machine has.
fn candidates(case: &str) -> Vec<(String, Box<dyn Encoder>)> {
    let network: Box<dyn Encoder> = Box::new(NetworkEncoder::new(load(case), device(), 4));
    let planned = Arithmetic::available(Precision::F32).map(|arithmetic| {
        let encoder: Box<dyn Encoder> = Box::new(NetworkEncoder::new(load(case).into_plan(arithmetic), device(), 4));
        (format!("{case}, {}", arithmetic.instruction_set().name()), encoder)
    });
    std::iter::once((case.to_owned(), network)).chain(planned).collect()
}

/// Checks one item of a batch, shape and values.
#[track_caller]
fn assert_item(what: &str, found: &[f32], shape: &[usize], (expected, item): (&GoldenTensor, usize), tolerance: f64) {
    assert_eq!(shape, &expected.shape[1..], "{what}: shape");
    assert_golden(&format!("{what}, item {item}"), found, expected.item(item), tolerance);
}

#[test]
fn every_hidden_state_is_the_references() {
    for (case, sample_rate) in CASES {
        let folder = fixture("golden").join(case);
        let clips = clips(&tensors(&folder.join("inputs.safetensors")), sample_rate);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let num_expected = (0..).take_while(|layer| expected.contains_key(&format!("hidden_{layer}"))).count();
        for (name, encoder) in candidates(case) {
            let found = encoder.encode(&clips, &LayerChoice::All).unwrap();
            assert_eq!((found.layers.len(), num_expected), (3, 3), "{name}: hidden states compared");
            for (layer, frames) in found.layers.iter().enumerate() {
                assert_eq!(frames.clips.len(), 2);
                for (item, frames) in frames.clips.iter().enumerate() {
                    let what = format!("{name}: layer {layer}");
                    let shape = [frames.num_frames(), frames.dim()];
                    let expected = (&expected[&format!("hidden_{layer}")], item);
                    assert_item(&what, frames.data(), &shape, expected, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn every_attention_map_is_the_references() {
    for (case, sample_rate) in CASES {
        let folder = fixture("golden").join(case);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let clips = clips(&tensors(&folder.join("inputs.safetensors")), sample_rate);
        for (name, encoder) in candidates(case) {
            for (item, clip) in clips.iter().enumerate() {
                let mut num_compared = 0;
                let mut visit = |maps: AttentionMaps| {
                    // The reference counts its layers from 0 on, and the maps are those of the layer that comes next.
                    let expected = &expected[&format!("attention_{}", maps.layer - 1)];
                    let shape = [maps.num_heads, maps.num_tokens, maps.num_tokens];
                    let what = format!("{name}: attention of layer {}", maps.layer);
                    assert_item(&what, &maps.weights, &shape, (expected, item), TOLERANCE);
                    num_compared += 1;
                    ControlFlow::Continue(())
                };
                encoder.attention_maps(clip, &LayerChoice::All, &mut visit).unwrap();
                assert_eq!(num_compared, 2, "{name}");
            }
        }
    }
}

#[test]
fn masked_hidden_states_are_the_references() {
    for (case, sample_rate) in &CASES[..3] {
        let folder = fixture("golden").join(case);
        let inputs = tensors(&folder.join("inputs.safetensors"));
        let expected = tensors(&folder.join("outputs.safetensors"));
        let model = load(case);
        let lengths = [0, 1].map(|item| inputs["attention_mask"].item(item).iter().sum::<f32>() as usize);
        assert!(lengths[1] < lengths[0], "{case}: nothing is masked");
        // What was masked was silent: the norm over the whole clip sees it.
        let silent_from = |clip: &Waveform, length: usize| {
            let mut samples = clip.samples().to_vec();
            samples[length..].fill(0.0);
            Waveform::new(samples, *sample_rate)
        };
        let whole = clips(&inputs, *sample_rate);
        let clips: Vec<_> = whole.iter().zip(lengths).map(|(clip, length)| silent_from(clip, length)).collect();
        let frontend = &model.config.frontend;
        let num_frames = frontend.num_frames(clips[0].num_samples());
        let padding = WaveformTransformer::frame_padding(frontend, &lengths, num_frames, &device());
        let (waveforms, extra) = model.inputs(&clips, &device());
        let hidden_states = model.network.forward(waveforms, extra, Some(padding), 2, None);
        assert_eq!(hidden_states.len(), 3);
        for (layer, hidden) in hidden_states.into_iter().enumerate() {
            let expected = &expected[&format!("masked_hidden_{layer}")];
            for item in 0..clips.len() {
                let hidden = hidden.clone().narrow(0, item, 1);
                let [_, frames, dim] = hidden.dims();
                let found: Vec<f32> = hidden.into_data().try_to_vec().unwrap();
                let what = format!("{case}: masked layer {layer}");
                assert_item(&what, &found, &[frames, dim], (expected, item), TOLERANCE);
            }
        }
    }
}

#[test]
fn normalisation_and_the_constant_q_transform_are_the_references() {
    let folder = fixture("golden/mert-cqt-tiny");
    let expected = tensors(&folder.join("outputs.safetensors"));
    let model = load("mert-cqt-tiny");
    let clips = clips(&tensors(&folder.join("inputs.safetensors")), 16_000);
    let (waveforms, magnitudes) = model.inputs(&clips, &device());
    let waveforms: Vec<f32> = waveforms.into_data().try_to_vec().unwrap();
    assert_golden("normalised", &waveforms, &expected["normalized"].values, 1e-6);
    let magnitudes = magnitudes.unwrap();
    assert_eq!(magnitudes.dims()[..], expected["cqt"].shape[..]);
    let magnitudes: Vec<f32> = magnitudes.into_data().try_to_vec().unwrap();
    assert_golden("constant-Q transform", &magnitudes, &expected["cqt"].values, TOLERANCE);
}

#[test]
fn every_model_keeps_the_laws_of_encoders() {
    for (case, sample_rate) in CASES {
        let candidates = candidates(case);
        for (name, encoder) in &candidates {
            let spec = encoder.spec();
            assert_eq!((spec.sample_rate, spec.attention_heads), (sample_rate, Some(4)));
            assert_eq!((spec.minimum_samples, spec.edge_samples, spec.layers[0].hop_samples), (400, 80, 320));
            assert_eq!(spec.identity, candidates[0].1.spec().identity, "{name}");
            check_encoder(encoder.as_ref(), 20_000);
        }
    }
}

#[test]
fn a_layer_alone_is_the_layer_of_all() {
    for (case, sample_rate) in CASES {
        let clip = [musical_signal(12_000, sample_rate, 7)];
        for (name, encoder) in candidates(case) {
            let all = encoder.encode(&clip, &LayerChoice::All).unwrap();
            for layer in 0..all.layers.len() {
                let alone = encoder.encode(&clip, &LayerChoice::Numbers(vec![layer])).unwrap();
                assert!(alone.layers[0] == all.layers[layer], "{name}: layer {layer}");
            }
        }
    }
}
