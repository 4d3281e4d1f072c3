//! `log.jsonl`: one line of JSON for every step.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checkpoint::{CheckpointError, StagedFile, write_error};

/// What happened in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// Updates, this one included.
    pub step: u64,
    /// The loss; `null` in the file where it is not finite.
    #[serde(serialize_with = "finite_or_null", deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// The parts of the loss, and what else an objective reports (accuracy, usage of codes, collapse), by name.
    #[serde(serialize_with = "finite_or_null_by_name", deserialize_with = "null_is_nan_by_name")]
    pub terms: BTreeMap<String, f64>,
    /// The learning rate of this update.
    pub learning_rate: f64,
    /// The norm of all gradients before clipping.
    #[serde(serialize_with = "finite_or_null", deserialize_with = "null_is_nan")]
    pub gradient_norm: f64,
    /// Whether nothing was updated because a number was not finite.
    pub skipped: bool,
    /// Where the time went.
    pub seconds: StepSeconds,
    /// Seconds of sound that were learned from in each second.
    #[serde(serialize_with = "finite_or_null", deserialize_with = "null_is_nan")]
    pub audio_seconds_per_second: f64,
}

/// Where the time of a step went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSeconds {
    /// Waiting for a batch.
    pub data: f64,
    /// The network and the loss.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// The update, the teacher included.
    pub optimizer: f64,
}

impl StepSeconds {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.data + self.forward + self.backward + self.optimizer
    }
}

impl LogLine {
    /// All numbers but the step, by name, for curves: `loss`, `terms/NAME`, `learning_rate`, `seconds/data`, ...
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let Self { loss, terms, learning_rate, gradient_norm, seconds, audio_seconds_per_second, .. } = self;
        let mut scalars = vec![("loss".to_owned(), *loss)];
        scalars.extend(terms.iter().map(|(name, &value)| (format!("terms/{name}"), value)));
        let rest = [
            ("learning_rate", *learning_rate),
            ("gradient_norm", *gradient_norm),
            ("audio_seconds_per_second", *audio_seconds_per_second),
            ("seconds/data", seconds.data),
            ("seconds/forward", seconds.forward),
            ("seconds/backward", seconds.backward),
            ("seconds/optimizer", seconds.optimizer),
        ];
        scalars.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        scalars
    }
}

/// A log that is open to be added to.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: fs::File,
}

impl Log {
    /// Opens a log, which is made where it is not there. Lines after `last_step` are cut away (a run that is resumed from
    /// a checkpoint does those steps again), and with them a last line that a killed program left unfinished.
    ///
    /// # Errors
    /// A file that cannot be read or written; a damaged line before the last.
    pub fn open(path: &Path, last_step: u64) -> Result<Self, CheckpointError> {
        if path.exists() {
            let (kept, is_whole) = kept_lines(path, last_step)?;
            if !is_whole {
                StagedFile::write(path.to_owned(), &kept)?.commit()?;
            }
        }
        let opened = fs::OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: opened.map_err(|error| write_error(path, error))?, path: path.to_owned() })
    }

    /// Adds a line, with one write.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&mut self, line: &LogLine) -> Result<(), CheckpointError> {
        let written = serde_json::to_vec(line).map_err(std::io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.file.write_all(&text)
        });
        written.map_err(|error| write_error(&self.path, error))
    }

    /// Waits until all lines are on the disk, so that they outlast a loss of power: before a checkpoint, which says that
    /// those steps are done.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn sync(&self) -> Result<(), CheckpointError> {
        self.file.sync_all().map_err(|error| write_error(&self.path, error))
    }
}

/// All lines of a log. A last line that a killed program left unfinished is left out.
///
/// # Errors
/// A file that cannot be read; a damaged line before the last.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>, CheckpointError> {
    let mut lines = Vec::new();
    for_each_line(path, |line, _| lines.push(line))?;
    Ok(lines)
}

/// The text of the lines up to a step, and whether that is all of the file.
fn kept_lines(path: &Path, last_step: u64) -> Result<(Vec<u8>, bool), CheckpointError> {
    let mut kept = Vec::new();
    for_each_line(path, |line, text| {
        if line.step <= last_step {
            kept.extend_from_slice(text);
        }
    })?;
    let num_bytes = fs::metadata(path).map_err(|source| io_error(path, source))?.len();
    let is_whole = kept.len() as u64 == num_bytes;
    Ok((kept, is_whole))
}

