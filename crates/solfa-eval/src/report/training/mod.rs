//! Training runs as curves: what each step logged, drawn over steps, one run or several over each other.
//!
//! Curves have the names that a training's log gives its numbers: `loss`, `terms/NAME`, `learning_rate`, `gradient_norm`,
//! `audio_seconds_per_second`, and `seconds/data`, `seconds/forward`, `seconds/backward` and `seconds/optimizer`.

mod markdown;
mod smoothing;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::html;
use crate::store::{StoreError, write_whole};

pub(super) use smoothing::{shown, smoothed};

/// The names of the parts of a step's time, as in `seconds/data`.
pub(super) const TIMES: [&str; 4] = ["data", "forward", "backward", "optimizer"];

/// What each step of a run logged under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// A number for every step; NaN where there is none.
    pub values: Vec<f64>,
}

/// One training run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingRun {
    /// Its name, different from those of other runs.
    pub name: String,
    /// What else is known of it, by name: the hash of its data, where it lies.
    pub facts: Vec<(String, String)>,
    /// Its configuration as text.
    pub config: Option<String>,
    /// The numbers of its steps, in order.
    pub steps: Vec<u64>,
    /// Steps that updated nothing because a number was not finite.
    pub skipped: Vec<u64>,
    /// What was logged.
    pub curves: Vec<Curve>,
}

/// A curve in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurveSummary {
    /// The first finite number.
    pub first: f64,
    /// The last finite number.
    pub last: f64,
    /// The last number of the smoothed curve.
    pub last_smoothed: f64,
    /// The smallest number.
    pub minimum: f64,
    /// The step that has it.
    pub minimum_step: u64,
    /// The largest number.
    pub maximum: f64,
}

/// A run in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its name.
    pub run: String,
    /// The last step.
    pub step: u64,
    /// Steps in the log.
    pub num_steps: usize,
    /// Steps that were skipped.
    pub num_skipped: usize,
    /// The loss, where it was ever finite.
    pub loss: Option<CurveSummary>,
    /// The named terms of the loss and what else was reported.
    pub terms: BTreeMap<String, CurveSummary>,
    /// Hours that the steps took.
    pub hours: f64,
    /// Hours of audio that were learned from.
    pub audio_hours: f64,
    /// Seconds of audio in each second, over all steps.
    pub audio_seconds_per_second: f64,
    /// Shares of the time: `data`, `forward`, `backward`, `optimizer`.
    pub time_shares: BTreeMap<String, f64>,
    /// What else is known, by name.
    pub facts: BTreeMap<String, String>,
}

/// Runs to be shown together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingReport {
    /// The runs, in the order of their colours.
    pub runs: Vec<TrainingRun>,
}

/// What a report of training runs is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingReportFormat {
    /// One self-contained page.
    Html,
    /// Tables.
    Markdown,
}

impl TrainingRun {
    /// The curve of a name.
    pub fn curve(&self, name: &str) -> Option<&Curve> {
        self.curves.iter().find(|curve| curve.name == name)
    }

    /// Steps and finite numbers of a curve.
    pub(super) fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let values = self.curve(name).map_or(&[][..], |curve| &curve.values);
        let points = self.steps.iter().zip(values).map(|(&step, &value)| (step as f64, value));
        points.filter(|point| point.1.is_finite()).collect()
    }

    /// Seconds of each step that went into each of [`TIMES`].
    pub(super) fn times(&self) -> Vec<[f64; TIMES.len()]> {
        let curves = TIMES.map(|name| self.curve(&format!("seconds/{name}")));
        let value = |curve: Option<&Curve>, place: usize| {
            curve.and_then(|curve| curve.values.get(place)).copied().filter(|value| value.is_finite()).unwrap_or(0.0)
        };
        (0..self.steps.len()).map(|place| curves.map(|curve| value(curve, place))).collect()
    }

    fn curve_summary(&self, name: &str) -> Option<CurveSummary> {
        let points = self.points(name);
        let (first, last) = (points.first()?, points.last()?);
        let minimum = points.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let maximum = points.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(CurveSummary {
            first: first.1,
            last: last.1,
            last_smoothed: smoothed(&points).last().map_or(last.1, |point| point.1),
            minimum: minimum.1,
            minimum_step: minimum.0 as u64,
            maximum: maximum.1,
        })
    }

    /// The run in a few numbers.
    pub fn summary(&self) -> RunSummary {
        let times = self.times();
        let mut sums = [0.0; TIMES.len()];
        for step in &times {
            sums.iter_mut().zip(step).for_each(|(sum, seconds)| *sum += seconds);
        }
        let seconds: f64 = sums.iter().sum();
        let rates = self.curve("audio_seconds_per_second").map_or(&[][..], |curve| &curve.values);
        let audio = rates.iter().zip(&times).map(|(rate, step)| rate * step.iter().sum::<f64>());
        let audio_seconds: f64 = audio.filter(|seconds| seconds.is_finite()).sum();
        let share = |part: f64| if seconds > 0.0 { part / seconds } else { 0.0 };
        let terms = self.curves.iter().filter_map(|curve| {
            Some((curve.name.strip_prefix("terms/")?.to_owned(), self.curve_summary(&curve.name)?))
        });
        RunSummary {
            run: self.name.clone(),
            step: self.steps.last().copied().unwrap_or(0),
            num_steps: self.steps.len(),
            num_skipped: self.skipped.len(),
            loss: self.curve_summary("loss"),
            terms: terms.collect(),
            hours: seconds / 3600.0,
            audio_hours: audio_seconds / 3600.0,
            audio_seconds_per_second: share(audio_seconds),
            time_shares: TIMES.iter().zip(sums).map(|(name, sum)| ((*name).to_owned(), share(sum))).collect(),
            facts: self.facts.iter().cloned().collect(),
        }
    }
}

