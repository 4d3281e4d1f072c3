//! The npy format, version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::{self, Read, Write};
use std::path::Path;

use solfa_signal::frames::Pooling;

use super::safetensors::write_layer;
use super::{EmbeddingSpace, LayerValues, StoreError};

/// What every npy file starts with, and its version.
const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";

/// The header's length is a multiple of this.
const ALIGNMENT: usize = 64;

/// Writes one array of little-endian 32-bit floats in C order.
pub(super) fn write(out: &mut impl Write, values: &mut LayerValues) -> io::Result<()> {
    out.write_all(&header(&values.shape()))?;
    write_layer(out, values)
}

/// The header of an array: magic, length and a Python dictionary, padded with spaces and ended by a newline.
pub(super) fn header(shape: &[u64]) -> Vec<u8> {
    // A tuple of one ends in a comma.
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let shape = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let length_end = MAGIC.len() + 2;
    let total = (length_end + dictionary.len() + 1).next_multiple_of(ALIGNMENT);
    let mut header = MAGIC.to_vec();
    // Two sizes of 20 digits at most: far below the 65,535 bytes of version 1.0.
    header.extend(((total - length_end) as u16).to_le_bytes());
    header.extend(dictionary.as_bytes());
    header.resize(total - 1, b' ');
    header.push(b'\n');
    header
}

/// Checks that a file is one array of the shape that `space` gives, of any number of frames, and as long as its header
/// says. The values are not read.
pub(super) fn check(path: &Path, space: &EmbeddingSpace) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    let dim = space.layer_dims.iter().map(|&dim| space.pooling.pooled_dim(dim) as u64).sum::<u64>();
    // Whatever the number of frames, the header is as long; so the length of the file gives that number.
    let data_bytes = file_bytes.saturating_sub(header(&[0, dim]).len() as u64);
    let shape = match space.pooling {
        Pooling::None => vec![data_bytes / (dim * size_of::<f32>() as u64).max(1), dim],
        _ => vec![dim],
    };
    let expected = header(&shape);
    let mut found = Vec::new();
    file.take(expected.len() as u64).read_to_end(&mut found).map_err(failed)?;
    if found != expected || data_bytes != shape.iter().product::<u64>() * size_of::<f32>() as u64 {
        let found = format!("a file of {file_bytes} bytes with another header or length");
        return Err(StoreError::damaged(path, format!("an array of shape {shape:?}"), found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{
        frames_embedding, frames_space, last_layer, one_layer, pooled_embedding, pooled_space,
    };
    use crate::store::spool::read_values;
    use crate::store::{Format, Metadata, write_embedding};

    #[test]
    fn headers_are_those_of_numpy() {
        // What `numpy.save` wrote for arrays of these shapes (NumPy 2, little-endian machine).
        let expect = |shape: &str| {
            let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}").as_bytes());
            header.resize(127, b' ');
            header.push(b'\n');
            header
        };
        assert_eq!(header(&[4]), expect("(4,)"));
        assert_eq!(header(&[250, 1024]), expect("(250, 1024)"));
        assert_eq!(header(&[0, 3]), expect("(0, 3)"));
    }

    #[test]
    fn an_array_and_its_sidecar() {
        let folder = tempfile::tempdir().unwrap();
        for (name, space, embedding, shape) in [
            ("pooled.npy", pooled_space(), pooled_embedding("a"), vec![4]),
            ("frames.npy", frames_space(), frames_embedding("a", 7), vec![7, 4]),
        ] {
            let (path, space, mut embedding) = (folder.path().join(name), one_layer(space), last_layer(embedding));
            write_embedding(&path, Format::Npy, &space, &mut embedding).unwrap();
            let bytes = fs_err::read(&path).unwrap();
            let header = header(&shape);
            assert_eq!(bytes[..header.len()], header);
            assert_eq!(read_values(&bytes[header.len()..]), crate::store::fixtures::values(&mut embedding)[0]);
            let sidecar = fs_err::read(folder.path().join(format!("{name}.json"))).unwrap();
            let metadata: Metadata = serde_json::from_slice(&sidecar).unwrap();
            assert_eq!(metadata.space, space);
            assert_eq!(metadata.path.as_deref(), Some("a"));
            for length in 0..bytes.len() {
                fs_err::write(&path, &bytes[..length]).unwrap();
                assert!(check(&path, &space).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn several_layers_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let error = write_embedding(&path, Format::Npy, &pooled_space(), &mut pooled_embedding("a")).unwrap_err();
        assert!(matches!(&error, StoreError::OneLayerOnly { found, .. } if found[..] == [0, 5]));
        assert!(error.to_string().contains("choose one layer, or write npz or safetensors"), "{error}");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }
}
