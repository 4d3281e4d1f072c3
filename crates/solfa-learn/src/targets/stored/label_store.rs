//! Labels that were computed once for a collection, and are read by window.
//!
//! As MuQ's second round has them (Zhu et al. 2025, arXiv:2501.01108, and its released recipe): windows of a track follow
//! each other without overlap, at most the first so many of each are kept, and what is shorter than a window has none.
//! A teacher that does not change then runs once, and not in every step.
//!
//! # The file
//!
//! A safetensors file, so a token file can be made by any program:
//!
//! | tensor | shape | values |
//! |---|---|---|
//! | `windows_per_track` | `[tracks]` | 32-bit, without sign: how many windows of each track of the collection there are, in order |
//! | `codes` | `[windows, codebooks, frames]` | 16- or 32-bit, without sign: track after track, window after window |
//!
//! and in its metadata, under `solfa_labels`, the [`LabelDescription`] as JSON.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Difference, StoredTargetError};
use crate::checkpoint::{CheckpointError, DescribedTensors, StoredType};

/// The key of the description in the file's metadata.
pub(super) const KEY: &str = "solfa_labels";
const EXPECTED: &str = "labels with a description under `solfa_labels` in the metadata";

/// What labels belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelDescription {
    /// The collection, by [`Collection::data_sha256`](crate::data::Collection::data_sha256).
    pub data_sha256: String,
    /// Length of a window in seconds.
    pub window_seconds: f64,
    /// The most windows of a track; all of them where absent.
    pub max_windows: Option<u32>,
    /// Labels of a window in each codebook.
    pub frames_per_window: usize,
    /// Codes of each codebook, one number for each.
    pub codes_per_codebook: Vec<usize>,
    /// What made them: a hash, or a name of the user's.
    pub teacher: String,
}

impl LabelDescription {
    /// How many windows a track of this length has.
    pub fn num_windows(&self, num_samples: u64, sample_rate: u32) -> usize {
        let window_samples = self.window_samples(sample_rate);
        let windows = num_samples.checked_div(window_samples).unwrap_or(0);
        windows.min(self.max_windows.map_or(u64::MAX, u64::from)) as usize
    }

    /// Samples of a window, to the nearest whole number.
    pub fn window_samples(&self, sample_rate: u32) -> u64 {
        (self.window_seconds * f64::from(sample_rate)).round() as u64
    }

    /// Codes of a window in all codebooks.
    pub(super) fn codes_per_window(&self) -> usize {
        self.codes_per_codebook.len() * self.frames_per_window
    }

    /// Checks every field by itself.
    ///
    /// # Errors
    /// [`StoredTargetError::Setting`] for the first that cannot be.
    pub fn check(&self) -> Result<(), StoredTargetError> {
        let check = |is_right: bool, field, value: &dyn std::fmt::Debug, expected| {
            let value = || format!("{value:?}");
            if is_right { Ok(()) } else { Err(StoredTargetError::Setting { field, value: value(), expected }) }
        };
        let seconds = self.window_seconds;
        check(seconds.is_finite() && seconds > 0.0, "window_seconds", &seconds, "a number above 0")?;
        check(self.max_windows != Some(0), "max_windows", &self.max_windows, "at least 1")?;
        let frames = self.frames_per_window;
        check((1..=1 << 24).contains(&frames), "frames_per_window", &frames, "1 to 2^24")?;
        let codebooks = &self.codes_per_codebook;
        check((1..=1 << 10).contains(&codebooks.len()), "codes_per_codebook", codebooks, "1 to 1024 codebooks")?;
        let is_possible = codebooks.iter().all(|&codes| (1..=1 << 32).contains(&(codes as u64)));
        check(is_possible, "codes_per_codebook", codebooks, "1 to 2^32 codes in each")
    }

    /// How codes are written.
    pub(super) fn stored_type(&self) -> StoredType {
        let is_short = self.codes_per_codebook.iter().all(|&codes| codes <= 1 << 16);
        if is_short { StoredType::U16 } else { StoredType::U32 }
    }
}

/// What labels must be to be of use. What is absent may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedLabels {
    /// The collection.
    pub data_sha256: Option<String>,
    /// Its number of tracks.
    pub num_tracks: Option<usize>,
    /// Length of a window in seconds.
    pub window_seconds: Option<f64>,
    /// Labels of a window in each codebook.
    pub frames_per_window: Option<usize>,
    /// Codes of each codebook.
    pub codes_per_codebook: Option<Vec<usize>>,
    /// What made them.
    pub teacher: Option<String>,
}

/// Labels in a file, which is mapped into memory: what is not asked for costs nothing.
#[derive(Clone, Debug)]
pub struct LabelStore {
    path: PathBuf,
    description: LabelDescription,
    /// The first window of each track, and the number of all.
    first_windows: Vec<u64>,
    stored: StoredType,
    codes: Bytes,
}

