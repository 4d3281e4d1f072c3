//! What one recording gives: a vector, or a series of vectors, per layer.

use solfa_signal::frames::Pooling;

use super::spool::FrameSeries;
use super::{EmbeddingSpace, StoreError};

/// The embedding of one recording.
#[derive(Debug)]
pub struct Embedding {
    /// The recording, as it was given: a path or an address. Outputs are UTF-8, so other paths are the caller's to
    /// convert.
    pub path: String,
    /// Length of the recording, in seconds.
    pub duration_seconds: f64,
    /// The layers, in ascending order of their numbers.
    pub layers: Vec<EmbeddedLayer>,
}

/// What one layer says about a recording.
#[derive(Debug)]
pub struct EmbeddedLayer {
    /// The layer's number.
    pub number: usize,
    /// Its vectors.
    pub values: LayerValues,
}

/// The vectors of one layer.
#[derive(Debug)]
pub enum LayerValues {
    /// One vector, `[dim]`.
    Pooled(Vec<f32>),
    /// All frames, `[num_frames, dim]`, in memory or on disk.
    Frames(FrameSeries),
}

impl LayerValues {
    /// Shape of the array: `[dim]` or `[num_frames, dim]`.
    pub fn shape(&self) -> Vec<u64> {
        match self {
            Self::Pooled(vector) => vec![vector.len() as u64],
            Self::Frames(series) => vec![series.num_frames(), series.dim() as u64],
        }
    }

    /// Bytes that the values take as 32-bit floats.
    pub(super) fn num_bytes(&self) -> u64 {
        self.shape().iter().product::<u64>() * size_of::<f32>() as u64
    }
}

impl EmbeddedLayer {
    /// Name of the layer's array or column.
    pub(super) fn name(&self) -> String {
        layer_name(self.number)
    }
}

/// Name of the array or column of layer `number`.
pub(super) fn layer_name(number: usize) -> String {
    format!("layer_{number}")
}

impl Embedding {
    /// Checks that this embedding is what `space` says: its layers, their widths, pooled or not, and every number
    /// finite. Frames were checked when they were pushed to their spool.
    ///
    /// # Errors
    /// [`StoreError::Embedding`] for what does not fit, [`StoreError::NonFinite`] for a pooled value.
    pub(super) fn check(&self, space: &EmbeddingSpace) -> Result<(), StoreError> {
        let wrong = |expected, found| Err(StoreError::Embedding { path: self.path.clone(), expected, found });
        if !self.duration_seconds.is_finite() || self.duration_seconds < 0.0 {
            return wrong("a duration in seconds".to_owned(), self.duration_seconds.to_string());
        }
        let numbers: Vec<usize> = self.layers.iter().map(|layer| layer.number).collect();
        if numbers != space.layers {
            return wrong(format!("layers {:?}", space.layers), format!("layers {numbers:?}"));
        }
        for (layer, &dim) in self.layers.iter().zip(&space.layer_dims) {
            let expected = space.pooling.pooled_dim(dim);
            match &layer.values {
                LayerValues::Pooled(vector) if space.pooling != Pooling::None && vector.len() == expected => {
                    if let Some(dimension) = vector.iter().position(|value| !value.is_finite()) {
                        let (layer, value) = (layer.number, vector[dimension]);
                        return Err(StoreError::NonFinite { layer, frame: None, dimension, value });
                    }
                }
                LayerValues::Frames(series) if space.pooling == Pooling::None && series.dim() == dim => {}
                values => {
                    let shape = if space.pooling == Pooling::None { "num_frames, " } else { "" };
                    return wrong(
                        format!(
                            "layer {} of shape [{shape}{expected}] (pooling {})",
                            layer.number,
                            space.pooling.name()
                        ),
                        format!("shape {:?}", values.shape()),
                    );
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space};

    #[test]
    fn an_embedding_must_fit_its_space() {
        assert!(pooled_embedding("a").check(&pooled_space()).is_ok());
        assert!(frames_embedding("a", 3).check(&frames_space()).is_ok());
        assert!(frames_embedding("a", 3).check(&pooled_space()).is_err());
        assert!(pooled_embedding("a").check(&frames_space()).is_err());

        let error = pooled_embedding("a").check(&EmbeddingSpace { pooling: Pooling::MeanStd, ..pooled_space() });
        let message = "a: expected layer 0 of shape [6] (pooling mean+std), found shape [3]";
        assert_eq!(error.unwrap_err().to_string(), message);

        let mut one_layer = pooled_embedding("a");
        one_layer.layers.pop();
        let message = "a: expected layers [0, 5], found layers [0]";
        assert_eq!(one_layer.check(&pooled_space()).unwrap_err().to_string(), message);

        let endless = Embedding { duration_seconds: f64::INFINITY, ..pooled_embedding("a") };
        assert!(endless.check(&pooled_space()).is_err());
    }

    #[test]
    fn a_pooled_value_that_is_not_finite_is_found() {
        let mut embedding = pooled_embedding("a");
        embedding.layers[1].values = LayerValues::Pooled(vec![0.0, 1.0, f32::NEG_INFINITY, 2.0]);
        let error = embedding.check(&pooled_space()).unwrap_err();
        assert!(matches!(error, StoreError::NonFinite { layer: 5, frame: None, dimension: 2, .. }), "{error}");
    }
}
