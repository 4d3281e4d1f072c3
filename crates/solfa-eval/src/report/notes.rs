//! What a reader must know before believing a report.

use std::collections::{BTreeSet, HashMap};

use super::model::Report;
use crate::results::ResultRow;

/// Fewer recordings than this and a score says little.
const FEW_RECORDINGS: u64 = 100;

/// Words in the names of made-up music.
const SYNTHETIC: [&str; 3] = ["synth", "synthetic", "bundled"];

pub(super) fn of(report: &Report, rows: &[ResultRow]) -> Vec<String> {
    let mut notes = Vec::new();
    let is_synthetic = |name: &str| {
        name.to_lowercase().split(|letter: char| !letter.is_alphanumeric()).any(|word| SYNTHETIC.contains(&word))
    };
    let synthetic: Vec<&str> = report
        .provenance
        .datasets
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(rows.iter().map(|row| row.task.as_str()))
        .filter(|name| is_synthetic(name))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if !synthetic.is_empty() {
        notes.push(format!(
            "Synthetic music ({}): good for comparing on one\u{2019}s own machine; it does not stand for recordings.",
            listed(&synthetic)
        ));
    }
    if let [seed] = report.provenance.seeds.as_slice() {
        notes.push(format!("One seed only ({seed}): how much chance there is in the training is not known."));
    }
    let points = || report.panels.iter().flat_map(|panel| &panel.series).map(|series| series.best_point());
    let without = points().filter(|point| point.interval.is_none()).count();
    if without > 0 {
        notes.push(format!("{without} of {} best scores have no interval.", points().count()));
    }
    let chosen_by_test: Vec<&str> = report
        .panels
        .iter()
        .filter(|panel| panel.series.iter().any(|series| series.points.len() > 1 && !series.is_chosen_by_validation))
        .map(|panel| panel.title.as_str())
        .collect();
    if !chosen_by_test.is_empty() {
        notes.push(format!(
            "The best layer was chosen on the test split itself, so its score is too good: {}.",
            listed(&chosen_by_test)
        ));
    }
    let small: Vec<String> = report
        .panels
        .iter()
        .filter(|panel| panel.num_recordings.2 < FEW_RECORDINGS)
        .map(|panel| format!("{} ({})", panel.title, panel.num_recordings.2))
        .collect();
    if !small.is_empty() {
        let small: Vec<&str> = small.iter().map(String::as_str).collect();
        notes.push(format!("Few recordings were scored: {}.", listed(&small)));
    }
    let mut spaces = HashMap::new();
    let mut named = BTreeSet::new();
    for row in rows {
        let what = (&row.task, &row.dataset_sha256, &row.encoder, &row.layer, &row.head, &row.protocol, &row.metric);
        let key = (what, row.label_fraction.to_bits(), row.draw, row.seed);
        let before = spaces.insert(key, &row.space_id);
        if before.is_some_and(|space_id| *space_id != row.space_id) && named.insert(&row.encoder) {
            notes.push(format!(
                "{} stands for several spaces on {}, layer {}: what was measured last is shown.",
                row.encoder, row.task, row.layer
            ));
        }
    }
    notes
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        number if number > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), number - SHOWN),
        _ => names.join(", "),
    }
}
