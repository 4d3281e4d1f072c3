//! Reading and writing data sets.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::identity::sha256_of;
use super::{DataSetError, Problem, Record, Split};
use crate::store::StagedFile;

/// What some editors put before the first line of a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Recordings and what is said of them, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    name: String,
    records: Vec<Record>,
    places: Vec<Place>,
    sources: Vec<PathBuf>,
    sha256: String,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    source: usize,
    line: usize,
}

/// What a data set has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Splits that must have rows.
    pub required: Vec<Split>,
    /// Whether a piece may be in two splits, as in some published data sets. A row that stands twice is refused even so.
    pub allow_leaks: bool,
}

impl Default for ReadOptions {
    /// All splits, no leaks.
    fn default() -> Self {
        Self { required: Split::ALL.to_vec(), allow_leaks: false }
    }
}

impl DataSet {
    /// Reads a data set and makes sure that it is sound: [`read_with`](Self::read_with) with the default options.
    ///
    /// # Errors
    /// As for [`read_with`](Self::read_with).
    pub fn read(path: &Path) -> Result<Self, DataSetError> {
        Self::read_with(path, &ReadOptions::default())
    }

    /// Reads a data set and makes sure that it is sound. `path` is one of
    ///
    /// - a file of JSON lines with `split` in its rows;
    /// - any of MARBLE v2's three files `TASK.train.jsonl`, `TASK.val.jsonl`, `TASK.test.jsonl`;
    /// - what their names begin with (`data/GTZAN/GTZANGenre`);
    /// - their folder, where it holds the files of one task, or one file of JSON lines.
    ///
    /// # Errors
    /// A file that cannot be read or is empty, a line that is no row (with file and line), or [`DataSetError::Unsound`]
    /// with all that is wrong: an empty split, a recording that stands twice, one in two splits.
    pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Self, DataSetError> {
        let data_set = Self::read_lines(path)?;
        let mut problems = data_set.problems(&options.required);
        if options.allow_leaks {
            problems.retain(|problem| !matches!(problem, Problem::Leak { .. }));
        }
        if problems.is_empty() { Ok(data_set) } else { Err(DataSetError::Unsound { name: data_set.name, problems }) }
    }

    /// Reads a data set whose rows are well-formed one by one, whatever [`problems`](Self::problems) they have together.
    ///
    /// # Errors
    /// As for [`read_with`](Self::read_with), without [`DataSetError::Unsound`].
    pub fn read_lines(path: &Path) -> Result<Self, DataSetError> {
        let Files { name, files } = find_files(path)?;
        let mut data_set = Self { name, records: vec![], places: vec![], sources: vec![], sha256: String::new() };
        for (file, split) in files {
            data_set.read_file(&file, split)?;
            data_set.sources.push(file);
        }
        data_set.sha256 = sha256_of(&data_set.records);
        Ok(data_set)
    }

    /// A data set of rows in memory, each with its split. Lines are counted as if the rows were written in their order.
    ///
    /// # Errors
    /// [`DataSetError::NoSplit`] for a row without a split; [`DataSetError::EmptyFile`] without a row.
    pub fn new(name: &str, records: Vec<Record>) -> Result<Self, DataSetError> {
        let path = PathBuf::from(name);
        if records.is_empty() {
            return Err(DataSetError::EmptyFile { path });
        }
        if let Some(index) = records.iter().position(|record| record.split.is_none()) {
            return Err(DataSetError::NoSplit { path, line: index + 1 });
        }
        let places = (1..=records.len()).map(|line| Place { source: 0, line }).collect();
        let sha256 = sha256_of(&records);
        Ok(Self { name: name.to_owned(), records, places, sources: vec![path], sha256 })
    }

