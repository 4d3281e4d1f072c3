//! `solfa embed`.

mod attention;
mod layout;
mod report;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use solfa_eval::store::{EmbeddedLayer, Embedding, EmbeddingSpace, Format, FrameSpool, LayerValues, remove_abandoned};
use solfa_signal::extract::{
    ExtractError, ExtractedContent, FinishedRecording, FrameCollector, FrameSink, Pipeline, RecordingVisitor,
    StitchedLayer,
};
use solfa_signal::frames::Pooling;
use solfa_signal::windows::WindowPlan;

use self::attention::AttentionOutput;
use self::layout::{Destination, Layout};
use self::report::Report;
use crate::arguments::EmbedArguments;
use crate::encoders::{self, NamedEncoder};
use crate::encoding::embedding_space;
use crate::inputs::Inputs;
use crate::terminal::{Outcome, UsageError};

/// Where embeddings go unless `--output` says otherwise.
const DEFAULT_OUTPUT: &str = "embeddings";

pub(crate) fn run(arguments: &EmbedArguments) -> anyhow::Result<Outcome> {
    if !arguments.text.is_empty() || arguments.text_file.is_some() {
        return text::run(arguments);
    }
    let start = Instant::now();
    let output = arguments.output.as_deref().unwrap_or(Path::new(DEFAULT_OUTPUT));
    let format = choose_format(arguments.format, output)?;
    let inputs = Inputs::collect(&arguments.inputs, io::stdin().lock());
    let layout = Layout::choose(output, format, &inputs)?;
    layout.check(arguments, &inputs)?;
    let named = encoders::open(&arguments.model, arguments.batch)?;
    let plan = arguments.windows.plan(named.encoder.spec())?;
    let resampler = arguments.windows.resampler;
    let (pooling, dtype) = (arguments.pool.into(), arguments.model.dtype);
    let space = embedding_space(&named, &plan, &arguments.layers, pooling, resampler, dtype)?;
    if format == Format::Npy && space.layers.len() > 1 {
        let reason = format!(
            "--format npy holds one layer, and {} are asked for: choose one with --layers, or use npz or safetensors",
            space.layers.len()
        );
        return Err(UsageError(reason).into());
    }
    let attention = attention_output(arguments, &layout, &named, &plan, &space)?;

    let Inputs { recordings, failed } = inputs;
    let mut report = Report::new(arguments.json, recordings.len());
    for failed in failed {
        report.failed(&failed.path, failed.error)?;
    }
    if recordings.is_empty() {
        // No table of nothing takes the place of an earlier one.
        return report.finish(&space, start);
    }
    if arguments.resume {
        remove_abandoned(layout.outputs());
    }
    let destination = Destination::open(layout, format, &space, arguments.resume)?;
    let mut todo = Vec::new();
    for (number, recording) in recordings.iter().enumerate() {
        let is_done = arguments.resume && destination.has(number, &recording.path, format, &space)?;
        if is_done {
            report.skipped(&recording.path, destination.path(number), &space)?;
        } else {
            todo.push(number);
        }
    }

    let paths: Vec<PathBuf> = todo.iter().map(|&number| recordings[number].path.clone()).collect();
    let pipeline = Pipeline {
        encoder: named.encoder.as_ref(),
        plan,
        layers: arguments.layers.clone(),
        resampler,
        batching: named.batching,
        decoder_threads: rayon::current_num_threads(),
    };
    let mut visitor = Visitor {
        todo: &todo,
        paths: &paths,
        format,
        space: &space,
        attention: attention.as_ref(),
        destination,
        report,
        broken: None,
    };
    pipeline.run(&paths, &mut visitor)?;
    let Visitor { destination, report, broken, .. } = visitor;
    if let Some(error) = broken {
        return Err(error);
    }
    destination.finish()?;
    report.finish(&space, start)
}

/// The format that was named, or that the output's extension says.
fn choose_format(named: Option<Format>, output: &Path) -> Result<Format, UsageError> {
    match (named, Format::from_path(output)) {
        (Some(named), Some(extension)) if named != extension => Err(UsageError(format!(
            "--format {named} and --output {} contradict each other: leave one of them out",
            output.display()
        ))),
        (Some(format), _) | (None, Some(format)) => Ok(format),
        (None, None) => Ok(Format::Safetensors),
    }
}

