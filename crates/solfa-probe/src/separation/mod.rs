//! Separation: how much of each stem a network can draw from a mixture when it sees nothing of it but frozen features.
//!
//! One network for each stem, as in MARBLE v1's probe for MUSDB18: from the features of a frame to a mask on the
//! magnitudes of the mixture, learned by the squared error of what the mask leaves against the stem's magnitudes. Excerpts of
//! 6 s, 16 in a batch, are Open-Unmix's (Stöter et al. 2019). A Wiener filter makes the mask a gain: with the mixture's phase
//! and a residual that holds the rest, one step of expectation and maximisation on one channel comes to
//! `m² / (m² + (1 - m)²)`.
//!
//! All sound is mono at 24 kHz, as in MARBLE, so that scores are not those of the separation literature, which are of stereo
//! at 44.1 kHz. Where MARBLE has a frame of the spectrum for each of the features' 75 frames a second, hops here follow the
//! features' rate from 25 to 75 a second; slower features are repeated, faster ones skipped.

mod network;
mod sounds;

use burn::tensor::{Device, Tensor};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use solfa_eval::metrics::MetricError;
use solfa_eval::metrics::separation::global_sdr;
use solfa_signal::features::{FeatureError as SpectrumError, SpectralMask};

use self::network::SeparationNetwork;
use self::sounds::Song;
pub use self::sounds::{SAMPLE_RATE, SoundError};
use crate::adam::Adam;
use crate::features::TrackItems;
use crate::head::{Parameters, tensor};
use crate::mix::LayerMix;
use crate::problem::Problem;
use crate::train::{Course, Next, TrainError, Trained, Training, plain};

/// Length of the transform (MARBLE).
const FFT_SAMPLES: usize = 2048;

/// The hop for features of 75 frames a second or more, and for those of 25 or fewer.
const HOP_SAMPLES: [usize; 2] = [320, 960];

/// The network, and what it learns from at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeparationSettings {
    /// Width of the LSTMs.
    pub hidden: usize,
    /// Number of LSTMs, one on top of the other.
    pub num_layers: usize,
    /// Share of what goes from one LSTM to the next that is dropped in training.
    pub dropout: f32,
    /// Length of an excerpt in seconds.
    pub excerpt_seconds: f64,
    /// Excerpts of one step.
    pub excerpts_per_batch: usize,
}

impl SeparationSettings {
    /// MARBLE's network, and Open-Unmix's excerpts.
    pub const MARBLE: Self =
        Self { hidden: 512, num_layers: 3, dropout: 0.4, excerpt_seconds: 6.0, excerpts_per_batch: 16 };

    /// The name in results: `lstm-3x512`.
    pub fn name(&self) -> String {
        format!("lstm-{}x{}", self.num_layers, self.hidden)
    }

