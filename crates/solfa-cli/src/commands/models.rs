//! `solfa models`.

use serde::Serialize;
use solfa_hub::catalogue::{KnownModel, Licence, MODELS, Source};
use solfa_hub::hub::Hub;
use solfa_hub::reference::ModelReference;
use solfa_signal::features;

use crate::arguments::JsonArguments;
use crate::encoders::LazyHub;
use crate::terminal::{self, Outcome};

#[derive(Serialize)]
struct Model {
    id: &'static str,
    title: &'static str,
    family: &'static str,
    /// Nothing for a feature: it has none.
    parameters: Option<u64>,
    layers: usize,
    width: usize,
    frames_per_second: f64,
    sample_rate: u32,
    licence: &'static str,
    /// Whether its licence forbids commercial use in so many words.
    non_commercial: bool,
    /// `built in`, `hf:ORG/NAME`, or how to get it.
    source: String,
    /// Whether its files are on this machine, where that is known.
    cached: Option<bool>,
    paper: Option<&'static str>,
    takes_text: bool,
    note: &'static str,
}

/// What `--model` takes beside names.
const CHECKPOINTS: &str = "\
--model also takes hf:ORG/NAME[@REVISION], a folder, or a weight file: Hugging Face's layout (config.json with
model.safetensors, pytorch_model.bin or shards) of MuQ, MuQ-MuLan, MERT, HuBERT, data2vec and this project's own models;
MusicFM's .pt file with its statistics beside it; Deezer's multi-view .pt files.
nc: not for commercial use. cached: whether its files are on this machine.";

pub(crate) fn run(arguments: &JsonArguments) -> anyhow::Result<Outcome> {
    let hub = LazyHub::default();
    // A machine without a place for downloads has nothing in the cache.
    let hub = hub.get().ok();
    let models: Vec<Model> = builtin().chain(MODELS.iter().map(|known| of_catalogue(known, hub))).collect();
    if arguments.json {
        models.iter().try_for_each(terminal::print_json)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = models.iter().map(row).collect();
    let header = ["model", "parameters", "layers", "width", "frames/s", "Hz", "licence", "cached", "source"];
    terminal::print_table(&header, &rows, &[1, 2, 3, 4, 5])?;
    terminal::print_line(&format!("\n{CHECKPOINTS}"))?;
    Ok(Outcome::Done)
}

fn builtin() -> impl Iterator<Item = Model> {
    features::BUILTIN_NAMES.into_iter().filter_map(|id| {
        let encoder = features::builtin(id)?;
        let spec = encoder.spec();
        Some(Model {
            id,
            title: "hand-made features",
            family: "features",
            parameters: None,
            layers: spec.layers.len(),
            width: spec.layers[0].dim,
            frames_per_second: spec.frames_per_second(0),
            sample_rate: spec.sample_rate,
            licence: "MIT OR Apache-2.0",
            non_commercial: false,
            source: "built in".into(),
            cached: None,
            paper: None,
            takes_text: false,
            note: "",
        })
    })
}

fn of_catalogue(known: &'static KnownModel, hub: Option<&Hub>) -> Model {
    let (source, cached) = match known.source {
        Source::Hub { repository, .. } => {
            let files = ModelReference::Known(known).files().ok();
            let is_cached = files.is_some_and(|files| hub.is_some_and(|hub| hub.cached(&files).is_some()));
            (format!("hf:{repository}"), Some(is_cached))
        }
        Source::Elsewhere { how_to_get } => (how_to_get.to_owned(), None),
    };
    Model {
        id: known.id,
        title: known.title,
        family: known.family.name(),
        parameters: Some(known.parameters.count()),
        layers: known.layers,
        width: known.width,
        frames_per_second: known.frames_per_second,
        sample_rate: known.sample_rate,
        licence: match known.licence {
            Licence::Stated { name, .. } => name,
            Licence::NotStated { .. } => "not stated",
        },
        non_commercial: known.licence.non_commercial(),
        source,
        cached,
        paper: known.paper,
        takes_text: known.has_text_tower,
        note: known.note,
    }
}

fn row(model: &Model) -> Vec<String> {
    let millions = |count: u64| format!("{:.1} M", count as f64 / 1e6);
    vec![
        model.id.to_owned(),
        model.parameters.map_or_else(String::new, millions),
        model.layers.to_string(),
        model.width.to_string(),
        model.frames_per_second.to_string(),
        model.sample_rate.to_string(),
        format!("{}{}", model.licence, if model.non_commercial { " (nc)" } else { "" }),
        match model.cached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        }
        .to_owned(),
        if model.source.starts_with("hf:") || model.source == "built in" {
            model.source.clone()
        } else {
            "by path".into()
        },
    ]
}
