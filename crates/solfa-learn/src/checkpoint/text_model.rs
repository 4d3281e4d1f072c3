//! A model of text by itself, which stays as it is while something learns beside it: XLM-RoBERTa from a folder in Hugging
//! Face's layout (Conneau et al. 2020, arXiv:1911.02116), or the one within a MuQ-MuLan.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::json::read_object;
use super::strict::StrictLoader;
use super::xlm_roberta::{self, XlmRobertaFile};
use super::{
    CheckpointError, KeyTable, StagedFile, TensorSource, TextTokenizer, WeightFiles, folder_of, mulan, to_hexadecimal,
};
use crate::model::{XlmRoberta, XlmRobertaConfig};

/// What was trained upon, in a run's folder.
const RECORD: &str = "text-model.json";

/// What stands before the names in a file that has a head for masked tokens too, as the released files do.
const ROOT: &str = "roberta.";

/// Tensors of the file that the encoder does not use.
const UNUSED: &[(&str, &str)] = &[
    ("pooler.*", "the last hidden state is taken, and not what the pooler makes of it"),
    ("lm_head.*", "the head that names masked tokens"),
    ("*embeddings.position_ids", "counts from 0; older versions of the library stored it"),
    ("roberta.pooler.*", "as `pooler.*`"),
];
const NETWORK: KeyTable = KeyTable { unused: UNUSED, ..xlm_roberta::NETWORK };
const NETWORK_BELOW_ROOT: KeyTable = KeyTable { prefix: ROOT, ..NETWORK };

/// XLM-RoBERTa, its tokenizer, and what names both.
pub struct TextModel {
    /// The name of its folder or file.
    pub name: String,
    /// Text to tokens.
    pub tokenizer: TextTokenizer,
    /// Tokens to hidden states.
    pub network: XlmRoberta,
    /// The network's sizes.
    pub config: XlmRobertaConfig,
    /// SHA-256, in hexadecimal, of all that determines the hidden states of a text: weights, sizes and tokenizer.
    pub sha256: String,
}

/// Where a text model lies, before its weights are read.
struct Found {
    weights: WeightFiles,
    kind: Kind,
}

enum Kind {
    XlmRoberta(XlmRobertaFile, Box<TextTokenizer>),
    Mulan(Box<mulan::MulanFile>),
}

impl TextModel {
    /// Reads a folder with `config.json`, `tokenizer.json` and weights, or one of the weight files in it; or a MuQ-MuLan in
    /// its released layout, whose other models' folders lie beside its configuration.
    ///
    /// # Errors
    /// A path that is not there or is no such model; [`CheckpointError::Mismatch`] with all tensors that do not fit.
    pub fn open(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let Found { weights, kind } = find(path)?;
        let source = match &weights {
            WeightFiles::Pt(file) | WeightFiles::Bin(file) => TensorSource::open_pytorch(file, None)?,
            WeightFiles::Safetensors(file) => TensorSource::open_safetensors(std::slice::from_ref(file))?,
            WeightFiles::Sharded { index, shards } => TensorSource::open_shards(index, shards)?,
        };
        let (network, config, tokenizer) = match kind {
            Kind::Mulan(file) => {
                let (network, tokenizer) = mulan::load_text(&file, &source, device)?;
                (network, file.text_network().clone(), tokenizer)
            }
            Kind::XlmRoberta(file, tokenizer) => {
                let has_root = source.shapes().any(|(name, _)| name.starts_with(ROOT));
                let table = if has_root { NETWORK_BELOW_ROOT } else { NETWORK };
                let mut loader = StrictLoader::new(&source);
                let network = loader.fill(XlmRoberta::new(&file.network, device), table);
                loader.finish()?;
                (network, file.network, *tokenizer)
            }
        };
        let sizes = serde_json::to_string(&config).unwrap_or_default();
        let parts = format!("{}\n{sizes}\n{}", source.sha256()?, tokenizer.sha256());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, tokenizer, network, config, sha256: to_hexadecimal(&Sha256::digest(parts)) })
    }

    /// Whether [`open`](Self::open) would find a model, as far as that can be said without its weights.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for damaged weights.
    pub fn check(path: &Path) -> Result<(), CheckpointError> {
        find(path).map(drop)
    }
}

