//! What importers have in common: from what they gathered to rows and a report.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::folder::Folder;
use super::{
    Duplicate, ImportError, ImportOptions, ImportProgress, ImportReport, Imported, KnownDataSet, LeftOut, RowCount,
};
use crate::dataset::{AudioHeader, CheckedAudio, Record, Split, SplitItem, SplitShares, check_audio, random_splits};
use crate::store::hash::sha256;

/// What an importer found in a data set's files, before any recording is opened.
pub(super) struct Gathered {
    pub(super) candidates: Vec<Candidate>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notes: Vec<String>,
    /// How the splits came about.
    pub(super) split_rule: String,
    /// Whether chance had a part in it.
    pub(super) is_seeded: bool,
}

/// A recording, and what is said of it.
pub(super) struct Candidate {
    /// Relative to the data set's folder. It need not be there.
    pub(super) audio: PathBuf,
    pub(super) label: Value,
    pub(super) split: Split,
    pub(super) ori_uid: Option<String>,
    /// The part of the recording that the row is about.
    pub(super) stretch: Stretch,
    /// Stems by name, relative to the data set's folder; they become the label.
    pub(super) stems: Vec<(&'static str, PathBuf)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stretch {
    Whole,
    /// From and to, in seconds.
    Part(f64, f64),
    /// A row for each full clip of so many seconds; a shorter rest gives none.
    Clips(f64),
}

impl Candidate {
    pub(super) fn new(audio: PathBuf, label: impl Into<Value>, split: Split) -> Self {
        let label = label.into();
        Self { audio, label, split, ori_uid: None, stretch: Stretch::Whole, stems: vec![] }
    }
}

impl Gathered {
    /// Nothing yet, in splits that the data set itself says.
    pub(super) fn new(split_rule: impl Into<String>) -> Self {
        Self { candidates: vec![], left_out: vec![], notes: vec![], split_rule: split_rule.into(), is_seeded: false }
    }

    pub(super) fn leave_out(&mut self, what: impl std::fmt::Display, reason: impl Into<String>) {
        self.left_out.push(LeftOut { what: what.to_string(), reason: reason.into() });
    }

