//! PyTorch files as they are written: a zip archive of a pickle and of every tensor's values, as `torch.save` has made
//! them since version 1.6. `torch.load(weights_only=True)` reads them.
//!
//! The pickle is a dictionary with one key, under which lies a dictionary of tensors. It calls what PyTorch itself writes
//! there and nothing else: `torch._utils._rebuild_tensor_v2` on a `torch.FloatStorage`, and an empty `OrderedDict` for
//! hooks.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::staged_file::StagedFile;
use super::{CheckpointError, NamedTensor};

/// What the values of a tensor are aligned to, as PyTorch does it, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// Version of the archive's layout.
const VERSION: &[u8] = b"3\n";

/// Writes a file under a temporary name: the same bytes for the same tensors, in whatever order. They are written as
/// 32-bit floats.
pub(super) fn stage(
    path: PathBuf,
    top_level_key: &str,
    mut tensors: Vec<NamedTensor<'_>>,
) -> Result<StagedFile, CheckpointError> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let root = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    StagedFile::write_with(path, |file| write(file, &root, top_level_key, &tensors)).map(|(staged, ())| staged)
}

fn write(
    file: &mut (impl Write + Seek),
    root: &str,
    top_level_key: &str,
    tensors: &[NamedTensor<'_>],
) -> io::Result<()> {
    let stored = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .with_alignment(ALIGNMENT);
    let mut archive = ZipWriter::new(FailOnce { out: file, position: 0, end: 0, failed: false });
    let entries = [("data.pkl", pickle(top_level_key, tensors)?), ("byteorder", b"little".to_vec())];
    for (name, bytes) in entries {
        archive.start_file(format!("{root}/{name}"), stored)?;
        archive.write_all(&bytes)?;
    }
    for (number, tensor) in tensors.iter().enumerate() {
        let num_bytes = (num_values(tensor) * size_of::<f32>()) as u64;
        let options = stored.large_file(num_bytes >= u64::from(u32::MAX));
        archive.start_file(format!("{root}/data/{number}"), options)?;
        tensor.values.write(&mut archive)?;
    }
    archive.start_file(format!("{root}/version"), stored)?;
    archive.write_all(VERSION)?;
    archive.finish()?;
    Ok(())
}

fn num_values(tensor: &NamedTensor<'_>) -> usize {
    tensor.shape.iter().product()
}

/// The pickle, in protocol 2.
fn pickle(top_level_key: &str, tensors: &[NamedTensor<'_>]) -> io::Result<Vec<u8>> {
    let mut pickle = b"\x80\x02}".to_vec();
    write_text(&mut pickle, top_level_key)?;
    pickle.extend(b"}(");
    for (number, tensor) in tensors.iter().enumerate() {
        write_text(&mut pickle, &tensor.name)?;
        write_tensor(&mut pickle, tensor, number)?;
    }
    // The tensors into their dictionary, that into the outer one, and the end.
    pickle.extend(b"us.");
    Ok(pickle)
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`, where the storage is known by
/// `("storage", type, name of its entry, device, length)`.
fn write_tensor(pickle: &mut Vec<u8>, tensor: &NamedTensor<'_>, number: usize) -> io::Result<()> {
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    write_text(pickle, "storage")?;
    pickle.extend(b"ctorch\nFloatStorage\n");
    write_text(pickle, &number.to_string())?;
    write_text(pickle, "cpu")?;
    write_number(pickle, num_values(tensor));
    pickle.extend(b"tQ");
    write_number(pickle, 0);
    let shape = &tensor.shape;
    let stride = |axis: usize| shape[axis + 1..].iter().product();
    for list in [shape.clone(), (0..shape.len()).map(stride).collect::<Vec<usize>>()] {
        pickle.push(b'(');
        list.into_iter().for_each(|size| write_number(pickle, size));
        pickle.push(b't');
    }
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    Ok(())
}

fn write_text(pickle: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    pickle.push(b'X');
    pickle.extend(length.to_le_bytes());
    pickle.extend(text.as_bytes());
    Ok(())
}

/// As 32 bits with a sign, where it fits, else as 64.
fn write_number(pickle: &mut Vec<u8>, number: usize) {
    match i32::try_from(number) {
        Ok(number) => {
            pickle.push(b'J');
            pickle.extend(number.to_le_bytes());
        }
        Err(_) => {
            pickle.extend(b"\x8a\x08");
            pickle.extend((number as u64).to_le_bytes());
        }
    }
}

/// An output that reports its first failure and from then on pretends to work: the zip library tries to end an archive
/// that is given up, and prints where that fails. The file is thrown away in any case.
struct FailOnce<W> {
    out: W,
    position: u64,
    end: u64,
    failed: bool,
}

impl<W: Write> Write for FailOnce<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.failed {
            true => bytes.len(),
            false => self.out.write(bytes).inspect_err(|_| self.failed = true)?,
        };
        self.position += written as u64;
        self.end = self.end.max(self.position);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed { Ok(()) } else { self.out.flush().inspect_err(|_| self.failed = true) }
    }
}

impl<W: Seek> Seek for FailOnce<W> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.position = match (self.failed, target) {
            (false, _) => self.out.seek(target).inspect_err(|_| self.failed = true)?,
            (true, SeekFrom::Start(position)) => position,
            (true, SeekFrom::Current(distance)) => self.position.saturating_add_signed(distance),
            (true, SeekFrom::End(distance)) => self.end.saturating_add_signed(distance),
        };
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{TensorSource, TensorValues};
    use crate::device::test_device;
    use burn::tensor::Tensor;

    fn tensors() -> Vec<NamedTensor<'static>> {
        let matrix = Tensor::<1>::from_floats([1.5, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 3.25], &test_device());
        let named =
            |name: &str, shape: &[usize], values| NamedTensor { name: name.into(), shape: shape.into(), values };
        vec![
            named("b.weight", &[2, 3], TensorValues::Tensor(Box::new(matrix))),
            named("a", &[1, 1, 2], TensorValues::Floats(vec![0.1, f32::NAN].into())),
            named("scalar", &[], TensorValues::Floats(vec![7.0].into())),
            named("none", &[0, 4], TensorValues::Floats(vec![].into())),
        ]
    }

    #[test]
    fn what_is_written_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        stage(path.clone(), "state_dict", tensors()).unwrap().commit().unwrap();
        let source = TensorSource::open_pytorch(&path, Some("state_dict")).unwrap();
        let shapes: Vec<(&str, &[usize])> = source.shapes().collect();
        assert_eq!(shapes, [("a", &[1, 1, 2][..]), ("b.weight", &[2, 3]), ("none", &[0, 4]), ("scalar", &[])]);
        let bits = |name: &str| source.read_floats(name).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits("b.weight"), [1.5, -2.0, f32::MIN_POSITIVE, 0.0, -0.0, 3.25].map(f32::to_bits));
        assert_eq!(bits("a"), [0.1, f32::NAN].map(f32::to_bits));
        assert_eq!((bits("scalar"), bits("none").len()), (vec![7.0f32.to_bits()], 0));
        let written = fs_err::read(&path).unwrap();
        let mut reversed = tensors();
        reversed.reverse();
        stage(path.clone(), "state_dict", reversed).unwrap().commit().unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), written);
    }

    #[test]
    fn values_are_aligned_and_large_numbers_have_64_bits() {
        let mut file = io::Cursor::new(Vec::new());
        write(&mut file, "model", "model", &tensors()).unwrap();
        let mut archive = zip::ZipArchive::new(file).unwrap();
        for number in 0..4 {
            let entry = archive.by_name(&format!("model/data/{number}")).unwrap();
            assert_eq!(entry.data_start().unwrap() % u64::from(ALIGNMENT), 0, "{number}");
        }
        let mut number = Vec::new();
        write_number(&mut number, 1 << 33);
        assert_eq!(number, b"\x8a\x08\0\0\0\0\x02\0\0\0");
    }

    #[test]
    fn a_full_disk_is_passed_on() {
        struct Full(io::Cursor<Vec<u8>>);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0.get_ref().len() > 700 { Err(io::ErrorKind::StorageFull.into()) } else { self.0.write(bytes) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Seek for Full {
            fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
                self.0.seek(target)
            }
        }
        let error = write(&mut Full(io::Cursor::default()), "model", "model", &tensors()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
