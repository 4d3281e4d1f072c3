//! Writing a packed store.
//!
//! Samples and a journal of what they are grow under temporary names, track by track. A run that was killed is taken up
//! again after the last track whose samples are as the journal says; if the source is another one now, all begins anew.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    FORMAT, FULL_SCALE, INDEX, Index, PackedTrack, SAMPLE_BYTES, SAMPLE_FORMAT, SAMPLES, Skipped, VERSION, sha256,
};
use crate::data::{DataError, SkippedTrack, TrackSource};

const PARTIAL_SAMPLES: &str = ".samples.i16.partial";
const PARTIAL_INDEX: &str = ".index.json.partial";
const JOURNAL: &str = ".journal.jsonl.partial";

/// What has been packed.
#[derive(Clone, Debug, PartialEq)]
pub struct PackReport {
    /// Tracks in the store.
    pub num_tracks: usize,
    /// Tracks, packed or not, that an earlier run had done.
    pub num_resumed: usize,
    /// The length of the store.
    pub seconds: f64,
    /// Samples beyond full scale, which were clipped.
    pub clipped_samples: u64,
    /// Tracks that could not be read.
    pub skipped: Vec<SkippedTrack>,
}

/// The first line of a journal: what must be the same for a run to go on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct JournalHead {
    version: u32,
    sample_rate: u32,
    resampler: Option<String>,
    /// SHA-256 of the names of all tracks.
    names_sha256: String,
}

/// A further line: what has become of the next track of the source.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum JournalLine {
    Packed(PackedTrack),
    Skipped(Skipped),
}

/// Decodes every track of `source`, on rayon's threads, into a store in `folder`, which is created. Tracks that cannot be
/// read whole are listed and left out. `progress` is told the number of tracks done and the seconds packed.
///
/// A run that was interrupted goes on where it was when it is started again with the same tracks.
///
/// # Errors
/// [`DataError::NoTracks`]; [`DataError::AllDamaged`]; [`DataError::Exists`] where a store is there already;
/// [`DataError::Busy`]; or [`DataError::Io`] for a file that cannot be written, after which another run can go on.
pub fn pack(source: &dyn TrackSource, folder: &Path, progress: &dyn Fn(usize, f64)) -> Result<PackReport, DataError> {
    if source.is_empty() {
        return Err(DataError::NoTracks);
    }
    fs::create_dir_all(folder).map_err(DataError::io("create the folder", folder))?;
    let index_path = folder.join(INDEX);
    if index_path.exists() {
        return Err(DataError::Exists { path: index_path });
    }
    let mut writer = Writer::open(source, folder)?;
    let num_resumed = writer.lines.len();
    let rate = f64::from(source.sample_rate());
    // Enough for every thread to have a track while others are written.
    let group = 2 * rayon::current_num_threads();
    let tracks: Vec<usize> = (num_resumed..source.len()).collect();
    for tracks in tracks.chunks(group) {
        let packed: Vec<Result<Samples, String>> =
            tracks.par_iter().map(|&track| read_track(source, track).map_err(|error| error.to_string())).collect();
        for (&track, packed) in tracks.iter().zip(packed) {
            writer.push(source.name(track), packed)?;
            progress(writer.lines.len(), writer.num_samples as f64 / rate);
        }
    }
    writer.finish(source, num_resumed)
}

/// A track, ready to be written.
struct Samples {
    bytes: Vec<u8>,
    clipped: u64,
    source_sha256: Option<String>,
}

