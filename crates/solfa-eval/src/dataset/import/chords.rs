//! Chords: `.lab` files beside recordings, as Isophonics and McGill Billboard have them.
//!
//! Harte, "Towards automatic extraction of harmony information from music signals", 2010 (the Beatles and the syntax);
//! Burgoyne, Wild and Fujinaga, "An expert ground truth set for audio chord recognition and music analysis", ISMIR 2011
//! (Billboard).
//!
//! Layout: `.lab` files of `start end chord` a line, in Harte's syntax, and recordings with the same name: beside them, or in
//! another folder whose last folders are the same (`chordlab/The Beatles/01_-_Please_Please_Me/x.lab` and
//! `audio/The Beatles/01_-_Please_Please_Me/x.flac`). Billboard has several files for a song in a folder with its number:
//! `full.lab` counts, and the recording is named as the folder (`0003.mp3`), or stands alone in it. There is no agreed split:
//! ours is by chance, by song. The 1,217 songs of MARBLE are of Isophonics, Billboard and MARL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::{Folder, is_audio, stem};
use super::gather::{Candidate, Gathered};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::annotation::{AnnotationError, read_data_set_chords};
use crate::dataset::{Split, SplitItem};

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "chords",
    title: "Chords of Isophonics, Billboard or people's own",
    task: "intervals with a chord in Harte's syntax",
    paper: "Harte 2010; Burgoyne, Wild and Fujinaga 2011",
    layout: "NAME.lab (start end chord) and a recording NAME beside it or in a parallel folder; Billboard's 0003/full.lab \
             with 0003.mp3",
    split_rule: "8:1:1 by song, by chance: there is no agreed split",
    licence: "Isophonics: none stated; Billboard: CC0; recordings do not come with them",
    origin: "isophonics.net, ddmal.music.mcgill.ca/research/The_McGill_Billboard_Project",
    expected: ExpectedRows::UNKNOWN,
    gather,
}];

/// Of several files for a song in one folder (Billboard), this one counts.
const FULL: &str = "full";

fn gather(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new(format!("{} by song, by chance", options.shares));
    let labs: Vec<&PathBuf> =
        folder.files().iter().filter(|path| path.extension().is_some_and(|extension| extension == "lab")).collect();
    if labs.is_empty() {
        return Err(folder.layout_error("a set of chords", "NAME.lab and a recording with the same name"));
    }
    let billboard: Vec<&Path> = labs.iter().filter(|lab| stem(lab) == FULL).filter_map(|lab| lab.parent()).collect();
    let mut recordings: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for path in folder.audio() {
        recordings.entry(stem(path)).or_default().push(path);
    }
    for lab in labs {
        let is_of_billboard = lab.parent().is_some_and(|parent| billboard.contains(&parent));
        if is_of_billboard && stem(lab) != FULL {
            continue;
        }
        let label = match chords(&folder.absolute(lab))? {
            Ok(label) => label,
            Err(reason) => {
                gathered.leave_out(lab.display(), reason);
                continue;
            }
        };
        let audio = if is_of_billboard {
            recording_of_folder(folder, lab, &recordings)
        } else {
            nearest(lab, recordings.get(&stem(lab)).map(Vec::as_slice).unwrap_or_default())
        };
        match audio {
            Some(audio) => gathered.candidates.push(Candidate::new(audio.to_owned(), label, Split::Train)),
            None => gathered.leave_out(lab.display(), "no recording has its name"),
        }
    }
    let item = |candidate: &Candidate| SplitItem {
        group: candidate.audio.with_extension("").display().to_string(),
        stratum: String::new(),
    };
    gathered.split_randomly(options, &options.shares, |_| true, item);
    Ok(gathered)
}

/// Of recordings with the same name, the one whose folders agree longest from the innermost on, or from the outermost on.
fn nearest<'paths>(lab: &Path, named_alike: &[&'paths Path]) -> Option<&'paths Path> {
    let own: Vec<_> = lab.parent()?.components().collect();
    let agreement = |path: &&&Path| {
        let other: Vec<_> = path.parent().map(|folder| folder.components().collect()).unwrap_or_default();
        let inner = own.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
        let outer = own.iter().zip(&other).take_while(|(one, other)| one == other).count();
        (inner, outer)
    };
    named_alike.iter().rev().max_by_key(agreement).copied()
}

