//! The contract of everything that turns sound into series of vectors.

use crate::audio::Waveform;
use crate::frames::Frames;

/// What an encoder says of itself, known without running anything.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSpec {
    /// Name of the kind of encoder: `mel`, `muq`, `musicfm`, ...
    pub name: String,
    /// SHA-256, in hexadecimal, of all that determines the frames of a given waveform: architecture, configuration and
    /// weights. Two encoders with the same identity give the same vectors.
    pub identity: String,
    /// SHA-256 of the weight files' contents, for an encoder that has weights.
    pub weights_sha256: Option<String>,
    /// Sample rate that the encoder works at, in Hz. Waveforms at another rate are refused.
    pub sample_rate: u32,
    /// Every layer, in order: `layers[i]` is layer number `i`.
    pub layers: Vec<LayerSpec>,
    /// The shortest clip that can be encoded, in samples.
    pub minimum_samples: usize,
    /// Samples on either side of a frame's position that can influence it, where that is finite. Windows that overlap
    /// by twice this much give exactly what the whole recording gives.
    pub context_samples: Option<usize>,
    /// Length of the clips that the encoder was trained on, in seconds; what embedding cuts a recording into by default.
    pub default_window_seconds: f64,
}

/// One layer of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// What the layer is: `front-end`, `conformer layer 3`, `mel`.
    pub name: String,
    /// Width of its vectors.
    pub dim: usize,
    /// Samples from one frame to the next.
    pub hop_samples: usize,
}

impl EncoderSpec {
    /// Vectors per second of a layer.
    pub fn frames_per_second(&self, layer: usize) -> f64 {
        f64::from(self.sample_rate) / self.layers[layer].hop_samples as f64
    }

    /// The smallest number of samples that is a whole number of frames of every layer.
    pub fn grid_samples(&self) -> usize {
        self.layers.iter().fold(1, |grid, layer| lcm(grid, layer.hop_samples))
    }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// Which layers are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerChoice {
    /// Every layer.
    All,
    /// The last layer.
    Last,
    /// These layers, by number.
    Numbers(Vec<usize>),
}

impl LayerChoice {
    /// The layers' numbers for an encoder of `num_layers` layers: ascending, each once.
    ///
    /// # Errors
    /// [`EncodeError::NoSuchLayer`] where a number is too large.
    pub fn resolve(&self, num_layers: usize) -> Result<Vec<usize>, EncodeError> {
        match self {
            Self::All => Ok((0..num_layers).collect()),
            Self::Last => Ok(vec![num_layers - 1]),
            Self::Numbers(numbers) => {
                if let Some(&layer) = numbers.iter().find(|&&layer| layer >= num_layers) {
                    return Err(EncodeError::NoSuchLayer { layer, num_layers });
                }
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                numbers.dedup();
                Ok(numbers)
            }
        }
    }
}

impl std::str::FromStr for LayerChoice {
    type Err = String;

    /// Reads `all`, `last`, or numbers and ranges such as `0,3,5-8`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |part: &str| {
            format!("`{part}` is not a layer: expected `all`, `last`, or numbers and ranges such as `0,3,5-8`")
        };
        match text.trim() {
            "all" => return Ok(Self::All),
            "last" => return Ok(Self::Last),
            _ => {}
        }
        /// No published encoder has more layers; a larger range is a typing mistake, not a wish for a list of it.
        const MAXIMUM_LAYER: usize = 9_999;
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |digits: &str| digits.trim().parse::<usize>().ok().filter(|&number| number <= MAXIMUM_LAYER);
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
                _ => return Err(wrong(part)),
            }
        }
        Ok(Self::Numbers(numbers))
    }
}

/// The frames of several clips, layer by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerBatch {
    /// The layers that were asked for, in ascending order.
    pub layers: Vec<LayerFrames>,
}

/// One layer's frames for every clip of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerFrames {
    /// The layer's number.
    pub layer: usize,
    /// `clips[i]` belongs to the `i`-th clip; padding is never visible here.
    pub clips: Vec<Frames>,
}

