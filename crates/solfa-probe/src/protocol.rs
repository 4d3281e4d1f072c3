//! How probes are run: published protocols by name, and every choice of them as plain data.
//!
//! | | `linear` | `marble-v1` | `marble-v2` |
//! |---|---|---|---|
//! | head | linear, on standardised features | MLP-512, dropout 0.2 | MLP-512, dropout 0.2 |
//! | for separation | LSTM-3x512 | LSTM-3x512 | LSTM-3x512 (v2 does not have the task) |
//! | layers | every one | every one, and their weighted sum | every one, and MLPReduce |
//! | learning rates | 1e-4, 1e-3, 1e-2 | 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2 | that of the task's configuration |
//! | batch, epochs, patience | 64, 100, 20 | 64, by task, by task | 64 (tags 32), by task, by task |
//! | clips | the task's | the task's of v1 | the task's of v2 |
//! | chosen by | validation, tracks | validation, tracks | validation, tracks |
//!
//! Sources: Yuan et al. 2023 (MARBLE), appendix A, and its two code bases: a43992899/MARBLE-Benchmark at d9300e3 and
//! a43992899/MARBLE at 938c03a. Deviations, all towards what their papers say: the best epoch is restored (v2 tests the last
//! one), validation scores tracks (v2 scores clips for some tasks), downbeats have their own range of tempi (v2 uses that of
//! beats), chords that are neither major nor minor are left out (v2 takes `X` for silence), at least three seeds (both have
//! one). [`Protocol::faithful`] takes them back.

use serde::{Deserialize, Serialize};
use solfa_eval::task::{Scope, Task, TaskKind};

use crate::answers::{Aggregation, AnswerRules};
use crate::head::HeadKind;
use crate::separation::SeparationSettings;
use crate::train::{Plateau, Training};

/// Which layers a head sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerPlan {
    /// A head for every layer, one at a time.
    Each,
    /// A head on a learned weighted sum of all.
    Weighted,
    /// A head on all, one after the other.
    All,
    /// A head on all, brought back to one layer's width by a linear layer.
    Reduced,
    /// A head for each of these layers.
    Numbers(Vec<usize>),
}

/// What stands for a clip in answers about whole tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClipVector {
    /// The mean of its frames.
    #[default]
    #[serde(rename = "mean")]
    Mean,
    /// The class token, of an encoder that has one.
    #[serde(rename = "cls")]
    ClassToken,
}

/// Every choice of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Its name in results.
    pub name: String,
    /// The network on top.
    pub head: HeadKind,
    /// Which layers heads see.
    pub layers: Vec<LayerPlan>,
    /// Step sizes that validation chooses from.
    pub learning_rates: Vec<f64>,
    /// A training for each.
    pub seeds: Vec<u64>,
    /// Items of one step; for frames, see [`frame_batch_size`](Self::frame_batch_size).
    pub batch_size: usize,
    /// Frames of one step, for tasks that say something of every frame.
    pub frame_batch_size: usize,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Epochs at most.
    pub max_epochs: u32,
    /// Epochs without a better validation score after which training ends.
    pub stop_patience: u32,
    /// How the learning rate falls.
    pub plateau: Option<Plateau>,
    /// Whether features are shifted and scaled by the training split's means and deviations.
    pub standardize: bool,
    /// Length of clips in seconds; `None` for the task's own.
    pub clip_seconds: Option<f64>,
    /// What stands for a clip in answers about whole tracks.
    pub clip_vector: ClipVector,
    /// The last clip of a recording counts when it is at least this share of a clip, or the only one.
    pub minimum_share: f64,
    /// Frames per second at most, for tasks that say something of every frame.
    pub maximum_frames_per_second: f64,
    /// Share of the training tracks that is learned from, from 0 to 1.
    pub label_fractions: Vec<f64>,
    /// How many draws of each share below 1.
    pub draws: u32,
    /// Whether the last epoch is used and not the best one.
    pub keeps_last_epoch: bool,
    /// How outputs become answers.
    pub answers: AnswerRules,
    /// The network for separation, which takes the head's place there.
    pub separation: SeparationSettings,
}

