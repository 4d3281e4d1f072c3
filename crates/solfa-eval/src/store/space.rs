//! What vectors are, and whether two of them may be compared.

use serde::{Deserialize, Serialize};
use solfa_signal::encoder::sha256_hex;
use solfa_signal::frames::Pooling;

use super::StoreError;

/// Raised whenever this program starts to give other numbers for the same encoder and the same audio: a change of
/// mixdown, resampling, stitching, pooling or of the arithmetic beyond rounding.
pub const NUMERICS_VERSION: u32 = 1;

/// The type that all values are stored as, and that most encoders compute in.
pub const DTYPE: &str = "f32";

/// The types that an encoder may have computed in.
const DTYPES: [&str; 2] = [DTYPE, "bf16"];

/// Hexadecimal digits of SHA-256 that a `space_id` shows.
const SPACE_ID_DIGITS: usize = 32;

/// All that is known of what the vectors of an output are.
///
/// Some fields determine the vectors and are part of the [`space_id`](Self::space_id); the others inform people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// Name of the model, as people call it. Informative.
    pub model: String,
    /// SHA-256, in hexadecimal, of all that determines the frames of a waveform: the encoder's `identity`, which covers
    /// its weights.
    pub encoder_identity: String,
    /// SHA-256 of the weight files, for an encoder that has weights. Informative.
    pub weights_sha256: Option<String>,
    /// Numbers of the layers, ascending.
    pub layers: Vec<usize>,
    /// Width of the frames of each of `layers`, before pooling. Informative: the encoder determines it.
    pub layer_dims: Vec<usize>,
    /// Frames per second of each of `layers`, before pooling. Informative: the encoder determines it.
    pub frames_per_second: Vec<f64>,
    /// How frames became one vector.
    pub pooling: Pooling,
    /// Length of the windows that a recording was cut into, in seconds; `None` where it was encoded whole.
    pub window_seconds: Option<f64>,
    /// Time from one window to the next, in seconds. Without windows it says nothing and is not part of the `space_id`.
    pub hop_seconds: Option<f64>,
    /// What was done with the end of a recording that does not fill a window: `overlap`, `pad`, `wrap` or `drop`. Without
    /// windows it says nothing and is not part of the `space_id`.
    pub tail: String,
    /// Name of the resampler that brought the audio to `sample_rate`.
    pub resampler: String,
    /// Sample rate that the encoder worked at, in Hz.
    pub sample_rate: u32,
    /// Type of the numbers that the encoder computed in, `f32` or `bf16`. Values are stored as [`DTYPE`] in any case.
    pub dtype: String,
    /// [`NUMERICS_VERSION`] of the program that computed the vectors.
    pub numerics_version: u32,
    /// Version of that program. Informative.
    pub program_version: String,
}

impl EmbeddingSpace {
    /// 32 hexadecimal digits that are the same for two spaces exactly when their vectors may be compared.
    ///
    /// It is the first half of the SHA-256 of the fields that determine the vectors, as lines of `field=value`; names,
    /// versions of the program and what follows from the encoder's identity are left out.
    pub fn space_id(&self) -> String {
        let mut digest = sha256_hex(self.canonical_text());
        digest.truncate(SPACE_ID_DIGITS);
        digest
    }

    /// The text whose hash is the `space_id`. Floats are in their shortest form that reads back as the same value.
    fn canonical_text(&self) -> String {
        let layers = self.layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let windows = match self.window_seconds {
            None => "whole".to_owned(),
            Some(window) => {
                let hop = self.hop_seconds.map_or_else(|| "none".to_owned(), |hop| hop.to_string());
                format!("{window}/{hop}/{}", one_line(&self.tail))
            }
        };
        format!(
            "solfa space 1\nencoder={}\nlayers={layers}\npooling={}\nwindows={windows}\nresampler={}\nsample_rate={}\n\
             dtype={}\nnumerics={}\n",
            one_line(&self.encoder_identity),
            self.pooling.name(),
            one_line(&self.resampler),
            self.sample_rate,
            one_line(&self.dtype),
            self.numerics_version,
        )
    }

    /// Checks that the fields fit each other: one or more layers, ascending, each with a width and a rate, and no
    /// number that is not finite.
    ///
    /// # Errors
    /// [`StoreError::Space`] for the first field that does not fit.
    pub fn check(&self) -> Result<(), StoreError> {
        let wrong = |field, expected: String, found: String| Err(StoreError::Space { field, expected, found });
        if self.layers.is_empty() || !self.layers.is_sorted_by(|a, b| a < b) {
            return wrong("layers", "ascending numbers, at least one".to_owned(), format!("{:?}", self.layers));
        }
        if self.layer_dims.len() != self.layers.len() || self.layer_dims.contains(&0) {
            let expected = format!("{} widths above 0", self.layers.len());
            return wrong("layer_dims", expected, format!("{:?}", self.layer_dims));
        }
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        if self.frames_per_second.len() != self.layers.len() || !self.frames_per_second.iter().all(positive) {
            let expected = format!("{} rates above 0", self.layers.len());
            return wrong("frames_per_second", expected, format!("{:?}", self.frames_per_second));
        }
        for (field, value) in [("window_seconds", self.window_seconds), ("hop_seconds", self.hop_seconds)] {
            if let Some(value) = value.filter(|value| !positive(value)) {
                return wrong(field, "a number above 0".to_owned(), value.to_string());
            }
        }
        if !DTYPES.contains(&self.dtype.as_str()) {
            return wrong("dtype", DTYPES.join(" or "), self.dtype.clone());
        }
        Ok(())
    }

