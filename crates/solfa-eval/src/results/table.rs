//! The table on disk: rows are appended as JSON lines and never changed; a Parquet copy is made of all of them.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LayerWeights, PairedComparison, RESULT_SCHEMA, ResultRow};
use crate::store::StoreError;
use crate::store::staged::StagedFile;

/// A folder of results.
#[derive(Clone, Debug)]
pub struct ResultFolder {
    folder: PathBuf,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLine {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl ResultFolder {
    /// The results in `folder`, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The file of rows.
    pub fn rows_path(&self) -> PathBuf {
        self.folder.join("results.jsonl")
    }

    /// The file of learned weights of layers.
    pub fn layer_weights_path(&self) -> PathBuf {
        self.folder.join("layer-weights.jsonl")
    }

    /// All rows, in the order they were written, and the lines that are none (a killed run can leave half a line).
    ///
    /// # Errors
    /// The file is there and cannot be read. A folder without it has no rows.
    pub fn rows(&self) -> Result<(Vec<ResultRow>, Vec<BrokenLine>), StoreError> {
        let (rows, mut broken) = read_lines::<ResultRow>(&self.rows_path())?;
        let (known, unknown): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.schema == RESULT_SCHEMA);
        broken.extend(unknown.into_iter().map(|(line, row)| BrokenLine {
            line,
            reason: format!("expected schema {RESULT_SCHEMA}, found {}", row.schema),
        }));
        broken.sort_by_key(|broken| broken.line);
        Ok((known.into_iter().map(|(_, row)| row).collect(), broken))
    }

    /// All learned weights of layers, and the lines that are none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn layer_weights(&self) -> Result<(Vec<LayerWeights>, Vec<BrokenLine>), StoreError> {
        let (weights, broken) = read_lines::<LayerWeights>(&self.layer_weights_path())?;
        Ok((weights.into_iter().map(|(_, weights)| weights).collect(), broken))
    }

    /// The runs that are there already: [`ResultRow::run`] of every row.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn runs(&self) -> Result<HashSet<String>, StoreError> {
        Ok(self.rows()?.0.into_iter().map(|row| row.run).collect())
    }

    /// Appends rows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, rows: &[ResultRow]) -> Result<(), StoreError> {
        append_lines(&self.rows_path(), rows)
    }

    /// Appends learned weights of layers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append_layer_weights(&self, weights: &[LayerWeights]) -> Result<(), StoreError> {
        append_lines(&self.layer_weights_path(), weights)
    }

    /// Writes `comparisons.jsonl`, whole or not at all, in the place of the one that is there: it follows from the rows and
    /// predictions.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_comparisons(&self, comparisons: &[PairedComparison]) -> Result<PathBuf, StoreError> {
        let path = self.folder.join("comparisons.jsonl");
        let staged = StagedFile::write(&path, |out| {
            for comparison in comparisons {
                serde_json::to_writer(&mut *out, comparison)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        staged.commit()?;
        Ok(path)
    }

    /// Writes `results.parquet` of all rows, whole or not at all.
    ///
    /// # Errors
    /// Rows cannot be read, or the file not written.
    pub fn write_parquet(&self) -> Result<PathBuf, StoreError> {
        let (rows, _) = self.rows()?;
        let path = self.folder.join("results.parquet");
        StagedFile::write(&path, |out| write_parquet(out, &rows).map_err(std::io::Error::other))?.commit()?;
        Ok(path)
    }
}

/// A value with the number of its line.
type Numbered<T> = (usize, T);

/// Lines with their numbers, and those that are not of the type.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<Numbered<T>>, Vec<BrokenLine>), StoreError> {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    if !path.exists() {
        return Ok((found, broken));
    }
    let failed = |error| StoreError::io("read", path, error);
    for (index, line) in BufReader::new(File::open(path).map_err(failed)?).split(b'\n').enumerate() {
        let line = line.map_err(failed)?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(value) => found.push((index + 1, value)),
            Err(error) => broken.push(BrokenLine { line: index + 1, reason: error.to_string() }),
        }
    }
    Ok((found, broken))
}

