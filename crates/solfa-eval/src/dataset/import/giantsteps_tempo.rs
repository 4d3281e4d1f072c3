//! GiantSteps: tempi of electronic dance music.
//!
//! Knees et al., "Two data sets for tempo estimation and key detection in electronic dance music annotated from user
//! corrections", ISMIR 2015: 664 previews, most of them two minutes long. Schreiber and Müller, "A crowdsourced experiment for
//! tempo estimation of electronic dance music", ISMIR 2018, annotated them anew and found three without a tempo.
//!
//! Layout: the repository below the folder, with `annotations_v2/tempo/ID.LOFI.bpm` (2018) or, where there are none of these,
//! `annotations/tempo/ID.LOFI.bpm` (2015), a number each, and `audio/ID.LOFI.mp3` (or another extension, anywhere). The new
//! annotations write 0 where there is no tempo.
//!
//! The set is mostly used whole, as a test set. Its repository divides it into ten folds, `splits/fold01.txt` to `fold10.txt`,
//! a file name a line: where they lie in the folder, `--fold` (0 by default, the first) is the test split, the next one
//! validation, the others training. Elsewhere chance decides.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::folder::{Folder, stem};
use super::gather::{Candidate, Gathered, check_fold, split_of_fold};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::annotation::read_beats_per_minute;
use crate::dataset::{Split, SplitItem};

pub(super) const SETS: &[KnownDataSet] = &[KnownDataSet {
    name: "giantsteps-tempo",
    title: "GiantSteps, tempi",
    task: "beats per minute",
    paper: "Knees et al. 2015; Schreiber and Müller 2018",
    layout: "annotations_v2/tempo/ID.LOFI.bpm (or annotations/tempo/), ID.LOFI.mp3 or another recording below any folder; \
             splits/foldNN.txt count where they are there",
    split_rule: "the repository's ten folds: --fold is the test split and the next one validation; without them 8:1:1 by \
                 chance",
    licence: "annotations: see the repository; recordings are previews of Beatport's, for research",
    origin: "github.com/GiantSteps/giantsteps-tempo-dataset",
    // Of the 664 recordings, by the annotations of 2018.
    expected: ExpectedRows::in_all(661),
    gather,
}];

/// The annotations of 2018, and those of 2015.
const ANNOTATIONS: [&str; 2] = ["annotations_v2/tempo", "annotations/tempo"];

fn gather(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let annotated = ANNOTATIONS.map(|annotations| (annotations, files_of(folder, annotations)));
    let Some((annotations, files)) = annotated.into_iter().find(|(_, files)| !files.is_empty()) else {
        return Err(folder.layout_error("GiantSteps", "annotations_v2/tempo/ID.LOFI.bpm"));
    };
    let folds = folds(folder)?;
    let mut gathered = Gathered::new(format!("{} by recording, by chance", options.shares));
    if let Some((_, count)) = &folds {
        check_fold(options.fold, *count, "splits/fold01.txt")?;
        gathered.split_rule = format!(
            "the repository's folds: number {} of {count} from 0 on test, the next one validation, the others training",
            options.fold
        );
    }
    for file in files {
        let name = stem(file);
        let tempo = read_beats_per_minute(&folder.absolute(file))?;
        if tempo == 0.0 {
            gathered.leave_out(file.display(), "it says that there is no tempo");
            continue;
        }
        let split = match &folds {
            None => Split::Train,
            Some((numbers, count)) => match numbers.get(&name) {
                Some(&number) => split_of_fold(number, options.fold, *count),
                None => {
                    gathered.leave_out(file.display(), "it is in none of the folds");
                    continue;
                }
            },
        };
        gathered.candidates.push(Candidate::new(folder.find_audio(&name), json!({ "tempo": tempo }), split));
    }
    gathered.notes.push(format!("tempi of {annotations}"));
    if folds.is_none() {
        let item = |candidate: &Candidate| SplitItem { group: stem(&candidate.audio), stratum: String::new() };
        gathered.split_randomly(options, &options.shares, |_| true, item);
    }
    Ok(gathered)
}

/// The files of tempi in folders of this name.
fn files_of<'folder>(folder: &'folder Folder, annotations: &str) -> Vec<&'folder PathBuf> {
    let is_tempo = |path: &&PathBuf| {
        path.extension().is_some_and(|extension| extension == "bpm")
            && path.parent().is_some_and(|folder| folder.ends_with(annotations))
    };
    folder.files().iter().filter(is_tempo).collect()
}

