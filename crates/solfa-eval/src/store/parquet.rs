//! Parquet: one row per recording, one list column per layer.
//!
//! Columns are `path` and `space_id` (strings), `duration_seconds` (double), and one `layer_<i>` per layer: a list of
//! floats for a pooling, a list of lists of floats without one. The key-value metadata holds `space_id` and, as JSON,
//! `embedding_space`.
//!
//! The pages of the layers' columns are built here, because the library keeps a whole row in memory to encode it, and a
//! row is as long as a recording. A page holds about a mebibyte of plain floats, after their levels: the format's way to
//! say where a list starts (<https://parquet.apache.org/docs/file-format/data-pages/>, data page version 1).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::page::{CompressedPage, Page, PageWriter};
use ::parquet::column::reader::get_typed_column_reader;
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::ColumnDescPtr;
use solfa_signal::frames::Pooling;

use super::embedding::layer_name;
use super::spool::write_values;
use super::{Embedding, EmbeddingSpace, LayerValues, StoreError};

/// Values gathered for one page, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Name of the metadata entry that holds the `space_id`.
const SPACE_ID_KEY: &str = "space_id";

/// Name of the metadata entry that holds the [`EmbeddingSpace`].
const SPACE_KEY: &str = "embedding_space";

/// Writes a parquet file, one group of rows after the other.
pub(super) struct ParquetWriter<'a, W: Write + Send> {
    writer: SerializedFileWriter<W>,
    space_id: String,
    /// Where the columns of the layers stand until their length is known.
    scratch_folder: &'a Path,
}

impl<'a, W: Write + Send> ParquetWriter<'a, W> {
    /// Starts a file for `space`; unnamed temporary files go to `scratch_folder`.
    pub(super) fn new(out: W, space: &EmbeddingSpace, scratch_folder: &'a Path) -> io::Result<Self> {
        let space_id = space.space_id();
        let metadata = [(SPACE_ID_KEY, space_id.clone()), (SPACE_KEY, serde_json::to_string(space)?)];
        let metadata = metadata.map(|(key, value)| KeyValue::new(key.to_owned(), value)).to_vec();
        // Pages here may start inside a row, which a file with an index of its pages may not have.
        let properties =
            WriterProperties::builder().set_offset_index_disabled(true).set_key_value_metadata(Some(metadata)).build();
        let writer = parse_message_type(&schema(space))
            .and_then(|schema| SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)))
            .map_err(into_io)?;
        Ok(Self { writer, space_id, scratch_folder })
    }

    /// Adds the rows of `recordings` as one group. The layers are read column by column.
    pub(super) fn write_rows(&mut self, recordings: &mut [Embedding]) -> io::Result<()> {
        let Some(first) = recordings.first() else { return Ok(()) };
        // The layers' columns come last.
        let num_layers = first.layers.len();
        let columns = self.writer.schema_descr().columns().to_vec();
        let mut write = || -> Result<()> {
            let mut group = self.writer.next_row_group()?;
            let paths: Vec<ByteArray> = recordings.iter().map(|recording| recording.path.as_str().into()).collect();
            write_column::<ByteArrayType, _>(&mut group, &paths)?;
            write_column::<ByteArrayType, _>(&mut group, &vec![self.space_id.as_str().into(); recordings.len()])?;
            let durations: Vec<f64> = recordings.iter().map(|recording| recording.duration_seconds).collect();
            write_column::<DoubleType, _>(&mut group, &durations)?;
            for (index, column) in columns.iter().skip(columns.len() - num_layers).enumerate() {
                let scratch = tempfile::tempfile_in(self.scratch_folder)?;
                let layers = recordings.iter_mut().map(|recording| &mut recording.layers[index].values);
                let close = write_list_column(&scratch, column.clone(), layers)?;
                group.append_column(&scratch, close)?;
            }
            group.close()?;
            Ok(())
        };
        write().map_err(into_io)
    }

    /// Adds the rows of a file of the same space, without decoding them.
    pub(super) fn append_file(&mut self, path: &Path) -> io::Result<()> {
        let file = fs_err::File::open(path)?.into_file();
        let mut append = || -> Result<()> {
            let metadata = SerializedFileReader::new(file.try_clone()?)?.metadata().clone();
            for rows in metadata.row_groups() {
                let mut group = self.writer.next_row_group()?;
                for column in rows.columns() {
                    let close = close_result(column.clone(), rows.num_rows() as u64);
                    group.append_column(&file, close)?;
                }
                group.close()?;
            }
            Ok(())
        };
        append().map_err(into_io)
    }

    /// Writes the end of the file.
    pub(super) fn finish(self) -> io::Result<()> {
        self.writer.close().map_err(into_io)?;
        Ok(())
    }
}

