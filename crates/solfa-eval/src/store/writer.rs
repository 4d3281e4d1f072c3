//! One file for one recording, and whether such a file is there already.

use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::parquet::ParquetWriter;
use super::staged::{StagedFile, folder_of};
use super::{Embedding, EmbeddingSpace, Format, Metadata, StoreError, jsonl, npy, npz, parquet, safetensors};

/// Writes the embedding of one recording as one file, creating its folder.
///
/// The file appears under its name when it is whole and on the disk; after an error nothing new stands there. Frames
/// are streamed from their spool, so memory does not grow with the recording.
///
/// # Errors
/// [`StoreError::Space`], [`StoreError::Embedding`] or [`StoreError::NonFinite`] for what must not be written,
/// [`StoreError::OneLayerOnly`] for npy and several layers, [`StoreError::Full`] or [`StoreError::Io`].
pub fn write_embedding(
    path: &Path,
    format: Format,
    space: &EmbeddingSpace,
    embedding: &mut Embedding,
) -> Result<(), StoreError> {
    space.check()?;
    embedding.check(space)?;
    if format == Format::Npy && embedding.layers.len() != 1 {
        return Err(StoreError::OneLayerOnly { path: path.to_owned(), found: space.layers.clone() });
    }
    let metadata = Metadata::of_recording(space, embedding);
    let staged = StagedFile::write(path, |out| match format {
        Format::Safetensors => safetensors::write(out, &metadata, embedding),
        Format::Npy => embedding.layers.iter_mut().try_for_each(|layer| npy::write(out, &mut layer.values)),
        Format::Npz => npz::write(out, &metadata, embedding),
        Format::Parquet => {
            let mut writer = ParquetWriter::new(out, space, folder_of(path))?;
            writer.write_rows(std::slice::from_mut(embedding))?;
            writer.finish()
        }
        Format::Jsonl => jsonl::write_row(out, &metadata.space_id, embedding),
    })?;
    commit_output(staged, path, format, &metadata, Replaced::AnySpace)
}

/// What is known of a file that a new one takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It is of the same space, so the new sidecar describes it too.
    SameSpace,
    /// It may be of another space, so it must not stand beside the new sidecar.
    AnySpace,
}

/// Puts a staged file and its sidecar in place, in an order that never lets a file stand beside the sidecar of another.
pub(super) fn commit_output(
    staged: StagedFile,
    path: &Path,
    format: Format,
    metadata: &Metadata,
    replaced: Replaced,
) -> Result<(), StoreError> {
    if format.has_sidecar() {
        let sidecar = StagedFile::write(&sidecar_path(path), |out| {
            serde_json::to_writer_pretty(&mut *out, metadata)?;
            out.write_all(b"\n")
        })?;
        if replaced == Replaced::AnySpace {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("replace", path, error));
                }
                _ => {}
            }
        }
        sidecar.commit()?;
    }
    staged.commit()
}

/// Where the metadata of a npy or jsonl file stands: `<name>.json`.
fn sidecar_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".json");
    PathBuf::from(name)
}

/// What stands under the name of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// Nothing.
    Missing,
    /// A file that is cut short, has lost its sidecar, or is not an output of this program, and why.
    Damaged(String),
    /// A whole output of another space, and that space's id.
    OtherSpace(String),
    /// A whole output of the space.
    Complete {
        /// The recording, as it was given; `None` for a table, and for parquet, whose rows say it.
        recording: Option<String>,
    },
}

/// Says whether the file at `path` is whole and of `space`, so that it need not be written again.
///
/// Structure, lengths and metadata are looked at, not the values: a file that was cut short is found, one whose values
/// were changed is not. For a jsonl table the end of the last row is looked at; [`TableWriter::resume`] reads its rows.
///
/// [`TableWriter::resume`]: super::TableWriter::resume
///
/// # Errors
/// [`StoreError::Io`] where the file is there and cannot be read.
pub fn output_state(path: &Path, format: Format, space: &EmbeddingSpace) -> Result<OutputState, StoreError> {
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(OutputState::Missing);
        }
        Err(error) => return Err(StoreError::io("read", path, error)),
    }
    let found = match format {
        Format::Safetensors => safetensors::read(path).map(|(metadata, _)| (metadata.space_id, metadata.path)),
        Format::Npy => read_sidecar(path).and_then(|metadata| {
            npy::check(path, &metadata.space)?;
            Ok((metadata.space_id, metadata.path))
        }),
        Format::Npz => npz::read_metadata(path).map(|metadata| (metadata.space_id, metadata.path)),
        Format::Parquet => parquet::read_space_id(path).map(|space_id| (space_id, None)),
        Format::Jsonl => read_sidecar(path).and_then(|metadata| {
            check_last_line(path, metadata.path.is_some())?;
            Ok((metadata.space_id, metadata.path))
        }),
    };
    match found {
        Ok((space_id, recording)) if space_id == space.space_id() => Ok(OutputState::Complete { recording }),
        Ok((space_id, _)) => Ok(OutputState::OtherSpace(space_id)),
        Err(error @ StoreError::Damaged { .. }) => Ok(OutputState::Damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

fn read_sidecar(path: &Path) -> Result<Metadata, StoreError> {
    let path = sidecar_path(path);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::damaged(path, "a sidecar", "none"));
        }
        text => text.map_err(|error| StoreError::io("read", &path, error))?,
    };
    serde_json::from_slice(&text).map_err(|error| StoreError::damaged(path, "metadata of this program", error))
}