/// The fold of each recording, counted from 0, and how many there are; `None` where there are no files of folds.
fn folds(folder: &Folder) -> Result<Option<(HashMap<String, usize>, usize)>, ImportError> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut count = 0;
    while let Some(file) = folder.find(&format!("splits/fold{:02}.txt", count + 1)) {
        for (index, line) in folder.text(file)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let name = stem(Path::new(line.trim()));
            if let Some(before) = numbers.insert(name, count) {
                return Err(ImportError::Line {
                    path: folder.absolute(file),
                    line: index + 1,
                    reason: format!("expected a recording of no other fold, found `{line}` of fold {:02}", before + 1),
                });
            }
        }
        count += 1;
    }
    Ok((count > 0).then_some((numbers, count)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;

    fn layout() -> Place {
        let place = Place::new();
        for id in 10..15 {
            place.write(&format!("set/annotations/tempo/{id}.LOFI.bpm"), "87");
            place.write(&format!("set/annotations_v2/tempo/{id}.LOFI.bpm"), format!("{}.0", id + 100));
            place.wav(&format!("set/audio/{id}.LOFI.wav"), 0.2);
        }
        place
    }

    #[test]
    fn tempi_of_2018_count_and_chance_decides_on_splits() {
        let place = layout();
        place.write("set/annotations_v2/tempo/14.LOFI.bpm", "0.0");
        place.write("set/annotations_v2/tempo/15.LOFI.bpm", "120.5");
        place.write("set/audio/13.LOFI.wav", "x");
        let imported = place.import("giantsteps-tempo");
        assert_eq!(rows(&imported)[0].0, "set/audio/10.LOFI.wav");
        assert_eq!(rows(&imported)[0].1, r#"{"tempo":110.0}"#);
        assert_eq!(left_out(&imported), "set/annotations_v2/tempo/14.LOFI.bpm: it says that there is no tempo\n");
        assert_eq!(imported.report.missing, ["15.LOFI.wav"]);
        assert_eq!(unreadable(&imported), ["13.LOFI.wav"]);
        assert_eq!((imported.report.seed, imported.report.rows[3].expected), (Some(0), Some(661)));
        assert_eq!(imported.report.split_rule, "8:1:1 by recording, by chance");
        assert_eq!(imported.report.notes, ["tempi of annotations_v2/tempo"]);
        fs_err::remove_dir_all(place.path("set/annotations_v2")).unwrap();
        assert_eq!(place.import("giantsteps-tempo").records[0].label["tempo"], 87.0);
    }

    #[test]
    fn folds_of_the_repository_are_kept() {
        let place = layout();
        for (number, ids) in [(1, "10.LOFI.mp3\n11.LOFI.mp3\n"), (2, "12.LOFI.mp3\n"), (3, "13.LOFI.mp3\n")] {
            place.write(&format!("set/splits/fold{number:02}.txt"), ids);
        }
        let imported = place.import("giantsteps-tempo");
        assert_eq!((counts(&imported), imported.report.seed), ([1, 1, 2], None));
        assert_eq!(left_out(&imported), "set/annotations_v2/tempo/14.LOFI.bpm: it is in none of the folds\n");
        assert!(imported.report.split_rule.contains("number 0 of 3 from 0 on test"), "{}", imported.report.split_rule);
        let last =
            place.try_import("giantsteps-tempo", &ImportOptions { fold: 2, ..ImportOptions::default() }).unwrap();
        assert_eq!(counts(&last), [1, 2, 1]);
        let error = |options: &ImportOptions| place.try_import("giantsteps-tempo", options).unwrap_err().to_string();
        let beyond = error(&ImportOptions { fold: 3, ..ImportOptions::default() });
        assert!(beyond.contains("fold 3 of 3: expected at least three folds (splits/fold01.txt, ..)"), "{beyond}");
        place.write("set/splits/fold03.txt", "13.LOFI.mp3\n12.LOFI.mp3\n");
        let twice = error(&ImportOptions::default());
        assert!(twice.contains("fold03.txt, line 2: expected a recording of no other fold"), "{twice}");
    }

    #[test]
    fn wrong_files_are_named() {
        let place = Place::new();
        let error = || place.try_import("giantsteps-tempo", &ImportOptions::default()).unwrap_err().to_string();
        place.write("x.txt", "");
        assert!(error().contains("expected annotations_v2/tempo/ID.LOFI.bpm"), "{}", error());
        place.write("annotations/tempo/1.LOFI.bpm", "fast");
        assert!(
            error().contains("1.LOFI.bpm, line 1: a finite number is expected, and `fast` is found"),
            "{}",
            error()
        );
    }
}
