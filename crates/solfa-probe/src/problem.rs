//! A task on a data set: which tracks there are, what is right for each, and which recordings they are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use solfa_eval::dataset::{Record, Split};
use solfa_eval::task::{ClassSource, Scope, Target, TargetError, Task, TaskKind};

/// One row of a data set, with where its recording is.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The row.
    pub record: Record,
    /// The part of the data set.
    pub split: Split,
    /// The recording.
    pub path: PathBuf,
    /// File and line, for messages.
    pub place: String,
    /// The stretch of the recording that the row is about, in seconds; `None` for all of it.
    pub segment: Option<(f64, f64)>,
    /// Names and files of the stems that the recording is mixed of, for separation.
    pub stems: Vec<(String, PathBuf)>,
}

/// A task on a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The task.
    pub task: Task,
    /// Its classes, in the order of scores.
    pub classes: Vec<String>,
    /// Name of the data set.
    pub dataset: String,
    /// SHA-256 of what the data set's rows say.
    pub dataset_sha256: String,
    /// Every recording, once.
    pub recordings: Vec<PathBuf>,
    /// The tracks, in the order of their first rows.
    pub tracks: Vec<Track>,
    /// What is odd and no error: classes without an example to learn from, or with one.
    pub notes: Vec<String>,
}

/// What is scored as one: a recording, or the clips of one piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its name: the data set's `ori_uid`, or `audio_path`.
    pub name: String,
    /// The data set's label.
    pub label: Value,
    /// What is right.
    pub target: Target,
    /// The part of the data set.
    pub split: Split,
    /// Its parts: a recording's number, and the stretch of it in seconds.
    pub parts: Vec<(usize, Option<(f64, f64)>)>,
    /// Names and files of its stems, for separation.
    pub stems: Vec<(String, PathBuf)>,
}

/// Why a data set cannot be used for a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemError {
    /// A label is not of the task's form.
    #[error("{place}: label of `{track}`: {source}")]
    Label {
        /// File and line.
        place: String,
        /// The recording.
        track: String,
        /// What is wrong.
        source: TargetError,
    },
    /// A split has no tracks.
    #[error("{dataset}: split `{}` is empty, and {purpose}", split.name())]
    EmptySplit {
        /// The data set.
        dataset: String,
        /// The split.
        split: Split,
        /// What it would be for.
        purpose: &'static str,
    },
    /// Clips of one piece are in different splits.
    #[error("{place}: `{track}` is in another split than its first clip")]
    OtherSplit {
        /// File and line.
        place: String,
        /// The piece.
        track: String,
    },
    /// There is only one class.
    #[error("{dataset}: all tracks have the class `{class}`: there is nothing to tell apart")]
    OneClass {
        /// The data set.
        dataset: String,
        /// The class.
        class: String,
    },
}

impl Problem {
    /// Reads the labels of a data set's rows. All of the `needed` splits must have tracks.
    ///
    /// # Errors
    /// [`ProblemError`] for the first label that is not the task's, an empty split, or clips of one piece in several splits.
    pub fn new(
        task: &Task,
        dataset: &str,
        dataset_sha256: &str,
        rows: Vec<Row>,
        needed: &[Split],
    ) -> Result<Self, ProblemError> {
        let names = rows.iter().flat_map(|row| Target::names(task.kind, &row.record.label));
        let classes = task.class_names(names);
        let mut problem = Self {
            task: task.clone(),
            classes,
            dataset: dataset.to_owned(),
            dataset_sha256: dataset_sha256.to_owned(),
            recordings: Vec::new(),
            tracks: Vec::new(),
            notes: Vec::new(),
        };
        let mut recordings: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut pieces: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for row in rows {
            problem.add(row, &mut recordings, &mut pieces)?;
        }
        let contradictory = pieces.values().filter(|tracks| tracks.len() > 1).count();
        if contradictory > 0 {
            problem.notes.push(format!(
                "{dataset}: {contradictory} pieces have clips with different labels: clips are scored together with those of \
                 the same label"
            ));
        }
        if let (TaskKind::Class | TaskKind::Tags, ClassSource::Data, [class]) =
            (task.kind, task.classes, problem.classes.as_slice())
        {
            return Err(ProblemError::OneClass { dataset: dataset.to_owned(), class: class.clone() });
        }
        for (split, purpose) in [
            (Split::Train, "heads learn from it"),
            (Split::Validation, "it chooses learning rates and epochs"),
            (Split::Test, "it is what is scored"),
        ] {
            if needed.contains(&split) && !problem.tracks.iter().any(|track| track.split == split) {
                return Err(ProblemError::EmptySplit { dataset: dataset.to_owned(), split, purpose });
            }
        }
        if needed.contains(&Split::Train) {
            problem.note_rare_classes();
        }
        Ok(problem)
    }

