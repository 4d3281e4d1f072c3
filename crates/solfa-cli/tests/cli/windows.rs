//! How recordings are cut.

use predicates::str::contains;

use crate::common::{Stored, Workplace, fixture, tiny_muq, with_status};

fn frames(workplace: &Workplace, arguments: &str) -> Vec<f32> {
    workplace
        .solfa(&format!("embed song.wav --pool none --layers last --output out.safetensors {arguments}"))
        .assert()
        .success();
    Stored::read(&workplace.path("out.safetensors")).tensors.into_values().next().unwrap().1
}

#[test]
fn mel_frames_do_not_show_where_windows_were() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 7.3, 1);
    let whole = frames(&workplace, "--model mel --window whole");
    for windows in ["--window 2", "--window 0.5", "--window 3 --hop 1", ""] {
        assert!(frames(&workplace, &format!("--model mel {windows}")) == whole, "{windows}");
    }
}

#[test]
fn the_tail_is_padded_dropped_or_overlapped() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 5.0, 1);
    let num_frames = |options: &str| frames(&workplace, &format!("--model {} {options}", tiny_muq())).len() / 32;
    assert_eq!(num_frames("--window 2 --tail drop"), 100);
    assert_eq!(num_frames("--window 2 --tail pad"), 125);
    assert_eq!(num_frames("--window 2 --tail overlap"), 125);
    assert_eq!(num_frames("--window 2 --hop 1 --tail drop"), 125);
    assert_eq!(num_frames("--window whole"), 125);
    // A recording that does not fill one window.
    assert_eq!(num_frames("--window 30 --tail overlap"), 125);
    let rows = workplace.embed("song.wav --window 30 --tail drop --output dropped");
    assert_eq!(with_status(&rows, "failed"), ["song.wav"]);
    assert!(rows[0]["error"].as_str().unwrap().contains("5.000 s long and gives no frame: windows are 30.000 s"));
}

#[test]
fn what_was_done_is_part_of_the_space() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 5.0, 1);
    let mut spaces = Vec::new();
    for options in
        ["", "--window 2", "--window 2 --hop 1", "--window 2 --tail pad", "--window whole", "--resampler fast"]
    {
        frames(&workplace, &format!("--model {} {options}", tiny_muq()));
        let space = Stored::read(&workplace.path("out.safetensors")).metadata["space_id"].clone();
        assert!(!spaces.contains(&space), "{options}");
        spaces.push(space);
    }
}

/// MERT gives no frame for the last 80 samples of a window: windows overlap by themselves, and one that cannot is refused.
#[test]
fn no_frame_is_missing_where_convolutions_are_not_padded() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 3.3, 1);
    let mert = fixture("golden/mert-95m-tiny");
    let run = |arguments: &str| {
        let mut command =
            workplace.solfa(&format!("embed --layers last --pool none -o out.npy a.wav {arguments} --model"));
        command.arg(&mert).assert()
    };
    for windows in ["", "--window 1", "--window 1 --hop 0.5"] {
        run(windows).success().stdout(contains("247 x 32"));
    }
    for (windows, message) in [
        ("--window 1 --hop 1", "leave frames out: the encoder gives none for the last 3.3 ms of a window"),
        ("--window 1 --hop 2", "is longer than the window"),
        ("--window 0.02", "too short for the encoder"),
    ] {
        run(windows).code(2).stderr(contains(message));
    }
}
