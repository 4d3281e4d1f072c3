use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use solfa_signal::audio::{Resampler, Waveform};

use super::*;
use crate::data::files::tests::recordings;
use crate::data::{AudioFile, Collection, DataError, FileTracks, TrackSource};

fn files(files: Vec<AudioFile>) -> FileTracks {
    FileTracks::new(files, 24_000, Resampler::SincHann)
}

/// The recordings, and a file that is no sound among them.
fn with_a_ruin(folder: &Path) -> FileTracks {
    let path = folder.join("text.wav");
    fs::write(&path, "this is no sound").unwrap();
    let mut all = recordings();
    all.insert(2, AudioFile { name: "text.wav".into(), path });
    files(all)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_store_holds_the_tracks_to_half_a_step_and_says_what_it_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = with_a_ruin(folder.path());
    let store = folder.path().join("store");
    let calls = AtomicUsize::new(0);
    let report = pack(&source, &store, &|done, _seconds| {
        assert_eq!(calls.fetch_add(1, Ordering::Relaxed) + 1, done);
    })
    .unwrap();
    assert_eq!((report.num_tracks, report.num_resumed, report.skipped.len()), (4, 0, 1));
    assert_eq!((report.skipped[0].track, report.skipped[0].name.as_str()), (2, "text.wav"));
    assert_eq!(names(&store), ["index.json", "samples.i16"]);
    let packed = PackedTracks::open(&store).unwrap();
    packed.verify().unwrap();
    assert_eq!(
        (packed.len(), packed.sample_rate(), packed.resampler_name().as_deref()),
        (4, 24_000, Some("sinc-hann"))
    );
    let direct = files(recordings());
    for track in 0..4 {
        assert_eq!(packed.name(track), direct.name(track));
        assert_eq!(packed.known_sha256(track), direct.sha256(track).unwrap());
        let length = packed.num_samples(track).unwrap();
        assert_eq!(length, direct.num_samples(track).unwrap());
        for (start, count) in [(0, 1_000), (length / 2 + 1, 4_321), (length - 5, 5), (length, 0)] {
            let (found, expected) =
                (packed.read(track, start, count).unwrap(), direct.read(track, start, count).unwrap());
            assert_eq!(found.num_samples(), count);
            for (found, expected) in found.samples().iter().zip(expected.samples()) {
                let expected = expected.clamp(-1.0, 32_767.0 / 32_768.0);
                assert!((found - expected).abs() <= 0.5 / 32_768.0, "{found} {expected}");
            }
        }
        let error = packed.read(track, length - 5, 6).unwrap_err();
        assert!(matches!(error, DataError::TooShort { found: 5, expected: 6, .. }), "{error}");
        assert!(packed.read(track, length + 10, 1).is_err());
    }
    assert!(matches!(pack(&source, &store, &|_, _| {}).unwrap_err(), DataError::Exists { .. }));
}

#[test]
fn sixteen_bit_recordings_at_their_own_rate_are_stored_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let file = recordings().swap_remove(2);
    let rate = solfa_signal::audio::read(&file.path).unwrap().sample_rate();
    let source = FileTracks::new(vec![file], rate, Resampler::SincHann);
    let report = pack(&source, folder.path(), &|_, _| {}).unwrap();
    let packed = PackedTracks::open(folder.path()).unwrap();
    let length = packed.num_samples(0).unwrap() as usize;
    assert_eq!((report.clipped_samples, report.num_tracks), (0, 1));
    assert!(packed.read(0, 0, length).unwrap() == source.read(0, 0, length).unwrap());
}

/// Two tracks at 10 Hz; a panic is what a killed process looks like from here.
struct Interrupted {
    killed_at: Option<usize>,
    names: [&'static str; 3],
}

impl TrackSource for Interrupted {
    fn sample_rate(&self) -> u32 {
        10
    }

    fn len(&self) -> usize {
        3
    }

    fn name(&self, track: usize) -> String {
        self.names[track].to_owned()
    }

    fn num_samples(&self, track: usize) -> Result<u64, DataError> {
        Ok(5 + track as u64)
    }

    fn read(&self, track: usize, _start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        assert!(self.killed_at.is_none_or(|killed| track < killed), "killed");
        Ok(Waveform::new(vec![0.25 * (track as f32 - 1.0) * 5.0; num_samples], 10))
    }
}

const NAMES: [&str; 3] = ["one", "two", "three"];

/// What the files of a store hold.
fn contents(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    (fs::read(folder.join(INDEX)).unwrap(), fs::read(folder.join(SAMPLES)).unwrap())
}

/// A store that was interrupted after two tracks.
fn interrupted(folder: &Path) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let source = Interrupted { killed_at: Some(2), names: NAMES };
    let killed =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(|| pack(&source, folder, &|_, _| {}))));
    assert!(killed.is_err());
}

