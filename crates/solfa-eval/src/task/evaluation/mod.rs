//! Predictions against targets: every score of a task, with intervals over tracks.
//!
//! Some scores are means of what each track scores (accuracy, beats); others need all tracks at once (ROC-AUC, R²). Both
//! can be computed on any selection of tracks ([`scores`]), which is what the bootstrap and tests of significance ask for.
//! Which scores a kind of task has, and how they come of predictions, is in [`kinds`].

mod kinds;
mod scores;

use self::kinds::scores_of;
use self::scores::Scores;
use super::{Metric, Prediction, PredictionRules, Target, TaskKind};
use crate::metrics::MetricError;
use crate::statistics::{
    BOOTSTRAP_DRAWS, Comparison, Interval, PERMUTATIONS, bootstrap_interval, bootstrap_mean, paired_randomization,
};

/// Swaps of a test of significance for scores that sort all tracks anew each time.
const SWAPS_OF_RANKINGS: usize = 1000;

/// What is right for a track, and what was predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredTrack {
    /// What is right.
    pub target: Target,
    /// What was predicted.
    pub prediction: Prediction,
}

impl ScoredTrack {
    /// What is right for some tracks, and what was predicted for the same ones in the same order.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] where there are more of one than of the other.
    pub fn zip<'a>(
        targets: impl IntoIterator<Item = Target, IntoIter: ExactSizeIterator>,
        predictions: impl IntoIterator<Item = &'a Prediction, IntoIter: ExactSizeIterator>,
    ) -> Result<Vec<Self>, MetricError> {
        let (targets, predictions) = (targets.into_iter(), predictions.into_iter());
        let (expected, found) = (targets.len(), predictions.len());
        if expected != found {
            return Err(MetricError::LengthMismatch { what: "predictions", expected, found });
        }
        let track = |(target, prediction): (Target, &Prediction)| Self { target, prediction: prediction.clone() };
        Ok(targets.zip(predictions).map(track).collect())
    }
}

/// The scores of one task's predictions.
#[derive(Clone, Debug)]
pub struct Evaluation {
    scores: Vec<(Metric, Scores)>,
    num_tracks: usize,
}

impl Evaluation {
    /// Scores predictions. `num_classes` is the length of the task's list, where it has one.
    ///
    /// # Errors
    /// [`MetricError`] where there are no tracks, a prediction has another form than the task's, or values cannot be scored.
    pub fn new(
        kind: TaskKind,
        num_classes: usize,
        rules: PredictionRules,
        tracks: &[ScoredTrack],
    ) -> Result<Self, MetricError> {
        if tracks.is_empty() {
            return Err(MetricError::Empty { what: "tracks" });
        }
        let scores = scores_of(kind, num_classes, rules, tracks)?;
        Ok(Self { scores, num_tracks: tracks.len() })
    }

    /// Every score that is defined, in the task's order.
    pub fn values(&self) -> Vec<(Metric, f64)> {
        let all: Vec<usize> = (0..self.num_tracks).collect();
        self.scores.iter().filter_map(|(metric, scores)| Some((*metric, scores.on(&all)?))).collect()
    }

    /// The task's first score; `None` where it is not defined, as ROC-AUC without a positive example.
    pub fn headline(&self) -> Option<f64> {
        let all: Vec<usize> = (0..self.num_tracks).collect();
        self.scores.first()?.1.on(&all)
    }

    /// The 95 % interval of a score over tracks.
    pub fn interval(&self, metric: Metric, seed: u64) -> Option<Interval> {
        let scores = &self.find(metric)?;
        match scores {
            Scores::Mean(values) => bootstrap_mean(values, BOOTSTRAP_DRAWS, seed),
            scores => bootstrap_interval(self.num_tracks, scores.draws(), seed, |tracks| scores.on(tracks)),
        }
    }

    fn find(&self, metric: Metric) -> Option<&Scores> {
        self.scores.iter().find(|(found, _)| *found == metric).map(|(_, scores)| scores)
    }

    /// The mean over several evaluations of the same tracks (seeds), with its 95 % interval: each draw of tracks is scored in
    /// every evaluation. `None` where a score is not defined in one of them.
    pub fn mean_over(evaluations: &[Self], metric: Metric, seed: u64) -> Option<(f64, Option<Interval>)> {
        let scores: Vec<&Scores> =
            evaluations.iter().map(|evaluation| evaluation.find(metric)).collect::<Option<_>>()?;
        let num_tracks = evaluations.first()?.num_tracks;
        if evaluations.iter().any(|evaluation| evaluation.num_tracks != num_tracks) {
            return None;
        }
        let mean = |tracks: &[usize]| {
            let values = scores.iter().map(|scores| scores.on(tracks)).collect::<Option<Vec<f64>>>()?;
            Some(values.iter().sum::<f64>() / values.len() as f64)
        };
        let all: Vec<usize> = (0..num_tracks).collect();
        let draws = scores.iter().map(|scores| scores.draws()).min()?;
        Some((mean(&all)?, bootstrap_interval(num_tracks, draws, seed, mean)))
    }

