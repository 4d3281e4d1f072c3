use std::path::{Path, PathBuf};

use super::*;
use crate::compose::{Request, Style, compose};
use crate::labels::Labels;

fn events_file(division: [u8; 2], events: &[u8]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01".to_vec();
    bytes.extend(division);
    bytes.extend(b"MTrk");
    bytes.extend((events.len() as u32).to_be_bytes());
    bytes.extend(events);
    bytes
}

/// A quarter note C4 in D major, 3/4, at 100 beats a minute (600,000 microseconds).
const ONE_NOTE: &[u8] = b"\0\xff\x51\x03\x09\x27\xc0\0\xff\x58\x04\x03\x02\x18\x08\0\xff\x59\x02\x02\0\0\x90\x3e\x50\x60\x80\x3e\0\0\xff\x2f\0";

#[test]
fn a_file_made_by_hand_is_read_as_it_is() {
    let piece = parse(&events_file([0, 96], ONE_NOTE), Path::new("one.mid")).unwrap();
    let note = piece.performance.parts[0].notes[0];
    assert_eq!((note.pitch, note.velocity, note.onset), (62, 0x50, 0.0));
    assert!((note.offset - 0.6).abs() < 1e-12);
    assert_eq!(piece.labels.meter.as_deref(), Some("3/4"));
    assert_eq!(piece.labels.key.as_deref(), Some("D major"));
    assert!((piece.labels.beats[1] - 0.6).abs() < 1e-12);
    assert_eq!(piece.labels.downbeats, [0.0]);
    assert_eq!(piece.labels.instruments, ["piano"]);
    // 25 frames a second of 40 ticks: milliseconds.
    let film = parse(&events_file([0xE7, 40], ONE_NOTE), Path::new("film.mid")).unwrap();
    assert!((film.performance.parts[0].notes[0].offset - 0.096).abs() < 1e-9);
    assert!(film.labels.beats.is_empty());
}

#[test]
fn the_pedal_holds_notes() {
    let events = b"\0\xb0\x40\x7f\0\x90\x3c\x50\x60\x80\x3c\0\x60\xb0\x40\0\0\xff\x2f\0";
    let piece = parse(&events_file([0, 96], events), Path::new("pedal.mid")).unwrap();
    assert_eq!(piece.performance.parts[0].notes[0].offset, 1.0);
}

#[test]
fn what_is_written_is_read_back() {
    for (seed, style) in Style::ALL.into_iter().enumerate() {
        let piece = compose(&Request { seed: seed as u64, style: Some(style), key: None, seconds: 20.0 }).unwrap();
        let bytes = write(&piece.performance, &piece.labels).unwrap();
        let again = parse(&bytes, Path::new("piece.mid")).unwrap();
        assert_eq!(again.performance.num_notes(), piece.performance.num_notes(), "{style:?}");
        let (one, other) = (&piece.labels, &again.labels);
        assert_eq!(
            (&one.instruments, &one.meter),
            (&other.instruments, if one.beats[0] > 0.0 { &one.meter } else { &other.meter })
        );
        // The file begins with a beat that the piece does not have: of three eighths in 6/8.
        let lead = if one.meter.as_deref() == Some("6/8") { 3 } else { 1 };
        for (beat, read) in one.beats.iter().zip(&other.beats[lead..]) {
            assert!((beat - read).abs() < 1e-3, "{style:?}: {beat} {read}");
        }
        for (downbeat, read) in one.downbeats.iter().zip(&other.downbeats[1..]) {
            assert!((downbeat - read).abs() < 1e-3, "{style:?}: {downbeat} {read}");
        }
        for part in &piece.performance.parts {
            let same = again
                .performance
                .parts
                .iter()
                .find(|other| other.name == part.name && other.instrument == part.instrument);
            let same = same.unwrap_or_else(|| panic!("{style:?}: {}", part.name));
            if same.notes.len() == part.notes.len() {
                for (note, read) in part.notes.iter().zip(&same.notes) {
                    assert!((note.onset - read.onset).abs() < 3e-3, "{style:?}: {note:?} {read:?}");
                }
            }
        }
    }
}