/// The names of [`Protocol::named`].
pub const PROTOCOLS: [&str; 3] = ["linear", "marble-v1", "marble-v2"];

/// MARBLE's head.
const MARBLE_HEAD: HeadKind = HeadKind::Mlp { hidden: 512, dropout: 0.2 };

/// MARBLE's grid of its paper's constrained track.
const MARBLE_LEARNING_RATES: [f64; 6] = [5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2];

impl Protocol {
    /// A published protocol for a task; `None` for a name that is not in [`PROTOCOLS`].
    pub fn named(name: &str, task: &Task) -> Option<Self> {
        match name {
            "linear" => Some(Self::linear()),
            "marble-v1" => Some(Self::marble_v1(task)),
            "marble-v2" => Some(Self::marble_v2(task)),
            _ => None,
        }
    }

    /// A linear head on standardised features: what a layer shows to the simplest reader.
    pub fn linear() -> Self {
        Self {
            name: "linear".to_owned(),
            head: HeadKind::Linear,
            layers: vec![LayerPlan::Each],
            learning_rates: vec![1e-4, 1e-3, 1e-2],
            seeds: vec![0, 1, 2],
            batch_size: 64,
            frame_batch_size: 1024,
            weight_decay: 0.0,
            max_epochs: 100,
            stop_patience: 20,
            plateau: Some(Plateau { factor: 0.5, patience: 6 }),
            standardize: true,
            clip_seconds: None,
            clip_vector: ClipVector::Mean,
            minimum_share: 0.5,
            maximum_frames_per_second: 25.0,
            label_fractions: vec![1.0],
            draws: 4,
            keeps_last_epoch: false,
            answers: AnswerRules::default(),
            separation: SeparationSettings::MARBLE,
        }
    }

    /// MARBLE v1's constrained track, with the epochs and patience of its code.
    fn marble_v1(task: &Task) -> Self {
        // Epochs, patience of the learning rate, patience of training.
        let (max_epochs, plateau_patience, stop_patience) = match (task.name.as_str(), task.kind) {
            ("nsynth-pitch" | "nsynth-instrument", _) => (50, 3, 10),
            ("gtzan-genre" | "gtzan-beats", _) => (100, 6, 20),
            ("vocalset-technique", _) => (100, 5, 10),
            ("maestro", _) => (50, 3, 5),
            (_, TaskKind::Separation) => (50, 5, 20),
            (_, TaskKind::Tags) => (100, 3, 10),
            _ => (100, 5, 20),
        };
        Self {
            name: "marble-v1".to_owned(),
            head: MARBLE_HEAD,
            layers: vec![LayerPlan::Each, LayerPlan::Weighted],
            learning_rates: MARBLE_LEARNING_RATES.to_vec(),
            max_epochs,
            stop_patience,
            plateau: Some(Plateau { factor: 0.5, patience: plateau_patience }),
            standardize: false,
            maximum_frames_per_second: 75.0,
            minimum_share: 1.0 / 30.0,
            ..Self::linear()
        }
    }