#[test]
fn an_interrupted_run_is_taken_up_and_gives_the_same_store() {
    let whole = tempfile::tempdir().unwrap();
    let source = Interrupted { killed_at: None, names: NAMES };
    let report = pack(&source, whole.path(), &|_, _| {}).unwrap();
    assert_eq!((report.num_resumed, report.clipped_samples), (0, 12), "1.25 is beyond full scale");
    type Damage = fn(&Path);
    let damages: [(&str, usize, Damage); 5] = [
        ("as it was left", 2, |_| {}),
        ("samples without a line", 2, |folder| append(&folder.join(".samples.i16.partial"), &[1, 2, 3])),
        ("half a line", 2, |folder| append(&folder.join(".journal.jsonl.partial"), b"{\"packed\": {\"na")),
        ("samples that were lost", 1, |folder| cut(&folder.join(".samples.i16.partial"), 15)),
        ("a journal without a head", 0, |folder| cut(&folder.join(".journal.jsonl.partial"), 10)),
    ];
    for (what, num_resumed, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        interrupted(folder.path());
        assert!(PackedTracks::open(folder.path()).is_err(), "a store in the making is no store");
        damage(folder.path());
        let report = pack(&source, folder.path(), &|_, _| {}).unwrap();
        assert_eq!(report.num_resumed, num_resumed, "{what}");
        assert!(contents(folder.path()) == contents(whole.path()), "{what}");
        assert_eq!(names(folder.path()), ["index.json", "samples.i16"], "{what}");
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut content = fs::read(path).unwrap();
    content.extend_from_slice(bytes);
    fs::write(path, content).unwrap();
}

fn cut(path: &Path, length: usize) {
    let content = fs::read(path).unwrap();
    fs::write(path, &content[..length]).unwrap();
}

#[test]
fn the_journal_of_another_source_is_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path());
    let other = Interrupted { killed_at: None, names: ["one", "two", "four"] };
    assert_eq!(pack(&other, folder.path(), &|_, _| {}).unwrap().num_resumed, 0);
    assert_eq!(PackedTracks::open(folder.path()).unwrap().name(2), "four");
}

#[test]
fn a_run_killed_before_the_index_was_written_goes_on() {
    let whole = tempfile::tempdir().unwrap();
    let source = Interrupted { killed_at: None, names: NAMES };
    pack(&source, whole.path(), &|_, _| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    interrupted(folder.path());
    fs::rename(folder.path().join(".samples.i16.partial"), folder.path().join(SAMPLES)).unwrap();
    assert_eq!(pack(&source, folder.path(), &|_, _| {}).unwrap().num_resumed, 2);
    assert!(contents(folder.path()) == contents(whole.path()));
}

#[test]
fn two_runs_do_not_write_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let held = fs::File::create(folder.path().join(".samples.i16.partial")).unwrap();
    held.lock().unwrap();
    let source = Interrupted { killed_at: None, names: NAMES };
    assert!(matches!(pack(&source, folder.path(), &|_, _| {}).unwrap_err(), DataError::Busy { .. }));
}

#[test]
fn a_damaged_store_is_an_error_with_path_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    pack(&Interrupted { killed_at: None, names: NAMES }, folder.path(), &|_, _| {}).unwrap();
    let (index, samples) = contents(folder.path());
    let text = String::from_utf8(index).unwrap();
    let open = |text: &str, samples: &[u8]| {
        fs::write(folder.path().join(INDEX), text).unwrap();
        fs::write(folder.path().join(SAMPLES), samples).unwrap();
        PackedTracks::open(folder.path())
    };
    let error = |text: &str, samples: &[u8]| open(text, samples).unwrap_err().to_string();
    let found = error(&text, &samples[..10]);
    assert!(found.contains("samples.i16") && found.contains("36 bytes expected, 10 bytes found"), "{found}");
    assert!(error(&text, &[]).contains("0 bytes"));
    assert!(error(&text[..text.len() / 2], &samples).contains("index.json"));
    assert!(error(&text.replace("\"version\": 1", "\"version\": 9"), &samples).contains('9'));
    assert!(error(&text.replace("\"sample_rate\": 10", "\"sample_rate\": 0"), &samples).contains("0 Hz"));
    assert!(error(&text.replace("\"offset\": 5", "\"offset\": 4"), &samples).contains("two at sample 5 expected"));
    assert!(error(&text.replace("\"num_samples\": 18", "\"num_samples\": 19"), &samples).contains("18 samples in all"));
    let huge = format!("\"num_samples\": {}", u64::MAX);
    assert!(error(&text.replace("\"num_samples\": 5", &huge), &samples).contains("damaged"));
    let mut flipped = samples.clone();
    flipped[13] ^= 1;
    let error = open(&text, &flipped).unwrap().verify().unwrap_err().to_string();
    assert!(error.contains("samples.i16") && error.contains("of two"), "{error}");
    open(&text, &samples).unwrap().verify().unwrap();
    fs::remove_file(folder.path().join(SAMPLES)).unwrap();
    assert!(PackedTracks::open(folder.path()).unwrap_err().to_string().contains("samples.i16"));
}

#[test]
fn nothing_to_pack_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    assert!(matches!(pack(&files(Vec::new()), &store, &|_, _| {}).unwrap_err(), DataError::NoTracks));
    let lost = AudioFile { name: "lost".into(), path: folder.path().join("lost.wav") };
    let error = pack(&files(vec![lost]), &store, &|_, _| {}).unwrap_err();
    assert!(matches!(&error, DataError::AllDamaged { count: 1, name, .. } if name == "lost"), "{error}");
    assert!(names(&store).is_empty());
}

#[test]
fn the_hash_of_a_store_counts_what_its_tracks_were_made_from() {
    let folder = tempfile::tempdir().unwrap();
    pack(&files(recordings()), folder.path(), &|_, _| {}).unwrap();
    let store = Collection::survey(std::sync::Arc::new(PackedTracks::open(folder.path()).unwrap())).unwrap();
    let direct = Collection::survey(std::sync::Arc::new(files(recordings()))).unwrap();
    assert!((store.seconds() - direct.seconds()).abs() < 1e-9);
    assert_ne!(store.data_sha256(), direct.data_sha256());
}
