//! Models written in published layouts: what is loaded again gives the same vectors and tokens, bit for bit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use solfa_learn::checkpoint::{Checkpoint, CheckpointError, ExportFormat, LoadedModel};
use solfa_learn::embed::{encoder, tokenize};
use solfa_signal::audio::WaveformSource;
use solfa_signal::encoder::LayerChoice;
use solfa_signal::testing::musical_signal;
use tempfile::TempDir;

use crate::common::weights::read_pytorch;
use crate::common::{device, fixture, single_precision};

use ExportFormat::{Data2VecHf, HubertHf, Mert2Hf, MertHf, MulanHf, MultiView, MuqHf, MusicFm, Vit1d};

/// Every tiny model, and the layouts that can hold it, its own one first.
const CASES: [(&str, &[ExportFormat]); 15] = [
    ("golden/muq-25hz", &[MuqHf]),
    ("golden/muq-50hz", &[MuqHf]),
    ("layouts/muq-50hz-bin", &[MuqHf]),
    // Its window and mel bands are random, which MuQ's layout has no place for.
    ("golden/musicfm-tiny", &[MusicFm]),
    ("golden/mert-95m-tiny", &[HubertHf, MertHf]),
    ("golden/mert-330m-tiny", &[HubertHf, MertHf]),
    // A constant-Q transform and DeepNet's residuals, which the library has not.
    ("golden/mert-cqt-tiny", &[MertHf]),
    ("golden/music2vec-tiny", &[Data2VecHf]),
    ("golden/mert2-tiny", &[Mert2Hf]),
    ("golden/multi-view-tiny/contrastive.pt", &[MultiView]),
    ("golden/mulan-tiny", &[MulanHf]),
    ("golden/mulan-released", &[MulanHf]),
    ("golden/vit1d-learned", &[Vit1d]),
    ("golden/vit1d-rotary", &[Vit1d]),
    ("golden/vit1d-rotary/model.safetensors", &[Vit1d]),
];

