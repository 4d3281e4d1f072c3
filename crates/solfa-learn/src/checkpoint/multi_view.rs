//! The released layout of the multi-view encoders: a `.pt` file of training, one for each of the five methods.
//!
//! `contrastive.pt`, `byol.pt`, `clustering.pt`, `barlow_twins.pt` and `feature_stats.pt` of
//! `deezer/multi-view-ssl-benchmark`. Meseguer-Brocal et al. 2024, arXiv:2404.09177. There is no configuration: sizes are
//! those of the tensors, and what no tensor shows is the paper's.

use std::path::Path;

use burn::tensor::Device;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::sizes::{self, LARGEST_DEPTH, check_heads, check_size};
use super::stored_mel::StoredMel;
use super::strict::StrictLoader;
use super::{CheckpointError, KeyTable, TensorSource};
use crate::model::{ModifiedResNet, ModifiedResNetConfig};

/// Samples of a clip, at 16 kHz: 4 s. The positions of the attention pooling are learned for this length.
pub(crate) const CLIP_SAMPLES: usize = 64_000;

/// Far above the release's 16: a larger width in a file is damage, and would only exhaust the memory.
const LARGEST_STEM: usize = 4096;

/// A multi-view encoder: what it sees, and the network.
pub struct MultiViewModel {
    /// The mel spectrogram that it was trained on, in dB.
    pub mel: MelSpectrogram,
    /// The network.
    pub network: ModifiedResNet,
    /// The network's sizes.
    pub config: ModifiedResNetConfig,
    /// What it was trained by: of a file without one of the five names, one of the methods whose files look like it.
    pub method: MultiViewMethod,
    /// SHA-256 of the weight file.
    pub weights_sha256: String,
}

/// The five methods of the study, each with a file of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiViewMethod {
    /// NT-Xent: `contrastive.pt`.
    Contrastive,
    /// Barlow Twins: `barlow_twins.pt`.
    BarlowTwins,
    /// VICReg: `feature_stats.pt`.
    FeatureStatistics,
    /// BYOL: `byol.pt`.
    Byol,
    /// Clustering: `clustering.pt`.
    Clustering,
}

impl MultiViewMethod {
    const ALL: [Self; 5] =
        [Self::Contrastive, Self::BarlowTwins, Self::FeatureStatistics, Self::Byol, Self::Clustering];

    /// The name of its file, without `.pt`.
    pub fn file_stem(self) -> &'static str {
        match self {
            Self::Contrastive => "contrastive",
            Self::BarlowTwins => "barlow_twins",
            Self::FeatureStatistics => "feature_stats",
            Self::Byol => "byol",
            Self::Clustering => "clustering",
        }
    }

    /// Where the encoder stands in its file.
    pub(super) fn layout(self) -> &'static Layout {
        match self {
            Self::Contrastive | Self::BarlowTwins | Self::FeatureStatistics => &LAYOUTS[0],
            Self::Byol | Self::Clustering => &LAYOUTS[1],
        }
    }

    /// The method that a file is called after, if its tensors are those of one like it.
    fn of_file(path: &Path, layout: &Layout) -> Self {
        let stem = path.file_stem().unwrap_or_default();
        let has_layout = |method: &Self| std::ptr::eq(method.layout(), layout);
        let mut likely = Self::ALL.into_iter().filter(has_layout);
        let first = likely.clone().next().unwrap_or(Self::Contrastive);
        likely.find(|method| stem == method.file_stem()).unwrap_or(first)
    }
}

/// What the names and shapes of the tensors say.
#[derive(Clone, Debug)]
pub(super) struct MultiViewConfig {
    network: ModifiedResNetConfig,
    layout: &'static Layout,
}

/// Where the encoder stands among a method's networks.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) network: KeyTable,
    pub(super) window: &'static str,
    pub(super) filters: &'static str,
}

/// The tensors of a file under `model`.
pub(super) const TOP_LEVEL_KEY: &str = "model";

const SEGMENTS: &[(&str, &str)] = &[
    ("stage1", "layer1"),
    ("stage2", "layer2"),
    ("stage3", "layer3"),
    ("stage4", "layer4"),
    ("norm1", "bn1"),
    ("norm2", "bn2"),
    ("norm3", "bn3"),
    ("shortcut", "downsample"),
    ("conv", "0"),
    ("norm", "1"),
    ("gamma", "weight"),
    ("beta", "bias"),
    ("pooling", "attnpool"),
    ("positions", "positional_embedding"),
    ("query", "q_proj"),
    ("key", "k_proj"),
    ("value", "v_proj"),
    ("output", "c_proj"),
];

const BATCH_NORM_COUNTER: (&str, &str) = ("*.num_batches_tracked", "a counter of batch norm's training");
const HEAD: &str = "projection head of pre-training: the embedding comes before it";

/// What the names of the encoder's tensors begin with, layout by layout.
pub(super) const PREFIXES: [&str; 2] = ["module.backbone.", "student.module.backbone."];

