//! A place for tests to lay out a data set in.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ImportError, ImportOptions, ImportProgress, Imported, import};
use crate::dataset::{DataSet, Split};

/// A folder of a test's own.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.folder.path().to_owned() } else { self.folder.path().join(name) }
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// A WAV of one channel at 8 kHz with noise that no other name has.
    pub(crate) fn wav(&self, name: &str, seconds: f64) -> PathBuf {
        let path = self.write(name, "");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        let mut state = name.bytes().fold(1_u32, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
        for _ in 0..(seconds * 8_000.0) as usize {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            writer.write_sample((state >> 18) as i16).unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        let bytes = fs_err::read(self.path(from)).unwrap();
        self.write(to, bytes);
    }

    /// Names of what is in a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs_err::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn try_import(&self, name: &str, options: &ImportOptions) -> Result<Imported, ImportError> {
        import(name, self.folder.path(), options, &|_: ImportProgress| {})
    }

    /// Imports with the default options what must be importable and sound.
    pub(crate) fn import(&self, name: &str) -> Imported {
        let imported = self.try_import(name, &ImportOptions::default()).unwrap();
        let path = self.path("made-by-the-test.jsonl");
        imported.clone().into_data_set().unwrap().write(&path).unwrap();
        let read = DataSet::read_lines(&path).unwrap();
        assert_eq!(read.problems(&[]), []);
        assert_eq!(read.audio_paths(Some(self.folder.path())).unwrap().len(), imported.records.len());
        fs_err::remove_file(path).unwrap();
        imported
    }
}

/// Rows as `(path, label, split)`, in their order.
pub(crate) fn rows(imported: &Imported) -> Vec<(&str, String, &'static str)> {
    imported
        .records
        .iter()
        .map(|record| {
            let label = record.label.as_str().map_or_else(|| record.label.to_string(), str::to_owned);
            (record.audio_path.as_str(), label, record.split.map_or("none", Split::name))
        })
        .collect()
}

/// How many rows are in each split.
pub(crate) fn counts(imported: &Imported) -> [u64; 3] {
    [0, 1, 2].map(|index: usize| imported.report.rows[index].found)
}

/// What was left out, and the reasons, as text.
pub(crate) fn left_out(imported: &Imported) -> String {
    imported.report.left_out.iter().map(|part| format!("{}: {}\n", part.what, part.reason)).collect()
}

/// Names of the unreadable recordings.
pub(crate) fn unreadable(imported: &Imported) -> Vec<String> {
    let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
    imported.report.unreadable.iter().map(|problem| name(&problem.path)).collect()
}