    /// Gives all candidates that `is_free` takes a split by chance; they are spread by `stratum` and kept together by
    /// `group`.
    pub(super) fn split_randomly(
        &mut self,
        options: &ImportOptions,
        shares: &SplitShares,
        is_free: impl Fn(&Candidate) -> bool,
        item: impl Fn(&Candidate) -> SplitItem,
    ) {
        let mut free: Vec<&mut Candidate> = self.candidates.iter_mut().filter(|candidate| is_free(candidate)).collect();
        let items: Vec<SplitItem> = free.iter().map(|candidate| item(candidate)).collect();
        for (candidate, split) in free.iter_mut().zip(random_splits(&items, shares, options.seed)) {
            candidate.split = split;
        }
        self.is_seeded = true;
    }
}

/// That a data set with `count` folds can be split with this one as the test split. `first` is the file of the first fold.
pub(super) fn check_fold(chosen: usize, count: usize, first: &str) -> Result<(), ImportError> {
    if count >= 3 && chosen < count {
        return Ok(());
    }
    Err(ImportError::Option(format!(
        "fold {chosen} of {count}: expected at least three folds ({first}, ..), and a fold from 0 on that is one of them"
    )))
}

/// The split of a fold: the chosen one is the test split, the next one validation, the others training.
pub(super) fn split_of_fold(fold: usize, chosen: usize, count: usize) -> Split {
    match fold {
        fold if fold == chosen => Split::Test,
        fold if fold == (chosen + 1) % count => Split::Validation,
        _ => Split::Train,
    }
}

/// Opens every recording and makes rows of those that can be used.
pub(super) fn finish(
    known: &KnownDataSet,
    folder: &Folder,
    gathered: Gathered,
    options: &ImportOptions,
    progress: &(dyn Fn(ImportProgress) + Sync),
) -> Result<Imported, ImportError> {
    let Gathered { mut candidates, left_out, notes, split_rule, is_seeded } = gathered;
    let mut used: BTreeSet<PathBuf> = BTreeSet::new();
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for candidate in &candidates {
        for path in std::iter::once(&candidate.audio).chain(candidate.stems.iter().map(|(_, path)| path)) {
            if folder.has(path) {
                used.insert(path.clone());
            } else {
                missing.insert(path.display().to_string());
            }
        }
    }
    let used: Vec<PathBuf> = used.into_iter().collect();
    let absolute: Vec<PathBuf> = used.iter().map(|path| folder.absolute(path)).collect();
    progress(ImportProgress::Found(used.len()));
    let needs_length = candidates.iter().any(|candidate| matches!(candidate.stretch, Stretch::Clips(_)));
    let checked = if needs_length { CheckedAudio::UntilLengthIsKnown } else { CheckedAudio::Beginning };
    let results = check_audio(&absolute, checked, &|| progress(ImportProgress::Opened));
    let mut headers: HashMap<&Path, AudioHeader> = HashMap::new();
    let mut unreadable = Vec::new();
    for (path, result) in used.iter().zip(results) {
        match result {
            Ok(header) => {
                headers.insert(path, header);
            }
            Err(problem) => unreadable.push(problem),
        }
    }
    candidates.retain(|candidate| {
        std::iter::once(&candidate.audio)
            .chain(candidate.stems.iter().map(|(_, path)| path))
            .all(|path| headers.contains_key(path.as_path()))
    });
    let duplicates = find_duplicates(folder, &candidates)?;
    if options.drop_duplicates {
        let dropped: BTreeSet<&str> = duplicates.iter().map(|duplicate| duplicate.path.as_str()).collect();
        candidates.retain(|candidate| !dropped.contains(candidate.audio.display().to_string().as_str()));
    }
    let prefix = written_prefix(folder, options)?;
    let mut records = Vec::new();
    let mut too_short = Vec::new();
    for candidate in candidates {
        let header = &headers[candidate.audio.as_path()];
        let before = records.len();
        add_rows(&mut records, candidate, header, &prefix);
        if records.len() == before {
            too_short.push(before);
        }
    }
    let all_used: BTreeSet<&Path> = used.iter().map(PathBuf::as_path).collect();
    let unused = folder.audio().filter(|path| !all_used.contains(path)).map(|path| path.display().to_string());
    let mut report = ImportReport {
        data_set: known.name.to_owned(),
        task: known.task.to_owned(),
        licence: known.licence.to_owned(),
        split_rule,
        seed: is_seeded.then_some(options.seed),
        rows: row_counts(known, &records),
        missing: missing.into_iter().collect(),
        unreadable,
        duplicates,
        left_out,
        unused: unused.collect(),
        notes,
    };
    if !too_short.is_empty() {
        report.notes.push(format!("{} recordings are shorter than one clip and give no row", too_short.len()));
    }
    if records.is_empty() {
        return Err(ImportError::NoRows { path: folder.root().to_owned(), summary: summary(&report) });
    }
    Ok(Imported { records, report })
}

fn row_counts(known: &KnownDataSet, records: &[Record]) -> Vec<RowCount> {
    let count = |split: Split| records.iter().filter(|record| record.split == Some(split)).count() as u64;
    let of_splits = Split::ALL.map(|split| RowCount {
        split: split.name().to_owned(),
        found: count(split),
        expected: known.expected.of(split),
    });
    let all = RowCount { split: "all".into(), found: records.len() as u64, expected: known.expected.total };
    of_splits.into_iter().chain([all]).collect()
}

/// Why nothing is left, with an example of each reason.
fn summary(report: &ImportReport) -> String {
    let mut parts = Vec::new();
    if let Some(first) = report.missing.first() {
        parts.push(format!("{} missing (first {first})", report.missing.len()));
    }
    if let Some(first) = report.unreadable.first() {
        parts.push(format!("{} unreadable (first {}: {})", report.unreadable.len(), first.path, first.reason));
    }
    if let Some(first) = report.left_out.first() {
        parts.push(format!("{} left out (first {}: {})", report.left_out.len(), first.what, first.reason));
    }
    if parts.is_empty() { "none was found".into() } else { parts.join(", ") }
}

fn add_rows(records: &mut Vec<Record>, candidate: Candidate, header: &AudioHeader, prefix: &Path) {
    let written = |path: &Path| slashes(&prefix.join(path));
    let seconds = header.seconds();
    let label = if candidate.stems.is_empty() {
        candidate.label
    } else {
        let stems = candidate.stems.iter().map(|(name, path)| ((*name).to_owned(), written(path).into()));
        serde_json::json!({ "stems": Value::Object(stems.collect()) })
    };
    let stretches: Vec<Option<(f64, f64)>> = match candidate.stretch {
        Stretch::Whole => vec![None],
        Stretch::Part(start, end) => vec![Some((start, end))],
        Stretch::Clips(length) => {
            let full = (seconds.unwrap_or(0.0) / length).floor() as u32;
            (0..full).map(|index| Some((f64::from(index) * length, f64::from(index + 1) * length))).collect()
        }
    };
    for stretch in stretches {
        let mut other = Map::new();
        if let Some((start, end)) = stretch {
            other.insert("segment_start".into(), start.into());
            other.insert("segment_end".into(), end.into());
        }
        records.push(Record {
            audio_path: written(&candidate.audio),
            label: label.clone(),
            split: Some(candidate.split),
            duration: seconds,
            sample_rate: Some(header.sample_rate),
            num_samples: header.num_samples,
            bit_depth: header.bit_depth,
            channels: header.channels,
            ori_uid: candidate.ori_uid.clone(),
            other,
        });
    }
}

/// Forward slashes on every system, so that a data set's lines do not depend on it.
fn slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

/// What is written in front of paths below the data set's folder.
fn written_prefix(folder: &Folder, options: &ImportOptions) -> Result<PathBuf, ImportError> {
    let Some(base) = &options.relative_to else { return Ok(PathBuf::new()) };
    let io = |path: &Path, source| ImportError::Io { path: path.to_owned(), source };
    let root = folder.root().canonicalize().map_err(|error| io(folder.root(), error))?;
    let base = canonical_even_if_absent(base).map_err(|error| io(base, error))?;
    Ok(relative_path(&base, &root))
}

/// The path without links and `..`, where its last folders need not exist yet.
fn canonical_even_if_absent(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut absent = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(existing) = ancestor.canonicalize() {
            return Ok(absent.iter().rev().fold(existing, |path: PathBuf, name: &&std::ffi::OsStr| path.join(name)));
        }
        absent.extend(ancestor.file_name());
    }
    Ok(path)
}

