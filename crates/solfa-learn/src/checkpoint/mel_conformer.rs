//! What a checkpoint of MusicFM or MuQ becomes.

use solfa_signal::features::MelSpectrogram;

use crate::model::{MelConformer, MelConformerConfig};
use crate::targets::{RandomProjectionQuantizer, ResidualVectorQuantizer};

/// A model of the MusicFM and MuQ family: what it sees, the network, and its tokenizer.
pub struct MelConformerModel {
    /// `muq` or `musicfm`.
    pub name: &'static str,
    /// The mel spectrogram that it was trained on, in dB.
    pub mel: MelSpectrogram,
    /// Mean of the training data's mel spectrograms, in dB.
    pub mel_mean: f32,
    /// Standard deviation of the training data's mel spectrograms, in dB.
    pub mel_deviation: f32,
    /// The network.
    pub network: MelConformer,
    /// The network's sizes.
    pub config: MelConformerConfig,
    /// Consecutive mel frames that make one token.
    pub fold: usize,
    /// What turns the normalised spectrogram into the tokens that the network was trained to predict.
    pub tokenizer: MelTokenizer,
    /// SHA-256 of the weight files: for one file, the hash that the Hugging Face hub shows for it.
    pub weights_sha256: String,
}

/// The quantiser that comes with a model.
#[derive(Debug)]
pub enum MelTokenizer {
    /// MuQ's.
    MelRvq(ResidualVectorQuantizer),
    /// MusicFM's.
    RandomProjection(RandomProjectionQuantizer),
}
