//! `solfa tag`: zero-shot tagging.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use solfa_eval::tag::{BUILTIN_LABEL_SETS, LabelSet, cosine_scores, ensemble, prompts, softmax};
use solfa_hub::reference::nearest_names;
use solfa_learn::checkpoint::LoadedModel;
use solfa_learn::embed::TextEncoder;
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::extract::{
    ExtractError, ExtractedContent, FinishedRecording, FrameCollector, Pipeline, RecordingVisitor, StitchedLayer,
};
use solfa_signal::frames::Pooling;

use crate::arguments::TagArguments;
use crate::encoders::{self, GRAPHICS_BATCH, NamedModel, network_batching};
use crate::inputs::{self, Inputs};
use crate::terminal::{self, Outcome, Progress, UsageError};

/// How many labels of a recording are shown to people where `--top` does not say.
const LABELS_SHOWN: usize = 10;

/// One recording's tags, best first.
#[derive(Serialize)]
struct Tagged {
    path: String,
    /// Empty where the recording failed.
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Clone, Serialize)]
struct Tag {
    label: String,
    score: f64,
}

pub(crate) fn run(arguments: &TagArguments) -> anyhow::Result<Outcome> {
    let labels = read_labels(&arguments.labels)?;
    let prompts_of_labels = labels
        .labels()
        .iter()
        .map(|label| prompts(label, &arguments.prompt))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| UsageError(format!("--prompt: {error}")))?;
    let inputs = Inputs::collect(&arguments.inputs, io::stdin().lock());
    let Some(model) = &arguments.model.model else {
        return Err(UsageError("tags need a model of music and text: give one with --model".into()).into());
    };
    let NamedModel { name, model, device } = encoders::load(model, arguments.model.device)?;
    let LoadedModel::Mulan(model) = model else {
        let reason = format!("--model {name} takes sound alone: give a model of music and text, such as MuQ-MuLan");
        return Err(UsageError(reason).into());
    };
    let scale = match (arguments.softmax, model.logit_scale) {
        (false, _) => None,
        (true, Some(scale)) => Some(scale),
        (true, None) => return Err(UsageError(format!("--softmax: {name} says no temperature: leave it out")).into()),
    };
    let arithmetic = encoders::arithmetic(arguments.model.dtype)?;
    let (audio, text) = model.split(device, GRAPHICS_BATCH, arithmetic).map_err(encoders::unavailable)?;
    let plan = arguments.windows.plan(audio.spec())?;
    let label_vectors = label_vectors(&text, &prompts_of_labels, arguments.alone)?;
    let Inputs { recordings, failed } = inputs;
    let paths: Vec<PathBuf> = recordings.into_iter().map(|recording| recording.path).collect();
    let mut visitor = Tagging {
        paths: &paths,
        names: labels.labels().iter().map(|label| label.name().to_owned()).collect(),
        label_vectors,
        scale,
        top: arguments.top.unwrap_or(usize::MAX),
        progress: Progress::new(paths.len()),
        tagged: Vec::new(),
    };
    for failed in failed {
        visitor.fail(failed.path, &failed.error);
    }
    let pipeline = Pipeline {
        encoder: &audio,
        plan,
        layers: LayerChoice::Last,
        resampler: arguments.windows.resampler,
        batching: network_batching(arguments.model.device, audio.spec(), None),
        decoder_threads: rayon::current_num_threads(),
    };
    pipeline.run(&paths, &mut visitor)?;
    visitor.progress.finish();
    report(arguments, &visitor.tagged)
}

