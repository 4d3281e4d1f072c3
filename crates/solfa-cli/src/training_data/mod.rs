//! From what was typed after `--data` to tracks that can be learned from.
//!
//! | typed | what |
//! |---|---|
//! | a folder | every audio file below it |
//! | a file of audio | that file |
//! | a manifest: `.txt`, `.csv`, `.jsonl` | every recording that it lists, whatever split it is in |
//! | a folder that `solfa data pack` wrote | its tracks |
//! | `synth:` with or without settings | pieces that are composed and rendered when they are asked for |

mod synth;
mod texts;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use solfa_learn::data::{AudioFile, Collection, FileTracks, PackedTracks, TrackSource};
use solfa_learn::recipe::TrackTexts;
use solfa_signal::audio::Resampler;

use crate::inputs::{FailedInput, Inputs};
use crate::terminal::{Counter, UsageError, note_some};
use synth::SynthTracks;

/// What `synth:` begins with, and what no folder is called.
const SYNTH: &str = "synth:";

/// Files that a folder needs to be a packed store.
const PACKED: [&str; 2] = ["index.json", "samples.i16"];

/// Tracks, before any of them was opened.
pub(crate) struct FoundTracks {
    /// The tracks.
    pub(crate) source: Arc<dyn TrackSource>,
    /// The files that they are read from, in their order; none of a packed store or of what is composed.
    paths: Vec<PathBuf>,
    /// What they are, for people.
    pub(crate) description: String,
    /// Folders and files that could not be looked into.
    pub(crate) failed: Vec<FailedInput>,
    /// Whether they are a packed store already.
    pub(crate) is_packed: bool,
}

/// Tracks with their lengths.
pub(crate) struct TrainingData {
    /// The tracks and their lengths.
    pub(crate) collection: Collection,
    /// What is said of each; empty where nobody asked, or where nothing is known.
    pub(crate) texts: Vec<TrackTexts>,
    /// What they are, for people.
    pub(crate) description: String,
}

/// What is said of tracks, in their order: a manifest's columns, or what the composer knows. Nothing for other data.
///
/// # Errors
/// A manifest that cannot be read, or says something that is no text.
fn texts_of(data: &str, source: &FoundTracks, sample_rate: u32) -> anyhow::Result<Vec<TrackTexts>> {
    if let Some(settings) = data.strip_prefix(SYNTH) {
        return SynthTracks::parse(settings, sample_rate)?.texts();
    }
    let mut of_paths = if Path::new(data).is_file() { texts::of_manifest(Path::new(data))? } else { HashMap::new() };
    Ok(source.paths.iter().map(|path| of_paths.remove(path).unwrap_or_default()).collect())
}

/// Finds what to learn from, and reads how long every track is; and what is said of each, where `with_texts`. Damaged files are listed on standard error, and left out.
///
/// # Errors
/// A [`UsageError`] for settings of `synth:` that cannot be; an input that is not there; nothing that can be read.
pub(crate) fn open(
    data: &str,
    sample_rate: u32,
    resampler: Resampler,
    with_texts: bool,
) -> anyhow::Result<TrainingData> {
    let found = find(data, sample_rate, resampler)?;
    let texts = if with_texts { texts_of(data, &found, sample_rate)? } else { Vec::new() };
    let FoundTracks { source, description, failed, .. } = found;
    let counter = Counter::new("tracks looked at");
    counter.expect(source.len());
    let surveyed = Collection::survey_with(source, &|| counter.one_done());
    counter.finish();
    let collection = surveyed.with_context(|| format!("--data {data}"))?;
    let unreadable: Vec<(String, String)> =
        collection.unreadable().into_iter().map(|track| (track.name, track.reason)).collect();
    note_skipped(&failed, &unreadable);
    let used = collection.len() - unreadable.len();
    let skipped = match unreadable.len() + failed.len() {
        0 => String::new(),
        skipped => format!("; {skipped} skipped"),
    };
    let description = format!("{description}: {used} tracks, {}{skipped}", duration(collection.seconds()));
    Ok(TrainingData { collection, texts, description })
}

