//! The npz format: a zip archive of npy files, none of them compressed.

use std::io::{self, Read, Seek, SeekFrom, Write};
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
    let mut archive = ZipWriter::new(FailOnce { out, position: 0, end: 0, failed: false });
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

/// An output that reports its first failure and from then on pretends to work.
///
/// The zip library tries to end an archive that is given up, and prints where that fails; a full disk would print on
/// every file. The file is thrown away in any case.
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

/// Reads the metadata of an archive and checks that an entry of every layer is there. The archive's directory stands at
/// its end, so an archive that was cut short is an error.
pub(super) fn read_metadata(path: &Path) -> Result<Metadata, StoreError> {
    let file = std::fs::File::open(path).map_err(|error| StoreError::io("read", path, error))?;
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

    #[cfg(target_os = "linux")]
    #[test]
    fn an_output_that_failed_once_pretends_to_work() {
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut out = FailOnce { out: full, position: 0, end: 0, failed: false };
        assert_eq!(out.write_all(b"abc").unwrap_err().kind(), io::ErrorKind::StorageFull);
        out.write_all(b"defg").unwrap();
        assert_eq!(out.seek(SeekFrom::Current(-2)).unwrap(), 2);
        assert_eq!(out.seek(SeekFrom::End(0)).unwrap(), 4);
        out.flush().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_passed_on() {
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let metadata = Metadata::of_table(&pooled_space());
        let error = write(&mut io::BufWriter::new(full), &metadata, &mut pooled_embedding("a")).unwrap_err();
        assert!(matches!(StoreError::io("write", "a.npz", error), StoreError::Full { .. }));
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