    /// Name of the file without extension and split.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files that were read.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// All rows, in their order; each has a split.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The rows of a split.
    pub fn of_split(&self, split: Split) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.split == Some(split))
    }

    /// The data set's identity: SHA-256 of what the rows say. The order of lines and fields, one file or three, the folder
    /// that the recordings lie in, and what rows say of a file's format do not count.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// File and line of the row with number `index`, for messages.
    pub fn place(&self, index: usize) -> String {
        match self.places.get(index) {
            Some(Place { source, line }) => format!("{}, line {line}", self.sources[*source].display()),
            None => format!("{}, row {index}", self.name),
        }
    }

    /// What is wrong with the rows together: empty ones of the `required` splits, rows that stand twice, recordings and
    /// pieces in two splits (each named once).
    pub fn problems(&self, required: &[Split]) -> Vec<Problem> {
        let empty = required.iter().filter(|&&split| self.of_split(split).next().is_none());
        let mut problems: Vec<Problem> = empty.map(|&split| Problem::EmptySplit { split }).collect();
        let mut rows: HashMap<(&str, u64), usize> = HashMap::new();
        let mut firsts: HashMap<(&'static str, &str), (usize, bool)> = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            if let Some(&first) = rows.get(&record.key()) {
                problems.push(Problem::Twice {
                    place: self.place(index),
                    first: self.place(first),
                    recording: record.audio_path.clone(),
                });
                continue;
            }
            rows.insert(record.key(), index);
            let names = [("audio_path", Some(record.audio_path.as_str())), ("ori_uid", record.ori_uid.as_deref())];
            for (field, value) in names {
                let Some(value) = value else { continue };
                let (first, is_reported) = firsts.entry((field, value)).or_insert((index, false));
                let (Some(first_split), Some(split)) = (self.records[*first].split, record.split) else { continue };
                if first_split != split && !*is_reported {
                    *is_reported = true;
                    let (place, first) = (self.place(index), self.place(*first));
                    problems.push(Problem::Leak { place, first, field, value: value.to_owned(), split, first_split });
                }
            }
        }
        problems
    }

    /// Where the recordings are, one path for each row. A relative path is looked for below `audio_root` where one is
    /// given; otherwise below the working directory, then below the folder of the file that the row stands in.
    ///
    /// # Errors
    /// [`DataSetError::MissingAudio`] with all recordings that are not there.
    pub fn audio_paths(&self, audio_root: Option<&Path>) -> Result<Vec<PathBuf>, DataSetError> {
        let mut missing = Vec::new();
        let mut paths = Vec::with_capacity(self.records.len());
        for (record, place) in self.records.iter().zip(&self.places) {
            match self.find(&record.audio_path, place.source, audio_root) {
                Some(path) => paths.push(path),
                None => missing.push(record.audio_path.clone()),
            }
        }
        missing.dedup();
        if missing.is_empty() {
            return Ok(paths);
        }
        Err(DataSetError::MissingAudio { name: self.name.clone(), total: self.records.len(), missing })
    }

    /// Where a path that the row with number `index` names is (a stem, say), as [`audio_paths`](Self::audio_paths) looks
    /// for it.
    pub fn find_audio(&self, index: usize, path: &str, audio_root: Option<&Path>) -> Option<PathBuf> {
        self.find(path, self.places.get(index)?.source, audio_root)
    }

    /// Names and files of the stems that the row with number `index` lists.
    ///
    /// # Errors
    /// [`DataSetError::MissingAudio`] with the stems that are not there.
    pub fn stem_paths(&self, index: usize, audio_root: Option<&Path>) -> Result<Vec<(String, PathBuf)>, DataSetError> {
        let (mut stems, mut missing) = (Vec::new(), Vec::new());
        for (name, path) in self.records[index].stems() {
            match self.find_audio(index, path, audio_root) {
                Some(found) => stems.push((name.to_owned(), found)),
                None => missing.push(path.to_owned()),
            }
        }
        if missing.is_empty() {
            return Ok(stems);
        }
        let total = self.records[index].stems().count();
        Err(DataSetError::MissingAudio { name: self.name.clone(), total, missing })
    }

    fn find(&self, path: &str, source: usize, audio_root: Option<&Path>) -> Option<PathBuf> {
        let own_folder = self.sources[source].parent().unwrap_or(Path::new(""));
        let candidates = match audio_root {
            Some(root) => vec![root.join(path)],
            None => vec![PathBuf::from(path), own_folder.join(path)],
        };
        candidates.into_iter().find(|candidate| candidate.is_file())
    }

    /// Writes all rows to one file, whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataSetError> {
        let staged = StagedFile::write(path, |out| {
            for record in &self.records {
                serde_json::to_writer(&mut *out, record)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        Ok(staged.commit()?)
    }

    fn read_file(&mut self, path: &Path, split_of_name: Option<Split>) -> Result<(), DataSetError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| DataSetError::Io { path: path.to_owned(), source })?;
        let source = self.sources.len();
        let num_before = self.records.len();
        let lines = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).lines().enumerate();
        for (index, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            let line = index + 1;
            let mut record =
                parse(text).map_err(|reason| DataSetError::Line { path: path.to_owned(), line, reason })?;
            record.split = match (record.split, split_of_name) {
                (Some(found), Some(expected)) if found != expected => {
                    return Err(DataSetError::OtherSplit { path: path.to_owned(), line, expected, found });
                }
                (Some(split), _) | (None, Some(split)) => Some(split),
                (None, None) => return Err(DataSetError::NoSplit { path: path.to_owned(), line }),
            };
            self.records.push(record);
            self.places.push(Place { source, line });
        }
        if self.records.len() == num_before {
            return Err(DataSetError::EmptyFile { path: path.to_owned() });
        }
        Ok(())
    }
}

