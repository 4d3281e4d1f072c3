//! Steps whose loss or gradients are not finite: skipped, counted, and too many of them end the run.

use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, NamedTensor, StagedFile, stage_tensors, write_error};

/// How many steps may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DivergenceLimits {
    /// So many in a row end the run.
    pub in_a_row: u32,
    /// So many in all end the run.
    pub in_all: u32,
}

impl Default for DivergenceLimits {
    /// Ten in a row are no chance; a hundred in all are a share of any run that should be looked at.
    fn default() -> Self {
        Self { in_a_row: 10, in_all: 100 }
    }
}

/// Where a clip of a batch came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipOrigin {
    /// The track's name or path.
    pub track: String,
    /// Where the clip begins, in seconds.
    pub start_seconds: f64,
}

impl fmt::Display for ClipOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {:.3} s", self.track, self.start_seconds)
    }
}

/// What was not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// The loss, as text: `NaN`, `inf`.
    Loss(String),
    /// The gradient of a parameter.
    Gradient(String),
}

impl NonFinite {
    /// The loss, if it is not finite.
    pub fn of_loss(loss: f64) -> Option<Self> {
        (!loss.is_finite()).then(|| Self::Loss(loss.to_string()))
    }
}

impl fmt::Display for NonFinite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(value) => write!(formatter, "the loss is {value}"),
            Self::Gradient(parameter) => write!(formatter, "the gradient of {parameter} is not finite"),
        }
    }
}

/// Too many steps were skipped.
#[derive(Debug, thiserror::Error)]
#[error(
    "training diverged at step {step}: {cause}; {in_a_row} steps in a row and {in_all} in all were skipped. The batch \
     ({batch}) {saved}. Try a lower learning rate, a longer warm-up or clipping",
    batch = clips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    saved = match saved_at {
        Ok(path) => format!("is saved as {}", path.display()),
        Err(error) => format!("could not be saved: {error}"),
    }
)]
pub struct DivergenceError {
    /// The last step that was skipped.
    pub step: u64,
    /// What was not finite in it.
    pub cause: NonFinite,
    /// Steps skipped in a row.
    pub in_a_row: u32,
    /// Steps skipped in all.
    pub in_all: u32,
    /// What the batch was made of.
    pub clips: Vec<ClipOrigin>,
    /// Where its tensors are, or why they are not.
    pub saved_at: Result<PathBuf, CheckpointError>,
}

/// Counts skipped steps. What it has counted belongs into checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DivergenceGuard {
    #[serde(skip)]
    limits: DivergenceLimits,
    in_a_row: u32,
    in_all: u32,
}

impl DivergenceGuard {
    /// Nothing skipped yet.
    pub fn new(limits: DivergenceLimits) -> Self {
        Self { limits, in_a_row: 0, in_all: 0 }
    }

    /// One that was in a checkpoint, with the limits of now.
    pub fn with_limits(self, limits: DivergenceLimits) -> Self {
        Self { limits, ..self }
    }

    /// Steps skipped in all.
    pub fn num_skipped(&self) -> u32 {
        self.in_all
    }

    /// A step was finite.
    pub fn finite(&mut self) {
        self.in_a_row = 0;
    }

    /// A step was skipped. `save` is called for the batch that ends the run, with the folder from
    /// [`RunFolder::diverged_path`](super::RunFolder::diverged_path), for instance to [`save_batch`].
    ///
    /// # Errors
    /// Where that is too many.
    pub fn skipped(
        &mut self,
        step: u64,
        cause: NonFinite,
        clips: &[ClipOrigin],
        save: impl FnOnce() -> Result<PathBuf, CheckpointError>,
    ) -> Result<(), Box<DivergenceError>> {
        self.in_a_row += 1;
        self.in_all += 1;
        let Self { limits, in_a_row, in_all } = *self;
        if in_a_row < limits.in_a_row.max(1) && in_all < limits.in_all.max(1) {
            return Ok(());
        }
        let clips = clips.to_vec();
        Err(Box::new(DivergenceError { step, cause, in_a_row, in_all, clips, saved_at: save() }))
    }
}

/// `step-0000123.json`
#[derive(Serialize)]
struct BatchFile<'batch> {
    step: u64,
    cause: &'batch NonFinite,
    clips: &'batch [ClipOrigin],
}

