//! `synth:`: tracks that are composed and rendered when they are first asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use solfa_learn::data::{DataError, TrackSource};
use solfa_learn::recipe::TrackTexts;
use solfa_signal::audio::Waveform;
use solfa_synth::labels::Labels;
use solfa_synth::tracks::GeneratedTracks;

use crate::terminal::UsageError;

/// Bytes of rendered tracks that are kept: 360 tracks of 30 s at 24 kHz.
const CACHE_BYTES: usize = 1 << 29;

/// Tracks where their number is not given.
const DEFAULT_TRACKS: usize = 200;
/// Their length in seconds where it is not given.
const DEFAULT_SECONDS: f64 = 30.0;
/// More is a typing mistake.
const MAXIMUM_TRACKS: usize = 1_000_000;

/// The settings.
const KEYS: [&str; 3] = ["tracks", "seconds", "seed"];

/// The largest number of a sample of 16 bits.
const FULL_SCALE: f32 = 32_767.0;

/// Generated tracks, of which the last ones that were rendered are kept. Samples have 16 bits, as in files.
pub(super) struct SynthTracks {
    tracks: GeneratedTracks,
    seed: u64,
    seconds: f64,
    /// A track that is kept, or none. Who renders one holds its lock: others who want it wait.
    rendered: Vec<Mutex<Option<Arc<[i16]>>>>,
    /// The tracks that are kept, the oldest first.
    kept: Mutex<VecDeque<usize>>,
    /// How many are kept at most.
    capacity: usize,
}

impl SynthTracks {
    /// From what stands after `synth:`, such as `tracks=200,seconds=30,seed=7` or nothing.
    pub(super) fn parse(settings: &str, sample_rate: u32) -> Result<Self, UsageError> {
        let (mut count, mut seconds, mut seed) = (DEFAULT_TRACKS, DEFAULT_SECONDS, 0);
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let wrong = |expected: &str| UsageError(format!("synth: `{setting}`: expected {expected}"));
            let Some((key, value)) = setting.split_once('=') else {
                return Err(wrong("KEY=VALUE with a key of tracks, seconds and seed"));
            };
            let value = value.trim();
            match key.trim() {
                "tracks" => {
                    let number = value.parse().ok().filter(|number| (1..=MAXIMUM_TRACKS).contains(number));
                    count = number.ok_or_else(|| wrong(&format!("a number from 1 to {MAXIMUM_TRACKS}")))?;
                }
                "seconds" => seconds = value.parse().map_err(|_| wrong("a number of seconds"))?,
                "seed" => seed = value.parse().map_err(|_| wrong("a whole number that is not negative"))?,
                unknown => {
                    let likeness = |key: &&str| strsim::jaro_winkler(unknown, key);
                    let nearest = KEYS.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                    return Err(UsageError(format!(
                        "synth: `{unknown}` is no setting: tracks, seconds and seed are (did you mean `{}`?)",
                        nearest.unwrap_or_default()
                    )));
                }
            }
        }
        let tracks =
            GeneratedTracks::new(seed, seconds, sample_rate).map_err(|error| UsageError(format!("synth: {error}")))?;
        let capacity = (CACHE_BYTES / (size_of::<i16>() * tracks.num_samples())).max(1);
        let rendered = (0..count).map(|_| Mutex::new(None)).collect();
        Ok(Self { tracks, seed, seconds, rendered, kept: Mutex::new(VecDeque::new()), capacity })
    }

    /// What it is, for people.
    pub(super) fn description(&self) -> String {
        format!("composed pieces of {} s, seed {}", self.seconds, self.seed)
    }

    /// What the composer knows of every track, as tags. Nothing is rendered.
    ///
    /// # Errors
    /// A piece that cannot be composed, which is a fault of the composer.
    pub(super) fn texts(&self) -> anyhow::Result<Vec<TrackTexts>> {
        let of_track =
            |track: usize| Ok(TrackTexts { tags: tags(&self.tracks.labels(track as u64)?), captions: Vec::new() });
        (0..self.len()).into_par_iter().map(of_track).collect()
    }

    /// A whole track, rendered unless it is kept.
    fn samples(&self, track: usize) -> Result<Arc<[i16]>, DataError> {
        let mut slot = lock(&self.rendered[track]);
        if let Some(samples) = &*slot {
            return Ok(samples.clone());
        }
        let rendered = self.tracks.render(track as u64);
        let rendered =
            rendered.map_err(|error| DataError::Track { name: self.name(track), reason: error.to_string() })?;
        let samples: Arc<[i16]> = rendered.iter().map(|sample| (sample * FULL_SCALE).round() as i16).collect();
        *slot = Some(samples.clone());
        // Another thread may wait for this lock while it holds the other one.
        drop(slot);
        let mut kept = lock(&self.kept);
        kept.push_back(track);
        let oldest = if kept.len() > self.capacity { kept.pop_front() } else { None };
        drop(kept);
        if let Some(oldest) = oldest {
            *lock(&self.rendered[oldest]) = None;
        }
        Ok(samples)
    }
}

