//! Loaded models written in published layouts, so that loading what was written gives the same vectors to the bit, and
//! so that the programs of the models' authors read it.
//!
//! A layout is written by the tables of names by which it is read. Whether it can hold a model is asked of the reader: the
//! configuration is made, read back in memory, and must say what the model is. Tensors that a model has no use for (heads
//! of pre-training, counters) are not kept when it is loaded, and so are not written.

mod mel_conformer;
mod mert2;
mod mulan;
mod multi_view;
mod waveform_transformer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::save::CheckpointFolder;
use super::{CheckpointError, INDEX_SUFFIX, LoadedModel, SINGLE_FILES, WeightFiles, preprocessor, vit1d};

/// A layout that models are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// MuQ's: `config.json` and `model.safetensors`, which the package `muq` reads.
    MuqHf,
    /// MusicFM's: a `.pt` file and the statistics of its training data, with the sizes in a `config.json`.
    MusicFm,
    /// The library `transformers`' `HubertModel`.
    HubertHf,
    /// MERT's, which is HuBERT's with fields of its own.
    MertHf,
    /// The library `transformers`' `Data2VecAudioModel`.
    Data2VecHf,
    /// MERT v2's.
    Mert2Hf,
    /// The multi-view study's: a `.pt` file that is called after the method.
    MultiView,
    /// MuQ-MuLan's, with folders for the configurations of the two models that it names.
    MulanHf,
    /// This project's own for ViT-1D.
    Vit1d,
}

impl ExportFormat {
    /// All layouts.
    pub const ALL: [Self; 9] = [
        Self::MuqHf,
        Self::MusicFm,
        Self::HubertHf,
        Self::MertHf,
        Self::Data2VecHf,
        Self::Mert2Hf,
        Self::MultiView,
        Self::MulanHf,
        Self::Vit1d,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MuqHf => "muq-hf",
            Self::MusicFm => "musicfm",
            Self::HubertHf => "hubert-hf",
            Self::MertHf => "mert-hf",
            Self::Data2VecHf => "data2vec-hf",
            Self::Mert2Hf => "mert2-hf",
            Self::MultiView => "multi-view",
            Self::MulanHf => "mulan-hf",
            Self::Vit1d => "vit1d",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no layout of checkpoints: expected one of {names}")
        })
    }
}

impl LoadedModel {
    /// The layouts that can hold the model, its own one first.
    pub fn formats(&self) -> Vec<ExportFormat> {
        let own = self.own_format();
        let others = ExportFormat::ALL.into_iter().filter(|format| Some(*format) != own);
        own.into_iter().chain(others).filter(|format| self.check_format(*format).is_ok()).collect()
    }

    /// Writes the model in a layout, and gives the names of the files, the weights first. Files of the same names are
    /// replaced.
    ///
    /// All files are whole on the disk before one of them has its name. Where that fails nothing is left behind.
    ///
    /// # Errors
    /// A layout that cannot hold the model; a folder with other weights, which would be read in place of these; a file
    /// that cannot be written.
    pub fn export(&self, format: ExportFormat, folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
        self.check_format(format).map_err(|reason| CheckpointError::Format {
            model: self.kind(),
            format: format.name(),
            reason,
            fitting: match self.formats().as_slice() {
                [] => "no layout that is published can hold it".to_owned(),
                fitting => fitting.iter().map(|format| format.name()).collect::<Vec<_>>().join(", "),
            },
        })?;
        if let Self::Vit1d(model) = self {
            check_no_others(folder, &["model.safetensors"])?;
            return vit1d::write(folder, &model.config, &model.network);
        }
        let weights = self.weights_name(format);
        check_no_others(folder, &[&weights])?;
        let mut files = CheckpointFolder::begin(folder)?;
        match self {
            Self::MelConformer(model) if format == ExportFormat::MusicFm => {
                mel_conformer::write_musicfm(&mut files, &weights, model)?;
            }
            Self::MelConformer(model) => mel_conformer::write_muq(&mut files, &weights, model)?,
            Self::WaveformTransformer(model) => waveform_transformer::write(&mut files, &weights, model, format)?,
            Self::MultiView(model) => multi_view::write(&mut files, &weights, model)?,
            Self::Mert2(model) => mert2::write(&mut files, &weights, model)?,
            Self::Mulan(model) => mulan::write(&mut files, &weights, model)?,
            // The one is written above, and the other has no layout.
            Self::Vit1d(_) | Self::MelRvq(_) => {}
        }
        files.commit()
    }