/// The way from a folder to another one; the other one itself where they share no folder but the root.
fn relative_path(from: &Path, to: &Path) -> PathBuf {
    let (from_parts, to_parts): (Vec<Component>, Vec<Component>) =
        (from.components().collect(), to.components().collect());
    let same = from_parts.iter().zip(&to_parts).take_while(|(one, other)| one == other).count();
    let is_named = |part: &Component| matches!(part, Component::Normal(_));
    if same < from_parts.len() && !from_parts[..same].iter().any(is_named) {
        return to.to_owned();
    }
    let up = from_parts[same..].iter().map(|_| Component::ParentDir);
    up.chain(to_parts[same..].iter().copied()).collect()
}

/// Bytes that are compared before whole files are.
const SAMPLE_BYTES: u64 = 4096;

/// Recordings with the same bytes as another one. Files are read whole only where length, beginning, middle and end agree.
/// Of several, the one in the test split counts as the original, else validation, else training: what is dropped then is
/// not what others have measured on.
fn find_duplicates(folder: &Folder, candidates: &[Candidate]) -> Result<Vec<Duplicate>, ImportError> {
    let mut splits: BTreeMap<&Path, Split> = BTreeMap::new();
    for candidate in candidates {
        splits.entry(&candidate.audio).or_insert(candidate.split);
    }
    let mut groups: Vec<Vec<&Path>> = vec![splits.keys().copied().collect()];
    for hash in [length_of, hash_of_samples, hash_of_all] {
        let mut finer = Vec::new();
        for group in groups {
            let mut by_hash: BTreeMap<Vec<u8>, Vec<&Path>> = BTreeMap::new();
            for path in group {
                let absolute = folder.absolute(path);
                let hash = hash(&absolute).map_err(|source| ImportError::Io { path: absolute, source })?;
                by_hash.entry(hash).or_default().push(path);
            }
            finer.extend(by_hash.into_values().filter(|paths| paths.len() > 1));
        }
        groups = finer;
    }
    let mut duplicates = Vec::new();
    for mut group in groups {
        group.sort_by_key(|path| (std::cmp::Reverse(splits[path]), *path));
        for path in &group[1..] {
            duplicates.push(Duplicate {
                path: path.display().to_string(),
                split: splits[path],
                same_as: group[0].display().to_string(),
                same_as_split: splits[group[0]],
            });
        }
    }
    duplicates.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(duplicates)
}

