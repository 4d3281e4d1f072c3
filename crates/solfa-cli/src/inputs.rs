//! From what was typed as inputs to a list of recordings.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use globset::GlobBuilder;
use walkdir::WalkDir;

/// Extensions that are looked for in folders. A file that is named is tried whatever its extension.
const AUDIO_EXTENSIONS: [&str; 24] = [
    "wav", "wave", "bwf", "aif", "aiff", "aifc", "flac", "mp3", "mp2", "ogg", "oga", "opus", "m4a", "m4b", "aac",
    "alac", "caf", "wma", "mp4", "mka", "mkv", "mov", "webm", "avi",
];

/// Names that the column or field of a path has in a manifest.
pub(crate) const PATH_FIELDS: [&str; 2] = ["path", "audio_path"];

/// Characters that make a path a pattern.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// What some editors put before the first line of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A recording to be read, and its place in a folder of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    /// Where it is read, as it was given.
    pub(crate) path: PathBuf,
    /// Its path below what was given, with neither root nor `..`.
    pub(crate) relative: PathBuf,
}

/// An input that gives no recording.
#[derive(Debug)]
pub(crate) struct FailedInput {
    pub(crate) path: String,
    pub(crate) error: anyhow::Error,
}

/// All recordings, in the order given, those of folders and patterns sorted; each path once.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) recordings: Vec<Recording>,
    pub(crate) failed: Vec<FailedInput>,
}

impl Inputs {
    /// Reads every input. `standard_input` is what `-` reads.
    pub(crate) fn collect(arguments: &[OsString], standard_input: impl BufRead) -> Self {
        let mut inputs = Self::default();
        let mut standard_input = Some(standard_input);
        // The recordings of one folder stand directly in the folder of outputs; those of several stand each below its
        // folder's name, so that `disc1/01.wav` and `disc2/01.wav` do not meet.
        let has_several_folders = arguments.iter().filter(|argument| Path::new(argument).is_dir()).count() > 1;
        for argument in arguments {
            let num_before = inputs.recordings.len();
            let found = if argument == "-" {
                match standard_input.take() {
                    Some(lines) => inputs.add_lines(lines, None),
                    None => Err(anyhow!("standard input was given twice")),
                }
            } else {
                inputs.add(argument)
            };
            if let Err(error) = found {
                inputs.failed.push(FailedInput { path: argument.to_string_lossy().into_owned(), error });
            }
            if has_several_folders && Path::new(argument).is_dir() {
                let whole = Path::new(argument).canonicalize().unwrap_or_else(|_| PathBuf::from(argument));
                let name = below_root(Path::new(file_name(&whole)));
                for recording in &mut inputs.recordings[num_before..] {
                    recording.relative = name.join(&recording.relative);
                }
            }
        }
        let mut seen = HashSet::new();
        inputs.recordings.retain(|recording| seen.insert(recording.path.clone()));
        inputs
    }

    /// The output of every recording below a folder: its relative path with the extension replaced, or, where two
    /// recordings would share one, with the extension added.
    ///
    /// # Errors
    /// Recordings that would share an output even so.
    pub(crate) fn mirrored(&self, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
        let mut sharers: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for recording in &self.recordings {
            *sharers.entry(recording.relative.with_extension(extension)).or_default() += 1;
        }
        let outputs: Vec<PathBuf> = self
            .recordings
            .iter()
            .map(|Recording { relative, .. }| {
                let replaced = relative.with_extension(extension);
                if sharers[&replaced] == 1 {
                    return replaced;
                }
                let mut name = relative.clone().into_os_string();
                name.push(".");
                name.push(extension);
                name.into()
            })
            .collect();
        let mut first: BTreeMap<&Path, &Path> = BTreeMap::new();
        for (output, recording) in outputs.iter().zip(&self.recordings) {
            if let Some(other) = first.insert(output, &recording.path) {
                bail!(
                    "{} and {} would both be written to {}: give them in two runs with different --output",
                    other.display(),
                    recording.path.display(),
                    output.display()
                );
            }
        }
        Ok(outputs)
    }