impl LabelStore {
    /// Opens a file and checks that its parts fit each other.
    ///
    /// # Errors
    /// [`StoredTargetError`] for a file that cannot be read, is damaged, or holds no labels.
    pub fn open(path: &Path) -> Result<Self, StoredTargetError> {
        let file = DescribedTensors::open(path)?;
        let wrong = |found| StoredTargetError::Description { path: path.to_owned(), expected: EXPECTED, found };
        let text = file.text(KEY).ok_or_else(|| wrong("none".into()))?;
        let description: LabelDescription =
            serde_json::from_str(text).map_err(|error| wrong(format!("{text}: {error}")))?;
        description.check().map_err(|error| wrong(error.to_string()))?;
        let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
        let (_, shape, bytes) = file.tensor("windows_per_track", &[StoredType::U32])?;
        if shape.len() != 1 {
            return Err(damaged(format!("windows_per_track: expected a shape of [tracks], found {shape:?}")).into());
        }
        let mut first_windows = Vec::with_capacity(shape[0] + 1);
        first_windows.push(0_u64);
        let mut total = 0_u64;
        for (track, &count) in bytes.as_chunks().0.iter().enumerate() {
            let count = u32::from_le_bytes(count);
            if let Some(maximum) = description.max_windows.filter(|&maximum| count > maximum) {
                let reason = format!("track {track}: expected {maximum} windows at most, found {count}");
                return Err(damaged(reason).into());
            }
            total = total.saturating_add(u64::from(count));
            first_windows.push(total);
        }
        let (stored, shape, codes) = file.tensor("codes", &[StoredType::U16, StoredType::U32])?;
        let (codebooks, frames) = (description.codes_per_codebook.len(), description.frames_per_window);
        if shape != [total as usize, codebooks, frames] {
            let expected = format!("[{total}, {codebooks}, {frames}]");
            return Err(damaged(format!("codes: expected a shape of {expected}, found {shape:?}")).into());
        }
        Ok(Self { path: path.to_owned(), description, first_windows, stored, codes })
    }

    /// Compares with what is needed.
    ///
    /// # Errors
    /// [`StoredTargetError::Other`] with every difference.
    pub fn check(&self, expected: &ExpectedLabels) -> Result<(), StoredTargetError> {
        let mut differences = Vec::new();
        let mut compare = |field: &str, expected: Option<String>, found: String| {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                differences.push(Difference { field: field.to_owned(), expected, found });
            }
        };
        let found = &self.description;
        compare("data_sha256", expected.data_sha256.clone(), found.data_sha256.clone());
        compare("tracks", expected.num_tracks.map(|tracks| tracks.to_string()), self.num_tracks().to_string());
        let text = |value: f64| value.to_string();
        compare("window_seconds", expected.window_seconds.map(text), text(found.window_seconds));
        let text = |value: usize| value.to_string();
        compare("frames_per_window", expected.frames_per_window.map(text), text(found.frames_per_window));
        let codes = expected.codes_per_codebook.as_ref().map(|codes| format!("{codes:?}"));
        compare("codes_per_codebook", codes, format!("{:?}", found.codes_per_codebook));
        compare("teacher", expected.teacher.clone(), found.teacher.clone());
        if differences.is_empty() {
            return Ok(());
        }
        let is_other_data = differences.iter().any(|d| matches!(d.field.as_str(), "data_sha256" | "tracks"));
        let what = if is_other_data { "labels of another data set" } else { "labels that were made otherwise" };
        Err(StoredTargetError::Other { path: self.path.clone(), what, differences })
    }

    /// What the labels belong to.
    pub fn description(&self) -> &LabelDescription {
        &self.description
    }

    /// Number of tracks, those without a window included.
    pub fn num_tracks(&self) -> usize {
        self.first_windows.len() - 1
    }

    /// Number of windows of a track; 0 where there is no such track.
    pub fn num_windows(&self, track: usize) -> usize {
        self.windows_of(track).map_or(0, |windows| (windows.end - windows.start) as usize)
    }

    fn windows_of(&self, track: usize) -> Option<std::ops::Range<u64>> {
        Some(*self.first_windows.get(track)?..*self.first_windows.get(track.checked_add(1)?)?)
    }

    /// The codes of one window, `[codebooks, frames]`; `None` where there is no such window.
    ///
    /// # Errors
    /// [`StoredTargetError::NoSuchCode`] for a code that its codebook does not have.
    pub fn codes(&self, track: usize, window: usize) -> Result<Option<Vec<u32>>, StoredTargetError> {
        if window >= self.num_windows(track) {
            return Ok(None);
        }
        let count = self.description.codes_per_window();
        let number = self.first_windows[track] as usize + window;
        let num_bytes = count * self.stored.num_bytes();
        let bytes = &self.codes[number * num_bytes..(number + 1) * num_bytes];
        let codes: Vec<u32> = match self.stored {
            StoredType::U16 => bytes.as_chunks().0.iter().map(|&code| u16::from_le_bytes(code).into()).collect(),
            _ => bytes.as_chunks().0.iter().map(|&code| u32::from_le_bytes(code)).collect(),
        };
        check_codes(&self.description, track, window, &codes)?;
        Ok(Some(codes))
    }
}

/// Checks that every code is one of its codebook's.
pub(super) fn check_codes(
    description: &LabelDescription,
    track: usize,
    window: usize,
    codes: &[u32],
) -> Result<(), StoredTargetError> {
    let codebooks = codes.chunks_exact(description.frames_per_window).zip(&description.codes_per_codebook);
    for (codebook, (codes, &num_codes)) in codebooks.enumerate() {
        if let Some(frame) = codes.iter().position(|&code| code as usize >= num_codes) {
            let found = codes[frame];
            return Err(StoredTargetError::NoSuchCode { track, window, codebook, frame, num_codes, found });
        }
    }
    Ok(())
}
