//! `solfa pretrain`: an encoder from raw audio.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use solfa_learn::recipe::{Ground, Plan, PretrainError, of_hidden_states, set};
use solfa_learn::train::{KEYS_THAT_MAY_CHANGE, RunError, RunFolder, RunRecord, TrainingError, read_log};
use solfa_signal::audio::Resampler;
use toml::{Table, Value};

use crate::arguments::PretrainArguments;
use crate::terminal::{self, Outcome, UsageError};
use crate::training_data::{self, TrainingData};
use crate::training_progress::{Probes, StopRequests, TrainingProgress};

/// What came of it, for machines.
#[derive(Serialize)]
struct Summary<'run> {
    output: &'run Path,
    recipe: String,
    steps: u64,
    loss: Option<f64>,
    is_finished: bool,
}

pub(crate) fn run(arguments: &PretrainArguments) -> anyhow::Result<Outcome> {
    let PretrainArguments { output, resume, device, .. } = arguments;
    solfa_kernels::allocator::keep_freed_memory();
    let mut table = configuration(arguments)?;
    if let Some(steps) = arguments.steps {
        set(&mut table, &format!("training.steps={steps}")).map_err(|error| UsageError(error.to_string()))?;
    }
    for change in &arguments.changes {
        set(&mut table, change).map_err(|error| UsageError(format!("--set {change}: {error}")))?;
    }
    let device = device.open()?;
    if let (Some(model), Some(layer)) = (&arguments.from_model, arguments.layer) {
        of_hidden_states(&mut table, model, layer, &device)?;
    }
    let plan = Plan::read(&table).map_err(|error| match &arguments.config {
        Some(path) => UsageError(format!("{}: {error}", path.display())),
        None => UsageError(error.to_string()),
    })?;
    plan.check_files()?;
    let resolved = plan.resolved()?;
    let record = if *resume { Some(RunFolder::open(output)?.read_record()?) } else { None };
    if !resume && output.join("config.toml").exists() {
        return Err(RunError::Exists { path: output.clone() }.into());
    }
    let recorded = || record.as_ref().map(|record| record.data.clone());
    let data = arguments.data.clone().or_else(recorded).unwrap_or_default();
    let resampler = resampler(arguments.resampler, record.as_ref())?;
    let with_texts = plan.learns_from_texts();
    let TrainingData { collection, texts, description } =
        training_data::open(&data, plan.sample_rate(), resampler, with_texts)?;
    terminal::note(&format!("learning from {description}"));
    plan.check_data(&collection, &texts).with_context(|| format!("--data {data}"))?;
    let data_sha256 = collection.data_sha256();
    if let Some(record) = &record
        && record.data_sha256 != data_sha256
    {
        let path = output.clone();
        let (expected, found) = (record.data_sha256.clone(), data_sha256);
        return Err(TrainingError::OtherData { path, expected, found }.into());
    }
    let folder = if *resume {
        RunFolder::resume(output, &resolved, &KEYS_THAT_MAY_CHANGE)?
    } else {
        RunFolder::create(output, &resolved)?
    };
    folder.write_record(&RunRecord {
        program: format!("solfa {}", env!("CARGO_PKG_VERSION")),
        data,
        data_sha256,
        num_tracks: collection.len(),
        sample_rate: plan.sample_rate(),
        resampler: resampler.to_string(),
    })?;
    let probes = probes(arguments, &resolved)?;
    let mut progress = TrainingProgress::new(StopRequests::catch()?, probes);
    let ground = Ground { folder: &folder, collection: &collection, texts: &texts, device: &device };
    let trained = plan.run(&ground, &mut progress);
    progress.finish();
    let name = output.display();
    match trained {
        Ok(()) | Err(PretrainError::Stopped) => {}
        Err(error) => {
            return Err(error).context("the training ended; from what was saved, --resume goes on");
        }
    }
    let lines = if folder.log_path().exists() { read_log(&folder.log_path())? } else { Vec::new() };
    let (steps, loss) = lines.last().map_or((0, None), |line| (line.step, Some(line.loss)));
    let recipe = resolved.get("recipe").and_then(Value::as_str).unwrap_or_default().to_owned();
    if arguments.json {
        let loss = loss.filter(|loss| loss.is_finite());
        terminal::print_json(&Summary { output, recipe, steps, loss, is_finished: !progress.was_stopped() })?;
        return Ok(Outcome::Done);
    }
    let how = if progress.was_stopped() { "stopped" } else { "done" };
    let loss = loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
    terminal::print_line(&format!("{name}: {recipe}, {how} after {steps} steps{loss}"))?;
    let next = if progress.was_stopped() {
        format!("go on with `solfa pretrain --resume --output {name}`")
    } else {
        format!("use it: `solfa embed --model {name} AUDIO`; see its curves: `solfa report {name}`")
    };
    terminal::note(&next);
    Ok(Outcome::Done)
}

/// The configuration that was asked for, or that of the run which goes on.
fn configuration(arguments: &PretrainArguments) -> anyhow::Result<Table> {
    let Some(path) = &arguments.config else { return Ok(RunFolder::open(&arguments.output)?.read_config()?) };
    let text = fs_err::read_to_string(path)?;
    let table = text.parse::<Table>();
    Ok(table.map_err(|error| UsageError(format!("{}: expected a configuration in TOML: {error}", path.display())))?)
}

/// The probes that were asked for.
fn probes(arguments: &PretrainArguments, config: &Table) -> anyhow::Result<Option<Probes>> {
    let Some(every) = arguments.probe_every else { return Ok(None) };
    let training = config.get("training").and_then(Value::as_table);
    let saved_every = training.and_then(|training| training.get("checkpoint_every")).and_then(Value::as_integer);
    let saved_every = saved_every.and_then(|number| u64::try_from(number).ok()).unwrap_or(1);
    if every == 0 || !every.is_multiple_of(saved_every) {
        let reason = format!("--probe-every {every}: expected a multiple of training.checkpoint_every, {saved_every}");
        return Err(UsageError(reason).into());
    }
    Ok(Some(Probes { every, suite: arguments.probe_suite.clone(), run: arguments.output.clone() }))
}

/// How recordings are brought to the encoder's rate: a run that goes on stays with what it was begun with.
fn resampler(asked: Option<Resampler>, record: Option<&RunRecord>) -> anyhow::Result<Resampler> {
    let Some(record) = record else { return Ok(asked.unwrap_or_default()) };
    let begun: Resampler = record.resampler.parse().map_err(|error: String| anyhow::anyhow!("run.json: {error}"))?;
    match asked {
        Some(asked) if asked != begun => {
            Err(UsageError(format!("--resampler {asked}: the run was begun with {begun}")).into())
        }
        _ => Ok(begun),
    }
}