    fn add(&mut self, argument: &OsStr) -> anyhow::Result<()> {
        let path = Path::new(argument);
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        match (path.metadata(), extension.as_deref(), argument.to_str()) {
            (Ok(metadata), ..) if metadata.is_dir() => self.add_folder(path),
            (Ok(_), Some("txt"), _) => self.add_lines(BufReader::new(open(path)?), Some(path)),
            (Ok(_), Some("csv"), _) => self.add_csv(path),
            (Ok(_), Some("jsonl"), _) => self.add_jsonl(path),
            (Ok(_), ..) => {
                let relative = below_root(Path::new(file_name(path)));
                self.recordings.push(Recording { path: path.to_owned(), relative });
                Ok(())
            }
            (Err(_), _, Some(text)) if text.contains(WILDCARDS) => self.add_pattern(text),
            (Err(error), ..) => Err(error).context("cannot be read"),
        }
    }

    /// Every audio file below a folder.
    fn add_folder(&mut self, root: &Path) -> anyhow::Result<()> {
        let found = self.add_walk(WalkDir::new(root), root, is_audio);
        ensure!(found, "the folder holds no audio: expected files such as .wav, .flac, .mp3 or .ogg");
        Ok(())
    }

    /// Every audio file that a glob pattern matches, for shells that do not expand them and patterns that were quoted.
    fn add_pattern(&mut self, text: &str) -> anyhow::Result<()> {
        let matcher = GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher();
        // Everything before the first part with a wildcard is a folder to start from.
        let is_fixed = |part: &Component| !part.as_os_str().to_string_lossy().contains(WILDCARDS);
        let root: PathBuf = Path::new(text).components().take_while(is_fixed).collect();
        let start = if root.as_os_str().is_empty() { Path::new(".") } else { &root };
        let mut walk = WalkDir::new(start);
        if !text.contains("**") {
            walk = walk.max_depth(Path::new(text).components().skip_while(is_fixed).count());
        }
        let found = self.add_walk(walk, &root, |path| is_audio(path) && matcher.is_match(path));
        ensure!(found, "no audio file matches the pattern");
        Ok(())
    }