fn read_track(source: &dyn TrackSource, track: usize) -> Result<Samples, DataError> {
    /// Samples read at a time: 11 minutes at 24 kHz.
    const PIECE: u64 = 1 << 24;
    let num_samples = source.num_samples(track)?;
    let mut samples = Samples { bytes: Vec::new(), clipped: 0, source_sha256: source.sha256(track)? };
    let mut start = 0;
    while start < num_samples {
        let piece = source.read(track, start, (num_samples - start).min(PIECE) as usize)?;
        if piece.samples().iter().any(|sample| !sample.is_finite()) {
            let (name, reason) = (source.name(track), "a sample is not finite".to_owned());
            return Err(DataError::Track { name, reason });
        }
        for sample in piece.samples() {
            let scaled = (sample * FULL_SCALE).round();
            let clipped = scaled.clamp(-FULL_SCALE, FULL_SCALE - 1.0);
            // A sample of exactly 1 is full scale, not beyond it.
            samples.clipped += u64::from(scaled.abs() > FULL_SCALE);
            samples.bytes.extend_from_slice(&(clipped as i16).to_le_bytes());
        }
        start += piece.num_samples() as u64;
    }
    if samples.bytes.is_empty() {
        let (name, reason) = (source.name(track), "it has no samples".to_owned());
        return Err(DataError::Track { name, reason });
    }
    Ok(samples)
}

/// A store in the making.
struct Writer {
    folder: PathBuf,
    samples: fs::File,
    journal: fs::File,
    lines: Vec<JournalLine>,
    num_samples: u64,
}

