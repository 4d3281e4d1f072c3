//! One JSON object per line and recording.
//!
//! ```text
//! {"path": "a.flac", "space_id": "…", "duration_seconds": 12.25, "layers": {"5": [0.5, …]}, "vector": [0.5, …]}
//! ```
//!
//! `vector` repeats the layer where there is one layer and a pooling. Without a pooling a layer is a list of frames.
//! Numbers are in the shortest form that reads back as the same 32-bit float.

use std::io::{self, BufReader, Write};
use std::path::Path;

use serde::Deserialize;

use super::{Embedding, LayerValues, StoreError};

/// Writes the row of one recording, frame by frame.
pub(super) fn write_row(out: &mut impl Write, space_id: &str, embedding: &mut Embedding) -> io::Result<()> {
    out.write_all(b"{\"path\":")?;
    serde_json::to_writer(&mut *out, &embedding.path)?;
    out.write_all(b",\"space_id\":")?;
    serde_json::to_writer(&mut *out, space_id)?;
    out.write_all(b",\"duration_seconds\":")?;
    serde_json::to_writer(&mut *out, &embedding.duration_seconds)?;
    out.write_all(b",\"layers\":{")?;
    for (index, layer) in embedding.layers.iter_mut().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}\"{}\":", layer.number)?;
        match &mut layer.values {
            LayerValues::Pooled(vector) => serde_json::to_writer(&mut *out, vector)?,
            LayerValues::Frames(series) => {
                let mut separator: &[u8] = b"[";
                series.for_each_frame(|frame| {
                    out.write_all(separator)?;
                    separator = b",";
                    Ok(serde_json::to_writer(&mut *out, frame)?)
                })?;
                out.write_all(if series.num_frames() == 0 { b"[]" } else { b"]" })?;
            }
        }
    }
    out.write_all(b"}")?;
    if let [layer] = &embedding.layers[..]
        && let LayerValues::Pooled(vector) = &layer.values
    {
        out.write_all(b",\"vector\":")?;
        serde_json::to_writer(&mut *out, vector)?;
    }
    out.write_all(b"}\n")
}

/// What is read of a row to know which recordings a table has.
#[derive(Deserialize)]
struct RowHead {
    path: String,
}

/// The recordings of a table, in order. Rows are read as a stream: a row can be longer than memory.
pub(super) fn read_paths(path: &Path) -> Result<Vec<String>, StoreError> {
    let file = std::fs::File::open(path).map_err(|error| StoreError::io("read", path, error))?;
    let rows = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<RowHead>();
    rows.map(|row| match row {
        Ok(head) => Ok(head.path),
        Err(error) if error.is_io() => Err(StoreError::io("read", path, error.into())),
        Err(error) => Err(StoreError::damaged(path, "rows with a `path`", error)),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::store::fixtures::{frames_embedding, last_layer, pooled_embedding, values};

    fn row(embedding: &mut Embedding) -> (String, Value) {
        let mut bytes = Vec::new();
        write_row(&mut bytes, "some-space", embedding).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        (text.clone(), serde_json::from_str(&text).unwrap())
    }

    fn floats(list: &Value) -> Vec<f32> {
        serde_json::from_value(list.clone()).unwrap()
    }

    #[test]
    fn a_row_of_several_layers() {
        let mut embedding = pooled_embedding("a\n\"b\".flac");
        let (text, row) = row(&mut embedding);
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["path", "space_id", "duration_seconds", "layers"]);
        assert_eq!(row["path"], "a\n\"b\".flac");
        assert_eq!(row["space_id"], "some-space");
        assert_eq!(row["duration_seconds"], 12.25);
        assert_eq!([floats(&row["layers"]["0"]), floats(&row["layers"]["5"])][..], values(&mut embedding)[..]);
        assert!(text.starts_with(
            r#"{"path":"a\n\"b\".flac","space_id":"some-space","duration_seconds":12.25,"layers":{"0":["#
        ));
    }

    #[test]
    fn a_row_of_one_layer_has_its_vector() {
        let (_, row) = row(&mut last_layer(pooled_embedding("a")));
        assert_eq!(row["vector"], row["layers"]["5"]);
    }

    #[test]
    fn frames_are_lists_of_lists() {
        let mut embedding = frames_embedding("a", 5);
        let (_, row) = row(&mut embedding);
        let expected = values(&mut embedding);
        for (number, expected) in ["0", "5"].iter().zip(expected) {
            let frames = row["layers"][number].as_array().unwrap();
            assert_eq!(frames.iter().flat_map(floats).collect::<Vec<f32>>(), expected);
        }
        assert_eq!(row["layers"]["5"].as_array().unwrap().len(), 5);
        assert!(row.get("vector").is_none());
        let (_, empty) = self::row(&mut frames_embedding("a", 0));
        assert_eq!(empty["layers"]["0"], Value::Array(vec![]));
    }

    #[test]
    fn numbers_are_in_shortest_form() {
        let mut embedding = last_layer(pooled_embedding("a"));
        let awkward = [0.1, 1.0 / 3.0, -0.0, f32::MIN_POSITIVE, f32::MAX, 1.0e-45, 16_777_216.0];
        embedding.layers[0].values = LayerValues::Pooled(awkward.to_vec());
        let (text, row) = row(&mut embedding);
        assert!(text.contains("[0.1,0.33333334,-0.0,"), "{text}");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&floats(&row["vector"])), bits(&awkward));
    }
}
