//! Encoders beside each other: whether the best layer of one is really better than that of another.

use std::collections::BTreeMap;

use solfa_eval::results::{PairedComparison, ResultFolder, ResultRow};
use solfa_eval::task::{Evaluation, PredictionFile, PredictionsError};

/// The seed of intervals and randomisation.
const SEED: u64 = 0;

/// What results must share to be compared: task, data, head, protocol.
type Setting = (String, String, String, String);

/// Compares the best layers of every two encoders on every task of a folder of results, by the task's first score: the
/// layers that validation chose among single ones, on the same test tracks, from the predictions of all seeds.
///
/// # Errors
/// Results or predictions that cannot be read.
pub fn compare_encoders(results: &ResultFolder) -> Result<Vec<PairedComparison>, PredictionsError> {
    let (rows, _) = results.rows()?;
    let mut best: BTreeMap<Setting, BTreeMap<String, &ResultRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| is_candidate(row)) {
        let setting = (row.task.clone(), row.dataset_sha256.clone(), row.head.clone(), row.protocol.clone());
        let of_encoder = best.entry(setting).or_default().entry(row.encoder.clone()).or_insert(row);
        if row.validation > of_encoder.validation {
            *of_encoder = row;
        }
    }
    let mut comparisons = Vec::new();
    for encoders in best.values() {
        let mut evaluated: Vec<(&ResultRow, Vec<String>, Vec<Evaluation>)> = Vec::new();
        for row in encoders.values() {
            let (tracks, evaluations) = evaluations(results, &rows, row)?;
            evaluated.push((row, tracks, evaluations));
        }
        for (index, (a, tracks_a, of_a)) in evaluated.iter().enumerate() {
            for (b, tracks_b, of_b) in &evaluated[index + 1..] {
                // Encoders that could not take the same recordings are not compared.
                if tracks_a != tracks_b || tracks_a.is_empty() {
                    continue;
                }
                let Some(metric) = of_a.first().and_then(|evaluation| Some(evaluation.values().first()?.0)) else {
                    continue;
                };
                let Some((comparison, interval)) = Evaluation::compare(of_a, of_b, metric, SEED) else { continue };
                comparisons.push(PairedComparison {
                    task: a.task.clone(),
                    metric: metric.name.to_owned(),
                    encoder_a: a.encoder.clone(),
                    layer_a: a.layer.clone(),
                    encoder_b: b.encoder.clone(),
                    layer_b: b.layer.clone(),
                    difference: comparison.difference,
                    low: interval.low,
                    high: interval.high,
                    p_value: comparison.p_value,
                    method: "paired randomisation of recordings".to_owned(),
                    num_test: tracks_a.len() as u64,
                });
            }
        }
    }
    Ok(comparisons)
}

/// The mean over seeds of a single layer, on all labels.
fn is_candidate(row: &ResultRow) -> bool {
    let is_chosen = row.seed.is_none() && row.is_headline && row.label_fraction >= 1.0 && row.validation.is_some();
    is_chosen && row.layer.parse::<usize>().is_ok()
}

/// The tracks of a run, and its scores for each seed, from its predictions.
fn evaluations(
    results: &ResultFolder,
    rows: &[ResultRow],
    of: &ResultRow,
) -> Result<(Vec<String>, Vec<Evaluation>), PredictionsError> {
    let mut files: Vec<&str> = rows
        .iter()
        .filter(|row| row.run == of.run && row.is_headline)
        .filter_map(|row| row.predictions.as_deref())
        .collect();
    files.sort_unstable();
    files.dedup();
    let (mut tracks, mut evaluations) = (Vec::new(), Vec::new());
    for file in files {
        let path = results.path().join(file);
        let file = PredictionFile::read(&path)?;
        evaluations.push(file.evaluate(&path)?);
        tracks = file.tracks.into_iter().map(|track| track.track).collect();
    }
    Ok((tracks, evaluations))
}
