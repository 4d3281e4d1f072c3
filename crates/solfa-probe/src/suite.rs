//! Several tasks and encoders at once: what a TOML file, or a command line, asks for.
//!
//! ```toml
//! models = ["mel", "muq-large-msd-iter"]
//! protocol = "marble-v1"
//!
//! [set]                      # choices that differ from the protocol, for all tasks
//! seeds = [0, 1, 2, 3, 4]
//!
//! [[task]]
//! task = "gtzan-genre"
//! data = "gtzan.jsonl"
//!
//! [[task]]
//! task = "my-moods"          # a task of one's own says its kind
//! kind = "tags"
//! data = "moods.jsonl"
//! set = { layers = ["weighted"] }
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use solfa_eval::task::{Scope, Task, TaskKind};

use crate::head::HeadKind;
use crate::protocol::{ClipVector, LayerPlan, PROTOCOLS, Protocol};
use crate::separation::SeparationSettings;

/// Tasks, encoders, and how heads are trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Encoders, as `--model` has them.
    #[serde(default)]
    pub models: Vec<String>,
    /// The protocol of all tasks that do not name another; `linear` where none is named.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Whether published faults are repeated: [`Protocol::faithful`].
    #[serde(default)]
    pub faithful: bool,
    /// Choices that differ from the protocol.
    #[serde(default)]
    pub set: Choices,
    /// The tasks.
    #[serde(rename = "task", default)]
    pub tasks: Vec<SuiteTask>,
}

/// One task of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteTask {
    /// A task of the field, or a name of one's own.
    pub task: String,
    /// What kind of task it is, where the name does not say.
    #[serde(default)]
    pub kind: Option<TaskKind>,
    /// Its data set; a relative path starts from the suite's file.
    pub data: PathBuf,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Choices that differ from the protocol, for this task.
    #[serde(default)]
    pub set: Choices,
}

/// Choices that take the place of a protocol's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// [`Protocol::layers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerPlan>>,
    /// [`Protocol::head`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadKind>,
    /// [`Protocol::learning_rates`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rates: Option<Vec<f64>>,
    /// [`Protocol::seeds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// [`Protocol::max_epochs`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_epochs: Option<u32>,
    /// [`Protocol::stop_patience`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_patience: Option<u32>,
    /// [`Protocol::label_fractions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_fractions: Option<Vec<f64>>,
    /// [`Protocol::draws`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draws: Option<u32>,
    /// [`Protocol::clip_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_seconds: Option<f64>,
    /// [`Protocol::clip_vector`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_vector: Option<ClipVector>,
    /// [`Protocol::maximum_frames_per_second`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_frames_per_second: Option<f64>,
    /// [`Protocol::standardize`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standardize: Option<bool>,
    /// [`Protocol::separation`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separation: Option<SeparationSettings>,
    /// Whether a fifth below counts for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub both_fifths: Option<bool>,
}

impl Choices {
    /// These choices, and another's where these say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        fn first<T: Clone>(choice: Option<T>, other: &Option<T>) -> Option<T> {
            choice.or_else(|| other.clone())
        }
        Self {
            layers: first(self.layers, &other.layers),
            head: first(self.head, &other.head),
            learning_rates: first(self.learning_rates, &other.learning_rates),
            seeds: first(self.seeds, &other.seeds),
            max_epochs: first(self.max_epochs, &other.max_epochs),
            stop_patience: first(self.stop_patience, &other.stop_patience),
            label_fractions: first(self.label_fractions, &other.label_fractions),
            draws: first(self.draws, &other.draws),
            clip_seconds: first(self.clip_seconds, &other.clip_seconds),
            clip_vector: first(self.clip_vector, &other.clip_vector),
            maximum_frames_per_second: first(self.maximum_frames_per_second, &other.maximum_frames_per_second),
            standardize: first(self.standardize, &other.standardize),
            separation: first(self.separation, &other.separation),
            both_fifths: first(self.both_fifths, &other.both_fifths),
        }
    }

    /// Puts these choices in the place of a protocol's.
    pub fn apply(&self, protocol: &mut Protocol) {
        fn put<T: Clone>(choice: &Option<T>, into: &mut T) {
            if let Some(choice) = choice {
                *into = choice.clone();
            }
        }
        put(&self.layers, &mut protocol.layers);
        put(&self.head, &mut protocol.head);
        put(&self.learning_rates, &mut protocol.learning_rates);
        put(&self.seeds, &mut protocol.seeds);
        put(&self.max_epochs, &mut protocol.max_epochs);
        put(&self.stop_patience, &mut protocol.stop_patience);
        put(&self.label_fractions, &mut protocol.label_fractions);
        put(&self.draws, &mut protocol.draws);
        put(&self.clip_vector, &mut protocol.clip_vector);
        put(&self.maximum_frames_per_second, &mut protocol.maximum_frames_per_second);
        put(&self.standardize, &mut protocol.standardize);
        put(&self.separation, &mut protocol.separation);
        put(&self.both_fifths, &mut protocol.answers.scoring.both_fifths);
        if self.clip_seconds.is_some() {
            protocol.clip_seconds = self.clip_seconds;
        }
    }
}

