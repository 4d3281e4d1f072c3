//! The safetensors format: <https://github.com/huggingface/safetensors#format>.
//!
//! Written by hand because the tensors are not in memory: the length of the header (64 bits, little-endian), the header
//! as JSON padded with spaces to a multiple of 8 bytes, then the tensors' bytes one after the other.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::embedding::layer_name;
use super::spool::{read_values, write_values};
use super::{EmbeddedLayer, Embedding, FrameSeries, LayerValues, Metadata, StoreError};

/// The longest header that is read, in bytes: the limit of the safetensors library.
const MAX_HEADER_BYTES: u64 = 100_000_000;

const DTYPE_NAME: &str = "F32";

#[derive(Serialize, Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Writes one tensor `layer_<i>` per layer.
pub(super) fn write(out: &mut impl Write, metadata: &Metadata, embedding: &mut Embedding) -> io::Result<()> {
    out.write_all(&header(metadata, embedding)?)?;
    for layer in &mut embedding.layers {
        write_layer(out, &mut layer.values)?;
    }
    Ok(())
}

/// The header with its length, padded.
fn header(metadata: &Metadata, embedding: &Embedding) -> io::Result<Vec<u8>> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), serde_json::to_value(metadata.to_strings()?)?);
    let mut offset = 0;
    for layer in &embedding.layers {
        let end = offset + layer.values.num_bytes();
        let info =
            TensorInfo { dtype: DTYPE_NAME.to_owned(), shape: layer.values.shape(), data_offsets: [offset, end] };
        header.insert(layer.name(), serde_json::to_value(info)?);
        offset = end;
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

/// Writes the bytes of one layer, exactly as many as its shape says.
pub(super) fn write_layer(out: &mut impl Write, values: &mut LayerValues) -> io::Result<()> {
    let expected = values.num_bytes();
    let written = match values {
        LayerValues::Pooled(vector) => return write_values(out, vector),
        LayerValues::Frames(series) => io::copy(&mut series.bytes()?, out)?,
    };
    if written != expected {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the frames hold {written} bytes, expected {expected}"),
        ));
    }
    Ok(())
}