    fn add(
        &mut self,
        row: Row,
        recordings: &mut BTreeMap<PathBuf, usize>,
        pieces: &mut BTreeMap<String, Vec<usize>>,
    ) -> Result<(), ProblemError> {
        let Row { record, split, path, place, segment, stems } = row;
        let target = Target::read(self.task.kind, &record.label, &self.classes)
            .map_err(|source| ProblemError::Label { place: place.clone(), track: record.audio_path.clone(), source })?;
        let next = recordings.len();
        let recording = *recordings.entry(path.clone()).or_insert(next);
        if recording == next {
            self.recordings.push(path);
        }
        // Times of a clip's label are in the clip: only answers about whole pieces can be put together.
        let piece = record.ori_uid.filter(|_| self.task.kind.scope() == Scope::Track);
        let of_piece = piece.as_ref().and_then(|piece| pieces.get(piece)).map_or(&[][..], Vec::as_slice);
        if of_piece.iter().any(|&index| self.tracks[index].split != split) {
            return Err(ProblemError::OtherSplit { place, track: piece.unwrap_or_default() });
        }
        if let Some(&index) = of_piece.iter().find(|&&index| self.tracks[index].target == target) {
            self.tracks[index].parts.push((recording, segment));
            return Ok(());
        }
        // A song in several keys is several tracks.
        let number = of_piece.len() + 1;
        let name = match (&piece, segment) {
            (Some(piece), _) if number > 1 => format!("{piece} ({number})"),
            (Some(piece), _) => piece.clone(),
            (None, None) => record.audio_path.clone(),
            (None, Some((start, end))) => format!("{}@{start}-{end}", record.audio_path),
        };
        if let Some(piece) = piece {
            pieces.entry(piece).or_default().push(self.tracks.len());
        }
        self.tracks.push(Track { name, label: record.label, target, split, parts: vec![(recording, segment)], stems });
        Ok(())
    }

    /// Notes classes that nothing, or next to nothing, can be learned of.
    fn note_rare_classes(&mut self) {
        /// Names that a note shows.
        const SHOWN: usize = 8;
        if self.classes.is_empty() {
            return;
        }
        let mut counts = vec![0_usize; self.classes.len()];
        for track in self.of_split(Split::Train) {
            match &self.tracks[track].target {
                Target::Class(class) => counts[*class] += 1,
                Target::Tags(tags) => tags.iter().for_each(|&tag| counts[tag] += 1),
                _ => return,
            }
        }
        for (count, what) in [(0, "no example"), (1, "a single example")] {
            let rare: Vec<&str> = self
                .classes
                .iter()
                .zip(&counts)
                .filter(|(_, found)| **found == count)
                .map(|(class, _)| class.as_str())
                .collect();
            if !rare.is_empty() {
                let more = if rare.len() > SHOWN { ", ..." } else { "" };
                let shown = rare[..rare.len().min(SHOWN)].join(", ");
                self.notes.push(format!(
                    "{}: {} of {} classes have {what} to learn from: {shown}{more}",
                    self.dataset,
                    rare.len(),
                    self.classes.len()
                ));
            }
        }
    }

