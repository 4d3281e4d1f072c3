//! MAESTRO: piano performances and the notes that were played.
//!
//! Hawthorne et al., "Enabling factorized piano music modeling and generation with the MAESTRO dataset", ICLR 2019: recordings
//! of a competition on pianos that write down what is played, aligned to about 3 ms.
//!
//! Layout: `maestro-v3.0.0.csv` (or v2.0.0, v1.0.0) with the columns `split`, `midi_filename` and `audio_filename`, and beside
//! it a folder for each year with `NAME.midi` and `NAME.wav` (or another extension). The split is the file's own: no piece is
//! in two. Version 3 has 962, 137 and 177 performances; version 2, which MARBLE v1 uses, 967, 137 and 178 (these three
//! are from memory).
//!
//! Notes last until the key is up and the sustain pedal as well, or until the pitch is struck again, as in the references of
//! published scores; [`MidiFile`] says more. Times are written to the microsecond, which is finer than a tick of the files.
//! All of version 3 has some seven million notes: its rows take half a gigabyte on disk and several in memory.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::giantsteps::split_of;
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::annotation::{AnnotationError, MidiFile};

const SPLIT_RULE: &str = "the file's own, by piece";

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "maestro",
    title: "MAESTRO v3.0.0, piano notes",
    task: "notes of a performance",
    paper: "Hawthorne et al. 2019",
    layout: "maestro-v3.0.0.csv (or another version), and beside it YEAR/NAME.midi and YEAR/NAME.wav or another recording",
    split_rule: SPLIT_RULE,
    licence: "CC BY-NC-SA 4.0",
    origin: "magenta.tensorflow.org/datasets/maestro",
    expected: ExpectedRows::of_splits(962, 137, 177),
    gather,
}];

/// Written times are whole numbers of these parts of a second.
const PARTS_OF_A_SECOND: f64 = 1e6;

fn gather(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    let table_path = match tables(folder).as_slice() {
        [one] => *one,
        [] => return Err(folder.layout_error("MAESTRO", "maestro-v3.0.0.csv, with folders of years beside it")),
        several => {
            let found: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            let reason = format!("expected one version of MAESTRO, found {}: import one of them", found.join(", "));
            return Err(ImportError::Option(reason));
        }
    };
    let table = Table::read(&folder.absolute(table_path), b',')?;
    let [split, midi, audio] = ["split", "midi_filename", "audio_filename"].map(|name| table.column(name));
    let (split, midi, audio) = (split?, midi?, audio?);
    let root = table_path.parent().unwrap_or(Path::new(""));
    let mut gathered = Gathered::new(SPLIT_RULE);
    let mut num_without_length = 0;
    for row in table.rows() {
        let name = row.cell(split);
        let split = split_of(&Value::from(name))
            .ok_or_else(|| table.error(row, format!("expected train, validation or test, found `{name}`")))?;
        let midi = root.join(row.cell(midi));
        if !folder.has(&midi) {
            gathered.leave_out(midi.display(), "there is no such file");
            continue;
        }
        let recording = recording(folder, root, row.cell(audio));
        // What is not there needs no label: it is reported as missing.
        let label = if folder.has(&recording) { label(&folder.absolute(&midi)) } else { Ok((Value::Null, 0)) };
        match label {
            Ok((label, without_length)) => {
                num_without_length += without_length;
                gathered.candidates.push(Candidate::new(recording, label, split));
            }
            Err(error @ AnnotationError::Midi { .. }) => gathered.leave_out(midi.display(), error.reason()),
            Err(error) => return Err(error.into()),
        }
    }
    gathered.notes.push(format!("{}: notes end with the sustain pedal", table_path.display()));
    if num_without_length > 0 {
        gathered.notes.push(format!("{num_without_length} notes of no length are left out"));
    }
    Ok(gathered)
}

/// The files that list a version's performances.
fn tables(folder: &Folder) -> Vec<&Path> {
    let is_table = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("maestro-v") && name.ends_with(".csv")
    };
    folder.files().iter().map(PathBuf::as_path).filter(is_table).collect()
}

/// The recording that a row names, in this format or another one.
fn recording(folder: &Folder, root: &Path, name: &str) -> PathBuf {
    let named = root.join(name);
    if folder.has(&named) {
        return named;
    }
    let other = folder.find_audio(&root.join(name).with_extension("").to_string_lossy());
    if folder.has(&other) { other } else { named }
}

