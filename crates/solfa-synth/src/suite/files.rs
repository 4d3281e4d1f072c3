//! Files that appear whole or not at all.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use tempfile::Builder;

use super::SuiteError;
use crate::render::Stereo;

/// What temporary names end in.
const TEMPORARY_SUFFIX: &str = ".partial";

/// Bytes before the samples of a WAV file.
pub(super) const WAV_HEADER_BYTES: u64 = 44;

/// Writes a file under a temporary name in its folder, and gives it its name when it is whole.
///
/// # Errors
/// What the system says, with the path.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), SuiteError> {
    let io = |error| SuiteError::Io { path: path.display().to_string(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut builder = Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    // As for any other output, the umask decides who may read it; temporary files are private otherwise.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Removes what killed processes have left in a folder.
pub(super) fn remove_temporary(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX) {
            // One that cannot be removed is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A WAV file of 16 bits: one channel, or two.
pub fn wav_bytes(sound: &Stereo, is_mono: bool) -> Vec<u8> {
    let num_channels: u16 = if is_mono { 1 } else { 2 };
    let data_bytes = sound.left.len() as u32 * 2 * u32::from(num_channels);
    let mut bytes = Vec::with_capacity(data_bytes as usize + WAV_HEADER_BYTES as usize);
    bytes.extend(b"RIFF");
    bytes.extend((data_bytes + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(num_channels.to_le_bytes());
    bytes.extend(sound.sample_rate.to_le_bytes());
    bytes.extend((sound.sample_rate * 2 * u32::from(num_channels)).to_le_bytes());
    bytes.extend((2 * num_channels).to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(data_bytes.to_le_bytes());
    let quantized = |sample: f32| ((sample * 32_767.0).round() as i16).to_le_bytes();
    for (&left, &right) in sound.left.iter().zip(&sound.right) {
        if is_mono {
            bytes.extend(quantized(0.5 * (left + right)));
        } else {
            bytes.extend(quantized(left));
            bytes.extend(quantized(right));
        }
    }
    bytes
}

/// Writes JSON lines.
pub(super) fn write_lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), SuiteError> {
    let mut text = Vec::new();
    for row in rows {
        let io = |error: serde_json::Error| SuiteError::Io { path: path.display().to_string(), error: error.into() };
        serde_json::to_writer(&mut text, row).map_err(io)?;
        text.push(b'\n');
    }
    write_whole(path, &text)
}