fn find(path: &Path) -> Result<Found, CheckpointError> {
    let metadata = fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
    let folder = if metadata.is_dir() { path } else { folder_of(path) };
    let config = folder.join("config.json");
    if !config.is_file() {
        let found = super::source::list_names(folder);
        let reason = format!("expected a text model's configuration, found {found}");
        return Err(CheckpointError::Config { path: config, reason });
    }
    let weights = if metadata.is_dir() { WeightFiles::find(path)? } else { WeightFiles::of_file(path)? };
    let fields: Map<String, Value> = read_object(&config, "a text model's configuration")?;
    let kind = if fields.contains_key("mulan") {
        let beside = |_: &str, _| Err("no other place was searched".into());
        Kind::Mulan(Box::new(mulan::MulanFile::read(&config, &beside)?))
    } else {
        let file = XlmRobertaFile::read(&config)?;
        let tokenizer = TextTokenizer::read(&folder.join("tokenizer.json"), &file, &config)?;
        Kind::XlmRoberta(file, Box::new(tokenizer))
    };
    Ok(Found { weights, kind })
}

/// Which text model a run learns beside: it is no part of the run's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextModelRecord {
    /// Where it was, from the root on where that could be found out.
    path: PathBuf,
    /// [`TextModel::sha256`]
    sha256: String,
}

impl TextModelRecord {
    /// Writes down in a run's folder which text model it learns beside, or compares with what stands there.
    ///
    /// # Errors
    /// Another model than the one that the run was begun with; a file that cannot be written.
    pub(crate) fn keep(folder: &Path, path: &Path, model: &TextModel) -> Result<(), CheckpointError> {
        if folder.join(RECORD).exists() {
            return Self::read(folder)?.check(path, model);
        }
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let record = Self { path: absolute, sha256: model.sha256.clone() };
        let target = folder.join(RECORD);
        let mut text = serde_json::to_vec_pretty(&record)
            .map_err(|error| CheckpointError::Config { path: target.clone(), reason: error.to_string() })?;
        text.push(b'\n');
        StagedFile::write(target, &text)?.commit()
    }