    /// Every file of a walk that is wanted; and what cannot be read, as failures of their own. Says whether there was
    /// anything.
    fn add_walk(&mut self, walk: WalkDir, root: &Path, is_wanted: impl Fn(&Path) -> bool) -> bool {
        let before = self.recordings.len() + self.failed.len();
        // A walk of the current folder calls its files `./a.wav`, a pattern `a.wav`.
        let as_given = |path: &Path| {
            let is_current = root.as_os_str().is_empty();
            if is_current { path.strip_prefix(".").unwrap_or(path).to_owned() } else { path.to_owned() }
        };
        for entry in walk.follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) => {
                    let path = as_given(entry.path());
                    if entry.file_type().is_file() && is_wanted(&path) {
                        let relative = below_root(path.strip_prefix(root).unwrap_or(&path));
                        self.recordings.push(Recording { path, relative });
                    }
                }
                Err(error) => {
                    let path = as_given(error.path().unwrap_or(root));
                    // A link that leads back to a folder above it leads to nothing new.
                    let Some(error) = error.io_error() else { continue };
                    if error.kind() == io::ErrorKind::NotFound && !is_wanted(&path) {
                        continue;
                    }
                    let reason = anyhow!("cannot be read: {error}");
                    self.failed.push(FailedInput { path: path.to_string_lossy().into_owned(), error: reason });
                }
            }
        }
        self.recordings.len() + self.failed.len() > before
    }

    /// A list of one path a line; empty lines are left out, and in a manifest those that start with `#`.
    fn add_lines(&mut self, mut lines: impl BufRead, manifest: Option<&Path>) -> anyhow::Result<()> {
        let mut listed = Vec::new();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("cannot be read")? > 0 {
            let text = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| listed.is_empty()).unwrap_or(&line);
            let text = without_line_end(text);
            ensure!(!text.contains(&0), "it is not a list of paths: it holds bytes that are no text");
            let is_comment = manifest.is_some() && text.starts_with(b"#");
            if !text.trim_ascii().is_empty() && !is_comment {
                listed.push(recording_of(path_of_bytes(text)?, manifest));
            }
            line.clear();
        }
        self.add_listed(listed)
    }

    fn add_csv(&mut self, manifest: &Path) -> anyhow::Result<()> {
        let mut reader = csv::Reader::from_reader(open(manifest)?);
        let header = reader.headers().context("it is not a CSV table")?.clone();
        let column = PATH_FIELDS.iter().find_map(|field| header.iter().position(|name| name.trim() == *field));
        let Some(column) = column else {
            let found = header.iter().collect::<Vec<_>>().join(", ");
            bail!("expected a column `path` or `audio_path`, found {found}");
        };
        let mut listed = Vec::new();
        for record in reader.records() {
            let record = record.context("it is not a CSV table")?;
            let line = record.position().map_or(0, csv::Position::line);
            let path = record.get(column).filter(|path| !path.is_empty());
            let path = path.with_context(|| format!("line {line} has an empty `{}`", &header[column]))?;
            listed.push(recording_of(PathBuf::from(path), Some(manifest)));
        }
        self.add_listed(listed)
    }

    fn add_jsonl(&mut self, manifest: &Path) -> anyhow::Result<()> {
        let mut listed = Vec::new();
        for (number, line) in BufReader::new(open(manifest)?).lines().enumerate() {
            let line = line.context("it is not a list of JSON objects")?;
            let line = line.strip_prefix('\u{feff}').unwrap_or(&line).trim();
            if line.is_empty() {
                continue;
            }
            let row: serde_json::Value =
                serde_json::from_str(line).with_context(|| format!("line {} is not a JSON object", number + 1))?;
            let path = PATH_FIELDS.iter().find_map(|field| row.get(field)?.as_str().filter(|path| !path.is_empty()));
            let path = path.with_context(|| format!("line {} has no text field `path` or `audio_path`", number + 1))?;
            listed.push(recording_of(PathBuf::from(path), Some(manifest)));
        }
        self.add_listed(listed)
    }

    fn add_listed(&mut self, listed: Vec<Recording>) -> anyhow::Result<()> {
        ensure!(!listed.is_empty(), "it lists no path");
        self.recordings.extend(listed);
        Ok(())
    }
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

fn is_audio(path: &Path) -> bool {
    let is_hidden = file_name(path).to_string_lossy().starts_with('.');
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    !is_hidden && extension.is_some_and(|extension| AUDIO_EXTENSIONS.contains(&extension.as_str()))
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).context("cannot be read")
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(unix)]
fn path_of_bytes(bytes: &[u8]) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of_bytes(bytes: &[u8]) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(std::str::from_utf8(bytes).context("it is not a list of paths")?))
}

/// A path of a list: as it stands where that exists, else below the folder of its manifest.
pub(crate) fn recording_of(path: PathBuf, manifest: Option<&Path>) -> Recording {
    let relative = below_root(&path);
    let beside = manifest.and_then(Path::parent).map(|folder| folder.join(&path));
    match beside {
        Some(beside) if !path.exists() && beside.exists() => Recording { path: beside, relative },
        _ => Recording { path, relative },
    }
}