/// Every whole line, with its text.
fn for_each_line(path: &Path, mut each: impl FnMut(LogLine, &[u8])) -> Result<(), CheckpointError> {
    let file = fs::File::open(path).map_err(|source| io_error(path, source))?;
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        reader.read_until(b'\n', &mut text).map_err(|source| io_error(path, source))?;
        if !text.ends_with(b"\n") {
            break;
        }
        let line = serde_json::from_slice(&text).map_err(|error| CheckpointError::Damaged {
            path: path.to_owned(),
            reason: format!("line {number}: expected what a step logs, found this fault: {error}"),
        })?;
        each(line, &text);
    }
    Ok(())
}

fn io_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.to_owned(), source }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn finite_or_null<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    finite(*value).serialize(serializer)
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn finite_or_null_by_name<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, &value)| (name, finite(value))))
}

fn null_is_nan_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> LogLine {
        LogLine {
            step,
            loss: 1.0 / step as f64,
            terms: BTreeMap::from([("accuracy".into(), 0.1), ("codebook_0".into(), 6.9)]),
            learning_rate: 5e-4,
            gradient_norm: 2.5,
            skipped: false,
            seconds: StepSeconds { data: 0.01, forward: 0.5, backward: 1.0, optimizer: 0.1 },
            audio_seconds_per_second: 24.8,
        }
    }

    fn steps(path: &Path) -> Vec<u64> {
        read_log(path).unwrap().iter().map(|line| line.step).collect()
    }

    #[test]
    fn lines_read_back_and_numbers_that_are_not_finite_are_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        log.write(&line(1)).unwrap();
        let terms = BTreeMap::from([("accuracy".into(), f64::NAN)]);
        let diverged = LogLine { loss: f64::NAN, gradient_norm: f64::INFINITY, terms, skipped: true, ..line(2) };
        log.write(&diverged).unwrap();
        log.sync().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let expected = "{\"step\":1,\"loss\":1.0,\"terms\":{\"accuracy\":0.1,\"codebook_0\":6.9},\"learning_rate\":0.0005,\
                        \"gradient_norm\":2.5,\"skipped\":false,\"seconds\":{\"data\":0.01,\"forward\":0.5,\"backward\":1.0,\
                        \"optimizer\":0.1},\"audio_seconds_per_second\":24.8}\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\"step\":2,\"loss\":null,\"terms\":{\"accuracy\":null}"), "{text}");
        let lines = read_log(&path).unwrap();
        assert_eq!(lines[0], line(1));
        assert!(lines[1].loss.is_nan() && lines[1].gradient_norm.is_nan() && lines[1].terms["accuracy"].is_nan());
        assert!((line(1).seconds.total() - 1.61).abs() < 1e-12);
    }

    #[test]
    fn a_resumed_log_has_every_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        (1..=7).for_each(|step| log.write(&line(step)).unwrap());
        drop(log);
        // Killed in the middle of a line.
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"step\":8,\"lo");
        fs::write(&path, &text).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4, 5, 6, 7]);
        let mut log = Log::open(&path, 5).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4, 5]);
        log.write(&line(6)).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4, 5, 6]);
        drop(log);
        let before = fs::read(&path).unwrap();
        drop(Log::open(&path, 6).unwrap());
        assert_eq!(fs::read(&path).unwrap(), before);
        drop(Log::open(&path, 0).unwrap());
        assert!(fs::read(&path).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_line_is_named_and_the_log_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let good = serde_json::to_string(&line(1)).unwrap();
        for damaged in ["{\"step\":2}", "\u{0}\u{0}", "", "[]"] {
            let text = format!("{good}\n{damaged}\n{good}\n");
            fs::write(&path, &text).unwrap();
            let error = Log::open(&path, 9).unwrap_err().to_string();
            assert!(error.contains("log.jsonl") && error.contains("line 2: expected what a step logs"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn scalars_have_every_number_by_name() {
        let names: Vec<String> = line(1).scalars().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "loss",
            "terms/accuracy",
            "terms/codebook_0",
            "learning_rate",
            "gradient_norm",
            "audio_seconds_per_second",
            "seconds/data",
            "seconds/forward",
            "seconds/backward",
            "seconds/optimizer",
        ];
        assert_eq!(names, expected);
    }
}