/// Checks that a jsonl file ends in a whole line. A table of no recording is empty; the file of one is not.
fn check_last_line(path: &Path, one_recording: bool) -> Result<(), StoreError> {
    let read = || -> io::Result<Option<u8>> {
        let mut file = std::fs::File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(Some(last[0]))
    };
    match read().map_err(|error| StoreError::io("read", path, error))? {
        Some(b'\n') => Ok(()),
        None if !one_recording => Ok(()),
        _ => Err(StoreError::damaged(path, "a newline at the end of the last row", "none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{
        frames_embedding, frames_space, last_layer, one_layer, pooled_embedding, pooled_space,
    };

    fn one(frames: bool) -> (EmbeddingSpace, Embedding) {
        match frames {
            true => (one_layer(frames_space()), last_layer(frames_embedding("a.flac", 9))),
            false => (one_layer(pooled_space()), last_layer(pooled_embedding("a.flac"))),
        }
    }

    #[test]
    fn whole_outputs_are_told_from_missing_shortened_and_other_ones() {
        for format in Format::ALL {
            for frames in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("deep/er").join(format!("a.flac.{format}"));
                let (space, mut embedding) = one(frames);
                let state = || output_state(&path, format, &space).unwrap();
                assert_eq!(state(), OutputState::Missing);
                write_embedding(&path, format, &space, &mut embedding).unwrap();
                assert!(matches!(state(), OutputState::Complete { .. }), "{format}");
                let other = EmbeddingSpace { sample_rate: 44_100, ..space.clone() };
                let found = output_state(&path, format, &other).unwrap();
                assert_eq!(found, OutputState::OtherSpace(space.space_id()), "{format}");
                let bytes = fs_err::read(&path).unwrap();
                for length in 0..bytes.len() {
                    fs_err::write(&path, &bytes[..length]).unwrap();
                    assert!(matches!(state(), OutputState::Damaged(_)), "{format} cut at {length}");
                }
                // Written over.
                write_embedding(&path, format, &other, &mut embedding).unwrap();
                assert!(matches!(output_state(&path, format, &other), Ok(OutputState::Complete { .. })), "{format}");
                if format.has_sidecar() {
                    fs_err::remove_file(sidecar_path(&path)).unwrap();
                    assert!(matches!(state(), OutputState::Damaged(_)), "{format} without sidecar");
                }
            }
        }
    }

    #[test]
    fn the_same_embedding_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for format in Format::ALL {
            let bytes = [1, 2].map(|copy| {
                let path = folder.path().join(format!("{copy}.{format}"));
                let (space, mut embedding) = one(true);
                write_embedding(&path, format, &space, &mut embedding).unwrap();
                fs_err::read(&path).unwrap()
            });
            assert!(bytes[0] == bytes[1], "{format}");
        }
    }

    #[test]
    fn nothing_is_left_of_an_output_that_is_refused_or_fails() {
        let folder = tempfile::tempdir().unwrap();
        for format in Format::ALL {
            let path = folder.path().join("a").with_extension(format.name());
            let (space, mut embedding) = one(false);
            embedding.layers[0].values = super::super::LayerValues::Pooled(vec![0.0, f32::NAN, 0.0, 0.0]);
            let error = write_embedding(&path, format, &space, &mut embedding).unwrap_err();
            assert!(matches!(error, StoreError::NonFinite { layer: 5, dimension: 1, .. }), "{format}: {error}");

            let (space, mut embedding) = one(true);
            let broken = super::super::FrameSeries::in_file(&folder.path().join("missing"), 0, 9, 4);
            embedding.layers[0].values = super::super::LayerValues::Frames(broken);
            let error = write_embedding(&path, format, &space, &mut embedding).unwrap_err();
            assert!(matches!(error, StoreError::Io { .. }), "{format}: {error:?}");
            assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0, "{format}");
        }
    }
}
