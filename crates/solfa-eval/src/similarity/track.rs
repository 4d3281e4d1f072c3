//! One track as a report shows it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{file_name, write_json};
use super::salience::Salience;
use super::{SelfSimilarity, SimilarityError, decode_base64, encode_base64};
use crate::store::StoreError;

/// The version of [`TrackView`]'s fields.
pub const TRACK_VIEW_SCHEMA: u32 = 1;

/// One track: what it sounds like, what is known of it, and what encoders make of it. A file `tracks/<name>.json` of a
/// folder of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackView {
    /// [`TRACK_VIEW_SCHEMA`].
    pub schema: u32,
    /// What people call it.
    pub title: String,
    /// Length.
    pub seconds: f64,
    /// The outline of the waveform.
    pub envelope: Envelope,
    /// What is known of it, in the order in which it is shown.
    #[serde(default)]
    pub labels: Vec<LabelTrack>,
    /// What encoders make of it.
    #[serde(default)]
    pub encoders: Vec<TrackEncoder>,
}

impl TrackView {
    /// Writes `tracks/<title>.json` into a folder of results, whole or not at all, and says where.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be written.
    pub fn write(&self, results: &Path) -> Result<PathBuf, StoreError> {
        let path = results.join("tracks").join(format!("{}.json", file_name(&self.title)));
        write_json(&path, self)?;
        Ok(path)
    }
}

/// The outline of a waveform: the smallest and the largest sample of each of a number of equal stretches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The smallest of each stretch.
    pub minimum: Vec<f32>,
    /// The largest.
    pub maximum: Vec<f32>,
}

impl Envelope {
    /// Of samples, in at most `stretches` parts.
    pub fn of(samples: &[f32], stretches: usize) -> Self {
        let stretches = stretches.min(samples.len());
        let mut envelope = Self::default();
        for stretch in 0..stretches {
            let part = &samples[stretch * samples.len() / stretches..(stretch + 1) * samples.len() / stretches];
            envelope.minimum.push(part.iter().copied().fold(f32::INFINITY, f32::min));
            envelope.maximum.push(part.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        envelope
    }
}

/// One kind of label along a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelTrack {
    /// `beats`, `downbeats`, `chords`, `segments`, `onsets`.
    pub name: String,
    /// Events have a start alone; stretches have an end and mostly a text.
    pub labels: Vec<TimedLabel>,
}

/// An event, or a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedLabel {
    /// In seconds.
    pub start: f64,
    /// In seconds, of a stretch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What one encoder makes of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackEncoder {
    /// Name of the encoder.
    pub encoder: String,
    /// The `space_id` of its frames.
    pub space_id: String,
    /// Its layers, in order.
    pub layers: Vec<TrackLayer>,
}

/// What one layer makes of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackLayer {
    /// Number of the layer.
    pub layer: usize,
    /// How alike its moments are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_similarity: Option<QuantizedMatrix>,
    /// The attention that frames receive, `[1, frames]`, or `[heads, frames]`: one row for each head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<QuantizedMatrix>,
    /// The attention map of each head, `[queries, keys]`, pooled over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention_maps: Vec<QuantizedMatrix>,
    /// How well peaks of attention mark events, for some kinds of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub salience: Vec<SalienceSummary>,
}

/// How well peaks of attention mark one kind of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalienceSummary {
    /// `onsets`, `chord changes`.
    pub events: String,
    /// The scores.
    pub salience: Salience,
}

/// A matrix in 256 steps between its smallest and its largest value; in JSON its rows are base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizedMatrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// The value that step 0 stands for.
    pub low: f64,
    /// The value that step 255 stands for.
    pub high: f64,
    /// One byte for each element, row-major, in base64.
    pub steps: String,
}

impl QuantizedMatrix {
    /// Of values `[rows, columns]`.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Shape`] where their number is another, [`SimilarityError::NotFinite`] at a NaN.
    pub fn new(values: &[f32], rows: usize, columns: usize) -> Result<Self, SimilarityError> {
        super::Matrix::new(values, rows, columns)?;
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (low, high) = (f64::from(low), f64::from(high));
        let range = if high > low { high - low } else { 1.0 };
        let steps: Vec<u8> =
            values.iter().map(|&value| ((f64::from(value) - low) / range * 255.0).round() as u8).collect();
        Ok(Self { rows, columns, low, high, steps: encode_base64(&steps) })
    }

    /// The steps from 0 to 255, row-major; `None` where the text is no base64 or the number of elements is another.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = decode_base64(&self.steps)?;
        (self.rows.checked_mul(self.columns) == Some(bytes.len()) && !bytes.is_empty()).then_some(bytes)
    }

    /// The values that the steps stand for; `None` as for [`bytes`](Self::bytes).
    pub fn values(&self) -> Option<Vec<f32>> {
        let value = |step: u8| (self.low + (self.high - self.low) * f64::from(step) / 255.0) as f32;
        Some(self.bytes()?.into_iter().map(value).collect())
    }
}

impl TryFrom<&SelfSimilarity> for QuantizedMatrix {
    type Error = SimilarityError;

    fn try_from(matrix: &SelfSimilarity) -> Result<Self, SimilarityError> {
        Self::new(&matrix.values, matrix.blocks, matrix.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_keep_their_values_to_half_a_step() {
        let values = [-1.0, 0.0, 0.25, 1.0, 0.5, -0.3];
        let matrix = QuantizedMatrix::new(&values, 2, 3).unwrap();
        for (value, read) in values.iter().zip(matrix.values().unwrap()) {
            assert!((read - value).abs() <= 0.5 * 2.0 / 255.0 + 1e-6);
        }
        assert_eq!(QuantizedMatrix::new(&[3.0; 4], 2, 2).unwrap().bytes().unwrap(), [0; 4]);
        assert!(QuantizedMatrix::new(&values, 2, 2).is_err());
        assert_eq!(QuantizedMatrix { rows: 3, ..matrix.clone() }.bytes(), None);
        assert_eq!(QuantizedMatrix { steps: "?".into(), ..matrix }.bytes(), None);
    }

    #[test]
    fn an_envelope_covers_every_sample() {
        let envelope = Envelope::of(&[0.0, 1.0, -1.0, 0.5, 0.25, 0.75, -0.25], 3);
        assert_eq!(envelope.minimum, [0.0, -1.0, -0.25]);
        assert_eq!(envelope.maximum, [1.0, 0.5, 0.75]);
        assert_eq!(Envelope::of(&[], 3), Envelope::default());
    }
}
