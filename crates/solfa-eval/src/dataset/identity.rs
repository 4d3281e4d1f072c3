//! The identity of a data set: a hash of what its rows say.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};
use solfa_signal::encoder::sha256_hex;

use super::Record;

/// Fields that describe a file's format, which a decoder knows better than a row.
const FORMAT_FIELDS: [&str; 6] = ["duration", "sample_rate", "num_samples", "bit_depth", "channels", "bitrate"];

/// SHA-256 over the rows as people mean them, so that it is the same wherever the recordings lie and however the file is
/// written:
///
/// - the order of the lines does not count, nor that of the fields in a line;
/// - one file with `split` in its rows gives the same as three files;
/// - folders that all recordings share are left out of their paths;
/// - what a row says of the file's format (`duration`, `sample_rate`, `num_samples`, `bit_depth`, `channels`, `bitrate`) is
///   left out.
///
/// Each row is written as JSON with its fields in alphabetical order, the texts are sorted, and a line feed follows each.
pub(super) fn sha256_of(records: &[Record]) -> String {
    let shared = shared_folder(records);
    let mut lines: Vec<String> = records.iter().map(|record| canonical(record, &shared)).collect();
    lines.sort_unstable();
    sha256_hex(lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
}

fn canonical(record: &Record, shared: &Path) -> String {
    let mut fields = match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.retain(|name, value| !FORMAT_FIELDS.contains(&name.as_str()) && !value.is_null());
    for name in ["audio_path", "ori_audio_path"] {
        if let Some(Value::String(path)) = fields.get_mut(name) {
            *path = without(path, shared);
        }
    }
    // Stems are recordings as well.
    if let Some(Value::Object(stems)) = fields.get_mut("label").and_then(|label| label.get_mut("stems")) {
        for stem in stems.values_mut() {
            if let Value::String(path) = stem {
                *path = without(path, shared);
            }
        }
    }
    sorted(Value::Object(fields)).to_string()
}

/// The value with the fields of all objects in alphabetical order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn shared_folder(records: &[Record]) -> PathBuf {
    let mut folders = records.iter().map(|record| Path::new(&record.audio_path).parent().unwrap_or(Path::new("")));
    let mut shared: Vec<Component> = folders.next().map(|first| first.components().collect()).unwrap_or_default();
    for folder in folders {
        let same = shared.iter().zip(folder.components()).take_while(|(one, other)| *one == other).count();
        shared.truncate(same);
    }
    shared.into_iter().collect()
}

fn without(path: &str, shared: &Path) -> String {
    match Path::new(path).strip_prefix(shared) {
        Ok(rest) => rest.to_string_lossy().into_owned(),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(lines: &[&str]) -> String {
        let records: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        sha256_of(&records)
    }

    const ONE: &str = r#"{"audio_path": "data/a/1.wav", "label": "x", "split": "train"}"#;
    const TWO: &str = r#"{"audio_path": "data/b/2.wav", "label": {"beat": [1.0], "tempo": 2}, "split": "test"}"#;

    #[test]
    fn the_hash_is_what_sha256sum_prints_for_the_canonical_lines() {
        // printf '{"audio_path":"a/1.wav","label":"x","split":"train"}\n{"audio_path":"b/2.wav",...}\n' | sha256sum
        let lines = "{\"audio_path\":\"a/1.wav\",\"label\":\"x\",\"split\":\"train\"}\n\
                     {\"audio_path\":\"b/2.wav\",\"label\":{\"beat\":[1.0],\"tempo\":2},\"split\":\"test\"}\n";
        assert_eq!(hash(&[ONE, TWO]), sha256_hex(lines));
    }

    #[test]
    fn only_what_the_rows_mean_counts() {
        let expected = hash(&[ONE, TWO]);
        assert_eq!(hash(&[TWO, ONE]), expected);
        let elsewhere =
            r#"{"split": "train", "label": "x", "audio_path": "/music/a/1.wav", "duration": 3.0, "channels": 2}"#;
        let reordered = r#"{"label": {"tempo": 2, "beat": [1.0]}, "split": "test", "audio_path": "/music/b/2.wav"}"#;
        assert_eq!(hash(&[elsewhere, reordered]), expected);
        for changed in [
            ONE.replace("\"x\"", "\"y\""),
            ONE.replace("train", "val"),
            ONE.replace("1.wav", "3.wav"),
            ONE.replace("\"x\"", "\"x\", \"ori_uid\": \"p\""),
            ONE.replace("\"x\"", "\"x\", \"segment_start\": 30.0"),
        ] {
            assert_ne!(hash(&[&changed, TWO]), expected, "{changed}");
        }
        assert_ne!(hash(&[ONE]), expected);
    }

    #[test]
    fn stems_move_with_their_mixture() {
        let row = |folder: &str| {
            let label = format!(r#"{{"stems": {{"bass": "{folder}/bass.wav"}}}}"#);
            format!(r#"{{"audio_path": "{folder}/mixture.wav", "label": {label}, "split": "test"}}"#)
        };
        assert_eq!(hash(&[&row("here/song")]), hash(&[&row("/there")]));
    }
}
