//! Bad files: each is an error that names the file, what was expected and what was found; the others go on.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::common::{Stored, Workplace, fixture, tiny_muq, with_status};

/// Every model whose arithmetic may meet a hostile input.
fn models() -> Vec<String> {
    let networks = ["muq-25hz", "musicfm-tiny"].map(|name| fixture("golden").join(name).to_str().unwrap().to_owned());
    ["mel", "mfcc", "chroma", "cqt"].map(str::to_owned).into_iter().chain(networks).collect()
}

fn cut_short(workplace: &Workplace, name: &str) {
    let bytes = fs_err::read(fixture("audio").join(name)).unwrap();
    workplace.write(&format!("in/cut-{name}"), &bytes[..bytes.len() / 2]);
    workplace.write(&format!("in/head-{name}"), &bytes[..50]);
}

#[test]
fn bad_files_fail_alone_and_say_why() {
    let workplace = Workplace::new();
    let song = vec![0.25f32; 24_000];
    let with = |value: f32| {
        let mut song = song.clone();
        song[12_000] = value;
        song
    };
    workplace.write("in/empty.wav", "");
    workplace.write("in/text.wav", "these are words, no sound\n".repeat(50));
    workplace.wav("in/zero.wav", 24_000, &[]);
    workplace.wav("in/nan.wav", 24_000, &with(f32::NAN));
    workplace.wav("in/infinite.wav", 24_000, &with(f32::NEG_INFINITY));
    workplace.wav("in/one.wav", 24_000, &[0.5]);
    for name in ["compus.flac", "hungarian_dance.mp3", "shrine.ogg", "rainy.wav"] {
        cut_short(&workplace, name);
    }
    workplace.wav("in/good.wav", 24_000, &song);
    let expected = [
        ("empty.wav", "0 bytes"),
        ("text.wav", "not recognised as any audio format"),
        ("zero.wav", "0 samples found, at least 1 expected"),
        ("nan.wav", "0.5000 s (channel 0) is NaN: finite samples expected"),
        ("infinite.wav", "0.5000 s (channel 0) is -inf: finite samples expected"),
        ("cut-compus.flac", "promises 286054 samples"),
        ("cut-hungarian_dance.mp3", "promises 461 MP3 frames"),
        ("cut-shrine.ogg", "damaged after 3.03 s"),
        ("cut-rainy.wav", "promises 176400 samples"),
        ("head-compus.flac", ""),
        ("head-hungarian_dance.mp3", ""),
        ("head-shrine.ogg", ""),
        ("head-rainy.wav", ""),
    ];
    for model in models() {
        let output = workplace.solfa(&format!("embed in --output out --model {model}")).output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{model}: {messages}");
        assert!(!messages.contains("panicked"), "{model}: {messages}");
        for (name, reason) in expected {
            let line = messages.lines().find(|line| line.starts_with(&format!("solfa: in/{name}: ")));
            assert!(line.is_some_and(|line| line.contains(reason)), "{model}: {name}: {messages}");
            assert_eq!(messages.matches(&format!("in/{name}")).count(), 1, "{model}: {messages}");
        }
        // One sample is a frame to features that pad, and too short for the others, which say by how much.
        let one = messages.lines().find(|line| line.contains("in/one.wav"));
        assert!(one.is_none_or(|line| line.contains("1 samples") && line.contains("at least")), "{model}: {messages}");
        assert!(workplace.path("out/good.safetensors").exists(), "{model}");
        fs_err::remove_dir_all(workplace.path("out")).unwrap();
    }
}

#[test]
fn unusual_sound_is_sound() {
    let workplace = Workplace::new();
    for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000] {
        let samples: Vec<f32> = (0..rate / 2).map(|index| (index as f32 * 1_000.0 / rate as f32).sin()).collect();
        workplace.wav(&format!("in/{rate}.wav"), rate, &samples);
    }
    for channels in 1..=8 {
        let samples = vec![0.1; 12_000 * usize::from(channels)];
        workplace.wav_of_channels(&format!("in/{channels}-channels.wav"), 24_000, channels, &samples);
    }
    workplace.wav("in/silence.wav", 24_000, &[0.0; 12_000]);
    let square: Vec<f32> = (0..12_000).map(|index| if index / 50 % 2 == 0 { 1.0 } else { -1.0 }).collect();
    workplace.wav("in/square.wav", 24_000, &square);
    workplace.wav("in/denormal.wav", 24_000, &[1e-42; 12_000]);
    for model in models() {
        workplace.solfa(&format!("embed in --output out --model {model}")).assert().success();
        for name in workplace.files("out") {
            let stored = Stored::read(&workplace.path("out").join(&name));
            let finite = stored.tensors.values().all(|(_, values)| values.iter().all(|value| value.is_finite()));
            assert!(finite && !stored.tensors.is_empty(), "{model}: {name}");
        }
    }
}

