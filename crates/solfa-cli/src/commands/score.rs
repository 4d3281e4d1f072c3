//! `solfa score`: an estimate against a reference.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use solfa_eval::dataset::DataSet;
use solfa_eval::score::{FilePairs, ScoreKind, mean_scores, pair_files, score_files};
use solfa_eval::task::{PredictionFile, PredictionHeader};

use crate::arguments::{PairArguments, PredictionsArguments, ScoreArguments, ScoreInput};
use crate::terminal::{self, Outcome, UsageError};

/// What a pair of files scored, in order.
type Scores = Vec<(&'static str, f64)>;

#[derive(Serialize)]
struct ScoredFile {
    name: String,
    /// Empty where the pair failed.
    #[serde(skip_serializing_if = "Map::is_empty")]
    scores: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ScoredFolder {
    files: Vec<ScoredFile>,
    mean: Map<String, Value>,
}

pub(crate) fn run(arguments: &ScoreArguments) -> anyhow::Result<Outcome> {
    let (kind, pair) = match arguments.command.input() {
        ScoreInput::Pair(kind, pair) => (kind, pair),
        ScoreInput::Predictions(arguments) => return score_predictions(arguments),
    };
    match (is_folder(&pair.reference)?, is_folder(&pair.estimate)?) {
        (false, false) => {
            let scores = score_files(kind, &pair.reference, &pair.estimate)?;
            print_scores(&scores, pair.json)?;
            Ok(Outcome::Done)
        }
        (true, true) => score_folders(kind, pair),
        (is_folder, _) => {
            let (folder, file) =
                if is_folder { (&pair.reference, &pair.estimate) } else { (&pair.estimate, &pair.reference) };
            let (folder, file) = (folder.display(), file.display());
            Err(UsageError(format!("{folder} is a folder and {file} is none: give two files or two folders")).into())
        }
    }
}

#[derive(Serialize)]
struct ScoredPredictions {
    file: String,
    task: String,
    encoder: String,
    layer: String,
    head: String,
    run: String,
    num_tracks: usize,
    scores: Map<String, Value>,
}

/// Every score of files of predictions, from the files alone.
fn score_predictions(arguments: &PredictionsArguments) -> anyhow::Result<Outcome> {
    let data_set = arguments.data.as_deref().map(DataSet::read_lines).transpose()?;
    let mut rows = Vec::new();
    for path in &arguments.files {
        let file = PredictionFile::read(path)?;
        if let Some(data_set) = &data_set {
            file.check_data_set(path, data_set.name(), data_set.sha256())?;
        }
        let evaluation = file.evaluate(path)?;
        let scores: Vec<(&'static str, f64)> =
            evaluation.values().into_iter().map(|(metric, value)| (metric.name, value)).collect();
        if arguments.json {
            let (num_tracks, scores) = (file.tracks.len(), to_json(&scores));
            let PredictionHeader { task, encoder, layer, head, run, .. } = file.header;
            let file = path.display().to_string();
            terminal::print_json(&ScoredPredictions { file, task, encoder, layer, head, run, num_tracks, scores })?;
        }
        for (place, (name, value)) in scores.iter().enumerate() {
            let first = |text: &str| if place == 0 { text.to_owned() } else { String::new() };
            rows.push(vec![first(&name_of(path)), (*name).to_owned(), shown(*value)]);
        }
    }
    if !arguments.json {
        terminal::print_table(&["file", "score", "value"], &rows, &[2])?;
    }
    Ok(Outcome::Done)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Whether a path is a folder. That it is nothing at all is a mistake of the command line.
fn is_folder(path: &Path) -> Result<bool, UsageError> {
    match fs_err::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(UsageError(format!("{}: there is no such file or folder", path.display())))
        }
        Err(error) => Err(UsageError(error.to_string())),
    }
}

fn score_folders(kind: ScoreKind, arguments: &PairArguments) -> anyhow::Result<Outcome> {
    let FilePairs { pairs, without_estimate, without_reference } =
        pair_files(&arguments.reference, &arguments.estimate)?;
    for path in &without_estimate {
        terminal::note(&format!("{}: no estimate has this name; the mean is without it", path.display()));
    }
    for path in &without_reference {
        terminal::note(&format!("{}: no reference has this name", path.display()));
    }
    if pairs.is_empty() {
        let (references, estimates) = (arguments.reference.display(), arguments.estimate.display());
        anyhow::bail!("{references} and {estimates} have no files of the same name");
    }
    let mut scored: Vec<Scores> = Vec::new();
    let mut files = Vec::new();
    for pair in pairs {
        match score_files(kind, &pair.reference, &pair.estimate) {
            Ok(scores) => {
                files.push(ScoredFile { name: pair.name, scores: to_json(&scores), error: None });
                scored.push(scores);
            }
            Err(error) => {
                let error = error.to_string();
                terminal::note(&error);
                files.push(ScoredFile { name: pair.name, scores: Map::new(), error: Some(error) });
            }
        }
    }
    let is_whole = scored.len() == files.len() && without_estimate.is_empty() && without_reference.is_empty();
    let mean = mean_scores(&scored);
    if arguments.json {
        terminal::print_json(&ScoredFolder { files, mean: to_json(&mean) })?;
    } else {
        print_files(&files, &mean)?;
    }
    match scored.is_empty() {
        true => anyhow::bail!("no pair of files could be scored"),
        false if is_whole => Ok(Outcome::Done),
        false => Ok(Outcome::SomeFailed),
    }
}

fn to_json(scores: &Scores) -> Map<String, Value> {
    scores.iter().map(|&(name, value)| (name.to_owned(), Value::from(value))).collect()
}

fn print_scores(scores: &Scores, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return terminal::print_json(&to_json(scores));
    }
    let rows: Vec<_> = scores.iter().map(|(name, value)| vec![(*name).to_owned(), shown(*value)]).collect();
    terminal::print_table(&["score", "value"], &rows, &[1])
}

/// A table with a line for each score of each file, and of the mean. Scores are too many for columns.
fn print_files(files: &[ScoredFile], mean: &Scores) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for file in files {
        for (place, (name, value)) in file.scores.iter().enumerate() {
            let file = if place == 0 { file.name.clone() } else { String::new() };
            rows.push(vec![file, name.clone(), value.as_f64().map_or_else(String::new, shown)]);
        }
    }
    let num_scored = files.iter().filter(|file| file.error.is_none()).count();
    for (place, (name, value)) in mean.iter().enumerate() {
        let file = if place == 0 { format!("mean of {num_scored}") } else { String::new() };
        rows.push(vec![file, (*name).to_owned(), shown(*value)]);
    }
    if rows.is_empty() { Ok(()) } else { terminal::print_table(&["file", "score", "value"], &rows, &[2]) }
}

fn shown(value: f64) -> String {
    format!("{value:.4}")
}