fn load(path: &Path) -> LoadedModel {
    try_load(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn try_load(path: &Path) -> Result<LoadedModel, CheckpointError> {
    Checkpoint::open(path)?.load(&device())
}

/// Every value of every layer for a clip, and of the tokens and texts where the model has them.
fn vectors(model: LoadedModel) -> Vec<Vec<u32>> {
    let mut found = Vec::new();
    match &model {
        LoadedModel::MelConformer(model) => {
            let clip = musical_signal(48_000, 24_000, 3);
            let tokens = tokenize(WaveformSource::new(clip), model, &device()).unwrap();
            assert!(!tokens.codes.is_empty());
            found.extend(tokens.codes.iter().map(|codes| codes.iter().map(|&code| code as u32).collect()));
        }
        LoadedModel::Mulan(model) => {
            found.push(vec![model.logit_scale.map_or(0, |scale| (scale as f32).to_bits())]);
            found.push(model.text.tokenizer.encode("a sad piano").unwrap().tokens);
        }
        _ => {}
    }
    if let LoadedModel::Mulan(model) = model {
        let (audio, text) = model.split(device(), 4, single_precision()).unwrap();
        let texts = ["a sad piano".to_owned(), "b".to_owned()];
        found.extend(text.encode(&texts).unwrap().iter().map(|embedding| bits(&embedding.vector)));
        found.extend(layers(&audio));
        return found;
    }
    found.extend(layers(&*encoder(model, device(), 4, single_precision()).unwrap()));
    found
}

fn layers(encoder: &dyn solfa_signal::encoder::Encoder) -> Vec<Vec<u32>> {
    let spec = encoder.spec();
    let num_samples = spec.clip_samples.unwrap_or(spec.minimum_samples.max(spec.sample_rate as usize / 2));
    let clip = musical_signal(num_samples, spec.sample_rate, 3);
    let batch = encoder.encode(&[clip], &LayerChoice::All).unwrap();
    batch.layers.iter().map(|layer| bits(layer.clips[0].data())).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All files below a folder by their names.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs_err::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn what_is_exported_gives_the_same_vectors_and_tokens_and_bytes() {
    for (case, formats) in CASES {
        let path = fixture(case);
        let expected = vectors(load(&path));
        assert!(expected.iter().all(|values| !values.is_empty()), "{case}");
        for &format in formats {
            let what = format!("{case} as {format}");
            let place = TempDir::new().unwrap();
            let [once, twice] = ["once", "twice"].map(|name| place.path().join(name));
            let model = load(&path);
            assert_eq!(model.formats(), formats, "{what}");
            let written = model.export(format, &once).unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut names = written.clone();
            names.sort();
            assert_eq!(names, files(&once).into_keys().collect::<Vec<_>>(), "{what}");
            let exported = load(&once);
            assert!(exported.notes().is_empty(), "{what}: {:?}", exported.notes());
            exported.export(format, &twice).unwrap();
            assert!(vectors(exported) == expected, "{what}: other vectors");
            let relative = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
                let strip = |(path, bytes): (PathBuf, _)| (path.strip_prefix(folder).unwrap().to_owned(), bytes);
                files(folder).into_iter().map(strip).collect()
            };
            assert!(relative(&once) == relative(&twice), "{what}: the export's export has other bytes");
        }
    }
}

#[test]
fn a_layout_of_another_network_is_refused_and_leaves_nothing() {
    let place = TempDir::new().unwrap();
    for (case, fitting) in CASES {
        let model = load(&fixture(case));
        for format in ExportFormat::ALL.into_iter().filter(|format| !fitting.contains(format)) {
            let error = model.export(format, &place.path().join("new/model")).unwrap_err().to_string();
            let names: Vec<&str> = fitting.iter().map(|format| format.name()).collect();
            let expected = format!("expected {}", names.join(", "));
            assert!(error.contains(&format!("as {format}: ")) && error.ends_with(&expected), "{case}: {error}");
        }
    }
    assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 0);
    let error = load(&fixture("golden/musicfm-tiny")).export(MuqHf, place.path()).unwrap_err().to_string();
    assert!(
        error.contains("musicfm cannot be written as muq-hf: it has no place for the model's stored window"),
        "{error}"
    );
    let error = load(&fixture("golden/mert-cqt-tiny")).export(HubertHf, place.path()).unwrap_err().to_string();
    assert!(error.contains("mert cannot be written as hubert-hf: ") && error.contains("deep_norm"), "{error}");
    let error = load(&fixture("golden/muq-25hz")).export(MusicFm, place.path()).unwrap_err().to_string();
    assert!(error.contains("its tokenizer would be read as RandomProjection"), "{error}");
}

#[test]
fn other_weights_in_the_folder_are_an_error_and_files_of_the_same_names_are_replaced() {
    let place = TempDir::new().unwrap();
    let (muq, hubert) = (load(&fixture("golden/muq-25hz")), load(&fixture("golden/mert-95m-tiny")));
    muq.export(MuqHf, place.path()).unwrap();
    hubert.export(HubertHf, place.path()).unwrap();
    assert!(matches!(load(place.path()), LoadedModel::WaveformTransformer(_)));
    let musicfm = load(&fixture("golden/musicfm-tiny"));
    let before = files(place.path());
    let error = musicfm.export(MusicFm, place.path()).unwrap_err().to_string();
    assert!(error.contains("found model.safetensors"), "{error}");
    assert!(files(place.path()) == before);
    let file = place.path().join("config.json/below");
    assert!(matches!(muq.export(MuqHf, &file), Err(CheckpointError::Write { .. })));
    assert!(files(place.path()) == before);
}

/// `SOLFA_SMALL_DISK` names a folder on a disk of a few MiB (`mount -t tmpfs -o size=1m tmpfs /mnt/small`); without it the
/// test is skipped.
#[test]
fn a_disk_that_is_full_leaves_nothing() {
    let Some(disk) = std::env::var_os("SOLFA_SMALL_DISK").map(PathBuf::from) else {
        return println!("skipped: SOLFA_SMALL_DISK names no small disk to fill");
    };
    let place = TempDir::new_in(disk).unwrap();
    for (case, format) in [("golden/mulan-tiny", MulanHf), ("golden/musicfm-tiny", MusicFm)] {
        let model = load(&fixture(case));
        let filling = place.path().join("filling");
        let mut num_bytes = 1 << 26;
        while num_bytes > 1 << 10 {
            // What does not fit is halved, until next to nothing is free.
            let there = fs_err::read(&filling).map_or(0, |bytes| bytes.len());
            if fs_err::write(&filling, vec![0; there + num_bytes]).is_err() {
                fs_err::write(&filling, vec![0; there]).unwrap();
                num_bytes /= 2;
            }
        }
        let error = model.export(format, &place.path().join("new/model")).unwrap_err();
        assert!(matches!(error, CheckpointError::Full { .. }), "{error}");
        assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 1, "only what fills the disk is left");
        fs_err::remove_file(&filling).unwrap();
    }
}

