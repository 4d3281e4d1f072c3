//! How recordings are cut.

use crate::common::{Stored, Workplace, tiny_muq, with_status};

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