/// A row, or what is wrong with it.
fn parse(text: &str) -> Result<Record, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))?;
    let Some(fields) = value.as_object_mut() else {
        return Err(format!("expected a JSON object, found `{text:.60}`"));
    };
    // Some files have numbers for names.
    if let Some(uid) = fields.get_mut("ori_uid")
        && uid.is_number()
    {
        *uid = Value::String(uid.to_string());
    }
    let record: Record = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if record.audio_path.trim().is_empty() {
        return Err("`audio_path` is empty".into());
    }
    if record.label.is_null() {
        return Err("`label` is null".into());
    }
    Ok(record)
}

/// The files of one data set.
struct Files {
    name: String,
    /// With the split that the file's name says.
    files: Vec<(PathBuf, Option<Split>)>,
}

const EXTENSION: &str = ".jsonl";

/// `GTZANGenre.val.jsonl` is `GTZANGenre` and its validation split.
fn task_and_split(name: &str) -> Option<(&str, Split)> {
    let stem = name.strip_suffix(EXTENSION)?;
    let (task, split) = stem.rsplit_once('.')?;
    let split = Split::ALL.into_iter().find(|known| known.name() == split)?;
    (!task.is_empty()).then_some((task, split))
}

fn file_of(folder: &Path, task: &str, split: Split) -> PathBuf {
    folder.join(format!("{task}.{}{EXTENSION}", split.name()))
}

/// Those of a task's three files that are there.
fn files_of_task(folder: &Path, task: &str) -> Vec<(PathBuf, Option<Split>)> {
    let files = Split::ALL.map(|split| (file_of(folder, task, split), Some(split)));
    files.into_iter().filter(|(path, _)| path.is_file()).collect()
}

