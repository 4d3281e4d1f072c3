//! A residual quantiser of mel spectrograms by itself: what a run of the `mel-rvq` recipe becomes.

use solfa_signal::features::MelSpectrogram;

use super::MelRvqEncoderConfig;
use crate::targets::ResidualVectorQuantizer;

/// A quantiser and what it sees.
pub struct MelRvqModel {
    /// The mel spectrogram, in dB.
    pub mel: MelSpectrogram,
    /// The quantiser.
    pub quantizer: ResidualVectorQuantizer,
    /// What both are made of.
    pub config: MelRvqEncoderConfig,
    /// SHA-256 of the weight files.
    pub weights_sha256: String,
}
