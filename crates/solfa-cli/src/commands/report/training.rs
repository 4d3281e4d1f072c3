//! `solfa report runs/NAME`: the curves of trainings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;
use solfa_eval::report::{Curve, ReportFormat, RunSummary, TrainingReport, TrainingReportFormat, TrainingRun};
use solfa_learn::train::{CheckpointFiles, KEYS_THAT_MAY_CHANGE, LogLine, config_sha256, read_log};

use crate::arguments::ReportArguments;
use crate::inputs::read_text;
use crate::terminal::{self, Outcome, UsageError};

/// What a run's folder holds.
const CONFIG: &str = "config.toml";
const LOG: &str = "log.jsonl";
const CHECKPOINTS: &str = "checkpoints";

/// The page's name in a run's folder.
const PAGE: &str = "report.html";

/// Whether a folder is that of a training.
pub(super) fn is_run(folder: &Path) -> bool {
    folder.join(LOG).is_file() || folder.join(CONFIG).is_file()
}

#[derive(Serialize)]
struct Printed {
    outputs: Vec<String>,
    runs: Vec<RunSummary>,
}

pub(super) fn run(arguments: &ReportArguments) -> anyhow::Result<Outcome> {
    let folders = &arguments.folders;
    let outputs = outputs(arguments)?;
    let names = names(folders);
    let runs = folders.iter().zip(names).map(|(folder, name)| read(folder, name));
    let report = TrainingReport { runs: runs.collect::<anyhow::Result<_>>()? };
    for (path, format) in &outputs {
        report.write(path, *format)?;
        terminal::note(&format!("{} is written", path.display()));
    }
    if arguments.json {
        terminal::print_json(&Printed {
            outputs: outputs.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect(),
            runs: report.runs.iter().map(TrainingRun::summary).collect(),
        })?;
    } else if outputs.is_empty() {
        let format = training_format(arguments.format.unwrap_or(ReportFormat::Markdown))?;
        terminal::print_line(report.render(format).trim_end())?;
    }
    Ok(Outcome::Done)
}

/// Every output with its format: a page in the first run's folder where nothing is said.
fn outputs(arguments: &ReportArguments) -> Result<Vec<(PathBuf, TrainingReportFormat)>, UsageError> {
    if arguments.output.is_empty() && arguments.format.is_none() && !arguments.json {
        let page = arguments.folders.first().map(|folder| folder.join(PAGE));
        return Ok(page.into_iter().map(|path| (path, TrainingReportFormat::Html)).collect());
    }
    if let Some(format) = arguments.format {
        training_format(format)?;
    }
    let is_read =
        |path: &Path| arguments.folders.iter().any(|folder| [LOG, CONFIG].iter().any(|name| path == folder.join(name)));
    let output = |path: &PathBuf| {
        if is_read(path) {
            return Err(terminal::output_is_input(path));
        }
        let format = arguments.format.or_else(|| ReportFormat::of_path(path));
        let expected = || UsageError(format!("--output {}: expected .html or .md, or --format", path.display()));
        Ok((path.clone(), training_format(format.ok_or_else(expected)?)?))
    };
    arguments.output.iter().map(output).collect()
}

fn training_format(format: ReportFormat) -> Result<TrainingReportFormat, UsageError> {
    match format {
        ReportFormat::Html => Ok(TrainingReportFormat::Html),
        ReportFormat::Markdown => Ok(TrainingReportFormat::Markdown),
        ReportFormat::Latex => Err(UsageError("the curves of trainings are html or markdown, and no LaTeX".into())),
    }
}

/// The folders' own names where they differ, else the whole paths.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let own = |folder: &PathBuf| {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        whole.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let own: Vec<String> = folders.iter().map(own).collect();
    let differ = own.iter().collect::<BTreeSet<_>>().len() == own.len();
    if differ { own } else { folders.iter().map(|folder| folder.display().to_string()).collect() }
}

fn read(folder: &Path, name: String) -> anyhow::Result<TrainingRun> {
    let path = folder.join(LOG);
    ensure!(path.is_file(), "{}: is not there: the training has not begun", path.display());
    let lines = read_log(&path)?;
    ensure!(!lines.is_empty(), "{}: expected a line for each step, found none: no step is done yet", path.display());
    let config_path = folder.join(CONFIG);
    let config = if config_path.exists() { Some(read_text(&config_path)?) } else { None };
    let table = match &config {
        Some(text) => text.parse().with_context(|| format!("{}: is no TOML", config_path.display()))?,
        None => toml::Table::new(),
    };
    let mut facts = vec![("folder".to_owned(), folder.display().to_string())];
    for key in ["recipe", "steps", "data"] {
        let value = table.get(key).filter(|value| !value.is_table());
        facts.extend(
            value.map(|value| (key.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
        );
    }
    if config.is_some() {
        facts.push(("configuration SHA-256".into(), config_sha256(&table, &KEYS_THAT_MAY_CHANGE)));
    }
    // A run without a checkpoint is a run.
    let state = CheckpointFiles::new(folder.join(CHECKPOINTS), 1).newest_state().ok().flatten();
    if let Some(state) = state {
        facts.push(("newest checkpoint".into(), format!("step {}", state.step)));
        facts.extend(state.data_sha256.map(|hash| ("data SHA-256".to_owned(), hash)));
        facts.extend(state.versions);
    }
    let skipped = lines.iter().filter(|line| line.skipped).map(|line| line.step).collect();
    let steps = lines.iter().map(|line| line.step).collect();
    Ok(TrainingRun { name, facts, config, steps, skipped, curves: curves(&lines) })
}

/// Every number of the log as a curve, in the order in which they first appear.
fn curves(lines: &[LogLine]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        for (name, value) in line.scalars() {
            let found = curves.iter().position(|curve| curve.name == name).unwrap_or_else(|| {
                curves.push(Curve { name, values: vec![f64::NAN; lines.len()] });
                curves.len() - 1
            });
            curves[found].values[place] = value;
        }
    }
    curves
}