#[test]
fn what_is_not_finite_is_not_written() {
    let workplace = Workplace::new();
    let huge: Vec<f32> = (0..12_000).map(|index| if index / 50 % 2 == 0 { 3e38 } else { -3e38 }).collect();
    workplace.wav("huge.wav", 24_000, &huge);
    for pool in ["none", "mean", "max", "mean+std"] {
        let arguments = format!("embed huge.wav --model cqt --pool {pool} --output out");
        let output = workplace.solfa(&arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{pool}: {message}");
        assert!(message.starts_with("solfa: huge.wav: ") && message.contains("not finite"), "{pool}: {message}");
        assert!(!workplace.path("out/huge.safetensors").exists());
    }
}

#[test]
fn folders_without_sound_and_files_that_are_not_there() {
    let workplace = Workplace::new();
    workplace.write("notes/readme.md", "no sound here");
    fs_err::create_dir(workplace.path("folder.wav")).unwrap();
    workplace.song("good.wav", 0.3, 1);
    let rows = workplace.embed("--output out notes folder.wav absent.wav absent/*.mp3 good.wav");
    let errors: Vec<&str> = rows.iter().filter_map(|row| row["error"].as_str()).collect();
    assert_eq!(
        errors,
        [
            "notes: the folder holds no audio: expected files such as .wav, .flac, .mp3 or .ogg",
            "folder.wav: the folder holds no audio: expected files such as .wav, .flac, .mp3 or .ogg",
            "absent.wav: cannot be read: No such file or directory (os error 2)",
            "absent/*.mp3: no audio file matches the pattern",
        ]
    );
    assert_eq!(with_status(&rows, "done"), ["good.wav"]);
}

/// A copy of the tiny checkpoint, to be damaged.
fn checkpoint(workplace: &Workplace) {
    for name in ["config.json", "model.safetensors"] {
        workplace.write(&format!("model/{name}"), fs_err::read(Path::new(&tiny_muq()).join(name)).unwrap());
    }
    workplace.song("song.wav", 0.5, 1);
}

/// Writes the weights with some tensors changed: `change` gives the name and shape to write, or nothing.
fn rewrite(workplace: &Workplace, change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>) {
    let bytes = workplace.read("model/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<(String, TensorView)> = file
        .iter()
        .filter_map(|(name, view)| {
            let (name, shape) = change(name, view.shape())?;
            Some((name, TensorView::new(view.dtype(), shape, view.data()).unwrap()))
        })
        .collect();
    let bytes = safetensors::serialize(tensors, None).unwrap();
    workplace.write("model/model.safetensors", bytes);
}

#[track_caller]
fn assert_refused(workplace: &Workplace, expected: &[&str]) {
    let output = workplace.solfa("embed song.wav --model model --output out").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for part in expected {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!workplace.path("out").exists());
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    const BIAS: &str = "model.conformer.layers.0.final_layer_norm.bias";
    let workplace = Workplace::new();
    let same = |name: &str, shape: &[usize]| Some((name.to_owned(), shape.to_vec()));

    checkpoint(&workplace);
    rewrite(&workplace, |name, shape| if name == BIAS { None } else { same(name, shape) });
    assert_refused(&workplace, &["model/model.safetensors", "missing from the file (1)", BIAS, "[32]"]);

    checkpoint(&workplace);
    rewrite(&workplace, |name, shape| same(if name == BIAS { "stranger" } else { name }, shape));
    assert_refused(&workplace, &["not part of the model (1)", "stranger [32]", BIAS]);

    checkpoint(&workplace);
    rewrite(
        &workplace,
        |name, shape| if name == BIAS { Some((name.to_owned(), vec![2, 16])) } else { same(name, shape) },
    );
    assert_refused(&workplace, &[BIAS, "expected [32], found [2, 16]"]);

    checkpoint(&workplace);
    let bytes = workplace.read("model/model.safetensors");
    for length in [0, 5, 1_000, bytes.len() / 2, bytes.len() - 1] {
        workplace.write("model/model.safetensors", &bytes[..length]);
        assert_refused(&workplace, &["model/model.safetensors"]);
    }

    checkpoint(&workplace);
    let config = String::from_utf8(workplace.read("model/config.json")).unwrap();
    for (from, to, expected) in [
        ("\"encoder_dim\": 32", "\"encoder_dim\": \"wide\"", "wide"),
        ("\"encoder_dim\": 32", "\"encoder_dim\": 31", "31"),
        ("\"label_rate\": 25", "\"label_rate\": 33", "33"),
        ("\"hop_length\": 240", "\"hop_length\": -1", "-1"),
        ("{", "", "config.json"),
    ] {
        assert!(config.contains(from));
        workplace.write("model/config.json", config.replacen(from, to, 1));
        assert_refused(&workplace, &["model/config.json", expected]);
    }

    fs_err::remove_file(workplace.path("model/model.safetensors")).unwrap();
    assert_refused(&workplace, &["model", "no weights found", "config.json"]);
}

#[cfg(unix)]
#[test]
fn outputs_that_cannot_be_written_are_failures() {
    use std::os::unix::fs::PermissionsExt;

    let workplace = Workplace::new();
    workplace.song("song.wav", 0.3, 1);
    workplace.write("blocked", "a file where a folder is needed");
    for pool in ["none", "mean"] {
        let rows = workplace.embed(&format!("song.wav --pool {pool} --output blocked/deep"));
        let error = rows[0]["error"].as_str().unwrap();
        assert!(error.starts_with("song.wav: ") && error.contains("blocked/deep"), "{error}");
        assert_eq!(error.matches("blocked/deep").count(), 1, "{error}");
    }
    workplace.solfa("embed song.wav --model mel --output blocked/table.jsonl").assert().code(1);

    fs_err::create_dir(workplace.path("closed")).unwrap();
    fs_err::set_permissions(workplace.path("closed"), PermissionsExt::from_mode(0o555)).unwrap();
    if fs_err::write(workplace.path("closed/probe"), "").is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    let rows = workplace.embed("song.wav --output closed");
    assert!(rows[0]["error"].as_str().unwrap().contains("Permission denied"), "{rows:?}");
}
