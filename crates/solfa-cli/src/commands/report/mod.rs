//! `solfa report`: results, or training runs, as something to look at.

mod training;

use std::path::Path;

use serde::Serialize;
use solfa_eval::report::{Problem, Report, ReportFormat};

use crate::arguments::ReportArguments;
use crate::terminal::{self, Outcome, UsageError};

/// What a report has, for machines.
#[derive(Serialize)]
struct Summary<'report> {
    outputs: Vec<String>,
    num_rows: usize,
    encoders: Vec<&'report str>,
    tasks: Vec<Task<'report>>,
    num_comparisons: usize,
    num_tracks: usize,
    notes: &'report [String],
    problems: &'report [Problem],
}

#[derive(Serialize)]
struct Task<'report> {
    task: &'report str,
    protocol: &'report str,
    head: &'report str,
    metric: &'report str,
    best: Vec<Best<'report>>,
}

/// An encoder's best layer.
#[derive(Serialize)]
struct Best<'report> {
    encoder: &'report str,
    layer: &'report str,
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
    chosen_by_validation: bool,
}

pub(crate) fn run(arguments: &ReportArguments) -> anyhow::Result<Outcome> {
    let is_run = |folder: &&std::path::PathBuf| training::is_run(folder);
    match (arguments.folders.iter().find(is_run), arguments.folders.iter().find(|folder| !is_run(folder))) {
        (Some(_), None) => training::run(arguments),
        (None, _) if arguments.folders.len() == 1 => results(arguments, &arguments.folders[0]),
        (None, _) => Err(UsageError(
            "a report is of one folder of results, or of any number of training runs: several folders were given, and \
             none of them is a run (config.toml and log.jsonl)"
                .into(),
        )
        .into()),
        (Some(run), Some(other)) => Err(UsageError(format!(
            "{} is a training run, and {} is none: expected config.toml and log.jsonl in it",
            run.display(),
            other.display()
        ))
        .into()),
    }
}

fn results(arguments: &ReportArguments, folder: &Path) -> anyhow::Result<Outcome> {
    let outputs = outputs(arguments, folder)?;
    let report = Report::read(folder)?;
    for problem in &report.problems {
        let path = folder.join(&problem.file);
        let line = problem.line.map_or_else(String::new, |line| format!(", line {line}"));
        terminal::note(&format!("{}{line}: {}", path.display(), problem.reason));
    }
    if report.is_empty() {
        terminal::note(&format!("{}: there are no results to show", folder.display()));
    }
    for (path, format) in &outputs {
        report.write(path, *format)?;
    }
    if arguments.json {
        terminal::print_json(&summary(&report, arguments))?;
    } else if outputs.is_empty() {
        let text = report.render(arguments.format.unwrap_or(ReportFormat::Markdown));
        terminal::print_line(text.trim_end())?;
    }
    Ok(if report.problems.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// Every output with its format.
fn outputs<'arguments>(
    arguments: &'arguments ReportArguments,
    folder: &Path,
) -> Result<Vec<(&'arguments Path, ReportFormat)>, UsageError> {
    let with_format = |path: &'arguments Path| {
        arguments
            .format
            .or_else(|| ReportFormat::of_path(path))
            .ok_or_else(|| UsageError(format!("--output {}: expected .html, .md or .tex, or --format", path.display())))
    };
    let outputs: Result<Vec<_>, UsageError> =
        arguments.output.iter().map(|path| Ok((path.as_path(), with_format(path)?))).collect();
    let outputs = outputs?;
    if let Some((path, _)) = outputs.iter().find(|(path, _)| is_read(path, folder)) {
        return Err(terminal::output_is_input(path));
    }
    Ok(outputs)
}

/// Whether a file is one that reports are made of.
fn is_read(path: &Path, results: &Path) -> bool {
    ["results.jsonl", "layer-weights.jsonl", "comparisons.jsonl"].iter().any(|name| path == results.join(name))
}

fn summary<'report>(report: &'report Report, arguments: &ReportArguments) -> Summary<'report> {
    let task = |panel: &'report solfa_eval::report::Panel| Task {
        task: &panel.task,
        protocol: &panel.protocol,
        head: &panel.head,
        metric: &panel.metric,
        best: panel
            .series
            .iter()
            .map(|series| {
                let point = series.best_point();
                Best {
                    encoder: &report.encoders[series.encoder].name,
                    layer: &point.layer,
                    value: point.value,
                    low: point.interval.map(|(low, _)| low),
                    high: point.interval.map(|(_, high)| high),
                    chosen_by_validation: series.is_chosen_by_validation,
                }
            })
            .collect(),
    };
    Summary {
        outputs: arguments.output.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        num_rows: report.provenance.num_rows,
        encoders: report.encoders.iter().map(|encoder| encoder.name.as_str()).collect(),
        tasks: report.panels.iter().map(task).collect(),
        num_comparisons: report.comparisons.len(),
        num_tracks: report.tracks.len(),
        notes: &report.notes,
        problems: &report.problems,
    }
}
