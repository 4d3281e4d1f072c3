//! Released models' files, read strictly and written in the same layouts, and the project's own.
//!
//! A checkpoint is opened by [`Checkpoint::open`], which finds out what it is from its files, reads its sizes, and maps
//! its weights into memory. Every tensor of it must be used by the model or stand in the model's table of tensors known
//! to be unused; every tensor of the model must be there with its shape. Anything else is an error that lists the names.
//!
//! Only this module knows other projects' file layouts and tensor names; one file per released model, or one
//! folder, holds its configuration and its key table.

mod cqt_kernels;
mod data2vec;
mod described_tensors;
mod encoder_config;
mod error;
mod export;
mod hash;
mod hubert;
mod json;
mod mapped_file;
mod mel_conformer;
mod mel_rvq;
mod mert2;
mod module_tensors;
mod mulan;
mod multi_view;
mod muq;
mod musicfm;
mod pickle;
mod preprocessor;
mod pytorch_file;
mod run;
mod save;
mod sizes;
mod source;
mod staged_file;
mod stored_mel;
mod strict;
mod tensor_file;
mod text_model;
mod text_tokenizer;
mod untrained;
mod vit1d;
mod waveform_transformer;
mod xlm_roberta;

pub(crate) use described_tensors::{DescribedTensors, StoredType, described_header};
pub use encoder_config::{
    EncoderConfig, HiddenRvqEncoderConfig, MelConformerEncoderConfig, MelRvqEncoderConfig, ResnetEncoderConfig,
    WaveformTransformerEncoderConfig,
};
pub use error::{CheckpointError, Mismatch};
pub use export::{ExportFormat, checkpoint_files_in};
pub(crate) use hash::{sha256_of_files, to_hexadecimal};
pub(crate) use mapped_file::MappedFile;
pub use mel_conformer::MelConformerModel;
pub use mel_rvq::MelRvqModel;
pub use mert2::Mert2Model;
pub(crate) use module_tensors::settle_running_statistics;
pub use module_tensors::{module_tensors, restore_module};
pub use mulan::{MulanAudio, MulanModel, MulanText};
pub(crate) use multi_view::CLIP_SAMPLES as MULTI_VIEW_CLIP_SAMPLES;
pub use multi_view::{MultiViewMethod, MultiViewModel};
pub use source::TensorSource;
pub(crate) use staged_file::{StagedFile, is_partial, write_error};
pub use strict::KeyTable;
pub(crate) use tensor_file::stage_tensors;
pub use tensor_file::{FileDigest, NamedTensor, TensorValues};
pub use text_model::TextModel;
pub(crate) use text_model::TextModelRecord;
pub use text_tokenizer::{TextTokenizer, TokenizedText};
pub use untrained::Untrained;
pub use vit1d::{Vit1dEncoderConfig, Vit1dModel, save_vit1d};
pub use waveform_transformer::WaveformTransformerModel;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fs_err as fs;
use serde_json::{Map, Value};

/// A checkpoint on disk whose kind is known and whose weights are mapped, but not yet a model.
#[derive(Debug)]
pub struct Checkpoint {
    family: Family,
    source: TensorSource,
}

/// The kinds of checkpoint that are known, each with its resolved configuration.
#[derive(Debug)]
enum Family {
    Mert2(mert2::Mert2Settings),
    Muq(muq::MuqConfig),
    MusicFm(musicfm::MusicFmConfig),
    Mulan(Box<mulan::MulanFile>),
    Hubert(waveform_transformer::Settings),
    Data2Vec(waveform_transformer::Settings),
    MultiView(multi_view::MultiViewConfig),
    Vit1d(Box<Vit1dEncoderConfig>),
    Run(Box<run::RunModel>),
}

/// A model on a device, by the network that it is.
pub enum LoadedModel {
    /// MusicFM or MuQ.
    MelConformer(Box<MelConformerModel>),
    /// MuQ-MuLan.
    Mulan(Box<MulanModel>),
    /// HuBERT, MERT, data2vec or music2vec.
    WaveformTransformer(Box<WaveformTransformerModel>),
    /// A multi-view ResNet.
    MultiView(Box<MultiViewModel>),
    /// MERT v2.
    Mert2(Box<Mert2Model>),
    /// A ViT-1D.
    Vit1d(Box<Vit1dModel>),
    /// A residual quantiser by itself.
    MelRvq(Box<MelRvqModel>),
}

impl LoadedModel {
    /// What the checkpoint's files do not say and was taken for granted, one sentence each: for the user to read.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::WaveformTransformer(model) => &model.notes,
            Self::Mert2(model) => &model.notes,
            _ => &[],
        }
    }
}

/// Where another model is that a checkpoint names: the folder of its files by its name or hub id, or a sentence why it
/// cannot be had. The name stands in a file that someone gave us, so it may be anything.
pub type FindModel<'find> = &'find dyn Fn(&str, Tower) -> Result<PathBuf, String>;

