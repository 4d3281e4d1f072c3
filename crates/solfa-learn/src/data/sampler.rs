//! Which part of which track is clip `n` of step `s`.
//!
//! Tracks come in epochs, each in an order of its own, and every track once an epoch. Nothing is remembered from step to
//! step: a clip is a function of the seed, the step and its place in the batch, so a run that is resumed at a step goes on
//! as if it had never stopped. A track that cannot be read is replaced by one that comes later in the order; that too
//! depends on nothing but the track and the part of it that was wanted.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Collection, DataError, SkippedTrack};
use crate::views::{ClipSeed, CropConfig, CropPlan, OtherClips, RandomStream, ViewChain, ViewConfig};

/// How batches are drawn from a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingConfig {
    /// Clips of a batch. With pairs of crops, a clip is a pair.
    pub clips_per_batch: usize,
    /// What is cut out of a track.
    pub crop: CropConfig,
    /// Changes of the sound, in order; each crop is changed on its own.
    #[serde(default)]
    pub views: Vec<ViewConfig>,
    /// What becomes of tracks that are shorter than a crop.
    #[serde(default)]
    pub short_tracks: ShortTracks,
    /// What a batch does at the end of an epoch.
    #[serde(default)]
    pub epoch_end: EpochEnd,
}

/// What becomes of tracks that are too short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortTracks {
    /// They are left out, counted and listed.
    #[default]
    Skip,
    /// They are repeated until they are long enough.
    Wrap,
    /// Silence follows them.
    Pad,
}

/// What a batch does where an epoch ends in its midst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochEnd {
    /// It goes on with the next epoch: every track comes once an epoch, and may be in such a batch twice.
    #[default]
    Continue,
    /// The tracks that do not fill a batch are left out of the epoch, so that no batch has a track twice: for objectives
    /// that take the clips of a batch to be of different tracks.
    WholeBatches,
}

/// Draws clips.
pub struct Sampler {
    seed: u64,
    clips_per_batch: usize,
    plan: CropPlan,
    chain: ViewChain,
    read_samples: usize,
    short_tracks: ShortTracks,
    epoch_end: EpochEnd,
    usable: Vec<usize>,
    skipped: Vec<SkippedTrack>,
    /// The orders of the epochs asked for last.
    orders: Mutex<Vec<(u64, Arc<[u32]>)>>,
}

/// What is to be read for a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipPlace {
    /// The track.
    pub track: usize,
    /// The first sample of each crop.
    pub starts: Vec<u64>,
}

/// Tracks tried for one clip before it is taken that none can be read.
const MAXIMUM_ATTEMPTS: usize = 100;

impl Sampler {
    /// Prepares to draw from a collection.
    ///
    /// # Errors
    /// An impossible configuration, or no tracks that fit it: [`DataError::AllShort`], [`DataError::FewTracks`].
    pub fn new(collection: &Collection, config: &SamplingConfig, seed: u64) -> Result<Self, DataError> {
        if config.clips_per_batch == 0 {
            let (field, value, expected) = ("clips_per_batch", "0".to_owned(), "at least 1");
            return Err(DataError::Setting { field, value, expected });
        }
        let rate = collection.source().sample_rate();
        let plan = CropPlan::new(&config.crop, rate)?;
        let chain = ViewChain::new(&config.views, rate)?;
        let read_samples = chain.input_samples(plan.num_samples());
        let minimum_samples = match config.short_tracks {
            ShortTracks::Skip => plan.minimum_track_samples(read_samples),
            ShortTracks::Wrap | ShortTracks::Pad => 1,
        };
        let (usable, skipped) = collection.usable(minimum_samples);
        if usable.is_empty() {
            let lengths: Vec<u64> = (0..collection.len()).filter_map(|track| collection.num_samples(track)).collect();
            let seconds = |samples: u64| samples as f64 / f64::from(rate);
            return Err(DataError::AllShort {
                count: lengths.len(),
                needed_seconds: seconds(minimum_samples),
                longest_seconds: seconds(lengths.into_iter().max().unwrap_or(0)),
            });
        }
        let (num_tracks, clips_per_batch) = (usable.len(), config.clips_per_batch);
        if config.epoch_end == EpochEnd::WholeBatches && num_tracks < clips_per_batch {
            return Err(DataError::FewTracks { clips_per_batch, num_tracks });
        }
        Ok(Self {
            seed,
            clips_per_batch,
            plan,
            chain,
            read_samples,
            short_tracks: config.short_tracks,
            epoch_end: config.epoch_end,
            usable,
            skipped,
            orders: Mutex::new(Vec::new()),
        })
    }

