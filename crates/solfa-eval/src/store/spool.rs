//! Frames of a recording of any length, in bounded memory.

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::{EmbeddingSpace, StoreError};

/// Memory that the spools of one recording take together before they go to disk, in bytes.
pub const SPOOL_MEMORY_BYTES: usize = 32 << 20;

/// Bytes gathered before they are handed to the operating system.
const BUFFER_BYTES: usize = 64 << 10;

/// Bytes of one value.
const VALUE_BYTES: usize = size_of::<f32>();

/// Gathers the frames of one layer as they are computed: in memory first, then in a temporary file without a name,
/// which vanishes with the process.
pub struct FrameSpool {
    layer: usize,
    dim: usize,
    num_frames: u64,
    writer: BufWriter<SpooledTempFile>,
    directory: PathBuf,
}

impl FrameSpool {
    /// One spool per layer of `space`, in its order, which share [`SPOOL_MEMORY_BYTES`].
    ///
    /// What does not fit goes to a temporary file in `directory`, which must exist by then. The folder of the output
    /// is a better place than the system's temporary folder, which is often memory itself.
    pub fn for_space(space: &EmbeddingSpace, directory: &Path) -> Vec<Self> {
        let memory_bytes = SPOOL_MEMORY_BYTES / space.layers.len().max(1);
        let layers = space.layers.iter().zip(&space.layer_dims);
        layers.map(|(&layer, &dim)| Self::new(layer, dim, memory_bytes, directory)).collect()
    }

    /// A spool for frames of width `dim` of one layer, which takes about `memory_bytes` of memory before it goes to
    /// a temporary file in `directory`.
    pub fn new(layer: usize, dim: usize, memory_bytes: usize, directory: &Path) -> Self {
        let spool = tempfile::spooled_tempfile_in(memory_bytes, directory);
        let writer = BufWriter::with_capacity(BUFFER_BYTES, spool);
        Self { layer, dim, num_frames: 0, writer, directory: directory.to_owned() }
    }

    /// Adds frames, `[_, dim]` frame-major.
    ///
    /// # Errors
    /// [`StoreError::NonFinite`] for a value that is NaN or infinite, and then nothing of `frames` is kept;
    /// [`StoreError::Full`] or [`StoreError::Io`] where the temporary file fails.
    ///
    /// # Panics
    /// If `frames` is not a whole number of frames: that is a mistake of the program, never of an input.
    pub fn push(&mut self, frames: &[f32]) -> Result<(), StoreError> {
        assert_eq!(frames.len() % self.dim, 0, "FrameSpool::push: {} values for width {}", frames.len(), self.dim);
        if let Some(position) = frames.iter().position(|value| !value.is_finite()) {
            return Err(StoreError::NonFinite {
                layer: self.layer,
                frame: Some(self.num_frames + (position / self.dim) as u64),
                dimension: position % self.dim,
                value: frames[position],
            });
        }
        write_values(&mut self.writer, frames).map_err(|error| self.failed(error))?;
        self.num_frames += (frames.len() / self.dim) as u64;
        Ok(())
    }

    /// The frames gathered.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`] where the temporary file fails.
    pub fn finish(mut self) -> Result<FrameSeries, StoreError> {
        self.writer.flush().map_err(|error| self.failed(error))?;
        let Self { dim, num_frames, writer, directory, .. } = self;
        let spool = writer
            .into_inner()
            .map_err(|error| StoreError::io("write a temporary file in", &directory, error.into_error()))?;
        Ok(FrameSeries { dim, num_frames, source: Source::Spool { spool, directory } })
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("write a temporary file in", &self.directory, error)
    }
}

/// All frames of one layer of a recording, in memory or on disk.
#[derive(Debug)]
pub struct FrameSeries {
    dim: usize,
    num_frames: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Spool { spool: SpooledTempFile, directory: PathBuf },
    File { path: PathBuf, offset: u64 },
}

