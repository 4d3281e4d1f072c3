//! The contract of everything that turns sound into series of vectors.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// The longest clip that can be encoded, in samples, where there is a limit: learned positions end somewhere.
    pub maximum_samples: Option<usize>,
    /// The length of clips, in samples, for an encoder of whole clips: it gives one vector a clip for every layer, and its
    /// layers' `hop_samples` are this length. Clips may be shorter, down to `minimum_samples`, and not longer. `None` for
    /// an encoder of frames.
    pub clip_samples: Option<usize>,
    /// Samples at the end of a clip that no frame stands for, as where convolutions are not padded: a clip of `n`
    /// samples gives at least `(n - edge_samples) / hop_samples` frames, rounded down.
    pub edge_samples: usize,
    /// Whether every layer gives a class token beside its frames.
    pub has_class_token: bool,
    /// Whether a whole recording is divided by its largest absolute sample before it is cut into clips, as the encoder's
    /// release does. A clip alone cannot know: the encoder takes clips as they are.
    pub normalizes_peak: bool,
    /// Attention heads of every layer from number 1 on; `None` for an encoder without attention.
    pub attention_heads: Option<usize>,
    /// Samples on either side of a frame's position that can influence it, where that is finite. Windows that overlap
    /// by twice this much give exactly what the whole recording gives.
    pub context_samples: Option<usize>,
    /// Length of the clips that the encoder was trained on, in seconds; what embedding cuts a recording into by default.
    pub default_window_seconds: f64,
    /// What the encoder's release does with the end of a recording that does not fill a window.
    pub default_tail: Tail,
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

/// SHA-256 in hexadecimal: what an [`EncoderSpec::identity`] is made by.
pub fn sha256_hex(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// What happens to the end of a recording, where no full window is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// The last window starts earlier, so that it ends where the recording ends. A recording shorter than one window is
    /// one window of its own length, or of the encoder's shortest, filled up with zeros. No sound is lost.
    #[default]
    Overlap,
    /// The last window is filled up with zeros, and frames that lie wholly in the zeros are dropped.
    Pad,
    /// The last window is filled up with the recording from its start, once: a recording shorter than half a window is a
    /// window of twice its length. Frames that lie wholly in what was filled up are dropped.
    Wrap,
    /// A last window that is not full is left out. A recording shorter than one window has no window at all.
    Drop,
}

impl Tail {
    /// Every way, the default first.
    pub const ALL: [Self; 4] = [Self::Overlap, Self::Pad, Self::Wrap, Self::Drop];

    /// The name on the command line and in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Pad => "pad",
            Self::Wrap => "wrap",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Tail {
    type Err = String;

    /// Reads a [`Tail::name`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|tail| tail.name() == text.trim()).ok_or_else(|| {
            format!("`{text}` is not a way to treat the tail: expected `overlap`, `pad`, `wrap` or `drop`")
        })
    }
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
    /// `class_tokens[i]` is the `i`-th clip's class token, as wide as a frame; empty for an encoder without one.
    pub class_tokens: Vec<Vec<f32>>,
}

/// The attention of every head of one layer, for one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMaps {
    /// The layer's number: its hidden states are what the attention led to, so the first layer with attention is 1.
    pub layer: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Number of tokens: the class token first, where there is one, then the frames.
    pub num_tokens: usize,
    /// `[heads, tokens that attend, tokens attended to]`; the last dimension sums to 1.
    pub weights: Vec<f32>,
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

    /// The attention maps of one clip in the chosen layers, each handed over as soon as it is computed, so that memory
    /// holds one layer's at a time. Layer 0 is the input of the first layer and has none. Goes on until `visit` breaks.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeError::NoAttention`] where [`EncoderSpec::attention_heads`] is `None`.
    fn attention_maps(
        &self,
        clip: &Waveform,
        layers: &LayerChoice,
        visit: &mut dyn FnMut(AttentionMaps) -> ControlFlow<()>,
    ) -> Result<(), EncodeError> {
        let _ = (clip, layers, visit);
        Err(EncodeError::NoAttention { name: self.spec().name.clone() })
    }
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
    /// The clip is longer than the encoder can take.
    #[error("the clip has {actual} samples at {sample_rate} Hz, and the encoder takes at most {maximum}")]
    TooLong {
        /// Samples found.
        actual: usize,
        /// Samples that are possible.
        maximum: usize,
        /// The rate that both are counted at, in Hz.
        sample_rate: u32,
    },
    /// The clip is longer than those that the encoder takes.
    #[error("the clip has {actual} samples, and the encoder takes clips of {expected} samples")]
    ClipLength {
        /// The encoder's length in samples.
        expected: usize,
        /// The clip's length in samples.
        actual: usize,
    },
    /// Attention maps are asked of an encoder without attention.
    #[error("`{name}` has no attention, so there are no attention maps")]
    NoAttention {
        /// The encoder's name.
        name: String,
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

/// Checks that every clip fits an encoder: its sample rate, and its length.
///
/// # Errors
/// [`EncodeError::SampleRate`], [`EncodeError::TooShort`] or [`EncodeError::ClipLength`] for the first clip that does
/// not.
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
        if let Some(maximum) = spec.maximum_samples
            && clip.num_samples() > maximum
        {
            let (actual, sample_rate) = (clip.num_samples(), spec.sample_rate);
            return Err(EncodeError::TooLong { actual, maximum, sample_rate });
        }
        if let Some(expected) = spec.clip_samples
            && clip.num_samples() > expected
        {
            return Err(EncodeError::ClipLength { expected, actual: clip.num_samples() });
        }
    }
    Ok(())
}

/// Checks that every frame of a batch is finite.
///
/// # Errors
/// [`EncodeError::NonFinite`] for the first value that is not.
pub fn check_finite(batch: &LayerBatch) -> Result<(), EncodeError> {
    for LayerFrames { layer, clips, class_tokens } in &batch.layers {
        for class_token in class_tokens {
            if let Some(dimension) = class_token.iter().position(|value| !value.is_finite()) {
                return Err(EncodeError::NonFinite {
                    layer: *layer,
                    frame: 0,
                    dimension,
                    value: class_token[dimension],
                });
            }
        }
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
    fn names_of_tails_are_read_back() {
        for tail in Tail::ALL {
            assert_eq!(tail.name().parse(), Ok(tail));
            assert_eq!(serde_json::to_string(&tail).unwrap(), format!("\"{tail}\""));
        }
        assert_eq!(Tail::default(), Tail::Overlap);
        assert!("around".parse::<Tail>().unwrap_err().contains("overlap"));
    }

    #[test]
    fn layer_choices_resolve_in_ascending_order_and_once() {
        assert_eq!(LayerChoice::Numbers(vec![5, 0, 5]).resolve(6), Ok(vec![0, 5]));
        assert_eq!(LayerChoice::Last.resolve(13), Ok(vec![12]));
        assert_eq!(LayerChoice::Numbers(vec![6]).resolve(6), Err(EncodeError::NoSuchLayer { layer: 6, num_layers: 6 }));
    }
}
