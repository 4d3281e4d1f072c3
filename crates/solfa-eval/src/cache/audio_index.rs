//! The hash of every recording that was seen, so that a file is read through once and not at every run.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fs_err::File;
use serde::{Deserialize, Serialize};

use crate::store::hash::sha256;

/// What a file was when it was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    sha256: String,
}

/// Hashes of recordings by path, length and time of modification: lines of `audio-index.jsonl` in the cache's folder.
#[derive(Debug)]
pub struct AudioIndex {
    file: PathBuf,
    seen: HashMap<PathBuf, Seen>,
}

impl AudioIndex {
    /// The index of a cache. Lines that cannot be read are forgotten: their files are hashed again.
    pub fn open(cache_folder: &Path) -> Self {
        let file = cache_folder.join("audio-index.jsonl");
        let lines = File::open(&file).map(|file| BufReader::new(file).lines().map_while(Result::ok));
        let seen = lines.into_iter().flatten().filter_map(|line| serde_json::from_str::<Seen>(&line).ok());
        let seen = seen.map(|seen| (seen.path.clone(), seen)).collect();
        Self { file, seen }
    }

    /// SHA-256 of a recording's bytes, in hexadecimal.
    ///
    /// # Errors
    /// The recording cannot be read, or the index not written.
    pub fn sha256(&mut self, recording: &Path) -> io::Result<String> {
        let path = fs_err::canonicalize(recording)?;
        let metadata = fs_err::metadata(&path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let bytes = metadata.len();
        if let Some(seen) = self.seen.get(&path)
            && (seen.bytes, seen.modified) == (bytes, modified)
        {
            return Ok(seen.sha256.clone());
        }
        let sha256 = hash(&path)?;
        let seen = Seen { path: path.clone(), bytes, modified, sha256: sha256.clone() };
        if let Some(folder) = self.file.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let mut line = serde_json::to_string(&seen)?;
        line.push('\n');
        // One write of one line: a process that is killed leaves at most a line that is not read.
        fs_err::OpenOptions::new().create(true).append(true).open(&self.file)?.write_all(line.as_bytes())?;
        self.seen.insert(path, seen);
        Ok(sha256)
    }
}

fn hash(path: &Path) -> io::Result<String> {
    Ok(sha256(File::open(path)?)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("a.wav");
        fs_err::write(&recording, "abc").unwrap();
        let cache = folder.path().join("cache");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(AudioIndex::open(&cache).sha256(&recording).unwrap(), expected);

        // What the index says is believed while length and time are the same.
        let file = cache.join("audio-index.jsonl");
        let line = fs_err::read_to_string(&file).unwrap();
        fs_err::write(&file, line.replace("ba7816bf", "00000000")).unwrap();
        assert!(AudioIndex::open(&cache).sha256(&recording).unwrap().starts_with("00000000"));

        fs_err::write(&recording, "abcd").unwrap();
        let found = AudioIndex::open(&cache).sha256(&recording).unwrap();
        assert_eq!(found, "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589");
    }

    #[test]
    fn a_broken_index_is_forgotten_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("a.wav");
        fs_err::write(&recording, "abc").unwrap();
        fs_err::write(folder.path().join("audio-index.jsonl"), "not json\n{\"path\": 3}\n").unwrap();
        assert!(AudioIndex::open(folder.path()).sha256(&recording).is_ok());
        assert!(AudioIndex::open(folder.path()).sha256(&folder.path().join("none.wav")).is_err());
    }
}