    /// Clips of a batch.
    pub fn clips_per_batch(&self) -> usize {
        self.clips_per_batch
    }

    /// Samples of a crop.
    pub fn crop_samples(&self) -> usize {
        self.plan.num_samples()
    }

    /// Number of tracks that clips are drawn from.
    pub fn num_tracks(&self) -> usize {
        self.usable.len()
    }

    /// The tracks of the collection that are not used, with the reasons.
    pub fn skipped(&self) -> &[SkippedTrack] {
        &self.skipped
    }

    /// Steps until every track has come once, or all whole batches have.
    pub fn steps_per_epoch(&self) -> f64 {
        match self.epoch_end {
            EpochEnd::Continue => self.usable.len() as f64 / self.clips_per_batch as f64,
            EpochEnd::WholeBatches => (self.usable.len() / self.clips_per_batch) as f64,
        }
    }

    /// What is to be read for a clip; with `attempt` above 0, instead of what could not be read at the attempts before.
    /// `None` once there is no other track to try.
    ///
    /// Replacements are taken from the tracks that come after the batch in the order of its epoch, a different one for
    /// each place of the batch; from the batch itself only when no other is left.
    pub fn place(&self, collection: &Collection, step: u64, position: usize, attempt: usize) -> Option<ClipPlace> {
        let num_tracks = self.usable.len();
        if attempt >= num_tracks.min(MAXIMUM_ATTEMPTS) {
            return None;
        }
        let (epoch, place) = self.epoch_and_place(step, position);
        let place = replacement(num_tracks, self.clips_per_batch, place, position, attempt);
        let track = self.usable[self.order(epoch)[place] as usize];
        let track_samples = collection.num_samples(track)?;
        let length = track_samples.max(self.plan.minimum_track_samples(self.read_samples));
        let mut random = self.clip_seed(step, position).stream(&format!("crop, attempt {attempt}"));
        Some(ClipPlace { track, starts: self.plan.draw(length, self.read_samples, &mut random) })
    }

    /// Reads a crop of a clip as it is in the track, as many samples as the views need.
    pub(super) fn read(&self, collection: &Collection, track: usize, start: u64) -> Result<Vec<f32>, DataError> {
        let source = collection.source();
        let length = collection.num_samples(track).unwrap_or(0);
        if start + self.read_samples as u64 <= length {
            return Ok(source.read(track, start, self.read_samples)?.into_samples());
        }
        let whole = source.read(track, 0, length as usize)?.into_samples();
        let indices = (start..).take(self.read_samples);
        Ok(match self.short_tracks {
            ShortTracks::Wrap => indices.map(|index| whole[(index % length) as usize]).collect(),
            ShortTracks::Skip | ShortTracks::Pad => {
                indices.map(|index| whole.get(index as usize).copied().unwrap_or(0.0)).collect()
            }
        })
    }

    /// Applies the views to a crop that was read.
    pub(super) fn view(
        &self,
        samples: Vec<f32>,
        collection: &Collection,
        track: usize,
        [step, position, crop]: [u64; 3],
    ) -> Vec<f32> {
        let others = OtherTracks { sampler: self, collection, track };
        let seed = self.clip_seed(step, position as usize);
        self.chain.apply(samples, self.plan.num_samples(), seed, crop as usize, &others)
    }

    fn clip_seed(&self, step: u64, position: usize) -> ClipSeed {
        ClipSeed { seed: self.seed, step, clip: position as u64 }
    }

    /// The epoch of a clip, and its place in the order of that epoch.
    fn epoch_and_place(&self, step: u64, position: usize) -> (u64, usize) {
        let (num_tracks, clips) = (self.usable.len() as u64, self.clips_per_batch as u64);
        match self.epoch_end {
            EpochEnd::Continue => {
                let clip = u128::from(step) * u128::from(clips) + position as u128;
                let epoch = clip / u128::from(num_tracks);
                (epoch as u64, (clip % u128::from(num_tracks)) as usize)
            }
            EpochEnd::WholeBatches => {
                let batches = num_tracks / clips;
                (step / batches, (step % batches * clips) as usize + position)
            }
        }
    }

