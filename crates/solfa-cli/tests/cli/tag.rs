//! Tags, vectors of texts, and what can be wrong with labels and prompts.

use predicates::str::contains;
use serde_json::Value;

use crate::common::{Workplace, fixture, json_lines};

fn tiny_mulan() -> String {
    fixture("golden/mulan-tiny").to_str().unwrap().to_owned()
}

/// What `solfa tag --json` prints.
fn tag(workplace: &Workplace, arguments: &str) -> Vec<Value> {
    let output = workplace.solfa("tag --json --model").arg(tiny_mulan()).args(arguments.split(' ')).output().unwrap();
    json_lines(&output.stdout).remove(0).as_array().unwrap().clone()
}

#[test]
fn every_label_is_scored_best_first_and_top_cuts() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 5.0, 1);
    workplace.song("b.wav", 1.0, 2);
    let tagged = tag(&workplace, "--labels mtt a.wav b.wav");
    assert_eq!(tagged.iter().map(|row| &row["path"]).collect::<Vec<_>>(), ["a.wav", "b.wav"]);
    for row in &tagged {
        let tags = row["tags"].as_array().unwrap();
        assert_eq!(tags.len(), 50);
        let scores: Vec<f64> = tags.iter().map(|tag| tag["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|left, right| left >= right) && scores[0] > scores[49], "{scores:?}");
        assert!(scores.iter().all(|score| (-1.0..=1.0).contains(score)));
    }
    assert_ne!(tagged[0]["tags"], tagged[1]["tags"]);
    let best = tag(&workplace, "--labels mtt --top 3 a.wav");
    assert_eq!(best[0]["tags"].as_array().unwrap()[..], tagged[0]["tags"].as_array().unwrap()[..3]);
    let shares = tag(&workplace, "--labels mtt --softmax a.wav");
    let sum: f64 = shares[0]["tags"].as_array().unwrap().iter().map(|tag| tag["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    let label = |rows: &[Value]| rows[0]["tags"][0]["label"].clone();
    assert_eq!(label(&shares), label(&tagged));
}

#[test]
fn people_read_a_table() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.0, 1);
    let run = |top: &str| {
        let arguments = format!("tag --labels jamendo-instrument {top} a.wav --model");
        workplace.solfa(&arguments).arg(tiny_mulan()).assert().success()
    };
    let all = run("");
    assert_eq!(String::from_utf8_lossy(&all.get_output().stdout).lines().count(), 11);
    all.stdout(contains("a.wav")).stderr(contains("the best 10 of 40 labels"));
    let two = run("--top 2");
    assert_eq!(String::from_utf8_lossy(&two.get_output().stdout).lines().count(), 3);
}

#[test]
fn a_recording_that_fails_does_not_stop_the_others() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.0, 1);
    workplace.write("broken.wav", "this is text");
    let mut command = workplace.solfa("tag --json --labels mtt broken.wav a.wav absent.wav --model");
    let output = command.arg(tiny_mulan()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let rows = json_lines(&output.stdout).remove(0).as_array().unwrap().clone();
    let of = |path: &str| rows.iter().find(|row| row["path"] == path).unwrap();
    assert_eq!(of("a.wav")["tags"].as_array().unwrap().len(), 50);
    for path in ["broken.wav", "absent.wav"] {
        assert!(of(path)["error"].as_str().unwrap().starts_with(path), "{}", of(path));
    }
}

#[test]
fn prompts_change_scores_and_an_ensemble_is_neither_of_them() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.0, 1);
    workplace.write("labels.txt", "jazz\nrnb\tR&B\n小提琴\n");
    let run = |prompts: &[&str]| {
        let mut command = workplace.solfa("tag --json --alone --labels labels.txt a.wav --model");
        command.arg(tiny_mulan());
        prompts.iter().for_each(|prompt| {
            command.args(["--prompt", prompt]);
        });
        json_lines(&command.output().unwrap().stdout).remove(0)[0]["tags"].clone()
    };
    let plain = run(&[]);
    let labels: Vec<_> = plain.as_array().unwrap().iter().map(|tag| tag["label"].as_str().unwrap()).collect();
    assert!(["jazz", "rnb", "小提琴"].iter().all(|label| labels.contains(label)), "{labels:?}");
    assert_eq!(plain, run(&["{}"]));
    let (song, calm) = (run(&["a song with {}"]), run(&["{}, calm and slow"]));
    let both = run(&["a song with {}", "{}, calm and slow"]);
    assert!(plain != song && song != calm && both != song && both != calm);
}

