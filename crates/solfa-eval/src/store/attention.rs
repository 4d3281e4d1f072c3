//! Attention maps on disk.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use solfa_signal::encoder::AttentionMaps;
use tempfile::{Builder, TempDir};

use super::StoreError;
use super::embedding::layer_name;
use super::spool::write_values;
use super::staged::{NAME_BYTES, StagedFile, TEMPORARY_SUFFIX, folder_of};

/// A recording's attention maps: a folder with one file for each window, `0000.safetensors` and so on, which appears
/// under its name when all are there.
pub struct AttentionFolder {
    path: PathBuf,
    staging: TempDir,
}

impl AttentionFolder {
    /// A folder that will stand at `path`.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`].
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let parent = folder_of(path);
        let failed = |error| StoreError::io("create the folder", path, error);
        std::fs::create_dir_all(parent).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let staging = Builder::new()
            .prefix(&format!(".{}.", &name[..name.floor_char_boundary(NAME_BYTES)]))
            .suffix(TEMPORARY_SUFFIX)
            .tempdir_in(parent)
            .map_err(failed)?;
        Ok(Self { path: path.to_owned(), staging })
    }

    /// Where the file of a window is to be written.
    pub fn window(&self, number: usize) -> PathBuf {
        self.staging.path().join(format!("{number:04}.safetensors"))
    }

    /// Gives the folder its name, in place of an earlier one with what was in it.
    ///
    /// # Errors
    /// [`StoreError::Io`], also where something else than a folder has the name.
    pub fn commit(self) -> Result<(), StoreError> {
        let Self { path, staging } = self;
        let failed = |error| StoreError::io("write", &path, error);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::rename(staging.path(), &path).map_err(failed)?;
        // It is not there any more under its temporary name, so there is nothing to remove.
        let _ = staging.keep();
        // As for any other folder, the umask decides who may read it; temporary folders are private otherwise.
        #[cfg(unix)]
        make_readable(&path).map_err(failed)?;
        Ok(())
    }
}

/// Gives a folder the permissions that a new one beside it would have.
#[cfg(unix)]
fn make_readable(path: &Path) -> io::Result<()> {
    let sample = path.join(".permissions");
    std::fs::create_dir(&sample)?;
    let permissions = std::fs::metadata(&sample)?.permissions();
    std::fs::remove_dir(&sample)?;
    std::fs::set_permissions(path, permissions)
}

/// Writes the attention maps of one window as a safetensors file with one tensor `layer_<i>` for each layer,
/// `[heads, tokens that attend, tokens attended to]`: whole or not at all, one layer at a time in memory.
///
/// `produce` is called once and must hand over exactly `layers`, in order, all with the same number of heads and tokens.
///
/// # Errors
/// [`StoreError::Full`] or [`StoreError::Io`] where the file cannot be written; what `produce` says where it fails;
/// [`StoreError::Embedding`] where it hands over other maps than it should.
pub fn write_attention<E: std::error::Error + Send + Sync + 'static>(
    path: &Path,
    layers: &[usize],
    metadata: &BTreeMap<&str, String>,
    produce: impl FnOnce(&mut dyn FnMut(AttentionMaps) -> io::Result<()>) -> Result<(), E>,
) -> Result<(), StoreError> {
    let mut wrong = None;
    let staged = StagedFile::write(path, |out| {
        let mut missing = layers.iter();
        let mut shape = None;
        let mut broken = Ok(());
        let mut take = |maps: AttentionMaps| {
            let size = (maps.num_heads, maps.num_tokens);
            let is_expected = missing.next() == Some(&maps.layer) && *shape.get_or_insert(size) == size;
            if !is_expected || maps.weights.len() != size.0 * size.1 * size.1 {
                wrong = Some(format!("layer {} of {} heads and {} tokens", maps.layer, size.0, size.1));
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            if Some(&maps.layer) == layers.first() {
                out.write_all(&header(layers, size, metadata)?)?;
            }
            write_values(out, &maps.weights)
        };
        let produced = produce(&mut |maps| {
            if broken.is_ok() {
                broken = take(maps);
            }
            broken.as_ref().map(|&()| ()).map_err(|error| error.kind().into())
        });
        broken?;
        produced.map_err(io::Error::other)?;
        if missing.next().is_some() {
            wrong = Some("fewer".to_owned());
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        Ok(())
    });
    match (staged, wrong) {
        (Err(_), Some(found)) => {
            let expected = format!("attention maps of layers {layers:?}, all of one size");
            Err(StoreError::Embedding { path: path.display().to_string(), expected, found })
        }
        (staged, _) => staged?.commit(),
    }
}

/// The header of the safetensors file with its length, padded.
fn header(
    layers: &[usize],
    (num_heads, num_tokens): (usize, usize),
    metadata: &BTreeMap<&str, String>,
) -> io::Result<Vec<u8>> {
    let layer_bytes = num_heads * num_tokens * num_tokens * size_of::<f32>();
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    for (index, &layer) in layers.iter().enumerate() {
        let offsets = [index * layer_bytes, (index + 1) * layer_bytes];
        let shape = [num_heads, num_tokens, num_tokens];
        header.insert(layer_name(layer), json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    fn maps(layer: usize, num_tokens: usize) -> AttentionMaps {
        let weights = (0..2 * num_tokens * num_tokens).map(|index| (layer * 100 + index) as f32).collect();
        AttentionMaps { layer, num_heads: 2, num_tokens, weights }
    }

    fn write(path: &Path, layers: &[usize], given: Vec<AttentionMaps>) -> Result<(), StoreError> {
        write_attention(path, layers, &BTreeMap::from([("model", "toy".to_owned())]), |take| {
            given.into_iter().try_for_each(take)
        })
    }

    #[test]
    fn maps_read_back_layer_by_layer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/song.attention.safetensors");
        write(&path, &[1, 3], vec![maps(1, 3), maps(3, 3)]).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.len(), 2);
        for layer in [1, 3] {
            let tensor = file.tensor(&format!("layer_{layer}")).unwrap();
            assert_eq!(tensor.shape(), [2, 3, 3]);
            let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            assert_eq!(values, maps(layer, 3).weights);
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["model"], "toy");
    }

    #[test]
    fn a_folder_appears_whole_and_in_place_of_an_earlier_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/song.attention");
        let names = || {
            let entries = fs_err::read_dir(&path).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        for num_windows in [3, 1] {
            let folder = AttentionFolder::create(&path).unwrap();
            for window in 0..num_windows {
                write(&folder.window(window), &[1], vec![maps(1, 3)]).unwrap();
            }
            folder.commit().unwrap();
            assert_eq!(names().len(), num_windows);
        }
        assert_eq!(names(), ["0000.safetensors"]);
        let abandoned = AttentionFolder::create(&path).unwrap();
        write(&abandoned.window(7), &[1], vec![maps(1, 3)]).unwrap();
        drop(abandoned);
        assert_eq!(names(), ["0000.safetensors"]);
        assert_eq!(fs_err::read_dir(parent.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_whole_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.attention.safetensors");
        for given in [vec![], vec![maps(1, 3)], vec![maps(3, 3), maps(1, 3)], vec![maps(1, 3), maps(3, 4)]] {
            assert!(matches!(write(&path, &[1, 3], given), Err(StoreError::Embedding { .. })));
        }
        let failed = write_attention(&path, &[1], &BTreeMap::new(), |_| Err(io::Error::other("the device failed")));
        let error = failed.unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the device failed");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }
}