    /// MARBLE v2's configurations.
    fn marble_v2(task: &Task) -> Self {
        let (clip_seconds, minimum_share, max_epochs, stop_patience) = match (task.name.as_str(), task.kind) {
            ("gtzan-genre", _) => (30.2, 0.8, 100, 20),
            ("emomusic", _) => (15.0, 0.8, 100, 20),
            ("giantsteps-key", _) => (30.0, 0.8, 50, 20),
            (_, TaskKind::Key) => (15.0, 0.8, 50, 10),
            ("mtt", _) => (30.0, 0.8, 50, 10),
            (_, TaskKind::Tags) => (30.0, 0.8, 20, 10),
            (_, TaskKind::Beats) => (10.0, 0.8, 50, 10),
            ("hooktheory-structure", _) | (_, TaskKind::Chords) => (15.0, 0.1, 50, 10),
            _ => (task.clip_seconds, 0.8, 50, 10),
        };
        let plateau = match (task.name.as_str(), task.kind) {
            ("gtzan-genre", _) => Plateau { factor: 0.5, patience: 6 },
            (_, TaskKind::Key) | ("hooktheory-structure", _) => Plateau { factor: 0.1, patience: 5 },
            (_, TaskKind::Tags) => Plateau { factor: 0.5, patience: 3 },
            _ => Plateau { factor: 0.5, patience: 5 },
        };
        let aggregation = match task.name.as_str() {
            "gtzan-genre" => Aggregation::MeanProbabilities,
            _ => Aggregation::MeanLogits,
        };
        Self {
            name: "marble-v2".to_owned(),
            head: MARBLE_HEAD,
            layers: vec![LayerPlan::Each, LayerPlan::Reduced],
            learning_rates: vec![if task.name == "gtzan-genre" { 5e-3 } else { 1e-3 }],
            batch_size: if task.kind == TaskKind::Tags { 32 } else { 64 },
            max_epochs,
            stop_patience,
            plateau: Some(plateau),
            standardize: false,
            clip_seconds: Some(clip_seconds),
            minimum_share,
            answers: AnswerRules { aggregation, ..AnswerRules::default() },
            ..Self::linear()
        }
    }

    /// The protocol with the published code's own choices where they are faults: one seed (1234) and beats of all tracks
    /// pooled and rounded to frames; for v2 also the last epoch in the place of the best, validation on clips, MARBLE's chord
    /// labels, beats decoded in clips of 10 s, and downbeats in the range of beats.
    #[must_use]
    pub fn faithful(mut self) -> Self {
        /// MARBLE v2's clips for beats.
        const BEAT_CLIP_SECONDS: f64 = 10.0;
        let is_v2 = self.name == "marble-v2";
        self.name += "-faithful";
        self.seeds = vec![1234];
        self.keeps_last_epoch = is_v2;
        self.answers.scoring.pooled_beats = true;
        self.answers.beats_on_frames = true;
        self.answers.validates_clips = is_v2;
        self.answers.marble_chords = is_v2;
        self.answers.downbeats_as_beats = is_v2;
        self.answers.beat_clip_seconds = is_v2.then_some(BEAT_CLIP_SECONDS);
        self
    }

    /// A learning rate and a seed for each training, the seeds of one rate side by side.
    pub(crate) fn jobs(&self) -> Vec<(f64, u64)> {
        let seeds = |&rate: &f64| self.seeds.iter().map(move |&seed| (rate, seed));
        self.learning_rates.iter().flat_map(seeds).collect()
    }

    /// How a head is trained with one of the learning rates.
    pub(crate) fn training(&self, scope: Scope, learning_rate: f64) -> Training {
        Training {
            batch_size: if scope == Scope::Frame { self.frame_batch_size } else { self.batch_size },
            learning_rate,
            weight_decay: self.weight_decay,
            max_epochs: self.max_epochs,
            stop_patience: self.stop_patience,
            plateau: self.plateau,
            keeps_last_epoch: self.keeps_last_epoch,
        }
    }

    /// The head's name in results, for a task of some scope.
    pub fn head_name(&self, scope: Scope) -> String {
        if scope == Scope::Sound { self.separation.name() } else { self.head.name() }
    }