/// What `--attentions` asks for.
fn attention_output<'run>(
    arguments: &EmbedArguments,
    layout: &Layout,
    named: &'run NamedEncoder,
    plan: &WindowPlan,
    space: &EmbeddingSpace,
) -> Result<Option<AttentionOutput<'run>>, UsageError> {
    if !arguments.attentions {
        return Ok(None);
    }
    if let Layout::Table(output) = layout {
        let reason = format!("--attentions: maps do not fit into the table {}: give a folder", output.display());
        return Err(UsageError(reason));
    }
    let encoder = named.encoder.as_ref();
    AttentionOutput::new(encoder, &named.name, plan, arguments.windows.resampler, &space.layers).map(Some)
}

/// Takes recordings from the pipeline to their destination.
struct Visitor<'run> {
    /// Numbers of the recordings that the pipeline runs, among all inputs.
    todo: &'run [usize],
    paths: &'run [PathBuf],
    format: Format,
    space: &'run EmbeddingSpace,
    /// What else is written of each recording.
    attention: Option<&'run AttentionOutput<'run>>,
    destination: Destination,
    report: Report,
    /// Standard output is gone, or something else that ends the run.
    broken: Option<anyhow::Error>,
}

impl RecordingVisitor for Visitor<'_> {
    type Sink = Sink;

    fn open(&mut self, index: usize, layers: &[StitchedLayer]) -> io::Result<Sink> {
        if self.broken.is_some() {
            return Err(io::Error::other("the run has ended"));
        }
        if self.space.pooling != Pooling::None {
            return Ok(Sink::Pooled(FrameCollector::new(layers, self.space.pooling)));
        }
        let output = self.destination.path(self.todo[index]);
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs_err::create_dir_all(folder)?;
        let spools = FrameSpool::for_space(self.space, folder);
        Ok(Sink::Frames(layers.iter().map(|layer| layer.layer).zip(spools).collect()))
    }

    fn advanced(&mut self, seconds: f64) {
        self.report.progress.advance(seconds);
    }

    fn finished(&mut self, index: usize, result: Result<FinishedRecording<Sink>, ExtractError>) {
        if self.broken.is_some() {
            return;
        }
        let (number, path) = (self.todo[index], &self.paths[index]);
        let written = result.map_err(anyhow::Error::from).and_then(|recording| {
            let seconds = recording.seconds;
            let mut embedding = Embedding {
                path: path.to_string_lossy().into_owned(),
                duration_seconds: seconds,
                layers: recording.sink.finish()?,
            };
            let shapes = embedding.layers.iter().map(|layer| (layer.number, layer.values.shape())).collect();
            if let Some(attention) = self.attention {
                attention.write(path, self.destination.path(number))?;
            }
            self.destination.write(number, self.format, self.space, &mut embedding)?;
            Ok((seconds, shapes))
        });
        let reported = match written {
            Ok((seconds, shapes)) => self.report.done(path, self.destination.path(number), self.space, seconds, shapes),
            Err(error) => self.report.failed(&path.to_string_lossy(), error),
        };
        if let Err(error) = reported {
            self.broken = Some(error);
        }
    }
}

/// Where the frames of one recording go.
enum Sink {
    Pooled(FrameCollector),
    Frames(BTreeMap<usize, FrameSpool>),
}

impl FrameSink for Sink {
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
        match self {
            Self::Pooled(collector) => collector.push(layer, frames),
            Self::Frames(layers) => match layers.get_mut(&layer) {
                Some(spool) => spool.push(frames).map_err(io::Error::other),
                None => Ok(()),
            },
        }
    }

    fn push_class_token(&mut self, layer: usize, class_token: &[f32]) -> io::Result<()> {
        match self {
            Self::Pooled(collector) => collector.push_class_token(layer, class_token),
            Self::Frames(_) => Ok(()),
        }
    }
}

impl Sink {
    fn finish(self) -> anyhow::Result<Vec<EmbeddedLayer>> {
        match self {
            Self::Pooled(collector) => {
                let layers = collector.finish().context("a layer has no frames")?;
                let pooled = layers.into_iter().filter_map(|layer| match layer.content {
                    ExtractedContent::Pooled(vector) => Some((layer.layer, vector)),
                    ExtractedContent::Frames(_) => None,
                });
                Ok(pooled
                    .map(|(number, vector)| EmbeddedLayer { number, values: LayerValues::Pooled(vector) })
                    .collect())
            }
            Self::Frames(layers) => layers
                .into_iter()
                .map(|(number, spool)| Ok(EmbeddedLayer { number, values: LayerValues::Frames(spool.finish()?) }))
                .collect(),
        }
    }
}