impl TrainingReport {
    /// The names of all curves that begin with a text, each once, in order.
    pub(super) fn names(&self, prefix: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for curve in self.runs.iter().flat_map(|run| &run.curves) {
            if curve.name.starts_with(prefix) && !names.contains(&curve.name.as_str()) {
                names.push(&curve.name);
            }
        }
        names.sort_unstable();
        names
    }

    /// The report as text.
    pub fn render(&self, format: TrainingReportFormat) -> String {
        match format {
            TrainingReportFormat::Html => html::training_page(self),
            TrainingReportFormat::Markdown => markdown::document(self),
        }
    }

    /// Writes the report to a file, which appears whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be written.
    pub fn write(&self, path: &Path, format: TrainingReportFormat) -> Result<(), StoreError> {
        write_whole(path, self.render(format).as_bytes())
    }
}

/// A number with about four digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if value == 0.0 => "0".into(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    };
    super::svg::minus(&text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run of so many steps: the loss falls, one step is skipped.
    pub(in crate::report) fn run(name: &str, num_steps: u64) -> TrainingRun {
        let steps: Vec<u64> = (1..=num_steps).collect();
        let curve = |name: &str, of: &dyn Fn(f64) -> f64| Curve {
            name: name.into(),
            values: steps.iter().map(|&step| of(step as f64)).collect(),
        };
        let loss = |step: f64| if step == 3.0 { f64::NAN } else { 1.0 + 6.0 / step };
        TrainingRun {
            name: name.into(),
            facts: vec![("data SHA-256".into(), "ab<c".into())],
            config: Some("recipe = \"muq\" # <b>".into()),
            skipped: vec![3],
            curves: vec![
                curve("loss", &loss),
                curve("terms/accuracy", &|step| step / (step + 10.0)),
                curve("terms/code_usage_0", &|_| 0.5),
                curve("terms/effective_rank", &|step| step.sqrt()),
                curve("learning_rate", &|step| 1e-6 * step),
                curve("gradient_norm", &|step| if step == 3.0 { f64::INFINITY } else { 2.0 }),
                curve("audio_seconds_per_second", &|_| 40.0),
                curve("seconds/data", &|_| 0.1),
                curve("seconds/forward", &|_| 0.3),
                curve("seconds/backward", &|_| 0.5),
                curve("seconds/optimizer", &|_| 0.1),
            ],
            steps,
        }
    }

    #[test]
    fn a_run_in_a_few_numbers() {
        let summary = run("a", 3600).summary();
        assert_eq!((summary.step, summary.num_steps, summary.num_skipped), (3600, 3600, 1));
        let loss = summary.loss.unwrap();
        assert_eq!((loss.first, loss.minimum_step, loss.maximum), (7.0, 3600, 7.0));
        assert!((summary.hours - 1.0).abs() < 1e-9 && (summary.audio_hours - 40.0).abs() < 1e-9);
        assert!((summary.audio_seconds_per_second - 40.0).abs() < 1e-9);
        assert!((summary.time_shares["backward"] - 0.5).abs() < 1e-9);
        assert_eq!(summary.terms.keys().collect::<Vec<_>>(), ["accuracy", "code_usage_0", "effective_rank"]);
    }

    #[test]
    fn a_run_without_steps_has_no_numbers_and_no_panic() {
        let empty = TrainingRun { name: "empty".into(), ..TrainingRun::default() };
        let summary = empty.summary();
        assert_eq!((summary.loss, summary.hours, summary.audio_seconds_per_second), (None, 0.0, 0.0));
        for format in [TrainingReportFormat::Html, TrainingReportFormat::Markdown] {
            let text = TrainingReport { runs: vec![empty.clone()] }.render(format);
            assert!(text.contains("empty") && !text.contains("NaN"), "{text}");
        }
    }

    #[test]
    fn markdown_has_a_row_for_each_run_and_term() {
        let report = TrainingReport { runs: vec![run("a|b", 10), run("c", 20)] };
        let text = report.render(TrainingReportFormat::Markdown);
        assert!(text.contains("| a\\|b | 10 | 1 | 7.000 | 1.6"), "{text}");
        assert!(text.contains("| accuracy |") && text.contains("| data SHA-256 | ab&lt;c | ab&lt;c |"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.0, 12345.6, 0.25, 2.5e-4, 3e9, -4.5].map(number);
        assert_eq!(shown, ["0", "1.000", "12345.6", "0.2500", "2.50e\u{2212}4", "3.00e9", "\u{2212}4.500"]);
    }
}