/// The recording named as the folder, or the only one in it.
fn recording_of_folder<'paths>(
    folder: &'paths Folder,
    lab: &Path,
    recordings: &BTreeMap<String, Vec<&'paths Path>>,
) -> Option<&'paths Path> {
    let parent = lab.parent()?;
    let name = parent.file_name()?.to_string_lossy().into_owned();
    let mut beside =
        folder.files().iter().map(PathBuf::as_path).filter(|path| path.parent() == Some(parent) && is_audio(path));
    let named = recordings.get(&name).and_then(|paths| paths.first().copied());
    named
        .or_else(|| Some((beside.next()?, beside.next())).and_then(|(first, second)| second.is_none().then_some(first)))
}

/// The chords of a file; or why the file is left out.
fn chords(path: &Path) -> Result<Result<Value, String>, ImportError> {
    let chords = match read_data_set_chords(path) {
        Ok(chords) => chords,
        Err(error @ AnnotationError::Label { .. }) => return Ok(Err(error.reason())),
        Err(other) => return Err(other.into()),
    };
    if chords.is_empty() {
        return Ok(Err("it has no chord".into()));
    }
    let parts = chords.intervals.iter().zip(&chords.labels);
    let label =
        parts.map(|(part, chord)| json!({ "start_time": part.start, "end_time": part.end, "chord_str": chord }));
    Ok(Ok(label.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, left_out, rows, unreadable};
    use super::*;

    const LAB: &str = "0.000000 2.612267 N\n2.612267 11.459070 E\n11.45907\t12.9\tA:min7/b3\n12.9 12.9 A\n";

    #[test]
    fn isophonics_and_billboard_are_matched_with_recordings() {
        let place = Place::new();
        place.write("chordlab/The Beatles/Please/01_-_x.lab", LAB);
        place.wav("audio/The Beatles/Please/01_-_x.wav", 0.2);
        place.wav("audio/The Beatles/Help/01_-_x.wav", 0.3);
        place.write("own/y.lab", "0 1 C:maj\n");
        place.wav("own/y.wav", 0.2);
        place.write("billboard/0003/full.lab", "0 1 C:maj\n");
        place.write("billboard/0003/majmin.lab", "0 1 C:maj\n");
        place.wav("billboard/0003/some song.wav", 0.2);
        place.write("billboard/0004/full.lab", "0 1 X\n");
        place.wav("music/0004.wav", 0.2);
        place.write("own/z.lab", "0 1 H:maj\n");
        place.write("own/w.lab", "0 1 C\n");
        place.write("own/v.lab", "0 1 C\n");
        place.write("own/v.wav", "x");
        let imported = place.import("chords");
        let found: Vec<&str> = rows(&imported).iter().map(|row| row.0).collect();
        assert_eq!(
            found,
            ["billboard/0003/some song.wav", "music/0004.wav", "audio/The Beatles/Please/01_-_x.wav", "own/y.wav"]
        );
        let label = &imported.records[2].label;
        assert_eq!(label.as_array().unwrap().len(), 3);
        assert_eq!(label[2], json!({"start_time": 11.45907, "end_time": 12.9, "chord_str": "A:min7/b3"}));
        assert_eq!(
            left_out(&imported),
            "own/w.lab: no recording has its name\nown/z.lab: line 1: a chord in Harte's syntax \
             (a root from `A` to `G`, `N` or `X` is expected, not `H`) is expected, and `H:maj` is found\n"
        );
        assert_eq!(unreadable(&imported), ["v.wav"]);
        assert_eq!(imported.report.unused, ["audio/The Beatles/Help/01_-_x.wav"]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let place = Place::new();
        let error = || place.try_import("chords", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error().contains("expected NAME.lab"));
        place.wav("a.wav", 0.1);
        for (text, expected) in [
            ("0 1\n", "a.lab, line 1: `start end label` is expected, and `0 1` is found"),
            ("0 1 C\n\nx 2 C\n", "a.lab, line 3: a finite number is expected, and `x` is found"),
            (
                "0 5 C\n1 6 D\n",
                "a.lab, line 2: a start at 4.5 s or later, where the interval of line 1 ends, is expected, and `1` is found",
            ),
        ] {
            place.write("a.lab", text);
            assert!(error().contains(expected), "{}", error());
        }
        place.write("a.lab", "# nothing\n");
        assert!(error().contains("1 left out (first a.lab: it has no chord)"), "{}", error());
    }
}
