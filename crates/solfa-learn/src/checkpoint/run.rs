//! A run of pre-training as a model: the newest checkpoint of its folder, by what its `config.toml` says.
//!
//! Every recipe keeps the encoder under `network.backbone`, and what makes its tokens of spectrograms, where it has such,
//! under `network.tokenizer`; teachers, heads and the optimiser's moments stay where they are. Of a joint space of sound and
//! text on a conformer both towers are taken, with their heads; on another encoder, the audio tower alone.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use fs_err as fs;
use serde::Deserialize;
use solfa_signal::encoder::sha256_hex;
use solfa_signal::features::MelSpectrogram;

use super::untrained::INITIALISATION;
use super::{
    CheckpointError, EncoderConfig, LoadedModel, MelConformerModel, MelRvqModel, MultiViewMethod, MultiViewModel,
    TensorSource, Vit1dModel, WaveformTransformerModel, folder_of, mulan, restore_module,
};
use crate::model::{
    JointSpaceConfig, MelConformer, ModifiedResNet, PositionalConvolutionConfig, Vit1d, WaveformTransformer,
};
use crate::targets::{MelTokenizer, MelTokenizerConfig, ResidualVectorQuantizer};

const CONFIG: &str = "config.toml";
const CHECKPOINTS: &str = "checkpoints";

/// What a run's configuration says of its encoder.
#[derive(Debug)]
pub(super) struct RunModel {
    recipe: String,
    encoder: EncoderConfig,
    tokenizer: Option<MelTokenizerConfig>,
    joint_space: Option<mulan::JointSpaceRun>,
}

/// The parts of a run's `config.toml` that an encoder is made by.
#[derive(Deserialize)]
struct RunFile {
    recipe: String,
    encoder: EncoderConfig,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    sampling: Sampling,
}

#[derive(Default, Deserialize)]
struct Method {
    tokenizer: Option<MelTokenizerConfig>,
    joint_space: Option<JointSpaceConfig>,
    text_model: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Sampling {
    #[serde(default)]
    crop: Crop,
}

#[derive(Default, Deserialize)]
struct Crop {
    #[serde(default)]
    seconds: f64,
}

/// The run that a path means: its folder, or one of its checkpoints' weights. Then the run's folder and the weights.
///
/// # Errors
/// A run without checkpoints.
pub(super) fn find(path: &Path) -> Option<Result<(PathBuf, PathBuf), CheckpointError>> {
    let is_run = |folder: &Path| folder.join(CONFIG).is_file() && folder.join(CHECKPOINTS).is_dir();
    if path.is_dir() {
        return is_run(path).then(|| Ok((path.to_owned(), newest_weights(&path.join(CHECKPOINTS))?)));
    }
    let checkpoints = path.parent()?;
    let folder = folder_of(checkpoints);
    let is_checkpoint = checkpoints.file_name()? == CHECKPOINTS && is_run(folder);
    is_checkpoint.then(|| Ok((folder.to_owned(), path.to_owned())))
}

/// The weights of the latest step whose checkpoint is whole: its `.json` is written last.
fn newest_weights(checkpoints: &Path) -> Result<PathBuf, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: checkpoints.to_owned(), source };
    let mut newest = None;
    for entry in fs::read_dir(checkpoints).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let step = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".json"));
        let Some(step) = step.and_then(|digits| digits.parse::<u64>().ok()) else { continue };
        let weights = path.with_extension("safetensors");
        if weights.is_file() {
            newest = newest.max(Some((step, weights)));
        }
    }
    newest.map(|(_, weights)| weights).ok_or_else(|| CheckpointError::NoWeights {
        path: checkpoints.to_owned(),
        expected: "a checkpoint of the run (step-*.json and step-*.safetensors): train it for a while first",
        found: super::source::list_names(checkpoints),
    })
}

impl RunModel {
    /// Reads a run's configuration.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        let config_error = |reason: String| CheckpointError::Config { path: path.clone(), reason };
        let RunFile { recipe, encoder, method, sampling } = toml::from_str(&text)
            .map_err(|error| config_error(format!("expected the configuration of a run: {}", error.message())))?;
        encoder.check().map_err(config_error)?;
        if let Some(tokenizer) = &method.tokenizer {
            tokenizer.check().map_err(|reason| config_error(format!("method.tokenizer.{reason}")))?;
        }
        let joint_space = method.joint_space.map(|joint_space| {
            joint_space.check().map_err(|reason| config_error(format!("method.joint_space.{reason}")))?;
            mulan::JointSpaceRun::read(folder, joint_space, method.text_model, sampling.crop.seconds)
        });
        Ok(Self { recipe, encoder, tokenizer: method.tokenizer, joint_space: joint_space.transpose()? })
    }
}

/// Which of the five files of the multi-view study is the one of a recipe.
fn method_of(recipe: &str) -> MultiViewMethod {
    match recipe {
        "resnet-barlow" => MultiViewMethod::BarlowTwins,
        "resnet-vicreg" => MultiViewMethod::FeatureStatistics,
        "resnet-byol" => MultiViewMethod::Byol,
        "resnet-clustering" => MultiViewMethod::Clustering,
        _ => MultiViewMethod::Contrastive,
    }
}