/// Anything that turns sound into series of vectors: a mel filter bank, or a pre-trained network.
///
/// Every implementation keeps the laws that [`crate::testing::check_encoder`] runs it through: the specification is
/// true; a clip alone gives the same bits as in a batch; the same input twice gives the same bits; the shortest legal
/// clip works and a shorter one is an error; silence and a full-scale square wave give finite frames.
pub trait Encoder: Send + Sync {
    /// Input rate, and for every layer its name, width and rate.
    fn spec(&self) -> &EncoderSpec;

    /// The chosen layers of every clip, from one pass. Clips may have different lengths.
    ///
    /// # Errors
    /// A clip at another sample rate, a clip that is too short, a layer that does not exist, or a result that is not
    /// finite.
    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError>;
}

/// Why clips could not be encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The clip's sample rate is not the encoder's.
    #[error("the encoder works at {expected} Hz, and the clip is at {actual} Hz: resample it first")]
    SampleRate {
        /// The encoder's rate in Hz.
        expected: u32,
        /// The clip's rate in Hz.
        actual: u32,
    },
    /// The clip is shorter than the encoder needs.
    #[error("the clip has {actual} samples at {sample_rate} Hz, and the encoder needs at least {minimum}")]
    TooShort {
        /// Samples found.
        actual: usize,
        /// Samples needed.
        minimum: usize,
        /// The rate that both are counted at, in Hz.
        sample_rate: u32,
    },
    /// The encoder has no such layer.
    #[error("layer {layer} does not exist: the encoder has layers 0 to {}", num_layers - 1)]
    NoSuchLayer {
        /// The number asked for.
        layer: usize,
        /// Number of layers.
        num_layers: usize,
    },
    /// A result is NaN or infinite. It is never passed on.
    #[error("layer {layer} is not finite: {value} at frame {frame}, dimension {dimension}")]
    NonFinite {
        /// The layer's number.
        layer: usize,
        /// Frame of the first such value.
        frame: usize,
        /// Dimension of the first such value.
        dimension: usize,
        /// The value.
        value: f32,
    },
    /// The device or backend failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// Checks that every clip fits an encoder: its sample rate, and that it is long enough.
///
/// # Errors
/// [`EncodeError::SampleRate`] or [`EncodeError::TooShort`] for the first clip that does not.
pub fn check_clips(spec: &EncoderSpec, clips: &[Waveform]) -> Result<(), EncodeError> {
    for clip in clips {
        if clip.sample_rate() != spec.sample_rate {
            return Err(EncodeError::SampleRate { expected: spec.sample_rate, actual: clip.sample_rate() });
        }
        if clip.num_samples() < spec.minimum_samples {
            return Err(EncodeError::TooShort {
                actual: clip.num_samples(),
                minimum: spec.minimum_samples,
                sample_rate: spec.sample_rate,
            });
        }
    }
    Ok(())
}

/// Checks that every frame of a batch is finite.
///
/// # Errors
/// [`EncodeError::NonFinite`] for the first value that is not.
pub fn check_finite(batch: &LayerBatch) -> Result<(), EncodeError> {
    for LayerFrames { layer, clips } in &batch.layers {
        for frames in clips {
            if let Some((frame, dimension)) = frames.first_non_finite() {
                let value = frames.frame(frame)[dimension];
                return Err(EncodeError::NonFinite { layer: *layer, frame, dimension, value });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_choices_read_what_people_type() {
        assert_eq!("all".parse(), Ok(LayerChoice::All));
        assert_eq!("last".parse(), Ok(LayerChoice::Last));
        assert_eq!("0, 3,5-8".parse(), Ok(LayerChoice::Numbers(vec![0, 3, 5, 6, 7, 8])));
        for wrong in ["", "x", "3-", "-1", "8-5", "0,,1", "0-99999999"] {
            assert!(wrong.parse::<LayerChoice>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn layer_choices_resolve_in_ascending_order_and_once() {
        assert_eq!(LayerChoice::Numbers(vec![5, 0, 5]).resolve(6), Ok(vec![0, 5]));
        assert_eq!(LayerChoice::Last.resolve(13), Ok(vec![12]));
        assert_eq!(LayerChoice::Numbers(vec![6]).resolve(6), Err(EncodeError::NoSuchLayer { layer: 6, num_layers: 6 }));
    }
}