    /// What is wrong with them; nothing where they can be run.
    ///
    /// # Errors
    /// The first setting that cannot be run, in words.
    pub fn check(&self) -> Result<(), String> {
        for (what, count) in
            [("hidden", self.hidden), ("num_layers", self.num_layers), ("excerpts_per_batch", self.excerpts_per_batch)]
        {
            if count == 0 {
                return Err(format!("separation.{what}: expected 1 or more, found 0"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("separation.dropout: expected a share from 0 to below 1, found {}", self.dropout));
        }
        if !(self.excerpt_seconds.is_finite() && self.excerpt_seconds > 0.0) {
            return Err(format!(
                "separation.excerpt_seconds: expected a number above 0, found {}",
                self.excerpt_seconds
            ));
        }
        Ok(())
    }
}

/// Why stems could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum SeparationError {
    /// A song's sound cannot be had.
    #[error(transparent)]
    Sound(#[from] SoundError),
    /// No training gave finite numbers.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The spectrum cannot be computed.
    #[error(transparent)]
    Spectrum(#[from] SpectrumError),
    /// What was separated cannot be scored.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// The songs of one split with one stem, and their features.
pub(crate) struct StemSplit<'run> {
    songs: Vec<Song>,
    items: &'run TrackItems,
    /// The items of each song.
    ranges: Vec<Vec<usize>>,
}

impl<'run> StemSplit<'run> {
    /// Reads mixtures and one stem of some `tracks`, whose features `items` are: those at `places` of that list.
    ///
    /// # Errors
    /// A song without the stem, or that cannot be decoded.
    pub(crate) fn read(
        problem: &Problem,
        tracks: &[usize],
        places: &[usize],
        stem: &str,
        items: &'run TrackItems,
    ) -> Result<Self, SeparationError> {
        let songs = places.iter().map(|&place| Song::read(problem, tracks[place], stem)).collect::<Result<_, _>>()?;
        let ranges = items.ranges(tracks.len());
        Ok(Self { songs, items, ranges: places.iter().map(|&place| ranges[place].clone()).collect() })
    }
}

/// A stem's training: what all learning rates and seeds share.
pub(crate) struct StemTask<'run> {
    network: SeparationNetwork,
    settings: SeparationSettings,
    mask: SpectralMask,
    hop_samples: usize,
    train: &'run StemSplit<'run>,
    validation: &'run StemSplit<'run>,
    test: &'run StemSplit<'run>,
}

/// A network that was trained on one stem.
pub(crate) struct TrainedStem {
    pub(crate) trained: Trained,
    /// The ratio of signal to distortion of each test song in dB.
    pub(crate) test: Vec<f64>,
    /// Weights of the layers, where they are learned.
    pub(crate) layer_weights: Option<Vec<f64>>,
}

impl<'run> StemTask<'run> {
    pub(crate) fn new(
        mix: LayerMix,
        settings: SeparationSettings,
        train: &'run StemSplit<'run>,
        validation: &'run StemSplit<'run>,
        test: &'run StemSplit<'run>,
    ) -> Result<Self, SeparationError> {
        let of_features = (f64::from(SAMPLE_RATE) / train.items.items_per_second).round() as usize;
        let hop_samples = of_features.clamp(HOP_SAMPLES[0], HOP_SAMPLES[1]);
        let mask = SpectralMask::new(FFT_SAMPLES, hop_samples)?;
        let SeparationSettings { hidden, num_layers, dropout, .. } = settings;
        let network = SeparationNetwork { mix, hidden, num_layers, dropout, num_bins: mask.num_bins() };
        Ok(Self { network, settings, mask, hop_samples, train, validation, test })
    }

    /// Trains one network, and scores it on the test songs with the parameters of its best epoch.
    ///
    /// # Errors
    /// Where no epoch gave finite numbers, or sound cannot be scored.
    pub(crate) fn train(&self, training: &Training, seed: u64) -> Result<TrainedStem, SeparationError> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut learner = Learner::new(&self.network, &mut random);
        let mut course = Course::new(training);
        let mut epoch = 0;
        let trained = loop {
            epoch += 1;
            let (length, excerpts) = self.excerpts(&mut random);
            for batch in excerpts.chunks(self.settings.excerpts_per_batch) {
                let batch = self.batch(batch, length);
                learner.step(&self.network, batch, course.learning_rate(), training.weight_decay, &mut random);
            }
            if learner.parameters.iter().flatten().any(|value| !value.is_finite()) {
                break course.diverged(epoch)?;
            }
            let scores = self.score(&learner.parameters, self.validation)?;
            let validation = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
            let next = course.epoch_ended(epoch, learner.parameters.clone(), validation);
            if next == Next::Stop || epoch >= training.max_epochs {
                break course.finish()?;
            }
        };
        let test = self.score(&trained.parameters, self.test)?;
        let layer_weights = self.network.mix.weights(&trained.parameters);
        Ok(TrainedStem { trained, test, layer_weights })
    }

    /// Frames of the spectrum of a song.
    fn num_frames(&self, song: &Song) -> usize {
        song.mixture.len() / self.hop_samples + 1
    }

    /// An epoch's excerpts in random order, song and first frame, and the frames that each has: all of a song from a random
    /// place on, side by side. No excerpt is longer than the shortest song.
    fn excerpts(&self, random: &mut ChaCha8Rng) -> (usize, Vec<(usize, usize)>) {
        let wanted =
            (self.settings.excerpt_seconds * f64::from(SAMPLE_RATE) / self.hop_samples as f64).round() as usize;
        let shortest = self.train.songs.iter().map(|song| self.num_frames(song)).min().unwrap_or(1);
        let length = wanted.min(shortest).max(1);
        let mut excerpts = Vec::new();
        for (number, song) in self.train.songs.iter().enumerate() {
            let last = self.num_frames(song) - length;
            let first = random.random_range(0..=last.min(length));
            excerpts.extend((first..=last).step_by(length).map(|frame| (number, frame)));
        }
        excerpts.shuffle(random);
        (length, excerpts)
    }

    /// Features, and the magnitudes of mixture and stem, all excerpts' first frames first.
    fn batch(&self, excerpts: &[(usize, usize)], length: usize) -> Batch {
        let num_bins = self.network.num_bins;
        let mut items = vec![0; length * excerpts.len()];
        let mut batch = Batch {
            num_excerpts: excerpts.len(),
            features: Vec::new(),
            mixture: vec![0.0; items.len() * num_bins],
            stem: vec![0.0; items.len() * num_bins],
        };
        for (place, &(number, first)) in excerpts.iter().enumerate() {
            let song = &self.train.songs[number];
            for frame in 0..length {
                items[frame * excerpts.len() + place] = self.item(self.train, number, first + frame);
            }
            let start = first * self.hop_samples;
            let end = (start + (length - 1) * self.hop_samples).min(song.mixture.len());
            for (samples, into) in [(&song.mixture, &mut batch.mixture), (&song.stem, &mut batch.stem)] {
                let magnitudes = self.mask.magnitudes(&samples[start..end]);
                for (frame, row) in magnitudes.chunks_exact(num_bins).take(length).enumerate() {
                    let first = (frame * excerpts.len() + place) * num_bins;
                    into[first..first + num_bins].copy_from_slice(row);
                }
            }
        }
        batch.features = self.train.items.features.gather(&items);
        batch
    }

    /// The item of a song that lies at a frame of its spectrum.
    fn item(&self, split: &StemSplit<'_>, song: usize, frame: usize) -> usize {
        let seconds = (frame * self.hop_samples) as f64 / f64::from(SAMPLE_RATE);
        let items = &split.ranges[song];
        items[((seconds * split.items.items_per_second) as usize).min(items.len() - 1)]
    }

    /// The ratio of signal to distortion of each song's stem.
    fn score(&self, parameters: &Parameters, split: &StemSplit<'_>) -> Result<Vec<f64>, SeparationError> {
        let score = |(number, song): (usize, &Song)| {
            let items: Vec<usize> = (0..self.num_frames(song)).map(|frame| self.item(split, number, frame)).collect();
            let mut gains = self.network.predict(parameters, split.items.features.gather(&items), 1);
            gains.iter_mut().for_each(|mask| *mask = wiener_gain(*mask));
            Ok(global_sdr(&song.stem, &self.mask.apply(&song.mixture, &gains))?)
        };
        split.songs.iter().enumerate().map(score).collect()
    }
}

/// What one step learns from: `[frames * excerpts, ...]`.
struct Batch {
    num_excerpts: usize,
    features: Vec<f32>,
    mixture: Vec<f32>,
    stem: Vec<f32>,
}

/// A network in training.
struct Learner {
    /// What is learned, and the means and variances of norms.
    parameters: Parameters,
    shapes: Vec<[usize; 2]>,
    optimizers: Vec<Adam>,
    device: Device,
}

impl Learner {
    fn new(network: &SeparationNetwork, random: &mut ChaCha8Rng) -> Self {
        let shapes = network.shapes();
        let optimizers = shapes.iter().map(|[rows, columns]| Adam::new(rows * columns)).collect();
        Self { parameters: network.initial(random), shapes, optimizers, device: Device::flex().autodiff() }
    }

