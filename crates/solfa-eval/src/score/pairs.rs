//! Which file of a folder of estimates belongs to which reference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ScoreError;

/// A reference and its estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePair {
    /// The name that both files have, without extension.
    pub name: String,
    /// The file of the reference.
    pub reference: PathBuf,
    /// The file of the estimate.
    pub estimate: PathBuf,
}

/// The files of two folders, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePairs {
    /// Those that are in both, sorted by name.
    pub pairs: Vec<FilePair>,
    /// References without an estimate.
    pub without_estimate: Vec<PathBuf>,
    /// Estimates without a reference.
    pub without_reference: Vec<PathBuf>,
}

/// Pairs the files of two folders that have one name but for their extensions. Folders inside, and files whose name starts
/// with a dot, are left out.
///
/// # Errors
/// If a folder cannot be listed, or two files of one folder have one name.
pub fn pair_files(references: &Path, estimates: &Path) -> Result<FilePairs, ScoreError> {
    let references = by_name(references)?;
    let mut estimates = by_name(estimates)?;
    let mut found = FilePairs::default();
    for (name, reference) in references {
        match estimates.remove(&name) {
            Some(estimate) => found.pairs.push(FilePair { name, reference, estimate }),
            None => found.without_estimate.push(reference),
        }
    }
    found.without_reference = estimates.into_values().collect();
    Ok(found)
}

fn by_name(folder: &Path) -> Result<BTreeMap<String, PathBuf>, ScoreError> {
    let failed = |source| ScoreError::Folder { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = BTreeMap::new();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(first) = files.insert(name, path.clone()) {
            return Err(ScoreError::Ambiguous { first, second: path });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_paired_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "").unwrap();
            path
        };
        let reference = write("references/one.beats");
        let alone = write("references/two.beats");
        write("references/.hidden");
        write("references/more/one.txt");
        let estimate = write("estimates/one.txt");
        let other = write("estimates/three.txt");
        let find = || pair_files(&folder.path().join("references"), &folder.path().join("estimates"));
        let found = find().unwrap();
        assert_eq!(found.pairs, [FilePair { name: "one".to_owned(), reference, estimate }]);
        assert_eq!((found.without_estimate, found.without_reference), (vec![alone], vec![other]));
        write("estimates/one.lab");
        assert!(find().unwrap_err().to_string().contains("one.lab and"));
        assert!(pair_files(&folder.path().join("nowhere"), folder.path()).unwrap_err().to_string().contains("nowhere"));
    }
}
