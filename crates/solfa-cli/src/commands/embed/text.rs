//! `solfa embed --text`: texts to vectors in the joint space of a music-text model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use solfa_eval::store::{Format, TextVector, write_vectors};
use solfa_learn::checkpoint::LoadedModel;

use super::choose_format;
use crate::arguments::EmbedArguments;
use crate::encoders::{self, NamedModel};
use crate::inputs;
use crate::terminal::{self, Outcome, UsageError};

pub(super) fn run(arguments: &EmbedArguments) -> anyhow::Result<Outcome> {
    let format = match &arguments.output {
        Some(output) => Some(choose_output(arguments, output)?),
        None => None,
    };
    let texts = collect(arguments)?;
    let Some(model) = &arguments.model.model else {
        return Err(UsageError("--text needs a model of music and text: give one with --model".into()).into());
    };
    let NamedModel { name, model, device } = encoders::load(model, arguments.model.device)?;
    let LoadedModel::Mulan(model) = model else {
        let reason = format!("--text: {name} takes sound alone: give a model of music and text, such as MuQ-MuLan");
        return Err(UsageError(reason).into());
    };
    let weights_sha256 = model.weights_sha256.clone();
    let encoder = model.into_text_encoder(device, arguments.model.dtype);
    let found = if arguments.alone { encoder.encode(&texts) } else { encoder.encode_padded_together(&texts) }?;
    let vectors: Vec<TextVector> = texts
        .into_iter()
        .zip(found)
        .map(|(text, found)| {
            if found.was_cut {
                terminal::note(&format!("cut to its first {} tokens: {text}", found.num_tokens));
            }
            TextVector { text, vector: found.vector }
        })
        .collect();
    let (Some(output), Some(format)) = (&arguments.output, format) else {
        let row = |vector: &TextVector| {
            let (text, vector, joint_space_identity) = (&vector.text, &vector.vector, encoder.joint_space_identity());
            terminal::print_json(&Row { text, vector, model: &name, joint_space_identity })
        };
        vectors.iter().try_for_each(row)?;
        return Ok(Outcome::Done);
    };
    let metadata = BTreeMap::from([
        ("model", name),
        ("weights_sha256", weights_sha256),
        ("joint_space_identity", encoder.joint_space_identity().to_owned()),
        ("encoder_identity", encoder.identity().to_owned()),
        ("dtype", arguments.model.dtype.name().to_owned()),
        ("padding", if arguments.alone { "none" } else { "to the longest text" }.to_owned()),
        ("program_version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    write_vectors(output, format, &vectors, &metadata)?;
    let dim = vectors.first().map_or(0, |vector| vector.vector.len());
    if arguments.json {
        let row = serde_json::json!({"output": output, "shape": [vectors.len(), dim]});
        terminal::print_json(&row)?;
    } else {
        terminal::print_line(&format!("{}: {} texts x {dim}", output.display(), vectors.len()))?;
    }
    Ok(Outcome::Done)
}

/// A text and its vector, on standard output.
#[derive(Serialize)]
struct Row<'row> {
    text: &'row str,
    vector: &'row [f32],
    model: &'row str,
    joint_space_identity: &'row str,
}

/// The format of the output, which is a file and none of those that are read.
fn choose_output(arguments: &EmbedArguments, output: &Path) -> anyhow::Result<Format> {
    let is_input = |input: &PathBuf| matches!((input.canonicalize(), output.canonicalize()), (Ok(input), Ok(output)) if input == output);
    if arguments.text_file.as_ref().is_some_and(is_input) {
        return Err(terminal::output_is_input(output).into());
    }
    let format = choose_format(arguments.format, output)?;
    let is_file = matches!(Format::from_path(output), Some(Format::Safetensors | Format::Jsonl)) && !output.is_dir();
    if is_file && matches!(format, Format::Safetensors | Format::Jsonl) {
        return Ok(format);
    }
    let output = output.display();
    Err(UsageError(format!("--output {output}: vectors of texts go to a file that ends in .safetensors or .jsonl"))
        .into())
}

/// The texts of the command line, then those of the file, one a line; empty lines of a file are left out.
fn collect(arguments: &EmbedArguments) -> anyhow::Result<Vec<String>> {
    let mut texts = arguments.text.clone();
    if let Some(text) = texts.iter().find(|text| text.trim().is_empty()) {
        return Err(UsageError(format!("--text {text:?}: expected words, found none")).into());
    }
    if let Some(path) = &arguments.text_file {
        let lines = inputs::read_text(path)?;
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        let before = texts.len();
        texts.extend(lines.map(str::to_owned));
        if texts.len() == before {
            let reason = format!("{}: expected one text a line, found none", path.display());
            return Err(UsageError(reason).into());
        }
    }
    Ok(texts)
}
