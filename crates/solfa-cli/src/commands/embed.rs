//! `solfa embed`.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use solfa_eval::store::{
    EmbeddedLayer, Embedding, EmbeddingSpace, Format, FrameSpool, LayerValues, NUMERICS_VERSION, OutputState,
    StoreError, TableWriter, output_state, remove_abandoned, write_embedding,
};
use solfa_signal::extract::{ExtractError, FinishedRecording, FrameSink, Pipeline, RecordingVisitor, StitchedLayer};
use solfa_signal::frames::{Pooling, PoolingAccumulator};
use solfa_signal::windows::WindowPlan;

use crate::arguments::{EmbedArguments, WindowArguments};
use crate::encoders::{self, NamedEncoder};
use crate::inputs::Inputs;
use crate::terminal::{self, Outcome, Progress, UsageError};

pub(crate) fn run(arguments: &EmbedArguments) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let format = choose_format(arguments)?;
    let inputs = Inputs::collect(&arguments.inputs, io::stdin().lock());
    let layout = Layout::choose(arguments, format, &inputs)?;
    layout.check(arguments, &inputs)?;
    let named = encoders::open(&arguments.model, arguments.batch)?;
    let plan = window_plan(&named, &arguments.windows)?;
    let space = embedding_space(arguments, &named, &plan)?;
    if format == Format::Npy && space.layers.len() > 1 {
        let reason = format!(
            "--format npy holds one layer, and {} are asked for: choose one with --layers, or use npz or safetensors",
            space.layers.len()
        );
        return Err(UsageError(reason).into());
    }

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
        resampler: arguments.windows.resampler,
        clips_per_batch: arguments.batch.unwrap_or(named.default_batch),
        decoder_threads: rayon::current_num_threads(),
    };
    let mut visitor = Visitor { todo: &todo, paths: &paths, format, space: &space, destination, report, broken: None };
    pipeline.run(&paths, &mut visitor)?;
    let Visitor { destination, report, broken, .. } = visitor;
    if let Some(error) = broken {
        return Err(error);
    }
    destination.finish()?;
    report.finish(&space, start)
}

/// The format that was named, or that the output's extension says.
fn choose_format(arguments: &EmbedArguments) -> Result<Format, UsageError> {
    match (arguments.format, Format::from_path(&arguments.output)) {
        (Some(named), Some(extension)) if named != extension => Err(UsageError(format!(
            "--format {named} and --output {} contradict each other: leave one of them out",
            arguments.output.display()
        ))),
        (Some(format), _) | (None, Some(format)) => Ok(format),
        (None, None) => Ok(Format::Safetensors),
    }
}

fn window_plan(named: &NamedEncoder, windows: &WindowArguments) -> anyhow::Result<WindowPlan> {
    let plan = WindowPlan::new(named.encoder.spec(), windows.window.unwrap_or_default(), windows.hop, windows.tail);
    Ok(plan.map_err(|error| UsageError(error.to_string()))?)
}

