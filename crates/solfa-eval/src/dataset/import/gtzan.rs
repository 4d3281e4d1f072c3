//! GTZAN: genres, and the beats of GTZAN-Rhythm.
//!
//! Tzanetakis and Cook, "Musical genre classification of audio signals", IEEE TSAP 10(5), 2002: 1,000 excerpts of 30 s, 100 a
//! genre. Its faults (repetitions, one artist in many excerpts, distortions) are those of Sturm, "The GTZAN dataset: Its
//! contents, its faults, their effects on evaluation, and its future use", 2013; the fault-filtered, artist-aware split of
//! 443/197/290 is that of Kereliuk, Sturm and Larsen, "Deep learning and music adversaries", IEEE TMM 17(11), 2015. It is
//! built in; where `train_filtered.txt`, `valid_filtered.txt` and `test_filtered.txt` lie in the folder, they count.
//!
//! Layout: `genres_original/` or `genres/` (or any folder) with `GENRE/GENRE.000NN.wav` or `.au`. `jazz.00054` of the copy
//! on Kaggle cannot be decoded, which is reported; MARBLE v1 leaves it out of the training split for that.
//!
//! Beats: Marchand, Fresnel and Peeters, "GTZAN-Rhythm: Extending the GTZAN test-set with beat, downbeat and swing
//! annotations", ISMIR 2015: a JAMS file for each excerpt, `GENRE.000NN.wav.jams`, with annotations of namespace `beat`
//! whose `sandbox.annotation_type` is `beat` or `downbeat`.

use std::path::Path;

use serde_json::{Value, json};

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::annotation::{AnnotationError, Jams, JamsAnnotation};
use crate::dataset::Split;
use crate::dataset::classes::GTZAN_GENRES;
use crate::metrics::tempo::tempo_of_beats;

const SPLIT_RULE: &str = "fault-filtered, artist-aware (Kereliuk, Sturm and Larsen 2015)";

const LICENCE: &str = "none stated; for research";

pub(super) const SETS: &[KnownDataSet] = &[
    KnownDataSet {
        name: "gtzan",
        title: "GTZAN, genres",
        task: "one of 10 genres",
        paper: "Tzanetakis and Cook 2002",
        layout: "GENRE/GENRE.000NN.wav or .au, below any folder; train_filtered.txt, valid_filtered.txt and \
                 test_filtered.txt count where they are there",
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: "no longer on its author's site; copies on Kaggle and on the Hugging Face hub",
        expected: ExpectedRows::of_splits(443, 197, 290),
        gather: gather_genres,
    },
    KnownDataSet {
        name: "gtzan-beats",
        title: "GTZAN-Rhythm, beats and downbeats",
        task: "beats, downbeats and tempo",
        paper: "Marchand, Fresnel and Peeters 2015",
        layout: "GTZAN as for `gtzan`, and GENRE.000NN.wav.jams below any folder",
        split_rule: SPLIT_RULE,
        licence: LICENCE,
        origin: "anasynth.ircam.fr (GTZAN-Rhythm v2), and GTZAN's recordings",
        expected: ExpectedRows::of_splits(443, 197, 290),
        gather: gather_beats,
    },
];

/// Numbers of a genre's excerpts in each split.
struct GenreSplits {
    train: &'static str,
    validation: &'static str,
    test: &'static str,
}

/// In the order of [`GTZAN_GENRES`]. The same in two independent sources: the lists of numbers that the paper's authors
/// published (coreyker/dnn-mgr) and the names in torchaudio 2.11.
const SPLITS: [GenreSplits; 10] = [
    GenreSplits { train: "29-49 73-97", validation: "0-11 50-60", test: "12-28 61-72 98-99" },
    GenreSplits { train: "30-33 43-48 50-67 80-99", validation: "0-10 68-76", test: "11-29 34-41 49 77-79" },
    GenreSplits {
        train: "19-26 28-29 65-99",
        validation: "0-7 9-18 27 41-42 45 49",
        test: "30-40 43-44 46-48 50-51 53-64",
    },
    GenreSplits {
        train: "5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89",
        validation: "0 2-4 6-14 46 48 52 67-68 72 75 90 95",
        test: "1 21 58 62-66 69 76-88 91-94 96-97 99",
    },
    GenreSplits {
        train: "2-25 28-29 31-38 41-42 55-61 77-80",
        validation: "81-98",
        test: "0 26-27 30 40 43-45 51-54 62-75 99",
    },
    GenreSplits { train: "0-1 11-24 41 47-72", validation: "2-10 25-32", test: "73-99" },
    GenreSplits {
        train: "2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99",
        validation: "0-1 6-11 16-20 36-37 68 76-77 81-82",
        test: "12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88",
    },
    GenreSplits {
        train: "2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99",
        validation: "10 53 55 58-62 81 83-86",
        test: "0-1 13-14 43 63-66 69-79 82 88-96",
    },
    GenreSplits {
        train: "0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69",
        validation: "61-62 70 72 74 76-78 85 92-99",
        test: "34-40 46-48 52-53 64-68 71 79 82-84 87-90",
    },
    GenreSplits { train: "0-9 16-26 57-70 91-99", validation: "38 49-56 71-85", test: "10-15 27-37 39-48 86-90" },
];

