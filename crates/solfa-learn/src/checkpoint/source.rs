//! Named tensors of weight files, read only when asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use fs_err as fs;
use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::{Dtype as SafetensorsDtype, SafeTensors};

use super::mapped_file::MappedFile;
use super::{CheckpointError, hash, json, pickle};

/// The tensors of one checkpoint, whatever files they lie in. Those of safetensors files are memory-mapped one by one, and
/// 32-bit ones are used in place; a PyTorch file's tensors are read one by one.
#[derive(Debug)]
pub struct TensorSource {
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, StoredTensor>,
}

/// One tensor: its shape, and where its bytes are.
#[derive(Debug)]
struct StoredTensor {
    file: usize,
    shape: Vec<usize>,
    storage: Storage,
}

enum Storage {
    Mapped { file: MappedFile, range: Range<usize>, dtype: SafetensorsDtype },
    Pytorch(pytorch_reader::Tensor),
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mapped { dtype, .. } => write!(formatter, "Mapped({dtype:?})"),
            Self::Pytorch(tensor) => write!(formatter, "Pytorch({:?})", tensor.dtype()),
        }
    }
}

impl TensorSource {
    /// Maps safetensors files.
    ///
    /// # Errors
    /// A file that cannot be read, or whose header does not agree with its length.
    pub fn open_safetensors(files: &[PathBuf]) -> Result<Self, CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (file, path) in files.iter().enumerate() {
            let mapped = MappedFile::open(path)?;
            let mapping = mapped.stretch(0..mapped.num_bytes())?;
            let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
            check_length(&mapping).map_err(damaged)?;
            let (header_bytes, metadata) = SafeTensors::read_metadata(&mapping).map_err(|error| {
                damaged(format!("expected a safetensors file, found {} bytes with this fault: {error}", mapping.len()))
            })?;
            let data_start = header_bytes + std::mem::size_of::<u64>();
            for (name, info) in metadata.tensors() {
                let (start, end) = info.data_offsets;
                let range = data_start + start..data_start + end;
                let storage = Storage::Mapped { file: mapped.clone(), range, dtype: info.dtype };
                let tensor = StoredTensor { file, shape: info.shape.clone(), storage };
                insert_once(&mut tensors, name, tensor, files)?;
            }
        }
        Ok(Self { files: files.to_vec(), tensors })
    }

    /// Opens a PyTorch file (`.pt`, `.bin`) whose weights may lie under `top_level_key`. Pickles are parsed without
    /// running anything in them.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn open_pytorch(path: &Path, top_level_key: Option<&str>) -> Result<Self, CheckpointError> {
        Self::open_pytorch_under(path, top_level_key.as_slice())
    }

    /// [`open_pytorch`](Self::open_pytorch), where weights may lie under any of several keys: the first one that there
    /// is counts.
    pub(super) fn open_pytorch_under(path: &Path, top_level_keys: &[&str]) -> Result<Self, CheckpointError> {
        let num_bytes =
            fs::metadata(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?.len();
        let damaged = |error: &dyn std::fmt::Display| CheckpointError::Damaged {
            path: path.to_owned(),
            reason: format!("expected a whole PyTorch file, found {num_bytes} bytes with this fault: {error}"),
        };
        let contents = PytorchReader::read_pickle_data(path, None).map_err(|error| damaged(&error))?;
        let key = top_level_keys.iter().copied().find(|key| pickle::has_key(&contents, key));
        pickle::check_is_data(&contents, key).map_err(|(place, found)| CheckpointError::NotData {
            path: path.to_owned(),
            place,
            found,
        })?;
        let reader = match key {
            Some(key) => PytorchReader::with_top_level_key(path, key),
            None => PytorchReader::new(path),
        };
        let reader = reader.map_err(|error| damaged(&error))?;
        let tensors = reader
            .into_tensors()
            .into_iter()
            .map(|(name, tensor)| {
                let shape = tensor.shape().to_vec();
                (name, StoredTensor { file: 0, shape, storage: Storage::Pytorch(tensor) })
            })
            .collect();
        Ok(Self { files: vec![path.to_owned()], tensors })
    }

    /// Opens the shards that an index names.
    ///
    /// # Errors
    /// As for single files.
    pub fn open_shards(index: &Path, shards: &[PathBuf]) -> Result<Self, CheckpointError> {
        let is_safetensors = index.to_string_lossy().ends_with(".safetensors.index.json");
        if is_safetensors {
            return Self::open_safetensors(shards);
        }
        let mut tensors = BTreeMap::new();
        for (file, shard) in shards.iter().enumerate() {
            for (name, tensor) in Self::open_pytorch(shard, None)?.tensors {
                insert_once(&mut tensors, name, StoredTensor { file, ..tensor }, shards)?;
            }
        }
        Ok(Self { files: shards.to_vec(), tensors })
    }

    /// The weight files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// SHA-256 of the weight files: see [`super::MelConformerModel::weights_sha256`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sha256(&self) -> Result<String, CheckpointError> {
        hash::sha256_of_files(&self.files)
    }

    /// Names and shapes of all tensors, in order of name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()))
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// The type of a tensor's values, if it is there and they are no floats.
    pub(super) fn type_other_than_float(&self, name: &str) -> Option<String> {
        match &self.tensors.get(name)?.storage {
            Storage::Mapped { dtype, .. } => {
                use SafetensorsDtype::{BF16, F16, F32, F64};
                (!matches!(dtype, F32 | F64 | F16 | BF16)).then(|| format!("{dtype:?}"))
            }
            Storage::Pytorch(tensor) => {
                use pytorch_reader::DType::{BF16, F16, F32, F64};
                (!matches!(tensor.dtype(), F32 | F64 | F16 | BF16)).then(|| format!("{:?}", tensor.dtype()))
            }
        }
    }

    /// A tensor's values as 32-bit floats, in place where they are stored so.
    ///
    /// # Errors
    /// A tensor that is not there, is not made of floats, or cannot be read.
    pub fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let Some(StoredTensor { file, shape, storage }) = self.tensors.get(name) else {
            let reason = format!("expected tensor {name}, found none of that name");
            return Err(CheckpointError::Damaged { path: self.files[0].clone(), reason });
        };
        let damaged = |reason: String| CheckpointError::Damaged { path: self.files[*file].clone(), reason };
        let not_float = |found: String| damaged(format!("tensor {name}: expected floats, found {found}"));
        match storage {
            Storage::Mapped { file, range, dtype } => {
                let bytes = file.stretch(range.clone())?;
                match dtype {
                    SafetensorsDtype::F32 if bytes.as_ptr().cast::<f32>().is_aligned() => {
                        let bytes = Bytes::from_shared(bytes, AllocationProperty::File);
                        Ok(TensorData::from_bytes(bytes, shape.clone(), DType::F32))
                    }
                    SafetensorsDtype::F32 => Ok(widen(&bytes, shape, f32::from_le_bytes)),
                    SafetensorsDtype::F64 => Ok(widen(&bytes, shape, |value| f64::from_le_bytes(value) as f32)),
                    SafetensorsDtype::F16 => Ok(widen(&bytes, shape, |value| f16::from_le_bytes(value).to_f32())),
                    SafetensorsDtype::BF16 => Ok(widen(&bytes, shape, |value| bf16::from_le_bytes(value).to_f32())),
                    other => Err(not_float(format!("{other:?}"))),
                }
            }
            Storage::Pytorch(tensor) => {
                let bytes = tensor.read().map_err(|error| damaged(format!("tensor {name}: {error}")))?;
                match tensor.dtype() {
                    pytorch_reader::DType::F32 => Ok(widen(&bytes, shape, f32::from_ne_bytes)),
                    pytorch_reader::DType::F64 => Ok(widen(&bytes, shape, |value| f64::from_ne_bytes(value) as f32)),
                    pytorch_reader::DType::F16 => Ok(widen(&bytes, shape, |value| f16::from_ne_bytes(value).to_f32())),
                    pytorch_reader::DType::BF16 => {
                        Ok(widen(&bytes, shape, |value| bf16::from_ne_bytes(value).to_f32()))
                    }
                    other => Err(not_float(format!("{other:?}"))),
                }
            }
        }
    }

    /// A tensor's values as 32-bit floats, in memory of their own.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_floats(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let damaged = |error| {
            let reason = format!("tensor {name}: {error:?}");
            CheckpointError::Damaged { path: self.files[0].clone(), reason }
        };
        self.read(name)?.try_to_vec::<f32>().map_err(damaged)
    }

    /// The values of a tensor of 64-bit integers in a safetensors file.
    ///
    /// # Errors
    /// A tensor that is not there, is made of something else, or cannot be read.
    pub fn read_integers(&self, name: &str) -> Result<Vec<i64>, CheckpointError> {
        let damaged = |found: &dyn std::fmt::Display| CheckpointError::Damaged {
            path: self.files[0].clone(),
            reason: format!("tensor {name}: expected 64-bit integers, found {found}"),
        };
        match self.tensors.get(name).map(|tensor| &tensor.storage) {
            Some(Storage::Mapped { file, range, dtype: SafetensorsDtype::I64 }) => {
                let bytes = file.stretch(range.clone())?;
                let (values, _) = bytes.as_chunks::<{ size_of::<i64>() }>();
                Ok(values.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect())
            }
            Some(Storage::Mapped { dtype, .. }) => Err(damaged(&format_args!("{dtype:?}"))),
            Some(Storage::Pytorch(tensor)) => Err(damaged(&format_args!("PyTorch's {:?}", tensor.dtype()))),
            None => Err(damaged(&"no tensor of that name")),
        }
    }
}

