//! HuBERT, MERT and data2vec against their reference implementations; see `fixtures/golden/MANIFEST.md`.

use std::ops::ControlFlow;

use crate::common::{GoldenTensor, clips, device, fixture, tensors};
use solfa_learn::checkpoint::{Checkpoint, LoadedModel, WaveformTransformerModel};
use solfa_learn::embed::NetworkEncoder;
use solfa_learn::model::WaveformTransformer;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, LayerChoice};
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

fn encoder(case: &str) -> NetworkEncoder<WaveformTransformerModel> {
    NetworkEncoder::new(load(case), device(), 4)
}

/// Checks one item of a batch, shape and values.
#[track_caller]
fn assert_item(what: &str, found: &[f32], shape: &[usize], expected: &GoldenTensor, item: usize) {
    assert_eq!(shape, &expected.shape[1..], "{what}: shape");
    assert_golden(&format!("{what}, item {item}"), found, expected.item(item), TOLERANCE);
}

#[test]
fn every_hidden_state_is_the_references() {
    for (case, sample_rate) in CASES {
        let folder = fixture("golden").join(case);
        let clips = clips(&tensors(&folder.join("inputs.safetensors")), sample_rate);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let found = encoder(case).encode(&clips, &LayerChoice::All).unwrap();
        let num_expected = (0..).take_while(|layer| expected.contains_key(&format!("hidden_{layer}"))).count();
        assert_eq!((found.layers.len(), num_expected), (3, 3), "{case}: hidden states compared");
        for (layer, frames) in found.layers.iter().enumerate() {
            assert_eq!(frames.clips.len(), 2);
            for (item, frames) in frames.clips.iter().enumerate() {
                let what = format!("{case}: layer {layer}");
                let shape = [frames.num_frames(), frames.dim()];
                assert_item(&what, frames.data(), &shape, &expected[&format!("hidden_{layer}")], item);
            }
        }
    }
}

#[test]
fn every_attention_map_is_the_references() {
    for (case, sample_rate) in CASES {
        let folder = fixture("golden").join(case);
        let expected = tensors(&folder.join("outputs.safetensors"));
        let encoder = encoder(case);
        for (item, clip) in clips(&tensors(&folder.join("inputs.safetensors")), sample_rate).iter().enumerate() {
            let mut num_compared = 0;
            let mut visit = |maps: solfa_signal::encoder::AttentionMaps| {
                // The reference counts its layers from 0 on, and the maps are those of the layer that comes next.
                let expected = &expected[&format!("attention_{}", maps.layer - 1)];
                let shape = [maps.num_heads, maps.num_tokens, maps.num_tokens];
                assert_item(
                    &format!("{case}: attention of layer {}", maps.layer),
                    &maps.weights,
                    &shape,
                    expected,
                    item,
                );
                num_compared += 1;
                ControlFlow::Continue(())
            };
            encoder.attention_maps(clip, &LayerChoice::All, &mut visit).unwrap();
            assert_eq!(num_compared, 2, "{case}");
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
                assert_item(&format!("{case}: masked layer {layer}"), &found, &[frames, dim], expected, item);
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
        let encoder = encoder(case);
        let spec = encoder.spec();
        assert_eq!((spec.sample_rate, spec.attention_heads), (sample_rate, Some(4)));
        assert_eq!((spec.minimum_samples, spec.edge_samples, spec.layers[0].hop_samples), (400, 80, 320));
        check_encoder(&encoder, 20_000);
    }
}

#[test]
fn a_layer_alone_is_the_layer_of_all() {
    for (case, sample_rate) in CASES {
        let encoder = encoder(case);
        let clip = [musical_signal(12_000, sample_rate, 7)];
        let all = encoder.encode(&clip, &LayerChoice::All).unwrap();
        for layer in 0..all.layers.len() {
            let alone = encoder.encode(&clip, &LayerChoice::Numbers(vec![layer])).unwrap();
            assert!(alone.layers[0] == all.layers[layer], "{case}: layer {layer}");
        }
    }
}
