//! The multi-view ResNet against its reference implementation, and its files; see `fixtures/golden/MANIFEST.md`.

use std::path::{Path, PathBuf};

use crate::common::weights::{Pickled, StoredTensor, Tensors, read_pytorch, write_pytorch};
use crate::common::{assert_error, clips, device, fixture, tensors};
use safetensors::Dtype;
use solfa_learn::checkpoint::{Checkpoint, CheckpointError, LoadedModel, MultiViewModel};
use solfa_learn::embed::NetworkEncoder;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{EncodeError, Encoder, LayerChoice, Tail};
use solfa_signal::testing::{assert_golden, check_encoder, compare, musical_signal};
use tempfile::TempDir;

/// Largest difference allowed, as a share of the expected root mean square.
const TOLERANCE: f64 = 1e-4;

const WEIGHTS: &str = "contrastive.pt";

fn case() -> PathBuf {
    fixture("golden/multi-view-tiny")
}

fn try_load(path: &Path) -> Result<MultiViewModel, CheckpointError> {
    let LoadedModel::MultiView(model) = Checkpoint::open(path)?.load(&device())? else {
        panic!("{}: a model of another family", path.display())
    };
    Ok(*model)
}

fn encoder(path: &Path) -> NetworkEncoder<MultiViewModel> {
    NetworkEncoder::new(try_load(path).unwrap_or_else(|error| panic!("{error}")), device(), 4)
}

/// Compares all that a case holds, for both of its clips; the number of comparisons.
fn compare_with_case(folder: &Path, weights: &Path) -> usize {
    let expected = tensors(&folder.join("outputs.safetensors"));
    let clips = clips(&tensors(&folder.join("inputs.safetensors")), 16_000);
    let encoder = encoder(weights);
    let batch = encoder.encode(&clips, &LayerChoice::All).unwrap();
    let layers = ["stage_1", "stage_2", "stage_3", "stage_4", "embedding"];
    assert_eq!(batch.layers.len(), layers.len());
    let mut num_compared = 0;
    let mut check = |name: &str, item: usize, found: &[f32]| {
        let Some(expected) = expected.get(name) else { return };
        assert_eq!(expected.shape[0], 2, "{name}: clips");
        assert_golden(&format!("{name}, item {item}"), found, expected.item(item), TOLERANCE);
        num_compared += 1;
    };
    for (item, clip) in clips.iter().enumerate() {
        let mel = encoder.network().mel_decibels(std::slice::from_ref(clip), &device());
        assert_eq!(mel.dims(), [1, 128, 126]);
        check("mel_db", item, &mel.into_data().try_to_vec::<f32>().unwrap());
        for (name, layer) in layers.iter().zip(&batch.layers) {
            check(name, item, layer.clips[item].data());
        }
    }
    num_compared
}

#[test]
fn every_layer_is_the_references() {
    assert_eq!(compare_with_case(&case(), &case()), 2 * 6);
}

/// The network at its published size, 12 MB that lie beside the repository and not in it.
#[test]
fn the_full_size_network_is_the_releases() {
    let folder = fixture("../../shared/golden/deezer-resnet");
    if !folder.is_dir() {
        println!("skipped: there is no ../shared/golden/deezer-resnet beside the repository");
        return;
    }
    assert_eq!(compare_with_case(&folder, &folder.join(WEIGHTS)), 2 * 2);
}

#[test]
fn keeps_the_laws_of_encoders() {
    let encoder = encoder(&case());
    check_encoder(&encoder, 64_000);
    let spec = encoder.spec();
    assert_eq!((spec.clip_samples, spec.default_window_seconds, spec.default_tail), (Some(64_000), 4.0, Tail::Drop));
    let names: Vec<_> = spec.layers.iter().map(|layer| (layer.name.as_str(), layer.dim)).collect();
    assert_eq!(names, [("stage 1", 16), ("stage 2", 32), ("stage 3", 64), ("stage 4", 128), ("embedding", 32)]);
}

#[test]
fn clips_are_taken_as_loud_as_they_are() {
    let encoder = encoder(&case());
    let clip = musical_signal(64_000, 16_000, 1);
    let quieter = Waveform::new(clip.samples().iter().map(|sample| 0.5 * sample).collect(), 16_000);
    let batch = encoder.encode(&[clip, quieter], &LayerChoice::Last).unwrap();
    let difference = compare(batch.layers[0].clips[0].data(), batch.layers[0].clips[1].data()).unwrap();
    assert!(difference.relative() > 1e-3, "{difference:?}");
}

/// The case's checkpoint with changed tensors, under another name.
fn with(name: &str, change: impl FnOnce(&mut Tensors)) -> TempDir {
    let mut tensors = read_pytorch(&case().join(WEIGHTS), "model");
    change(&mut tensors);
    write(name, tensors)
}

fn write(name: &str, tensors: Tensors) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let contents = Pickled::Dictionary(vec![("model", Pickled::Tensors(tensors)), ("epoch", Pickled::Number(7))]);
    write_pytorch(&folder.path().join(name), &contents);
    folder
}

/// What the encoder makes of a sound, as bits.
fn bits(path: &Path) -> Vec<Vec<u32>> {
    let batch = encoder(path).encode(&[musical_signal(64_000, 16_000, 9)], &LayerChoice::All).unwrap();
    let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect();
    batch.layers.iter().map(|layer| bits(layer.clips[0].data())).collect()
}

