//! `solfa data`: data sets from their own files, checked.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::common::{Workplace, json_lines};

/// Ten recordings of each of two classes, below `music`.
fn two_classes() -> Workplace {
    let workplace = Workplace::new();
    for number in 0..10 {
        for (place, class) in ["kick", "snare"].into_iter().enumerate() {
            let name = format!("music/{class}/{number}.wav");
            workplace.wav(&name, 8_000, &vec![0.01 * (number * 2 + place + 1) as f32; 800]);
        }
    }
    workplace
}

fn lines(workplace: &Workplace, name: &str) -> Vec<Value> {
    json_lines(&workplace.read(name))
}

#[test]
fn the_known_sets_are_listed() {
    let workplace = Workplace::new();
    workplace.solfa("data sets").assert().success().stdout(
        contains("gtzan").and(contains("443/197/290")).and(contains("one of 24 keys")).and(contains("CC BY 4.0")),
    );
    let sets = json_lines(&workplace.solfa("data sets --json").output().unwrap().stdout);
    assert!(sets.len() >= 20);
    assert!(sets.iter().all(|set| set["layout"].as_str().is_some_and(|layout| !layout.is_empty())));
    let names: Vec<&str> = sets.iter().map(|set| set["name"].as_str().unwrap()).collect();
    let help = workplace.solfa("data import --help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    assert!(names.iter().all(|name| help.contains(&format!("  {name} "))), "{help}");
}

#[test]
fn an_import_can_be_checked_and_says_what_is_wrong() {
    let workplace = two_classes();
    let import = "data import folders music --seed 3 --output sets/drums.jsonl";
    workplace
        .solfa(import)
        .assert()
        .success()
        .stdout(contains("found").and(contains("expected")).and(contains("unreadable")))
        .stderr(contains("splits: 8:1:1 of every class, by chance, seed 3").and(contains("SHA-256")));
    assert_eq!(workplace.files("sets"), ["drums.jsonl"]);
    let rows = lines(&workplace, "sets/drums.jsonl");
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[0]["audio_path"], "../music/kick/0.wav");
    assert_eq!(rows[0]["sample_rate"], 8_000);
    assert_eq!(rows.iter().filter(|row| row["split"] == "test").count(), 2);
    workplace
        .solfa("data check sets/drums.jsonl --decode")
        .assert()
        .success()
        .stdout(contains("kick").and(contains("nothing is wrong")));
    // The same seed gives the same bytes.
    let first = workplace.read("sets/drums.jsonl");
    workplace.solfa(import).assert().success();
    assert_eq!(workplace.read("sets/drums.jsonl"), first);

    workplace.write("music/kick/broken.wav", "no sound");
    fs_err::copy(workplace.path("music/kick/0.wav"), workplace.path("music/kick/copy.wav")).unwrap();
    workplace.solfa(import).assert().code(3).stderr(
        contains("1 recordings that cannot be decoded:")
            .and(contains("broken.wav"))
            .and(contains("has the content of")),
    );
    assert_eq!(lines(&workplace, "sets/drums.jsonl").len(), 21);
    fs_err::remove_file(workplace.path("music/snare/3.wav")).unwrap();
    workplace.write("music/snare/4.wav", "no sound");
    workplace
        .solfa("data check sets/drums.jsonl")
        .assert()
        .code(3)
        .stdout(contains("something is wrong"))
        .stderr(contains("1 missing recordings:\n  ../music/snare/3.wav").and(contains("snare/4.wav")));
    let found = json_lines(&workplace.solfa("data check sets/drums.jsonl --json").output().unwrap().stdout);
    assert_eq!(found[0]["missing"][0], "../music/snare/3.wav");
    assert_eq!(found[0]["classes"]["kick"].as_array().unwrap().len(), 3);
}