/// Why a suite cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A name that is neither a task of the field nor has a kind.
    #[error(
        "task `{name}` is not one of the field's: give its kind (class, key, tags, ...), or a name of `solfa data sets`"
    )]
    UnknownTask {
        /// The name.
        name: String,
    },
    /// A task of the field with another kind.
    #[error("task `{name}` is of the kind `{expected}`, not `{found}`")]
    OtherKind {
        /// The name.
        name: String,
        /// The kind it is.
        expected: &'static str,
        /// The kind that was given.
        found: &'static str,
    },
    /// A name that is no protocol.
    #[error("`{name}` is not a protocol: expected one of {}", PROTOCOLS.join(", "))]
    UnknownProtocol {
        /// The name.
        name: String,
    },
    /// A choice that cannot be run.
    #[error("task `{task}`: {reason}")]
    Choice {
        /// The task.
        task: String,
        /// What is wrong.
        reason: String,
    },
}

impl Suite {
    /// Each task with its protocol, resolved.
    ///
    /// # Errors
    /// [`SuiteError`] for the first that cannot be run.
    pub fn resolve(&self) -> Result<Vec<(Task, Protocol)>, SuiteError> {
        self.tasks.iter().map(|task| self.resolve_one(task)).collect()
    }

    fn resolve_one(&self, entry: &SuiteTask) -> Result<(Task, Protocol), SuiteError> {
        let task = match (Task::named(&entry.task), entry.kind) {
            (Some(task), Some(kind)) if task.kind != kind => {
                let (expected, found) = (task.kind.name(), kind.name());
                return Err(SuiteError::OtherKind { name: entry.task.clone(), expected, found });
            }
            (Some(task), _) => task,
            (None, Some(kind)) => Task::custom(&entry.task, kind),
            (None, None) => return Err(SuiteError::UnknownTask { name: entry.task.clone() }),
        };
        let name = entry.protocol.as_deref().or(self.protocol.as_deref()).unwrap_or(PROTOCOLS[0]);
        let unknown = || SuiteError::UnknownProtocol { name: name.to_owned() };
        let mut protocol = Protocol::named(name, &task).ok_or_else(unknown)?;
        if self.faithful {
            protocol = protocol.faithful();
        }
        self.set.apply(&mut protocol);
        entry.set.apply(&mut protocol);
        if task.kind.scope() == Scope::Sound && (self.set.head.is_some() || entry.set.head.is_some()) {
            let reason = "head: stems are separated by LSTMs alone; `separation` says how many and how wide";
            return Err(SuiteError::Choice { task: entry.task.clone(), reason: reason.to_owned() });
        }
        if protocol.clip_vector == ClipVector::ClassToken {
            if task.kind.scope() != Scope::Track {
                let reason = "clip_vector: class tokens say nothing of single frames: take `mean`";
                return Err(SuiteError::Choice { task: entry.task.clone(), reason: reason.to_owned() });
            }
            // Rows of the same protocol on means are something else.
            protocol.name += "-cls";
        }
        protocol.check().map_err(|reason| SuiteError::Choice { task: entry.task.clone(), reason })?;
        Ok((task, protocol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(text: &str) -> Suite {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn choices_take_the_place_of_the_protocols() {
        let suite = suite(
            "models = [\"mel\"]\nprotocol = \"marble-v1\"\n[set]\nseeds = [5]\n[[task]]\ntask = \"mtt\"\ndata = \
             \"mtt.jsonl\"\n[[task]]\ntask = \"moods\"\nkind = \"tags\"\ndata = \"m.jsonl\"\nprotocol = \"linear\"\nset = { \
             layers = [\"weighted\", { numbers = [3] }], learning_rates = [0.1] }\n",
        );
        let resolved = suite.resolve().unwrap();
        assert_eq!(resolved[0].1.name, "marble-v1");
        assert_eq!((resolved[0].1.seeds.clone(), resolved[0].1.learning_rates.len()), (vec![5], 6));
        assert_eq!(resolved[1].0.kind, TaskKind::Tags);
        assert_eq!(resolved[1].1.learning_rates, [0.1]);
        assert_eq!(resolved[1].1.layers, [LayerPlan::Weighted, LayerPlan::Numbers(vec![3])]);
    }

    #[test]
    fn what_is_said_first_counts_more() {
        let typed = Choices { seeds: Some(vec![1]), ..Choices::default() };
        let of_file = Choices { seeds: Some(vec![2]), draws: Some(3), ..Choices::default() };
        let both = typed.or(&of_file);
        assert_eq!((both.seeds, both.draws), (Some(vec![1]), Some(3)));
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let of = |task: &str| {
            suite(&format!("models = []\n[[task]]\ndata = \"a\"\n{task}")).resolve().unwrap_err().to_string()
        };
        assert!(of("task = \"moods\"").contains("moods"));
        assert!(of("task = \"mtt\"\nkind = \"class\"").contains("`tags`"));
        assert!(of("task = \"mtt\"\nprotocol = \"marble\"").contains("marble-v1"));
        assert!(of("task = \"mtt\"\nset = { seeds = [] }").contains("seeds"));
        assert!(of("task = \"chords\"\nset = { clip_vector = \"cls\" }").contains("single frames"));
        assert!(of("task = \"musdb18\"\nset = { head = { kind = \"linear\" } }").contains("LSTM"));
        assert!(toml::from_str::<Suite>("modles = []").unwrap_err().to_string().contains("modles"));
    }
}