/// Finds what to learn from without opening a track.
///
/// # Errors
/// A [`UsageError`] for settings of `synth:` that cannot be; an input that is not there; a folder without audio; a packed
/// store that is damaged or has another rate.
pub(crate) fn find(data: &str, sample_rate: u32, resampler: Resampler) -> anyhow::Result<FoundTracks> {
    if let Some(settings) = data.strip_prefix(SYNTH) {
        let tracks = SynthTracks::parse(settings, sample_rate)?;
        let description = tracks.description();
        let (source, paths) = (Arc::new(tracks), Vec::new());
        return Ok(FoundTracks { source, paths, description, failed: Vec::new(), is_packed: false });
    }
    let path = Path::new(data);
    if PACKED.iter().all(|name| path.join(name).is_file()) {
        return packed(path, sample_rate);
    }
    let inputs = Inputs::collect(&[OsString::from(data)], io::empty());
    let Inputs { recordings, mut failed } = inputs;
    if recordings.is_empty() {
        let reason = match failed.pop() {
            Some(FailedInput { path, error }) => error.context(path),
            None => anyhow!("{data}: there is no recording"),
        };
        let expected = "expected a folder with audio, an audio file, a manifest (.txt, .csv or .jsonl with `path` or \
                        `audio_path`), a folder of `solfa data pack`, or `synth:`";
        return Err(reason.context(format!("nothing to learn from; {expected}")));
    }
    let paths = recordings.iter().map(|recording| recording.path.clone()).collect();
    let files: Vec<AudioFile> = recordings
        .into_iter()
        .map(|recording| AudioFile { name: slashed(&recording.relative), path: recording.path })
        .collect();
    let description = data.to_owned();
    let source = Arc::new(FileTracks::new(files, sample_rate, resampler));
    Ok(FoundTracks { source, paths, description, failed, is_packed: false })
}

fn packed(folder: &Path, sample_rate: u32) -> anyhow::Result<FoundTracks> {
    let tracks = PackedTracks::open(folder)?;
    let found = tracks.sample_rate();
    if found != sample_rate {
        let folder = folder.display();
        return Err(UsageError(format!(
            "{folder}: packed at {found} Hz, and {sample_rate} Hz are needed: pack the recordings again with \
             `solfa data pack --rate {sample_rate}`"
        ))
        .into());
    }
    let description = format!("{} (packed)", folder.display());
    let (source, paths) = (Arc::new(tracks), Vec::new());
    Ok(FoundTracks { source, paths, description, failed: Vec::new(), is_packed: true })
}

