//! The folder that a data set lies in.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::ImportError;

/// Extensions of audio files, for what nothing else names.
const AUDIO_EXTENSIONS: [&str; 13] =
    ["wav", "wave", "au", "aif", "aiff", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "aac", "webm"];

/// All files below a folder.
pub(super) struct Folder {
    root: PathBuf,
    /// Relative to the root, sorted.
    files: Vec<PathBuf>,
    known: HashSet<PathBuf>,
    by_name: HashMap<OsString, Vec<usize>>,
}

impl Folder {
    /// Lists all files below `root`, without hidden ones.
    pub(super) fn open(root: &Path) -> Result<Self, ImportError> {
        let io = |source: io::Error| ImportError::Io { path: root.to_owned(), source };
        if !root.metadata().map_err(io)?.is_dir() {
            return Err(io(io::ErrorKind::NotADirectory.into()));
        }
        let mut files = Vec::new();
        let entries = WalkDir::new(root).follow_links(true).into_iter();
        let is_shown = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(name.starts_with('.') || name == "__MACOSX")
        };
        for entry in entries.filter_entry(is_shown) {
            let entry = match entry {
                Ok(entry) => entry,
                // A link to nothing is as good as nothing.
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    return Err(ImportError::Io { path, source: error.into() });
                }
            };
            if entry.file_type().is_file()
                && let Ok(relative) = entry.path().strip_prefix(root)
            {
                files.push(relative.to_owned());
            }
        }
        files.sort_unstable();
        let mut by_name: HashMap<OsString, Vec<usize>> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            by_name.entry(file.file_name().unwrap_or_default().to_owned()).or_default().push(index);
        }
        let known = files.iter().cloned().collect();
        Ok(Self { root: root.to_owned(), files, known, by_name })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is this file, relative to the root.
    pub(super) fn has(&self, relative: &Path) -> bool {
        self.known.contains(relative)
    }

    /// All files, relative to the root and sorted.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All audio files, relative to the root and sorted.
    pub(super) fn audio(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path).filter(|path| is_audio(path))
    }

    /// The file with this path, or else the first one whose path ends in it, however deep: data sets are unpacked into
    /// many folders.
    pub(super) fn find(&self, relative: &str) -> Option<&Path> {
        let relative = Path::new(relative);
        if let Some(found) = self.known.get(relative) {
            return Some(found);
        }
        let candidates = self.by_name.get(relative.file_name()?)?;
        let ends_in_it =
            candidates.iter().map(|&index| self.files[index].as_path()).filter(|file| file.ends_with(relative));
        ends_in_it.min_by_key(|file| file.components().count())
    }

    /// The audio file with this path but any extension, as [`find`](Self::find) finds it; with `.wav` if there is none.
    pub(super) fn find_audio(&self, without_extension: &str) -> PathBuf {
        let found =
            AUDIO_EXTENSIONS.iter().find_map(|extension| self.find(&format!("{without_extension}.{extension}")));
        found.map_or_else(|| PathBuf::from(format!("{without_extension}.wav")), Path::to_owned)
    }

    /// The file that [`find`](Self::find) finds, or else the path itself, which is then reported as missing.
    pub(super) fn find_or_missing(&self, relative: &str) -> PathBuf {
        self.find(relative).map_or_else(|| PathBuf::from(relative), Path::to_owned)
    }

    /// Where a file below the root is.
    pub(super) fn absolute(&self, relative: &Path) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file below the root.
    pub(super) fn text(&self, relative: &Path) -> Result<String, ImportError> {
        let path = self.absolute(relative);
        std::fs::read_to_string(&path).map_err(|source| ImportError::Io { path, source })
    }

    /// A JSON file below the root.
    pub(super) fn json(&self, relative: &Path) -> Result<serde_json::Value, ImportError> {
        let text = self.text(relative)?;
        serde_json::from_str(&text)
            .map_err(|error| ImportError::file(&self.absolute(relative), format!("expected JSON: {error}")))
    }

    /// That the folder is not laid out as expected.
    pub(super) fn layout_error(&self, data_set: &'static str, expected: impl Into<String>) -> ImportError {
        const SHOWN: usize = 6;
        let mut names: Vec<String> = Vec::new();
        for file in &self.files {
            let name = file.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
            if let Some(name) = name
                && names.last() != Some(&name)
            {
                names.push(name);
            }
        }
        let num_names = names.len();
        names.truncate(SHOWN);
        let found = match num_names {
            0 => "an empty folder".to_owned(),
            1..=SHOWN => names.join(", "),
            _ => format!("{}, and {} more", names.join(", "), num_names - SHOWN),
        };
        ImportError::Layout { path: self.root.clone(), data_set, expected: expected.into(), found }
    }
}

/// Whether a file's extension is that of audio.
pub(super) fn is_audio(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| AUDIO_EXTENSIONS.contains(&extension.as_str()))
}

/// A file's name without its extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of the folders that a file is in, outermost first.
pub(super) fn folders_of(path: &Path) -> Vec<String> {
    let folders = path.parent().unwrap_or(Path::new("")).iter();
    folders.map(|folder| folder.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Place;
    use super::*;

    #[test]
    fn files_are_found_by_the_end_of_their_path() {
        let place = Place::new();
        for name in ["x/genres/a/1.wav", "1.wav", "x/b/1.wav", ".hidden/2.wav", "x/._3.wav", "notes.txt"] {
            place.write(name, "");
        }
        let folder = Folder::open(&place.path("")).unwrap();
        assert_eq!(folder.files().len(), 4);
        assert_eq!(folder.audio().count(), 3);
        assert_eq!(folder.find("1.wav"), Some(Path::new("1.wav")));
        assert_eq!(folder.find("a/1.wav"), Some(Path::new("x/genres/a/1.wav")));
        assert_eq!(folder.find("/1.wav"), None);
        assert_eq!(folder.find("2.wav"), None);
        assert_eq!(folder.find(""), None);
        let error = folder.layout_error("GTZAN", "genres").to_string();
        assert!(error.ends_with("does not look like GTZAN: expected genres, found 1.wav, notes.txt, x"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_skipped() {
        let place = Place::new();
        place.write("a.wav", "");
        std::os::unix::fs::symlink("absent.wav", place.path("b.wav")).unwrap();
        assert_eq!(Folder::open(&place.path("")).unwrap().files(), [PathBuf::from("a.wav")]);
    }

    #[test]
    fn a_file_is_no_folder() {
        let place = Place::new();
        let file = place.write("a", "");
        assert!(matches!(Folder::open(&file), Err(ImportError::Io { .. })));
    }
}
