//! Named tensors written to a safetensors file one after the other, so that no second copy of all of them is in memory.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use burn::tensor::Tensor;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::staged_file::StagedFile;
use super::{CheckpointError, hash};

/// One tensor of a file.
#[derive(Clone, Debug)]
pub struct NamedTensor<'values> {
    /// Its name, parts joined by dots.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last dimension fastest.
    pub values: TensorValues<'values>,
}

/// The values of a [`NamedTensor`].
#[derive(Clone, Debug)]
pub enum TensorValues<'values> {
    /// Floats in memory.
    Floats(Cow<'values, [f32]>),
    /// Integers in memory.
    Integers(Cow<'values, [i64]>),
    /// Floats of a tensor on any device, fetched when they are written. They are written in single precision, which
    /// holds every value of the shorter types.
    Tensor(Box<Tensor<1>>),
}

impl TensorValues<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Tensor(tensor) => tensor.dims()[0],
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Self::Floats(_) | Self::Tensor(_) => Dtype::F32,
            Self::Integers(_) => Dtype::I64,
        }
    }

    /// The values' bytes, the lowest first.
    pub(super) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Floats(values) => write_values(writer, values, f32::to_le_bytes),
            Self::Integers(values) => write_values(writer, values, i64::to_le_bytes),
            Self::Tensor(tensor) => {
                let data = Tensor::clone(tensor).try_into_data_as::<f32>().map_err(io::Error::other)?;
                let values = data.as_slice::<f32>().map_err(|error| io::Error::other(format!("{error:?}")))?;
                write_values(writer, values, f32::to_le_bytes)
            }
        }
    }
}

/// What a file is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Its length.
    pub num_bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// Writes a safetensors file under a temporary name: the same bytes for the same tensors, in whatever order.
///
/// # Panics
/// If two tensors have one name, or a shape does not fit its values.
pub(crate) fn stage_tensors(
    path: PathBuf,
    mut tensors: Vec<NamedTensor<'_>>,
) -> Result<(StagedFile, FileDigest), CheckpointError> {
    // The format wants the widest types first, so that all values are aligned.
    tensors.sort_by(|a, b| b.values.dtype().cmp(&a.values.dtype()).then_with(|| a.name.cmp(&b.name)));
    StagedFile::write_with(path, |file| {
        let mut writer = Digesting { writer: file, hasher: Sha256::new(), num_bytes: 0 };
        let header = header(&tensors)?;
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for tensor in &tensors {
            tensor.values.write(&mut writer)?;
        }
        Ok(FileDigest { num_bytes: writer.num_bytes, sha256: hash::to_hexadecimal(&writer.hasher.finalize()) })
    })
}

/// The JSON header, filled up with spaces to a multiple of 8 bytes.
fn header(tensors: &[NamedTensor<'_>]) -> io::Result<Vec<u8>> {
    let mut start = 0;
    let mut infos: Vec<(String, TensorInfo)> = Vec::with_capacity(tensors.len());
    let mut names = std::collections::HashSet::with_capacity(tensors.len());
    for NamedTensor { name, shape, values } in tensors {
        assert!(names.insert(name.as_str()), "two tensors are called {name}");
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: values of the shape {shape:?}");
        let dtype = values.dtype();
        let end = start + values.len() * dtype.bitsize() / 8;
        infos.push((name.clone(), TensorInfo { dtype, shape: shape.clone(), data_offsets: (start, end) }));
        start = end;
    }
    let metadata = Metadata::new(None, infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    Ok(header)
}

/// Values, the lowest byte first.
fn write_values<T: bytemuck::Pod, const SIZE: usize>(
    writer: &mut impl Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; SIZE],
) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return writer.write_all(bytemuck::cast_slice(values));
    }
    values.iter().try_for_each(|&value| writer.write_all(&bytes(value)))
}

/// Hashes what goes through.
struct Digesting<'writer, W> {
    writer: &'writer mut W,
    hasher: Sha256,
    num_bytes: u64,
}

impl<W: Write> Write for Digesting<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.num_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::TensorSource;
    use crate::device::test_device;

    fn tensors() -> Vec<NamedTensor<'static>> {
        let matrix = Tensor::<1>::from_floats([1.5, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 3.25], &test_device());
        let named =
            |name: &str, shape: &[usize], values| NamedTensor { name: name.into(), shape: shape.into(), values };
        vec![
            named("b", &[2, 3], TensorValues::Tensor(Box::new(matrix))),
            named("a", &[2], TensorValues::Floats(vec![0.1, 0.2].into())),
            named("steps", &[3], TensorValues::Integers(vec![-1, 0, 1 << 40].into())),
            named("none", &[0, 4], TensorValues::Floats(vec![].into())),
        ]
    }

    #[test]
    fn what_is_written_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let (staged, digest) = stage_tensors(path.clone(), tensors()).unwrap();
        staged.commit().unwrap();
        assert_eq!(digest.sha256, hash::sha256_of_files(std::slice::from_ref(&path)).unwrap());
        assert_eq!(digest.num_bytes, fs_err::metadata(&path).unwrap().len());
        let source = TensorSource::open_safetensors(&[path]).unwrap();
        assert_eq!(source.shape("b"), Some(&[2, 3][..]));
        let bits: Vec<u32> = source.read_floats("b").unwrap().iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [1.5, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 3.25].map(f32::to_bits));
        assert_eq!(source.read_floats("a").unwrap(), [0.1, 0.2]);
        assert_eq!(source.read_integers("steps").unwrap(), [-1, 0, 1 << 40]);
        assert_eq!((source.shape("none"), source.read_floats("none").unwrap().len()), (Some(&[0, 4][..]), 0));
        let error = source.read_integers("a").unwrap_err().to_string();
        assert!(error.contains("expected 64-bit integers, found F32"), "{error}");
    }

    #[test]
    fn the_order_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |tensors| stage_tensors(folder.path().join("a"), tensors).unwrap().1;
        let mut reversed = tensors();
        reversed.reverse();
        assert_eq!(digest(tensors()), digest(reversed));
    }
}