/// The parts of a path that lead downwards.
fn below_root(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// A file of text, such as a list of labels, without the mark of byte order that some programs put before it.
///
/// # Errors
/// A file that cannot be read, or is not in UTF-8.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        anyhow!("{}: expected text in UTF-8, found another byte at position {position}", path.display())
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn collect(arguments: &[&str], standard_input: &str) -> Inputs {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Inputs::collect(&arguments, standard_input.as_bytes())
    }

    fn relative(inputs: &Inputs) -> Vec<&str> {
        inputs.recordings.iter().map(|recording| recording.relative.to_str().unwrap()).collect()
    }

    #[test]
    fn folders_are_searched_in_order_and_only_for_audio() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["b.WAV", "a/2.mp3", "a/1.flac", "a/cover.jpg", ".hidden.wav", "notes.txt"]);
        let inputs = collect(&[folder.path().to_str().unwrap()], "");
        assert_eq!(relative(&inputs), ["a/1.flac", "a/2.mp3", "b.WAV"]);
        assert!(inputs.failed.is_empty());
    }

    #[test]
    fn several_folders_stand_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["disc1/01.wav", "disc2/01.wav"]);
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let inputs = collect(&[&path("disc1"), &path("disc2")], "");
        assert_eq!(relative(&inputs), ["disc1/01.wav", "disc2/01.wav"]);
        assert_eq!(relative(&collect(&[&path("disc1")], "")), ["01.wav"]);
    }

    #[test]
    fn patterns_match_from_their_folder_on() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["x/1.wav", "x/y/2.wav", "x/3.mp3"]);
        let all = collect(&[&format!("{}/x/**/*.wav", folder.path().display())], "");
        assert_eq!(relative(&all), ["1.wav", "y/2.wav"]);
        let one = collect(&[&format!("{}/x/*.wav", folder.path().display())], "");
        assert_eq!(relative(&one), ["1.wav"]);
    }

    #[test]
    fn manifests_and_standard_input_list_paths() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["music/1.wav", "music/2.wav"]);
        let manifest = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let expected = ["music/1.wav", "music/2.wav"];
        let txt = manifest("list.txt", "# a comment\nmusic/1.wav\r\n\nmusic/2.wav\n");
        let csv = manifest("list.csv", "title,path\n\"a, b\",music/1.wav\nc,music/2.wav\n");
        let jsonl = manifest("list.jsonl", "{\"audio_path\": \"music/1.wav\"}\n{\"path\": \"music/2.wav\"}\n");
        for list in [txt, csv, jsonl] {
            let inputs = collect(&[&list], "");
            assert_eq!(relative(&inputs), expected, "{list}");
            assert!(inputs.recordings.iter().all(|recording| recording.path.exists()), "{list}");
        }
        assert_eq!(relative(&collect(&["-"], "music/1.wav\nmusic/2.wav\nmusic/1.wav\n")), expected);
    }

    #[test]
    fn what_gives_no_recording_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["empty/readme.md", "a.wav"]);
        fs::write(folder.path().join("list.csv"), "title,file\na,b\n").unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let inputs =
            collect(&[&path("empty"), &path("absent.wav"), &path("list.csv"), &path("*.mp3"), &path("a.wav")], "");
        assert_eq!(relative(&inputs), ["a.wav"]);
        let messages: Vec<String> = inputs.failed.iter().map(|failed| format!("{:#}", failed.error)).collect();
        assert_eq!(messages.len(), 4);
        assert!(messages[0].contains("no audio"), "{messages:?}");
        assert!(messages[1].contains("No such file"), "{messages:?}");
        assert!(messages[2].contains("found title, file"), "{messages:?}");
        assert!(messages[3].contains("matches"), "{messages:?}");
    }

    #[test]
    fn outputs_mirror_inputs_and_never_share_a_name() {
        let recording = |path: &str| Recording { path: path.into(), relative: below_root(Path::new(path)) };
        let inputs = |paths: &[&str]| Inputs {
            recordings: paths.iter().map(|path| recording(path)).collect(),
            failed: Vec::new(),
        };
        let outputs = inputs(&["a/1.wav", "a/1.mp3", "../b/2.flac"]).mirrored("npy").unwrap();
        assert_eq!(outputs, ["a/1.wav.npy", "a/1.mp3.npy", "b/2.npy"].map(PathBuf::from));
        assert!(inputs(&["/a/1.wav", "a/1.wav"]).mirrored("npy").is_err());
    }
}