/// The numbers of `0-2 5`: 0, 1, 2, 5.
fn numbers(ranges: &str) -> impl Iterator<Item = u32> {
    // What is no number would be a mistake of the table above: a test counts all of them.
    ranges.split(' ').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.parse().ok().zip(last.parse().ok());
        bounds.into_iter().flat_map(|(first, last): (u32, u32)| first..=last)
    })
}

/// An excerpt of the split: its genre and its name, such as `blues.00029`.
struct Excerpt {
    genre: String,
    name: String,
    split: Split,
}

fn built_in_split() -> Vec<Excerpt> {
    let mut excerpts = Vec::new();
    for split in Split::ALL {
        for (genre, splits) in GTZAN_GENRES.into_iter().zip(&SPLITS) {
            let ranges = match split {
                Split::Train => splits.train,
                Split::Validation => splits.validation,
                Split::Test => splits.test,
            };
            let names = numbers(ranges).map(|number| format!("{genre}.{number:05}"));
            excerpts.extend(names.map(|name| Excerpt { genre: genre.to_owned(), name, split }));
        }
    }
    excerpts
}

const LISTS: [(&str, Split); 3] = [
    ("train_filtered.txt", Split::Train),
    ("valid_filtered.txt", Split::Validation),
    ("test_filtered.txt", Split::Test),
];

/// The excerpts of the lists in the folder, one `blues/blues.00029.wav` a line; else those that are built in.
fn excerpts(folder: &Folder, gathered: &mut Gathered) -> Result<Vec<Excerpt>, ImportError> {
    let found: Vec<(&Path, Split)> =
        LISTS.into_iter().filter_map(|(name, split)| Some((folder.find(name)?, split))).collect();
    if found.len() < LISTS.len() {
        if !found.is_empty() {
            let absent = LISTS.iter().filter(|(name, _)| folder.find(name).is_none()).map(|(name, _)| *name);
            let expected = absent.collect::<Vec<_>>().join(", ");
            return Err(folder.layout_error("GTZAN", format!("{expected} beside the other lists of the split")));
        }
        return Ok(built_in_split());
    }
    gathered.split_rule = "the lists train_filtered.txt, valid_filtered.txt and test_filtered.txt of the folder".into();
    let mut excerpts = Vec::new();
    for (list, split) in found {
        for (index, line) in folder.text(list)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let Some((genre, file)) = line.trim().rsplit_once('/').filter(|(_, file)| !file.is_empty()) else {
                return Err(ImportError::Line {
                    path: folder.absolute(list),
                    line: index + 1,
                    reason: format!("expected GENRE/GENRE.000NN.wav, found `{line}`"),
                });
            };
            let name = file.trim_end_matches(".wav").trim_end_matches(".au").to_owned();
            let genre = genre.rsplit('/').next().unwrap_or(genre).to_owned();
            excerpts.push(Excerpt { genre, name, split });
        }
    }
    Ok(excerpts)
}

/// Calls `add` for each excerpt whose genre is known.
fn gather(
    folder: &Folder,
    mut add: impl FnMut(&Excerpt, std::path::PathBuf, &mut Gathered) -> Result<(), ImportError>,
) -> Result<Gathered, ImportError> {
    let is_laid_out = folder.audio().any(|path| {
        let parent = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        parent.is_some_and(|name| GTZAN_GENRES.contains(&name.as_str()))
    });
    if !is_laid_out {
        return Err(folder.layout_error("GTZAN", "folders blues, classical, ... with blues/blues.00000.wav"));
    }
    let mut gathered = Gathered::new(SPLIT_RULE);
    for excerpt in excerpts(folder, &mut gathered)? {
        if !GTZAN_GENRES.contains(&excerpt.genre.as_str()) {
            gathered.leave_out(&excerpt.name, format!("`{}` is not one of the 10 genres", excerpt.genre));
            continue;
        }
        let audio = folder.find_audio(&format!("{}/{}", excerpt.genre, excerpt.name));
        add(&excerpt, audio, &mut gathered)?;
    }
    Ok(gathered)
}

fn gather_genres(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    gather(folder, |excerpt, audio, gathered| {
        gathered.candidates.push(Candidate::new(audio, excerpt.genre.as_str(), excerpt.split));
        Ok(())
    })
}

