//! The rows of a table that is not finished yet, as they come: `<table>.partial`.
//!
//! A line of text says which space and which shapes the rows have. Each row is the length of its description (64 bits,
//! little-endian), the description as JSON, the values of all layers as little-endian 32-bit floats, and the offset of
//! the row in the file (64 bits). A row whose offset does not stand at its end was being written when the process died:
//! it is dropped, and so is all that follows.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use solfa_signal::frames::Pooling;

use super::safetensors::write_layer;
use super::spool::read_values;
use super::staged::folder_of;
use super::{EmbeddedLayer, Embedding, EmbeddingSpace, FrameSeries, LayerValues, StoreError};

/// The longest description of a row, in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 16 << 20;

/// Bytes of the two numbers around a row.
const NUMBER_BYTES: u64 = size_of::<u64>() as u64;

/// The rows of an unfinished table.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    space: EmbeddingSpace,
    rows: Vec<Row>,
    end: u64,
}

/// Where a row is and what it says of itself.
struct Row {
    data_start: u64,
    description: Description,
}

#[derive(Serialize, Deserialize)]
struct Description {
    path: String,
    duration_seconds: f64,
    /// Number of frames of each layer; 1 for a pooled vector.
    num_frames: Vec<u64>,
}

impl Journal {
    /// Opens the journal of the table at `table`. With `resume` the whole rows of an interrupted run of the same space
    /// are kept; otherwise, and for another space, it starts empty.
    pub(super) fn open(table: &Path, space: &EmbeddingSpace, resume: bool) -> Result<Self, StoreError> {
        let mut name = OsString::from(table);
        name.push(".partial");
        let path = PathBuf::from(name);
        let folder = folder_of(&path);
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io("create the folder", folder, error))?;
        let failed = |error| StoreError::io("write", &path, error);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let title = title(space);
        let found = if resume { scan(&mut file, &title, space).map_err(failed)? } else { None };
        let (rows, end) = found.unwrap_or_default();
        file.set_len(end).map_err(failed)?;
        let mut journal = Self { path: path.clone(), file, space: space.clone(), rows, end };
        if end == 0 {
            journal.write_at_end(|file, _| file.write_all(title.as_bytes()))?;
        }
        Ok(journal)
    }

    /// Adds a row that fits the space. Where that fails, the journal is as it was.
    pub(super) fn append(&mut self, embedding: &mut Embedding) -> Result<(), StoreError> {
        let num_frames = |layer: &EmbeddedLayer| match &layer.values {
            LayerValues::Pooled(_) => 1,
            LayerValues::Frames(series) => series.num_frames(),
        };
        let description = Description {
            path: embedding.path.clone(),
            duration_seconds: embedding.duration_seconds,
            num_frames: embedding.layers.iter().map(num_frames).collect(),
        };
        let start = self.end;
        let mut data_start = start;
        self.write_at_end(|file, start| {
            let text = serde_json::to_vec(&description)?;
            data_start = start + NUMBER_BYTES + text.len() as u64;
            file.write_all(&(text.len() as u64).to_le_bytes())?;
            file.write_all(&text)?;
            for layer in &mut embedding.layers {
                write_layer(file, &mut layer.values)?;
            }
            file.write_all(&start.to_le_bytes())
        })?;
        self.rows.push(Row { data_start, description });
        Ok(())
    }

    /// Number of rows.
    pub(super) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// The recordings of the rows, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.description.path.as_str())
    }

    /// The rows of recordings that are not among `excluded`, in order: pooled vectors are read, frames are left in the
    /// journal.
    pub(super) fn rows_except<'a>(
        &'a self,
        excluded: &'a HashSet<String>,
    ) -> impl Iterator<Item = io::Result<Embedding>> + 'a {
        self.rows.iter().filter(|row| !excluded.contains(&row.description.path)).map(|row| self.read(row))
    }

    /// Deletes the journal: its rows are in the table.
    pub(super) fn remove(self) -> Result<(), StoreError> {
        let Self { path, file, .. } = self;
        drop(file);
        std::fs::remove_file(&path).map_err(|error| StoreError::io("remove", path, error))
    }

    fn read(&self, row: &Row) -> io::Result<Embedding> {
        let Description { path, duration_seconds, num_frames } = &row.description;
        let mut layers = Vec::with_capacity(num_frames.len());
        let mut offset = row.data_start;
        for ((&number, &dim), &num_frames) in self.space.layers.iter().zip(&self.space.layer_dims).zip(num_frames) {
            let dim = self.space.pooling.pooled_dim(dim);
            let mut series = FrameSeries::in_file(&self.path, offset, num_frames, dim);
            let values = if self.space.pooling == Pooling::None {
                LayerValues::Frames(series)
            } else {
                let mut bytes = vec![0; dim * size_of::<f32>()];
                series.bytes()?.read_exact(&mut bytes)?;
                LayerValues::Pooled(read_values(&bytes))
            };
            offset += values.num_bytes();
            layers.push(EmbeddedLayer { number, values });
        }
        Ok(Embedding { path: path.clone(), duration_seconds: *duration_seconds, layers })
    }

    fn write_at_end(
        &mut self,
        write: impl FnOnce(&mut BufWriter<&mut File>, u64) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let append = || -> io::Result<u64> {
            self.file.seek(SeekFrom::Start(self.end))?;
            let mut writer = BufWriter::new(&mut self.file);
            let written = write(&mut writer, self.end).and_then(|()| writer.flush());
            // What is still in the buffer after a failure must not be written when the buffer goes.
            let _ = writer.into_parts();
            written?;
            self.file.stream_position()
        };
        match append() {
            Ok(end) => {
                self.end = end;
                Ok(())
            }
            Err(error) => {
                // Where this fails too, the row has no offset at its end and is dropped by the next run.
                let _ = self.file.set_len(self.end);
                Err(StoreError::io("write", &self.path, error))
            }
        }
    }
}

