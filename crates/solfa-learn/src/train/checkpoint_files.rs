//! Checkpoints of a run: `step-0001000.safetensors` with the tensors and `step-0001000.json` with the rest.
//!
//! A checkpoint is there once its `.json` is, which is written last and has the length and the hash of the tensors. So a
//! run that is killed at any moment, or whose disk is full, leaves the checkpoint before; and one that was damaged later
//! is found out before anything is taken from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run_folder::file_names;
use super::{RandomState, RunError};
use crate::checkpoint::{
    CheckpointError, FileDigest, NamedTensor, StagedFile, TensorSource, sha256_of_files, stage_tensors, write_error,
};

/// The version of [`CheckpointState`]'s fields.
const SCHEMA: u32 = 1;

const PREFIX: &str = "step-";
const TENSORS: &str = "safetensors";
const STATE: &str = "json";

/// What a run needs to go on besides tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointState {
    /// Updates so far.
    pub step: u64,
    /// How good the checkpoint is, the lower the better (a loss): the best one is kept.
    pub score: Option<f64>,
    /// Where random generators stand, by name.
    pub random: BTreeMap<String, RandomState>,
    /// Where the sampler stands.
    pub sampler: Value,
    /// What else the recipe and the trainer keep.
    pub extra: Value,
    /// The configuration's digest ([`config_sha256`](super::config_sha256)).
    pub config_sha256: String,
    /// A hash of what the run learns from, where there is one.
    pub data_sha256: Option<String>,
    /// Versions of what wrote it, by name.
    pub versions: BTreeMap<String, String>,
}

/// `step-0001000.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    schema: u32,
    state: CheckpointState,
    tensors: FileDigest,
}

/// A checkpoint that is whole.
#[derive(Debug)]
pub struct FoundCheckpoint {
    /// What it is besides tensors.
    pub state: CheckpointState,
    /// Its tensors.
    pub tensors: TensorSource,
}

/// A checkpoint that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedCheckpoint {
    /// Its tensors' file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// The folder of a run's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointFiles {
    folder: PathBuf,
    keep_last: usize,
}

impl CheckpointFiles {
    /// The checkpoints in a folder that is there. So many of the newest ones are kept, at least one, and the best one.
    pub fn new(folder: PathBuf, keep_last: usize) -> Self {
        Self { folder, keep_last: keep_last.max(1) }
    }

