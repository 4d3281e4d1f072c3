//! Either of the quantisers that make tokens of stacked mel frames: MuQ's, which is learned, or MusicFM's, which is drawn.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    RandomProjectionQuantizer, RandomProjectionQuantizerConfig, ResidualVectorQuantizer, ResidualVectorQuantizerConfig,
    stack_frames,
};

/// The quantiser that comes with a model of the MusicFM and MuQ family.
#[derive(Module, Debug)]
pub enum MelTokenizer {
    /// MuQ's.
    MelRvq(ResidualVectorQuantizer),
    /// MusicFM's.
    RandomProjection(RandomProjectionQuantizer),
}

/// The sizes of a [`MelTokenizer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MelTokenizerConfig {
    /// MuQ's; 8 codebooks of 1024 codes of 16 numbers there.
    MelRvq {
        /// Number of stages.
        num_codebooks: usize,
        /// Codes of each stage.
        num_codes: usize,
        /// Width of a code.
        code_dim: usize,
    },
    /// MusicFM's; 4096 codes of 16 numbers there.
    RandomProjection {
        /// Number of codes.
        num_codes: usize,
        /// Width of a code.
        code_dim: usize,
    },
}

impl MelTokenizerConfig {
    /// Number of codebooks, and codes of each.
    pub fn sizes(&self) -> (usize, usize) {
        match *self {
            Self::MelRvq { num_codebooks, num_codes, .. } => (num_codebooks, num_codes),
            Self::RandomProjection { num_codes, .. } => (1, num_codes),
        }
    }

    /// The sizes of the residual quantiser, where it is one, for inputs of a width.
    pub fn residual(&self, input_dim: usize) -> Option<ResidualVectorQuantizerConfig> {
        match *self {
            Self::MelRvq { num_codebooks, num_codes, code_dim } => {
                Some(ResidualVectorQuantizerConfig { input_dim, num_codebooks, num_codes, code_dim })
            }
            Self::RandomProjection { .. } => None,
        }
    }

    /// A quantiser of inputs of a width. One that is drawn takes its numbers from `normal`, which draws from a standard
    /// normal distribution; one that is learned has weights that mean nothing.
    pub fn init(&self, input_dim: usize, normal: impl FnMut() -> f64, device: &Device) -> MelTokenizer {
        match *self {
            Self::MelRvq { num_codebooks, num_codes, code_dim } => {
                let sizes = ResidualVectorQuantizerConfig { input_dim, num_codebooks, num_codes, code_dim };
                MelTokenizer::MelRvq(ResidualVectorQuantizer::new(&sizes, device).no_grad())
            }
            Self::RandomProjection { num_codes, code_dim } => {
                let sizes = RandomProjectionQuantizerConfig { input_dim, num_codes, code_dim };
                MelTokenizer::RandomProjection(RandomProjectionQuantizer::drawn(&sizes, device, normal))
            }
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// A sentence with the field's name, what was expected and what was found.
    pub fn check(&self) -> Result<(), String> {
        /// Far above any published quantiser.
        const LARGEST: usize = 1 << 17;
        let (num_codebooks, num_codes) = self.sizes();
        let code_dim = match *self {
            Self::MelRvq { code_dim, .. } | Self::RandomProjection { code_dim, .. } => code_dim,
        };
        for (name, found) in [("num_codebooks", num_codebooks), ("num_codes", num_codes), ("code_dim", code_dim)] {
            if !(1..=LARGEST).contains(&found) {
                return Err(format!("{name}: expected 1 to {LARGEST}, found {found}"));
            }
        }
        Ok(())
    }
}

impl MelTokenizer {
    /// The codes of a normalised spectrogram, `fold` frames to a token; a rest of frames that makes no whole token is left
    /// out.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`
    /// - output: `[batch, codebooks, frames / fold]`
    pub fn codes(&self, spectrogram: Tensor<3>, fold: usize) -> Tensor<3, Int> {
        let stacked = stack_frames(spectrogram.swap_dims(1, 2), fold);
        match self {
            Self::MelRvq(quantizer) => quantizer.quantize(stacked).codes,
            Self::RandomProjection(quantizer) => quantizer.quantize(stacked).unsqueeze_dim::<3>(1),
        }
    }
}
