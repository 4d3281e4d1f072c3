//! What lies in a folder of results.

use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::results::{LayerWeights, PairedComparison, RESULT_SCHEMA, ResultRow};
use crate::similarity::{LayerComparison, TrackView};

/// The longest line, and the largest file of one object, that is read; a larger one is no result.
const MAXIMUM_BYTES: u64 = 256 << 20;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder cannot be read.
    #[error("cannot read the folder of results {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else than a folder.
    #[error("{}: a folder of results is expected", path.display())]
    NotAFolder {
        /// What it is.
        path: PathBuf,
    },
}

/// Something in the folder that could not be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the folder.
    pub file: String,
    /// The line, from 1, in a file of lines.
    pub line: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) rows: Vec<ResultRow>,
    pub(super) weights: Vec<LayerWeights>,
    pub(super) paired: Vec<PairedComparison>,
    pub(super) comparisons: Vec<LayerComparison>,
    pub(super) tracks: Vec<TrackView>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn read(folder: &Path) -> Result<Contents, ReportError> {
    let unreadable = |source| ReportError::Folder { path: folder.to_owned(), source };
    if !std::fs::metadata(folder).map_err(unreadable)?.is_dir() {
        return Err(ReportError::NotAFolder { path: folder.to_owned() });
    }
    std::fs::read_dir(folder).map_err(unreadable)?;
    let mut problems = Vec::new();
    let rows = lines(folder, "results.jsonl", &mut problems, check_row);
    let weights = lines(folder, "layer-weights.jsonl", &mut problems, check_weights);
    let paired = lines(folder, "comparisons.jsonl", &mut problems, check_paired);
    let comparisons = objects(folder, "similarity", &mut problems, check_comparison);
    let tracks = objects(folder, "tracks", &mut problems, check_track);
    Ok(Contents { rows, weights, paired, comparisons, tracks, problems })
}

/// The objects of a file with one a line; a file that is absent has none.
fn lines<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    problems: &mut Vec<Problem>,
    check: fn(&T) -> Result<(), String>,
) -> Vec<T> {
    let mut problem =
        |line: Option<u64>, reason: String| problems.push(Problem { file: name.to_owned(), line, reason });
    let file = match std::fs::File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problem(None, error.to_string());
            return Vec::new();
        }
    };
    let mut reader = BufReader::new(file);
    let mut found = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        match reader.by_ref().take(MAXIMUM_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => match parse(&line, check) {
                Ok(object) => found.push(object),
                Err(reason) => problem(Some(number), reason),
            },
            Err(error) => {
                problem(Some(number), error.to_string());
                break;
            }
        }
    }
    found
}

/// The objects of a folder with one JSON file each, in the order of their names.
fn objects<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    problems: &mut Vec<Problem>,
    check: fn(&T) -> Result<(), String>,
) -> Vec<T> {
    let mut problem = |file: String, reason: String| problems.push(Problem { file, line: None, reason });
    let entries = match std::fs::read_dir(folder.join(name)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problem(name.to_owned(), error.to_string());
            return Vec::new();
        }
    };
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_json).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let file = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MAXIMUM_BYTES).read_to_end(&mut bytes));
        match read.map_err(|error| error.to_string()).and_then(|_| parse(&bytes, check)) {
            Ok(object) => found.push(object),
            Err(reason) => problem(file, reason),
        }
    }
    found
}

fn parse<T: DeserializeOwned>(bytes: &[u8], check: fn(&T) -> Result<(), String>) -> Result<T, String> {
    let object = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check(&object)?;
    Ok(object)
}

fn check_row(row: &ResultRow) -> Result<(), String> {
    if row.schema != RESULT_SCHEMA {
        return Err(format!("schema {} is found, and {RESULT_SCHEMA} is expected", row.schema));
    }
    if !(row.label_fraction > 0.0 && row.label_fraction <= 1.0) {
        return Err(format!("label_fraction is {}, and a share above 0 and at most 1 is expected", row.label_fraction));
    }
    if let (Some(low), Some(high)) = (row.low, row.high)
        && low > high
    {
        return Err(format!("the interval from {low} to {high} is no interval"));
    }
    Ok(())
}

fn check_weights(weights: &LayerWeights) -> Result<(), String> {
    same_number("weights", weights.layers.len(), weights.weights.len())
}

fn check_paired(paired: &PairedComparison) -> Result<(), String> {
    if paired.low > paired.high {
        return Err(format!("the interval from {} to {} is no interval", paired.low, paired.high));
    }
    if !(0.0..=1.0).contains(&paired.p_value) {
        return Err(format!("p_value is {}, and a probability is expected", paired.p_value));
    }
    Ok(())
}

fn check_comparison(comparison: &LayerComparison) -> Result<(), String> {
    same_number("rows of values", comparison.layers_a.len(), comparison.values.len())?;
    same_number("effective ranks of the first encoder", comparison.layers_a.len(), comparison.effective_ranks_a.len())?;
    same_number(
        "effective ranks of the second encoder",
        comparison.layers_b.len(),
        comparison.effective_ranks_b.len(),
    )?;
    comparison.values.iter().try_for_each(|row| same_number("values of a row", comparison.layers_b.len(), row.len()))
}

fn check_track(track: &TrackView) -> Result<(), String> {
    if !(track.seconds > 0.0 && track.seconds.is_finite()) {
        return Err(format!("seconds is {}, and a length above 0 is expected", track.seconds));
    }
    same_number("maxima of the envelope", track.envelope.minimum.len(), track.envelope.maximum.len())?;
    for encoder in &track.encoders {
        for layer in &encoder.layers {
            let single = [&layer.self_similarity, &layer.attention];
            for matrix in single.into_iter().flatten().chain(&layer.attention_maps) {
                if matrix.bytes().is_none() {
                    let (name, layer) = (&encoder.encoder, layer.layer);
                    let (rows, columns) = (matrix.rows, matrix.columns);
                    return Err(format!(
                        "{name}, layer {layer}: the steps of a matrix are not {rows} times {columns} bytes in base64"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn same_number(what: &str, expected: usize, found: usize) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: {expected} are expected, and {found} are found")) }
}
