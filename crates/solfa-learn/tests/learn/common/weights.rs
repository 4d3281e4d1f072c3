//! Weight files for tests: read whole, changed, and written again in every layout.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use solfa_learn::checkpoint::TensorSource;
use tempfile::TempDir;

use super::fixture;

/// A tensor as it lies in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredTensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl StoredTensor {
    pub(crate) fn from_floats(shape: &[usize], values: impl IntoIterator<Item = f32>) -> Self {
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(bytes.len(), 4 * shape.iter().product::<usize>());
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn floats(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::F32);
        self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }
}

/// The tensors of a file by name.
pub(crate) type Tensors = BTreeMap<String, StoredTensor>;

/// A golden checkpoint in a folder of its own: the files of this name that belong to it and nothing else.
pub(crate) fn copy_checkpoint(case: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut num_files = 0;
    for entry in fs_err::read_dir(fixture("golden").join(case)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !["inputs.safetensors", "outputs.safetensors", "attention.safetensors"].contains(&name) {
            fs_err::copy(&path, folder.path().join(name)).unwrap();
            num_files += 1;
        }
    }
    assert!(num_files >= 1, "{case}: no files");
    folder
}

pub(crate) fn read_safetensors(path: &Path) -> Tensors {
    let bytes = fs_err::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, view)| {
            let tensor =
                StoredTensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), tensor)
        })
        .collect()
}

pub(crate) fn write_safetensors(path: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, tensor)| {
        (name.as_str(), TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
    });
    fs_err::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The tensors of the golden MusicFM.
pub(crate) fn musicfm_tensors() -> Tensors {
    read_pytorch(&fixture("golden/musicfm-tiny/pretrained_tiny.pt"), "state_dict")
}

/// The tensors under a key of a PyTorch file. Counters, which are no floats, are read as zeros.
pub(crate) fn read_pytorch(path: &Path, top_level_key: &str) -> Tensors {
    let source = TensorSource::open_pytorch(path, Some(top_level_key)).unwrap();
    source
        .shapes()
        .map(|(name, shape)| {
            let tensor = match source.read(name) {
                Ok(data) => StoredTensor::from_floats(shape, data.try_to_vec::<f32>().unwrap()),
                Err(_) => {
                    assert!(name.ends_with("num_batches_tracked"), "{name}");
                    StoredTensor { dtype: Dtype::I64, shape: shape.to_vec(), bytes: vec![0; 8] }
                }
            };
            (name.to_owned(), tensor)
        })
        .collect()
}

/// What a pickle of a test may hold.
pub(crate) enum Pickled {
    Tensors(Tensors),
    Dictionary(Vec<(&'static str, Pickled)>),
    Number(i32),
    /// A pickle of its own, without header and end.
    Raw(&'static [u8]),
}

/// Writes a file as PyTorch did before version 1.6: a row of pickles, then every tensor's values.
pub(crate) fn write_pytorch(path: &Path, root: &Pickled) {
    /// What every such file begins with: a magic number, version 1001, and that it is little-endian.
    const HEAD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\
        \x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";
    let mut file = HEAD.to_vec();
    let mut storages = Vec::new();
    file.extend(b"\x80\x02");
    write_pickled(&mut file, root, &mut storages);
    file.extend(b".\x80\x02](");
    (0..storages.len()).for_each(|key| write_text(&mut file, &key.to_string()));
    file.extend(b"e.");
    for tensor in storages {
        file.extend((tensor.shape.iter().product::<usize>() as i64).to_le_bytes());
        file.extend(&tensor.bytes);
    }
    fs_err::write(path, file).unwrap();
}

fn write_pickled<'value>(file: &mut Vec<u8>, value: &'value Pickled, storages: &mut Vec<&'value StoredTensor>) {
    match value {
        Pickled::Raw(bytes) => file.extend(*bytes),
        Pickled::Number(number) => write_number(file, *number as usize),
        Pickled::Dictionary(entries) => {
            file.push(b'}');
            for (name, value) in entries {
                write_text(file, name);
                write_pickled(file, value, storages);
                file.push(b's');
            }
        }
        Pickled::Tensors(tensors) => {
            file.push(b'}');
            for (name, tensor) in tensors {
                write_text(file, name);
                write_tensor(file, tensor, storages.len());
                storages.push(tensor);
                file.push(b's');
            }
        }
    }
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`
fn write_tensor(file: &mut Vec<u8>, tensor: &StoredTensor, key: usize) {
    let storage: &[u8] = match tensor.dtype {
        Dtype::F32 => b"ctorch\nFloatStorage\n",
        Dtype::I64 => b"ctorch\nLongStorage\n",
        other => panic!("no test writes {other:?} for PyTorch"),
    };
    file.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    write_text(file, "storage");
    file.extend(storage);
    write_text(file, &key.to_string());
    write_text(file, "cpu");
    write_number(file, tensor.shape.iter().product());
    file.extend(b"NtQ");
    write_number(file, 0);
    file.push(b'(');
    tensor.shape.iter().for_each(|&size| write_number(file, size));
    file.extend(b"t(");
    (0..tensor.shape.len()).for_each(|axis| write_number(file, tensor.shape[axis + 1..].iter().product()));
    file.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
}

fn write_text(file: &mut Vec<u8>, text: &str) {
    file.push(b'X');
    file.extend((text.len() as u32).to_le_bytes());
    file.extend(text.as_bytes());
}

fn write_number(file: &mut Vec<u8>, number: usize) {
    file.push(b'J');
    file.extend((number as i32).to_le_bytes());
}
