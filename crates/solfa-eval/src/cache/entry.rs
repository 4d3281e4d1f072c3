//! One recording's entry: a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use half::f16;
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::CacheDtype;
use super::map::map;
use super::sink::KeptLayer;
use crate::store::{StoreError, write_whole};

const SECONDS: &str = "seconds";
const ITEMS_PER_SECOND: &str = "items_per_second.";
const TENSOR: &str = "layer_";

/// What one layer of an entry is.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedLayer {
    /// The layer's number.
    pub number: usize,
    /// Width of a vector.
    pub dim: usize,
    /// Number of vectors.
    pub num_items: usize,
    /// Vectors per second of audio.
    pub items_per_second: f64,
    dtype: CacheDtype,
    /// Where its bytes are in the file.
    start: usize,
}

/// A recording's cached features, mapped into memory.
#[derive(Debug)]
pub struct CachedTrack {
    map: Mmap,
    seconds: f64,
    layers: Vec<CachedLayer>,
}

impl CachedTrack {
    /// Opens an entry. Its values are read when they are asked for.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the file cannot be read, [`StoreError::Damaged`] where it is not a whole entry.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let damaged = |found: String| StoreError::damaged(path, "an entry of the feature cache", found);
        if fs_err::metadata(path).map_err(|error| StoreError::io("read", path, error))?.len() == 0 {
            return Err(damaged("an empty file".to_owned()));
        }
        let map = map(path).map_err(|error| StoreError::io("read", path, error))?;
        let (_, metadata) = SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&map).map_err(|error| damaged(error.to_string()))?;
        let strings = metadata.metadata().clone().unwrap_or_default();
        let number = |name: &str| strings.get(name).and_then(|text| text.parse::<f64>().ok());
        let seconds = number(SECONDS).ok_or_else(|| damaged(format!("no `{SECONDS}`")))?;
        let base = map.as_ptr() as usize;
        let mut layers = Vec::new();
        for (name, view) in tensors.tensors() {
            let parsed = name.strip_prefix(TENSOR).and_then(|digits| digits.parse::<usize>().ok());
            let rate = number(&format!("{ITEMS_PER_SECOND}{name}"));
            let dtype = match view.dtype() {
                Dtype::F32 => Some(CacheDtype::F32),
                Dtype::F16 => Some(CacheDtype::F16),
                _ => None,
            };
            let (Some(number), Some(items_per_second), Some(dtype), &[num_items, dim]) =
                (parsed, rate, dtype, view.shape())
            else {
                return Err(damaged(format!("a tensor `{name}` {:?} {:?}", view.dtype(), view.shape())));
            };
            let start = view.data().as_ptr() as usize - base;
            layers.push(CachedLayer { number, dim, num_items, items_per_second, dtype, start });
        }
        layers.sort_by_key(|layer| layer.number);
        Ok(Self { map, seconds, layers })
    }

    /// Length of the recording in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Its layers, in ascending order.
    pub fn layers(&self) -> &[CachedLayer] {
        &self.layers
    }

    /// The layer with a number; `None` where it was not kept.
    pub fn layer(&self, number: usize) -> Option<&CachedLayer> {
        self.layers.iter().find(|layer| layer.number == number)
    }

    /// The values of a layer, `[items, dim]`; `None` where it was not kept.
    pub fn values(&self, number: usize) -> Option<Vec<f32>> {
        let layer = self.layer(number)?;
        let count = layer.num_items * layer.dim;
        let bytes = |size: usize| self.map.get(layer.start..layer.start + count * size);
        Some(match layer.dtype {
            CacheDtype::F32 => {
                bytes(4)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            CacheDtype::F16 => bytes(2)?.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        })
    }
}

/// Writes an entry, whole or not at all.
pub(super) fn write(path: &Path, dtype: CacheDtype, layers: &[KeptLayer], seconds: f64) -> Result<(), StoreError> {
    let mut metadata = HashMap::from([(SECONDS.to_owned(), seconds.to_string())]);
    let mut encoded = Vec::with_capacity(layers.len());
    for layer in layers {
        let name = format!("{TENSOR}{:02}", layer.number);
        metadata.insert(format!("{ITEMS_PER_SECOND}{name}"), layer.items_per_second.to_string());
        encoded.push((name, bytes(layer, dtype)?, [layer.num_items, layer.dim]));
    }
    let dtype = match dtype {
        CacheDtype::F32 => Dtype::F32,
        CacheDtype::F16 => Dtype::F16,
    };
    let damaged = |error: safetensors::SafeTensorError| StoreError::Embedding {
        path: path.display().to_string(),
        expected: "layers that safetensors can hold".to_owned(),
        found: error.to_string(),
    };
    let mut views = Vec::with_capacity(encoded.len());
    for (name, bytes, shape) in &encoded {
        views.push((name.clone(), TensorView::new(dtype, shape.to_vec(), bytes).map_err(damaged)?));
    }
    let file = safetensors::serialize(views, Some(metadata)).map_err(damaged)?;
    write_whole(path, &file)
}

fn bytes(layer: &KeptLayer, dtype: CacheDtype) -> Result<Vec<u8>, StoreError> {
    let fits = |value: f32| match dtype {
        CacheDtype::F32 => value.is_finite(),
        CacheDtype::F16 => f16::from_f32(value).is_finite(),
    };
    if let Some(position) = layer.values.iter().position(|&value| !fits(value)) {
        let (value, dimension) = (layer.values[position], position % layer.dim);
        if !value.is_finite() {
            let frame = Some((position / layer.dim) as u64);
            return Err(StoreError::NonFinite { layer: layer.number, frame, dimension, value });
        }
        return Err(StoreError::Embedding {
            path: format!("layer {}", layer.number),
            expected: format!("values that 16 bits hold, up to {}", f16::MAX),
            found: format!("{value} in dimension {dimension}: keep features in f32"),
        });
    }
    Ok(match dtype {
        CacheDtype::F32 => layer.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        CacheDtype::F16 => layer.values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
    })
}