/// The schema as parquet text. Nothing is optional.
fn schema(space: &EmbeddingSpace) -> String {
    let list =
        |name: &str, element: &str| format!("required group {name} (LIST) {{ repeated group list {{ {element} }} }}");
    let floats = "required float element;";
    let layers: String = space
        .layers
        .iter()
        .map(|&number| match space.pooling {
            Pooling::None => list(&layer_name(number), &list("element", floats)),
            _ => list(&layer_name(number), floats),
        })
        .collect();
    format!(
        "message recordings {{ required binary path (STRING); required binary space_id (STRING); \
         required double duration_seconds; {layers} }}"
    )
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> Result<()> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("no column left".to_owned()))?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn close_result(metadata: ColumnChunkMetaData, num_rows: u64) -> ColumnCloseResult {
    ColumnCloseResult {
        bytes_written: metadata.compressed_size() as u64,
        rows_written: num_rows,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    }
}

/// Writes the values of one layer, one row per recording, as a column from the start of `file`.
fn write_list_column<'v>(
    file: &File,
    column: ColumnDescPtr,
    rows: impl Iterator<Item = &'v mut LayerValues>,
) -> Result<ColumnCloseResult> {
    let mut out = TrackedWrite::new(file);
    let mut pages =
        PageBuilder { writer: SerializedPageWriter::new(&mut out), page: OpenPage::default(), num_levels: 0 };
    let mut num_rows = 0;
    for values in rows {
        num_rows += 1;
        match values {
            LayerValues::Pooled(vector) => pages.push(0, 1, vector)?,
            LayerValues::Frames(series) if series.num_frames() == 0 => pages.push_empty_row()?,
            LayerValues::Frames(series) => {
                let mut starts_at = 0;
                series.for_each_frame(|frame| {
                    pages.push(starts_at, 2, frame).map_err(into_io)?;
                    starts_at = 1;
                    Ok(())
                })?;
            }
        }
    }
    pages.close_page()?;
    let num_levels = pages.num_levels;
    let num_bytes = out.bytes_written() as i64;
    out.into_inner()?;
    let metadata = ColumnChunkMetaData::builder(column)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_compression(Compression::UNCOMPRESSED)
        .set_num_values(num_levels)
        .set_total_compressed_size(num_bytes)
        .set_total_uncompressed_size(num_bytes)
        .set_data_page_offset(0)
        .build()?;
    Ok(close_result(metadata, num_rows))
}

/// Cuts the values of a column into pages.
struct PageBuilder<'a, 'b> {
    writer: SerializedPageWriter<'a, &'b File>,
    page: OpenPage,
    /// Levels of the whole column: its values, and one for each empty row.
    num_levels: i64,
}

/// The page that is being filled.
#[derive(Default)]
struct OpenPage {
    /// At each value, the depth of the list that it continues: 0 starts a row, 1 a list in it.
    repetition: Runs,
    /// At each value, the number of lists around it; 0 stands for an empty row.
    definition: Runs,
    values: Vec<u8>,
    num_levels: u32,
}

impl PageBuilder<'_, '_> {
    /// Adds one vector, whose values lie `depth` lists deep and whose first value continues the list of `starts_at`.
    fn push(&mut self, starts_at: u8, depth: u8, vector: &[f32]) -> Result<()> {
        let num_values = u32::try_from(vector.len())?;
        self.page.repetition.push(starts_at, 1);
        self.page.repetition.push(depth, num_values.saturating_sub(1));
        self.page.definition.push(depth, num_values);
        write_values(&mut self.page.values, vector)?;
        self.page.num_levels += num_values;
        if self.page.values.len() >= PAGE_BYTES { self.close_page() } else { Ok(()) }
    }

