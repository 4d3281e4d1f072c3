//! `solfa export`: a model in a published layout.

use serde::Serialize;
use solfa_learn::checkpoint::checkpoint_files_in;
use solfa_learn::device::DeviceChoice;

use crate::arguments::ExportArguments;
use crate::encoders::{self, NamedModel};
use crate::terminal::{self, Outcome, UsageError};

#[derive(Serialize)]
struct JsonExport {
    model: String,
    format: &'static str,
    files: Vec<JsonFile>,
}

#[derive(Serialize)]
struct JsonFile {
    path: String,
    num_bytes: u64,
}

pub(crate) fn run(arguments: &ExportArguments) -> anyhow::Result<Outcome> {
    let ExportArguments { model, output, format, force, json } = arguments;
    if output.exists() && !output.is_dir() {
        return Err(UsageError(format!("--output {}: expected a folder, found a file", output.display())).into());
    }
    if !force {
        let found = checkpoint_files_in(output)?;
        if !found.is_empty() {
            let (output, found) = (output.display(), found.join(", "));
            let reason = format!("--output {output}: holds a checkpoint already ({found}): replace it with --force");
            return Err(UsageError(reason).into());
        }
    }
    let NamedModel { name, model, device: _ } = encoders::load(model, DeviceChoice::Cpu)?;
    let formats = model.formats();
    let fitting = || formats.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
    let format = match format {
        Some(format) if !formats.contains(format) && !formats.is_empty() => {
            let reason = format!("--format {format}: {name} cannot be written so: expected {}", fitting());
            return Err(UsageError(reason).into());
        }
        Some(format) => *format,
        None => match model.own_format() {
            Some(format) => format,
            None => return Err(UsageError(format!("{name} is of a kind that no layout is published of")).into()),
        },
    };
    let files = model.export(format, output)?;
    let files = files
        .iter()
        .map(|path| Ok(JsonFile { num_bytes: fs_err::metadata(path)?.len(), path: path.display().to_string() }))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if *json {
        terminal::print_json(&JsonExport { model: name, format: format.name(), files })?;
        return Ok(Outcome::Done);
    }
    for file in &files {
        terminal::print_line(&terminal::printable(&file.path))?;
    }
    let num_bytes: u64 = files.iter().map(|file| file.num_bytes).sum();
    terminal::note(&format!("{name} as {format}: {} files, {}", files.len(), terminal::size(num_bytes)));
    Ok(Outcome::Done)
}