/// What a model is to the checkpoint that names it, which says which of its files are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tower {
    /// The model of sound: its `config.json`.
    Audio,
    /// The model of text: its `config.json` and `tokenizer.json`.
    Text,
}

impl Checkpoint {
    /// Finds out what `path` is: a folder in Hugging Face's layout (a configuration and weights), a folder with a `.pt`
    /// file and what belongs to it, a run of pre-training, or one of the weight files itself.
    ///
    /// # Errors
    /// A path that is not there, is no known layout, has a configuration that is not understood, or weight files that
    /// are damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_with(path, &|_, _| Err("no other place was searched".into()))
    }

    /// The same for a checkpoint that needs files of other models, which are looked for beside it first and then by
    /// `find_model`: MuQ-MuLan names the two models that it was made of.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a model that is named and not found.
    pub fn open_with(path: &Path, find_model: FindModel<'_>) -> Result<Self, CheckpointError> {
        let metadata = fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        if let Some(found) = run::find(path) {
            let (folder, weights) = found?;
            let family = Family::Run(Box::new(run::RunModel::read(&folder)?));
            return Ok(Self { family, source: TensorSource::open_safetensors(&[weights])? });
        }
        let files = if metadata.is_dir() { WeightFiles::find(path)? } else { WeightFiles::of_file(path)? };
        let (family, source) = match &files {
            WeightFiles::Pt(file) => {
                let source = TensorSource::open_pytorch_under(file, &["state_dict", multi_view::TOP_LEVEL_KEY])?;
                (Family::within(file, &source)?, source)
            }
            WeightFiles::Bin(file) => (Family::beside(file, find_model)?, TensorSource::open_pytorch(file, None)?),
            WeightFiles::Safetensors(file) => {
                (Family::beside(file, find_model)?, TensorSource::open_safetensors(std::slice::from_ref(file))?)
            }
            WeightFiles::Sharded { index, shards } => {
                (Family::beside(index, find_model)?, TensorSource::open_shards(index, shards)?)
            }
        };
        Ok(Self { family, source })
    }

    /// Builds the model on a device, using every tensor.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] with the names of all tensors that are missing, unexpected or mis-shaped.
    pub fn load(self, device: &Device) -> Result<LoadedModel, CheckpointError> {
        let Self { family, source } = &self;
        Ok(match family {
            Family::Mert2(settings) => LoadedModel::Mert2(Box::new(mert2::load(settings, source, device)?)),
            Family::Muq(config) => LoadedModel::MelConformer(Box::new(muq::load(config, source, device)?)),
            Family::MusicFm(config) => LoadedModel::MelConformer(Box::new(musicfm::load(config, source, device)?)),
            Family::Mulan(file) => LoadedModel::Mulan(Box::new(mulan::load(file, source, device)?)),
            Family::Hubert(settings) => {
                LoadedModel::WaveformTransformer(Box::new(hubert::load(settings, source, device)?))
            }
            Family::Data2Vec(settings) => {
                LoadedModel::WaveformTransformer(Box::new(data2vec::load(settings, source, device)?))
            }
            Family::MultiView(config) => LoadedModel::MultiView(Box::new(multi_view::load(config, source, device)?)),
            Family::Vit1d(config) => LoadedModel::Vit1d(Box::new(vit1d::load(config, source, device)?)),
            Family::Run(config) => run::load(config, source, run::Weights::Stored, device)?,
        })
    }
}

impl Checkpoint {
    /// The network of a run of pre-training as it would be without training: the control of every probe of the run. The
    /// same numbers for the same seed.
    ///
    /// # Errors
    /// A checkpoint that is no run.
    pub fn load_untrained(self, seed: u64, device: &Device) -> Result<LoadedModel, CheckpointError> {
        match &self.family {
            Family::Run(config) => run::load(config, &self.source, run::Weights::Drawn { seed }, device),
            _ => Err(CheckpointError::Config {
                path: self.source.files()[0].clone(),
                reason: "expected a run of pre-training, whose network can be had untrained".to_owned(),
            }),
        }
    }
}

impl Family {
    /// What the names of its tensors say that a `.pt` file is.
    fn within(file: &Path, source: &TensorSource) -> Result<Self, CheckpointError> {
        if let Some(config) = multi_view::MultiViewConfig::recognise(source) {
            return config.map(Self::MultiView);
        }
        if source.shapes().any(|(name, _)| name.starts_with(musicfm::PREFIX)) {
            return musicfm::MusicFmConfig::find(file).map(Self::MusicFm);
        }
        let found = source.shapes().next().map_or("none".into(), |(name, _)| format!("`{name}` and others"));
        let reason = format!(
            "expected tensors of MusicFM (`{}...`) or of a multi-view encoder (`{}...`), found {found}",
            musicfm::PREFIX,
            multi_view::PREFIXES.join("...` or `"),
        );
        Err(CheckpointError::Config { path: file.to_owned(), reason })
    }

