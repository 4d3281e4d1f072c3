//! Released models' files, read strictly.
//!
//! A checkpoint is opened by [`Checkpoint::open`], which finds out what it is from its files, reads its sizes, and maps
//! its weights into memory. Every tensor of it must be used by the model or stand in the model's table of tensors known
//! to be unused; every tensor of the model must be there with its shape. Anything else is an error that lists the names.
//!
//! Only this module knows other projects' file layouts and tensor names; one file per released model holds its
//! configuration and its key table.

mod cqt_kernels;
mod data2vec;
mod error;
mod hash;
mod hubert;
mod json;
mod mapped_file;
mod mel_conformer;
mod muq;
mod musicfm;
mod pickle;
mod preprocessor;
mod sizes;
mod source;
mod strict;
mod waveform_transformer;

pub use error::CheckpointError;
pub use mel_conformer::{MelConformerModel, MelTokenizer};
pub use source::TensorSource;
pub use strict::KeyTable;
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
    Muq(muq::MuqConfig),
    MusicFm(musicfm::MusicFmConfig),
    Hubert(waveform_transformer::Settings),
    Data2Vec(waveform_transformer::Settings),
}

/// A model on a device, by the network that it is.
pub enum LoadedModel {
    /// MusicFM or MuQ.
    MelConformer(Box<MelConformerModel>),
    /// HuBERT, MERT, data2vec or music2vec.
    WaveformTransformer(Box<WaveformTransformerModel>),
}

impl LoadedModel {
    /// What the checkpoint's files do not say and was taken for granted, one sentence each: for the user to read.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::MelConformer(_) => &[],
            Self::WaveformTransformer(model) => &model.notes,
        }
    }
}

impl Checkpoint {
    /// Finds out what `path` is: a folder in Hugging Face's layout (a configuration and weights), a folder with a `.pt`
    /// file and what belongs to it, or one of the weight files itself.
    ///
    /// # Errors
    /// A path that is not there, is no known layout, has a configuration that is not understood, or weight files that
    /// are damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        let files = if metadata.is_dir() { WeightFiles::find(path)? } else { WeightFiles::of_file(path)? };
        let (family, source) = match &files {
            WeightFiles::Pt(file) => {
                let config = musicfm::MusicFmConfig::find(file)?;
                (Family::MusicFm(config), TensorSource::open_pytorch(file, Some("state_dict"))?)
            }
            WeightFiles::Bin(file) => (Family::beside(file)?, TensorSource::open_pytorch(file, None)?),
            WeightFiles::Safetensors(file) => {
                (Family::beside(file)?, TensorSource::open_safetensors(std::slice::from_ref(file))?)
            }
            WeightFiles::Sharded { index, shards } => {
                (Family::beside(index)?, TensorSource::open_shards(index, shards)?)
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
            Family::Muq(config) => LoadedModel::MelConformer(Box::new(muq::load(config, source, device)?)),
            Family::MusicFm(config) => LoadedModel::MelConformer(Box::new(musicfm::load(config, source, device)?)),
            Family::Hubert(settings) => {
                LoadedModel::WaveformTransformer(Box::new(hubert::load(settings, source, device)?))
            }
            Family::Data2Vec(settings) => {
                LoadedModel::WaveformTransformer(Box::new(data2vec::load(settings, source, device)?))
            }
        })
    }
}

impl Family {
    /// What the configuration beside a weight file in Hugging Face's layout says that it is.
    fn beside(weights: &Path) -> Result<Self, CheckpointError> {
        let path = weights.with_file_name("config.json");
        let config_error = |reason: String| CheckpointError::Config { path: path.clone(), reason };
        if !path.is_file() {
            let found = source::list_names(folder_of(&path));
            return Err(config_error(format!("expected a model's configuration beside its weights, found {found}")));
        }
        let config: Map<String, Value> = json::read_object(&path, "a model's configuration")?;
        match config.get("model_type").map(|kind| kind.as_str().unwrap_or_default()) {
            // The package that MuQ comes in writes no type.
            None => Ok(Self::Muq(muq::MuqConfig::read(&path)?)),
            Some("hubert") => Ok(Self::Hubert(hubert::read(&path, hubert::Author::Library)?)),
            Some("mert_model" | "music_hubert") => Ok(Self::Hubert(hubert::read(&path, hubert::Author::Mert)?)),
            Some("data2vec-audio") => Ok(Self::Data2Vec(data2vec::read(&path)?)),
            Some(_) => Err(config_error(format!(
                "model_type: expected one of {}, or none for MuQ, found {}",
                MODEL_TYPES.join(", "),
                config["model_type"]
            ))),
        }
    }
}

/// What `model_type` may be in a `config.json`.
const MODEL_TYPES: &[&str] = &["hubert", "mert_model", "music_hubert", "data2vec-audio"];

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
