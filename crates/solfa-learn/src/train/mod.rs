//! What every training needs, whatever is trained: the optimiser, schedules, the teacher, checkpoints, the log.
//!
//! | file | what |
//! |---|---|
//! | `schedule` | numbers that change with the step |
//! | `adam` | Adam and AdamW over the parameters of a module |
//! | `ema` | a teacher that follows a student |
//! | `collapse` | signals that what is learned has collapsed |
//! | `divergence` | steps that are skipped because a number is not finite |
//! | `run_config`, `run_folder` | the configuration of a run, and its folder |
//! | `random_state`, `checkpoint_files` | what a run needs to go on bit for bit |
//! | `log`, `tensorboard` | what happened in every step |
//!
//! This module must not know: any recipe.

mod adam;
mod checkpoint_files;
mod collapse;
mod divergence;
mod ema;
mod error;
mod log;
mod parameters;
mod random_state;
mod run_config;
mod run_folder;
mod schedule;
mod tensorboard;
mod trainer;

pub use adam::{Adam, AdamConfig, AdamError, ParameterGroup, Rates, StepOutcome, WeightDecayKind};
pub use checkpoint_files::{CheckpointFiles, CheckpointState, FoundCheckpoint, SkippedCheckpoint};
pub use collapse::{CodeCounts, CodeUsage, CollapseError, Spread, spread};
pub use divergence::{ClipOrigin, DivergenceError, DivergenceGuard, DivergenceLimits, NonFinite, save_batch};
pub use ema::{EmaScope, TeacherMode, teacher_of, update_teacher};
pub use error::RunError;
pub use log::{Log, LogLine, StepSeconds, read_log};
pub use random_state::{RandomState, RandomStateError};
pub use run_config::{ConfigDifference, KEYS_THAT_MAY_CHANGE, config_differences, config_sha256};
pub use run_folder::{RunFolder, RunRecord};
pub use schedule::{Decay, LearningRateSchedule, Schedule, ScheduleError};
pub use tensorboard::EventFile;
pub use trainer::{Moment, Recipe, Trainer, TrainingConfig, TrainingError, TrainingObserver};

#[cfg(test)]
mod tests;
