//! Harmonix: structure and beats of pop songs.
//!
//! Nieto et al., "The Harmonix Set: Beats, downbeats, and functional segment annotations of Western popular music", ISMIR
//! 2019: 912 songs. The recordings do not come with it, and its times fit the recordings that were annotated: others have to be
//! aligned first.
//!
//! Layout: the repository's `segments/NAME.txt` (`seconds label` a line, the last one `end`),
//! `beats_and_downbeats/NAME.txt` (seconds, place in the bar, number of the bar) and `metadata.csv`, and people's own
//! recordings as `NAME.mp3` (or another extension) anywhere below the folder. There is no split of the authors: ours is by
//! chance, by song.
//!
//! Sections carry the function that their label is mapped to (Wang, Hung and Smith 2022) as `label`, and the label itself as
//! `raw_label`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::{Folder, stem};
use super::gather::{Candidate, Gathered};
use super::table::Table;
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::annotation::{downbeats, read_beats, read_section_boundaries};
use crate::dataset::classes::harmonix_function;
use crate::dataset::{Split, SplitItem};
use crate::metrics::tempo::tempo_of_beats;

const LICENCE: &str = "annotations: see the repository; recordings do not come with it";
const ORIGIN: &str = "github.com/urinieto/harmonixset";
const SPLIT_RULE: &str = "8:1:1 by song, by chance: the authors give none";

pub(super) const SETS: &[KnownDataSet] = &[
    KnownDataSet {
        name: "harmonix-structure",
        title: "Harmonix, structure",
        task: "sections with one of 7 functions",
        paper: "Nieto et al. 2019",
        layout: "dataset/segments/NAME.txt, and NAME.mp3 or another recording below any folder",
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::in_all(912),
        gather: |folder, options| gather(folder, options, "segments", &sections),
    },
    KnownDataSet {
        name: "harmonix-beats",
        title: "Harmonix, beats and downbeats",
        task: "beats, downbeats and tempo",
        paper: "Nieto et al. 2019",
        layout: "dataset/beats_and_downbeats/NAME.txt, metadata.csv, and NAME.mp3 or another recording below any folder",
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: ORIGIN,
        expected: ExpectedRows::in_all(912),
        gather: gather_beats,
    },
];

/// A label, or why there is none.
type Labelled = Result<Value, &'static str>;

fn gather(
    folder: &Folder,
    options: &ImportOptions,
    annotations: &str,
    label: &dyn Fn(&str, &Path) -> Result<Labelled, ImportError>,
) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::new(format!("{} by song, by chance", options.shares));
    let is_annotation = |path: &&PathBuf| {
        path.extension().is_some_and(|extension| extension == "txt")
            && path.parent().is_some_and(|folder| folder.ends_with(annotations))
    };
    let files: Vec<&PathBuf> = folder.files().iter().filter(is_annotation).collect();
    if files.is_empty() {
        return Err(folder.layout_error("Harmonix", format!("{annotations}/NAME.txt")));
    }
    for file in files {
        let name = stem(file);
        match label(&name, &folder.absolute(file))? {
            Ok(label) => gathered.candidates.push(Candidate::new(folder.find_audio(&name), label, Split::Train)),
            Err(reason) => gathered.leave_out(file.display(), reason),
        }
    }
    let item = |candidate: &Candidate| SplitItem { group: stem(&candidate.audio), stratum: String::new() };
    gathered.split_randomly(options, &options.shares, |_| true, item);
    Ok(gathered)
}

/// Sections from each boundary to the next. What begins at the last boundary has no end; it is `end` in the data set.
fn sections(_: &str, file: &Path) -> Result<Labelled, ImportError> {
    let found = read_section_boundaries(file)?;
    let parts = found.intervals.iter().zip(&found.labels);
    let sections: Vec<Value> = parts
        .filter_map(|(part, raw_label)| {
            let label = harmonix_function(raw_label)?;
            Some(json!({ "start_time": part.start, "end_time": part.end, "label": label, "raw_label": raw_label }))
        })
        .collect();
    Ok(if sections.is_empty() { Err("it has no section") } else { Ok(sections.into()) })
}

fn gather_beats(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let songs = folder.find("metadata.csv").map(|path| metadata(folder, path)).transpose()?.unwrap_or_default();
    let label = |name: &str, file: &Path| {
        let beats = read_beats(file)?;
        if let Some(beat) = beats.iter().find(|beat| beat.time < 0.0 || beat.position.is_none()) {
            let expected = "expected seconds that are not negative and a place in the bar for each beat";
            let found = beat.position.map_or_else(|| "no place".to_owned(), |position| format!("place {position}"));
            return Err(ImportError::file(file, format!("{expected}, found {} s and {found}", beat.time)));
        }
        if beats.is_empty() {
            return Ok(Err("it has no beats"));
        }
        let times: Vec<f64> = beats.iter().map(|beat| beat.time).collect();
        let mut label = json!({ "beat": times, "downbeat": downbeats(&beats) });
        let song = songs.get(name);
        if let Some(tempo) = song.and_then(|song| song.tempo).or_else(|| tempo_of_beats(&times)) {
            label["tempo"] = tempo.into();
        }
        if let Some(meter) = song.and_then(|song| song.meter.clone()) {
            label["meter"] = meter.into();
        }
        Ok(Ok(label))
    };
    gather(folder, options, "beats_and_downbeats", &label)
}