/// Writes a batch, as tensors and the names of its clips, into a folder, which is made. Gives the tensors' file.
///
/// # Errors
/// Files that cannot be written.
pub fn save_batch(
    folder: &Path,
    step: u64,
    cause: &NonFinite,
    clips: &[ClipOrigin],
    tensors: Vec<NamedTensor<'_>>,
) -> Result<PathBuf, CheckpointError> {
    fs::create_dir_all(folder).map_err(|error| write_error(folder, error))?;
    let path = folder.join(format!("step-{step:07}.safetensors"));
    let names = path.with_extension("json");
    let mut text = serde_json::to_vec_pretty(&BatchFile { step, cause, clips })
        .map_err(|error| write_error(&names, error.into()))?;
    text.push(b'\n');
    stage_tensors(path.clone(), tensors)?.0.commit()?;
    StagedFile::write(names, &text)?.commit()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{TensorSource, TensorValues};

    fn clips() -> Vec<ClipOrigin> {
        let clip = |track: &str, start_seconds| ClipOrigin { track: track.into(), start_seconds };
        vec![clip("rock/a.mp3", 12.5), clip("b.flac", 0.0)]
    }

    fn nan() -> NonFinite {
        NonFinite::of_loss(f64::NAN).unwrap()
    }

    #[track_caller]
    fn passes(guard: &mut DivergenceGuard, step: u64) {
        guard.skipped(step, nan(), &clips(), || panic!("a batch was saved")).unwrap();
    }

    #[test]
    fn a_few_are_counted_and_too_many_in_a_row_end_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut guard = DivergenceGuard::new(DivergenceLimits { in_a_row: 3, in_all: 100 });
        passes(&mut guard, 1);
        passes(&mut guard, 2);
        guard.finite();
        passes(&mut guard, 4);
        passes(&mut guard, 5);
        assert_eq!(guard.num_skipped(), 4);
        let cause = NonFinite::Gradient("encoder.layers.0.weight".into());
        let error = guard.skipped(6, cause.clone(), &clips(), || {
            let values = TensorValues::Floats(vec![1.0, f32::NAN].into());
            let tensors = vec![NamedTensor { name: "waveforms".into(), shape: vec![2, 1], values }];
            save_batch(&folder.path().join("diverged"), 6, &cause, &clips(), tensors)
        });
        let path = folder.path().join("diverged/step-0000006.safetensors");
        let expected = format!(
            "training diverged at step 6: the gradient of encoder.layers.0.weight is not finite; 3 steps in a row and 5 in \
             all were skipped. The batch (rock/a.mp3 at 12.500 s, b.flac at 0.000 s) is saved as {}. Try a lower learning \
             rate, a longer warm-up or clipping",
            path.display()
        );
        assert_eq!(error.unwrap_err().to_string(), expected);
        let saved = TensorSource::open_safetensors(std::slice::from_ref(&path)).unwrap();
        assert!(saved.read_floats("waveforms").unwrap()[1].is_nan());
        let text = fs::read_to_string(path.with_extension("json")).unwrap();
        let names: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&names["step"], &names["clips"][0]["track"]), (&6.into(), &"rock/a.mp3".into()));
    }

    #[test]
    fn too_many_in_all_end_the_run_across_a_resume() {
        let limits = DivergenceLimits { in_a_row: 10, in_all: 3 };
        let mut guard = DivergenceGuard::new(limits);
        passes(&mut guard, 1);
        guard.finite();
        passes(&mut guard, 3);
        guard.finite();
        let text = serde_json::to_string(&guard).unwrap();
        let mut guard = serde_json::from_str::<DivergenceGuard>(&text).unwrap().with_limits(limits);
        let save = || Err(CheckpointError::Full { path: "diverged".into() });
        let error = guard.skipped(9, nan(), &clips(), save).unwrap_err();
        assert_eq!((error.in_a_row, error.in_all), (1, 3));
        let text = error.to_string();
        assert!(text.starts_with("training diverged at step 9: the loss is NaN; "), "{text}");
        assert!(text.contains("could not be saved: the disk is full: cannot write diverged"), "{text}");
    }

    #[test]
    fn a_finite_loss_is_no_cause() {
        assert_eq!(NonFinite::of_loss(0.0), None);
        assert_eq!(NonFinite::of_loss(f64::NEG_INFINITY), Some(NonFinite::Loss("-inf".into())));
    }
}