/// Values of `SIZE` bytes each, as 32-bit floats.
fn widen<const SIZE: usize>(bytes: &[u8], shape: &[usize], value: impl Fn([u8; SIZE]) -> f32) -> TensorData {
    let (values, _) = bytes.as_chunks::<SIZE>();
    TensorData::new(values.iter().map(|&bytes| value(bytes)).collect::<Vec<f32>>(), shape.to_vec())
}

/// Adds a tensor that no earlier file has.
fn insert_once(
    tensors: &mut BTreeMap<String, StoredTensor>,
    name: String,
    tensor: StoredTensor,
    files: &[PathBuf],
) -> Result<(), CheckpointError> {
    if let Some(earlier) = tensors.get(&name) {
        let reason = format!(
            "tensor {name}: expected in one shard only, found also in {}",
            files[earlier.file].file_name().unwrap_or_default().to_string_lossy()
        );
        return Err(CheckpointError::Damaged { path: files[tensor.file].clone(), reason });
    }
    tensors.insert(name, tensor);
    Ok(())
}

/// Checks a safetensors file's length against its header: first its own length, in the first eight bytes, then the end
/// of the last tensor.
pub(super) fn check_length(file: &[u8]) -> Result<(), String> {
    let Some((declared, rest)) = file.split_first_chunk::<{ size_of::<u64>() }>() else {
        return Err(format!("expected a safetensors file of 8 bytes or more, found {} bytes", file.len()));
    };
    let declared = u64::from_le_bytes(*declared);
    let header = usize::try_from(declared).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = header else {
        return Err(format!(
            "expected a safetensors header of {declared} bytes, as its first eight bytes say, found {} bytes",
            rest.len()
        ));
    };
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).map_err(|error| {
        format!("expected a safetensors header in JSON, found {declared} bytes with this fault: {error}")
    })?;
    let ends = header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    let expected = ends.max().unwrap_or(0);
    if expected != data.len() as u64 {
        return Err(format!("expected {expected} bytes of tensors after the header, found {}", data.len()));
    }
    Ok(())
}

/// The shard files that an index names, in order, each checked to be there.
pub(super) fn shards_of(index: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = json::read_object(index, "an index of shards")?;
    let config_error = |reason: String| CheckpointError::Config { path: index.to_owned(), reason };
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(config_error("expected the names of shards in `weight_map`, found none".into()));
    }
    let folder = super::folder_of(index);
    names
        .into_iter()
        .map(|name| {
            // A shard lies beside its index: a name that leads elsewhere is not followed.
            if Path::new(&name).components().count() != 1 {
                return Err(config_error(format!("expected names of files beside the index, found `{name}`")));
            }
            let shard = folder.join(&name);
            if shard.is_file() {
                return Ok(shard);
            }
            Err(config_error(format!("expected shard `{name}` beside it, found {}", list_names(folder))))
        })
        .collect()
}

/// The names in a folder, for an error message.
pub(super) fn list_names(folder: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
        })
        .unwrap_or_default();
    names.sort();
    /// Enough to recognise a folder by.
    const NAMES_SHOWN: usize = 8;
    let more = names.len().saturating_sub(NAMES_SHOWN);
    names.truncate(NAMES_SHOWN);
    match (names.is_empty(), more) {
        (true, _) => "an empty folder".into(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}