    /// The numbers of the tracks of a split.
    pub fn of_split(&self, split: Split) -> Vec<usize> {
        (0..self.tracks.len()).filter(|&track| self.tracks[track].split == split).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(path: &str, label: Value, split: Split, piece: Option<&str>) -> Row {
        let mut record: Record = serde_json::from_value(json!({"audio_path": path, "label": label})).unwrap();
        record.ori_uid = piece.map(str::to_owned);
        Row {
            record,
            split,
            path: PathBuf::from(path),
            place: format!("a.jsonl, {path}"),
            segment: None,
            stems: Vec::new(),
        }
    }

    fn problem(rows: Vec<Row>) -> Result<Problem, ProblemError> {
        Problem::new(&Task::custom("mine", TaskKind::Class), "a", "hash", rows, &Split::ALL)
    }

    fn sound() -> Vec<Row> {
        vec![
            row("a.wav", json!("rock"), Split::Train, None),
            row("b.wav", json!("blues"), Split::Train, None),
            row("c.wav", json!("rock"), Split::Validation, None),
            row("d.wav", json!("blues"), Split::Test, None),
        ]
    }

    #[test]
    fn rows_become_tracks() {
        let problem = problem(sound()).unwrap();
        assert_eq!(problem.classes, ["blues", "rock"]);
        assert_eq!(problem.tracks[0].target, Target::Class(1));
        assert_eq!(problem.of_split(Split::Train), [0, 1]);
        assert_eq!(problem.recordings.len(), 4);
        assert_eq!(problem.notes.len(), 1, "each class has a single example: {:?}", problem.notes);
    }

    #[test]
    fn clips_of_a_piece_are_one_track() {
        let mut rows = sound();
        rows.push(row("e1.wav", json!("rock"), Split::Test, Some("e")));
        rows.push(row("e2.wav", json!("rock"), Split::Test, Some("e")));
        let found = problem(rows.clone()).unwrap();
        assert_eq!(found.tracks[4].name, "e");
        assert_eq!(found.tracks[4].parts, [(4, None), (5, None)]);
        rows.push(row("e3.wav", json!("blues"), Split::Test, Some("e")));
        rows.push(row("e4.wav", json!("blues"), Split::Test, Some("e")));
        let found = problem(rows.clone()).unwrap();
        assert_eq!((found.tracks.len(), found.tracks[5].name.as_str(), found.tracks[5].parts.len()), (6, "e (2)", 2));
        assert!(found.notes.iter().any(|note| note.contains("1 pieces")), "{:?}", found.notes);
        rows.pop();
        rows.pop();
        rows.push(row("e3.wav", json!("rock"), Split::Train, Some("e")));
        assert!(problem(rows).unwrap_err().to_string().contains("another split"));
    }

    #[test]
    fn stretches_of_a_recording_are_tracks_of_their_own() {
        let mut rows = sound();
        for start in [0.0, 30.0] {
            rows.push(Row { segment: Some((start, start + 30.0)), ..row("e.wav", json!("rock"), Split::Test, None) });
        }
        let found = problem(rows).unwrap();
        assert_eq!((found.tracks.len(), found.recordings.len()), (6, 5));
        assert_eq!(found.tracks[5].name, "e.wav@30-60");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let without = |split| sound().into_iter().filter(|row| row.split != split).collect::<Vec<_>>();
        for (split, expected) in [
            (Split::Train, "`train` is empty"),
            (Split::Validation, "`val` is empty"),
            (Split::Test, "`test` is empty"),
        ] {
            let error = problem(without(split)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut rows = sound();
        rows[1].record.label = json!({"beat": []});
        let error = problem(rows).unwrap_err().to_string();
        assert!(error.starts_with("a.jsonl, b.wav: label of `b.wav`"), "{error}");
        let mut rows = sound();
        rows.iter_mut().for_each(|row| row.record.label = json!("rock"));
        assert!(problem(rows).unwrap_err().to_string().contains("`rock`"));
    }
}