impl FrameSeries {
    /// Frames that stand in a file from `offset` on, little-endian and frame-major.
    pub(super) fn in_file(path: &Path, offset: u64, num_frames: u64, dim: usize) -> Self {
        Self { dim, num_frames, source: Source::File { path: path.to_owned(), offset } }
    }

    /// Width of each frame.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of frames.
    pub fn num_frames(&self) -> u64 {
        self.num_frames
    }

    /// All values, `[num_frames, dim]` frame-major, in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the file that holds them cannot be read.
    pub fn read_all(&mut self) -> Result<Vec<f32>, StoreError> {
        let place = match &self.source {
            Source::Spool { directory, .. } => directory.clone(),
            Source::File { path, .. } => path.clone(),
        };
        let mut values = Vec::new();
        self.for_each_frame(|frame| {
            values.extend_from_slice(frame);
            Ok(())
        })
        .map_err(|error| StoreError::io("read frames from", place, error))?;
        Ok(values)
    }

    /// The bytes of all values, little-endian and frame-major, from the start.
    pub(super) fn bytes(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let num_bytes = self.num_frames * (self.dim * VALUE_BYTES) as u64;
        Ok(match &mut self.source {
            Source::Spool { spool, .. } => {
                spool.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(BUFFER_BYTES, spool).take(num_bytes))
            }
            Source::File { path, offset } => {
                let mut file = fs_err::File::open(&*path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Box::new(BufReader::with_capacity(BUFFER_BYTES, file).take(num_bytes))
            }
        })
    }

    /// Calls `visit` with every frame in order.
    pub(super) fn for_each_frame(&mut self, mut visit: impl FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        let (num_frames, dim) = (self.num_frames, self.dim);
        let mut reader = self.bytes()?;
        let mut bytes = vec![0; dim * VALUE_BYTES];
        let mut frame = vec![0.0; dim];
        for _ in 0..num_frames {
            reader.read_exact(&mut bytes)?;
            for (value, bytes) in frame.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            visit(&frame)?;
        }
        Ok(())
    }
}

/// Writes values as little-endian 32-bit floats.
pub(super) fn write_values(writer: &mut impl Write, values: &[f32]) -> io::Result<()> {
    values.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))
}

/// The values of little-endian 32-bit floats; bytes that are not a whole value at the end are ignored.
pub(super) fn read_values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let frames: Vec<f32> = (0..60_000).map(|index| index as f32 * 0.5 - 7.0).collect();
        for memory_bytes in [1 << 20, 1000] {
            let mut spool = FrameSpool::new(0, 3, memory_bytes, folder.path());
            for piece in frames.chunks(3 * 17) {
                spool.push(piece).unwrap();
            }
            let mut series = spool.finish().unwrap();
            let Source::Spool { spool, .. } = &series.source else { panic!("a spool") };
            assert_eq!(spool.is_rolled(), memory_bytes == 1000);
            assert_eq!((series.num_frames(), series.dim()), (20_000, 3));
            // Twice: reading starts at the start each time.
            assert_eq!(series.read_all().unwrap(), frames);
            assert_eq!(series.read_all().unwrap(), frames);
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_with_their_place() {
        let mut spool = FrameSpool::new(5, 2, 1000, Path::new("nowhere"));
        spool.push(&[0.0; 6]).unwrap();
        let error = spool.push(&[0.0, 1.0, 2.0, f32::NAN]).unwrap_err();
        assert!(matches!(error, StoreError::NonFinite { layer: 5, frame: Some(4), dimension: 1, .. }), "{error}");
        assert_eq!(spool.finish().unwrap().num_frames(), 3);
    }

    #[test]
    fn a_spool_that_cannot_go_to_disk_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let mut spool = FrameSpool::new(0, 1, 10, &missing);
        let error = spool.push(&vec![0.0; 100_000]).unwrap_err();
        assert!(matches!(&error, StoreError::Io { path, .. } if *path == missing), "{error:?}");
    }
}