/// Reads a file that [`write`] wrote: pooled vectors into memory, frames left in the file.
///
/// The length of the file is checked against the header, so a file that was cut short is an error; the values are not
/// read.
pub(super) fn read(path: &Path) -> Result<(Metadata, Embedding), StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    if file_bytes < 8 {
        return Err(StoreError::damaged(path, "a safetensors header", format!("a file of {file_bytes} bytes")));
    }
    file.read_exact(&mut length).map_err(failed)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES.min(file_bytes - 8) {
        return Err(StoreError::damaged(path, "a safetensors header", format!("a length of {header_bytes} bytes")));
    }
    let mut text = vec![0; header_bytes as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let damaged = |error: serde_json::Error| StoreError::damaged(path, "a safetensors header of this program", error);
    let mut header: Map<String, Value> = serde_json::from_slice(&text).map_err(damaged)?;
    let strings: BTreeMap<String, String> =
        serde_json::from_value(header.remove("__metadata__").unwrap_or_default()).map_err(damaged)?;
    let metadata = Metadata::from_strings(strings).map_err(damaged)?;
    metadata.space.check().map_err(|error| StoreError::damaged(path, "metadata that fit each other", error))?;

    let data_start = 8 + header_bytes;
    let mut layers = Vec::new();
    let mut end = 0;
    for &number in &metadata.space.layers {
        let name = layer_name(number);
        let info = header.remove(&name).ok_or_else(|| StoreError::damaged(path, format!("a tensor {name}"), "none"))?;
        let info: TensorInfo = serde_json::from_value(info).map_err(damaged)?;
        let [start, stop] = info.data_offsets;
        let expected = info.shape.iter().try_fold(size_of::<f32>() as u64, |bytes, &size| bytes.checked_mul(size));
        if info.dtype != DTYPE_NAME || start != end || stop.checked_sub(start) != expected {
            let found = format!("{} {:?} at {:?}", info.dtype, info.shape, info.data_offsets);
            return Err(StoreError::damaged(path, format!("{name} as {DTYPE_NAME} values from {end} on"), found));
        }
        end = stop;
        layers.push((number, info.shape, start));
    }
    if data_start.checked_add(end) != Some(file_bytes) || !header.is_empty() {
        let expected = format!("{} layers in {} bytes", layers.len(), data_start.saturating_add(end));
        let found = format!("{} layers in {file_bytes} bytes", layers.len() + header.len());
        return Err(StoreError::damaged(path, expected, found));
    }

    let mut embedded = Vec::with_capacity(layers.len());
    for (number, shape, start) in layers {
        let values = match shape[..] {
            [dim] => {
                let mut bytes = vec![0; dim as usize * size_of::<f32>()];
                // Layers follow each other without gaps, so pooled vectors are read in passing.
                file.read_exact(&mut bytes).map_err(failed)?;
                LayerValues::Pooled(read_values(&bytes))
            }
            [num_frames, dim] => {
                LayerValues::Frames(FrameSeries::in_file(path, data_start + start, num_frames, dim as usize))
            }
            _ => return Err(StoreError::damaged(path, "one or two dimensions", format!("{shape:?}"))),
        };
        embedded.push(EmbeddedLayer { number, values });
    }
    let (Some(recording), Some(duration_seconds)) = (metadata.path.clone(), metadata.duration_seconds) else {
        return Err(StoreError::damaged(path, "metadata `path` and `duration_seconds`", "none"));
    };
    let embedding = Embedding { path: recording, duration_seconds, layers: embedded };
    embedding.check(&metadata.space).map_err(|error| StoreError::damaged(path, "the layers of its metadata", error))?;
    Ok((metadata, embedding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space, values};
    use crate::store::{EmbeddingSpace, Format, read_embedding, write_embedding};

    fn written(space: &EmbeddingSpace, embedding: &mut Embedding) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write_embedding(&path, Format::Safetensors, space, embedding).unwrap();
        (folder, path)
    }

    #[test]
    fn the_safetensors_library_reads_what_was_written() {
        for (space, mut embedding, shapes) in [
            (pooled_space(), pooled_embedding("a \"quoted\" é.flac"), [vec![3], vec![4]]),
            (frames_space(), frames_embedding("a.flac", 100), [vec![200, 3], vec![100, 4]]),
            (frames_space(), frames_embedding("empty.flac", 0), [vec![0, 3], vec![0, 4]]),
        ] {
            let (_folder, path) = written(&space, &mut embedding);
            let bytes = fs_err::read(&path).unwrap();
            let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
            let metadata = header.metadata().clone().unwrap();
            assert_eq!(metadata["space_id"], space.space_id());
            assert_eq!(metadata["path"], embedding.path);
            assert_eq!(metadata["duration_seconds"], embedding.duration_seconds.to_string());
            let tensors = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(tensors.len(), 2);
            for ((name, shape), expected) in ["layer_0", "layer_5"].iter().zip(shapes).zip(values(&mut embedding)) {
                let tensor = tensors.tensor(name).unwrap();
                assert_eq!(tensor.dtype(), ::safetensors::Dtype::F32);
                assert_eq!(tensor.shape(), shape);
                assert_eq!(read_values(tensor.data()), expected);
            }
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for (space, mut embedding) in
            [(pooled_space(), pooled_embedding("a.flac")), (frames_space(), frames_embedding("a.flac", 10))]
        {
            let (_folder, path) = written(&space, &mut embedding);
            let mut stored = read_embedding(&path).unwrap();
            assert_eq!(stored.metadata.space, space);
            assert_eq!(stored.metadata.space_id, space.space_id());
            assert_eq!(stored.embedding.path, "a.flac");
            assert_eq!(values(&mut stored.embedding), values(&mut embedding));
        }
    }

    #[test]
    fn every_shortened_file_and_every_changed_header_is_refused() {
        let (_folder, path) = written(&pooled_space(), &mut pooled_embedding("a.flac"));
        let bytes = fs_err::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs_err::write(&path, &bytes[..length]).unwrap();
            let error = read_embedding(&path).map(|_| ()).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error:?}");
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (from, to) in [("layer_5", "layer_6"), ("[4]", "[5]"), ("\"F32\"", "\"U32\""), ("\"mean\"", "\"none\"")] {
            let at = text.find(from).unwrap();
            let mut changed = bytes.clone();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            fs_err::write(&path, &changed).unwrap();
            let error = read_embedding(&path).map(|_| ()).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{from}: {error:?}");
        }
    }
}