    /// The order of an epoch: places in `usable`.
    fn order(&self, epoch: u64) -> Arc<[u32]> {
        /// Batches that are read ahead may lie in the next epoch already.
        const KEPT: usize = 3;
        // A thread that panicked cannot have left this in a wrong state.
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return Arc::clone(order);
        }
        let mut order: Vec<u32> = (0..self.usable.len() as u32).collect();
        ClipSeed { seed: self.seed, step: epoch, clip: 0 }.stream("order of an epoch").shuffle(&mut order);
        let order: Arc<[u32]> = order.into();
        if orders.len() == KEPT {
            orders.remove(0);
        }
        orders.push((epoch, Arc::clone(&order)));
        order
    }
}

/// The place in an order of `num_tracks` that is tried at an attempt for the clip at `position` of a batch, which is the
/// one at `place`. Over `num_tracks` attempts every place comes once.
fn replacement(num_tracks: usize, clips_per_batch: usize, place: usize, position: usize, attempt: usize) -> usize {
    let in_batch = clips_per_batch.min(num_tracks);
    let others = num_tracks - in_batch;
    let position = position % in_batch;
    let first = (place + num_tracks - position) % num_tracks;
    let offset = match attempt {
        0 => position,
        attempt if attempt <= others => in_batch + (position + attempt - 1) % others,
        attempt => (position + attempt - others) % in_batch,
    };
    (first + offset) % num_tracks
}

/// Clips of other tracks than that of the clip that is changed.
struct OtherTracks<'sampler> {
    sampler: &'sampler Sampler,
    collection: &'sampler Collection,
    track: usize,
}

