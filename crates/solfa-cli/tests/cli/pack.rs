//! `solfa data pack`: a collection, decoded once.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::json;

use crate::common::{Workplace, json_lines};

#[test]
fn a_folder_is_packed_and_damaged_files_are_listed() {
    let workplace = Workplace::new();
    workplace.song("music/a.wav", 2.0, 1);
    workplace.song("music/deep/b.wav", 1.0, 2);
    workplace
        .solfa("data pack music --output packed")
        .assert()
        .success()
        .stdout("packed: 2 tracks, 3.0 s at 24000 Hz\n");
    assert_eq!(workplace.files("packed"), ["index.json", "samples.i16"]);
    assert_eq!(workplace.read("packed/samples.i16").len(), 3 * 24_000 * 2);

    workplace.write("music/ruin.mp3", "no sound");
    let output =
        workplace.solfa("data pack music --output other --rate 16000 --resampler fast --json").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let summary = &json_lines(&output.stdout)[0];
    assert_eq!(
        (&summary["num_tracks"], &summary["num_resumed"], &summary["num_bytes"]),
        (&json!(2), &json!(0), &json!(96_000))
    );
    assert_eq!(
        (&summary["format"], &summary["sample_rate"], &summary["seconds"]),
        (&json!("int16"), &json!(16_000), &json!(3.0))
    );
    assert_eq!(summary["skipped"][0]["name"], "ruin.mp3");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("1 tracks that cannot be read, and are left out:") && message.contains("ruin.mp3"),
        "{message}"
    );
}

#[test]
fn a_store_is_not_written_over_and_is_no_source() {
    let workplace = Workplace::new();
    workplace.song("music/a.wav", 1.0, 1);
    workplace.solfa("data pack music/a.wav --output packed").assert().success();
    let before = workplace.read("packed/samples.i16");
    workplace
        .solfa("data pack music --output packed")
        .assert()
        .code(1)
        .stderr(contains("a packed store is there already"));
    assert_eq!(workplace.read("packed/samples.i16"), before);
    workplace.solfa("data pack packed --output twice").assert().code(2).stderr(contains("is a packed store already"));
    workplace
        .solfa("data pack packed --output twice --rate 16000")
        .assert()
        .code(2)
        .stderr(contains("packed at 24000 Hz"));
    assert!(!workplace.path("twice").exists());
}

#[test]
fn composed_pieces_are_packed_and_are_the_same_each_time() {
    let workplace = Workplace::new();
    for name in ["one", "two --threads 1"] {
        let arguments = format!("data pack synth:tracks=2,seconds=8,seed=7 --rate 16000 --output {name}");
        workplace.solfa(&arguments).assert().success().stdout(contains("2 tracks, 16.0 s at 16000 Hz"));
    }
    for file in ["samples.i16", "index.json"] {
        assert_eq!(workplace.read(&format!("one/{file}")), workplace.read(&format!("two/{file}")), "{file}");
    }
}

#[test]
fn wrong_sources_are_named() {
    let workplace = Workplace::new();
    fs_err::create_dir(workplace.path("empty")).unwrap();
    workplace.write("ruins/a.wav", "no sound");
    for (arguments, code, expected) in [
        ("data pack empty --output x", 1, "the folder holds no audio: expected files such as .wav"),
        ("data pack absent --output x", 1, "absent"),
        ("data pack ruins --output x", 1, "none of 1 tracks can be read; the first is a.wav"),
        ("data pack synth:sead=3 --output x", 2, "did you mean `seed`?"),
        ("data pack synth:seconds=2 --output x", 2, "expected 8 to 600"),
        ("data pack ruins --output x --rate 10", 2, "1000..=192000"),
        ("data pack ruins --output x --format mp3", 2, "possible values: int16"),
        ("data pack ruins", 2, "--output <FOLDER>"),
    ] {
        workplace.solfa(arguments).assert().code(code).stderr(contains(expected)).stdout("");
    }
    workplace.solfa("data pack --help").assert().success().stdout(contains("Examples:").and(contains("synth:")));
}