fn length_of(path: &Path) -> std::io::Result<Vec<u8>> {
    Ok(path.metadata()?.len().to_be_bytes().to_vec())
}

fn hash_of_samples(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    for start in [0, length / 2, length.saturating_sub(SAMPLE_BYTES)] {
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(SAMPLE_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(sha256(bytes.as_slice())?.to_vec())
}

fn hash_of_all(path: &Path) -> std::io::Result<Vec<u8>> {
    Ok(sha256(File::open(path)?)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Place;
    use super::*;

    #[test]
    fn paths_are_relative_to_the_folder_of_the_lines() {
        for (from, to, expected) in [
            ("/data", "/data/GTZAN", "GTZAN"),
            ("/data/sets", "/data/GTZAN", "../GTZAN"),
            ("/data", "/data", ""),
            ("/home/a", "/data/GTZAN", "/data/GTZAN"),
            ("/", "/data", "data"),
        ] {
            assert_eq!(relative_path(Path::new(from), Path::new(to)), Path::new(expected), "{from} to {to}");
        }
    }

    #[test]
    fn duplicates_are_found_by_content_and_the_test_split_keeps_its_own() {
        let place = Place::new();
        for split in ["train", "test"] {
            for name in ["a", "b"] {
                place.wav(&format!("{split}/{name}/{split}{name}.wav"), 0.2);
            }
        }
        place.wav("val/a/v.wav", 0.3);
        place.copy("train/a/traina.wav", "test/a/again.wav");
        place.copy("train/b/trainb.wav", "train/b/twice.wav");
        let imported = place.import("folders");
        let found: Vec<(&str, &str)> =
            imported.report.duplicates.iter().map(|pair| (pair.path.as_str(), pair.same_as.as_str())).collect();
        assert_eq!(found, [("train/a/traina.wav", "test/a/again.wav"), ("train/b/twice.wav", "train/b/trainb.wav")]);
        assert_eq!(imported.records.len(), 7);
        let options = ImportOptions { drop_duplicates: true, ..ImportOptions::default() };
        let dropped = place.try_import("folders", &options).unwrap();
        assert_eq!(dropped.records.len(), 5);
        assert!(dropped.records.iter().all(|record| record.audio_path != "train/a/traina.wav"));
    }

    #[test]
    fn rows_can_be_found_from_the_folder_that_they_are_written_to() {
        let place = Place::new();
        for split in ["train", "val", "test"] {
            place.wav(&format!("music/{split}/a/{split}.wav"), 0.2);
        }
        let options = ImportOptions { relative_to: Some(place.path("sets/new")), ..ImportOptions::default() };
        let nothing = |_: ImportProgress| {};
        let imported = super::super::import("folders", &place.path("music"), &options, &nothing).unwrap();
        assert_eq!(imported.records[0].audio_path, "../../music/test/a/test.wav");
        let output = place.path("sets/new/set.jsonl");
        imported.into_data_set().unwrap().write(&output).unwrap();
        let data_set = crate::dataset::DataSet::read(&output).unwrap();
        assert_eq!(data_set.audio_paths(None).unwrap().len(), 3);
    }

    #[test]
    fn a_folder_of_which_nothing_is_left_says_why() {
        let place = Place::new();
        place.write("train/a/x.wav", "no sound");
        let error = place.try_import("folders", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no recording is left: 1 unreadable (first "), "{error}");
    }
}
