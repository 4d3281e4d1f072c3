//! One file for many recordings.

use std::collections::HashSet;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::parquet::ParquetWriter;
use super::staged::{StagedFile, folder_of};
use super::writer::{Replaced, commit_output};
use super::{Embedding, EmbeddingSpace, Format, Metadata, OutputState, StoreError, jsonl, output_state, parquet};

/// Values of one group of rows of a parquet table, in bytes: it is closed when it has as many.
const ROW_GROUP_BYTES: u64 = 64 << 20;

/// Writes a jsonl or parquet table of many recordings.
///
/// Rows go to a journal, `<table>.partial`, one by one; [`TableWriter::finish`] turns it into the table, so nothing
/// stands under the table's name before that. A run that was interrupted leaves its journal behind, and
/// [`TableWriter::resume`] continues it: whole rows are kept, a row that was being written is dropped. A process that is
/// killed loses no row that was pushed; a machine that loses power may lose rows, whatever the system had not written.
pub struct TableWriter {
    path: PathBuf,
    format: Format,
    space: EmbeddingSpace,
    journal: Journal,
    /// Recordings of a finished table of the same space, whose rows are taken over.
    earlier: Option<HashSet<String>>,
    done: HashSet<String>,
}

impl TableWriter {
    /// Starts a table at `path`. A journal of an earlier run is thrown away; an earlier table stays until
    /// [`TableWriter::finish`].
    ///
    /// # Errors
    /// [`StoreError::NotATable`] for a format without rows, [`StoreError::Space`], [`StoreError::InUse`] where another
    /// process writes the same table, [`StoreError::Full`] or [`StoreError::Io`].
    pub fn create(path: &Path, format: Format, space: &EmbeddingSpace) -> Result<Self, StoreError> {
        Self::open(path, format, space, false)
    }

    /// Continues the table at `path`: rows of an interrupted run and of a finished table are kept where they are of the
    /// same space; those of another space are dropped.
    ///
    /// # Errors
    /// As for [`TableWriter::create`].
    pub fn resume(path: &Path, format: Format, space: &EmbeddingSpace) -> Result<Self, StoreError> {
        Self::open(path, format, space, true)
    }

    fn open(path: &Path, format: Format, space: &EmbeddingSpace, resume: bool) -> Result<Self, StoreError> {
        if !format.is_table() {
            return Err(StoreError::NotATable { path: path.to_owned(), found: format });
        }
        space.check()?;
        let journal = Journal::open(path, space, resume)?;
        let earlier = if resume { earlier_paths(path, format, space)? } else { None };
        let done = journal.paths().map(str::to_owned).chain(earlier.iter().flatten().cloned()).collect();
        Ok(Self { path: path.to_owned(), format, space: space.clone(), journal, earlier, done })
    }

    /// Whether the table has a row of this recording: [`Embedding::path`] as it was pushed.
    pub fn has(&self, path: &str) -> bool {
        self.done.contains(path)
    }

    /// Number of different recordings that the table has rows of.
    pub fn num_recordings(&self) -> usize {
        self.done.len()
    }

    /// Adds the row of one recording. Where that fails, the table is as it was.
    ///
    /// # Errors
    /// [`StoreError::Embedding`] or [`StoreError::NonFinite`] for an embedding that does not fit the space,
    /// [`StoreError::Full`] or [`StoreError::Io`].
    pub fn push(&mut self, embedding: &mut Embedding) -> Result<(), StoreError> {
        embedding.check(&self.space)?;
        self.journal.append(embedding)?;
        self.done.insert(embedding.path.clone());
        Ok(())
    }

