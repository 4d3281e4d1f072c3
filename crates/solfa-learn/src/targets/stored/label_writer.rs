//! Writing labels as they are computed, window after window.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::label_store::{KEY, check_codes};
use super::{LabelDescription, StoredTargetError};
use crate::checkpoint::{StagedFile, StoredType, described_header, write_error};

/// Takes windows one by one; see [`write_labels`].
pub struct LabelWriter<'file> {
    path: PathBuf,
    description: &'file LabelDescription,
    file: &'file mut BufWriter<fs::File>,
    windows_per_track: Vec<u32>,
    last_track: usize,
    bytes: Vec<u8>,
}

/// Writes the labels of a collection: whole, or not at all where `produce` fails. The file is written as windows come, so
/// memory holds one of them.
///
/// # Errors
/// [`StoredTargetError`] for a description that cannot be and a file that cannot be written, and whatever `produce`
/// returns.
pub fn write_labels<E: From<StoredTargetError>>(
    path: &Path,
    description: &LabelDescription,
    num_tracks: usize,
    produce: impl FnOnce(&mut LabelWriter<'_>) -> Result<(), E>,
) -> Result<(), E> {
    description.check()?;
    let (codebooks, frames) = (description.codes_per_codebook.len(), description.frames_per_window);
    let header = |num_windows: u64, padded: Option<usize>| {
        let text = serde_json::to_string(description)?;
        let shape = [num_windows as usize, codebooks, frames];
        let tensors: [(&str, StoredType, &[usize]); 2] =
            [("windows_per_track", StoredType::U32, &[num_tracks]), ("codes", description.stored_type(), &shape)];
        described_header((KEY, text), &tensors, padded)
    };
    let mut failure = None;
    let staged = StagedFile::write_with(path.to_owned(), |file| {
        // How many windows there are is known at the end: until then, room for the largest number.
        const MOST_WINDOWS: u64 = 1 << 36;
        let possible = u64::MAX / (description.codes_per_window() as u64 * u64::from(u64::BITS));
        let room = header(MOST_WINDOWS.min(possible), None)?;
        file.write_all(&room)?;
        file.write_all(&vec![0; num_tracks * size_of::<u32>()])?;
        let mut writer = LabelWriter {
            path: path.to_owned(),
            description,
            file: &mut *file,
            windows_per_track: vec![0; num_tracks],
            last_track: 0,
            bytes: Vec::new(),
        };
        if let Err(error) = produce(&mut writer) {
            failure = Some(error);
            return Err(std::io::Error::other("labels could not be made"));
        }
        let windows_per_track = writer.windows_per_track;
        let num_windows = windows_per_track.iter().copied().map(u64::from).sum();
        let header = header(num_windows, Some(room.len() - size_of::<u64>()))?;
        if header.len() != room.len() {
            return Err(std::io::Error::other(format!("{num_windows} windows are too many")));
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        windows_per_track.iter().try_for_each(|count| file.write_all(&count.to_le_bytes()))
    });
    match (failure, staged) {
        (Some(error), _) => Err(error),
        (None, Ok((staged, ()))) => Ok(staged.commit().map_err(StoredTargetError::from)?),
        (None, Err(error)) => Err(StoredTargetError::from(error).into()),
    }
}

impl LabelWriter<'_> {
    /// Adds the next window of a track. Tracks come in order, and any may be left out.
    ///
    /// # Shapes
    /// - codes: `[codebooks, frames]`
    ///
    /// # Errors
    /// [`StoredTargetError`] for a track out of order, another number of codes, a code that its codebook does not have, more
    /// windows than were described, and a full disk.
    pub fn push(&mut self, track: usize, codes: &[u32]) -> Result<(), StoredTargetError> {
        let num_tracks = self.windows_per_track.len();
        if track < self.last_track || track >= num_tracks {
            return Err(StoredTargetError::Order { track, last: self.last_track, num_tracks });
        }
        let window = self.windows_per_track[track];
        let maximum = self.description.max_windows.unwrap_or(u32::MAX);
        if window >= maximum {
            return Err(StoredTargetError::TooManyWindows { track, maximum });
        }
        let (window, expected) = (window as usize, self.description.codes_per_window());
        if codes.len() != expected {
            return Err(StoredTargetError::Length { track, window, expected, found: codes.len() });
        }
        check_codes(self.description, track, window, codes)?;
        self.bytes.clear();
        match self.description.stored_type() {
            // Checked: no code is beyond 16 bits.
            StoredType::U16 => self.bytes.extend(codes.iter().flat_map(|&code| (code as u16).to_le_bytes())),
            _ => self.bytes.extend(codes.iter().flat_map(|code| code.to_le_bytes())),
        }
        self.file.write_all(&self.bytes).map_err(|error| write_error(&self.path, error))?;
        self.windows_per_track[track] += 1;
        self.last_track = track;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
