//! Batches, read ahead.
//!
//! Threads take clips in order, as many ahead as was agreed, and make each on their own: what is in a clip does not depend
//! on them. The caller gets batches in the order of the steps, and is told how long it had to wait.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{ClipPlace, Collection, DataError, Sampler, SkippedTrack};

/// How much is read ahead. No choice here changes what is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderThreads {
    /// Threads that read.
    pub threads: usize,
    /// Batches that may be ready, or in the making, before they are asked for. This bounds memory.
    pub batches_ahead: usize,
}

impl Default for LoaderThreads {
    /// Two of each: enough where reading a batch is faster than learning from it.
    fn default() -> Self {
        Self { threads: 2, batches_ahead: 2 }
    }
}

/// A clip, as a recipe sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// The track's number.
    pub track: usize,
    /// The track's name.
    pub name: String,
    /// Where in the track each crop begins, in samples.
    pub starts: Vec<u64>,
    /// The samples of each crop, after the views: one crop, or two.
    pub crops: Vec<Vec<f32>>,
    /// Tracks that could not be read, instead of which this one was taken.
    pub replaced: Vec<SkippedTrack>,
}

/// The clips of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step.
    pub step: u64,
    /// The clips, in their order.
    pub clips: Vec<Clip>,
    /// How long the caller waited for them.
    pub waited: Duration,
}

/// Hands out the batches of one step after another. Its threads stop when it is dropped.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    next_step: u64,
    waited: Duration,
    failed: BTreeMap<usize, (SkippedTrack, u64)>,
}

/// What the threads share.
struct Shared {
    collection: Collection,
    sampler: Sampler,
    state: Mutex<State>,
    /// A clip has been made.
    is_ready: Condvar,
    /// There is room for more clips, or all is over.
    has_room: Condvar,
}

/// Clips are counted from the start of step 0.
struct State {
    /// The next clip that a thread takes.
    next: u128,
    /// The first clip that may not be taken yet.
    limit: u128,
    ready: BTreeMap<u128, Result<Clip, DataError>>,
    is_over: bool,
}