#[test]
fn labels_and_prompts_that_make_no_sense_are_refused_before_the_model_is_loaded() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.0, 1);
    workplace.write("empty.txt", "\n  \n");
    workplace.write("twice.txt", "jazz\nrock\njazz\n");
    workplace.write("latin.txt", b"caf\xe9\n");
    let refused = |arguments: &[&str], code: i32, message: &str| {
        let mut command = workplace.solfa("tag a.wav --model absent");
        command.args(arguments).assert().code(code).stderr(contains(message));
    };
    refused(&["--labels", "empty.txt"], 2, "empty.txt: expected one label a line, found none");
    refused(&["--labels", "twice.txt"], 2, "twice.txt: line 3: label `jazz` stands there already");
    refused(&["--labels", "latin.txt"], 1, "latin.txt: expected text in UTF-8, found another byte at position 3");
    refused(&["--labels", "mt"], 2, "did you mean mtt?");
    refused(&["--labels", "absent.txt"], 2, "absent.txt: neither a list of this program");
    refused(&["--labels", "mtt", "--prompt", ""], 2, "--prompt: prompt ``: expected `{}` where the label goes");
    refused(&["--labels", "mtt", "--prompt", "a song"], 2, "expected `{}` where the label goes");
    refused(&["--labels", "mtt", "--top", "0"], 2, "expected a number from 1");
    let sound_alone = fixture("golden/muq-25hz");
    let mut command = workplace.solfa("tag a.wav --labels mtt --model");
    command.arg(sound_alone).assert().code(2).stderr(contains("takes sound alone"));
}

#[test]
fn vectors_of_texts_go_to_standard_output_or_to_a_file() {
    let workplace = Workplace::new();
    let run = |arguments: &[&str]| {
        let mut command = workplace.solfa("embed --model");
        command.arg(tiny_mulan()).args(arguments).output().unwrap()
    };
    let texts = ["--text", "slow ambient", "--text", "一首适合海边风景的小提琴曲"];
    let printed = json_lines(&run(&texts).stdout);
    assert_eq!(printed[1]["text"], "一首适合海边风景的小提琴曲");
    let vector =
        |row: &Value| row["vector"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>();
    let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    for row in &printed {
        assert_eq!(vector(row).len(), 32);
        assert!((length(&vector(row)) - 1.0).abs() < 1e-5);
    }
    // On its own a text has the same vector whatever else is asked for.
    let alone = json_lines(&run(&["--alone", "--text", "slow ambient"]).stdout);
    let beside = json_lines(&run(&[&["--alone"][..], &texts].concat()).stdout);
    assert_eq!(alone[0], beside[0]);

    assert!(run(&[&texts[..], &["-o", "out.jsonl"]].concat()).status.success());
    let stored = json_lines(&workplace.read("out.jsonl"));
    assert_eq!(stored[0]["vector"], printed[0]["vector"]);
    assert_eq!(stored[0]["model"], "mulan-tiny");

    let long = "slow ambient ".repeat(200);
    let output = run(&["--text", &long]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut to its first"), "{output:?}");
}

#[test]
fn texts_that_make_no_sense_are_refused() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.0, 1);
    workplace.write("empty.txt", "\n");
    let refused = |arguments: &[&str], message: &str| {
        let mut command = workplace.solfa("embed");
        command.args(arguments).assert().code(2).stderr(contains(message));
    };
    let model = tiny_mulan();
    refused(&["--model", &model, "--text", "  "], "expected words, found none");
    refused(&["--model", &model, "--text-file", "empty.txt"], "expected one text a line, found none");
    refused(&["--model", &model, "--text", "jazz", "a.wav"], "cannot be used with");
    refused(&["--model", &model, "--text", "jazz", "-o", "out.npy"], ".safetensors or .jsonl");
    refused(&["--model", &model, "--text", "jazz", "--layers", "7"], "cannot be used with");
    refused(&["--model", &model, "--text-file", "empty.txt", "-o", "empty.txt"], "it would be lost");
    refused(&["--model", &model, "--alone", "a.wav"], "--text");
    refused(&["--model", "mel", "--text", "jazz"], "hand-made features cannot do this");
    refused(&["--text", "jazz"], "give one with --model");
    refused(&["--model", fixture("golden/muq-25hz").to_str().unwrap(), "--text", "jazz"], "takes sound alone");
}