impl OtherClips for OtherTracks<'_> {
    fn other(&self, num_samples: usize, random: &mut RandomStream) -> Option<Vec<f32>> {
        /// Tracks tried before the clip is left as it is.
        const ATTEMPTS: usize = 8;
        (0..ATTEMPTS).find_map(|_| {
            let track = self.sampler.usable[random.below(self.sampler.usable.len() as u64) as usize];
            let length = self.collection.num_samples(track)?;
            let wanted = length.min(num_samples as u64);
            let start = random.below(length - wanted + 1);
            if track == self.track {
                return None;
            }
            let read = self.collection.source().read(track, start, wanted as usize);
            read.ok().map(solfa_signal::audio::Waveform::into_samples)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::collection::tests::ramps;
    use super::*;

    fn config(clips_per_batch: usize, epoch_end: EpochEnd) -> SamplingConfig {
        let crop = CropConfig { seconds: 0.5, pair: None, windows: None };
        SamplingConfig { clips_per_batch, crop, views: Vec::new(), short_tracks: ShortTracks::Skip, epoch_end }
    }

    fn tracks(sampler: &Sampler, collection: &Collection, steps: std::ops::Range<u64>) -> Vec<usize> {
        let place = |step, position| sampler.place(collection, step, position, 0).unwrap().track;
        steps.flat_map(|step| (0..sampler.clips_per_batch()).map(move |position| place(step, position))).collect()
    }

    #[test]
    fn every_track_comes_once_an_epoch_and_each_epoch_has_its_order() {
        let collection = ramps(&[100; 12], &[]);
        let sampler = Sampler::new(&collection, &config(4, EpochEnd::Continue), 1).unwrap();
        assert_eq!(sampler.steps_per_epoch(), 3.0);
        let epochs: Vec<Vec<usize>> =
            (0..5).map(|epoch| tracks(&sampler, &collection, 3 * epoch..3 * epoch + 3)).collect();
        for epoch in &epochs {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 12);
        }
        assert_eq!(epochs.iter().collect::<BTreeSet<_>>().len(), 5);
        // A batch that does not divide the tracks goes on into the next epoch.
        let sampler = Sampler::new(&collection, &config(5, EpochEnd::Continue), 1).unwrap();
        let all = tracks(&sampler, &collection, 0..12);
        for epoch in all.chunks(12) {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 12);
        }
        // More clips than tracks.
        let sampler = Sampler::new(&collection, &config(30, EpochEnd::Continue), 1).unwrap();
        let counts = tracks(&sampler, &collection, 0..2).into_iter().fold(BTreeMap::new(), |mut counts, track| {
            *counts.entry(track).or_insert(0) += 1;
            counts
        });
        assert!(counts.len() == 12 && counts.values().all(|&count| count == 5));
    }

    #[test]
    fn whole_batches_have_no_track_twice() {
        let collection = ramps(&[100; 11], &[]);
        let sampler = Sampler::new(&collection, &config(4, EpochEnd::WholeBatches), 1).unwrap();
        assert_eq!(sampler.steps_per_epoch(), 2.0);
        let mut all = BTreeSet::new();
        for step in 0..20 {
            let batch = tracks(&sampler, &collection, step..step + 1);
            assert_eq!(batch.iter().collect::<BTreeSet<_>>().len(), 4);
            all.extend(batch);
        }
        assert_eq!(all.len(), 11, "tracks left out of one epoch come in another");
        let error = Sampler::new(&collection, &config(12, EpochEnd::WholeBatches), 1).err().unwrap();
        assert!(matches!(error, DataError::FewTracks { clips_per_batch: 12, num_tracks: 11 }), "{error}");
    }

    #[test]
    fn order_and_crops_depend_on_the_seed_and_on_nothing_before() {
        let collection = ramps(&[10_000; 20], &[]);
        let draw = |seed, steps: std::ops::Range<u64>| {
            let sampler = Sampler::new(&collection, &config(3, EpochEnd::Continue), seed).unwrap();
            let place = |step, position| sampler.place(&collection, step, position, 0).unwrap();
            let clips = steps.flat_map(|step| (0..3).map(move |position| (step, position)));
            clips.map(|(step, position)| place(step, position)).collect::<Vec<_>>()
        };
        let all = draw(1, 0..40);
        assert_eq!(all[30 * 3..], draw(1, 30..40));
        assert_ne!(all, draw(2, 0..40));
        let starts: BTreeSet<u64> = all.iter().map(|place| place.starts[0]).collect();
        assert!(starts.len() > 110 && starts.iter().all(|&start| start <= 9_950));
    }

    #[test]
    fn replacements_try_every_track_once_and_differ_within_a_batch() {
        for (num_tracks, clips) in [(1, 1), (1, 4), (7, 3), (7, 7), (5, 9), (20, 4)] {
            for position in 0..clips {
                let tried: BTreeSet<usize> = (0..num_tracks)
                    .map(|attempt| {
                        replacement(num_tracks, clips, (2 * clips + position) % num_tracks, position, attempt)
                    })
                    .collect();
                assert_eq!(tried.len(), num_tracks, "{num_tracks} tracks, batches of {clips}, place {position}");
                assert!(tried.iter().all(|&place| place < num_tracks));
            }
        }
        let place = |position, attempt| replacement(20, 4, 8 + position, position, attempt);
        let batch: BTreeSet<usize> = (0..4).map(|position| place(position, 0)).collect();
        let next: BTreeSet<usize> = (0..4).map(|position| place(position, 1)).collect();
        assert_eq!((batch, next), ((8..12).collect(), (12..16).collect()));
    }

    #[test]
    fn short_tracks_are_skipped_wrapped_or_padded() {
        let collection = ramps(&[10, 100, 0, 49], &[]);
        let sampler = |short_tracks| {
            Sampler::new(&collection, &SamplingConfig { short_tracks, ..config(1, EpochEnd::Continue) }, 1).unwrap()
        };
        let skip = sampler(ShortTracks::Skip);
        assert_eq!((skip.num_tracks(), skip.skipped().len()), (1, 3));
        let wrap = sampler(ShortTracks::Wrap);
        assert_eq!((wrap.num_tracks(), wrap.skipped().len()), (3, 1));
        let wrapped = wrap.read(&collection, 0, 0).unwrap();
        assert!(wrapped.len() == 50 && wrapped[..10] == wrapped[40..]);
        assert_eq!(wrapped[9..12], [9.0, 0.0, 1.0].map(|index: f32| index / (1 << 20) as f32));
        let padded = sampler(ShortTracks::Pad).read(&collection, 3, 0).unwrap();
        assert!(padded.len() == 50 && padded[49] == 0.0 && padded[48] > 3.0);
        for step in 0..6 {
            let place = wrap.place(&collection, step, 0, 0).unwrap();
            assert!(place.track == 1 || place.starts == [0]);
        }
    }

    #[test]
    fn what_cannot_be_sampled_is_an_error_with_numbers() {
        let collection = ramps(&[10, 49, 0], &[]);
        let error = Sampler::new(&collection, &config(1, EpochEnd::Continue), 1).err().unwrap().to_string();
        assert!(error.contains("none of 2 tracks") && error.contains("0.50 s") && error.contains("0.49 s"), "{error}");
        assert!(Sampler::new(&collection, &config(0, EpochEnd::Continue), 1).is_err());
        let text = r#"{"clips_per_batch": 2, "crop": {"seconds": 1}, "epoch_end": "whole-batches", "sead": 1}"#;
        assert!(serde_json::from_str::<SamplingConfig>(text).unwrap_err().to_string().contains("sead"));
    }
}
