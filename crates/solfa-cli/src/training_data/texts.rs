//! What a manifest says of its recordings, for methods that learn from words.
//!
//! | field | what |
//! |---|---|
//! | `tags` | a list of texts in JSON; or one text with `,` or `;` between tags, or `;` alone where it has such |
//! | `caption`, `captions` | a sentence, or in JSON a list of them |

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use solfa_learn::recipe::TrackTexts;

use crate::inputs::{PATH_FIELDS, read_text, recording_of};

const TAGS: &str = "tags";
const CAPTIONS: [&str; 2] = ["caption", "captions"];

/// What is said of each recording of a manifest, by its path as [`Inputs`](crate::inputs::Inputs) has it; nothing for what is
/// no `.jsonl` or `.csv`. Rows that are no rows are left to those who read the paths.
///
/// # Errors
/// A file that cannot be read; a field that is neither a text nor a list of texts, with its line.
pub(super) fn of_manifest(manifest: &Path) -> anyhow::Result<HashMap<PathBuf, TrackTexts>> {
    let extension = manifest.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let read = || of_manifest_as(manifest, extension.as_deref());
    read().with_context(|| manifest.display().to_string())
}

fn of_manifest_as(manifest: &Path, extension: Option<&str>) -> anyhow::Result<HashMap<PathBuf, TrackTexts>> {
    let mut texts = HashMap::new();
    let mut add = |path: &str, tags: Vec<String>, captions: Vec<String>| {
        let recording = recording_of(PathBuf::from(path), Some(manifest));
        // Of a recording that is listed twice, the first row is taken, as its path is.
        texts.entry(recording.path).or_insert(TrackTexts { tags, captions });
    };
    match extension {
        Some("jsonl") => {
            for (number, line) in read_text(manifest)?.lines().enumerate() {
                let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
                let Some(path) = PATH_FIELDS.iter().find_map(|field| row.get(field)?.as_str()) else { continue };
                let field = |name: &str| list(row.get(name)).with_context(|| format!("line {}: `{name}`", number + 1));
                let tags = field(TAGS)?
                    .into_iter()
                    .flat_map(|tags| if row[TAGS].is_array() { vec![tags] } else { split(&tags) });
                let [captions, more] = [field(CAPTIONS[0])?, field(CAPTIONS[1])?];
                add(path, tags.collect(), [captions, more].concat());
            }
        }
        Some("csv") => {
            let text = read_text(manifest)?;
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let Ok(header) = reader.headers().cloned() else { return Ok(texts) };
            let column = |name: &str| header.iter().position(|found| found.trim() == name);
            let Some(path) = PATH_FIELDS.iter().find_map(|field| column(field)) else { return Ok(texts) };
            let (tags, captions) = (column(TAGS), CAPTIONS.map(column));
            for record in reader.records() {
                let Ok(record) = record else { continue };
                let of = |column: Option<usize>| column.and_then(|column| record.get(column)).unwrap_or_default();
                let captions = captions.map(|column| of(column).trim().to_owned()).into_iter();
                add(of(Some(path)), split(of(tags)), captions.filter(|caption| !caption.is_empty()).collect());
            }
        }
        _ => {}
    }
    Ok(texts)
}

/// A text, or a list of texts; nothing for a field that is not there or null.
fn list(field: Option<&Value>) -> anyhow::Result<Vec<String>> {
    let text = |value: &Value| {
        value.as_str().map(str::to_owned).with_context(|| format!("expected a text or a list of texts, found {value}"))
    };
    match field {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(text).collect(),
        Some(value) => Ok(vec![text(value)?]),
    }
}

/// Tags that stand in one text.
fn split(text: &str) -> Vec<String> {
    let separator = if text.contains(';') { ';' } else { ',' };
    text.split(separator).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> anyhow::Result<HashMap<PathBuf, TrackTexts>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        of_manifest(&path)
    }

    fn said(tags: &[&str], captions: &[&str]) -> TrackTexts {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        TrackTexts { tags: owned(tags), captions: owned(captions) }
    }

    #[test]
    fn fields_are_texts_or_lists_of_texts() {
        let lines = [
            r#"{"path": "a.wav", "tags": ["rock", "slow, heavy"], "caption": "A slow one."}"#,
            r#"{"audio_path": "b.wav", "tags": "jazz; night, late", "captions": ["One.", "Two."]}"#,
            "",
            r#"{"path": "c.wav", "tags": null}"#,
            r#"{"path": "a.wav", "tags": ["again"]}"#,
        ];
        let texts = read("set.jsonl", &lines.join("\n")).unwrap();
        assert_eq!(texts[Path::new("a.wav")], said(&["rock", "slow, heavy"], &["A slow one."]));
        assert_eq!(texts[Path::new("b.wav")], said(&["jazz", "night, late"], &["One.", "Two."]));
        assert!(texts[Path::new("c.wav")].is_empty());
        let error = format!("{:#}", read("set.jsonl", r#"{"path": "a.wav", "tags": [3]}"#).unwrap_err());
        assert!(error.ends_with("set.jsonl: line 1: `tags`: expected a text or a list of texts, found 3"), "{error}");
    }

    #[test]
    fn columns_of_a_table_are_read_and_other_files_say_nothing() {
        let texts = read("set.csv", "path,tags,caption\na.wav,\"rock, slow\",Nice.\nb.wav,,\n").unwrap();
        assert_eq!(texts[Path::new("a.wav")], said(&["rock", "slow"], &["Nice."]));
        assert!(texts[Path::new("b.wav")].tidy().is_empty());
        assert!(read("list.txt", "a.wav").unwrap().is_empty());
        assert!(read("set.csv", "title\nx\n").unwrap().is_empty());
    }
}