/// Lists what is left out, with the reasons.
pub(crate) fn note_skipped(failed: &[FailedInput], unreadable: &[(String, String)]) {
    note_some(
        "inputs that cannot be looked into",
        failed.iter().map(|input| format!("{}: {:#}", input.path, input.error)),
    );
    let named = |(name, reason): &(String, String)| {
        if reason.contains(name.as_str()) { reason.clone() } else { format!("{name}: {reason}") }
    };
    note_some("tracks that cannot be read, and are left out", unreadable.iter().map(named));
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds if seconds < 7200.0 => format!("{:.1} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A relative path with slashes on every system: names go into the hash of the data.
fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio")
    }

    fn opened(data: &str) -> anyhow::Result<TrainingData> {
        open(data, 24_000, Resampler::SincHann, false)
    }

    fn names(data: &TrainingData) -> Vec<String> {
        (0..data.collection.len()).map(|track| data.collection.source().name(track)).collect()
    }

    fn error(data: &str) -> String {
        format!("{:#}", opened(data).err().unwrap())
    }

    #[test]
    fn a_folder_and_a_manifest_of_its_files_are_the_same_data() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rainy.wav", "shrine.ogg"] {
            fs_err::create_dir_all(folder.path().join("music/deep")).unwrap();
            fs_err::copy(fixtures().join(name), folder.path().join("music/deep").join(name)).unwrap();
        }
        let music = folder.path().join("music");
        let of_folder = opened(music.to_str().unwrap()).unwrap();
        assert_eq!(names(&of_folder), ["deep/rainy.wav", "deep/shrine.ogg"]);
        assert!(of_folder.description.ends_with("music: 2 tracks, 16.0 s"), "{}", of_folder.description);
        for (name, text) in [
            ("list.txt", "deep/rainy.wav\ndeep/shrine.ogg\n"),
            (
                "set.jsonl",
                "{\"audio_path\": \"deep/rainy.wav\", \"split\": \"test\"}\n{\"path\": \"deep/shrine.ogg\"}\n",
            ),
            ("table.csv", "n,path\n1,deep/rainy.wav\n2,deep/shrine.ogg\n"),
        ] {
            let path = music.join(name);
            fs_err::write(&path, text).unwrap();
            let listed = opened(path.to_str().unwrap()).unwrap();
            assert_eq!(listed.collection.data_sha256(), of_folder.collection.data_sha256(), "{name}");
        }
        let one = opened(music.join("deep/rainy.wav").to_str().unwrap()).unwrap();
        assert_eq!(names(&one), ["rainy.wav"]);
    }

    #[test]
    fn a_packed_store_is_its_tracks_at_its_own_rate() {
        let folder = tempfile::tempdir().unwrap();
        let found = find(fixtures().join("rainy.wav").to_str().unwrap(), 16_000, Resampler::Fast).unwrap();
        solfa_learn::data::pack(found.source.as_ref(), folder.path(), &|_, _| {}).unwrap();
        let store = folder.path().to_str().unwrap();
        let data = open(store, 16_000, Resampler::Fast, true).unwrap();
        assert_eq!(names(&data), ["rainy.wav"]);
        assert!(data.texts.is_empty(), "a store has no words");
        assert!(error(store).contains("packed at 16000 Hz, and 24000 Hz are needed"));
    }

    #[test]
    fn words_come_with_the_tracks_that_they_are_about() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rainy.wav", "shrine.ogg"] {
            fs_err::copy(fixtures().join(name), folder.path().join(name)).unwrap();
        }
        let manifest = folder.path().join("set.jsonl");
        let rows =
            "{\"path\": \"shrine.ogg\", \"tags\": [\"calm\"]}\n{\"path\": \"rainy.wav\", \"caption\": \"Rain.\"}\n";
        fs_err::write(&manifest, rows).unwrap();
        let data = open(manifest.to_str().unwrap(), 24_000, Resampler::SincHann, true).unwrap();
        assert_eq!(names(&data), ["shrine.ogg", "rainy.wav"]);
        assert_eq!((data.texts[0].tags[0].as_str(), data.texts[1].captions[0].as_str()), ("calm", "Rain."));
        let nobody_asked = opened(manifest.to_str().unwrap()).unwrap();
        assert!(nobody_asked.texts.is_empty());
        let composed = open("synth:tracks=2,seconds=8", 24_000, Resampler::SincHann, true).unwrap();
        assert_eq!(composed.texts.len(), 2);
        let folder = open(folder.path().to_str().unwrap(), 24_000, Resampler::SincHann, true).unwrap();
        assert!(folder.texts.iter().all(TrackTexts::is_empty));
    }

    #[test]
    fn damaged_files_are_counted_and_what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let empty = error(&path);
        assert!(empty.contains("nothing to learn from") && empty.contains("the folder holds no audio"), "{empty}");
        assert!(empty.contains(".wav, .flac"), "{empty}");
        fs_err::write(folder.path().join("b.wav"), "no sound").unwrap();
        assert!(error(&path).contains("none of 1 tracks can be read"), "{}", error(&path));
        fs_err::copy(fixtures().join("rainy.wav"), folder.path().join("a.wav")).unwrap();
        let data = opened(&path).unwrap();
        assert!(data.description.ends_with(": 1 tracks, 8.0 s; 1 skipped"), "{}", data.description);
        assert_eq!(data.collection.len(), 2);
        assert!(error("/no/such/place").contains("/no/such/place"));
    }

    #[test]
    fn generated_tracks_are_opened_without_rendering() {
        let data = opened("synth:tracks=100000,seconds=30,seed=1").unwrap();
        assert_eq!((data.collection.len(), data.collection.num_samples(99_999)), (100_000, Some(720_000)));
        assert!(data.description.contains("seed 1"), "{}", data.description);
        let hash = |text: &str| opened(text).unwrap().collection.data_sha256();
        assert_eq!(hash("synth:tracks=3,seed=5"), hash("synth:seed=5,tracks=3,seconds=30"));
        assert_ne!(hash("synth:tracks=3,seed=5"), hash("synth:tracks=3,seed=6"));
    }
}
