//! What a run leaves on the disk.
//!
//! ```text
//! runs/NAME/run.json                               what it learns from, by what version of what
//!           config.toml                            everything that was asked for, defaults included
//!           log.jsonl                              one line a step
//!           events.out.tfevents.*                  the same for TensorBoard
//!           checkpoints/step-0001000.safetensors   weights, moments, teacher
//!           checkpoints/step-0001000.json          step, random states, what the files are known by
//!           diverged/step-0000123.*                batches that ended a run
//! ```

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::RunError;
use super::run_config::config_differences;
use crate::checkpoint::{CheckpointError, StagedFile, is_partial, write_error};

const CONFIG: &str = "config.toml";
const CHECKPOINTS: &str = "checkpoints";
const RECORD: &str = "run.json";

/// What a run learns from, and what trains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The program and its version.
    pub program: String,
    /// What the data is called: what a run that is resumed reads again.
    pub data: String,
    /// The hash of the tracks.
    pub data_sha256: String,
    /// Number of tracks.
    pub num_tracks: usize,
    /// Samples per second that they are read at.
    pub sample_rate: u32,
    /// How they are brought to it.
    pub resampler: String,
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Begins a run in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// A folder that holds a run already; files that cannot be written.
    pub fn create(path: &Path, config: &Table) -> Result<Self, RunError> {
        if path.join(CONFIG).exists() {
            return Err(RunError::Exists { path: path.to_owned() });
        }
        let folder = Self { path: path.to_owned() };
        folder.prepare()?;
        folder.write_config(config)?;
        Ok(folder)
    }

    /// A run that is there, to be read.
    ///
    /// # Errors
    /// A folder without a run.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let folder = Self { path: path.to_owned() };
        if folder.config_path().exists() { Ok(folder) } else { Err(RunError::NoRun { path: path.to_owned() }) }
    }

    /// Goes on with a run. What may change is taken from the new configuration, and written down.
    ///
    /// # Errors
    /// A folder without a run, a configuration that differs in a key that `may_change` does not name, files that cannot
    /// be read or written.
    pub fn resume(path: &Path, config: &Table, may_change: &[&str]) -> Result<Self, RunError> {
        let folder = Self::open(path)?;
        let old = folder.read_config()?;
        let differences = config_differences(&old, config, may_change);
        if !differences.is_empty() {
            return Err(RunError::ConfigChanged { path: folder.config_path(), differences });
        }
        folder.prepare()?;
        if old != *config {
            folder.write_config(config)?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The log.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// The folder of checkpoints.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// The folder of batches that ended a run.
    pub fn diverged_path(&self) -> PathBuf {
        self.path.join("diverged")
    }

    /// Writes down what the run learns from, and what trains it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_record(&self, record: &RunRecord) -> Result<(), RunError> {
        let path = self.path.join(RECORD);
        let mut text = serde_json::to_vec_pretty(record).map_err(|error| write_error(&path, error.into()))?;
        text.push(b'\n');
        Ok(StagedFile::write(path, &text)?.commit()?)
    }

    /// What [`write_record`](Self::write_record) wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of this.
    pub fn read_record(&self) -> Result<RunRecord, RunError> {
        let path = self.path.join(RECORD);
        let text = fs::read(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|error| RunError::Config { path, reason: error.to_string() })
    }

    /// The configuration of the run.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TOML.
    pub fn read_config(&self) -> Result<Table, RunError> {
        let path = self.config_path();
        let text = fs::read_to_string(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        text.parse().map_err(|error: toml::de::Error| RunError::Config { path, reason: error.to_string() })
    }

    fn write_config(&self, config: &Table) -> Result<(), RunError> {
        let path = self.config_path();
        let text = toml::to_string_pretty(config)
            .map_err(|error| RunError::Config { path: path.clone(), reason: error.to_string() })?;
        Ok(StagedFile::write(path, text.as_bytes())?.commit()?)
    }

    /// Makes the folders, and removes what a program left that was killed while it wrote.
    fn prepare(&self) -> Result<(), RunError> {
        let checkpoints = self.checkpoints_path();
        fs::create_dir_all(&checkpoints).map_err(|error| write_error(&checkpoints, error))?;
        for folder in [&self.path, &checkpoints] {
            for name in file_names(folder)? {
                if is_partial(&name) {
                    let path = folder.join(name);
                    fs::remove_file(&path).map_err(|error| write_error(&path, error))?;
                }
            }
        }
        Ok(())
    }
}

/// The names in a folder, in order.
pub(super) fn file_names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(io_error)?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(io_error)?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::KEYS_THAT_MAY_CHANGE;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_is_begun_once_and_resumed_with_the_same_configuration() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("runs/a");
        let config = table("[training]\nsteps = 10\n[model]\nhidden = 256\nrate = 5e-4");
        let resume = |config: &Table| RunFolder::resume(&path, config, &KEYS_THAT_MAY_CHANGE);
        let error = resume(&config).unwrap_err().to_string();
        assert!(error.ends_with("runs/a: holds no run to resume: expected a config.toml in it"), "{error}");
        let run = RunFolder::create(&path, &config).unwrap();
        assert_eq!(run.read_config().unwrap(), config);
        assert!(run.checkpoints_path().is_dir());
        let error = RunFolder::create(&path, &config).unwrap_err().to_string();
        assert!(error.ends_with("runs/a: holds a run already: resume it, or name another folder"), "{error}");
        resume(&config).unwrap();
        let longer = table("[training]\nsteps = 20\n[model]\nhidden = 256\nrate = 5e-4");
        resume(&longer).unwrap();
        assert_eq!(run.read_config().unwrap(), longer);
        let error = resume(&table("seed = 1\n[training]\nsteps = 20\n[model]\nhidden = 512\nrate = 5e-4"))
            .unwrap_err()
            .to_string();
        let expected = "config.toml: the run was begun with another configuration (resume with the same, or begin another \
                        run):\n  model.hidden: 256 in the run, 512 now\n  seed: not there in the run, 1 now";
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(run.read_config().unwrap(), longer, "a run that is refused stays as it was");
    }

    #[test]
    fn files_that_never_got_their_name_are_removed_at_the_start() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::create(parent.path(), &Table::new()).unwrap();
        let stale = [
            run.checkpoints_path().join(".step-0000010.safetensors.partial"),
            parent.path().join(".config.toml.partial"),
        ];
        let kept = run.checkpoints_path().join("step-0000005.json");
        for path in stale.iter().chain([&kept]) {
            fs::write(path, "x").unwrap();
        }
        RunFolder::resume(parent.path(), &Table::new(), &[]).unwrap();
        assert!(stale.iter().all(|path| !path.exists()) && kept.exists());
    }

    #[test]
    fn a_damaged_configuration_is_named() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("config.toml"), "steps = = 3").unwrap();
        let error = RunFolder::resume(parent.path(), &Table::new(), &[]).unwrap_err().to_string();
        assert!(error.contains("config.toml: expected a run's configuration in TOML: "), "{error}");
    }
}