/// Appends lines by one write, after a line break where the last line was cut short.
fn append_lines<T: Serialize>(path: &Path, values: &[T]) -> Result<(), StoreError> {
    if values.is_empty() {
        return Ok(());
    }
    let failed = |error| StoreError::io("write", path, error);
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(|error| StoreError::io("create the folder", folder, error))?;
    }
    let ends_whole = fs_err::read(path).map_or(true, |bytes| bytes.last().is_none_or(|&last| last == b'\n'));
    let mut text = if ends_whole { String::new() } else { "\n".to_owned() };
    for value in values {
        text += &serde_json::to_string(value).map_err(|error| failed(error.into()))?;
        text.push('\n');
    }
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)
}

/// One column: its name, and how a row fills it.
enum Column {
    Text(&'static str, fn(&ResultRow) -> Option<&str>),
    Number(&'static str, fn(&ResultRow) -> Option<f64>),
    Count(&'static str, fn(&ResultRow) -> Option<i64>),
    Flag(&'static str, fn(&ResultRow) -> bool),
}

const COLUMNS: [Column; 27] = [
    Column::Count("schema", |row| Some(i64::from(row.schema))),
    Column::Text("time", |row| Some(&row.time)),
    Column::Text("run", |row| Some(&row.run)),
    Column::Text("task", |row| Some(&row.task)),
    Column::Text("dataset", |row| Some(&row.dataset)),
    Column::Text("dataset_sha256", |row| Some(&row.dataset_sha256)),
    Column::Text("encoder", |row| Some(&row.encoder)),
    Column::Text("space_id", |row| Some(&row.space_id)),
    Column::Text("layer", |row| Some(&row.layer)),
    Column::Text("head", |row| Some(&row.head)),
    Column::Text("protocol", |row| Some(&row.protocol)),
    Column::Number("label_fraction", |row| Some(row.label_fraction)),
    Column::Count("draw", |row| Some(i64::from(row.draw))),
    Column::Count("seed", |row| row.seed.map(|seed| seed as i64)),
    Column::Number("learning_rate", |row| row.learning_rate),
    Column::Count("epochs", |row| row.epochs.map(i64::from)),
    Column::Count("num_train", |row| Some(row.num_train as i64)),
    Column::Count("num_validation", |row| Some(row.num_validation as i64)),
    Column::Count("num_test", |row| Some(row.num_test as i64)),
    Column::Text("metric", |row| Some(&row.metric)),
    Column::Flag("is_headline", |row| row.is_headline),
    Column::Number("value", |row| Some(row.value)),
    Column::Number("low", |row| row.low),
    Column::Number("high", |row| row.high),
    Column::Number("validation", |row| row.validation),
    Column::Text("predictions", |row| row.predictions.as_deref()),
    Column::Text("program_version", |row| Some(&row.program_version)),
];

impl Column {
    fn schema(&self) -> parquet::errors::Result<Type> {
        let (name, physical) = match self {
            Self::Text(name, _) => (name, PhysicalType::BYTE_ARRAY),
            Self::Number(name, _) => (name, PhysicalType::DOUBLE),
            Self::Count(name, _) => (name, PhysicalType::INT64),
            Self::Flag(name, _) => (name, PhysicalType::BOOLEAN),
        };
        let text = matches!(self, Self::Text(..)).then_some(LogicalType::String);
        let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        builder.with_logical_type(text).build()
    }

    fn write<W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        rows: &[ResultRow],
    ) -> parquet::errors::Result<()> {
        let Some(mut column) = group.next_column()? else {
            return Err(parquet::errors::ParquetError::General("a column is missing".to_owned()));
        };
        macro_rules! write_as {
            ($type:ty, $values:expr) => {{
                let values: Vec<Option<_>> = $values.collect();
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let present: Vec<_> = values.into_iter().flatten().collect();
                column.typed::<$type>().write_batch(&present, Some(&levels), None)?;
            }};
        }
        match self {
            Self::Text(_, of) => write_as!(ByteArrayType, rows.iter().map(|row| of(row).map(ByteArray::from))),
            Self::Number(_, of) => write_as!(DoubleType, rows.iter().map(of)),
            Self::Count(_, of) => write_as!(Int64Type, rows.iter().map(of)),
            Self::Flag(_, of) => write_as!(BoolType, rows.iter().map(|row| Some(of(row)))),
        }
        column.close()
    }
}

fn write_parquet(out: impl Write + Send, rows: &[ResultRow]) -> parquet::errors::Result<()> {
    let fields = COLUMNS.iter().map(|column| column.schema().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("solfa_results").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(out, schema, Arc::default())?;
    let mut group = writer.next_row_group()?;
    for column in &COLUMNS {
        column.write(&mut group, rows)?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    fn row(run: &str, seed: Option<u64>) -> ResultRow {
        ResultRow {
            schema: RESULT_SCHEMA,
            time: "2026-11-21T10:00:00Z".to_owned(),
            run: run.to_owned(),
            task: "gtzan-genre".to_owned(),
            dataset: "gtzan.jsonl".to_owned(),
            dataset_sha256: "ab".repeat(32),
            encoder: "mel".to_owned(),
            space_id: "cd".repeat(16),
            layer: "0".to_owned(),
            head: "linear".to_owned(),
            protocol: "linear".to_owned(),
            label_fraction: 1.0,
            draw: 0,
            seed,
            learning_rate: Some(1e-3),
            epochs: None,
            num_train: 8,
            num_validation: 1,
            num_test: 1,
            metric: "accuracy".to_owned(),
            is_headline: true,
            value: 0.1 + 0.2,
            low: None,
            high: None,
            validation: Some(0.5),
            predictions: None,
            program_version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn rows_are_appended_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultFolder::new(folder.path().join("new/results"));
        assert_eq!(results.rows().unwrap().0, []);
        results.append(&[row("a", Some(1)), row("a", Some(2))]).unwrap();
        results.append(&[row("b", None)]).unwrap();
        let (rows, broken) = results.rows().unwrap();
        assert_eq!(rows, [row("a", Some(1)), row("a", Some(2)), row("b", None)]);
        assert_eq!(broken, []);
        assert_eq!(results.runs().unwrap(), HashSet::from(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn half_a_line_is_named_and_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultFolder::new(folder.path());
        results.append(&[row("a", Some(1))]).unwrap();
        let text = fs_err::read_to_string(results.rows_path()).unwrap();
        fs_err::write(results.rows_path(), &text[..text.len() / 2]).unwrap();
        results.append(&[row("b", Some(1))]).unwrap();
        let (rows, broken) = results.rows().unwrap();
        assert_eq!((rows.len(), rows[0].run.as_str()), (1, "b"));
        assert_eq!((broken.len(), broken[0].line), (1, 1));
    }

    #[test]
    fn rows_of_another_schema_are_not_taken_for_ours() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultFolder::new(folder.path());
        results.append(&[ResultRow { schema: 99, ..row("a", None) }]).unwrap();
        let (rows, broken) = results.rows().unwrap();
        assert!(rows.is_empty());
        assert!(broken[0].reason.contains("99"), "{broken:?}");
    }

    #[test]
    fn parquet_has_every_field() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultFolder::new(folder.path());
        results.append(&[row("a", Some(1)), row("b", None)]).unwrap();
        let path = results.write_parquet().unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let expected = [row("a", Some(1)), row("b", None)].map(|row| serde_json::to_value(row).unwrap());
        for (found, expected) in rows.iter().zip(&expected) {
            let columns: Vec<(&String, &Field)> = found.get_column_iter().collect();
            let fields: Vec<_> = expected.as_object().unwrap().iter().collect();
            assert_eq!(columns.len(), fields.len(), "every field of a row is a column");
            for ((column, found), (name, value)) in columns.into_iter().zip(fields) {
                assert_eq!(column, name, "columns in the order of fields");
                let same = match found {
                    Field::Null => value.is_null(),
                    Field::Bool(found) => value.as_bool() == Some(*found),
                    Field::Long(found) => value.as_i64() == Some(*found),
                    Field::Double(found) => value.as_f64() == Some(*found),
                    Field::Str(found) => value.as_str() == Some(found),
                    _ => false,
                };
                assert!(same, "{name}: {value} and {found}");
            }
        }
        assert_eq!(rows.len(), 2);
    }
}