    fn push_empty_row(&mut self) -> Result<()> {
        self.page.repetition.push(0, 1);
        self.page.definition.push(0, 1);
        self.page.num_levels += 1;
        if self.page.num_levels as usize >= PAGE_BYTES { self.close_page() } else { Ok(()) }
    }

    fn close_page(&mut self) -> Result<()> {
        let OpenPage { repetition, definition, values, num_levels } = std::mem::take(&mut self.page);
        if num_levels == 0 {
            return Ok(());
        }
        self.num_levels += i64::from(num_levels);
        let mut bytes = repetition.encode();
        bytes.extend(definition.encode());
        bytes.extend(values);
        let num_bytes = bytes.len();
        let page = Page::DataPage {
            buf: bytes.into(),
            num_values: num_levels,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.writer.write_page(CompressedPage::new(page, num_bytes))?;
        Ok(())
    }
}

/// Levels as runs of equal values: `(level, length)`.
#[derive(Default)]
struct Runs(Vec<(u8, u32)>);

impl Runs {
    fn push(&mut self, level: u8, length: u32) {
        match self.0.last_mut() {
            _ if length == 0 => {}
            Some((last, total)) if *last == level => *total += length,
            _ => self.0.push((level, length)),
        }
    }

    /// The run-length encoding of levels up to 255 (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>),
    /// after its length: each run is twice its length as a variable-length integer, then the level as one byte.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        for &(level, length) in &self.0 {
            let mut rest = u64::from(length) << 1;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.extend([rest as u8, level]);
        }
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    }
}

/// A parquet error as an I/O error: the one that it wraps, if it does.
fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

/// Reads the `space_id` of a file. The directory of a parquet file stands at its end, so a file that was cut short is
/// an error.
pub(super) fn read_space_id(path: &Path) -> std::result::Result<String, StoreError> {
    let reader = open(path)?;
    let entries = reader.metadata().file_metadata().key_value_metadata();
    entries
        .and_then(|entries| entries.iter().find(|entry| entry.key == SPACE_ID_KEY)?.value.clone())
        .ok_or_else(|| StoreError::damaged(path, format!("a metadata entry `{SPACE_ID_KEY}`"), "none"))
}

/// The recordings of a table, in order.
pub(super) fn read_paths(path: &Path) -> std::result::Result<Vec<String>, StoreError> {
    let reader = open(path)?;
    let read = || -> Result<Vec<String>> {
        let mut paths = Vec::new();
        for index in 0..reader.num_row_groups() {
            let group = reader.get_row_group(index)?;
            let num_rows = usize::try_from(group.metadata().num_rows())?;
            let mut column = get_typed_column_reader::<ByteArrayType>(group.get_column_reader(0)?);
            let mut values = Vec::new();
            column.read_records(num_rows, None, None, &mut values)?;
            for value in values {
                paths.push(value.as_utf8()?.to_owned());
            }
        }
        Ok(paths)
    };
    read().map_err(|error| StoreError::damaged(path, "a column of paths", error))
}

fn open(path: &Path) -> std::result::Result<SerializedFileReader<File>, StoreError> {
    let file = std::fs::File::open(path).map_err(|error| StoreError::io("read", path, error))?;
    SerializedFileReader::new(file).map_err(|error| StoreError::damaged(path, "a parquet file of this program", error))
}

