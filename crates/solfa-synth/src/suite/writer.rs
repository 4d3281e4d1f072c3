//! Writing a suite: in parallel, whole files only, continuing where an earlier run stopped.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};
use solfa_eval::dataset::{Record, Split};
use solfa_eval::store::remove_abandoned;

use super::SuiteError;
use super::files::{WAV_HEADER_BYTES, wav_bytes, write_lines, write_whole};
use super::material::{NOTE_SECONDS, PlannedNote, PlannedPiece, notes, pieces};
use crate::compose::compose;
use crate::labels::{Labels, Task};
use crate::render::Renderer;

/// Changes when the same settings give other pieces or notes.
const VERSION: u32 = 1;

/// The file that says what a folder was made of.
const MANIFEST: &str = "manifest.json";

/// Most pieces, and most notes, of a suite: names have four digits or more, and a folder of more is no suite.
const MAXIMUM_COUNT: usize = 1_000_000;

/// What a suite is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuiteSettings {
    /// Decides everything else.
    pub seed: u64,
    /// How many pieces, at least 5.
    pub pieces: usize,
    /// Length of a piece in seconds.
    pub seconds: f64,
    /// How many single notes; none, or at least 5.
    pub notes: usize,
    /// Samples per second.
    pub sample_rate: u32,
}

