//! Why a run cannot begin or go on.

use std::path::PathBuf;

use super::run_config::ConfigDifference;
use crate::checkpoint::CheckpointError;

/// Why a run cannot begin or go on. What a wrong number in a configuration is, its part says: [`AdamError`](super::AdamError),
/// [`ScheduleError`](super::ScheduleError).
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file of the run that cannot be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// A folder that holds a run already.
    #[error("{path}: holds a run already: resume it, or name another folder", path = path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder to resume that holds no run.
    #[error("{path}: holds no run to resume: expected a config.toml in it", path = path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A configuration that is no TOML.
    #[error("{path}: expected a run's configuration in TOML: {reason}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A run to resume with another configuration.
    #[error(
        "{path}: the run was begun with another configuration (resume with the same, or begin another run):{list}",
        path = path.display(),
        list = differences.iter().map(|difference| format!("\n  {difference}")).collect::<String>()
    )]
    ConfigChanged {
        /// The run's configuration.
        path: PathBuf,
        /// Every key that differs and may not.
        differences: Vec<ConfigDifference>,
    },
    /// A checkpoint that could not be written. The run can be resumed from the one before.
    #[error(
        "the checkpoint of step {step} was not written: {source} ({})",
        match previous {
            Some(path) => format!("{} is the last one", path.display()),
            None => "there is no earlier one".to_owned(),
        }
    )]
    CheckpointNotWritten {
        /// Its step.
        step: u64,
        /// The newest one that there is.
        previous: Option<PathBuf>,
        /// Why not.
        source: CheckpointError,
    },
}