    /// Writes the table and removes the journal. Where that fails, the journal stays and can be resumed.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`].
    pub fn finish(self) -> Result<(), StoreError> {
        let Self { path, format, space, journal, earlier, .. } = self;
        let replaced = if earlier.is_some() { Replaced::SameSpace } else { Replaced::AnySpace };
        let up_to_date = earlier.is_some() && journal.num_rows() == 0;
        if !up_to_date {
            let staged = StagedFile::write(&path, |out| match format {
                Format::Parquet => write_parquet(out, &path, &space, &journal, earlier.as_ref()),
                _ => write_jsonl(out, &path, &space, &journal, earlier.as_ref()),
            })?;
            commit_output(staged, &path, format, &Metadata::of_table(&space), replaced)?;
        }
        journal.remove()
    }
}

/// The recordings of a finished table; `None` where there is none of this space.
fn earlier_paths(path: &Path, format: Format, space: &EmbeddingSpace) -> Result<Option<HashSet<String>>, StoreError> {
    if !matches!(output_state(path, format, space)?, OutputState::Complete { .. }) {
        return Ok(None);
    }
    let paths = match format {
        Format::Parquet => parquet::read_paths(path),
        _ => jsonl::read_paths(path),
    };
    match paths {
        Ok(paths) => Ok(Some(paths.into_iter().collect())),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

type Output<'a> = BufWriter<&'a mut std::fs::File>;

fn write_jsonl(
    out: &mut Output<'_>,
    path: &Path,
    space: &EmbeddingSpace,
    journal: &Journal,
    earlier: Option<&HashSet<String>>,
) -> io::Result<()> {
    if earlier.is_some() {
        io::copy(&mut fs_err::File::open(path)?, out)?;
    }
    let space_id = space.space_id();
    for row in journal.rows_except(earlier.unwrap_or(&HashSet::new())) {
        jsonl::write_row(out, &space_id, &mut row?)?;
    }
    Ok(())
}

fn write_parquet(
    out: &mut Output<'_>,
    path: &Path,
    space: &EmbeddingSpace,
    journal: &Journal,
    earlier: Option<&HashSet<String>>,
) -> io::Result<()> {
    let mut writer = ParquetWriter::new(out, space, folder_of(path))?;
    if earlier.is_some() {
        writer.append_file(path)?;
    }
    let mut group = Vec::new();
    let mut group_bytes = 0;
    for row in journal.rows_except(earlier.unwrap_or(&HashSet::new())) {
        let row = row?;
        group_bytes += row.layers.iter().map(|layer| layer.values.num_bytes()).sum::<u64>();
        group.push(row);
        if group_bytes >= ROW_GROUP_BYTES {
            writer.write_rows(&mut group)?;
            group.clear();
            group_bytes = 0;
        }
    }
    writer.write_rows(&mut group)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space};

    const TABLES: [Format; 2] = [Format::Jsonl, Format::Parquet];

    fn paths(path: &Path, format: Format) -> Vec<String> {
        if format == Format::Parquet { parquet::read_paths(path).unwrap() } else { jsonl::read_paths(path).unwrap() }
    }

    fn table(folder: &tempfile::TempDir, format: Format) -> PathBuf {
        folder.path().join("tables").join(format!("all.{format}"))
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(path.parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_table_appears_when_it_is_finished() {
        for format in TABLES {
            let folder = tempfile::tempdir().unwrap();
            let path = table(&folder, format);
            let mut writer = TableWriter::create(&path, format, &pooled_space()).unwrap();
            writer.push(&mut pooled_embedding("a")).unwrap();
            writer.push(&mut pooled_embedding("b")).unwrap();
            assert!(writer.has("a") && !writer.has("c") && writer.num_recordings() == 2);
            assert_eq!(names(&path), [format!("all.{format}.partial")]);
            writer.finish().unwrap();
            assert_eq!(paths(&path, format), ["a", "b"]);
            let mut expected = vec![format!("all.{format}")];
            if format == Format::Jsonl {
                expected.push("all.jsonl.json".to_owned());
            }
            assert_eq!(names(&path), expected);
        }
    }

    #[test]
    fn interrupted_and_finished_tables_are_continued() {
        for format in TABLES {
            let folder = tempfile::tempdir().unwrap();
            let path = table(&folder, format);
            let space = frames_space();
            let mut writer = TableWriter::create(&path, format, &space).unwrap();
            writer.push(&mut frames_embedding("a", 3)).unwrap();
            drop(writer);
            let mut writer = TableWriter::resume(&path, format, &space).unwrap();
            assert!(writer.has("a"));
            writer.push(&mut frames_embedding("b", 0)).unwrap();
            writer.finish().unwrap();
            let mut writer = TableWriter::resume(&path, format, &space).unwrap();
            assert!(writer.has("a") && writer.has("b"));
            writer.push(&mut frames_embedding("c", 1)).unwrap();
            writer.finish().unwrap();
            assert_eq!(paths(&path, format), ["a", "b", "c"]);
            // Nothing new: the table is left alone.
            let before = fs_err::metadata(&path).unwrap().modified().unwrap();
            TableWriter::resume(&path, format, &space).unwrap().finish().unwrap();
            assert_eq!(fs_err::metadata(&path).unwrap().modified().unwrap(), before);
        }
    }

    #[test]
    fn a_kill_between_the_table_and_the_removal_of_its_journal_doubles_no_row() {
        for format in TABLES {
            let folder = tempfile::tempdir().unwrap();
            let path = table(&folder, format);
            let journal = path.with_file_name(format!("all.{format}.partial"));
            let mut writer = TableWriter::create(&path, format, &pooled_space()).unwrap();
            writer.push(&mut pooled_embedding("a")).unwrap();
            let rows = fs_err::read(&journal).unwrap();
            writer.finish().unwrap();
            fs_err::write(&journal, rows).unwrap();
            let mut writer = TableWriter::resume(&path, format, &pooled_space()).unwrap();
            writer.push(&mut pooled_embedding("b")).unwrap();
            writer.finish().unwrap();
            assert_eq!(paths(&path, format), ["a", "b"]);
        }
    }

    #[test]
    fn a_table_of_another_space_starts_anew() {
        for format in TABLES {
            let folder = tempfile::tempdir().unwrap();
            let path = table(&folder, format);
            let mut writer = TableWriter::create(&path, format, &pooled_space()).unwrap();
            writer.push(&mut pooled_embedding("a")).unwrap();
            writer.finish().unwrap();
            let other = EmbeddingSpace { resampler: "linear".to_owned(), ..pooled_space() };
            let mut writer = TableWriter::resume(&path, format, &other).unwrap();
            assert_eq!(writer.num_recordings(), 0);
            writer.push(&mut pooled_embedding("b")).unwrap();
            writer.finish().unwrap();
            assert_eq!(paths(&path, format), ["b"]);
            assert!(matches!(output_state(&path, format, &other), Ok(OutputState::Complete { .. })));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let result = TableWriter::create(&path, Format::Npz, &pooled_space()).map(|_| ());
        assert!(matches!(result, Err(StoreError::NotATable { .. })));
        let mut writer = TableWriter::create(&path, Format::Jsonl, &pooled_space()).unwrap();
        assert!(matches!(writer.push(&mut frames_embedding("a", 1)), Err(StoreError::Embedding { .. })));
        assert_eq!(writer.num_recordings(), 0);
    }

    #[test]
    fn many_rows_make_several_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = table(&folder, Format::Parquet);
        let space = frames_space();
        let mut writer = TableWriter::create(&path, Format::Parquet, &space).unwrap();
        // 40 bytes per frame of layer 5 and the two of layer 0 beside it: two rows fill a group.
        let num_frames = (ROW_GROUP_BYTES / 40 / 2) as usize + 1;
        for name in ["a", "b", "c"] {
            writer.push(&mut frames_embedding(name, num_frames)).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(paths(&path, Format::Parquet), ["a", "b", "c"]);
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
    }
}