impl Default for SuiteSettings {
    /// 120 pieces of 30 s and 600 notes of 3 s, at 24 kHz: 259 MB.
    fn default() -> Self {
        Self { seed: 0, pieces: 120, seconds: 30.0, notes: 600, sample_rate: 24_000 }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuiteSummary {
    /// Sounds that were rendered.
    pub rendered: usize,
    /// Sounds that were there already.
    pub kept: usize,
    /// Rows of each task's file.
    pub tasks: BTreeMap<String, usize>,
}

/// Something to render, and where it goes.
enum Planned {
    Piece(PlannedPiece),
    Note(PlannedNote),
}

/// Writes a suite into `folder`. Files that are there whole are kept if the manifest is the same. `progress` is called
/// after every sound with its length in seconds, from several threads.
///
/// # Errors
/// Settings that cannot be, a folder with another suite, and what goes wrong with files.
pub fn write_suite(
    folder: &Path,
    settings: &SuiteSettings,
    renderer: &dyn Renderer,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<SuiteSummary, SuiteError> {
    check(settings)?;
    claim(folder, settings, renderer)?;
    let planned_pieces = pieces(settings.seed, settings.pieces, settings.seconds);
    let planned_notes = notes(settings.seed, settings.notes);
    let pieces = planned_pieces.into_iter().enumerate();
    let notes = planned_notes.into_iter().enumerate();
    let planned: Vec<(String, Planned)> = pieces
        .map(|(place, piece)| (format!("audio/piece-{place:04}.wav"), Planned::Piece(piece)))
        .chain(notes.map(|(place, note)| (format!("audio/note-{place:04}.wav"), Planned::Note(note))))
        .collect();
    remove_abandoned(&planned.iter().map(|(name, _)| folder.join(name)).collect::<Vec<_>>());
    let written: Vec<(bool, Vec<(String, Record)>)> = planned
        .par_iter()
        .map(|(name, planned)| {
            let done = write_one(folder, name, planned, settings, renderer);
            progress(seconds(planned, settings));
            done
        })
        .collect::<Result<_, SuiteError>>()?;
    let rendered = written.iter().filter(|(is_new, _)| *is_new).count();
    let mut tables: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for (task, record) in written.iter().flat_map(|(_, records)| records) {
        tables.entry(task.clone()).or_default().push(record.clone());
    }
    for (task, records) in &tables {
        write_lines(&folder.join(format!("{task}.jsonl")), records)?;
    }
    let tasks = tables.into_iter().map(|(task, records)| (task, records.len())).collect();
    Ok(SuiteSummary { rendered, kept: written.len() - rendered, tasks })
}

fn check(settings: &SuiteSettings) -> Result<(), SuiteError> {
    let is_right = |count: usize| (5..=MAXIMUM_COUNT).contains(&count);
    if !is_right(settings.pieces) {
        let found = settings.pieces;
        return Err(SuiteError::Settings {
            what: "pieces",
            found,
            expected: "5 to 1000000, so that no split is empty",
        });
    }
    if settings.notes != 0 && !is_right(settings.notes) {
        let expected = "0, or 5 to 1000000, so that no split is empty";
        return Err(SuiteError::Settings { what: "notes", found: settings.notes, expected });
    }
    Ok(())
}

/// Writes the manifest, or checks that the one that is there says the same.
fn claim(folder: &Path, settings: &SuiteSettings, renderer: &dyn Renderer) -> Result<(), SuiteError> {
    let manifest = json!({
        "format": "solfa-synth suite",
        "version": VERSION,
        "seed": settings.seed,
        "pieces": settings.pieces,
        "seconds": settings.seconds,
        "notes": settings.notes,
        "note_seconds": NOTE_SECONDS,
        "sample_rate": settings.sample_rate,
        "renderer": renderer.identity(),
    });
    let path = folder.join(MANIFEST);
    let shown = || path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let there: Map<String, Value> = serde_json::from_str(&text)
                .map_err(|error| SuiteError::Manifest { path: shown(), reason: error.to_string() })?;
            for (what, expected) in manifest.as_object().into_iter().flatten() {
                let found = there.get(what).unwrap_or(&Value::Null);
                if found != expected {
                    let (what, found, expected) = (what.clone(), found.to_string(), expected.to_string());
                    return Err(SuiteError::Other { path: shown(), what, found, expected });
                }
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
            write_whole(&path, format!("{text}\n").as_bytes())
        }
        Err(error) => Err(SuiteError::Io { path: shown(), error }),
    }
}

fn seconds(planned: &Planned, settings: &SuiteSettings) -> f64 {
    match planned {
        Planned::Piece(_) => settings.seconds,
        Planned::Note(_) => NOTE_SECONDS,
    }
}

/// Renders one sound if it is not there, and says whether it was not, with its row for each task.
fn write_one(
    folder: &Path,
    name: &str,
    planned: &Planned,
    settings: &SuiteSettings,
    renderer: &dyn Renderer,
) -> Result<(bool, Vec<(String, Record)>), SuiteError> {
    let path = folder.join(name);
    let num_samples = (seconds(planned, settings) * f64::from(settings.sample_rate)).round() as u64;
    let (performance, labels, split, other) = match planned {
        Planned::Piece(PlannedPiece { split, request }) => {
            let piece = compose(request)?;
            let labels =
                Task::ALL.into_iter().filter_map(|task| Some((task.name().to_owned(), piece.labels.of_task(task)?)));
            // One without any instrument does not occur.
            let labels: Vec<(String, Value)> = labels.collect();
            (piece.performance, labels, *split, vec![("seed", json!(request.seed))])
        }
        Planned::Note(note) => {
            let labels = vec![
                ("note-pitch".to_owned(), json!(note.note.pitch.to_string())),
                ("note-instrument".to_owned(), json!(note.tag)),
            ];
            let other = vec![("program", json!(note.program)), ("velocity", json!(note.note.velocity))];
            (note.performance(), labels, note.split, other)
        }
    };
    let is_whole = std::fs::metadata(&path).is_ok_and(|file| file.len() == WAV_HEADER_BYTES + 2 * num_samples);
    if !is_whole {
        let sound = renderer.render_stereo(&performance, settings.sample_rate)?;
        write_whole(&path, &wav_bytes(&sound, true))?;
    }
    let form = Form { name, split: Some(split), sample_rate: settings.sample_rate, num_samples };
    Ok((!is_whole, labels.into_iter().map(|(task, label)| (task, form.record(label, &other))).collect()))
}

/// What all rows of one sound share.
pub(super) struct Form<'name> {
    pub(super) name: &'name str,
    pub(super) split: Option<Split>,
    pub(super) sample_rate: u32,
    pub(super) num_samples: u64,
}

impl Form<'_> {
    pub(super) fn record(&self, label: Value, other: &[(&str, Value)]) -> Record {
        Record {
            audio_path: self.name.to_owned(),
            label,
            split: self.split,
            duration: Some(self.num_samples as f64 / f64::from(self.sample_rate)),
            sample_rate: Some(self.sample_rate),
            num_samples: Some(self.num_samples),
            bit_depth: Some(16),
            channels: Some(1),
            ori_uid: None,
            other: other.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }
}

/// The rows of labels of one sound.
pub(super) fn rows(labels: &Labels, form: &Form) -> Vec<(Task, Record)> {
    Task::ALL.into_iter().filter_map(|task| Some((task, form.record(labels.of_task(task)?, &[])))).collect()
}

/// Paths relative to a folder, in the form that data sets have everywhere.
pub(super) fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}
