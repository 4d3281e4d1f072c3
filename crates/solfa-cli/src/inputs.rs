//! From what was typed as inputs to a list of recordings.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use fs_err as fs;
use globset::GlobBuilder;
use walkdir::WalkDir;

/// Extensions that are looked for in folders. A file that is named is tried whatever its extension.
const AUDIO_EXTENSIONS: [&str; 24] = [
    "wav", "wave", "bwf", "aif", "aiff", "aifc", "flac", "mp3", "mp2", "ogg", "oga", "opus", "m4a", "m4b", "aac",
    "alac", "caf", "wma", "mp4", "mka", "mkv", "mov", "webm", "avi",
];

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
    pub(crate) fn collect(arguments: &[String], standard_input: impl BufRead) -> Self {
        let mut inputs = Self::default();
        let mut standard_input = Some(standard_input);
        for argument in arguments {
            let found = match argument.as_str() {
                "-" => match standard_input.take() {
                    Some(lines) => paths_of_lines(lines, None),
                    None => Err(anyhow::anyhow!("standard input was given twice")),
                },
                argument => expand(argument),
            };
            match found {
                Ok(recordings) => inputs.recordings.extend(recordings),
                Err(error) => inputs.failed.push(FailedInput { path: argument.clone(), error }),
            }
        }
        let mut seen = std::collections::HashSet::new();
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
}

fn expand(argument: &str) -> anyhow::Result<Vec<Recording>> {
    let path = Path::new(argument);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => folder(path),
        Ok(_) => {
            match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
                Some("txt") => paths_of_lines(std::io::BufReader::new(fs::File::open(path)?), Some(path)),
                Some("csv") => paths_of_csv(path),
                Some("jsonl") => paths_of_jsonl(path),
                _ => Ok(vec![Recording { path: path.to_owned(), relative: below_root(Path::new(file_name(path))) }]),
            }
        }
        Err(_) if argument.contains(['*', '?', '[', '{']) => pattern(argument),
        Err(error) => Err(error).context("it cannot be read"),
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

/// Every audio file below a folder.
fn folder(root: &Path) -> anyhow::Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() && is_audio(entry.path()) {
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            recordings.push(Recording { path: entry.path().to_owned(), relative: below_root(relative) });
        }
    }
    if recordings.is_empty() {
        bail!("the folder holds no audio: expected files such as .wav, .flac, .mp3 or .ogg");
    }
    Ok(recordings)
}

/// Every audio file that a glob pattern matches, for shells that do not expand them and patterns that were quoted.
fn pattern(text: &str) -> anyhow::Result<Vec<Recording>> {
    let matcher = GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher();
    // Everything before the first part with a wildcard is a folder to start from.
    let root: PathBuf = Path::new(text)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let start = if root.as_os_str().is_empty() { Path::new(".") } else { &root };
    let mut recordings = Vec::new();
    for entry in WalkDir::new(start).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        let path = if root.as_os_str().is_empty() {
            entry.path().strip_prefix(".").unwrap_or(entry.path())
        } else {
            entry.path()
        };
        if entry.file_type().is_file() && is_audio(path) && matcher.is_match(path) {
            let relative = path.strip_prefix(&root).unwrap_or(path);
            recordings.push(Recording { path: path.to_owned(), relative: below_root(relative) });
        }
    }
    if recordings.is_empty() {
        bail!("no audio file matches the pattern");
    }
    Ok(recordings)
}

/// A manifest of one path a line; empty lines and lines that start with `#` are left out.
fn paths_of_lines(lines: impl BufRead, manifest: Option<&Path>) -> anyhow::Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    for line in lines.lines() {
        let line = line.context("it is not a list of paths")?;
        let line = line.trim_end_matches('\r');
        if !line.trim().is_empty() && !line.starts_with('#') {
            recordings.push(listed(line, manifest));
        }
    }
    if recordings.is_empty() {
        bail!("it lists no path");
    }
    Ok(recordings)
}

/// Names that the column or field of a path has.
const PATH_FIELDS: [&str; 2] = ["path", "audio_path"];

fn paths_of_csv(manifest: &Path) -> anyhow::Result<Vec<Recording>> {
    let mut reader = csv::Reader::from_reader(fs::File::open(manifest)?);
    let header = reader.headers().context("it is not a CSV table")?.clone();
    let column = PATH_FIELDS.iter().find_map(|field| header.iter().position(|name| name.trim() == *field));
    let Some(column) = column else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        bail!("expected a column `path` or `audio_path`, found {found}");
    };
    let mut recordings = Vec::new();
    for record in reader.records() {
        let record = record.context("it is not a CSV table")?;
        recordings.push(listed(record.get(column).unwrap_or_default(), Some(manifest)));
    }
    if recordings.is_empty() {
        bail!("it lists no path");
    }
    Ok(recordings)
}

fn paths_of_jsonl(manifest: &Path) -> anyhow::Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    for (number, line) in std::io::BufReader::new(fs::File::open(manifest)?).lines().enumerate() {
        let line = line.context("it is not a list of JSON objects")?;
        if line.trim().is_empty() {
            continue;
        }
        let row: serde_json::Value =
            serde_json::from_str(&line).with_context(|| format!("line {} is not a JSON object", number + 1))?;
        let path = PATH_FIELDS.iter().find_map(|field| row.get(field)?.as_str());
        let path = path.with_context(|| format!("line {} has no text field `path` or `audio_path`", number + 1))?;
        recordings.push(listed(path, Some(manifest)));
    }
    if recordings.is_empty() {
        bail!("it lists no path");
    }
    Ok(recordings)
}

/// A path of a list: as it stands where that exists, else below the folder of its manifest.
fn listed(text: &str, manifest: Option<&Path>) -> Recording {
    let path = PathBuf::from(text);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn collect(arguments: &[&str], standard_input: &str) -> Inputs {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
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