fn report(arguments: &TagArguments, tagged: &[Tagged]) -> anyhow::Result<Outcome> {
    if arguments.json {
        terminal::print_json(&tagged)?;
    } else {
        let shown = arguments.top.unwrap_or(LABELS_SHOWN);
        let rows = tagged.iter().flat_map(|recording| {
            recording.tags.iter().take(shown).enumerate().map(|(rank, tag)| {
                let path = if rank == 0 { recording.path.clone() } else { String::new() };
                vec![path, tag.label.clone(), format!("{:.4}", tag.score)]
            })
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            terminal::print_table(&["file", "label", "score"], &rows, &[2])?;
        }
        let num_labels = tagged.iter().map(|recording| recording.tags.len()).max().unwrap_or(0);
        if num_labels > shown {
            terminal::note(&format!("the best {shown} of {num_labels} labels; --top N shows more"));
        }
    }
    let is_whole = tagged.iter().all(|recording| recording.error.is_none());
    Ok(if is_whole { Outcome::Done } else { Outcome::SomeFailed })
}

/// A built-in list of labels by its name, or a file of them.
fn read_labels(labels: &str) -> anyhow::Result<LabelSet> {
    if let Some(builtin) = LabelSet::builtin(labels) {
        return Ok(builtin);
    }
    let path = Path::new(labels);
    if !path.exists() {
        let names = BUILTIN_LABEL_SETS.map(|(name, _)| name);
        let hint = match nearest_names(labels, names).as_slice() {
            [] => String::new(),
            nearest => format!("; did you mean {}?", nearest.join(" or ")),
        };
        let known = names.join(", ");
        let reason =
            format!("--labels {labels}: neither a list of this program ({known}) nor a file that exists{hint}");
        return Err(UsageError(reason).into());
    }
    LabelSet::parse(&inputs::read_text(path)?).map_err(|error| UsageError(format!("--labels {labels}: {error}")).into())
}

/// Each label's vector from those of its prompts.
pub(crate) fn label_vectors(text: &TextEncoder, prompts: &[Vec<String>], alone: bool) -> anyhow::Result<Vec<Vec<f32>>> {
    let all = prompts.concat();
    let found = if alone { text.encode(&all) } else { text.encode_padded_together(&all) }?;
    let num_cut = found.iter().filter(|found| found.was_cut).count();
    if num_cut > 0 {
        terminal::note(&format!(
            "{num_cut} of {} prompts are cut to their first {} tokens",
            all.len(),
            text.maximum_tokens()
        ));
    }
    let mut vectors = found.into_iter().map(|found| found.vector);
    prompts.iter().map(|of_label| Ok(ensemble(&vectors.by_ref().take(of_label.len()).collect::<Vec<_>>())?)).collect()
}

/// Takes each recording's vector to its tags.
struct Tagging<'run> {
    paths: &'run [PathBuf],
    names: Vec<String>,
    label_vectors: Vec<Vec<f32>>,
    /// For shares that sum to 1, by how much cosines are scaled first.
    scale: Option<f64>,
    top: usize,
    progress: Progress,
    tagged: Vec<Tagged>,
}

impl Tagging<'_> {
    fn tags(&self, collector: FrameCollector) -> anyhow::Result<Vec<Tag>> {
        let layers = collector.finish().context("the recording gives no vector")?;
        let Some(ExtractedContent::Pooled(vector)) = layers.into_iter().next().map(|layer| layer.content) else {
            anyhow::bail!("the recording gives no vector");
        };
        let mut scores = cosine_scores(&vector, &self.label_vectors)?;
        if let Some(scale) = self.scale {
            scores = softmax(&scores, scale);
        }
        let mut tags: Vec<Tag> =
            self.names.iter().zip(scores).map(|(label, score)| Tag { label: label.clone(), score }).collect();
        // A stable sort: labels of equal score stay in the order of their list.
        tags.sort_by(|left, right| right.score.total_cmp(&left.score));
        tags.truncate(self.top);
        Ok(tags)
    }

    fn fail(&mut self, path: String, error: &anyhow::Error) {
        let message = terminal::describe(error);
        let message = if message.starts_with(&path) { message } else { format!("{path}: {message}") };
        self.progress.suspend(|| terminal::note(&message));
        self.tagged.push(Tagged { path, tags: Vec::new(), error: Some(message) });
    }
}

impl RecordingVisitor for Tagging<'_> {
    type Sink = FrameCollector;

    fn open(&mut self, _index: usize, layers: &[StitchedLayer]) -> io::Result<FrameCollector> {
        Ok(FrameCollector::new(layers, Pooling::Mean))
    }

    fn advanced(&mut self, seconds: f64) {
        self.progress.advance(seconds);
    }

    fn finished(&mut self, index: usize, result: Result<FinishedRecording<FrameCollector>, ExtractError>) {
        self.progress.file_done();
        let path = self.paths[index].to_string_lossy().into_owned();
        match result.map_err(anyhow::Error::from).and_then(|recording| self.tags(recording.sink)) {
            Ok(tags) => self.tagged.push(Tagged { path, tags, error: None }),
            Err(error) => self.fail(path, &error),
        }
    }
}
