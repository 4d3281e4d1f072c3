//! What the tests share: a folder to work in, sounds to put there, and outputs to read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use solfa_signal::testing::musical_signal;
use tempfile::TempDir;

/// A file that the repository ships.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// A tiny checkpoint with layers 0 to 2.
pub(crate) fn tiny_muq() -> String {
    fixture("golden/muq-25hz").to_str().unwrap().to_owned()
}

/// A folder of a test's own, in which the command runs.
pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with arguments that are separated by spaces.
    pub(crate) fn solfa(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solfa"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace()).timeout(SOME_TIME);
        command
    }

    /// Runs `solfa embed --json` with hand-made features and returns its lines, whatever the exit code.
    pub(crate) fn embed(&self, arguments: &str) -> Vec<Value> {
        json_lines(&self.solfa("embed --model mel --json").args(arguments.split_whitespace()).output().unwrap().stdout)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    /// A mono WAV of float samples.
    pub(crate) fn wav(&self, name: &str, rate: u32, samples: &[f32]) -> PathBuf {
        self.wav_of_channels(name, rate, 1, samples)
    }

    /// A WAV of float samples, interleaved.
    pub(crate) fn wav_of_channels(&self, name: &str, rate: u32, channels: u16, samples: &[f32]) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    /// A few notes at 24 kHz, different for every `seed`.
    pub(crate) fn song(&self, name: &str, seconds: f64, seed: u64) -> PathBuf {
        self.wav(name, 24_000, musical_signal((seconds * 24_000.0) as usize, 24_000, seed).samples())
    }

    /// Paths of all files below a folder, relative to it and sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let root = self.path(folder);
        let mut names = Vec::new();
        for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                names.push(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
        names
    }
}

/// Far more than any of these commands takes: it only keeps a hanging one from hanging the tests.
const SOME_TIME: std::time::Duration = std::time::Duration::from_secs(300);

pub(crate) fn json_lines(stdout: &[u8]) -> Vec<Value> {
    stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
}

fn parse(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)))
}

/// The paths of the lines that have a status.
pub(crate) fn with_status<'rows>(rows: &'rows [Value], status: &str) -> Vec<&'rows str> {
    rows.iter().filter(|row| row["status"] == status).map(|row| row["path"].as_str().unwrap()).collect()
}

/// A `.safetensors` file: shape and values of its tensors, and its metadata.
pub(crate) struct Stored {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Stored {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = float_tensors(path);
        assert_eq!(tensors.len(), header.tensors().len(), "{}: all tensors are F32", path.display());
        Self { tensors, metadata: header.metadata().clone().unwrap_or_default().into_iter().collect() }
    }

    pub(crate) fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    pub(crate) fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }
}

/// The F32 tensors of a `.safetensors` file.
pub(crate) fn float_tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs_err::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    tensors.map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), floats(view.data())))).collect()
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