/// All that will be known of the vectors.
fn embedding_space(
    arguments: &EmbedArguments,
    named: &NamedEncoder,
    plan: &WindowPlan,
) -> anyhow::Result<EmbeddingSpace> {
    let spec = named.encoder.spec();
    let layers = arguments.layers.resolve(spec.layers.len()).map_err(|error| UsageError(error.to_string()))?;
    let seconds = |samples: usize| samples as f64 / f64::from(spec.sample_rate);
    Ok(EmbeddingSpace {
        model: named.name.clone(),
        encoder_identity: spec.identity.clone(),
        weights_sha256: spec.weights_sha256.clone(),
        layer_dims: layers.iter().map(|&layer| spec.layers[layer].dim).collect(),
        frames_per_second: layers.iter().map(|&layer| spec.frames_per_second(layer)).collect(),
        layers,
        pooling: arguments.pool.into(),
        window_seconds: plan.window_samples().map(seconds),
        hop_seconds: plan.hop_samples().map(seconds),
        tail: plan.tail().name().to_owned(),
        resampler: arguments.windows.resampler.name().to_owned(),
        sample_rate: spec.sample_rate,
        dtype: arguments.dtype.name().to_owned(),
        numerics_version: NUMERICS_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Which files will be written, before anything is.
enum Layout {
    /// One file for each recording.
    Files(Vec<PathBuf>),
    /// One file for all.
    Table(PathBuf),
}

impl Layout {
    fn choose(arguments: &EmbedArguments, format: Format, inputs: &Inputs) -> anyhow::Result<Self> {
        let output = &arguments.output;
        if Format::from_path(output).is_none() && output.is_file() {
            let formats = Format::ALL.map(|format| format!(".{format}")).join(", ");
            return Err(UsageError(format!(
                "--output {} is a file: expected a folder, or a file that ends in {formats}",
                output.display()
            ))
            .into());
        }
        if Format::from_path(output).is_none() || output.is_dir() {
            let mirrored = inputs.mirrored(format.name()).map_err(|error| UsageError(error.to_string()))?;
            return Ok(Self::Files(mirrored.into_iter().map(|path| output.join(path)).collect()));
        }
        if format.is_table() {
            return Ok(Self::Table(output.clone()));
        }
        match inputs.recordings.len() {
            0 | 1 => Ok(Self::Files(vec![output.clone()])),
            several => Err(UsageError(format!(
                "--output {} is one file, and there are {several} inputs: give a folder, or a .parquet or .jsonl table",
                output.display()
            ))
            .into()),
        }
    }
}

impl Layout {
    fn outputs(&self) -> &[PathBuf] {
        match self {
            Self::Files(outputs) => outputs,
            Self::Table(output) => std::slice::from_ref(output),
        }
    }

    /// Refuses to write over what is read: recordings, and the lists that name them.
    fn check(&self, arguments: &EmbedArguments, inputs: &Inputs) -> Result<(), UsageError> {
        let recordings = inputs.recordings.iter().map(|recording| recording.path.as_path());
        let read: HashSet<PathBuf> = recordings
            .chain(arguments.inputs.iter().map(Path::new))
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        let is_read = |output: &&PathBuf| output.canonicalize().is_ok_and(|output| read.contains(&output));
        match self.outputs().iter().find(is_read) {
            Some(output) => Err(terminal::output_is_input(output)),
            None => Ok(()),
        }
    }
}

/// Where embeddings go.
enum Destination {
    Files(Vec<PathBuf>),
    Table { path: PathBuf, writer: Box<TableWriter> },
}

impl Destination {
    fn open(layout: Layout, format: Format, space: &EmbeddingSpace, resume: bool) -> anyhow::Result<Self> {
        match layout {
            Layout::Files(paths) => Ok(Self::Files(paths)),
            Layout::Table(path) => {
                let writer = if resume {
                    TableWriter::resume(&path, format, space)?
                } else {
                    TableWriter::create(&path, format, space)?
                };
                Ok(Self::Table { path, writer: Box::new(writer) })
            }
        }
    }

    /// The file that holds recording `number`.
    fn path(&self, number: usize) -> &Path {
        match self {
            Self::Files(paths) => &paths[number],
            Self::Table { path, .. } => path,
        }
    }

    /// Whether recording `number` is there, whole and of this space.
    fn has(&self, number: usize, recording: &Path, format: Format, space: &EmbeddingSpace) -> Result<bool, StoreError> {
        match self {
            Self::Files(paths) => match output_state(&paths[number], format, space)? {
                OutputState::Complete { recording: Some(source) } => Ok(is_same_recording(&source, recording)),
                OutputState::Complete { recording: None } => Ok(true),
                OutputState::Missing | OutputState::Damaged(_) | OutputState::OtherSpace(_) => Ok(false),
            },
            Self::Table { writer, .. } => Ok(writer.has(&recording.to_string_lossy())),
        }
    }

    fn write(
        &mut self,
        number: usize,
        format: Format,
        space: &EmbeddingSpace,
        embedding: &mut Embedding,
    ) -> Result<(), StoreError> {
        match self {
            Self::Files(paths) => write_embedding(&paths[number], format, space, embedding),
            Self::Table { writer, .. } => writer.push(embedding),
        }
    }

    fn finish(self) -> Result<(), StoreError> {
        match self {
            Self::Files(_) => Ok(()),
            Self::Table { writer, .. } => writer.finish(),
        }
    }
}

/// Whether an output that was made of `source` is that of `recording`. Paths may be written in many ways; where the
/// earlier one leads nowhere from here, the name of the file has to be the same.
fn is_same_recording(source: &str, recording: &Path) -> bool {
    match (Path::new(source).canonicalize(), recording.canonicalize()) {
        (Ok(source), Ok(recording)) => source == recording,
        _ => Path::new(source).file_name() == Path::new(&*recording.to_string_lossy()).file_name(),
    }
}

/// Takes recordings from the pipeline to their destination.
struct Visitor<'run> {
    /// Numbers of the recordings that the pipeline runs, among all inputs.
    todo: &'run [usize],
    paths: &'run [PathBuf],
    format: Format,
    space: &'run EmbeddingSpace,
    destination: Destination,
    report: Report,
    /// Standard output is gone, or something else that ends the run.
    broken: Option<anyhow::Error>,
}

impl RecordingVisitor for Visitor<'_> {
    type Sink = LayerSinks;

    fn open(&mut self, index: usize, layers: &[StitchedLayer]) -> io::Result<LayerSinks> {
        if self.broken.is_some() {
            return Err(io::Error::other("the run has ended"));
        }
        if self.space.pooling != Pooling::None {
            let pooling = self.space.pooling;
            let sinks = layers.iter().map(|layer| PoolingAccumulator::new(pooling, layer.dim));
            return Ok(LayerSinks::Pooled(layers.iter().map(|layer| layer.layer).zip(sinks).collect()));
        }
        let output = self.destination.path(self.todo[index]);
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs_err::create_dir_all(folder)?;
        let spools = FrameSpool::for_space(self.space, folder);
        Ok(LayerSinks::Frames(layers.iter().map(|layer| layer.layer).zip(spools).collect()))
    }

    fn advanced(&mut self, seconds: f64) {
        self.report.progress.advance(seconds);
    }

    fn finished(&mut self, index: usize, result: Result<FinishedRecording<LayerSinks>, ExtractError>) {
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

/// Where the frames of one recording go, by layer.
enum LayerSinks {
    Pooled(BTreeMap<usize, PoolingAccumulator>),
    Frames(BTreeMap<usize, FrameSpool>),
}

impl FrameSink for LayerSinks {
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
        match self {
            Self::Pooled(layers) => {
                if let Some(accumulator) = layers.get_mut(&layer) {
                    accumulator.push(frames);
                }
                Ok(())
            }
            Self::Frames(layers) => match layers.get_mut(&layer) {
                Some(spool) => spool.push(frames).map_err(io::Error::other),
                None => Ok(()),
            },
        }
    }
}

impl LayerSinks {
    fn finish(self) -> anyhow::Result<Vec<EmbeddedLayer>> {
        match self {
            Self::Pooled(layers) => layers
                .into_iter()
                .map(|(number, accumulator)| {
                    let vector = accumulator.finish().with_context(|| format!("layer {number} has no frames"))?;
                    Ok(EmbeddedLayer { number, values: LayerValues::Pooled(vector) })
                })
                .collect(),
            Self::Frames(layers) => layers
                .into_iter()
                .map(|(number, spool)| Ok(EmbeddedLayer { number, values: LayerValues::Frames(spool.finish()?) }))
                .collect(),
        }
    }
}

/// What is said of every input.
struct Report {
    json: bool,
    progress: Progress,
    rows: Vec<Vec<String>>,
    num_done: usize,
    num_skipped: usize,
    num_failed: usize,
    seconds: f64,
}

/// One input's fate, for machines.
#[derive(Serialize)]
struct JsonRow<'row> {
    path: &'row str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'row str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space_id: Option<&'row str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// Shape of every layer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layers: BTreeMap<usize, Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'row str>,
}

impl Report {
    fn new(json: bool, num_files: usize) -> Self {
        let progress = Progress::new(num_files);
        Self { json, progress, rows: Vec::new(), num_done: 0, num_skipped: 0, num_failed: 0, seconds: 0.0 }
    }

    fn done(
        &mut self,
        path: &Path,
        output: &Path,
        space: &EmbeddingSpace,
        seconds: f64,
        layers: BTreeMap<usize, Vec<u64>>,
    ) -> anyhow::Result<()> {
        self.num_done += 1;
        self.seconds += seconds;
        self.progress.file_done();
        let (path, output) = (path.to_string_lossy(), output.to_string_lossy());
        if !self.json {
            let shapes: Vec<String> = layers.values().map(|shape| describe_shape(shape)).collect();
            let same = shapes.iter().all(|shape| *shape == shapes[0]);
            let shape = if same { shapes[0].clone() } else { shapes.join(", ") };
            let numbers = describe_numbers(&space.layers);
            self.rows.push(vec![path.into_owned(), format!("{seconds:.2}"), numbers, shape, output.into_owned()]);
            return Ok(());
        }
        let space_id = space.space_id();
        let row = JsonRow {
            path: &path,
            status: "done",
            output: Some(&output),
            space_id: Some(&space_id),
            duration_seconds: Some(seconds),
            layers,
            error: None,
        };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    fn skipped(&mut self, path: &Path, output: &Path, space: &EmbeddingSpace) -> anyhow::Result<()> {
        self.num_skipped += 1;
        self.progress.file_done();
        if !self.json {
            return Ok(());
        }
        let (path, output, space_id) = (path.to_string_lossy(), output.to_string_lossy(), space.space_id());
        let row = JsonRow {
            path: &path,
            status: "skipped",
            output: Some(&output),
            space_id: Some(&space_id),
            duration_seconds: None,
            layers: BTreeMap::new(),
            error: None,
        };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    fn failed(&mut self, path: &str, error: anyhow::Error) -> anyhow::Result<()> {
        self.num_failed += 1;
        self.progress.file_done();
        let message = terminal::describe(&terminal::about(path, error));
        self.progress.suspend(|| terminal::note(&terminal::printable(&message)));
        if !self.json {
            return Ok(());
        }
        let row = JsonRow {
            path,
            status: "failed",
            output: None,
            space_id: None,
            duration_seconds: None,
            layers: BTreeMap::new(),
            error: Some(&message),
        };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    fn finish(self, space: &EmbeddingSpace, start: Instant) -> anyhow::Result<Outcome> {
        self.progress.finish();
        if !self.rows.is_empty() {
            terminal::print_table(&["file", "seconds", "layers", "shape", "output"], &self.rows, &[1])?;
        }
        let elapsed = start.elapsed().as_secs_f64();
        let mut summary = format!("{} done", self.num_done);
        if self.seconds > 0.0 {
            let speed = self.seconds / elapsed;
            summary += &format!(", {:.1} s of audio in {elapsed:.1} s ({speed:.0} times realtime)", self.seconds);
        }
        if self.num_skipped > 0 {
            summary += &format!(", {} skipped (already there)", self.num_skipped);
        }
        if self.num_failed > 0 {
            summary += &format!(", {} failed", self.num_failed);
        }
        terminal::note(&format!("{summary}; model {}, space {}", space.model, space.space_id()));
        Ok(if self.num_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
    }
}

/// `[250, 128]` as `250 x 128`.
fn describe_shape(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

/// `[0, 1, 2, 5]` as `0-2,5`.
fn describe_numbers(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|left, right| left + 1 == *right);
    runs.map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    })
    .collect::<Vec<_>>()
    .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shapes_are_short() {
        assert_eq!(describe_numbers(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(describe_numbers(&[12]), "12");
        assert_eq!(describe_shape(&[250, 128]), "250 x 128");
    }
}