    /// Compares two systems on the same tracks by the mean of a score over their seeds, which are paired in order: the first's
    /// less the second's with its 95 % interval over tracks, and how likely chance is. `None` where the score is not defined,
    /// or tracks or seeds are not as many.
    pub fn compare(first: &[Self], second: &[Self], metric: Metric, seed: u64) -> Option<(Comparison, Interval)> {
        let num_tracks = first.first()?.num_tracks;
        let is_paired = first.len() == second.len();
        if !is_paired || first.iter().chain(second).any(|evaluation| evaluation.num_tracks != num_tracks) {
            return None;
        }
        let pairs: Vec<(&Scores, &Scores)> =
            first.iter().zip(second).map(|(a, b)| Some((a.find(metric)?, b.find(metric)?))).collect::<Option<_>>()?;
        let mean = |difference: &dyn Fn(&Scores, &Scores) -> Option<f64>| {
            let sum = pairs.iter().map(|(a, b)| difference(a, b)).sum::<Option<f64>>()?;
            Some(sum / pairs.len() as f64)
        };
        let draws = pairs[0].0.draws();
        let swaps = if draws < BOOTSTRAP_DRAWS { SWAPS_OF_RANKINGS } else { PERMUTATIONS };
        let comparison =
            paired_randomization(num_tracks, swaps, seed, |swapped| mean(&|a, b| a.difference(b, swapped)))?;
        let interval =
            bootstrap_interval(num_tracks, draws, seed, |tracks| mean(&|a, b| Some(a.on(tracks)? - b.on(tracks)?)))?;
        Some((comparison, interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{BeatTimes, NoteEvent};

    fn track(target: Target, prediction: Prediction) -> ScoredTrack {
        ScoredTrack { target, prediction }
    }

    fn value(kind: TaskKind, num_classes: usize, tracks: &[ScoredTrack], name: &str) -> f64 {
        let evaluation = Evaluation::new(kind, num_classes, PredictionRules::default(), tracks).unwrap();
        let values = evaluation.values();
        values.iter().find(|(metric, _)| metric.name == name).unwrap_or_else(|| panic!("{name} in {values:?}")).1
    }

    fn scores(values: &[f64]) -> Prediction {
        Prediction::Scores(values.to_vec())
    }

    #[test]
    fn every_track_has_a_prediction() {
        let predictions = [scores(&[1.0, 0.0]), scores(&[0.0, 1.0])];
        let tracks = ScoredTrack::zip([Target::Class(0), Target::Class(1)], &predictions).unwrap();
        assert_eq!(tracks[1], track(Target::Class(1), scores(&[0.0, 1.0])));
        let error = ScoredTrack::zip([Target::Class(0)], &predictions).unwrap_err();
        assert_eq!(error, MetricError::LengthMismatch { what: "predictions", expected: 1, found: 2 });
    }

    #[test]
    fn beats_on_frames_are_rounded_on_both_sides() {
        let beats = |times: &[f64]| BeatTimes { beat: times.to_vec(), downbeat: Vec::new(), tempo: None };
        let tracks = [ScoredTrack {
            target: Target::Beats(beats(&[1.0, 2.0])),
            // 80 ms late: two of 25 frames a second, one of 10.
            prediction: Prediction::Beats(beats(&[1.08, 2.04])),
        }];
        let score = |rate| {
            let rules =
                PredictionRules { pooled_beats: true, beat_frames_per_second: rate, ..PredictionRules::default() };
            Evaluation::new(TaskKind::Beats, 0, rules, &tracks).unwrap().headline().unwrap()
        };
        assert_eq!((score(None), score(Some(25.0)), score(Some(5.0))), (0.5, 0.5, 1.0));
    }

    #[test]
    fn classes_are_scored() {
        let tracks = [
            track(Target::Class(0), scores(&[1.0, 0.0])),
            track(Target::Class(0), scores(&[0.0, 1.0])),
            track(Target::Class(1), scores(&[0.0, 1.0])),
            track(Target::Class(1), scores(&[0.5, 0.5])),
        ];
        assert_eq!(value(TaskKind::Class, 2, &tracks, "accuracy"), 0.5);
        let evaluation = Evaluation::new(TaskKind::Class, 2, PredictionRules::default(), &tracks).unwrap();
        let interval = evaluation.interval(TaskKind::Class.headline(), 1).unwrap();
        assert!(interval.low < 0.5 && interval.high > 0.5, "{interval:?}");
        let f1 = TaskKind::Class.metrics()[1];
        assert!(evaluation.interval(f1, 1).is_some());
        let same = [evaluation.clone()];
        assert_eq!(Evaluation::compare(&same, &same, TaskKind::Class.headline(), 1).unwrap().0.p_value, 1.0);
        assert_eq!(Evaluation::compare(&same, &same, f1, 1).unwrap().0.difference, 0.0);
        assert_eq!(Evaluation::compare(&same, &[], f1, 1), None);
        let perfect: Vec<ScoredTrack> = (0..40).map(|_| track(Target::Class(0), scores(&[1.0, 0.0]))).collect();
        let half: Vec<ScoredTrack> =
            (0..40).map(|place| track(Target::Class(0), scores(&[1.0, f64::from(place % 2) * 2.0]))).collect();
        let of =
            |tracks: &[ScoredTrack]| Evaluation::new(TaskKind::Class, 2, PredictionRules::default(), tracks).unwrap();
        let (comparison, interval) =
            Evaluation::compare(&[of(&perfect)], &[of(&half)], TaskKind::Class.headline(), 1).unwrap();
        assert_eq!(comparison.difference, 0.5);
        assert!(comparison.p_value < 0.001 && interval.low > 0.3 && interval.high < 0.7, "{comparison:?} {interval:?}");
        let (mean, _) =
            Evaluation::mean_over(&[evaluation.clone(), evaluation], TaskKind::Class.headline(), 1).unwrap();
        assert_eq!(mean, 0.5);
    }

    #[test]
    fn keys_have_two_rules() {
        let mut fifth_below = vec![0.0; 24];
        fifth_below[5] = 1.0;
        let tracks = [track(Target::Class(0), Prediction::Scores(fifth_below))];
        assert_eq!(value(TaskKind::Key, 24, &tracks, "key_weighted_score"), 0.0);
        let rules = PredictionRules { both_fifths: true, ..PredictionRules::default() };
        assert_eq!(Evaluation::new(TaskKind::Key, 24, rules, &tracks).unwrap().headline(), Some(0.5));
    }

    #[test]
    fn tags_and_numbers_need_all_tracks() {
        let tagged = [
            track(Target::Tags(vec![0]), scores(&[2.0, -1.0])),
            track(Target::Tags(vec![]), scores(&[1.0, -2.0])),
            track(Target::Tags(vec![1]), scores(&[-3.0, -1.5])),
        ];
        assert_eq!(value(TaskKind::Tags, 2, &tagged, "roc_auc_macro"), 0.75);
        let evaluation = Evaluation::new(TaskKind::Tags, 2, PredictionRules::default(), &tagged).unwrap();
        let same = [evaluation];
        let (comparison, _) = Evaluation::compare(&same, &same, TaskKind::Tags.headline(), 1).unwrap();
        assert_eq!((comparison.difference, comparison.p_value), (0.0, 1.0));
        let numbers = [
            track(Target::Numbers(vec![0.0, 1.0]), Prediction::Numbers(vec![0.0, 0.0])),
            track(Target::Numbers(vec![2.0, 3.0]), Prediction::Numbers(vec![2.0, 4.0])),
        ];
        assert_eq!(value(TaskKind::Numbers, 0, &numbers, "r2"), 0.5);
        assert_eq!(value(TaskKind::Numbers, 0, &numbers, "r2_0"), 1.0);
        assert_eq!(value(TaskKind::Numbers, 0, &numbers, "r2_1"), 0.0);
    }

    #[test]
    fn events_are_scored_track_by_track() {
        let times: Vec<f64> = (0..40).map(|beat| f64::from(beat) * 0.5).collect();
        let beats = |shift: f64| BeatTimes {
            beat: times.iter().map(|time| time + shift).collect(),
            downbeat: times.iter().step_by(4).map(|time| time + shift).collect(),
            tempo: Some(120.0),
        };
        let tracks = [
            track(Target::Beats(beats(0.0)), Prediction::Beats(beats(0.01))),
            track(Target::Beats(beats(0.0)), Prediction::Beats(beats(0.2))),
        ];
        assert_eq!(value(TaskKind::Beats, 0, &tracks, "beat_f_measure"), 0.5);
        assert_eq!(value(TaskKind::Beats, 0, &tracks, "downbeat_f_measure"), 0.5);
        assert_eq!(value(TaskKind::Beats, 0, &tracks, "tempo_accuracy_1"), 1.0);
        let rules = PredictionRules { pooled_beats: true, ..PredictionRules::default() };
        assert_eq!(Evaluation::new(TaskKind::Beats, 0, rules, &tracks).unwrap().headline(), Some(0.5));
        let onsets = [track(Target::Onsets(vec![0.5, 1.0]), Prediction::Onsets(vec![0.5]))];
        assert_eq!(value(TaskKind::Onsets, 0, &onsets, "onset_recall"), 0.5);
    }

    #[test]
    fn intervals_and_notes_are_scored() {
        let parts =
            |middle: f64, label: &str| vec![(0.0, middle, "C:maj".to_owned()), (middle, 10.0, label.to_owned())];
        let reference = Target::Intervals(Prediction::labelled(&parts(5.0, "G:maj")));
        let tracks = [track(reference.clone(), Prediction::Intervals(parts(6.0, "G:maj")))];
        assert!((value(TaskKind::Chords, 0, &tracks, "chord_majmin") - 0.9).abs() < 1e-12);
        assert!((value(TaskKind::Structure, 0, &tracks, "boundary_f_measure_3") - 1.0).abs() < 1e-12);
        assert!((value(TaskKind::Structure, 0, &tracks, "section_label_accuracy") - 0.9).abs() < 1e-12);
        let note = |pitch| NoteEvent { onset: 0.0, offset: 1.0, pitch };
        let tracks = [track(Target::Notes(vec![note(60.0)]), Prediction::Notes(vec![note(72.0)]))];
        assert_eq!(value(TaskKind::Melody, 0, &tracks, "raw_pitch_accuracy"), 0.0);
        assert!(value(TaskKind::Melody, 0, &tracks, "raw_chroma_accuracy") > 0.99);
        assert_eq!(value(TaskKind::Notes, 0, &tracks, "note_f_measure"), 0.0);
        let stems = vec![("vocals".to_owned(), 4.0), ("drums".to_owned(), 6.0)];
        let tracks = [track(Target::Stems(std::collections::BTreeMap::new()), Prediction::Sdr(stems))];
        assert_eq!(value(TaskKind::Separation, 0, &tracks, "sdr"), 5.0);
    }

    #[test]
    fn predictions_of_another_form_are_errors() {
        let rules = PredictionRules::default();
        let wrong = [track(Target::Class(0), Prediction::Onsets(vec![]))];
        assert!(Evaluation::new(TaskKind::Class, 2, rules, &wrong).is_err());
        let short = [track(Target::Class(0), scores(&[1.0]))];
        let error = Evaluation::new(TaskKind::Class, 2, rules, &short).unwrap_err();
        assert!(error.to_string().contains('2'), "{error}");
        let not_a_number = [track(Target::Class(0), scores(&[f64::NAN, 1.0]))];
        assert!(Evaluation::new(TaskKind::Class, 2, rules, &not_a_number).is_err());
        assert!(Evaluation::new(TaskKind::Class, 2, rules, &[]).is_err());
        assert!(Evaluation::new(TaskKind::Retrieval, 2, rules, &short).is_err());
    }

    #[test]
    fn tracks_are_looked_for_among_each_other() {
        let at = |work, vector: [f32; 2]| track(Target::Class(work), Prediction::Vector(vector.to_vec()));
        let tracks = [at(0, [1.0, 0.1]), at(0, [1.0, 0.0]), at(1, [0.0, 1.0]), at(1, [1.0, 0.05]), at(2, [-1.0, 0.0])];
        // Both of work 0 have the last of work 1 between them; the first of work 1 is nearest to a track of work 0.
        let map = value(TaskKind::Retrieval, 3, &tracks, "mean_average_precision");
        let expected = (1.0 / 2.0 + 1.0 / 2.0 + 1.0 / 2.0 + 1.0 / 3.0) / 4.0;
        assert!((map - expected).abs() < 1e-12, "{map} is not {expected}");
        assert_eq!(value(TaskKind::Retrieval, 3, &tracks, "recall_at_10"), 1.0);
        assert_eq!(value(TaskKind::Retrieval, 3, &tracks, "precision_at_10"), 0.1);
        assert!(Evaluation::new(TaskKind::Retrieval, 3, PredictionRules::default(), &tracks[3..]).is_err());
        let flat = [at(0, [0.0, 0.0]), at(0, [0.0, 0.0])];
        assert_eq!(value(TaskKind::Retrieval, 1, &flat, "mean_rank_of_first"), 1.0);
    }
}
