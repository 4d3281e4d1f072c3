//! Several clips in one pass of a network give what each gives alone.
//!
//! On the processor an encoder gives every clip a pass of its own, so the laws of encoders do not see this; on other
//! devices clips of equal length share one.

use crate::common::{device, fixture, single_precision};
use burn::tensor::Tensor;
use solfa_learn::checkpoint::{Checkpoint, LoadedModel};
use solfa_learn::embed::{HiddenState, Network};
use solfa_signal::testing::{assert_close, musical_signal};

/// Sums are added in another order, and nothing else may differ.
const TOLERANCE: f64 = 1e-4;

const CASES: [&str; 12] = [
    "muq-25hz",
    "muq-50hz",
    "musicfm-tiny",
    "mert-95m-tiny",
    "mert-330m-tiny",
    "mert-cqt-tiny",
    "music2vec-tiny",
    "mert2-tiny",
    "mulan-tiny",
    "multi-view-tiny",
    "vit1d-learned",
    "vit1d-rotary",
];

#[test]
fn clips_that_share_a_pass_do_not_know_of_each_other() {
    for case in CASES {
        let model = Checkpoint::open(&fixture("golden").join(case)).unwrap().load(&device()).unwrap();
        match model {
            LoadedModel::MelConformer(model) => check(case, model.as_ref()),
            LoadedModel::WaveformTransformer(model) => check(case, model.as_ref()),
            LoadedModel::Mert2(model) => check(case, model.as_ref()),
            LoadedModel::MultiView(model) => check(case, model.as_ref()),
            LoadedModel::Vit1d(model) => check(case, model.as_ref()),
            LoadedModel::MelRvq(model) => check(case, model.as_ref()),
            LoadedModel::Mulan(model) => check(case, model.split(device(), 1, single_precision()).unwrap().0.network()),
        }
    }
}

fn check(case: &str, network: &impl Network) {
    let spec = network.encoder_spec();
    let longest = spec.clip_samples.or(spec.maximum_samples).unwrap_or(usize::MAX);
    let num_samples = longest.min(spec.sample_rate as usize).max(spec.minimum_samples);
    let clips = [1, 2, 3].map(|seed| musical_signal(num_samples, spec.sample_rate, seed));
    let last_layer = spec.layers.len() - 1;
    let together = network.hidden_states(&clips, &device(), last_layer, None);
    assert_eq!(together.len(), spec.layers.len(), "{case}");
    for (item, clip) in clips.iter().enumerate() {
        let alone = network.hidden_states(std::slice::from_ref(clip), &device(), last_layer, None);
        for (layer, (together, alone)) in together.iter().zip(&alone).enumerate() {
            let HiddenState { frames, class_token } = together.clone();
            let what = format!("{case}: layer {layer}, clip {item}");
            assert_close(&what, &values(frames.narrow(0, item, 1)), &values(alone.frames.clone()), TOLERANCE);
            assert_eq!(class_token.is_some(), spec.has_class_token, "{what}");
            if let (Some(together), Some(alone)) = (class_token, alone.class_token.clone()) {
                assert_close(&what, &values(together.narrow(0, item, 1)), &values(alone), TOLERANCE);
            }
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}
