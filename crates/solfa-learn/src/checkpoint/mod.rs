//! Released models' files, read strictly.
//!
//! A checkpoint is opened by [`Checkpoint::open`], which finds out what it is from its files, reads its sizes, and maps
//! its weights into memory. Every tensor of it must be used by the model or stand in the model's table of tensors known
//! to be unused; every tensor of the model must be there with its shape. Anything else is an error that lists the names.
//!
//! Only this module knows other projects' file layouts and tensor names; one file per released model holds its
//! configuration and its key table.

mod error;
mod hash;
mod mapped_file;
mod muq;
mod musicfm;
mod source;
mod strict;

pub use error::CheckpointError;
pub use source::TensorSource;
pub use strict::KeyTable;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fs_err as fs;
use solfa_signal::features::MelSpectrogram;

use crate::model::{MelConformer, MelConformerConfig};
use crate::targets::{RandomProjectionQuantizer, ResidualVectorQuantizer};

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
}

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

impl Checkpoint {
    /// Finds out what `path` is: a folder in MuQ's Hugging Face layout, a folder with MusicFM's `.pt` file and its
    /// statistics, or one of those files itself.
    ///
    /// # Errors
    /// A path that is not there, is no known layout, has a configuration that is not understood, or weight files that
    /// are damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        let (folder, file) = if metadata.is_dir() {
            (path.to_owned(), None)
        } else {
            (path.parent().map(Path::to_owned).unwrap_or_default(), Some(path.to_owned()))
        };
        let files = match file {
            Some(file) => WeightFiles::One(file),
            None => WeightFiles::find(&folder)?,
        };
        let is_pt = matches!(&files, WeightFiles::One(file) if has_extension(file, &["pt", "pth", "ckpt"]));
        if is_pt {
            let WeightFiles::One(file) = &files else { unreachable!("checked on the line above") };
            let config = musicfm::MusicFmConfig::find(file)?;
            let source = TensorSource::open_pytorch(file, Some("state_dict"))?;
            return Ok(Self { family: Family::MusicFm(config), source });
        }
        let config = muq::MuqConfig::read(&folder.join("config.json"))?;
        let source = match &files {
            WeightFiles::One(file) if has_extension(file, &["bin"]) => TensorSource::open_pytorch(file, None)?,
            WeightFiles::One(file) => TensorSource::open_safetensors(std::slice::from_ref(file))?,
            WeightFiles::Sharded { index, shards } => TensorSource::open_shards(index, shards)?,
        };
        Ok(Self { family: Family::Muq(config), source })
    }

    /// Builds the model on a device, using every tensor.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] with the names of all tensors that are missing, unexpected or mis-shaped.
    pub fn load(self, device: &Device) -> Result<MelConformerModel, CheckpointError> {
        match self.family {
            Family::Muq(config) => muq::load(&config, &self.source, device),
            Family::MusicFm(config) => musicfm::load(&config, &self.source, device),
        }
    }
}

/// The weight files of a folder.
#[derive(Debug)]
enum WeightFiles {
    One(PathBuf),
    Sharded { index: PathBuf, shards: Vec<PathBuf> },
}

impl WeightFiles {
    /// Looks for the names that Hugging Face uses, then for a single `.pt` file.
    fn find(folder: &Path) -> Result<Self, CheckpointError> {
        for name in ["model.safetensors", "pytorch_model.bin"] {
            let file = folder.join(name);
            if file.is_file() {
                return Ok(Self::One(file));
            }
            let index = folder.join(format!("{name}.index.json"));
            if index.is_file() {
                let shards = source::shards_of(&index)?;
                return Ok(Self::Sharded { index, shards });
            }
        }
        let mut pt_files: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(|source| CheckpointError::Io { path: folder.to_owned(), source })?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.is_file() && has_extension(file, &["pt", "pth", "ckpt"]))
            .collect();
        pt_files.sort();
        match pt_files.as_slice() {
            [file] => Ok(Self::One(file.clone())),
            [] => Err(CheckpointError::NoWeights {
                path: folder.to_owned(),
                expected: "model.safetensors, model.safetensors.index.json, pytorch_model.bin or one .pt file",
                found: source::list_names(folder),
            }),
            several => Err(CheckpointError::NoWeights {
                path: folder.to_owned(),
                expected: "one .pt file (give the path of the one that is meant)",
                found: several
                    .iter()
                    .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extensions.iter().any(|candidate| candidate.eq_ignore_ascii_case(extension)))
}