#[cfg(test)]
mod tests {
    use ::parquet::record::{Field, ListAccessor, RowAccessor};

    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space, values};
    use crate::store::{EmbeddedLayer, FrameSpool};

    fn write(path: &Path, space: &EmbeddingSpace, groups: Vec<Vec<Embedding>>) {
        let folder = path.parent().unwrap();
        let mut writer = ParquetWriter::new(File::create(path).unwrap(), space, folder).unwrap();
        for mut group in groups {
            writer.write_rows(&mut group).unwrap();
        }
        writer.finish().unwrap();
    }

    /// All floats of a list of floats or of lists, and the lengths of the inner lists.
    fn flat(list: &::parquet::record::List) -> (Vec<f32>, Vec<usize>) {
        let mut inner = Vec::new();
        let mut floats = Vec::new();
        for element in list.elements() {
            match element {
                Field::Float(value) => floats.push(*value),
                Field::ListInternal(list) => {
                    inner.push(list.len());
                    floats.extend((0..list.len()).map(|index| list.get_float(index).unwrap()));
                }
                other => panic!("{other:?}"),
            }
        }
        (floats, inner)
    }

    fn check_rows(path: &Path, expected: &mut [Embedding]) {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(row.get_string(0).unwrap(), &expected.path);
            assert_eq!(row.get_double(2).unwrap(), expected.duration_seconds);
            let floats = values(expected);
            for (index, (layer, floats)) in expected.layers.iter().zip(floats).enumerate() {
                let (found, inner) = flat(row.get_list(3 + index).unwrap());
                assert_eq!(found, floats);
                if let LayerValues::Frames(series) = &layer.values {
                    assert_eq!(inner, vec![series.dim(); series.num_frames() as usize]);
                }
            }
        }
    }

    #[test]
    fn pooled_rows_in_two_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows = || vec![pooled_embedding("a.flac"), pooled_embedding("ü.flac"), pooled_embedding("c")];
        let mut first = rows();
        let second = first.split_off(2);
        write(&path, &pooled_space(), vec![first, second]);
        check_rows(&path, &mut rows());
        assert_eq!(read_paths(&path).unwrap(), ["a.flac", "ü.flac", "c"]);
        assert_eq!(read_space_id(&path).unwrap(), pooled_space().space_id());
    }

    #[test]
    fn frames_are_lists_of_lists_and_may_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows = || vec![frames_embedding("a", 3), frames_embedding("b", 0), frames_embedding("c", 1)];
        write(&path, &frames_space(), vec![rows()]);
        check_rows(&path, &mut rows());
    }

    #[test]
    fn a_row_longer_than_a_page_is_cut_and_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let space = EmbeddingSpace { layer_dims: vec![3, 128], ..frames_space() };
        let rows = || {
            let mut rows = vec![frames_embedding("a", 2), frames_embedding("b", 1)];
            for row in &mut rows {
                let mut spool = FrameSpool::new(5, 128, 1 << 24, folder.path());
                let frames: Vec<f32> = (0..10_000 * 128).map(|index| index as f32).collect();
                spool.push(&frames).unwrap();
                row.layers[1] = EmbeddedLayer { number: 5, values: LayerValues::Frames(spool.finish().unwrap()) };
            }
            rows
        };
        write(&path, &space, vec![rows()]);
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let pages = reader.get_row_group(0).unwrap().get_column_page_reader(4).unwrap().count();
        assert!(pages > 8, "{pages}");
        check_rows(&path, &mut rows());
    }

    #[test]
    fn rows_of_another_file_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old.parquet"), folder.path().join("new.parquet"));
        write(&old, &pooled_space(), vec![vec![pooled_embedding("a")], vec![pooled_embedding("b")]]);
        let mut writer = ParquetWriter::new(File::create(&new).unwrap(), &pooled_space(), folder.path()).unwrap();
        writer.append_file(&old).unwrap();
        writer.write_rows(&mut [pooled_embedding("c")]).unwrap();
        writer.finish().unwrap();
        check_rows(&new, &mut [pooled_embedding("a"), pooled_embedding("b"), pooled_embedding("c")]);
    }

    #[test]
    fn every_shortened_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(&path, &pooled_space(), vec![vec![pooled_embedding("a")]]);
        let bytes = fs_err::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs_err::write(&path, &bytes[..length]).unwrap();
            let error = read_space_id(&path).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error:?}");
        }
    }

    #[test]
    fn levels_are_encoded_as_runs() {
        let mut runs = Runs::default();
        for (level, length) in [(0, 1), (2, 2), (2, 125), (1, 0), (1, 1)] {
            runs.push(level, length);
        }
        // 1 x level 0, 127 x level 2 (twice 127 takes two bytes), 1 x level 1.
        assert_eq!(runs.encode(), [7, 0, 0, 0, 2, 0, 0xfe, 0x01, 2, 2, 1]);
    }
}