    /// Where the tensors of a step's checkpoint lie, or would.
    pub fn tensors_path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:07}.{TENSORS}"))
    }

    fn state_path(&self, step: u64) -> PathBuf {
        self.tensors_path(step).with_extension(STATE)
    }

    /// Writes a checkpoint, whole or not at all, and removes those that need not be kept: older ones, and those of later
    /// steps, which a run that was resumed from an earlier one has left behind.
    ///
    /// # Errors
    /// [`RunError::CheckpointNotWritten`], with the one before, which stays; one that cannot be removed.
    pub fn save(&self, state: &CheckpointState, tensors: Vec<NamedTensor<'_>>) -> Result<PathBuf, RunError> {
        let step = state.step;
        self.write(state, tensors).map_err(|source| {
            let previous = self.complete_steps().ok().and_then(|steps| steps.last().copied());
            let previous = previous.map(|step| self.tensors_path(step));
            RunError::CheckpointNotWritten { step, previous, source }
        })?;
        self.prune(step)?;
        Ok(self.tensors_path(step))
    }

    fn write(&self, state: &CheckpointState, tensors: Vec<NamedTensor<'_>>) -> Result<(), CheckpointError> {
        let (tensors, digest) = stage_tensors(self.tensors_path(state.step), tensors)?;
        let path = self.state_path(state.step);
        let file = StateFile { schema: SCHEMA, state: state.clone(), tensors: digest };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|error| write_error(&path, error.into()))?;
        text.push(b'\n');
        let state = StagedFile::write(path, &text)?;
        // Tensors never stand beside the state of others.
        state.remove_target()?;
        tensors.commit()?;
        state.commit()
    }

    /// The newest checkpoint that is whole, and all newer ones, which are not, with what is wrong with each.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn newest(&self) -> Result<(Option<FoundCheckpoint>, Vec<SkippedCheckpoint>), RunError> {
        let mut skipped = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.open(step) {
                Ok(found) => return Ok((Some(found), skipped)),
                Err(error) => {
                    skipped.push(SkippedCheckpoint { path: self.tensors_path(step), reason: error.to_string() });
                }
            }
        }
        Ok((None, skipped))
    }

    /// What the newest checkpoint with a readable state says of itself. Its tensors are not looked at.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn newest_state(&self) -> Result<Option<CheckpointState>, RunError> {
        let states = self.complete_steps()?.into_iter().rev();
        Ok(states.filter_map(|step| self.read_state(step).ok()).map(|file| file.state).next())
    }

    /// Opens one step's checkpoint.
    ///
    /// # Errors
    /// A file that is not there, or is not what was written.
    pub fn open(&self, step: u64) -> Result<FoundCheckpoint, CheckpointError> {
        let path = self.tensors_path(step);
        let StateFile { state, tensors: expected, .. } = self.read_state(step)?;
        let num_bytes = fs::metadata(&path).map_err(|source| io_error(&path, source))?.len();
        let damaged = |reason| CheckpointError::Damaged { path: path.clone(), reason };
        if num_bytes != expected.num_bytes {
            return Err(damaged(format!("expected {} bytes, found {num_bytes}", expected.num_bytes)));
        }
        let sha256 = sha256_of_files(std::slice::from_ref(&path))?;
        if sha256 != expected.sha256 {
            return Err(damaged(format!("expected the SHA-256 {}, found {sha256}", expected.sha256)));
        }
        Ok(FoundCheckpoint { state, tensors: TensorSource::open_safetensors(&[path])? })
    }

    fn read_state(&self, step: u64) -> Result<StateFile, CheckpointError> {
        let path = self.state_path(step);
        let text = fs::read(&path).map_err(|source| io_error(&path, source))?;
        let damaged = |reason| CheckpointError::Damaged { path: path.clone(), reason };
        let expected = "expected the state of a checkpoint";
        let file: StateFile = serde_json::from_slice(&text).map_err(|error| damaged(format!("{expected}: {error}")))?;
        if file.schema != SCHEMA {
            return Err(damaged(format!("{expected} of schema {SCHEMA}, found schema {}", file.schema)));
        }
        if file.state.step != step {
            return Err(damaged(format!("{expected} of step {step}, found step {}", file.state.step)));
        }
        Ok(file)
    }

    /// The steps of all files, in order, whether they are whole or not.
    fn steps(&self) -> Result<BTreeSet<u64>, CheckpointError> {
        Ok(file_names(&self.folder)?.iter().filter_map(|name| step_of(name, &[TENSORS, STATE])).collect())
    }

    /// The steps that have a state, in order.
    fn complete_steps(&self) -> Result<BTreeSet<u64>, CheckpointError> {
        Ok(file_names(&self.folder)?.iter().filter_map(|name| step_of(name, &[STATE])).collect())
    }

    fn prune(&self, newest: u64) -> Result<(), RunError> {
        let complete = self.complete_steps()?;
        let mut kept: BTreeSet<u64> =
            complete.range(..=newest).rev().take(self.keep_last).copied().chain([newest]).collect();
        // Among equals the latest.
        let scores =
            complete.range(..=newest).filter_map(|&step| Some((step, self.read_state(step).ok()?.state.score?)));
        let best =
            scores.min_by(|(step, score), (other_step, other)| score.total_cmp(other).then(other_step.cmp(step)));
        kept.extend(best.map(|(step, _)| step));
        for step in self.steps()?.difference(&kept) {
            // The state first: what is left of a checkpoint is none.
            for path in [self.state_path(*step), self.tensors_path(*step)] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(write_error(&path, error).into());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn io_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.to_owned(), source }
}

