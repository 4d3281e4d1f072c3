//! The npz format: a zip archive of npy files, none of them compressed.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::embedding::layer_name;
use super::{Embedding, Metadata, StoreError, npy};

/// The entry that holds the metadata as JSON. NumPy gives it as bytes.
const METADATA_ENTRY: &str = "metadata.json";

/// The longest metadata that is read, in bytes.
const MAX_METADATA_BYTES: u64 = 16 << 20;

/// Writes one entry `layer_<i>.npy` per layer, and the metadata.
pub(super) fn write(out: &mut (impl Write + Seek), metadata: &Metadata, embedding: &mut Embedding) -> io::Result<()> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(out);
    for layer in &mut embedding.layers {
        let num_bytes = npy::header(&layer.values.shape()).len() as u64 + layer.values.num_bytes();
        let options = stored.large_file(num_bytes >= u64::from(u32::MAX));
        archive.start_file(format!("{}.npy", layer.name()), options)?;
        npy::write(&mut archive, &mut layer.values)?;
    }
    archive.start_file(METADATA_ENTRY, stored)?;
    serde_json::to_writer_pretty(&mut archive, metadata)?;
    archive.finish()?;
    Ok(())
}

/// Reads the metadata of an archive and checks that an entry of every layer is there. The archive's directory stands at
/// its end, so an archive that was cut short is an error.
pub(super) fn read_metadata(path: &Path) -> Result<Metadata, StoreError> {
    let file = fs_err::File::open(path).map_err(|error| StoreError::io("read", path, error))?;
    let expected = "an npz archive of this program";
    let mut archive = ZipArchive::new(file).map_err(|error| StoreError::damaged(path, expected, error))?;
    let mut text = Vec::new();
    archive
        .by_name(METADATA_ENTRY)
        .map_err(io::Error::from)
        .and_then(|entry| entry.take(MAX_METADATA_BYTES).read_to_end(&mut text))
        .map_err(|error| StoreError::damaged(path, format!("an entry {METADATA_ENTRY}"), error))?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| StoreError::damaged(path, "metadata of this program", error))?;
    for &number in &metadata.space.layers {
        let name = format!("{}.npy", layer_name(number));
        archive.by_name(&name).map_err(|error| StoreError::damaged(path, format!("an entry {name}"), error))?;
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{frames_embedding, frames_space, pooled_embedding, pooled_space, values};
    use crate::store::spool::read_values;
    use crate::store::{Format, write_embedding};

    #[test]
    fn every_layer_is_an_array_and_the_metadata_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        for (space, mut embedding, shapes) in [
            (pooled_space(), pooled_embedding("a"), [vec![3], vec![4]]),
            (frames_space(), frames_embedding("a", 7), [vec![14, 3], vec![7, 4]]),
        ] {
            write_embedding(&path, Format::Npz, &space, &mut embedding).unwrap();
            let mut archive = ZipArchive::new(fs_err::File::open(&path).unwrap()).unwrap();
            assert_eq!(archive.len(), 3);
            for ((name, shape), expected) in ["layer_0", "layer_5"].iter().zip(shapes).zip(values(&mut embedding)) {
                let mut bytes = Vec::new();
                archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
                let header = npy::header(&shape);
                assert_eq!(bytes[..header.len()], header);
                assert_eq!(read_values(&bytes[header.len()..]), expected);
            }
            assert_eq!(read_metadata(&path).unwrap(), Metadata::of_recording(&space, &embedding));
        }
    }

    #[test]
    fn every_shortened_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        write_embedding(&path, Format::Npz, &pooled_space(), &mut pooled_embedding("a")).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs_err::write(&path, &bytes[..length]).unwrap();
            let error = read_metadata(&path).map(|_| ()).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error:?}");
        }
    }
}
