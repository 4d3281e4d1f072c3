//! Runs that were interrupted.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::{Stored, Workplace, json_lines, with_status};

const NUM_SONGS: usize = 12;

fn music() -> Workplace {
    let workplace = Workplace::new();
    for number in 0..NUM_SONGS {
        workplace.song(&format!("music/{number:02}.wav"), 1.0 + 0.1 * number as f64, number as u64);
    }
    workplace
}

/// Starts a run and kills it as soon as it has reported `num_lines` inputs, wherever it is by then.
fn killed_run(workplace: &Workplace, output: &str, num_lines: usize) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_solfa"));
    command.current_dir(workplace.path("")).args("embed music --model mel --pool none --json --output".split(' '));
    let mut child = command.arg(output).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(num_lines).count(), num_lines);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_folder_that_was_interrupted_is_completed() {
    let workplace = music();
    workplace.embed("music --pool none --output whole");
    for num_lines in [1, 5] {
        let output = format!("killed-{num_lines}");
        killed_run(&workplace, &output, num_lines);
        let rows = workplace.embed(&format!("music --pool none --output {output} --resume"));
        assert!(with_status(&rows, "skipped").len() >= num_lines);
        assert_eq!(rows.len(), NUM_SONGS);
        let whole = workplace.files("whole");
        assert_eq!(whole.len(), NUM_SONGS);
        for name in whole {
            assert!(workplace.read(&format!("{output}/{name}")) == workplace.read(&format!("whole/{name}")), "{name}");
        }
    }
}

#[test]
fn a_table_that_was_interrupted_is_completed() {
    let workplace = music();
    for format in ["jsonl", "parquet"] {
        workplace.embed(&format!("music --pool none --output whole.{format}"));
        let output = format!("killed.{format}");
        killed_run(&workplace, &output, 3);
        let rows = workplace.embed(&format!("music --pool none --output {output} --resume"));
        assert!(with_status(&rows, "skipped").len() >= 3, "{format}");
        assert!(workplace.read(&output) == workplace.read(&format!("whole.{format}")), "{format}");
        assert!(!workplace.path(&format!("{output}.partial")).exists());
        // A finished table grows, and what is there is not done again.
        workplace.song("more/new.wav", 1.0, 99);
        let rows = workplace.embed(&format!("music more --pool none --output {output} --resume"));
        assert_eq!(with_status(&rows, "done"), ["more/new.wav"], "{format}");
        assert_eq!(with_status(&rows, "skipped").len(), NUM_SONGS, "{format}");
    }
    assert_eq!(json_lines(&workplace.read("killed.jsonl")).len(), NUM_SONGS + 1);
}

#[test]
fn only_what_is_whole_and_of_the_same_space_is_skipped() {
    let workplace = Workplace::new();
    for name in ["a", "b", "c"] {
        workplace.song(&format!("music/{name}.wav"), 0.5, 1);
    }
    let run = |options: &str| -> Vec<String> {
        let rows = workplace.embed(&format!("music --output out --resume {options}"));
        with_status(&rows, "done").into_iter().map(str::to_owned).collect()
    };
    assert_eq!(run("").len(), 3);
    assert!(run("").is_empty());
    // Another spelling of the same paths.
    let rows = workplace.embed("./music/../music --output out --resume");
    assert_eq!(with_status(&rows, "skipped").len(), 3);

    let bytes = workplace.read("out/b.safetensors");
    workplace.write("out/b.safetensors", &bytes[..bytes.len() - 1]);
    assert_eq!(run(""), ["music/b.wav"]);
    assert_eq!(workplace.read("out/b.safetensors"), bytes);

    assert_eq!(run("--pool max").len(), 3);
    assert_eq!(run("--pool max --resampler fast").len(), 3);
    assert_eq!(run("--pool max --resampler fast").len(), 0);
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let workplace = Workplace::new();
    workplace.song("music/a.wav", 0.5, 1);
    workplace.write("out/.a.safetensors.Xy12zW.partial", "half");
    workplace.write("out/.mine.partial", "something of the user's");
    workplace.embed("music --output out --resume");
    assert_eq!(workplace.files("out"), [".mine.partial", "a.safetensors"]);
}

#[test]
fn another_recording_of_the_same_name_is_not_taken_for_done() {
    let workplace = Workplace::new();
    workplace.song("one/song.wav", 0.5, 1);
    workplace.song("two/song.wav", 0.5, 2);
    workplace.embed("one --output out");
    let rows = workplace.embed("two --output out --resume");
    assert_eq!(with_status(&rows, "done"), ["two/song.wav"]);
    assert_eq!(Stored::read(&workplace.path("out/song.safetensors")).metadata["path"], "two/song.wav");
}

#[test]
fn a_run_without_resume_starts_again_and_one_that_finds_nothing_leaves_the_table() {
    let workplace = music();
    workplace.embed("music/00.wav music/01.wav --output table.jsonl");
    workplace.embed("music/02.wav --output table.jsonl");
    let table = workplace.read("table.jsonl");
    assert_eq!(json_lines(&table).len(), 1);
    workplace.solfa("embed absent.wav --model mel --output table.jsonl").assert().code(3);
    assert_eq!(workplace.read("table.jsonl"), table);
    assert!(!workplace.path("table.jsonl.partial").exists());
}