fn find_files(path: &Path) -> Result<Files, DataSetError> {
    let io = |source| DataSetError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            let files = files_of_task(folder, &name);
            return if name.is_empty() || files.is_empty() { Err(io(error)) } else { Ok(Files { name, files }) };
        }
    };
    if !metadata.is_dir() {
        return Ok(match task_and_split(&name) {
            Some((task, _)) => Files { name: task.to_owned(), files: files_of_task(folder, task) },
            None => Files { name: name.trim_end_matches(EXTENSION).to_owned(), files: vec![(path.to_owned(), None)] },
        });
    }
    let mut tasks: BTreeMap<String, Vec<(PathBuf, Option<Split>)>> = BTreeMap::new();
    let mut others = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        match task_and_split(&name) {
            Some((task, _)) => {
                tasks.entry(task.to_owned()).or_insert_with(|| files_of_task(path, task));
            }
            None if name.ends_with(EXTENSION) => others.push(name),
            None => {}
        }
    }
    others.sort();
    match (tasks.pop_first(), others.as_slice()) {
        (Some((name, files)), []) if tasks.is_empty() => Ok(Files { name, files }),
        (None, [only]) => {
            Ok(Files { name: only.trim_end_matches(EXTENSION).to_owned(), files: vec![(path.join(only), None)] })
        }
        (first, _) => {
            let names = first.into_iter().chain(tasks).map(|(name, _)| name);
            Err(DataSetError::NotOne { path: path.to_owned(), found: names.chain(others).collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::import::testing::Place as Folder;

    fn row(audio: &str, split: &str) -> String {
        format!("{{\"audio_path\": \"{audio}\", \"label\": \"blues\", \"split\": \"{split}\"}}\n")
    }

    fn three_rows() -> String {
        [row("a.wav", "train"), row("b.wav", "val"), row("c.wav", "test")].concat()
    }

    fn message(folder: &Folder, text: &str) -> String {
        DataSet::read(&folder.write("set.jsonl", text)).unwrap_err().to_string()
    }

    #[test]
    fn one_file_is_written_and_read_back() {
        let folder = Folder::new();
        let path = folder.write("set.jsonl", format!("\u{feff}{}\n\n", three_rows()));
        let data_set = DataSet::read(&path).unwrap();
        assert_eq!((data_set.name(), data_set.records().len()), ("set", 3));
        assert_eq!(data_set.of_split(Split::Validation).next().unwrap().audio_path, "b.wav");
        assert_eq!(data_set.place(2), format!("{}, line 3", path.display()));
        let copy = folder.path("new/copy.jsonl");
        data_set.write(&copy).unwrap();
        let again = DataSet::read(&copy).unwrap();
        assert_eq!(again.records(), data_set.records());
        assert_eq!(again.sha256(), data_set.sha256());
        let in_memory = DataSet::new("x", data_set.records().to_vec()).unwrap();
        assert_eq!(in_memory.sha256(), data_set.sha256());
        assert_eq!(folder.names("new"), ["copy.jsonl"]);
    }

    #[test]
    fn the_three_files_of_marble_are_found_by_any_name() {
        let folder = Folder::new();
        for split in ["train", "val", "test"] {
            let label = r#"{"beat": [0.5], "downbeat": [], "tempo": 120.0, "meter": "4/4"}"#;
            folder.write(
                &format!("data/GTZAN/Beats.{split}.jsonl"),
                format!(
                    "{{\"audio_path\": \"data/GTZAN/{split}.wav\", \"label\": {label}, \"duration\": 30.0, \
                     \"sample_rate\": 22050, \"num_samples\": 661500, \"bit_depth\": null, \"channels\": 1, \
                     \"ori_uid\": 12{}, \"bitrate\": 32000}}\n",
                    split.len() + usize::from(split == "test") * 7
                ),
            );
        }
        let names = ["Beats.train.jsonl", "Beats.val.jsonl", "Beats.test.jsonl", "Beats", ""];
        let read = names.map(|name| DataSet::read(&folder.path("data/GTZAN").join(name)).unwrap());
        for data_set in &read {
            assert_eq!(data_set, &read[0]);
            assert_eq!((data_set.name(), data_set.records().len(), data_set.sources().len()), ("Beats", 3, 3));
        }
        let first = &read[0].records()[0];
        assert_eq!(first.split, Some(Split::Train));
        assert_eq!(first.label["meter"], "4/4");
        assert_eq!(first.other["bitrate"], 32_000);
        assert_eq!(first.ori_uid.as_deref(), Some("125"));

        folder.write("data/GTZAN/Genre.train.jsonl", row("x.wav", "train"));
        let error = DataSet::read(&folder.path("data/GTZAN")).unwrap_err().to_string();
        assert!(error.contains("expected the files of one data set") && error.ends_with("Beats; Genre"), "{error}");
        let error = DataSet::read(&folder.path("data/GTZAN/Genre")).unwrap_err().to_string();
        assert_eq!(error, "data set `Genre`: split val has no rows; split test has no rows");
        let error = DataSet::read(&folder.path("data/GTZAN/Genr")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read"), "{error}");
        folder.write("data/GTZAN/Genre.val.jsonl", row("y.wav", "test"));
        let error = DataSet::read(&folder.path("data/GTZAN/Genre")).unwrap_err().to_string();
        assert!(error.ends_with("Genre.val.jsonl, line 1: expected `split` val, as the file's name says, found test"));
    }

    #[test]
    fn a_folder_may_hold_one_file() {
        let folder = Folder::new();
        assert!(DataSet::read(&folder.path("")).unwrap_err().to_string().ends_with("found none"));
        folder.write("set.jsonl", three_rows());
        assert_eq!(DataSet::read(&folder.path("")).unwrap().name(), "set");
    }

    #[test]
    fn every_wrong_line_is_named() {
        let folder = Folder::new();
        let cases = [
            ("{\"audio_path\": ", "line 4: expected a JSON object"),
            ("[1]", "line 4: expected a JSON object, found `[1]`"),
            (r#"{"label": "x", "split": "train"}"#, "line 4: missing field `audio_path`"),
            (r#"{"audio_path": "d.wav", "split": "train"}"#, "line 4: missing field `label`"),
            (r#"{"audio_path": "d.wav", "label": null, "split": "train"}"#, "line 4: `label` is null"),
            (r#"{"audio_path": " ", "label": "x", "split": "train"}"#, "line 4: `audio_path` is empty"),
            (r#"{"audio_path": "d.wav", "label": "x", "split": "trian"}"#, "line 4: unknown variant `trian`"),
            (r#"{"audio_path": "d.wav", "label": [NaN], "split": "train"}"#, "line 4: expected a JSON object"),
            (r#"{"audio_path": "d.wav", "label": "x"}"#, "line 4: expected `split` (train, val or test), found none"),
        ];
        for (line, expected) in cases {
            let error = message(&folder, &format!("{}{line}\n", three_rows()));
            assert!(error.contains("set.jsonl, ") && error.contains(expected), "{line}: {error}");
        }
        for empty in ["", "\n \n"] {
            assert!(message(&folder, empty).contains("set.jsonl: expected one JSON object a line, found no line"));
        }
    }

    #[test]
    fn other_names_of_splits_are_known() {
        let folder = Folder::new();
        for name in ["val", "valid", "validation", "dev"] {
            let text = [row("a.wav", "train"), row("b.wav", name), row("c.wav", "test")].concat();
            let data_set = DataSet::read(&folder.write("set.jsonl", text)).unwrap();
            assert_eq!(data_set.of_split(Split::Validation).count(), 1, "{name}");
        }
    }

    #[test]
    fn leaks_repetitions_and_empty_splits_are_refused() {
        let folder = Folder::new();
        let error = message(&folder, &[three_rows(), row("a.wav", "train")].concat());
        assert!(error.contains("line 4: `a.wav` stands in") && error.contains("line 1 already"), "{error}");

        let clip = |start: u32, split: &str| {
            row("a.wav", split)
                .replace("\"label\"", &format!("\"segment_start\": {start}, \"segment_end\": 99, \"label\""))
        };
        let error =
            message(&folder, &[clip(0, "train"), clip(30, "test"), row("b.wav", "val"), clip(60, "test")].concat());
        assert!(error.contains("line 2: audio_path `a.wav` is in split test, but in train in"), "{error}");
        assert!(!error.contains("line 4"), "each recording is named once: {error}");

        let of_piece =
            |audio: &str, split: &str| row(audio, split).replace("\"label\"", "\"ori_uid\": \"p\", \"label\"");
        let text = [of_piece("a.wav", "train"), row("b.wav", "val"), of_piece("c.wav", "test")].concat();
        let path = folder.write("set.jsonl", &text);
        let error = DataSet::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 3: ori_uid `p` is in split test, but in train"), "{error}");
        let lenient = ReadOptions { allow_leaks: true, ..ReadOptions::default() };
        assert_eq!(DataSet::read_with(&path, &lenient).unwrap().records().len(), 3);

        let path = folder.write("set.jsonl", [row("a.wav", "train"), row("c.wav", "test")].concat());
        assert_eq!(DataSet::read(&path).unwrap_err().to_string(), "data set `set`: split val has no rows");
        let test_only = ReadOptions { required: vec![Split::Test], allow_leaks: false };
        assert!(DataSet::read_with(&path, &test_only).is_ok());

        let many: String = (0..9).map(|_| row("a.wav", "train")).collect();
        let error = message(&folder, &[many, row("b.wav", "val"), row("c.wav", "test")].concat());
        assert!(error.ends_with("; and 3 more"), "{error}");
    }

    #[test]
    fn recordings_are_looked_for_in_three_places() {
        let folder = Folder::new();
        let own = folder.wav("set/own.wav", 0.1);
        let rooted = folder.wav("root/own.wav", 0.1);
        let absolute = folder.wav("else/where.wav", 0.1);
        let text =
            [row("own.wav", "train"), row(absolute.to_str().unwrap(), "val"), row("../set/own.wav", "test")].concat();
        let data_set = DataSet::read(&folder.write("set/set.jsonl", text)).unwrap();
        assert_eq!(
            data_set.audio_paths(None).unwrap(),
            [own, absolute.clone(), folder.path("set").join("../set/own.wav")]
        );
        let error = data_set.audio_paths(Some(&folder.path("root/deeper"))).unwrap_err().to_string();
        assert_eq!(error, "data set `set`: 2 of 3 recordings are missing: own.wav; ../set/own.wav");
        assert_eq!(data_set.find_audio(0, "own.wav", Some(&folder.path("root"))), Some(rooted));
        assert_eq!(data_set.find_audio(0, "absent.wav", None), None);
        // What is given relative to the working directory wins: tests run in the crate's folder.
        let text = [row("Cargo.toml", "train"), row("src/lib.rs", "val"), row("src/tag/mod.rs", "test")].concat();
        let data_set = DataSet::read(&folder.write("set/set.jsonl", text)).unwrap();
        assert_eq!(data_set.audio_paths(None).unwrap()[0], Path::new("Cargo.toml"));
    }

    #[test]
    fn all_missing_recordings_are_listed_and_the_first_few_shown() {
        let folder = Folder::new();
        let rows: String = (0..8).map(|index| row(&format!("{index}.wav"), "train")).collect();
        let text = [rows, row("v.wav", "val"), row("t.wav", "test")].concat();
        let data_set = DataSet::read(&folder.write("set.jsonl", text)).unwrap();
        let error = data_set.audio_paths(None).unwrap_err();
        assert!(error.to_string().contains("10 of 10 recordings are missing: 0.wav; 1.wav"), "{error}");
        assert!(error.to_string().ends_with("and 5 more"));
        let DataSetError::MissingAudio { missing, .. } = error else { unreachable!() };
        assert_eq!(missing.len(), 10);
    }

    #[test]
    fn rows_in_memory_need_a_split() {
        assert!(DataSet::new("x", vec![]).is_err());
        let record: Record = serde_json::from_str(r#"{"audio_path": "a", "label": "x"}"#).unwrap();
        assert!(DataSet::new("x", vec![record]).unwrap_err().to_string().contains("line 1: expected `split`"));
    }
}
