//! Tracks and their lengths: what has to be known before the first clip can be drawn.

use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{DataError, TrackSource};

/// A source, and the length of each of its tracks or why it has none.
#[derive(Clone)]
pub struct Collection {
    source: Arc<dyn TrackSource>,
    lengths: Arc<[Result<u64, String>]>,
}

/// A track that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTrack {
    /// Its number in the source.
    pub track: usize,
    /// Its name.
    pub name: String,
    /// Why it is not used.
    pub reason: String,
}

impl Collection {
    /// Asks for the length of every track, on rayon's threads. Of most files that takes reading their headers; those whose
    /// headers do not say are decoded.
    ///
    /// # Errors
    /// [`DataError::NoTracks`], or [`DataError::AllDamaged`] where no track can be read.
    pub fn survey(source: Arc<dyn TrackSource>) -> Result<Self, DataError> {
        Self::survey_with(source, &|| {})
    }

    /// As [`survey`](Self::survey); `track_done` is called after each track, from several threads.
    ///
    /// # Errors
    /// As [`survey`](Self::survey).
    pub fn survey_with(source: Arc<dyn TrackSource>, track_done: &(dyn Fn() + Sync)) -> Result<Self, DataError> {
        if source.is_empty() {
            return Err(DataError::NoTracks);
        }
        let length = |track| {
            let length = source.num_samples(track).map_err(|error| error.to_string());
            track_done();
            length
        };
        let lengths: Vec<Result<u64, String>> = (0..source.len()).into_par_iter().map(length).collect();
        let collection = Self { source, lengths: lengths.into() };
        if let (true, [Err(reason), ..]) = (collection.lengths.iter().all(Result::is_err), &*collection.lengths) {
            let (count, name) = (collection.len(), collection.source.name(0));
            return Err(DataError::AllDamaged { count, name, reason: reason.clone() });
        }
        Ok(collection)
    }

    /// The tracks.
    pub fn source(&self) -> &dyn TrackSource {
        self.source.as_ref()
    }

    /// Number of tracks, those that cannot be read included.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Never: a collection has tracks.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The length of a track in samples, where it can be read.
    pub fn num_samples(&self, track: usize) -> Option<u64> {
        self.lengths[track].as_ref().ok().copied()
    }

    /// The length of all tracks that can be read, in seconds.
    pub fn seconds(&self) -> f64 {
        let samples: f64 = self.lengths.iter().flatten().map(|&samples| samples as f64).sum();
        samples / f64::from(self.source.sample_rate())
    }

    /// The same tracks with the same numbers, of which those are not used that `reason` has a reason for.
    #[must_use]
    pub fn without(&self, reason: impl Fn(usize) -> Option<String>) -> Self {
        let lengths = self.lengths.iter().enumerate().map(|(track, length)| match (length, reason(track)) {
            (Ok(_), Some(reason)) => Err(reason),
            (length, _) => length.clone(),
        });
        Self { source: self.source.clone(), lengths: lengths.collect() }
    }

    /// The tracks that cannot be read, with the reasons.
    pub fn unreadable(&self) -> Vec<SkippedTrack> {
        self.usable(0).1
    }

    /// The tracks with at least `minimum_samples` samples, and those that are not used.
    pub(super) fn usable(&self, minimum_samples: u64) -> (Vec<usize>, Vec<SkippedTrack>) {
        let rate = f64::from(self.source.sample_rate());
        let (mut usable, mut skipped) = (Vec::new(), Vec::new());
        for (track, length) in self.lengths.iter().enumerate() {
            let reason = match length {
                Ok(samples) if *samples >= minimum_samples => {
                    usable.push(track);
                    continue;
                }
                Ok(samples) => format!(
                    "too short: {:.2} s, at least {:.2} s needed",
                    *samples as f64 / rate,
                    minimum_samples as f64 / rate
                ),
                Err(reason) => reason.clone(),
            };
            skipped.push(SkippedTrack { track, name: self.source.name(track), reason });
        }
        (usable, skipped)
    }

