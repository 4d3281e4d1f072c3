//! Networks that have learned nothing: the control of every probe.
//!
//! What a head reads from random weights, the architecture alone gives it; a trained encoder is worth what it has above that.

use burn::tensor::Device;
use solfa_signal::encoder::sha256_hex;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::{LoadedModel, MelConformerModel};
use crate::model::{ConformerConfig, MelConformer, MelConformerConfig};
use crate::targets::{MelTokenizer, ResidualVectorQuantizer, ResidualVectorQuantizerConfig};

/// Part of every untrained model's identity: raised when other weights would come of the same seed, as with another
/// version of Burn.
pub(super) const INITIALISATION: &str = "burn 0.22";

/// An architecture that can be had without training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrained {
    /// MuQ at its own size: 12 layers of 1024.
    Muq,
    /// MuQ's shape, a quarter as wide: 12 layers of 256, for a quick look on a small machine.
    MuqSmall,
}

impl Untrained {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::Muq, Self::MuqSmall];

    /// The name on the command line, after `untrained:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Muq => "muq",
            Self::MuqSmall => "muq-small",
        }
    }

    fn config(self) -> MelConformerConfig {
        let (hidden_size, conv_channels) = match self {
            Self::Muq => (1024, 512),
            Self::MuqSmall => (256, 64),
        };
        let conformer = ConformerConfig {
            hidden_size,
            num_layers: 12,
            num_heads: hidden_size / 64,
            intermediate_size: 4 * hidden_size,
            depthwise_kernel: 31,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        };
        MelConformerConfig { num_mels: 128, conv_channels, time_strides: [2, 2], conformer, num_logits: 8192 }
    }

    /// The network with random weights: the same for the same seed, on every device and machine.
    pub fn load(self, seed: u64, device: &Device) -> LoadedModel {
        device.seed(seed);
        let config = self.config();
        let network = MelConformer::new(&config, device);
        let fold = 4;
        let quantizer = ResidualVectorQuantizerConfig {
            input_dim: config.num_mels * fold,
            num_codebooks: 8,
            num_codes: 1024,
            code_dim: 16,
        };
        LoadedModel::MelConformer(Box::new(MelConformerModel {
            name: "muq",
            mel: MelSpectrogram::new(MelConfig::muq()).expect("MuQ's own spectrogram"),
            mel_mean: 6.768_445,
            mel_deviation: 18.417_923,
            network,
            tokenizer: Some(MelTokenizer::MelRvq(ResidualVectorQuantizer::new(&quantizer, device))),
            fold,
            weights_sha256: sha256_hex(format!("untrained {INITIALISATION} {config:?} seed {seed}")),
            config,
        }))
    }
}

impl std::str::FromStr for Untrained {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|untrained| untrained.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no architecture that can be had untrained: expected one of {names}")
        })
    }
}