fn gather_beats(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    let mut without_downbeats = 0;
    let mut gathered = gather(folder, |excerpt, audio, gathered| {
        let names = [".wav.jams", ".au.jams", ".jams"].map(|ending| format!("{}{ending}", excerpt.name));
        let Some(jams) = names.iter().find_map(|name| folder.find(name)) else {
            gathered.leave_out(&excerpt.name, format!("there is no {}", names[0]));
            return Ok(());
        };
        let label = match Jams::read(&folder.absolute(jams)) {
            Ok(read) => beats_of_jams(&read),
            Err(error @ (AnnotationError::Content { .. } | AnnotationError::Observation { .. })) => Err(error.reason()),
            Err(error) => return Err(error.into()),
        };
        match label {
            Ok(label) => {
                without_downbeats += usize::from(label["downbeat"] == json!([]));
                gathered.candidates.push(Candidate::new(audio, label, excerpt.split));
            }
            Err(reason) => gathered.leave_out(jams.display(), reason),
        }
        Ok(())
    })?;
    if without_downbeats > 0 {
        gathered.notes.push(format!("{without_downbeats} excerpts have no downbeats"));
    }
    Ok(gathered)
}

/// Beats, downbeats and tempo of a JAMS file: the tempo that it states, else that of the median interval of its beats.
fn beats_of_jams(jams: &Jams) -> Result<Value, String> {
    let of_type = |kind: &str| {
        let is_it = |one: &&JamsAnnotation| one.namespace == "beat" && one.annotation_type.as_deref() == Some(kind);
        jams.annotations.iter().find(is_it)
    };
    let beats = times(of_type("beat").ok_or("expected an annotation of beats, found none")?)?;
    let downbeats = of_type("downbeat").map_or(Ok(Vec::new()), times)?;
    if beats.is_empty() {
        return Err("it has no beats".into());
    }
    let stated = jams.annotations.iter().find(|annotation| annotation.namespace == "tempo");
    let stated = stated.and_then(|annotation| annotation.observations.first()?.value.as_f64());
    let mut label = json!({ "beat": beats, "downbeat": downbeats });
    if let Some(tempo) = stated.filter(|tempo| *tempo > 0.0).or_else(|| tempo_of_beats(&beats)) {
        label["tempo"] = tempo.into();
    }
    Ok(label)
}

