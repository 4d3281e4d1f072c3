//! The lines of a text file, and numbers in them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::AnnotationError;
use crate::metrics::intervals::MAXIMUM_SECONDS;

/// The largest annotation that is read: a day of melody in frames of 3 ms has less.
pub const MAXIMUM_BYTES: u64 = 64 << 20;

/// How much of a wrong line is quoted.
const MAXIMUM_QUOTED_CHARACTERS: usize = 60;

/// A text file.
pub(super) struct Lines {
    path: PathBuf,
    text: String,
}

impl Lines {
    pub(super) fn read(path: &Path) -> Result<Self, AnnotationError> {
        let bytes = read_bytes(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            not_text(path, before_zero(error.as_bytes(), valid))
        })?;
        match before_zero(text.as_bytes(), text.len()) {
            whole if whole.len() == text.len() => {}
            before => return Err(not_text(path, before)),
        }
        Ok(Self { path: path.to_owned(), text })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All of the text, without a byte order mark.
    pub(super) fn text(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// The lines that are neither empty nor comments.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let lines = self.text().lines().enumerate();
        lines
            .map(|(index, line)| Row { path: &self.path, number: index + 1, text: line.trim() })
            .filter(|row| !row.text.is_empty() && !row.text.starts_with('#'))
    }

    /// That the content as a whole is wrong.
    pub(super) fn content(&self, expected: impl Into<String>, found: impl Into<String>) -> AnnotationError {
        AnnotationError::Content { path: self.path.clone(), expected: expected.into(), found: found.into() }
    }
}

/// All bytes of a file that is not too large.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, AnnotationError> {
    let failed = |source| AnnotationError::Read { path: path.to_owned(), source };
    let file = fs_err::File::open(path).map_err(failed)?;
    let num_bytes = file.metadata().map_err(failed)?.len();
    if num_bytes > MAXIMUM_BYTES {
        return Err(AnnotationError::TooLarge { path: path.to_owned(), num_bytes, limit: MAXIMUM_BYTES });
    }
    let mut bytes = Vec::new();
    // A pipe or a device says no size: one byte more than allowed shows that it is too large.
    file.take(MAXIMUM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        let num_bytes = bytes.len() as u64;
        return Err(AnnotationError::TooLarge { path: path.to_owned(), num_bytes, limit: MAXIMUM_BYTES });
    }
    Ok(bytes)
}

/// What comes before the first zero byte, or before `end`.
fn before_zero(bytes: &[u8], end: usize) -> &[u8] {
    let zero = bytes[..end].iter().position(|&byte| byte == 0);
    &bytes[..zero.unwrap_or(end)]
}

/// That what follows these bytes is no text.
fn not_text(path: &Path, text_before: &[u8]) -> AnnotationError {
    let line = 1 + text_before.iter().filter(|&&byte| byte == b'\n').count();
    AnnotationError::NotText { path: path.to_owned(), line }
}

/// One line of a file.
#[derive(Clone, Copy)]
pub(super) struct Row<'text> {
    path: &'text Path,
    pub(super) number: usize,
    pub(super) text: &'text str,
}

impl<'text> Row<'text> {
    pub(super) fn error(&self, expected: impl Into<String>, found: impl std::fmt::Display) -> AnnotationError {
        AnnotationError::Line {
            path: self.path.to_owned(),
            line: self.number,
            expected: expected.into(),
            found: quoted(&found.to_string()),
        }
    }

    /// That the label is wrong, and nothing else of the line.
    pub(super) fn label_error(&self, expected: impl Into<String>, found: &str) -> AnnotationError {
        AnnotationError::Label {
            path: self.path.to_owned(),
            line: self.number,
            expected: expected.into(),
            found: quoted(found),
        }
    }

    /// Exactly so many numbers, separated by spaces, tabs or commas. `form` is what such a line looks like.
    pub(super) fn numbers<const COUNT: usize>(&self, form: &str) -> Result<[f64; COUNT], AnnotationError> {
        let mut numbers = [0.0; COUNT];
        let mut columns = self.numeric_columns();
        for number in &mut numbers {
            let column = columns.next().ok_or_else(|| self.error(format!("`{form}`"), self.text))?;
            *number = self.number(column)?;
        }
        match columns.next() {
            None => Ok(numbers),
            Some(_) => Err(self.error(format!("`{form}`"), self.text)),
        }
    }

    /// The columns of a line of numbers.
    pub(super) fn numeric_columns(&self) -> impl Iterator<Item = &'text str> + use<'text> {
        self.text.split(|character: char| character.is_whitespace() || character == ',').filter(|part| !part.is_empty())
    }

    /// So many words, and the rest of the line, which may have spaces.
    pub(super) fn words_and_rest<const COUNT: usize>(
        &self,
        form: &str,
    ) -> Result<([&'text str; COUNT], &'text str), AnnotationError> {
        let mut words = [""; COUNT];
        let mut rest = self.text;
        for word in &mut words {
            let (first, behind) =
                rest.split_once(char::is_whitespace).ok_or_else(|| self.error(format!("`{form}`"), self.text))?;
            (*word, rest) = (first, behind.trim_start());
        }
        Ok((words, rest))
    }

    /// A finite number.
    pub(super) fn number(&self, text: &str) -> Result<f64, AnnotationError> {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.error("a finite number", text))
    }

    /// A time in seconds that an annotation may have.
    pub(super) fn check_time(&self, seconds: f64) -> Result<(), AnnotationError> {
        if seconds > MAXIMUM_SECONDS {
            return Err(self.error(format!("a time in seconds of at most {MAXIMUM_SECONDS}"), seconds));
        }
        Ok(())
    }
}

/// The start of a text, if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAXIMUM_QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, message};
    use super::*;

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        let folder = Folder::new();
        for (name, bytes) in [("zero.txt", &b"1.0\n2.0\n3\0"[..]), ("latin.txt", &b"1.0\n2.0\n\xe9"[..])] {
            let error = message(Lines::read(&folder.write(name, bytes)));
            assert!(error.contains(name) && error.contains("line 3: text in UTF-8"), "{error}");
        }
        let missing = message(Lines::read(&folder.path("missing.txt")));
        assert!(missing.contains("missing.txt") && missing.contains("No such file"), "{missing}");
        assert!(Lines::read(&folder.path(".")).is_err());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = Folder::new();
        let path = folder.write("large.txt", b"");
        fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(MAXIMUM_BYTES + 1).unwrap();
        assert!(message(Lines::read(&path)).contains("67108865 bytes, and an annotation of at most 67108864"));
    }

    #[test]
    fn comments_empty_lines_and_marks_are_skipped() {
        let folder = Folder::new();
        let lines = Lines::read(&folder.write("a.txt", "\u{feff}# times\r\n\r\n 1.5\t2 \r\n".as_bytes())).unwrap();
        let rows: Vec<_> = lines.rows().map(|row| (row.number, row.text)).collect();
        assert_eq!(rows, [(3, "1.5\t2")]);
    }

    #[test]
    fn long_lines_are_quoted_in_part() {
        assert_eq!(quoted("short"), "short");
        assert_eq!(quoted(&"é".repeat(100)), format!("{}...", "é".repeat(60)));
    }
}