/// What `metadata.csv` says of a song.
struct Song {
    tempo: Option<f64>,
    meter: Option<String>,
}

fn metadata(folder: &Folder, path: &Path) -> Result<HashMap<String, Song>, ImportError> {
    let table = Table::read(&folder.absolute(path), b',')?;
    let [file, tempo, meter] = ["File", "BPM", "Time Signature"].map(|name| table.column(name));
    let (file, tempo, meter) = (file?, tempo?, meter?);
    let song = |row: &super::table::Row| Song {
        tempo: row.cell(tempo).parse().ok().filter(|tempo: &f64| tempo.is_finite() && *tempo > 0.0),
        meter: Some(row.cell(meter)).filter(|meter| meter.contains('/')).map(str::to_owned),
    };
    Ok(table.rows().iter().map(|row| (row.cell(file).to_owned(), song(row))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;

    fn layout() -> Place {
        let place = Place::new();
        for index in 0..10 {
            let name = format!("000{index}_song");
            place.write(
                &format!("dataset/segments/{name}.txt"),
                "0.0 intro\n8.5 guitarsolo\n\n9.5\tpre chorus\n12.5 end\n",
            );
            place.write(&format!("dataset/beats_and_downbeats/{name}.txt"), "0.5\t1\t1\n1.0\t2\t1\n1.5\t1\t2\n");
            place.wav(&format!("music/{name}.wav"), 0.2);
        }
        place.write("dataset/segments/0010_absent.txt", "0.0 intro\n1.0 end\n");
        place.write("dataset/segments/0011_empty.txt", "0.0 end\n");
        place.write("music/0009_song.wav", "x");
        place
    }

    #[test]
    fn sections_have_functions_and_their_own_labels() {
        let place = layout();
        let imported = place.import("harmonix-structure");
        let label = &imported.records[0].label;
        assert_eq!(label[0], json!({"start_time": 0.0, "end_time": 8.5, "label": "intro", "raw_label": "intro"}));
        assert_eq!(label[1]["label"], "inst");
        assert_eq!(
            label[2],
            json!({"start_time": 9.5, "end_time": 12.5, "label": "chorus", "raw_label": "pre chorus"})
        );
        assert_eq!(counts(&imported).iter().sum::<u64>(), 9);
        assert_eq!(imported.report.missing, ["0010_absent.wav"]);
        assert_eq!(unreadable(&imported), ["0009_song.wav"]);
        assert_eq!(left_out(&imported), "dataset/segments/0011_empty.txt: it has no section\n");
        assert_eq!(imported.report.seed, Some(0));
        assert!(imported.report.split_rule.contains("8:1:1"));
    }

    #[test]
    fn beats_have_the_tempo_of_the_metadata() {
        let place = layout();
        place.write(
            "dataset/metadata.csv",
            "File,Title,BPM,Time Signature\n0000_song,\"A, b\",121.5,4|4\n0001_song,x,,3/4\n",
        );
        let imported = place.import("harmonix-beats");
        assert_eq!(rows(&imported)[0].1, r#"{"beat":[0.5,1.0,1.5],"downbeat":[0.5,1.5],"tempo":121.5}"#);
        assert_eq!(imported.records[1].label["tempo"], 120.0);
        assert_eq!(imported.records[1].label["meter"], "3/4");
    }

    #[test]
    fn wrong_lines_are_named() {
        let place = Place::new();
        let error = |name: &str| place.try_import(name, &ImportOptions::default()).unwrap_err().to_string();
        assert!(error("harmonix-beats").contains("expected beats_and_downbeats/NAME.txt"));
        for (text, expected) in [
            ("0.0 intro\nx verse", "a.txt, line 2: a finite number is expected, and `x` is found"),
            ("0.0 intro\n\n1.0", "a.txt, line 3: `start label` is expected, and `1.0` is found"),
            ("5.0 intro\n1.0 verse", "a.txt, line 2: a start after 5 s, that of line 1 is expected, and `1` is found"),
        ] {
            place.write("segments/a.txt", text);
            assert!(error("harmonix-structure").contains(expected), "{}", error("harmonix-structure"));
        }
        for (text, expected) in [
            (
                "1.0",
                "a.txt: expected seconds that are not negative and a place in the bar for each beat, found 1 s and no",
            ),
            ("-1.0 1", "found -1 s and place 1"),
            ("1.0 x", "line 1: a finite number is expected, and `x` is found"),
            ("1.0 1\n0.5 2", "line 2: a time of 1 s, which comes before it, or later is expected, and `0.5` is found"),
        ] {
            place.write("beats_and_downbeats/a.txt", text);
            assert!(error("harmonix-beats").contains(expected), "{}", error("harmonix-beats"));
        }
    }
}