    /// What the model is, in words.
    fn kind(&self) -> &'static str {
        match self {
            Self::MelConformer(model) => model.name,
            Self::WaveformTransformer(model) => model.name,
            Self::MultiView(_) => "a multi-view ResNet",
            Self::Mert2(_) => "a MERT v2",
            Self::Mulan(_) => "a MuQ-MuLan",
            Self::Vit1d(_) => "a ViT-1D",
            Self::MelRvq(_) => "a quantiser of spectrograms",
        }
    }

    /// The layout that its kind is published in, whether or not that can hold it. None for what is published in no layout.
    pub fn own_format(&self) -> Option<ExportFormat> {
        Some(match self {
            Self::MelConformer(model) if model.name == "musicfm" => ExportFormat::MusicFm,
            Self::MelConformer(_) => ExportFormat::MuqHf,
            Self::WaveformTransformer(model) => match model.name {
                "mert" => ExportFormat::MertHf,
                "data2vec-audio" => ExportFormat::Data2VecHf,
                _ => ExportFormat::HubertHf,
            },
            Self::MultiView(_) => ExportFormat::MultiView,
            Self::Mert2(_) => ExportFormat::Mert2Hf,
            Self::Mulan(_) => ExportFormat::MulanHf,
            Self::Vit1d(_) => ExportFormat::Vit1d,
            Self::MelRvq(_) => return None,
        })
    }

    /// Whether a layout can hold the model.
    fn check_format(&self, format: ExportFormat) -> Result<(), String> {
        use ExportFormat::{Data2VecHf, HubertHf, Mert2Hf, MertHf, MulanHf, MultiView, MuqHf, MusicFm, Vit1d};
        match (self, format) {
            (Self::MelConformer(model), MuqHf) => mel_conformer::check_muq(model),
            (Self::MelConformer(model), MusicFm) => mel_conformer::check_musicfm(model),
            (Self::WaveformTransformer(model), HubertHf | MertHf | Data2VecHf) => {
                waveform_transformer::check(model, format)
            }
            (Self::MultiView(model), MultiView) => multi_view::check(model),
            (Self::Mert2(model), Mert2Hf) => mert2::check(model),
            (Self::Mulan(model), MulanHf) => mulan::check(model),
            (Self::Vit1d(_), Vit1d) => Ok(()),
            _ => Err("that is the layout of another network".into()),
        }
    }

    /// The name of the weight file.
    fn weights_name(&self, format: ExportFormat) -> String {
        match (self, format) {
            (Self::MultiView(model), _) => format!("{}.pt", model.method.file_stem()),
            (_, ExportFormat::MusicFm) => "pretrained_musicfm.pt".into(),
            _ => SINGLE_FILES[0].into(),
        }
    }
}

/// The files in a folder that belong to a checkpoint, by their names, in order: none where there is no such folder.
///
/// # Errors
/// A folder that cannot be read.
pub fn checkpoint_files_in(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let is_beside = |name: &str| {
        ["config.json", preprocessor::FILE_NAME].contains(&name) || name.ends_with("_stats.json") || is_weights(name)
    };
    files_in(folder, is_beside)
}

fn files_in(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, CheckpointError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let read_error = |source| CheckpointError::Io { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(read_error)? {
        let name = entry.map_err(read_error)?.file_name().to_string_lossy().into_owned();
        if is_wanted(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a checkpoint's folder is opened by a file of this name.
fn is_weights(name: &str) -> bool {
    let is_of_library = SINGLE_FILES.iter().any(|single| name == *single || name == format!("{single}{INDEX_SUFFIX}"));
    is_of_library || matches!(WeightFiles::of_file(Path::new(name)), Ok(WeightFiles::Pt(_)))
}

/// Checks that a folder has no weights but those that are replaced.
fn check_no_others(folder: &Path, replaced: &[&str]) -> Result<(), CheckpointError> {
    let others = files_in(folder, |name| is_weights(name) && !replaced.contains(&name))?;
    if others.is_empty() {
        return Ok(());
    }
    Err(CheckpointError::OtherWeights { folder: folder.to_owned(), found: others.join(", ") })
}

/// Checks that a spectrogram is the one that a configuration defines, to the bit, for layouts that store none.
fn check_mel(mel: &MelSpectrogram, expected: MelConfig) -> Result<(), String> {
    let expected = MelSpectrogram::new(expected).map_err(|error| error.to_string())?;
    if mel.config() != expected.config() {
        return Err("it has no place for another mel spectrogram than its own".into());
    }
    if mel.stored_parts() != expected.stored_parts() {
        return Err("it has no place for the model's stored window and mel bands, which are not the usual ones".into());
    }
    Ok(())
}

/// Checks that a reader makes of a configuration what the model is.
fn check_same<T: PartialEq + fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("its {what} would be read as {found:?}, expected {expected:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_others_refused() {
        for format in ExportFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        let error = "onnx".parse::<ExportFormat>().unwrap_err();
        assert!(error.contains("`onnx`") && error.contains("muq-hf, musicfm"), "{error}");
    }

    #[test]
    fn files_of_checkpoints_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(checkpoint_files_in(&folder.path().join("absent")).unwrap(), [""; 0]);
        for name in ["byol.pt", "config.json", "model.safetensors.index.json", "notes.txt", "song.safetensors"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let expected = ["byol.pt", "config.json", "model.safetensors.index.json"];
        assert_eq!(checkpoint_files_in(folder.path()).unwrap(), expected);
        let error = check_no_others(folder.path(), &["byol.pt"]).unwrap_err().to_string();
        assert!(error.contains("found model.safetensors.index.json"), "{error}");
    }
}
