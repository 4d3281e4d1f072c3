//! An encoder on a task: what every way of probing starts from.

use solfa_eval::dataset::Split;
use solfa_eval::metrics::MetricError;
use solfa_eval::results::ResultFolder;
use solfa_eval::task::{Evaluation, Prediction, PredictionRules, ScoredTrack, Target};

use crate::features::CachedFeatures;
use crate::problem::Problem;

/// A task on a data set, an encoder's cached features of its recordings, and where what is found out is written.
#[derive(Clone, Debug)]
pub struct Subject<'run> {
    /// The task on its data set.
    pub problem: &'run Problem,
    /// The features.
    pub features: CachedFeatures<'run>,
    /// Name of the encoder, as people call it.
    pub encoder: &'run str,
    /// Where rows and predictions go.
    pub results: &'run ResultFolder,
    /// When, in UTC, as rows have it.
    pub time: &'run str,
    /// Version of the program.
    pub program_version: &'run str,
}

impl<'run> Subject<'run> {
    /// The tracks of a split that have features.
    pub(crate) fn usable(&self, split: Split) -> Vec<usize> {
        let tracks = self.problem.of_split(split).into_iter();
        tracks.filter(|&track| self.features.has(self.problem, track)).collect()
    }

    /// What is right for some tracks.
    pub(crate) fn targets(&self, tracks: &[usize]) -> Vec<&'run Target> {
        tracks.iter().map(|&track| &self.problem.tracks[track].target).collect()
    }

    /// The scores of what was said of some tracks.
    ///
    /// # Errors
    /// Predictions that are not of the task's form.
    pub(crate) fn evaluate(
        &self,
        tracks: &[usize],
        predictions: &[Prediction],
        rules: PredictionRules,
    ) -> Result<Evaluation, MetricError> {
        let scored = ScoredTrack::zip(self.targets(tracks).into_iter().cloned(), predictions)?;
        Evaluation::new(self.problem.task.kind, self.problem.classes.len(), rules, &scored)
    }
}