/// The times of an annotation, ascending, each once. What the values are does not matter: beats and downbeats stand apart.
fn times(annotation: &JamsAnnotation) -> Result<Vec<f64>, String> {
    let mut times: Vec<f64> = annotation.observations.iter().map(|observation| observation.time).collect();
    if let Some(time) = times.iter().find(|time| **time < 0.0) {
        return Err(format!("expected times of beats that are not negative, found {time} s"));
    }
    times.sort_by(f64::total_cmp);
    times.dedup();
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::*;

    #[test]
    fn the_built_in_split_has_its_published_counts_and_no_excerpt_twice() {
        let excerpts = built_in_split();
        let count = |split| excerpts.iter().filter(|excerpt| excerpt.split == split).count();
        assert_eq!(Split::ALL.map(count), [443, 197, 290]);
        let mut names: Vec<&str> = excerpts.iter().map(|excerpt| excerpt.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 930);
        assert_eq!(excerpts[0].name, "blues.00029");
        assert!(names.contains(&"jazz.00054"));
        assert!(excerpts.iter().all(|excerpt| excerpt.name.len() == excerpt.genre.len() + 6));
    }

    #[test]
    fn genres_come_with_the_split_and_what_is_wrong() {
        let place = Place::new();
        place.wav("Data/genres_original/blues/blues.00029.wav", 0.2);
        place.wav("Data/genres_original/blues/blues.00000.wav", 0.2);
        place.wav("Data/genres_original/rock/rock.00010.wav", 0.2);
        // In no split: a fault.
        place.wav("Data/genres_original/country/country.00008.wav", 0.2);
        place.copy("Data/genres_original/blues/blues.00029.wav", "Data/genres_original/blues/blues.00030.wav");
        place.write("Data/genres_original/jazz/jazz.00054.wav", b"\0\0\0\0 broken");
        let imported = place.import("gtzan");
        assert_eq!(
            rows(&imported),
            [
                ("Data/genres_original/blues/blues.00029.wav", "blues".into(), "train"),
                ("Data/genres_original/blues/blues.00030.wav", "blues".into(), "train"),
                ("Data/genres_original/blues/blues.00000.wav", "blues".into(), "val"),
                ("Data/genres_original/rock/rock.00010.wav", "rock".into(), "test"),
            ]
        );
        let report = &imported.report;
        assert_eq!(report.missing.len(), 930 - 5);
        assert_eq!(unreadable(&imported), ["jazz.00054.wav"]);
        assert_eq!(report.duplicates.len(), 1);
        assert_eq!(report.unused, ["Data/genres_original/country/country.00008.wav"]);
        assert_eq!((report.rows[0].found, report.rows[0].expected), (2, Some(443)));
        assert_eq!((report.seed, report.split_rule.as_str()), (None, SPLIT_RULE));
        let first = &imported.records[0];
        assert_eq!((first.sample_rate, first.num_samples, first.channels), (Some(8_000), Some(1_600), Some(1)));
    }

    #[test]
    fn lists_in_the_folder_count() {
        let place = Place::new();
        for name in ["blues/blues.00000", "pop/pop.00001", "rock/rock.00002"] {
            place.wav(&format!("genres/{name}.wav"), 0.2);
        }
        place.write("train_filtered.txt", "blues/blues.00000.wav\npolka/polka.00000.wav\n");
        let error = place.try_import("gtzan", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("expected valid_filtered.txt, test_filtered.txt beside"), "{error}");
        place.write("valid_filtered.txt", "pop/pop.00001.wav\n");
        place.write("test_filtered.txt", "rock/rock.00002.wav\n\n");
        let imported = place.import("gtzan");
        assert_eq!(counts(&imported), [1, 1, 1]);
        assert_eq!(left_out(&imported), "polka.00000: `polka` is not one of the 10 genres\n");
        place.write("test_filtered.txt", "rock.00002.wav\n");
        let error = place.try_import("gtzan", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.ends_with("test_filtered.txt, line 1: expected GENRE/GENRE.000NN.wav, found `rock.00002.wav`"));
    }

    #[test]
    fn another_folder_is_told_from_gtzan() {
        let place = Place::new();
        place.wav("a/b.wav", 0.1);
        let error = place.try_import("gtzan", &ImportOptions::default()).unwrap_err().to_string();
        assert!(
            error.contains("does not look like GTZAN: expected folders blues") && error.ends_with("found a"),
            "{error}"
        );
    }

    fn jams(beats: &str, downbeats: &str, tempo: &str) -> String {
        format!(
            r#"{{"annotations": [{tempo}
              {{"namespace": "beat", "sandbox": {{"annotation_type": "8th-note"}}, "data": [{{"time": 9.0}}]}},
              {{"namespace": "beat", "sandbox": {{"annotation_type": "beat"}}, "data": {beats}}},
              {{"namespace": "beat", "sandbox": {{"annotation_type": "downbeat"}}, "data": {downbeats}}}]}}"#
        )
    }

    #[test]
    fn beats_are_read_from_jams() {
        let place = Place::new();
        for name in
            ["blues/blues.00029", "blues/blues.00030", "blues/blues.00000", "jazz/jazz.00073", "rock/rock.00010"]
        {
            place.wav(&format!("genres/{name}.wav"), 0.2);
        }
        let beats = r#"[{"time": 0.5, "value": 1}, {"time": 1.0}, {"time": 1.5}, {"time": 2.1}]"#;
        place.write("jams/blues.00029.wav.jams", jams(beats, r#"[{"time": 0.5}]"#, ""));
        let tempo = r#"{"namespace": "tempo", "data": [{"time": 0.0, "duration": 30.0, "value": 93.5}]},"#;
        place.write("jams/blues.00030.wav.jams", jams(r#"{"time": [2.0, 1.0]}"#, "[]", tempo));
        place.write("jams/jazz.00073.wav.jams", jams("[]", "[]", ""));
        place.write("jams/rock.00010.wav.jams", jams(r#"[{"time": "x"}]"#, "[]", ""));
        let imported = place.import("gtzan-beats");
        assert_eq!(
            rows(&imported),
            [
                (
                    "genres/blues/blues.00029.wav",
                    r#"{"beat":[0.5,1.0,1.5,2.1],"downbeat":[0.5],"tempo":120.0}"#.into(),
                    "train"
                ),
                ("genres/blues/blues.00030.wav", r#"{"beat":[1.0,2.0],"downbeat":[],"tempo":93.5}"#.into(), "train"),
            ]
        );
        let left_out = left_out(&imported);
        assert!(left_out.contains("blues.00000: there is no blues.00000.wav.jams"));
        assert!(left_out.contains("jazz.00073.wav.jams: it has no beats"));
        let wrong =
            "rock.00010.wav.jams: observation 0 of namespace beat: a time in seconds is expected, and `\"x\"` is found";
        assert!(left_out.contains(wrong), "{left_out}");
        assert_eq!(imported.report.notes, ["1 excerpts have no downbeats"]);
        place.write("jams/rock.00010.wav.jams", "{");
        let error = place.try_import("gtzan-beats", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("rock.00010.wav.jams: JAMS is JSON, and this is none"), "{error}");
    }
}