impl Writer {
    /// Opens what an earlier run has left, or begins.
    fn open(source: &dyn TrackSource, folder: &Path) -> Result<Self, DataError> {
        let (samples_path, journal_path) = (folder.join(PARTIAL_SAMPLES), folder.join(JOURNAL));
        let whole = folder.join(SAMPLES);
        // Killed between giving the samples their name and writing the index.
        if journal_path.exists() && whole.exists() && !samples_path.exists() {
            fs::rename(&whole, &samples_path).map_err(DataError::io("rename", &whole))?;
        }
        let open = |path: &Path| {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path).map_err(DataError::io("write", path))
        };
        let samples = open(&samples_path)?;
        match samples.file().try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => return Err(DataError::Busy { path: samples_path }),
            // Where there are no locks, nothing can be held against another process.
            Err(std::fs::TryLockError::Error(_)) | Ok(()) => {}
        }
        let journal = open(&journal_path)?;
        let mut writer = Self { folder: folder.to_owned(), samples, journal, lines: Vec::new(), num_samples: 0 };
        let names: Vec<String> = (0..source.len()).map(|track| source.name(track)).collect();
        let head = JournalHead {
            version: VERSION,
            sample_rate: source.sample_rate(),
            resampler: source.resampler_name(),
            names_sha256: sha256(names.join("\0").as_bytes()),
        };
        let kept = writer.take_up(&head, source.len()).map_err(DataError::io("read", &journal_path))?;
        let length = writer.num_samples * SAMPLE_BYTES;
        writer.samples.set_len(length).map_err(DataError::io("write", &samples_path))?;
        writer.samples.seek(SeekFrom::End(0)).map_err(DataError::io("write", &samples_path))?;
        writer.journal.set_len(kept).map_err(DataError::io("write", &journal_path))?;
        writer.journal.seek(SeekFrom::End(0)).map_err(DataError::io("write", &journal_path))?;
        if kept == 0 {
            writer.write_line(&head)?;
        }
        Ok(writer)
    }

    /// Reads the journal as far as it can be relied on. Returns the bytes of it that are kept.
    fn take_up(&mut self, head: &JournalHead, num_tracks: usize) -> std::io::Result<u64> {
        let mut journal = BufReader::new(self.journal.try_clone()?);
        let mut text = Vec::new();
        let mut kept = journal.read_until(b'\n', &mut text)? as u64;
        if !text.ends_with(b"\n") || serde_json::from_slice::<JournalHead>(&text).ok().as_ref() != Some(head) {
            return Ok(0);
        }
        while self.lines.len() < num_tracks {
            text.clear();
            let read = journal.read_until(b'\n', &mut text)? as u64;
            let Ok(line) = serde_json::from_slice::<JournalLine>(&text) else { break };
            if !text.ends_with(b"\n") || !self.is_there(&line)? {
                break;
            }
            if let JournalLine::Packed(track) = &line {
                self.num_samples += track.num_samples;
            }
            self.lines.push(line);
            kept += read;
        }
        Ok(kept)
    }

    /// Whether the samples are what a line says. They are read in order.
    fn is_there(&mut self, line: &JournalLine) -> std::io::Result<bool> {
        let JournalLine::Packed(track) = line else { return Ok(true) };
        let mut bytes = Vec::new();
        if let Some(length) = track.num_samples.checked_mul(SAMPLE_BYTES) {
            (&mut self.samples).take(length).read_to_end(&mut bytes)?;
        }
        Ok(track.offset == self.num_samples && sha256(&bytes) == track.samples_sha256)
    }

    /// Appends a track, or why there is none.
    fn push(&mut self, name: String, packed: Result<Samples, String>) -> Result<(), DataError> {
        let line = match packed {
            Err(reason) => JournalLine::Skipped(Skipped { name, reason }),
            Ok(Samples { bytes, clipped, source_sha256 }) => {
                let path = self.folder.join(PARTIAL_SAMPLES);
                self.samples.write_all(&bytes).map_err(DataError::io("write", &path))?;
                let num_samples = bytes.len() as u64 / SAMPLE_BYTES;
                let track = PackedTrack {
                    name,
                    offset: self.num_samples,
                    num_samples,
                    sha256: source_sha256,
                    samples_sha256: sha256(&bytes),
                    clipped_samples: clipped,
                };
                self.num_samples += num_samples;
                JournalLine::Packed(track)
            }
        };
        self.write_line(&line)?;
        self.lines.push(line);
        Ok(())
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), DataError> {
        let path = self.folder.join(JOURNAL);
        let written = serde_json::to_vec(line).map_err(std::io::Error::other).and_then(|mut text| {
            text.push(b'\n');
            self.journal.write_all(&text)
        });
        written.map_err(DataError::io("write", &path))
    }

    /// Gives the samples their name, and then writes the index.
    fn finish(self, source: &dyn TrackSource, num_resumed: usize) -> Result<PackReport, DataError> {
        let Self { folder, samples, journal, lines, num_samples } = self;
        let (mut tracks, mut skipped, mut listed) = (Vec::new(), Vec::new(), Vec::new());
        for (track, line) in lines.into_iter().enumerate() {
            match line {
                JournalLine::Packed(packed) => tracks.push(packed),
                JournalLine::Skipped(Skipped { name, reason }) => {
                    listed.push(SkippedTrack { track, name: name.clone(), reason: reason.clone() });
                    skipped.push(Skipped { name, reason });
                }
            }
        }
        if let ([], [first, ..]) = (tracks.as_slice(), listed.as_slice()) {
            let (name, reason) = (first.name.clone(), first.reason.clone());
            // Nothing is worth going on with.
            for file in [PARTIAL_SAMPLES, JOURNAL] {
                let _ = fs::remove_file(folder.join(file));
            }
            return Err(DataError::AllDamaged { count: listed.len(), name, reason });
        }
        let report = PackReport {
            num_tracks: tracks.len(),
            num_resumed,
            seconds: num_samples as f64 / f64::from(source.sample_rate()),
            clipped_samples: tracks.iter().map(|track| track.clipped_samples).sum(),
            skipped: listed,
        };
        let index = Index {
            format: FORMAT.into(),
            version: VERSION,
            sample_rate: source.sample_rate(),
            sample_format: SAMPLE_FORMAT.into(),
            resampler: source.resampler_name(),
            num_samples,
            tracks,
            skipped,
        };
        let samples_path = folder.join(SAMPLES);
        let written = samples.sync_all().and_then(|()| fs::rename(folder.join(PARTIAL_SAMPLES), &samples_path));
        written.map_err(DataError::io("write", &samples_path))?;
        let (partial, index_path) = (folder.join(PARTIAL_INDEX), folder.join(INDEX));
        let written = serde_json::to_vec_pretty(&index).map_err(std::io::Error::other).and_then(|text| {
            let mut file = fs::File::create(&partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&partial, &index_path)
        });
        written.map_err(DataError::io("write", &index_path))?;
        drop(journal);
        // It is of no use any more, and in nobody's way.
        let _ = fs::remove_file(folder.join(JOURNAL));
        Ok(report)
    }
}