#[test]
fn a_multi_view_model_is_called_after_its_method() {
    let place = TempDir::new().unwrap();
    let released = fixture("golden/multi-view-tiny/contrastive.pt");
    for (name, found) in
        [("barlow_twins.pt", "barlow_twins.pt"), ("byol.pt", "contrastive.pt"), ("x.pt", "contrastive.pt")]
    {
        let path = place.path().join(name);
        fs_err::copy(&released, &path).unwrap();
        let output = place.path().join(format!("{name}.out"));
        assert_eq!(load(&path).export(MultiView, &output).unwrap(), [output.join(found)]);
    }
    let LoadedModel::MultiView(mut model) = load(&released) else { panic!("another model") };
    model.method = solfa_learn::checkpoint::MultiViewMethod::Clustering;
    let model = LoadedModel::MultiView(model);
    let output = place.path().join("clustering");
    let path = output.join("clustering.pt");
    assert_eq!(model.export(MultiView, &output).unwrap(), std::slice::from_ref(&path));
    let tensors = read_pytorch(&path, "model");
    assert!(tensors.keys().all(|name| name.starts_with("student.module.backbone.")));
    assert!(vectors(load(&output)) == vectors(model));
}

/// PyTorch itself reads the `.pt` files, without running anything in them.
#[test]
fn pytorch_reads_what_is_written_for_it() {
    let python = std::env::home_dir().unwrap_or_default().join(".cache/solfa-peers/bin/python");
    let has_torch =
        Command::new(&python).args(["-c", "import torch"]).output().is_ok_and(|output| output.status.success());
    if !has_torch {
        return println!("skipped: no PyTorch here");
    }
    let place = TempDir::new().unwrap();
    let model = load(&fixture("golden/musicfm-tiny"));
    let path = &model.export(MusicFm, place.path()).unwrap()[0];
    let source = "import sys, torch; found = torch.load(sys.argv[1], weights_only=True)['state_dict']; \
                  first = torch.load(sys.argv[2], weights_only=True)['state_dict']; \
                  unread = [name for name in first if 'num_batches' in name or 'pos_conv' in name or 'cls_' in name]; \
                  same = [name for name in first if name not in unread and torch.equal(first[name], found[name])]; \
                  print(len(same), len(first) - len(unread), len(found) - len(same))";
    let released = fixture("golden/musicfm-tiny/pretrained_tiny.pt");
    let output = Command::new(&python).args(["-c", source]).arg(path).arg(released).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<usize> = printed.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [same, expected, others] = numbers[..] else { panic!("{}", String::from_utf8_lossy(&output.stderr)) };
    assert!(same == expected && same > 50 && others == 4, "{printed}");
}
