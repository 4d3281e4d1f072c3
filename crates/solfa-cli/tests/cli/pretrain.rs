//! `solfa pretrain`: from sound to a checkpoint that embeds, broken off and resumed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use predicates::str::contains;
use serde_json::{Value, json};

use crate::common::{Stored, Workplace, fixture, json_lines};

const DATA: &str = "--data synth:tracks=24,seconds=12";

fn config(name: &str) -> String {
    fixture(&format!("../configs/{name}.toml")).display().to_string()
}

/// The arguments of a short run of a configuration that is shipped.
fn arguments(recipe: &str, output: &str, changes: &[&str]) -> String {
    let changes: String = changes.iter().map(|change| format!(" --set {change}")).collect();
    format!("pretrain {} {DATA} --output {output}{changes}", config(&format!("{recipe}-tiny")))
}

fn log_of(place: &Workplace, run: &str) -> Vec<Value> {
    json_lines(&place.read(&format!("{run}/log.jsonl")))
}

fn losses(lines: &[Value]) -> f64 {
    lines.iter().map(|line| line["loss"].as_f64().unwrap()).sum::<f64>() / lines.len() as f64
}

#[test]
fn a_run_learns_and_is_a_model_that_embeds_and_is_probed() {
    let place = Workplace::new();
    // As many codes as MuQ's layout has, so that the run can be exported.
    let codes = ["method.tokenizer.num_codes=1024", "encoder.network.num_logits=4096"];
    let few = ["training.steps=40", "method.fit_tokenizer.training.steps=30", codes[0], codes[1]];
    let output = place.solfa(&arguments("muq", "runs/first", &few)).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = &json_lines(&output.stdout)[0];
    assert_eq!((&summary["recipe"], &summary["steps"]), (&json!("muq"), &json!(40)));
    assert_eq!(summary["is_finished"], true);
    let lines = log_of(&place, "runs/first");
    assert!(losses(&lines[35..]) < losses(&lines[..5]) - 0.3, "{} to {}", losses(&lines[..5]), losses(&lines[35..]));
    assert!(place.files("runs/first").iter().any(|name| name.starts_with("events.out.tfevents.")));
    let record: Value = serde_json::from_slice(&place.read("runs/first/run.json")).unwrap();
    assert_eq!(record["data"], "synth:tracks=24,seconds=12");

    // A second round on its hidden states.
    let few = ["method.model=runs/first", "training.steps=10", "method.fit_quantizer.training.steps=5"];
    place.solfa(&arguments("muq-iter", "runs/second", &few)).assert().success();

    let song = fixture("audio/rainy.wav").display().to_string();
    for run in ["runs/first", "runs/second"] {
        place.solfa(&format!("embed --model {run} {song} --output out/{run}")).assert().success();
        let stored = Stored::read(&place.path(&format!("out/{run}/rainy.safetensors")));
        assert!(stored.tensors.values().all(|(_, values)| values.iter().all(|value| value.is_finite())));
        assert_eq!(stored.tensors.len(), 4, "{:?}", stored.tensors.keys());
    }
    place.solfa(&format!("tokens --model runs/first {song}")).assert().success();
    place.solfa("export --model runs/first --output exported").assert().success();
    place.solfa(&format!("embed --model exported {song} --output out/exported")).assert().success();
    let vectors = |path: &str| Stored::read(&place.path(path)).tensors;
    assert_eq!(vectors("out/exported/rainy.safetensors"), vectors("out/runs/first/rainy.safetensors"));

    let mut rows = String::new();
    for number in 0..16 {
        let name = format!("notes/{number}.wav");
        let frequency = [220.0, 880.0][number % 2] * (1.0 + number as f32 / 100.0);
        let sample = |time: u32| 0.3 * (std::f32::consts::TAU * frequency * time as f32 / 24_000.0).sin();
        place.wav(&name, 24_000, &(0..24_000).map(sample).collect::<Vec<_>>());
        let split = ["train", "train", "val", "test"][number / 4];
        let label = ["low", "high"][number % 2];
        rows += &format!("{}\n", json!({"audio_path": name, "label": label, "split": split}));
    }
    place.write("notes.jsonl", rows);
    let probe = "probe --task notes --kind class --data notes.jsonl --learning-rates 0.1 --seeds 0 --clip 1 --json";
    let output = place.solfa(&format!("{probe} --model runs/first --model untrained:runs/first")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json_lines(&output.stdout).len(), 8, "four layers of the run and of the same network untrained");
}