/// BYOL and clustering keep a student, a teacher and their heads. The student is what counts.
#[test]
fn students_of_byol_and_clustering_are_the_same_encoder() {
    let expected = bits(&case());
    assert_eq!(bits(with("barlow_twins.pt", |_| ()).path()), expected);
    for name in ["byol.pt", "clustering.pt"] {
        let folder = with(name, |tensors| {
            for (name, tensor) in std::mem::take(tensors) {
                let zeros = StoredTensor { bytes: vec![0; tensor.bytes.len()], ..tensor.clone() };
                tensors.insert(name.replacen("module.", "teacher.", 1), zeros);
                tensors.insert(format!("student.{name}"), tensor);
            }
            if name == "byol.pt" {
                tensors.insert("projector.ops.0.weight".into(), StoredTensor::from_floats(&[1, 1], [1.0]));
            }
        });
        assert_eq!(bits(folder.path()), expected, "{name}");
    }
}

/// Checks that loading fails, with a message that has all these parts in it.
#[track_caller]
fn assert_refused(folder: &TempDir, parts: &[&str]) {
    assert_error(try_load(folder.path()), &[&["x.pt"], parts].concat());
}

const EMBEDDING: &str = "module.backbone.embedding.";

#[test]
fn checkpoints_that_are_not_understood() {
    let named = |name: &str| format!("{EMBEDDING}{name}");
    type Change<'a> = &'a dyn Fn(&mut Tensors);
    let reshape = |name: &'static str, shape: &'static [usize]| {
        move |tensors: &mut Tensors| {
            let tensor = StoredTensor::from_floats(shape, vec![0.5; shape.iter().product()]);
            assert!(tensors.insert(format!("{EMBEDDING}{name}"), tensor).is_some());
        }
    };
    let remove = |name: &'static str| {
        move |tensors: &mut Tensors| assert!(tensors.remove(&format!("module.backbone.{name}")).is_some())
    };
    let cases: [(Change<'_>, &[&str]); 14] = [
        (&remove("embedding.bn1.running_var"), &["missing from the file (1)", "bn1.running_var [2]"]),
        (&remove("embedding.conv3.weight"), &["missing", "conv3.weight [16, 8, 3, 3]"]),
        (&remove("embedding.attnpool.c_proj.bias"), &["missing from the file (1)", "attnpool.c_proj.bias [32]"]),
        (&remove("spec.spec.mel_scale.fb"), &["missing from the file (1)", "mel_scale.fb [513, 128]"]),
        (&remove("spec.spec.spectrogram.window"), &["missing from the file (1)", "window [1024]"]),
        (&reshape("conv1.weight", &[2, 2, 3, 3]), &["conv1.weight: expected [2, 1, 3, 3], found [2, 2, 3, 3]"]),
        (&reshape("conv3.weight", &[3, 2, 3, 3]), &["expected an even number, found 3"]),
        (&reshape("conv3.weight", &[0, 2, 3, 3]), &["expected 1 to 4096, found 0"]),
        (&reshape("conv3.weight", &[]), &["conv3.weight: expected [16, 8, 3, 3], found []"]),
        (&reshape("conv3.weight", &[4098, 1, 1, 1]), &["expected 1 to 4096, found 4098"]),
        (&reshape("conv3.weight", &[4096, 1, 1, 1]), &["conv3.weight: expected [4096, 2048, 3, 3]"]),
        (&reshape("attnpool.c_proj.weight", &[65_537, 1]), &["expected 1 to 65536, found 65537"]),
        (
            // A clip of another length.
            &reshape("attnpool.positional_embedding", &[17, 128]),
            &["positional_embedding: expected [13, 128], found [17, 128]"],
        ),
        (
            &|tensors| {
                let counter = StoredTensor { dtype: Dtype::I64, shape: vec![2], bytes: vec![0; 16] };
                tensors.insert(named("bn1.bias"), counter);
            },
            &["of another type (1)", "bn1.bias: expected floats, found I64"],
        ),
    ];
    for (change, parts) in cases {
        assert_refused(&with("x.pt", change), parts);
    }
    assert_refused(
        &with("x.pt", |tensors| {
            assert!(tensors.insert(named("surprise"), tensors[&named("bn1.bias")].clone()).is_none())
        }),
        &["not part of the model (1)", "surprise [2]"],
    );
    // A block in the middle of a stage is not there: what comes after it belongs to nothing.
    assert_refused(
        &with("x.pt", |tensors| tensors.retain(|name, _| !name.starts_with(&named("layer3.2.")))),
        &["not part of the model", "layer3.3.bn1.bias"],
    );
    // A teacher without its student is no encoder that the release would load.
    assert_refused(
        &with("x.pt", |tensors| {
            *tensors = std::mem::take(tensors)
                .into_iter()
                .map(|(name, tensor)| (name.replacen("module.", "teacher.", 1), tensor))
                .collect();
        }),
        &["expected tensors of MusicFM", "`student.module.backbone....`", "found `teacher.backbone.embedding.attnpool"],
    );
}

#[test]
fn stages_of_thousands_of_blocks_are_refused_at_once() {
    let block =
        read_pytorch(&case().join(WEIGHTS), "model").remove("module.backbone.embedding.layer1.1.conv1.weight").unwrap();
    let folder = with("x.pt", |tensors| {
        tensors.extend((0..2000).map(|number| (format!("{EMBEDDING}layer1.{number}.conv1.weight"), block.clone())));
    });
    assert_refused(&folder, &["blocks of a stage: expected 1 to 256, found 257"]);
}

#[test]
fn weights_that_give_no_numbers_are_an_error_of_the_encoder() {
    let folder = with("x.pt", |tensors| {
        let tensor = StoredTensor::from_floats(&[2], [f32::NAN, 1.0]);
        tensors.insert(format!("{EMBEDDING}bn1.weight"), tensor);
    });
    let encoded = encoder(folder.path()).encode(&[musical_signal(64_000, 16_000, 1)], &LayerChoice::Last);
    assert!(matches!(encoded, Err(EncodeError::NonFinite { .. })), "{encoded:?}");
}