    /// What the configuration beside a weight file in Hugging Face's layout says that it is.
    fn beside(weights: &Path, find_model: FindModel<'_>) -> Result<Self, CheckpointError> {
        let path = weights.with_file_name("config.json");
        let config_error = |reason: String| CheckpointError::Config { path: path.clone(), reason };
        if !path.is_file() {
            let found = source::list_names(folder_of(&path));
            return Err(config_error(format!("expected a model's configuration beside its weights, found {found}")));
        }
        let config: Map<String, Value> = json::read_object(&path, "a model's configuration")?;
        match config.get("model_type").map(|kind| kind.as_str().unwrap_or_default()) {
            // The package that MuQ comes in writes no type.
            None if config.contains_key("mulan") && config.contains_key("audio_model") => {
                Ok(Self::Mulan(Box::new(mulan::MulanFile::read(&path, find_model)?)))
            }
            None => Ok(Self::Muq(muq::MuqConfig::read(&path)?)),
            Some("hubert") => Ok(Self::Hubert(hubert::read(&path, hubert::ConfigDialect::Library)?)),
            Some("mert_model" | "music_hubert") => Ok(Self::Hubert(hubert::read(&path, hubert::ConfigDialect::Mert)?)),
            Some("data2vec-audio") => Ok(Self::Data2Vec(data2vec::read(&path)?)),
            Some("mert2") => Ok(Self::Mert2(mert2::Mert2Settings::read(&path)?)),
            Some(vit1d::MODEL_TYPE) => Ok(Self::Vit1d(Box::new(Vit1dEncoderConfig::read(&path)?))),
            Some(_) => Err(config_error(format!(
                "model_type: expected one of {}, or none for MuQ, found {}",
                MODEL_TYPES.join(", "),
                config["model_type"]
            ))),
        }
    }
}

/// What `model_type` may be in a `config.json`.
const MODEL_TYPES: &[&str] = &["hubert", "mert_model", "music_hubert", "data2vec-audio", "mert2", vit1d::MODEL_TYPE];

/// The weight files of a checkpoint.
#[derive(Debug)]
enum WeightFiles {
    /// A PyTorch file of a project's own.
    Pt(PathBuf),
    /// Hugging Face's layout, as PyTorch saves it.
    Bin(PathBuf),
    /// Hugging Face's layout.
    Safetensors(PathBuf),
    /// Hugging Face's layout in several files of either kind.
    Sharded { index: PathBuf, shards: Vec<PathBuf> },
}

impl WeightFiles {
    /// What a file is, by its name.
    fn of_file(file: &Path) -> Result<Self, CheckpointError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SINGLE_FILES.iter().any(|single| name == format!("{single}{INDEX_SUFFIX}")) {
            return Ok(Self::Sharded { index: file.to_owned(), shards: source::shards_of(file)? });
        }
        match file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase().as_str() {
            "pt" | "pth" | "ckpt" => Ok(Self::Pt(file.to_owned())),
            "bin" => Ok(Self::Bin(file.to_owned())),
            "safetensors" => Ok(Self::Safetensors(file.to_owned())),
            _ => Err(CheckpointError::NoWeights {
                path: file.to_owned(),
                expected: "a .safetensors, .bin or .pt file, the index of its shards, or the folder of one of these",
                found: format!("a file called {name}"),
            }),
        }
    }

    /// Looks for the names that Hugging Face uses, then for a single `.pt` file.
    fn find(folder: &Path) -> Result<Self, CheckpointError> {
        for name in SINGLE_FILES {
            for name in [name.to_owned(), format!("{name}{INDEX_SUFFIX}")] {
                let file = folder.join(name);
                if file.is_file() {
                    return Self::of_file(&file);
                }
            }
        }
        let mut pt_files: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(|source| CheckpointError::Io { path: folder.to_owned(), source })?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.is_file() && matches!(Self::of_file(file), Ok(Self::Pt(_))))
            .collect();
        pt_files.sort();
        match pt_files.as_slice() {
            [file] => Self::of_file(file),
            [] => Err(CheckpointError::NoWeights {
                path: folder.to_owned(),
                expected: "model.safetensors, model.safetensors.index.json, pytorch_model.bin or one .pt file",
                found: source::list_names(folder),
            }),
            several => Err(CheckpointError::NoWeights {
                path: folder.to_owned(),
                expected: "one .pt file (give the path of the one that is meant)",
                found: names_of(several),
            }),
        }
    }
}

/// Hugging Face's names of weights in one file; that of an index of shards has [`INDEX_SUFFIX`] after it.
const SINGLE_FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDEX_SUFFIX: &str = ".index.json";

/// The names of files, for an error message.
fn names_of(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy())).collect();
    names.join(", ")
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("model.pt")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/model.pt")), Path::new("a"));
    }
}
