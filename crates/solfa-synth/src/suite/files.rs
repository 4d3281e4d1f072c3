//! Files of a suite.

use std::path::Path;

use serde::Serialize;
use solfa_eval::store;

use super::SuiteError;
use crate::render::Stereo;

/// Bytes before the samples of a WAV file.
pub(super) const WAV_HEADER_BYTES: u64 = 44;

/// Writes a file that appears under its name whole or not at all.
///
/// # Errors
/// What the system says, with the path.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), SuiteError> {
    Ok(store::write_whole(path, bytes)?)
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