#[test]
fn hostile_files_are_refused_with_their_path_and_reason() {
    let whole = events_file([0, 96], ONE_NOTE);
    let refused = |bytes: &[u8], reason: &str| {
        let message = parse(bytes, Path::new("bad.mid")).unwrap_err().to_string();
        assert!(message.starts_with("bad.mid: not a MIDI file that can be played: "), "{message}");
        assert!(message.contains(reason), "{message}");
    };
    refused(b"", "does not begin with a header");
    refused(b"RIFF....WAVE....", "does not begin with a header");
    for length in 0..whole.len() {
        refused(&whole[..length], "");
    }
    refused(&whole[..whole.len() - 3], "cut off");
    refused(&events_file([0, 0], ONE_NOTE), "quarter note has 0 ticks");
    refused(&events_file([0xE7, 0], ONE_NOTE), "frames have 0 ticks");
    refused(&events_file([0, 96], b"\0\xff\x51\x03\0\0\0\0\x90\x3c\x50\x60\x80\x3c\0\0\xff\x2f\0"), "0 microseconds");
    refused(
        &events_file([0, 96], b"\0\xff\x58\x04\0\x02\x18\x08\0\x90\x3c\x50\x60\x80\x3c\0\0\xff\x2f\0"),
        "time signature",
    );
    refused(&events_file([0, 1], b"\0\x90\x3c\x50\xff\xff\xff\x7f\x80\x3c\0\0\xff\x2f\0"), "at most 14400");
    refused(&events_file([0, 96], b"\0\xff\x2f\0"), "no notes");
    let mut two_tracks = whole.clone();
    two_tracks[11] = 2;
    refused(&two_tracks, "1 of 2 tracks");
    let mut collection = whole.clone();
    collection[9] = 2;
    refused(&collection, "format 2");
    let absent = read(Path::new("absent.mid")).unwrap_err().to_string();
    assert!(absent.starts_with("absent.mid: cannot be read"), "{absent}");
}

#[test]
fn changed_bytes_never_cause_a_panic() {
    let piece = compose(&Request { seed: 1, style: None, key: None, seconds: 8.0 }).unwrap();
    let bytes = write(&piece.performance, &piece.labels).unwrap();
    let mut dice = crate::dice::Dice::new(3, "damage");
    let mut num_read = 0;
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + dice.below(4) {
            let place = dice.below(damaged.len());
            damaged[place] = dice.below(256) as u8;
        }
        if let Ok(piece) = parse(&damaged, Path::new("damaged.mid")) {
            piece.performance.validate().unwrap();
            num_read += 1;
        }
    }
    assert!(num_read > 100, "{num_read}");
}

#[test]
fn annotations_become_labels() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
    let path = folder.path().join("song.mid");
    write("beat_midi.txt", "0.5 1.0 1.0\n1.0 0.0 0.0\n1.5 1.0 0.0\n2.0 0.0 0.0\n2.5 1.0 1.0\n");
    write("chord_midi.txt", "0.5\t1.5\tC:maj\n1.5\t2.5\tG:7/3\n");
    write("key_audio.txt", "0.0\t9.0\tGb:maj\n9.0\t12.0\tA:min\n");
    let mut labels = Labels::default();
    add_annotations(&path, &mut labels).unwrap();
    assert_eq!((labels.beats.len(), labels.downbeats.as_slice(), labels.tempo), (5, &[0.5, 2.5][..], Some(120.0)));
    assert_eq!(labels.key.as_deref(), Some("Gb major"));
    let chords: Vec<(f64, &str)> = labels.chords.iter().map(|span| (span.start, span.chord.as_str())).collect();
    assert_eq!(chords, [(0.0, "N"), (0.5, "C:maj"), (1.5, "G:7/3")]);
    write("song_annotations.txt", "1.0\t1.0\tdb,4/4,2\n1.6\t1.6\tb\n2.2\t2.2\tb\n");
    add_annotations(&path, &mut labels).unwrap();
    assert_eq!((labels.beats.as_slice(), labels.downbeats.as_slice()), (&[1.0, 1.6, 2.2][..], &[1.0][..]));
    for (name, text, reason) in [
        ("beat_midi.txt", "0.5 1.0 1.0\n0.5 1.0 1.0\n", "beat_midi.txt, line 2: the time 0.5 is not later"),
        ("beat_midi.txt", "0.5 1.0\n", "line 1: expected 3 numbers"),
        ("beat_midi.txt", "nan 1 1\n", "`nan` is not a time"),
        ("chord_midi.txt", "0 1 C:maj\n0.5 2 D:maj\n", "chord_midi.txt, line 2: a chord from 0.5 to 2 s"),
        ("key_audio.txt", "0 1 H:maj\n", "`H:maj` is not a key"),
    ] {
        let other = tempfile::tempdir().unwrap();
        fs_err::write(other.path().join(name), text).unwrap();
        let message = add_annotations(&other.path().join("song.mid"), &mut labels).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

/// Every file of the pack of real data, where it is.
#[test]
fn real_files_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/midi");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mid") {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        println!("skipped: there is no {}", root.display());
        return;
    }
    let mut failed = Vec::new();
    let (mut keys, mut chords, mut melodies) = (0, 0, 0);
    for path in &files {
        match read(path).and_then(|mut piece| add_annotations(path, &mut piece.labels).map(|()| piece)) {
            Ok(piece) => {
                piece.performance.validate().unwrap();
                keys += usize::from(piece.labels.key.is_some());
                chords += usize::from(!piece.labels.chords.is_empty());
                melodies += usize::from(!piece.labels.melody.is_empty());
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    println!(
        "{} files, {} refused, {keys} with a key, {chords} with chords, {melodies} with a melody",
        files.len(),
        failed.len()
    );
    println!("{}", failed.join("\n"));
    assert!(failed.len() * 50 < files.len(), "{} of {} were refused", failed.len(), files.len());
    assert!(keys > 0 && chords > 50 && melodies > 50);
}