/// The notes of a file, and how many have no length.
fn label(midi: &Path) -> Result<(Value, usize), AnnotationError> {
    let rounded = |seconds: f64| (seconds * PARTS_OF_A_SECOND).round() / PARTS_OF_A_SECOND;
    let played = MidiFile::read(midi)?.pitched_notes();
    let with_length = played.iter().map(|note| (rounded(note.onset), rounded(note.offset), note.pitch));
    let notes: Vec<Value> = with_length
        .filter(|(onset, offset, _)| onset < offset)
        .map(|(onset, offset, pitch)| json!({ "onset": onset, "offset": offset, "pitch": pitch }))
        .collect();
    let without_length = played.len() - notes.len();
    Ok((json!({ "notes": notes }), without_length))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;
    use crate::annotation::midi_file_of;

    const TABLE: &str = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n\
        Alban Berg,Sonata Op. 1,train,2018,2018/a.midi,2018/a.wav,698.66\n\
        Alexander Scriabin,\"24 Preludes, Op. 11\",validation,2004,2004/b.midi,2004/b.wav,0.2\n\
        Frédéric Chopin,Ballade,test,2018,2018/c.midi,2018/c.wav,0.2\n";

    /// C4 from 0 s to 0.5 s, held by the pedal until 1 s, and a note of no length.
    const HELD: &[u8] = b"\0\xb0\x40\x7f\0\x90\x3c\x50\x60\x80\x3c\0\x60\xb0\x40\0\0\x90\x3e\x50\0\x80\x3e\0";

    fn layout() -> Place {
        let place = Place::new();
        place.write("maestro-v3.0.0/maestro-v3.0.0.csv", TABLE);
        for name in ["2018/a", "2004/b", "2018/c"] {
            place.write(&format!("maestro-v3.0.0/{name}.midi"), midi_file_of(HELD));
            place.wav(&format!("maestro-v3.0.0/{name}.wav"), 0.2);
        }
        place
    }

    #[test]
    fn notes_last_as_long_as_the_pedal() {
        let imported = layout().import("maestro");
        let held = r#"{"notes":[{"onset":0.0,"offset":1.0,"pitch":60}]}"#;
        assert_eq!(
            rows(&imported),
            [
                ("maestro-v3.0.0/2018/a.wav", held.into(), "train"),
                ("maestro-v3.0.0/2004/b.wav", held.into(), "val"),
                ("maestro-v3.0.0/2018/c.wav", held.into(), "test"),
            ]
        );
        let report = &imported.report;
        assert_eq!((counts(&imported), report.rows[0].expected), ([1, 1, 1], Some(962)));
        assert_eq!((report.seed, report.split_rule.as_str()), (None, SPLIT_RULE));
        assert_eq!(report.notes[1], "3 notes of no length are left out");
    }

    #[test]
    fn what_is_wrong_is_reported() {
        let place = layout();
        for file in ["2018/a.midi", "2004/b.wav", "2018/c.wav"] {
            fs_err::remove_file(place.path(&format!("maestro-v3.0.0/{file}"))).unwrap();
        }
        place.copy("maestro-v3.0.0/2018/a.wav", "maestro-v3.0.0/2004/b.flac");
        let error = place.try_import("maestro", &ImportOptions::default());
        let imported = error.unwrap();
        // A WAV by another name is still one.
        assert_eq!(rows(&imported)[0].0, "maestro-v3.0.0/2004/b.flac");
        assert_eq!(imported.report.missing, ["maestro-v3.0.0/2018/c.wav"]);
        assert_eq!(left_out(&imported), "maestro-v3.0.0/2018/a.midi: there is no such file\n");
        place.write("maestro-v3.0.0/2018/a.midi", "RIFF");
        place.write("maestro-v3.0.0/2018/c.wav", "no sound");
        let imported = place.try_import("maestro", &ImportOptions::default()).unwrap();
        let expected =
            "maestro-v3.0.0/2018/a.midi: a MIDI file is expected, and it does not begin with a header (MThd)\n";
        assert_eq!(left_out(&imported), expected);
        assert_eq!(unreadable(&imported), ["c.wav"]);
    }

    #[test]
    fn another_folder_and_wrong_tables_are_errors() {
        let place = Place::new();
        let error = || place.try_import("maestro", &ImportOptions::default()).unwrap_err().to_string();
        place.write("x.csv", "");
        assert!(error().contains("does not look like MAESTRO: expected maestro-v3.0.0.csv"), "{}", error());
        place.write("maestro-v3.0.0.csv", "split,midi_filename\n");
        assert!(error().contains("expected a column `audio_filename`"), "{}", error());
        place.write("maestro-v3.0.0.csv", TABLE.replace("validation", "dress rehearsal"));
        place.write("2018/a.midi", midi_file_of(HELD));
        assert!(error().contains("maestro-v3.0.0.csv, line 3: expected train, validation or test"), "{}", error());
        place.write("maestro-v2.0.0.csv", TABLE);
        assert!(error().contains("found maestro-v2.0.0.csv, maestro-v3.0.0.csv: import one of them"), "{}", error());
    }
}
