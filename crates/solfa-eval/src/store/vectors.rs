//! Vectors of texts on disk.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde::Serialize;

use super::staged::StagedFile;
use super::{Format, StoreError};

/// A text and its vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextVector {
    /// The text.
    pub text: String,
    /// Its vector in the joint space.
    pub vector: Vec<f32>,
}

/// Writes the vectors of texts, whole or not at all. As safetensors: one tensor `vectors`, `[texts, dim]`, and the texts
/// in the metadata as a JSON list under `texts`. As jsonl: one object a line with `text` and `vector`, and the metadata
/// in each.
///
/// # Errors
/// [`StoreError::UnknownFormat`] for another format, [`StoreError::NonFinite`] for a value that is NaN or infinite,
/// [`StoreError::Full`] or [`StoreError::Io`].
///
/// # Panics
/// If the vectors have different widths: that is a mistake of the program, never of an input.
pub fn write_vectors(
    path: &Path,
    format: Format,
    vectors: &[TextVector],
    metadata: &BTreeMap<&str, String>,
) -> Result<(), StoreError> {
    let dim = vectors.first().map_or(0, |vector| vector.vector.len());
    assert!(vectors.iter().all(|vector| vector.vector.len() == dim), "write_vectors: vectors of different widths");
    for (frame, vector) in vectors.iter().enumerate() {
        if let Some(dimension) = vector.vector.iter().position(|value| !value.is_finite()) {
            let (frame, value) = (Some(frame as u64), vector.vector[dimension]);
            return Err(StoreError::NonFinite { layer: 0, frame, dimension, value });
        }
    }
    match format {
        Format::Safetensors => {
            let texts: Vec<&str> = vectors.iter().map(|vector| vector.text.as_str()).collect();
            let mut strings: HashMap<String, String> =
                metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let bytes: Vec<u8> =
                vectors.iter().flat_map(|vector| vector.vector.iter().flat_map(|value| value.to_le_bytes())).collect();
            StagedFile::write(path, |out| {
                strings.insert("texts".to_owned(), serde_json::to_string(&texts)?);
                let shape = vec![vectors.len(), dim];
                let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(io::Error::other)?;
                out.write_all(&serialize([("vectors", view)], Some(strings)).map_err(io::Error::other)?)
            })?
            .commit()
        }
        Format::Jsonl => {
            #[derive(Serialize)]
            struct Row<'row> {
                #[serde(flatten)]
                vector: &'row TextVector,
                #[serde(flatten)]
                metadata: &'row BTreeMap<&'row str, String>,
            }
            StagedFile::write(path, |out| {
                for vector in vectors {
                    serde_json::to_writer(&mut *out, &Row { vector, metadata })?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            })?
            .commit()
        }
        other => Err(StoreError::UnknownFormat {
            expected: "safetensors or jsonl for vectors of texts".to_owned(),
            found: other.name().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Vec<TextVector> {
        let vector = |text: &str, vector: &[f32]| TextVector { text: text.to_owned(), vector: vector.to_vec() };
        vec![vector("a \"song\"", &[1.0, 2.0, 3.0]), vector("一首歌", &[4.0, 5.0, 6.5])]
    }

    #[test]
    fn vectors_read_back_in_both_formats() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = BTreeMap::from([("model", "toy".to_owned())]);
        let path = folder.path().join("new/texts.safetensors");
        write_vectors(&path, Format::Safetensors, &vectors(), &metadata).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        let tensor = SafeTensors::deserialize(&bytes).unwrap().tensor("vectors").unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, [2, 3].as_slice()));
        assert_eq!(tensor.data()[20..], 6.5f32.to_le_bytes());
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let header = header.metadata().clone().unwrap();
        assert_eq!(header["model"], "toy");
        assert_eq!(serde_json::from_str::<Vec<String>>(&header["texts"]).unwrap(), ["a \"song\"", "一首歌"]);

        let path = folder.path().join("texts.jsonl");
        write_vectors(&path, Format::Jsonl, &vectors(), &metadata).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[1]["text"], &rows[1]["model"]), (&Value::from("一首歌"), &Value::from("toy")));
        assert_eq!(rows[1]["vector"][2], 6.5);
    }

    #[test]
    fn other_formats_and_values_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts.npy");
        let write = |vectors: &[TextVector], format| write_vectors(&path, format, vectors, &BTreeMap::new());
        assert!(matches!(write(&vectors(), Format::Npy), Err(StoreError::UnknownFormat { .. })));
        let mut broken = vectors();
        broken[1].vector[2] = f32::NAN;
        let error = write(&broken, Format::Safetensors).unwrap_err();
        assert!(matches!(error, StoreError::NonFinite { frame: Some(1), dimension: 2, .. }), "{error}");
        assert!(!path.exists());
    }
}