/// The step in a file's name, if it has one of these endings.
fn step_of(name: &str, endings: &[&str]) -> Option<u64> {
    let (stem, ending) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
    let is_number = stem.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && endings.contains(&ending) { stem.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::checkpoint::TensorValues;

    fn tensors(values: &[f32]) -> Vec<NamedTensor<'_>> {
        vec![NamedTensor { name: "a".into(), shape: vec![values.len()], values: TensorValues::Floats(values.into()) }]
    }

    fn state(step: u64, score: Option<f64>) -> CheckpointState {
        CheckpointState { step, score, config_sha256: "c".into(), ..CheckpointState::default() }
    }

    fn names(files: &CheckpointFiles) -> Vec<String> {
        file_names(&files.folder).unwrap()
    }

    struct Run {
        folder: tempfile::TempDir,
        files: CheckpointFiles,
    }

    impl Run {
        fn new(keep_last: usize) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = CheckpointFiles::new(folder.path().to_owned(), keep_last);
            Self { folder, files }
        }

        fn save(&self, step: u64, score: Option<f64>) {
            self.files.save(&state(step, score), tensors(&[step as f32; 100])).unwrap();
        }

        fn newest(&self) -> (Option<u64>, Vec<SkippedCheckpoint>) {
            let (found, skipped) = self.files.newest().unwrap();
            (found.map(|found| found.state.step), skipped)
        }
    }

    #[test]
    fn what_was_saved_is_found() {
        let run = Run::new(2);
        assert_eq!(run.newest(), (None, vec![]));
        let random = ChaCha8Rng::from_seed([3; 32]);
        let saved = CheckpointState {
            random: BTreeMap::from([("views".into(), RandomState::of(&random))]),
            sampler: serde_json::json!({ "epoch": 3 }),
            data_sha256: Some("d".into()),
            versions: BTreeMap::from([("solfa".into(), "0.1.0".into())]),
            ..state(1000, Some(0.1))
        };
        let values = [1.5, f32::MIN_POSITIVE, -0.0];
        let path = run.files.save(&saved, tensors(&values)).unwrap();
        assert_eq!(names(&run.files), ["step-0001000.json", "step-0001000.safetensors"]);
        assert_eq!(path, run.folder.path().join("step-0001000.safetensors"));
        let (found, skipped) = run.files.newest().unwrap();
        let found = found.unwrap();
        assert_eq!((found.state, skipped), (saved, vec![]));
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found.tensors.read_floats("a").unwrap()), bits(&values));
    }

    #[test]
    fn the_last_ones_and_the_best_are_kept() {
        let run = Run::new(2);
        let left = |run: &Run| run.files.steps().unwrap().into_iter().collect::<Vec<_>>();
        for (step, score, expected) in [
            (10, Some(0.5), vec![10]),
            (20, Some(0.3), vec![10, 20]),
            (30, Some(0.4), vec![20, 30]),
            (40, None, vec![20, 30, 40]),
            (50, Some(0.35), vec![20, 40, 50]),
            // As good as the best, and later.
            (60, Some(0.3), vec![50, 60]),
            (12_345_678, Some(0.9), vec![60, 12_345_678]),
        ] {
            run.save(step, score);
            assert_eq!(left(&run), expected);
        }
        assert_eq!(run.newest().0, Some(12_345_678));
    }

    #[test]
    fn damaged_checkpoints_are_named_and_skipped() {
        let run = Run::new(9);
        for step in 1..=6 {
            run.save(step, None);
        }
        let path = |step| run.files.tensors_path(step);
        // Truncated, one bit changed, no tensors, no state, a state that is none.
        let mut bytes = fs::read(path(6)).unwrap();
        fs::write(path(6), &bytes[..bytes.len() - 4]).unwrap();
        bytes = fs::read(path(5)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path(5), &bytes).unwrap();
        fs::remove_file(path(4)).unwrap();
        fs::remove_file(run.files.state_path(3)).unwrap();
        fs::write(run.files.state_path(2), "{\"schema\": 1").unwrap();
        let (newest, skipped) = run.newest();
        assert_eq!(newest, Some(1));
        let skipped: Vec<(PathBuf, String)> =
            skipped.into_iter().map(|skipped| (skipped.path, skipped.reason)).collect();
        assert_eq!(skipped.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), [6, 5, 4, 3, 2].map(path));
        let (size, cut) = (bytes.len(), bytes.len() - 4);
        for ((_, reason), expected) in skipped.iter().zip([
            format!("expected {size} bytes, found {cut}"),
            "expected the SHA-256 ".into(),
            "step-0000004.safetensors: cannot be read".into(),
            "step-0000003.json: cannot be read".into(),
            "step-0000002.json: the weight file is damaged or truncated: expected the state of a checkpoint".into(),
        ]) {
            assert!(reason.contains(&expected), "{reason}: {expected}");
        }
        // A run that goes on from the first one leaves them behind.
        run.save(2, None);
        assert_eq!(run.files.steps().unwrap().into_iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(run.newest(), (Some(2), vec![]));
    }

    #[test]
    fn a_state_under_another_steps_name_is_no_checkpoint() {
        let run = Run::new(9);
        run.save(1, None);
        for (from, to) in
            [(run.files.tensors_path(1), run.files.tensors_path(2)), (run.files.state_path(1), run.files.state_path(2))]
        {
            fs::copy(from, to).unwrap();
        }
        let (newest, skipped) = run.newest();
        assert_eq!(newest, Some(1));
        assert!(skipped[0].reason.contains("expected the state of a checkpoint of step 2, found step 1"));
        for other in ["step-x.json", "step-0000003.txt", "other-0000003.json", "step-+3.json", "step-.json"] {
            assert_eq!(step_of(other, &[TENSORS, STATE]), None, "{other}");
        }
    }

    /// `/dev/full` refuses every byte with the error of a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_the_checkpoint_before() {
        for name in [".step-0000002.safetensors.partial", ".step-0000002.json.partial"] {
            let run = Run::new(1);
            run.save(1, None);
            std::os::unix::fs::symlink("/dev/full", run.folder.path().join(name)).unwrap();
            let error = run.files.save(&state(2, None), tensors(&[2.0; 100])).unwrap_err().to_string();
            let expected = "the checkpoint of step 2 was not written: the disk is full: cannot write ";
            assert!(error.starts_with(expected), "{error}");
            assert!(error.ends_with("step-0000001.safetensors is the last one)"), "{error}");
            assert_eq!(names(&run.files), ["step-0000001.json", "step-0000001.safetensors"]);
            assert_eq!(run.newest(), (Some(1), vec![]));
            run.save(2, None);
            assert_eq!(run.newest(), (Some(2), vec![]));
        }
    }

    /// As `solfa-eval`'s tests of a disk that is really full: `SOLFA_SMALL_DISK` names a folder on a disk of a few MiB
    /// (`mount -t tmpfs -o size=1m tmpfs /mnt/small`); without it the test is skipped.
    #[test]
    #[allow(clippy::print_stdout, reason = "a test says that it was skipped")]
    fn a_disk_that_is_really_full_leaves_the_checkpoint_before() {
        let Some(disk) = std::env::var_os("SOLFA_SMALL_DISK").map(PathBuf::from) else {
            return println!("skipped: SOLFA_SMALL_DISK names no small disk to fill");
        };
        let folder = tempfile::tempdir_in(disk).unwrap();
        let files = CheckpointFiles::new(folder.path().to_owned(), 1);
        files.save(&state(1, None), tensors(&[1.0; 100])).unwrap();
        let error = files.save(&state(2, None), tensors(&vec![2.0; 4 << 20])).unwrap_err().to_string();
        assert!(error.starts_with("the checkpoint of step 2 was not written: the disk is full: "), "{error}");
        assert_eq!(names(&files), ["step-0000001.json", "step-0000001.safetensors"]);
        assert_eq!(files.newest().unwrap().0.map(|found| found.state.step), Some(1));
    }

    #[test]
    fn a_first_checkpoint_that_fails_says_that_there_is_none() {
        let run = Run::new(1);
        let files = CheckpointFiles::new(run.folder.path().join("gone"), 1);
        let error = files.save(&state(1, None), tensors(&[1.0])).unwrap_err().to_string();
        assert!(error.starts_with("the checkpoint of step 1 was not written: "), "{error}");
        assert!(error.ends_with("(there is no earlier one)"), "{error}");
    }
}