/// One network (contrastive, Barlow Twins, feature statistics), or a student beside its teacher (BYOL, clustering).
static LAYOUTS: [Layout; 2] = [
    Layout {
        network: KeyTable {
            prefix: "module.backbone.embedding.",
            segments: SEGMENTS,
            unused: &[BATCH_NORM_COUNTER, ("module.head.*", HEAD)],
        },
        window: "module.backbone.spec.spec.spectrogram.window",
        filters: "module.backbone.spec.spec.mel_scale.fb",
    },
    Layout {
        network: KeyTable {
            prefix: "student.module.backbone.embedding.",
            segments: SEGMENTS,
            unused: &[
                BATCH_NORM_COUNTER,
                ("student.module.head.*", HEAD),
                ("teacher.*", "a moving average of the student, which is what the release's own loader takes"),
                ("projector.*", "BYOL's predictor, which follows the projection head"),
            ],
        },
        window: "student.module.backbone.spec.spec.spectrogram.window",
        filters: "student.module.backbone.spec.spec.mel_scale.fb",
    },
];

impl MultiViewConfig {
    /// The sizes of a multi-view encoder, if the tensors are those of one. A size whose tensor is missing is the
    /// paper's: loading then lists the tensor.
    ///
    /// # Errors
    /// A size that is no sensible one.
    pub(super) fn recognise(source: &TensorSource) -> Option<Result<Self, CheckpointError>> {
        let is_there = |prefix: &str| source.shapes().any(|(name, _)| name.starts_with(prefix));
        let (layout, _) = LAYOUTS.iter().zip(PREFIXES).find(|(_, prefix)| is_there(prefix))?;
        let network = network_config(source, layout.network.prefix);
        Some(match check(&network) {
            Ok(()) => Ok(Self { network, layout }),
            Err(reason) => Err(CheckpointError::Config { path: source.files()[0].clone(), reason }),
        })
    }
}

fn network_config(source: &TensorSource, prefix: &str) -> ModifiedResNetConfig {
    let paper = ModifiedResNetConfig::paper();
    let rows = |name: &str| source.shape(&format!("{prefix}{name}")).and_then(|shape| shape.first().copied());
    let depth = |stage: usize| {
        let blocks = (0..=LARGEST_DEPTH)
            .take_while(|block| source.shape(&format!("{prefix}layer{}.{block}.conv1.weight", stage + 1)).is_some());
        match blocks.count() {
            0 => paper.stage_depths[stage],
            depth => depth,
        }
    };
    ModifiedResNetConfig {
        width: rows("conv3.weight").unwrap_or(paper.width),
        stage_depths: std::array::from_fn(depth),
        embedding_size: rows("attnpool.c_proj.weight").unwrap_or(paper.embedding_size),
        ..paper
    }
}

fn check(config: &ModifiedResNetConfig) -> Result<(), String> {
    check_sizes(config, ["rows of conv3.weight", "rows of attnpool.c_proj.weight", "blocks of a stage"])
}

/// Checks the sizes of a network that is to be trained: it sees clips of the release's length, and its spectrogram.
///
/// # Errors
/// A sentence with the field's name, what was expected and what was found.
pub(super) fn check_resnet(config: &ModifiedResNetConfig) -> Result<(), String> {
    check_sizes(config, ["network.width", "network.embedding_size", "network.stage_depths"])?;
    let paper = ModifiedResNetConfig::paper();
    for (name, expected, found) in [
        ("network.num_mels", paper.num_mels, config.num_mels),
        ("network.num_frames", paper.num_frames, config.num_frames),
    ] {
        if found != expected {
            return Err(format!("{name}: expected {expected}, found {found}"));
        }
    }
    check_size("network.num_heads", config.num_heads, sizes::LARGEST_WIDTH)?;
    check_heads("network.num_heads", config.num_heads, ("32 times width,", config.stage_dim(3)))
}

fn check_sizes(config: &ModifiedResNetConfig, [width, embedding_size, depth]: [&str; 3]) -> Result<(), String> {
    check_size(width, config.width, LARGEST_STEM)?;
    if !config.width.is_multiple_of(2) {
        return Err(format!("{width}: expected an even number, found {}", config.width));
    }
    check_size(embedding_size, config.embedding_size, sizes::LARGEST_WIDTH)?;
    config.stage_depths.iter().try_for_each(|&blocks| check_size(depth, blocks, LARGEST_DEPTH))
}

/// Builds the model from its tensors.
pub(super) fn load(
    config: &MultiViewConfig,
    source: &TensorSource,
    device: &Device,
) -> Result<MultiViewModel, CheckpointError> {
    let MultiViewConfig { network: sizes, layout } = config;
    let mut loader = StrictLoader::new(source);
    let network = loader.fill(ModifiedResNet::new(sizes, device), layout.network);
    let mel = StoredMel::take(&mut loader, MelConfig::multi_view(), layout.window, layout.filters);
    loader.finish()?;
    let mel = mel.spectrogram(source)?;
    let method = MultiViewMethod::of_file(&source.files()[0], layout);
    Ok(MultiViewModel { mel, network, config: sizes.clone(), method, weights_sha256: source.sha256()? })
}
