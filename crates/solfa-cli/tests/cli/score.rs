//! `solfa score`: mir_eval's formats and names, folders, and what is wrong with a file.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::common::{Workplace, fixture, json_lines};

/// A golden case of mir_eval: its inputs and its scores.
fn golden(folder: &str, case: &str) -> (Value, Value) {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs_err::read(fixture("golden").join(folder).join(name)).unwrap()).unwrap()
    };
    (read("inputs.json")[case].clone(), read("outputs.json")["scores"][case].clone())
}

/// Lists of numbers and of lists of them, and of labels, as columns.
fn rows(columns: &[&Value]) -> String {
    let mut text = String::new();
    for row in 0..columns[0].as_array().unwrap().len() {
        for column in columns {
            for cell in column[row].as_array().unwrap_or(&vec![column[row].clone()]) {
                text += &cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
                text.push('\t');
            }
        }
        text.push('\n');
    }
    text
}

fn scores(workplace: &Workplace, arguments: &str) -> Value {
    let output = workplace.solfa(arguments).assert().success().get_output().stdout.clone();
    json_lines(&output).remove(0)
}

#[test]
fn golden_files_give_mir_evals_scores() {
    let workplace = Workplace::new();
    for (kind, folder, case, reference, estimate) in [
        ("beat", "mir-metrics", "beat_1", vec!["reference"], vec!["estimate"]),
        ("onset", "mir-metrics", "onset_1", vec!["reference"], vec!["estimate"]),
        ("chord", "mir-metrics", "chord_1", vec!["intervals", "reference"], vec!["intervals", "estimate"]),
        (
            "segment",
            "mir-metrics",
            "segment_1",
            vec!["reference_intervals", "reference_labels"],
            vec!["estimate_intervals", "estimate_labels"],
        ),
        ("melody", "mir-metrics", "melody_1", vec!["time", "reference_hz"], vec!["time", "estimate_hz"]),
        ("notes", "mir-notes", "notes_7", vec!["reference"], vec!["estimate"]),
    ] {
        let (input, expected) = golden(folder, case);
        let text = |names: Vec<&str>| rows(&names.into_iter().map(|name| &input[name]).collect::<Vec<_>>());
        workplace.write("reference.txt", text(reference));
        workplace.write("estimate.txt", text(estimate));
        let found = scores(&workplace, &format!("score {kind} reference.txt estimate.txt --json"));
        let found = found.as_object().unwrap();
        assert!(found.len() >= 3, "{kind}");
        for (name, value) in found {
            let difference = (value.as_f64().unwrap() - expected[name].as_f64().unwrap()).abs();
            assert!(difference <= 1e-9, "{kind}: {name}: {value} instead of {}", expected[name]);
        }
    }
}

#[test]
fn tempo_and_key_and_a_table() {
    let workplace = Workplace::new();
    workplace.write("reference.txt", "60 120 0.7\n");
    workplace.write("estimate.txt", "61 200 0.5\n");
    let found = scores(&workplace, "score tempo reference.txt estimate.txt --json");
    assert_eq!(found.to_string(), r#"{"P-score":0.7,"One-correct":1.0,"Both-correct":0.0}"#);
    workplace.write("c.key", "C\tmajor\n");
    workplace.write("f.key", "F\tmajor\n");
    assert_eq!(scores(&workplace, "score key c.key f.key --json")["Weighted Score"], 0.0);
    assert_eq!(scores(&workplace, "score key c.key f.key --json --fifths both")["Weighted Score"], 0.5);
    let table = workplace.solfa("score key c.key c.key").assert().success();
    table.stdout(contains("score").and(contains("Weighted Score").and(contains("1.0000"))));
}

#[test]
fn folders_are_paired_by_name() {
    let workplace = Workplace::new();
    for (name, text) in [("a", "0 1 C\n"), ("b", "0 1 G\n"), ("alone", "0 1 C\n"), ("broken", "0 1 C\n")] {
        workplace.write(&format!("references/{name}.lab"), text);
    }
    for (name, text) in [("a", "0 1 C\n"), ("b", "0 1 C\n"), ("other", "0 1 C\n"), ("broken", "1 0 C\n")] {
        workplace.write(&format!("estimates/{name}.txt"), text);
    }
    let assert = workplace.solfa("score chord references estimates --json").assert().code(3);
    let assert = assert.stderr(
        contains("alone.lab: no estimate has this name")
            .and(contains("other.txt: no reference has this name"))
            .and(contains("broken.txt, line 1: an end after the start at 1 s is expected, and `0` is found")),
    );
    let found = json_lines(&assert.get_output().stdout).remove(0);
    assert_eq!(found["files"].as_array().unwrap().len(), 3);
    assert_eq!((&found["files"][1]["name"], &found["files"][1]["scores"]["root"]), (&"b".into(), &0.0.into()));
    assert!(found["files"][2]["error"].as_str().unwrap().contains("broken.txt"));
    assert_eq!((&found["mean"]["root"], &found["mean"]["seg"]), (&0.5.into(), &1.0.into()));

    let table = workplace.solfa("score chord references estimates").assert().code(3);
    table.stdout(contains("mean of 2").and(contains("0.5000")));
    workplace.solfa("score chord references references").assert().success();
    workplace.write("empty/.keep", "");
    workplace.solfa("score chord references empty").assert().code(1).stderr(contains("no files of the same name"));
    workplace
        .solfa("score chord references estimates/a.txt")
        .assert()
        .code(2)
        .stderr(contains("give two files or two folders"));
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let workplace = Workplace::new();
    workplace.write("good.lab", "0 2 C:maj\n2 4 N\n");
    workplace.write("misspelt.lab", "0 2 C:maj\n2 4 Gmaj7\n");
    workplace.write("overlapping.lab", "0 2 C:maj\n1 4 N\n");
    workplace.write("empty.lab", "");
    workplace.write("binary.lab", b"\x89PNG\r\n\x1a\n\0\0");
    workplace.write("nan.txt", "0.5\nnan\n");
    for (arguments, code, message) in [
        ("chord good.lab misspelt.lab", 1, "misspelt.lab, line 2: a chord in Harte's syntax (after the root `G`"),
        ("chord overlapping.lab good.lab", 1, "overlapping.lab, line 2: a start at 2 s or later"),
        ("segment good.lab overlapping.lab", 1, "overlapping.lab, line 2: a start at 2 s or later"),
        ("chord empty.lab good.lab", 1, "empty.lab: reference chords: there is nothing to score"),
        ("chord good.lab binary.lab", 1, "binary.lab, line 1: text in UTF-8 is expected"),
        ("onset nan.txt nan.txt", 1, "nan.txt, line 2: a finite number is expected, and `nan` is found"),
        ("notes good.lab good.lab", 1, "good.lab, line 1: a finite number is expected, and `C:maj` is found"),
        ("chord missing.lab good.lab", 2, "missing.lab: there is no such file or folder"),
        ("rhythm good.lab good.lab", 2, "unrecognized subcommand 'rhythm'"),
        ("chord good.lab", 2, "<ESTIMATE>"),
    ] {
        let assert = workplace.solfa(&format!("score {arguments}")).assert().code(code);
        assert.stderr(contains(message)).stdout("");
    }
    workplace.solfa("score chord good.lab empty.lab").assert().success();
}