    /// What is wrong with the choices; nothing where they can be run.
    ///
    /// # Errors
    /// The first choice that cannot be run, in words.
    pub fn check(&self) -> Result<(), String> {
        let positive =
            |what: &str, values: &[f64]| match values.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
                Some(value) => Err(format!("{what}: expected numbers above 0, found {value}")),
                None if values.is_empty() => Err(format!("{what}: expected at least one")),
                None => Ok(()),
            };
        positive("learning_rates", &self.learning_rates)?;
        positive("label_fractions", &self.label_fractions)?;
        positive("maximum_frames_per_second", &[self.maximum_frames_per_second])?;
        positive("clip_seconds", &self.clip_seconds.map_or(vec![1.0], |seconds| vec![seconds]))?;
        if let Some(fraction) = self.label_fractions.iter().find(|fraction| **fraction > 1.0) {
            return Err(format!("label_fractions: expected shares up to 1, found {fraction}"));
        }
        if self.seeds.is_empty() {
            return Err("seeds: expected at least one".to_owned());
        }
        if self.layers.is_empty() {
            return Err("layers: expected at least one of each, weighted, all, reduced, or numbers".to_owned());
        }
        for (what, count) in [("batch_size", self.batch_size), ("frame_batch_size", self.frame_batch_size)] {
            if count == 0 {
                return Err(format!("{what}: expected 1 or more, found 0"));
            }
        }
        if let HeadKind::Mlp { hidden, dropout } = self.head
            && (hidden == 0 || !(0.0..1.0).contains(&dropout))
        {
            return Err(format!(
                "head: expected a width above 0 and dropout from 0 to below 1, found {hidden} and {dropout}"
            ));
        }
        self.separation.check()
    }
}

#[cfg(test)]
mod tests {
    use solfa_eval::task::TASKS;

    use super::*;

    #[test]
    fn every_protocol_fits_every_task() {
        for (name, ..) in TASKS {
            let task = Task::named(name).unwrap();
            for protocol in PROTOCOLS {
                let protocol = Protocol::named(protocol, &task).unwrap();
                protocol.check().unwrap();
                assert!(protocol.seeds.len() >= 3);
                assert_eq!(protocol.faithful().seeds, [1234]);
            }
        }
        assert!(Protocol::named("marble", &Task::named("mtt").unwrap()).is_none());
    }

    #[test]
    fn marble_is_as_published() {
        let genre = Task::named("gtzan-genre").unwrap();
        let first = Protocol::named("marble-v1", &genre).unwrap();
        assert_eq!(first.head, HeadKind::Mlp { hidden: 512, dropout: 0.2 });
        assert_eq!((first.learning_rates.len(), first.batch_size, first.stop_patience), (6, 64, 20));
        assert_eq!(first.plateau, Some(Plateau { factor: 0.5, patience: 6 }));
        let second = Protocol::named("marble-v2", &genre).unwrap();
        assert_eq!((second.learning_rates, second.clip_seconds), (vec![5e-3], Some(30.2)));
        let tags = Protocol::named("marble-v2", &Task::named("jamendo-genre").unwrap()).unwrap();
        assert_eq!((tags.batch_size, tags.max_epochs, tags.keeps_last_epoch), (32, 20, false));
        assert!(tags.faithful().keeps_last_epoch);
    }

    #[test]
    fn choices_that_cannot_be_run_are_named() {
        type Change = fn(&mut Protocol);
        let changes: [(Change, &str); 8] = [
            (|protocol| protocol.learning_rates.clear(), "learning_rates"),
            (|protocol| protocol.learning_rates = vec![f64::NAN], "learning_rates"),
            (|protocol| protocol.label_fractions = vec![2.0], "label_fractions"),
            (|protocol| protocol.seeds.clear(), "seeds"),
            (|protocol| protocol.layers.clear(), "layers"),
            (|protocol| protocol.batch_size = 0, "batch_size"),
            (|protocol| protocol.head = HeadKind::Mlp { hidden: 0, dropout: 0.2 }, "head"),
            (|protocol| protocol.separation.num_layers = 0, "separation.num_layers"),
        ];
        for (change, expected) in changes {
            let mut protocol = Protocol::linear();
            change(&mut protocol);
            assert!(protocol.check().unwrap_err().starts_with(expected), "{expected}");
        }
    }

    #[test]
    fn a_protocol_survives_toml() {
        let protocol = Protocol::linear();
        let text = toml::to_string(&protocol).unwrap();
        assert_eq!(toml::from_str::<Protocol>(&text).unwrap(), protocol);
        assert!(toml::from_str::<Protocol>(&format!("sedes = 1\n{text}")).unwrap_err().to_string().contains("sedes"));
    }
}