/// Where the numbers of a run's network come from.
#[derive(Clone, Copy)]
pub(super) enum Weights {
    /// Its checkpoint.
    Stored,
    /// A generator, as before training: the control of every probe of the run.
    Drawn {
        /// Where the generator begins.
        seed: u64,
    },
}

impl Weights {
    /// The module with its numbers.
    pub(super) fn put<M: Module>(self, module: M, prefix: &str, source: &TensorSource) -> Result<M, CheckpointError> {
        match self {
            Self::Stored => restore_module(module, prefix, source),
            Self::Drawn { .. } => Ok(module),
        }
    }
}

/// Builds the model.
pub(super) fn load(
    run: &RunModel,
    source: &TensorSource,
    weights: Weights,
    device: &Device,
) -> Result<LoadedModel, CheckpointError> {
    let weights_sha256 = match weights {
        Weights::Stored => source.sha256()?,
        Weights::Drawn { seed } => {
            device.seed(seed);
            sha256_hex(format!("untrained {INITIALISATION} {:?} seed {seed}", run.encoder))
        }
    };
    if let (Some(joint_space), EncoderConfig::MelConformer(config)) = (&run.joint_space, &run.encoder) {
        let model = joint_space.load(config.clone(), source, (weights, &weights_sha256), device)?;
        return Ok(LoadedModel::Mulan(Box::new(model)));
    }
    let spectrogram = |config: &solfa_signal::features::MelConfig| {
        MelSpectrogram::new(config.clone())
            .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })
    };
    Ok(match run.encoder.clone() {
        EncoderConfig::MelConformer(config) => {
            let network = MelConformer::new(&config.network, device);
            let fold = config.network.time_strides.iter().product();
            let tokenizer = run.tokenizer.as_ref().map(|tokenizer| {
                let tokenizer = tokenizer.init(config.network.num_mels * fold, || 0.0, device);
                weights.put(tokenizer, "network.tokenizer", source)
            });
            let tokenizer = tokenizer.transpose()?;
            LoadedModel::MelConformer(Box::new(MelConformerModel {
                name: if matches!(tokenizer, Some(MelTokenizer::RandomProjection(_))) { "musicfm" } else { "muq" },
                mel: spectrogram(&config.mel)?,
                mel_mean: config.mel_mean,
                mel_deviation: config.mel_deviation,
                network: weights.put(network, "network.backbone.MelConformer", source)?,
                config: config.network,
                fold,
                tokenizer,
                weights_sha256,
            }))
        }
        EncoderConfig::WaveformTransformer(config) => {
            let network = WaveformTransformer::new(&config.network, device);
            let cqt = config.cqt.map(solfa_signal::features::Cqt::new).transpose();
            let is_stacked = matches!(config.network.positions, PositionalConvolutionConfig::Stacked { .. });
            let has_cqt = config.network.extra_dim > 0;
            LoadedModel::WaveformTransformer(Box::new(WaveformTransformerModel {
                name: if is_stacked {
                    "data2vec-audio"
                } else if has_cqt {
                    "mert"
                } else {
                    "hubert"
                },
                sample_rate: config.sample_rate,
                is_normalized: config.is_normalized,
                cqt: cqt.map_err(|error| CheckpointError::Config {
                    path: source.files()[0].clone(),
                    reason: error.to_string(),
                })?,
                network: weights.put(network, "network.backbone.WaveformTransformer", source)?,
                config: config.network,
                weights_sha256,
                notes: Vec::new(),
            }))
        }
        EncoderConfig::Resnet(config) => {
            let network = ModifiedResNet::new(&config.network, device);
            LoadedModel::MultiView(Box::new(MultiViewModel {
                mel: spectrogram(&solfa_signal::features::MelConfig::multi_view())?,
                network: weights.put(network, "network.backbone.Resnet", source)?,
                config: config.network,
                method: method_of(&run.recipe),
                weights_sha256,
            }))
        }
        EncoderConfig::Vit1d(config) => {
            let network = Vit1d::new(&config.network, device);
            LoadedModel::Vit1d(Box::new(Vit1dModel {
                mel: spectrogram(&config.mel)?,
                network: weights.put(network, "network.backbone.Vit1d", source)?,
                config,
                weights_sha256,
            }))
        }
        EncoderConfig::MelRvq(config) => {
            let quantizer = ResidualVectorQuantizer::new(&config.quantizer, device);
            LoadedModel::MelRvq(Box::new(MelRvqModel {
                mel: spectrogram(&config.mel)?,
                quantizer: weights.put(quantizer, "network.quantizer", source)?,
                config,
                weights_sha256,
            }))
        }
        EncoderConfig::HiddenRvq(config) => {
            let reason = format!(
                "a quantiser of layer {} of {} is no encoder of sound: it is for the recipe muq-iter (method.quantizer_from)",
                config.layer, config.model
            );
            return Err(CheckpointError::Config { path: source.files()[0].clone(), reason });
        }
    })
}
