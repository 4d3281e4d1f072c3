//! Where embeddings go: one file for each recording, or one table for all.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use solfa_eval::store::{
    Embedding, EmbeddingSpace, Format, OutputState, StoreError, TableWriter, output_state, write_embedding,
};

use crate::arguments::EmbedArguments;
use crate::inputs::Inputs;
use crate::terminal::{self, UsageError};

/// Which files will be written, before anything is.
pub(super) enum Layout {
    /// One file for each recording.
    Files(Vec<PathBuf>),
    /// One file for all.
    Table(PathBuf),
}

impl Layout {
    pub(super) fn choose(output: &Path, format: Format, inputs: &Inputs) -> anyhow::Result<Self> {
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
            return Ok(Self::Table(output.to_owned()));
        }
        match inputs.recordings.len() {
            0 | 1 => Ok(Self::Files(vec![output.to_owned()])),
            several => Err(UsageError(format!(
                "--output {} is one file, and there are {several} inputs: give a folder, or a .parquet or .jsonl table",
                output.display()
            ))
            .into()),
        }
    }

    pub(super) fn outputs(&self) -> &[PathBuf] {
        match self {
            Self::Files(outputs) => outputs,
            Self::Table(output) => std::slice::from_ref(output),
        }
    }

    /// Refuses to write over what is read: recordings, and the lists that name them.
    pub(super) fn check(&self, arguments: &EmbedArguments, inputs: &Inputs) -> Result<(), UsageError> {
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
pub(super) enum Destination {
    Files(Vec<PathBuf>),
    Table { path: PathBuf, writer: Box<TableWriter> },
}

impl Destination {
    pub(super) fn open(layout: Layout, format: Format, space: &EmbeddingSpace, resume: bool) -> anyhow::Result<Self> {
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
    pub(super) fn path(&self, number: usize) -> &Path {
        match self {
            Self::Files(paths) => &paths[number],
            Self::Table { path, .. } => path,
        }
    }

    /// Whether recording `number` is there, whole and of this space.
    pub(super) fn has(
        &self,
        number: usize,
        recording: &Path,
        format: Format,
        space: &EmbeddingSpace,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Files(paths) => match output_state(&paths[number], format, space)? {
                OutputState::Complete { recording: Some(source) } => Ok(is_same_recording(&source, recording)),
                OutputState::Complete { recording: None } => Ok(true),
                OutputState::Missing | OutputState::Damaged(_) | OutputState::OtherSpace(_) => Ok(false),
            },
            Self::Table { writer, .. } => Ok(writer.has(&recording.to_string_lossy())),
        }
    }

    pub(super) fn write(
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

    pub(super) fn finish(self) -> Result<(), StoreError> {
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