    fn step(
        &mut self,
        network: &SeparationNetwork,
        batch: Batch,
        learning_rate: f64,
        weight_decay: f64,
        random: &mut ChaCha8Rng,
    ) {
        let Batch { num_excerpts, features, mixture, stem } = batch;
        let rows = features.len() / network.mix.num_inputs();
        let leaves: Vec<Tensor<2>> = self
            .parameters
            .iter()
            .zip(&self.shapes)
            .map(|(values, shape)| tensor(values.clone(), *shape, &self.device).require_grad())
            .collect();
        let features = tensor(features, [rows, network.mix.num_inputs()], &self.device);
        let (mask, statistics) = network.forward_training(&leaves, features, num_excerpts, random);
        let shape = [rows, network.num_bins];
        let difference = mask * tensor(mixture, shape, &self.device) - tensor(stem, shape, &self.device);
        let mut gradients = (difference.clone() * difference).mean().backward();
        for ((leaf, optimizer), values) in leaves.iter().zip(&mut self.optimizers).zip(&mut self.parameters) {
            if let Some(gradient) = leaf.grad_remove(&mut gradients).map(Tensor::into_data) {
                optimizer.step(values, plain(&gradient), learning_rate as f32, weight_decay as f32);
            }
        }
        network.update_norms(&mut self.parameters, &statistics, rows);
    }
}

/// A mask on magnitudes as a gain on the spectrum.
fn wiener_gain(mask: f32) -> f32 {
    let (stem, residual) = (mask * mask, (1.0 - mask) * (1.0 - mask));
    stem / (stem + residual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_sharper_than_masks() {
        assert_eq!(wiener_gain(0.0), 0.0);
        assert_eq!(wiener_gain(0.5), 0.5);
        assert_eq!(wiener_gain(1.0), 1.0);
        assert!((wiener_gain(0.8) - 0.64 / 0.68).abs() < 1e-6);
        assert!(wiener_gain(3.0) < 1.0, "a mask beyond 1 leaves a residual");
    }
}
