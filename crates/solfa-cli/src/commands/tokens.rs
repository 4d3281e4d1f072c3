//! `solfa tokens`.

use std::collections::BTreeMap;

use serde::Serialize;
use solfa_eval::store::write_tokens;
use solfa_kernels::Precision;
use solfa_learn::checkpoint::LoadedModel;
use solfa_learn::embed::tokenize;
use solfa_signal::audio::{self, Resampled};
use solfa_signal::encoder::Encoder;

use crate::arguments::TokensArguments;
use crate::encoders::{self, NamedModel};
use crate::terminal::{self, Outcome, UsageError};

#[derive(Serialize)]
struct JsonTokens<'tokens> {
    path: String,
    frames_per_second: f64,
    /// Codebooks, frames.
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<&'tokens [Vec<i64>]>,
}

pub(crate) fn run(arguments: &TokensArguments) -> anyhow::Result<Outcome> {
    let Some(model) = &arguments.model.model else {
        return Err(UsageError("tokens are made by a trained model: give its folder with --model".into()).into());
    };
    if let Some(output) = &arguments.output
        && output.extension().is_none_or(|extension| extension != "safetensors")
    {
        let reason = format!("--output {}: tokens are written as .safetensors", output.display());
        return Err(UsageError(reason).into());
    }
    if let (Ok(input), Some(Ok(output))) =
        (arguments.input.canonicalize(), arguments.output.as_ref().map(|output| output.canonicalize()))
        && input == output
    {
        return Err(terminal::output_is_input(&output).into());
    }
    if arguments.model.dtype != Precision::F32 {
        return Err(
            UsageError(format!("--dtype {}: tokens are found in f32: leave it out", arguments.model.dtype)).into()
        );
    }
    let NamedModel { name, model, device } = encoders::load(model, arguments.model.device)?;
    let LoadedModel::MelConformer(model) = model else {
        return Err(
            UsageError(format!("--model {name}: only MuQ and MusicFM come with the tokens they predict")).into()
        );
    };
    let path = arguments.input.to_string_lossy().into_owned();
    let tokens = audio::open(&arguments.input)
        .and_then(|source| Resampled::new(source, model.mel.spec().sample_rate, arguments.resampler))
        .map_err(anyhow::Error::from)
        .and_then(|source| Ok(tokenize(source, &model, &device)?))
        .map_err(|error| terminal::about(&path, error))?;
    let shape = [tokens.codes.len(), tokens.codes[0].len()];
    if let Some(output) = &arguments.output {
        let metadata = BTreeMap::from([
            ("path", path.clone()),
            ("model", name),
            ("weights_sha256", model.weights_sha256.clone()),
            ("sample_rate", model.mel.spec().sample_rate.to_string()),
            ("dtype", "i64".to_owned()),
            ("frames_per_second", tokens.frames_per_second.to_string()),
            ("resampler", arguments.resampler.name().to_owned()),
            ("program_version", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        write_tokens(output, &tokens.codes, &metadata)?;
    }
    let output = arguments.output.as_ref().map(|output| output.to_string_lossy().into_owned());
    if arguments.json {
        let codes = output.is_none().then_some(tokens.codes.as_slice());
        let frames_per_second = tokens.frames_per_second;
        terminal::print_json(&JsonTokens { path, frames_per_second, shape, output, codes })?;
    } else if let Some(output) = output {
        let [codebooks, frames] = shape;
        let rate = tokens.frames_per_second;
        terminal::print_line(&format!("{output}: {codebooks} codebooks x {frames} frames at {rate} a second"))?;
    } else {
        for codebook in &tokens.codes {
            terminal::print_line(&codebook.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))?;
        }
    }
    Ok(Outcome::Done)
}