/// Starts a run and kills it once its log has so many lines, wherever it is by then.
fn killed(place: &Workplace, arguments: &str, run: &str, lines: usize) {
    let mut child = spawn(place, arguments);
    wait_for_lines(&mut child, &place.path(&format!("{run}/log.jsonl")), lines);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn spawn(place: &Workplace, arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_solfa"));
    command.current_dir(place.path("")).args(arguments.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_for_lines(child: &mut Child, log: &Path, lines: usize) {
    let begun = Instant::now();
    while std::fs::read_to_string(log).map_or(0, |text| text.lines().count()) < lines {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it had {lines} lines");
        assert!(begun.elapsed() < Duration::from_secs(300), "{} has no {lines} lines", log.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_was_killed_ends_with_the_same_bits_in_every_family() {
    let families: [(&str, &[&str]); 4] = [
        ("muq", &["method.fit_tokenizer.training.steps=4", "method.fit_tokenizer.training.checkpoint_every=2"]),
        ("mert", &["method.fit_clips=8"]),
        ("music2vec", &[]),
        ("resnet-clustering", &[]),
    ];
    for (recipe, changes) in families {
        let place = Workplace::new();
        let few = ["training.steps=9", "training.checkpoint_every=2", "training.keep_checkpoints=9"];
        let changes = [changes, few.as_slice()].concat();
        place.solfa(&arguments(recipe, "whole", &changes)).assert().success();
        killed(&place, &arguments(recipe, "broken", &changes), "broken", 3);
        place.solfa("pretrain --resume --output broken").assert().success();
        let weights = |run: &str| place.read(&format!("{run}/checkpoints/step-0000009.safetensors"));
        assert!(weights("whole") == weights("broken"), "{recipe}: other weights after a kill");
        let steps: Vec<u64> = log_of(&place, "broken").iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=9).collect::<Vec<u64>>(), "{recipe}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_leaves() {
    let place = Workplace::new();
    let few = ["training.steps=100000", "training.checkpoint_every=100000"];
    let mut child = spawn(&place, &arguments("vit1d-contrastive", "run", &few));
    wait_for_lines(&mut child, &place.path("run/log.jsonl"), 3);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let steps = log_of(&place, "run").len();
    let checkpoint = format!("run/checkpoints/step-{steps:07}.safetensors");
    assert!(place.path(&checkpoint).is_file(), "{checkpoint}");
    let more = format!("pretrain --resume --output run --steps {}", steps + 2);
    place.solfa(&more).assert().success().stderr(contains(format!("going on after step {steps} of {}", steps + 2)));
    assert_eq!(log_of(&place, "run").len(), steps + 2);
}

#[test]
fn what_cannot_be_trained_is_said_before_anything_is_written() {
    let place = Workplace::new();
    place.song("one/song.wav", 20.0, 1);
    place.song("short/a.wav", 1.0, 1);
    fs_err::create_dir(place.path("empty")).unwrap();
    place.write("broken.toml", "recipe = = 3");
    place.write("other.toml", "recipe = \"resnet-bylo\"");
    let tiny = |recipe: &str| config(&format!("{recipe}-tiny"));
    let cases = [
        (format!("{} --data empty", tiny("muq")), "empty: the folder holds no audio", 1),
        (format!("{} --data short", tiny("musicfm")), "at least 4.80 s are needed", 1),
        (format!("{} --data one", tiny("resnet-byol")), "8 clips of different tracks", 1),
        (format!("{} {DATA} --set sampling.clips_per_batch=1", tiny("resnet-vicreg")), "pairs are told from", 2),
        (
            format!("{} {DATA} --set training.stpes=1", tiny("muq")),
            "training.stpes: no such key; did you mean `steps`?",
            2,
        ),
        (format!("{} {DATA} --set encoder.network.conv_chanels=1", tiny("muq")), "did you mean `conv_channels`?", 2),
        (
            format!("{} {DATA} --set encoder.network.conformer.num_heads=5", tiny("muq")),
            "expected a number that divides",
            2,
        ),
        (
            format!("{} {DATA} --set encoder.network.num_logits=7", tiny("muq")),
            "all codes of all codebooks, 512, found 7",
            2,
        ),
        (format!("broken.toml {DATA}"), "broken.toml: expected a configuration in TOML", 2),
        (format!("other.toml {DATA}"), "did you mean `resnet-byol`?", 2),
        (format!("absent.toml {DATA}"), "absent.toml", 1),
        (format!("{} --data synth:trakcs=4", tiny("muq")), "tracks", 2),
        (format!("{} --resume", tiny("muq")), "holds no run to resume", 1),
        (format!("{} {DATA} --set method.model=absent", tiny("muq-iter")), "method.model: ", 1),
    ];
    for (arguments, message, code) in cases {
        let output = place.solfa(&format!("pretrain {arguments} --output run")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(message), "{arguments}: {told}");
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        if !message.starts_with("method.model") {
            assert!(!place.path("run").exists(), "{arguments}: left something behind");
        }
    }
}

#[test]
fn a_run_goes_on_only_as_it_was_begun() {
    let place = Workplace::new();
    let few = ["training.steps=2", "sampling.clips_per_batch=4"];
    place.solfa(&arguments("vit1d-contrastive", "run", &few)).assert().success();
    place
        .solfa(&arguments("vit1d-contrastive", "run", &few))
        .assert()
        .failure()
        .stderr(contains("holds a run already"));
    let changed = "pretrain --resume --output run --set method.temperature=0.2 --set seed=3";
    place
        .solfa(changed)
        .assert()
        .failure()
        .stderr(contains("method.temperature: 0.1 in the run, 0.2 now"))
        .stderr(contains("seed: 0 in the run, 3 now"));
    let other = "pretrain --resume --output run --steps 4 --data synth:tracks=25,seconds=12";
    place.solfa(other).assert().failure().stderr(contains("the run was begun with other data"));
    // What says only how long it goes on may change.
    place.solfa("pretrain --resume --output run --steps 4 --set loader.threads=1").assert().success();
    assert_eq!(log_of(&place, "run").len(), 4);
}

#[test]
fn damaged_files_are_skipped_and_listed() {
    let place = Workplace::new();
    for number in 0..6 {
        place.song(&format!("music/{number}.wav"), 9.0, number);
    }
    place.write("music/ruin.mp3", "no sound");
    place.write("music/empty.wav", "");
    let arguments = format!(
        "pretrain {} --data music --output run --set training.steps=2 --set sampling.clips_per_batch=3",
        config("vit1d-contrastive-tiny")
    );
    place.solfa(&arguments).assert().success().stderr(contains("ruin.mp3")).stderr(contains("empty.wav"));
    assert_eq!(log_of(&place, "run").len(), 2);
}

#[test]
fn a_run_on_words_embeds_texts_and_tags_recordings() {
    let place = Workplace::new();
    let text_model = fixture("golden/mulan-tiny/tiny-xlm-roberta-base").display().to_string();
    let text_model = format!("method.text_model={text_model}");
    place.solfa(&arguments("mulan", "words", &["training.steps=3", &text_model])).assert().success();
    let song = fixture("audio/rainy.wav").display().to_string();
    place.solfa(&format!("embed --model words {song} --output out")).assert().success();
    place.solfa("embed --model words --text calm").assert().success().stdout(contains("joint_space_identity"));
    place.solfa(&format!("tag --model words --labels mtt --top 3 {song}")).assert().success();

    let silent = format!("pretrain {} --data {song} --output none --set {text_model}", config("mulan-tiny"));
    place.solfa(&silent).assert().failure().stderr(contains("this method learns from words"));
    let lost = format!("pretrain {} {DATA} --output none --set method.text_model=lost", config("mulan-tiny"));
    place.solfa(&lost).assert().failure().stderr(contains("expected the folder of an XLM-RoBERTa"));
    assert!(!place.path("none").exists(), "nothing was begun");
}