#[test]
fn a_table_of_ones_own_is_imported_by_its_columns() {
    let workplace = two_classes();
    let mut table = "file,kind,ok,take\n".to_owned();
    for number in 0..10 {
        let ok = if number == 9 { "no" } else { "yes" };
        table.push_str(&format!("kick/{number}.wav,kick,{ok},{number}\nsnare/{number}.wav,snare,{ok},{number}\n"));
    }
    table.push_str("kick/absent.wav,kick,yes,99\nsnare/0.wav,rare,other,0\n");
    workplace.write("music/notes.csv", table);
    let arguments = "data import csv music/notes.csv --path file --label kind --where ok=yes --where take!=8 \
                     --group take --min-per-class 2 --output notes.jsonl --json";
    let output = workplace.solfa(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let report = &json_lines(&output.stdout)[0];
    assert_eq!(report["missing"], serde_json::json!(["kick/absent.wav"]));
    assert_eq!((&report["seed"], &report["problems"]), (&Value::from(0), &Value::Array(vec![])));
    assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
    let rows = lines(&workplace, "notes.jsonl");
    assert_eq!(rows.len(), 16);
    for pair in rows.chunks(2) {
        assert_eq!((&pair[0]["ori_uid"], &pair[0]["split"]), (&pair[1]["ori_uid"], &pair[1]["split"]));
    }
}

#[test]
fn a_known_layout_is_imported() {
    let workplace = Workplace::new();
    for (index, name) in ["blues/blues.00029", "blues/blues.00000", "rock/rock.00010"].into_iter().enumerate() {
        workplace.wav(&format!("GTZAN/genres/{name}.wav"), 8_000, &vec![0.1 * (index + 1) as f32; 800]);
    }
    workplace
        .solfa("data import gtzan GTZAN --output GTZAN/gtzan.jsonl")
        .assert()
        .code(3)
        .stdout(contains("443").and(contains("missing")))
        .stderr(contains("927 missing recordings:").and(contains("and 922 more")));
    assert_eq!(lines(&workplace, "GTZAN/gtzan.jsonl")[0]["audio_path"], "genres/blues/blues.00029.wav");
    workplace.solfa("data check GTZAN/gtzan.jsonl").assert().success().stderr(contains("one example only"));
    workplace
        .solfa("data import nsynth-pitch GTZAN --output x.jsonl")
        .assert()
        .code(1)
        .stderr(contains("GTZAN does not look like NSynth: expected nsynth-train/examples.json"));
    assert!(!workplace.path("x.jsonl").exists());
}

#[test]
fn wrong_command_lines_and_wrong_files_are_named() {
    let workplace = two_classes();
    for (arguments, expected) in [
        ("data", "Usage: solfa data"),
        ("data import gtzam music --output x.jsonl", "`gtzam` is not a known data set: expected gtzan"),
        ("data import folders music", "--output <FILE.jsonl>"),
        ("data import folders music --output x.json", "expected a name that ends in .jsonl"),
        ("data import folders music --output x.test.jsonl", "one file holds all splits"),
        ("data import folders music --output x.jsonl --shares 8:1", "expected three numbers for train, val and test"),
        ("data import csv music --output x.jsonl --where x", "expected COLUMN=VALUE or COLUMN!=VALUE"),
    ] {
        workplace.solfa(arguments).assert().code(2).stderr(contains(expected));
    }
    let row = |audio: &str, split: &str| {
        format!("{{\"audio_path\": \"{audio}\", \"label\": \"x\", \"split\": \"{split}\"}}\n")
    };
    let leak = [row("music/kick/0.wav", "train"), row("music/kick/0.wav", "test"), row("music/kick/1.wav", "val")];
    workplace.write("leak.jsonl", leak.concat());
    workplace
        .solfa("data check leak.jsonl")
        .assert()
        .code(3)
        .stderr(contains("leak.jsonl, line 2: `music/kick/0.wav` stands in"));
    workplace.write("wrong.jsonl", "{\"audio_path\": \"a.wav\"}\n");
    workplace
        .solfa("data check wrong.jsonl")
        .assert()
        .code(1)
        .stderr(contains("wrong.jsonl, line 1: missing field `label`"));
    workplace.solfa("data check absent.jsonl").assert().code(1).stderr(contains("cannot read absent.jsonl"));
}