    /// What [`keep`](Self::keep) wrote.
    ///
    /// # Errors
    /// A file that is not there, or is none of this.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        read_object(&folder.join(RECORD), "which text model the run learned beside")
    }

    /// The model: at `configured`, or where it was when the run began.
    ///
    /// # Errors
    /// A model that is at neither place, cannot be read, or is another one now.
    pub(super) fn open(&self, configured: Option<&Path>, device: &Device) -> Result<TextModel, CheckpointError> {
        let candidates = [configured, Some(self.path.as_path())];
        let Some(path) = candidates.into_iter().flatten().find(|path| path.exists()) else {
            let configured = configured.map_or(String::new(), |path| format!(" or at {}", path.display()));
            let reason = format!(
                "expected the text model that the run learned beside, here{configured}; found nothing: put it back, or \
                 put its new place into the run's config.toml as method.text_model"
            );
            return Err(CheckpointError::Config { path: self.path.clone(), reason });
        };
        let model = TextModel::open(path, device)?;
        self.check(path, &model)?;
        Ok(model)
    }

    fn check(&self, path: &Path, model: &TextModel) -> Result<(), CheckpointError> {
        if model.sha256 == self.sha256 {
            return Ok(());
        }
        let reason = format!(
            "expected the text model that the run learned beside, whose hash is {}, found another one, whose hash is {}",
            self.sha256, model.sha256
        );
        Err(CheckpointError::Config { path: path.to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Int, Tensor};

    use super::*;
    use crate::checkpoint::{Checkpoint, LoadedModel, NamedTensor, TensorValues, module_tensors, stage_tensors};
    use crate::device::test_device;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/mulan-tiny")
    }

    fn copy(files: &[&str], to: &Path) {
        for name in files {
            fs::copy(golden().join("tiny-xlm-roberta-base").join(name), to.join(name)).unwrap();
        }
    }

    fn hidden(model: &TextModel) -> Vec<f32> {
        let tokens = model.tokenizer.encode("fast metal guitar").unwrap().tokens;
        let tokens: Vec<i64> = tokens.into_iter().map(i64::from).collect();
        let tokens = Tensor::<1, Int>::from_data(tokens.as_slice(), &test_device()).unsqueeze_dim::<2>(0);
        let layers = model.network.forward(tokens, None, model.network.num_layers(), None);
        layers.last().unwrap().clone().into_data().try_to_vec::<f32>().unwrap()
    }

    #[test]
    fn the_text_model_of_a_mulan_is_that_of_its_tower() {
        let device = test_device();
        let model = TextModel::open(&golden(), &device).unwrap();
        let LoadedModel::Mulan(mulan) = Checkpoint::open(&golden()).unwrap().load(&device).unwrap() else { panic!() };
        let values = |network: &XlmRoberta| -> Vec<Vec<u8>> {
            let of = |tensor: NamedTensor<'_>| match tensor.values {
                TensorValues::Tensor(tensor) => tensor.into_data().as_bytes().to_vec(),
                _ => Vec::new(),
            };
            module_tensors(network, "n").into_iter().map(of).collect()
        };
        assert!(values(&model.network) == values(&mulan.text.network));
        assert_eq!(model.config, mulan.config.text_network);
        assert_eq!(model.tokenizer.sha256(), mulan.text.tokenizer.sha256());
    }

    #[test]
    fn a_folder_of_the_library_is_read_with_and_without_its_root() {
        let (device, folder) = (test_device(), tempfile::tempdir().unwrap());
        let path = golden().join("tiny-xlm-roberta-base");
        let model = TextModel::open(&path, &device).unwrap();
        assert_eq!((model.name.as_str(), model.sha256.len()), ("tiny-xlm-roberta-base", 64));
        copy(&["config.json", "tokenizer.json"], folder.path());
        let source = TensorSource::open_safetensors(&[path.join("model.safetensors")]).unwrap();
        let names: Vec<(String, Vec<usize>)> =
            source.shapes().map(|(name, shape)| (format!("{ROOT}{name}"), shape.to_vec())).collect();
        let tensors: Vec<NamedTensor<'_>> = names
            .iter()
            .map(|(name, shape)| NamedTensor {
                name: name.clone(),
                shape: shape.clone(),
                values: TensorValues::Floats(source.read_floats(&name[ROOT.len()..]).unwrap().into()),
            })
            .collect();
        stage_tensors(folder.path().join("model.safetensors"), tensors).unwrap().0.commit().unwrap();
        let below_root = TextModel::open(folder.path(), &device).unwrap();
        assert_eq!(hidden(&model), hidden(&below_root));
        assert_ne!(model.sha256, below_root.sha256, "the files are others");
    }

    #[test]
    fn what_is_missing_is_named() {
        let (device, folder) = (test_device(), tempfile::tempdir().unwrap());
        let error = || TextModel::open(folder.path(), &device).err().unwrap().to_string();
        assert!(error().contains("config.json: expected a text model's configuration"), "{}", error());
        copy(&["config.json"], folder.path());
        assert!(error().contains("no weights found"), "{}", error());
        copy(&["model.safetensors"], folder.path());
        assert!(error().contains("tokenizer.json: expected the text model's tokenizer"), "{}", error());
        assert!(TextModel::check(folder.path()).is_err());
        copy(&["tokenizer.json"], folder.path());
        assert!(TextModel::check(folder.path()).is_ok() && TextModel::open(folder.path(), &device).is_ok());
        let error = TextModel::open(Path::new("/no/such/model"), &device).err().unwrap().to_string();
        assert!(error.contains("/no/such/model"), "{error}");
        let audio = golden().join("tiny-muq");
        let error = TextModel::open(&audio, &device).err().unwrap().to_string();
        assert!(error.contains("model_type: expected \"xlm-roberta\""), "{error}");
    }

    #[test]
    fn a_run_knows_its_text_model_again() {
        let (device, run, place) = (test_device(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        copy(&["config.json", "tokenizer.json", "model.safetensors"], place.path());
        let model = TextModel::open(place.path(), &device).unwrap();
        TextModelRecord::keep(run.path(), place.path(), &model).unwrap();
        TextModelRecord::keep(run.path(), place.path(), &model).unwrap();
        let record = TextModelRecord::read(run.path()).unwrap();
        assert_eq!(record.open(None, &device).unwrap().sha256, model.sha256);
        let other = TextModel::open(&golden(), &device).unwrap();
        let error = TextModelRecord::keep(run.path(), &golden(), &other).unwrap_err().to_string();
        assert!(error.contains("found another one"), "{error}");
        assert!(record.open(Some(&golden()), &device).is_err());
        drop(place);
        let error = record.open(Some(Path::new("gone")), &device).err().unwrap().to_string();
        assert!(error.contains("or at gone; found nothing: put it back"), "{error}");
    }
}
