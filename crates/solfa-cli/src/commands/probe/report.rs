//! What `solfa probe` says while it runs and at its end.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use solfa_eval::results::{ResultFolder, ResultRow};
use solfa_probe::problem::Problem;
use solfa_probe::scan::{Scan, ScanObserver, Unit, UnitOutcome};

use crate::terminal::{self, Counter};

/// The best choice of layers of an encoder on a task, for the table at the end.
struct Best {
    task: String,
    encoder: String,
    metric: String,
    layer: String,
    value: f64,
    interval: Option<[f64; 2]>,
    /// The score that chose it; `None` where nothing was chosen.
    validation: Option<f64>,
    num_heads: usize,
}

impl Best {
    fn of(row: &ResultRow, num_heads: usize) -> Self {
        Self {
            task: row.task.clone(),
            encoder: row.encoder.clone(),
            metric: row.metric.clone(),
            layer: row.layer.clone(),
            value: row.value,
            interval: row.low.zip(row.high).map(|(low, high)| [low, high]),
            validation: row.validation,
            num_heads,
        }
    }
}

/// One head, for machines.
#[derive(Serialize)]
struct HeadLine<'run> {
    task: &'run str,
    encoder: &'run str,
    layer: &'run str,
    label_fraction: f64,
    draw: u32,
    run: &'run str,
    was_there: bool,
    metric: String,
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
}

pub(super) struct Report {
    json: bool,
    best: Vec<Best>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, best: Vec::new() }
    }

    /// A bar over the trainings of a scan.
    pub(super) fn observer(&self, scan: &Scan<'_>, units: &[Unit]) -> Observer {
        let counter = Counter::new(&format!("heads, {} on {}", scan.subject.encoder, scan.subject.problem.task.name));
        counter.expect(scan.num_trainings(units));
        Observer { counter, per_unit: scan.num_trainings(&units[..units.len().min(1)]) }
    }

    /// The results of one encoder on one task, also of what an earlier run did.
    pub(super) fn add(
        &mut self,
        problem: &Problem,
        encoder: &str,
        units: &[Unit],
        outcomes: &[UnitOutcome],
        results: &ResultFolder,
    ) -> anyhow::Result<()> {
        let (rows, _) = results.rows()?;
        let mut best: Option<Best> = None;
        for (unit, outcome) in units.iter().zip(outcomes) {
            let Some(row) = rows.iter().find(|row| row.run == unit.run && row.seed.is_none() && row.is_headline) else {
                continue;
            };
            if self.json {
                terminal::print_json(&HeadLine {
                    task: &problem.task.name,
                    encoder,
                    layer: &unit.label,
                    label_fraction: unit.fraction,
                    draw: unit.draw,
                    run: &unit.run,
                    was_there: *outcome == UnitOutcome::Resumed,
                    metric: row.metric.clone(),
                    value: row.value,
                    low: row.low,
                    high: row.high,
                })?;
            }
            // The best by validation: the test split has no say in what is called best.
            let is_better = best.as_ref().is_none_or(|best| row.validation > best.validation);
            if unit.fraction >= 1.0 && is_better {
                best = Some(Best::of(row, units.len()));
            }
        }
        self.best.extend(best);
        Ok(())
    }

    /// The rows of a task that nothing was trained for.
    pub(super) fn add_rows(&mut self, rows: &[ResultRow]) -> anyhow::Result<()> {
        for row in rows {
            if self.json {
                terminal::print_json(row)?;
            }
            if !row.is_headline {
                continue;
            }
            self.best.push(Best::of(row, 0));
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> anyhow::Result<()> {
        if self.json || self.best.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = self
            .best
            .iter()
            .map(|best| {
                vec![
                    best.task.clone(),
                    best.encoder.clone(),
                    best.metric.clone(),
                    format!("{:.3}", best.value),
                    best.interval.map_or_else(String::new, |[low, high]| format!("{low:.3} to {high:.3}")),
                    best.layer.clone(),
                    best.num_heads.to_string(),
                ]
            })
            .collect();
        let header = ["task", "encoder", "score", "test", "95 % of tracks", "best layer", "of"];
        terminal::print_table(&header, &rows, &[3, 6])
    }
}

/// A bar over trainings.
pub(super) struct Observer {
    counter: Counter,
    /// Trainings that a unit takes.
    per_unit: usize,
}

impl Observer {
    pub(super) fn finish(&self) {
        self.counter.finish();
    }
}

impl ScanObserver for Observer {
    fn trained(&self) {
        self.counter.one_done();
    }

    fn finished(&self, _unit: &Unit, outcome: &UnitOutcome) {
        if *outcome == UnitOutcome::Resumed {
            self.counter.done(self.per_unit);
        }
    }
}

/// Now, in UTC, to the second.
pub(super) fn now() -> String {
    DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Secs, true)
}