    /// Width of the frames of layer `number`, before pooling; `None` where the space lacks the layer.
    pub fn layer_dim(&self, number: usize) -> Option<usize> {
        let index = self.layers.iter().position(|&layer| layer == number)?;
        self.layer_dims.get(index).copied()
    }
}

/// Text without line breaks, reversibly, so that no value can pass for another field.
fn one_line(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::pooled_space;

    type Change = fn(&mut EmbeddingSpace);

    #[test]
    fn every_determining_field_changes_the_id() {
        let changes: [(&str, Change); 11] = [
            ("encoder", |space| space.encoder_identity = "ff".repeat(32)),
            ("layers", |space| space.layers = vec![5]),
            ("pooling", |space| space.pooling = Pooling::Max),
            ("window", |space| space.window_seconds = Some(29.999_999_999_999_996)),
            ("whole", |space| space.window_seconds = None),
            ("hop", |space| space.hop_seconds = Some(15.0)),
            ("tail", |space| space.tail = "drop".to_owned()),
            ("resampler", |space| space.resampler = "linear".to_owned()),
            ("sample rate", |space| space.sample_rate = 16_000),
            ("dtype", |space| space.dtype = "f16".to_owned()),
            ("numerics", |space| space.numerics_version += 1),
        ];
        let mut ids = vec![pooled_space().space_id()];
        for (field, change) in changes {
            let mut space = pooled_space();
            change(&mut space);
            assert!(!ids.contains(&space.space_id()), "{field}");
            ids.push(space.space_id());
        }
    }

    #[test]
    fn informative_fields_do_not_change_the_id() {
        let changes: [(&str, Change); 5] = [
            ("model", |space| space.model = "another name".to_owned()),
            ("weights", |space| space.weights_sha256 = None),
            ("dims", |space| space.layer_dims = vec![1, 1]),
            ("rates", |space| space.frames_per_second = vec![1.0, 1.0]),
            ("version", |space| space.program_version = "9.9.9".to_owned()),
        ];
        for (field, change) in changes {
            let mut space = pooled_space();
            change(&mut space);
            assert_eq!(space.space_id(), pooled_space().space_id(), "{field}");
        }
    }

    #[test]
    fn without_windows_hop_and_tail_say_nothing() {
        let whole = EmbeddingSpace { window_seconds: None, ..pooled_space() };
        let other = EmbeddingSpace { hop_seconds: None, tail: "drop".to_owned(), ..whole.clone() };
        assert_eq!(whole.space_id(), other.space_id());
    }

    /// Every stored `space_id` would lose its meaning if this text drifted: a change needs a new first line and a word
    /// in the changelog. The expected id is what `sha256sum` prints for the text.
    #[test]
    fn the_canonical_text_is_pinned() {
        let text = format!(
            "solfa space 1\nencoder={}\nlayers=0,5\npooling=mean\nwindows=30/7.5/pad\nresampler=sinc-hann\n\
             sample_rate=24000\ndtype=f32\nnumerics=1\n",
            "ab".repeat(32)
        );
        assert_eq!(pooled_space().canonical_text(), text);
        assert_eq!(pooled_space().space_id(), "3ff828d62a49c5851bdd5479b59eabc2");
    }

    #[test]
    fn a_value_with_a_line_break_is_not_two_fields() {
        let honest = pooled_space();
        let forged = EmbeddingSpace { resampler: format!("{}\nsample_rate=24000", honest.resampler), ..honest.clone() };
        assert_eq!(forged.canonical_text().lines().count(), honest.canonical_text().lines().count());
    }

    #[test]
    fn spaces_whose_fields_do_not_fit_are_refused() {
        let changes: [Change; 8] = [
            |space| space.layers.clear(),
            |space| space.layers = vec![5, 0],
            |space| space.layers = vec![5, 5],
            |space| space.layer_dims = vec![4],
            |space| space.layer_dims = vec![4, 0],
            |space| space.frames_per_second = vec![25.0, f64::NAN],
            |space| space.window_seconds = Some(0.0),
            |space| space.dtype = "f16".to_owned(),
        ];
        assert!(pooled_space().check().is_ok());
        for change in changes {
            let mut space = pooled_space();
            change(&mut space);
            assert!(matches!(space.check(), Err(StoreError::Space { .. })), "{space:?}");
        }
    }

    #[test]
    fn a_space_survives_json() {
        let space = EmbeddingSpace { window_seconds: Some(0.1 + 0.2), ..pooled_space() };
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<EmbeddingSpace>(&text).unwrap(), space);
    }
}