/// The first line: rows can be read by a run that writes the same.
fn title(space: &EmbeddingSpace) -> String {
    format!("solfa journal 1 {} {} {:?}\n", space.space_id(), space.pooling.name(), space.layer_dims)
}

/// The whole rows of a journal and where they end; `None` for a file that does not start with `title`.
fn scan(file: &mut File, title: &str, space: &EmbeddingSpace) -> io::Result<Option<(Vec<Row>, u64)>> {
    let file_bytes = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut first_line = vec![0; title.len()];
    if file_bytes < title.len() as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut first_line)?;
    if first_line != title.as_bytes() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    let mut end = title.len() as u64;
    while let Some((row, row_end)) = scan_row(&mut reader, end, file_bytes, space)? {
        rows.push(row);
        end = row_end;
    }
    Ok(Some((rows, end)))
}

/// The row that starts at `start`, where the reader stands, and its end; `None` where it is not whole.
fn scan_row(
    reader: &mut BufReader<&mut File>,
    start: u64,
    file_bytes: u64,
    space: &EmbeddingSpace,
) -> io::Result<Option<(Row, u64)>> {
    let mut number = [0; NUMBER_BYTES as usize];
    if file_bytes - start < NUMBER_BYTES {
        return Ok(None);
    }
    reader.read_exact(&mut number)?;
    let text_bytes = u64::from_le_bytes(number);
    let rest = file_bytes - start - NUMBER_BYTES;
    if text_bytes > MAX_DESCRIPTION_BYTES.min(rest) {
        return Ok(None);
    }
    let mut text = vec![0; text_bytes as usize];
    reader.read_exact(&mut text)?;
    let Ok(description) = serde_json::from_slice::<Description>(&text) else { return Ok(None) };
    if description.num_frames.len() != space.layer_dims.len() {
        return Ok(None);
    }
    let data_bytes = description.num_frames.iter().zip(&space.layer_dims).try_fold(0u64, |total, (&frames, &dim)| {
        let frame_bytes = (space.pooling.pooled_dim(dim) * size_of::<f32>()) as u64;
        frames.checked_mul(frame_bytes)?.checked_add(total)
    });
    let Some(data_bytes) = data_bytes.filter(|&bytes| bytes.saturating_add(NUMBER_BYTES) <= rest - text_bytes) else {
        return Ok(None);
    };
    let data_start = start + NUMBER_BYTES + text_bytes;
    reader.seek_relative(data_bytes as i64)?;
    reader.read_exact(&mut number)?;
    if u64::from_le_bytes(number) != start {
        return Ok(None);
    }
    Ok(Some((Row { data_start, description }, data_start + data_bytes + NUMBER_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space, values};

    fn paths(journal: &Journal) -> Vec<&str> {
        journal.paths().collect()
    }

    #[test]
    fn rows_survive_closing() {
        let folder = tempfile::tempdir().unwrap();
        type Case = (&'static str, EmbeddingSpace, fn(&str) -> Embedding);
        let cases: [Case; 2] = [
            ("pooled.jsonl", pooled_space(), pooled_embedding),
            ("frames.jsonl", frames_space(), |path| frames_embedding(path, path.len())),
        ];
        for (name, space, embedding) in cases {
            let table = folder.path().join("sub").join(name);
            let mut journal = Journal::open(&table, &space, true).unwrap();
            journal.append(&mut embedding("a")).unwrap();
            journal.append(&mut embedding("bcd")).unwrap();
            assert!(matches!(Journal::open(&table, &space, true), Err(StoreError::InUse { .. })));
            drop(journal);
            let mut journal = Journal::open(&table, &space, true).unwrap();
            journal.append(&mut embedding("e")).unwrap();
            assert_eq!(paths(&journal), ["a", "bcd", "e"]);
            let rows: Vec<_> = journal.rows_except(&HashSet::from(["a".to_owned()])).collect();
            for (row, path) in rows.into_iter().zip(["bcd", "e"]) {
                let mut row = row.unwrap();
                row.check(&space).unwrap();
                assert_eq!(values(&mut row), values(&mut embedding(path)));
            }
            drop(journal);
            assert_eq!(Journal::open(&table, &space, false).unwrap().num_rows(), 0);
        }
    }

    #[test]
    fn a_journal_cut_anywhere_keeps_its_whole_rows_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("a.parquet");
        let mut journal = Journal::open(&table, &pooled_space(), false).unwrap();
        journal.append(&mut pooled_embedding("a")).unwrap();
        let one_row = journal.end;
        journal.append(&mut pooled_embedding("b")).unwrap();
        let path = journal.path.clone();
        drop(journal);
        let bytes = fs_err::read(&path).unwrap();
        for length in 0..bytes.len() as u64 {
            fs_err::write(&path, &bytes[..length as usize]).unwrap();
            let mut journal = Journal::open(&table, &pooled_space(), true).unwrap();
            assert_eq!(journal.num_rows(), usize::from(length >= one_row), "cut at {length}");
            journal.append(&mut pooled_embedding("c")).unwrap();
            drop(journal);
            let journal = Journal::open(&table, &pooled_space(), true).unwrap();
            assert_eq!(paths(&journal).last(), Some(&"c"), "cut at {length}");
            let mut last = journal.rows_except(&HashSet::new()).last().unwrap().unwrap();
            assert_eq!(values(&mut last), values(&mut pooled_embedding("c")), "cut at {length}");
        }
    }

    #[test]
    fn rows_of_another_space_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("a.jsonl");
        let mut journal = Journal::open(&table, &pooled_space(), false).unwrap();
        journal.append(&mut pooled_embedding("a")).unwrap();
        drop(journal);
        let other = EmbeddingSpace { resampler: "linear".to_owned(), ..pooled_space() };
        assert_eq!(Journal::open(&table, &other, true).unwrap().num_rows(), 0);
    }

    #[test]
    fn a_row_that_fails_half_way_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("a.jsonl");
        let mut journal = Journal::open(&table, &frames_space(), false).unwrap();
        journal.append(&mut frames_embedding("a", 2)).unwrap();
        let end = journal.end;
        let mut broken = frames_embedding("b", 10_000);
        broken.layers[1].values = LayerValues::Frames(FrameSeries::in_file(Path::new("missing"), 0, 10, 4));
        assert!(journal.append(&mut broken).is_err());
        assert_eq!(fs_err::metadata(&journal.path).unwrap().len(), end);
        journal.append(&mut frames_embedding("c", 2)).unwrap();
        drop(journal);
        assert_eq!(paths(&Journal::open(&table, &frames_space(), true).unwrap()), ["a", "c"]);
    }
}
