//! Composed music and rendered MIDI files.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::common::{Workplace, json_lines, with_status};

#[test]
fn a_suite_is_written_once_and_continues() {
    let workplace = Workplace::new();
    let command = "synth suite --output suite --pieces 5 --seconds 8 --notes 5 --sample-rate 16000 --threads 2";
    let output = workplace.solfa(&format!("{command} --json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = &json_lines(&output.stdout)[0];
    assert_eq!((summary["rendered"].as_u64(), summary["kept"].as_u64()), (Some(10), Some(0)));
    assert_eq!(summary["tasks"].as_object().unwrap().len(), 11);
    let files = workplace.files("suite");
    assert_eq!(files.len(), 10 + 11 + 1);
    for name in ["key", "chords", "beats", "structure", "melody", "onsets", "instruments", "style", "note-pitch"] {
        let rows = json_lines(&workplace.read(&format!("suite/{name}.jsonl")));
        assert_eq!(rows.len(), 5, "{name}");
        let wav = workplace.path("suite").join(rows[0]["audio_path"].as_str().unwrap());
        assert!(wav.exists() && rows[0]["split"].is_string(), "{name}: {}", rows[0]);
    }
    workplace
        .solfa(command)
        .assert()
        .success()
        .stdout(contains("note-pitch"))
        .stderr(contains("0 sounds rendered, 10"));
    workplace.solfa(&format!("{command} --seed 1")).assert().code(2).stderr(contains("seed: 0 there, 1 asked for"));
    // What was written can be read by the rest of the program.
    let embedded = workplace.embed("suite/style.jsonl -o embeddings");
    assert!(!embedded.is_empty(), "the manifest's paths are found");
}

#[test]
fn a_piece_goes_to_midi_and_back_to_sound() {
    let workplace = Workplace::new();
    let compose = "synth compose --seed 3 --style jazz --seconds 10 -o piece.wav --midi in/piece.mid";
    let output = workplace.solfa(compose).args(["--json", "--key", "Eb major"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let labels = &json_lines(&output.stdout)[0];
    assert_eq!((labels["key"].as_str(), labels["style"].as_str()), (Some("Eb major"), Some("jazz")));
    let reader = hound::WavReader::open(workplace.path("piece.wav")).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.duration()), (2, 24_000, 240_000));
    workplace.solfa("synth compose --seed 3 -o other.wav").assert().success().stdout(contains("tempo"));

    workplace.write("in/broken.mid", b"MThd\0\0");
    let output = workplace.solfa("synth render in --output out --json").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let rows = json_lines(&output.stdout);
    assert_eq!(with_status(&rows, "failed"), ["in/broken.mid"]);
    assert_eq!(with_status(&rows, "done"), ["in/piece.mid"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("in/broken.mid: not a MIDI file"));
    let onsets = json_lines(&workplace.read("out/onsets.jsonl"));
    assert_eq!(onsets[0]["audio_path"], "piece.wav");
    assert!(workplace.files("out").contains(&"piece.wav".to_owned()));
}

#[test]
fn wrong_requests_are_named() {
    let workplace = Workplace::new();
    let refused = |arguments: &str, message: &str| {
        workplace.solfa(arguments).assert().code(2).stderr(contains(message).and(contains("panicked").not()));
    };
    refused("synth compose --style polka -o a.wav", "`polka` is not a style: expected one of ballad, rock");
    refused("synth compose --key H -o a.wav", "`H` is not a key");
    refused("synth compose --seconds 2 -o a.wav", "expected 8 to 600");
    refused("synth compose -o a.mp3", "expected a .wav file");
    refused("synth compose --sample-rate 8000 -o a.wav", "a sample rate of 8000 Hz");
    refused("synth compose --soundfont absent.sf2 -o a.wav", "absent.sf2");
    refused("synth suite --pieces 4 -o a", "4 pieces: expected 5");
    refused("synth suite --pieces x -o a", "`x`: expected a number");
    fs_err::create_dir(workplace.path("empty")).unwrap();
    refused("synth render empty --output out", "holds no .mid");
    workplace.write("one/a.mid", "x");
    workplace.write("two/a.mid", "x");
    refused("synth render one two --output out", "would both be written to a.wav");
    workplace.solfa("synth render one --output out").assert().code(1).stderr(contains("does not begin with a header"));
    workplace.solfa("synth render absent.mid --output out").assert().code(1).stderr(contains("absent.mid"));
}