/// Style, instruments, key, meter and a word for the tempo.
fn tags(labels: &Labels) -> Vec<String> {
    let Labels { style, key, tempo, meter, instruments, .. } = labels;
    let mode = key.as_ref().and_then(|key| key.split_whitespace().last()).map(|mode| format!("{mode} key"));
    let tempo = tempo.map(|tempo| match tempo {
        tempo if tempo < 80.0 => "slow",
        tempo if tempo < 120.0 => "medium tempo",
        _ => "fast",
    });
    let meter = meter.as_deref().filter(|meter| *meter != "4/4").map(|meter| format!("{meter} time"));
    let mut tags: Vec<String> = style.iter().cloned().collect();
    tags.extend(instruments.iter().cloned());
    tags.extend([mode, tempo.map(str::to_owned), meter].into_iter().flatten());
    tags
}

/// The lock, even if a thread that held it panicked: what it guards is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TrackSource for SynthTracks {
    fn sample_rate(&self) -> u32 {
        self.tracks.sample_rate()
    }

    fn len(&self) -> usize {
        self.rendered.len()
    }

    fn name(&self, track: usize) -> String {
        format!("synth-{track:06}")
    }

    fn num_samples(&self, _track: usize) -> Result<u64, DataError> {
        Ok(self.tracks.num_samples() as u64)
    }

    fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        let samples = self.samples(track)?;
        let start_sample = usize::try_from(start).unwrap_or(usize::MAX).min(samples.len());
        let rest = &samples[start_sample..];
        let Some(stretch) = rest.get(..num_samples) else {
            let (name, expected, found) = (self.name(track), num_samples, rest.len());
            return Err(DataError::TooShort { name, start, expected, found });
        };
        let stretch = stretch.iter().map(|&sample| f32::from(sample) / FULL_SCALE).collect();
        Ok(Waveform::new(stretch, self.sample_rate()))
    }

    fn known_sha256(&self, track: usize) -> Option<String> {
        Some(self.tracks.sha256(track as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(settings: &str) -> SynthTracks {
        SynthTracks::parse(settings, 16_000).unwrap()
    }

    #[test]
    fn every_setting_has_a_default_and_mistakes_are_named() {
        let defaults = tracks("");
        assert_eq!((defaults.len(), defaults.num_samples(0).unwrap()), (200, 480_000));
        assert_eq!(defaults.description(), "composed pieces of 30 s, seed 0");
        let some = tracks(" seed=9, seconds = 8 ");
        assert_eq!((some.len(), some.num_samples(199).unwrap(), some.seed), (200, 128_000, 9));
        for (settings, expected) in [
            ("trucks=3", "`trucks` is no setting: tracks, seconds and seed are (did you mean `tracks`?)"),
            ("sead=3", "did you mean `seed`?"),
            ("tracks=0", "`tracks=0`: expected a number from 1"),
            ("tracks", "`tracks`: expected KEY=VALUE"),
            ("seed=-1", "`seed=-1`: expected a whole number"),
            ("seconds=3", "3 seconds cannot be composed: expected 8 to 600"),
            ("seconds=x", "expected a number of seconds"),
        ] {
            let error = SynthTracks::parse(settings, 16_000).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = SynthTracks::parse("", 8_000).err().unwrap().to_string();
        assert!(error.contains("8000 Hz"), "{error}");
    }

    #[test]
    fn a_stretch_is_that_of_the_whole_and_ends_with_it() {
        let tracks = tracks("tracks=2,seconds=8,seed=3");
        let whole = tracks.read(1, 0, 128_000).unwrap();
        assert!(tracks.read(1, 5_000, 700).unwrap().samples() == &whole.samples()[5_000..5_700]);
        assert!(whole.samples().iter().any(|sample| sample.abs() > 0.05));
        for (start, found) in [(127_990, 10), (200_000, 0), (u64::MAX, 0)] {
            let error = tracks.read(1, start, 11).err().unwrap();
            assert!(matches!(error, DataError::TooShort { found: is, .. } if is == found), "{error}");
        }
    }

    #[test]
    fn the_composer_says_what_it_wrote() {
        let labels = Labels {
            style: Some("waltz".into()),
            key: Some("Eb minor".into()),
            tempo: Some(150.0),
            meter: Some("3/4".into()),
            instruments: vec!["bass".into(), "piano".into()],
            ..Labels::default()
        };
        assert_eq!(tags(&labels), ["waltz", "bass", "piano", "minor key", "fast", "3/4 time"]);
        assert!(tags(&Labels::default()).is_empty());
        let texts = tracks("tracks=20,seconds=8").texts().unwrap();
        assert!(texts.len() == 20 && texts.iter().all(|texts| texts.tags.len() >= 4), "{texts:?}");
        assert_eq!(texts, tracks("tracks=20,seconds=8").texts().unwrap());
    }

    #[test]
    fn what_was_dropped_is_rendered_again_and_is_the_same() {
        let mut tracks = tracks("tracks=4,seconds=8");
        tracks.capacity = 2;
        let first = tracks.read(0, 0, 1000).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let tracks = &tracks;
                scope.spawn(move || (0..6).for_each(|read| drop(tracks.read((thread + read) % 4, 0, 10).unwrap())));
            }
        });
        let kept = tracks.rendered.iter().filter(|slot| lock(slot).is_some()).count();
        assert!(kept <= 2, "{kept} are kept");
        assert!(first == tracks.read(0, 0, 1000).unwrap());
    }
}
