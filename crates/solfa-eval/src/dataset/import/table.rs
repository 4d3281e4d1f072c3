//! Tables as text, with a line of names on top.

use std::path::{Path, PathBuf};

use super::ImportError;

/// A table whose cells are known by the name of their column.
pub(super) struct Table {
    path: PathBuf,
    names: Vec<String>,
    rows: Vec<Row>,
}

/// A row of a [`Table`].
pub(super) struct Row {
    /// Its line in the file, from 1 on.
    pub(super) line: usize,
    cells: Vec<String>,
}

impl Row {
    /// The cell of a column, without spaces around it; empty where the row ends before it.
    pub(super) fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    pub(super) fn num_cells(&self) -> usize {
        self.cells.len()
    }
}

impl Table {
    /// Reads a file. Rows may be shorter or longer than the first one.
    pub(super) fn read(path: &Path, delimiter: u8) -> Result<Self, ImportError> {
        let failed = |error: csv::Error| match error.position() {
            Some(position) => {
                ImportError::Line { path: path.to_owned(), line: position.line() as usize, reason: error.to_string() }
            }
            None => ImportError::file(path, error),
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(failed)?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = record.position().map_or(0, |position| position.line() as usize);
            rows.push(Row { line, cells: record.iter().map(str::to_owned).collect() });
        }
        if rows.is_empty() {
            return Err(ImportError::file(path, "expected a line with the names of columns, found an empty file"));
        }
        let mut names = rows.remove(0).cells;
        if let Some(first) = names.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_owned();
        }
        Ok(Self { path: path.to_owned(), names, rows })
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The place of the column with this name.
    pub(super) fn column(&self, name: &str) -> Result<usize, ImportError> {
        self.names.iter().position(|known| known == name).ok_or_else(|| {
            ImportError::file(
                &self.path,
                format!("expected a column `{name}`, found the columns {}", self.names.join(", ")),
            )
        })
    }

    /// That a row is wrong.
    pub(super) fn error(&self, row: &Row, reason: impl Into<String>) -> ImportError {
        ImportError::Line { path: self.path.clone(), line: row.line, reason: reason.into() }
    }

    /// The number in a cell.
    pub(super) fn number(&self, row: &Row, column: usize) -> Result<f64, ImportError> {
        let text = row.cell(column);
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.error(row, format!("expected a number in `{}`, found `{text}`", self.names[column])))
    }
}