    /// The SHA-256 over the sample rate and, in order, the name and the length of every track, and the hash of what it
    /// was made from where that is known: what a run records to tell its data from others.
    pub fn data_sha256(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} Hz\n", self.source.sample_rate()));
        for (track, length) in self.lengths.iter().enumerate() {
            let length = length.as_ref().map_or_else(|_| "unreadable".to_owned(), u64::to_string);
            let hash = self.source.known_sha256(track).unwrap_or_default();
            // Names may hold anything but the byte 0.
            hasher.update(format!("{}\0{length}\0{hash}\n", self.source.name(track)));
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Collection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Collection({} tracks, {:.1} s)", self.len(), self.seconds())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use solfa_signal::audio::Waveform;

    use super::*;

    /// Tracks that are ramps: sample `i` of track `t` is `t + i / 2^20`. A length of `None` cannot be read at all, and no
    /// sample of the tracks in `damaged`.
    pub(in crate::data) struct Ramps {
        pub(in crate::data) lengths: Vec<Option<u64>>,
        pub(in crate::data) damaged: Vec<usize>,
    }

    impl TrackSource for Ramps {
        fn sample_rate(&self) -> u32 {
            100
        }

        fn len(&self) -> usize {
            self.lengths.len()
        }

        fn name(&self, track: usize) -> String {
            format!("ramp {track}")
        }

        fn num_samples(&self, track: usize) -> Result<u64, DataError> {
            self.lengths[track]
                .ok_or_else(|| DataError::Track { name: self.name(track), reason: "unreadable".to_owned() })
        }

        fn read(&self, track: usize, start: u64, num_samples: usize) -> Result<Waveform, DataError> {
            assert!(start + num_samples as u64 <= self.lengths[track].unwrap(), "read beyond the end");
            if self.damaged.contains(&track) {
                return Err(DataError::Track { name: self.name(track), reason: "damaged".to_owned() });
            }
            let sample = |index: u64| track as f32 + index as f32 / (1 << 20) as f32;
            Ok(Waveform::new((start..).take(num_samples).map(sample).collect(), 100))
        }
    }

    pub(in crate::data) fn ramps(lengths: &[u64], damaged: &[usize]) -> Collection {
        let lengths = lengths.iter().map(|&length| (length > 0).then_some(length)).collect();
        Collection::survey(Arc::new(Ramps { lengths, damaged: damaged.to_vec() })).unwrap()
    }

    #[test]
    fn short_and_unreadable_tracks_are_listed_with_their_reasons() {
        let collection = ramps(&[100, 0, 50, 200], &[]);
        assert_eq!((collection.len(), collection.seconds()), (4, 3.5));
        assert_eq!((collection.num_samples(1), collection.num_samples(2)), (None, Some(50)));
        let unreadable: Vec<usize> = collection.unreadable().iter().map(|track| track.track).collect();
        assert_eq!(unreadable, [1]);
        let (usable, skipped) = collection.usable(60);
        assert_eq!(usable, [0, 3]);
        let reasons: Vec<String> = skipped.iter().map(|track| format!("{}: {}", track.name, track.reason)).collect();
        assert_eq!(reasons, ["ramp 1: ramp 1: unreadable", "ramp 2: too short: 0.50 s, at least 0.60 s needed"]);
    }

    #[test]
    fn tracks_can_be_left_out_without_new_numbers() {
        let collection = ramps(&[100, 0, 50, 200], &[]);
        let less = collection.without(|track| (track != 2).then(|| format!("no {track}")));
        assert_eq!((less.len(), less.num_samples(0), less.num_samples(2)), (4, None, Some(50)));
        let (usable, skipped) = less.usable(0);
        let reasons: Vec<&str> = skipped.iter().map(|track| track.reason.as_str()).collect();
        assert_eq!((usable, reasons), (vec![2], vec!["no 0", "ramp 1: unreadable", "no 3"]));
        assert_ne!(collection.data_sha256(), less.data_sha256());
    }

    #[test]
    fn every_track_is_told_once() {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let source = Ramps { lengths: vec![Some(10), None, Some(20)], damaged: Vec::new() };
        let count = || {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        Collection::survey_with(Arc::new(source), &count).unwrap();
        assert_eq!(calls.into_inner(), 3);
    }

    #[test]
    fn nothing_to_read_is_an_error() {
        let survey = |lengths: Vec<Option<u64>>| {
            Collection::survey(Arc::new(Ramps { lengths, damaged: Vec::new() })).unwrap_err().to_string()
        };
        assert!(survey(Vec::new()).contains("0 recordings found"));
        let error = survey(vec![None, None]);
        assert!(error.contains("none of 2 tracks") && error.contains("ramp 0: unreadable"), "{error}");
    }

    #[test]
    fn the_hash_tells_data_apart() {
        let hash = ramps(&[100, 50], &[]).data_sha256();
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, ramps(&[100, 50], &[1]).data_sha256());
        for other in [ramps(&[100, 51], &[]), ramps(&[100], &[]), ramps(&[100, 50, 7], &[]), ramps(&[50, 100], &[])] {
            assert_ne!(hash, other.data_sha256());
        }
    }
}
