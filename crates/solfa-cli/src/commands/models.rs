//! `solfa models`.

use serde::Serialize;
use solfa_signal::features;

use crate::arguments::JsonArguments;
use crate::terminal::{self, Outcome};

#[derive(Serialize)]
struct Model {
    id: &'static str,
    source: &'static str,
    sample_rate: u32,
    layers: usize,
    dim: usize,
    frames_per_second: f64,
    licence: &'static str,
}

/// What `--model` takes beside built-in names.
const CHECKPOINTS: &str = "\
Checkpoints by path, as a folder or a weight file:
  MuQ       config.json with model.safetensors (one file or shards) or pytorch_model.bin
            (OpenMuQ/MuQ-large-msd-iter: 13 layers, 1024 wide, 25 frames per second, CC BY-NC 4.0)
  MusicFM   a .pt file with its statistics, such as pretrained_msd.pt and msd_stats.json
            (minzwon/MusicFM: 13 layers, 1024 wide, 25 frames per second, licence of the weights not stated)";

pub(crate) fn run(arguments: &JsonArguments) -> anyhow::Result<Outcome> {
    let models: Vec<Model> = features::BUILTIN_NAMES
        .into_iter()
        .filter_map(|id| {
            let encoder = features::builtin(id)?;
            let spec = encoder.spec();
            Some(Model {
                id,
                source: "built in",
                sample_rate: spec.sample_rate,
                layers: spec.layers.len(),
                dim: spec.layers[0].dim,
                frames_per_second: spec.frames_per_second(0),
                licence: "MIT OR Apache-2.0",
            })
        })
        .collect();
    if arguments.json {
        models.iter().try_for_each(terminal::print_json)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|model| {
            vec![
                model.id.to_owned(),
                model.source.to_owned(),
                model.sample_rate.to_string(),
                model.layers.to_string(),
                model.dim.to_string(),
                model.frames_per_second.to_string(),
                model.licence.to_owned(),
            ]
        })
        .collect();
    let header = ["model", "source", "sample rate", "layers", "width", "frames per second", "licence"];
    terminal::print_table(&header, &rows, &[2, 3, 4, 5])?;
    terminal::print_line(&format!("\n{CHECKPOINTS}"))?;
    Ok(Outcome::Done)
}