impl Loader {
    /// Begins to read the batches from step `first_step` on.
    ///
    /// # Errors
    /// [`DataError::Setting`] for no threads or no batches ahead, or a thread that cannot be started.
    pub fn new(
        collection: Collection,
        sampler: Sampler,
        threads: LoaderThreads,
        first_step: u64,
    ) -> Result<Self, DataError> {
        for (field, value) in [("threads", threads.threads), ("batches_ahead", threads.batches_ahead)] {
            if value == 0 {
                return Err(DataError::Setting { field, value: "0".to_owned(), expected: "at least 1" });
            }
        }
        let clips = sampler.clips_per_batch() as u128;
        let next = u128::from(first_step) * clips;
        let limit = next + threads.batches_ahead as u128 * clips;
        let state = Mutex::new(State { next, limit, ready: BTreeMap::new(), is_over: false });
        let (is_ready, has_room) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { collection, sampler, state, is_ready, has_room });
        let waited = Duration::ZERO;
        let mut loader = Self { shared, threads: Vec::new(), next_step: first_step, waited, failed: BTreeMap::new() };
        for number in 0..threads.threads {
            let shared = Arc::clone(&loader.shared);
            let thread = std::thread::Builder::new().name(format!("loader {number}")).spawn(move || shared.work());
            let field = "threads";
            let refused = |error: std::io::Error| DataError::Setting {
                field,
                value: format!("{} ({error})", threads.threads),
                expected: "as many as the system can start",
            };
            // Those that have started stop as the loader is dropped.
            loader.threads.push(thread.map_err(refused)?);
        }
        Ok(loader)
    }

    /// The batch of the next step.
    ///
    /// # Errors
    /// [`DataError::AllDamaged`] where no track that was tried for a clip could be read, and [`DataError::Stopped`] ever
    /// after.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let shared = Arc::clone(&self.shared);
        let clips_per_batch = shared.sampler.clips_per_batch();
        let first = u128::from(self.next_step) * clips_per_batch as u128;
        let begun = Instant::now();
        let mut state = shared.lock();
        if state.is_over {
            return Err(DataError::Stopped);
        }
        while state.ready.range(first..first + clips_per_batch as u128).count() < clips_per_batch {
            state = shared.is_ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let waited = begun.elapsed();
        let later = state.ready.split_off(&(first + clips_per_batch as u128));
        let made = std::mem::replace(&mut state.ready, later);
        let clips: Result<Vec<Clip>, DataError> = made.into_values().collect();
        state.limit += clips_per_batch as u128;
        state.is_over = clips.is_err();
        drop(state);
        shared.has_room.notify_all();
        let batch = Batch { step: self.next_step, clips: clips?, waited };
        self.next_step += 1;
        self.waited += waited;
        for track in batch.clips.iter().flat_map(|clip| &clip.replaced) {
            self.failed.entry(track.track).or_insert_with(|| (track.clone(), 0)).1 += 1;
        }
        Ok(batch)
    }

    /// The step of the next batch.
    pub fn next_step(&self) -> u64 {
        self.next_step
    }

    /// How long the caller has waited for batches in all.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The sampler.
    pub fn sampler(&self) -> &Sampler {
        &self.shared.sampler
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.shared.collection
    }

    /// Tracks that could not be read for a batch that has been handed out, each with its first reason and how often it
    /// was replaced. Tracks that were never drawn are in [`Sampler::skipped`].
    pub fn failed(&self) -> impl Iterator<Item = (&SkippedTrack, u64)> {
        self.failed.values().map(|(track, times)| (track, *times))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.has_room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that has panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// No thread panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of one thread.
    fn work(&self) {
        while let Some(number) = self.take() {
            let clips = self.sampler.clips_per_batch() as u128;
            let (step, position) = ((number / clips) as u64, (number % clips) as usize);
            let made = catch_unwind(AssertUnwindSafe(|| self.make(step, position)));
            let made =
                made.unwrap_or_else(|_| Err(DataError::Panicked { name: format!("clip {position} of step {step}") }));
            self.lock().ready.insert(number, made);
            self.is_ready.notify_all();
        }
    }

    /// The next clip to make; `None` once all is over.
    fn take(&self) -> Option<u128> {
        let mut state = self.lock();
        while !state.is_over && state.next >= state.limit {
            state = self.has_room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    fn make(&self, step: u64, position: usize) -> Result<Clip, DataError> {
        let Self { collection, sampler, .. } = self;
        let mut replaced: Vec<SkippedTrack> = Vec::new();
        while let Some(place) = sampler.place(collection, step, position, replaced.len()) {
            let track = place.track;
            let name = collection.source().name(track);
            match self.read(&place, &name) {
                Ok(crops) => {
                    let crops = crops
                        .into_iter()
                        .zip(0..)
                        .map(|(samples, crop)| sampler.view(samples, collection, track, [step, position as u64, crop]))
                        .collect();
                    return Ok(Clip { track, name, starts: place.starts, crops, replaced });
                }
                Err(error) => replaced.push(SkippedTrack { track, name, reason: error.to_string() }),
            }
        }
        let count = replaced.len();
        let first = replaced.into_iter().next();
        let (name, reason) = first.map_or_else(Default::default, |track| (track.name, track.reason));
        Err(DataError::AllDamaged { count, name, reason })
    }

    /// The crops of a clip as they are in its track.
    fn read(&self, place: &ClipPlace, name: &str) -> Result<Vec<Vec<f32>>, DataError> {
        let read = |&start: &u64| self.sampler.read(&self.collection, place.track, start);
        let crops = catch_unwind(AssertUnwindSafe(|| place.starts.iter().map(read).collect::<Result<Vec<_>, _>>()))
            .unwrap_or_else(|_| Err(DataError::Panicked { name: name.to_owned() }))?;
        // One sample that is no number makes a whole batch useless.
        match crops.iter().flatten().find(|sample| !sample.is_finite()) {
            None => Ok(crops),
            Some(sample) => Err(DataError::Track { name: name.to_owned(), reason: format!("a sample is {sample}") }),
        }
    }
}

#[cfg(test)]
mod tests;
