//! Predictions against targets: every score of a task, with intervals over tracks.
//!
//! Some scores are means of what each track scores (accuracy, beats); others need all tracks at once (ROC-AUC, R²). Both
//! can be computed on any selection of tracks, which is what the bootstrap and tests of significance ask for.

use std::sync::Arc;

use super::{BeatTimes, Metric, NoteEvent, Prediction, PredictionRules, Target, TaskKind};
use crate::metrics::MetricError;
use crate::metrics::beat::{BEAT_WINDOW_SECONDS, BeatScores, PooledFMeasure, TRIM_SECONDS, beat_f_measure, trim};
use crate::metrics::chord::chord_scores;
use crate::metrics::classification::{MultiLabel, average_precision, f1_multi_class, f1_multi_label, r2, roc_auc};
use crate::metrics::key::{FifthRule, Key, key_score};
use crate::metrics::melody::{Melody, melody_scores};
use crate::metrics::notes::{Note, note_scores};
use crate::metrics::onset::{ONSET_WINDOW_SECONDS, onset_f_measure};
use crate::metrics::retrieval::{Closeness, Rankings};
use crate::metrics::segment::segment_scores;
use crate::metrics::tempo::tempo_accuracy;
use crate::statistics::{
    BOOTSTRAP_DRAWS, Comparison, Interval, PERMUTATIONS, bootstrap_interval, bootstrap_mean, paired_randomization,
    weighted_mean,
};

/// Draws of the bootstrap for scores that sort all tracks anew each time.
const DRAWS_OF_RANKINGS: usize = 200;

/// Swaps of a test of significance for scores that sort all tracks anew each time.
const SWAPS_OF_RANKINGS: usize = 1000;

/// Seconds from one moment to the next at which melodies are compared.
const MELODY_HOP_SECONDS: f64 = 0.01;

/// What is right for a track, and what was predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredTrack {
    /// What is right.
    pub target: Target,
    /// What was predicted.
    pub prediction: Prediction,
}

/// The scores of one task's predictions.
#[derive(Clone, Debug)]
pub struct Evaluation {
    scores: Vec<(Metric, Scores)>,
    num_tracks: usize,
}

/// One score, as it can be computed on any selection of tracks.
#[derive(Clone, Debug)]
enum Scores {
    /// A mean of tracks' own values, each with its weight.
    Mean(Vec<(Option<f64>, f64)>),
    /// Macro F1 of classes.
    ClassF1(Arc<Classes>),
    /// A score of tags.
    Tags(TagScore, Arc<Tags>),
    /// R² of one dimension, or their mean.
    Numbers(Option<usize>, Arc<Numbers>),
    /// The F-measure of events of all tracks as one list.
    Pooled(Vec<PooledFMeasure>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TagScore {
    RocAuc,
    AveragePrecision,
    F1Macro,
    F1Micro,
}

#[derive(Clone, Debug)]
struct Classes {
    reference: Vec<usize>,
    estimate: Vec<usize>,
    num_classes: usize,
}

#[derive(Clone, Debug)]
struct Tags {
    labels: Vec<bool>,
    scores: Vec<f64>,
    num_classes: usize,
}

#[derive(Clone, Debug)]
struct Numbers {
    reference: Vec<f64>,
    estimate: Vec<f64>,
    width: usize,
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
        let scores = match kind {
            TaskKind::Class => classes(tracks, num_classes)?,
            TaskKind::Key => keys(tracks, rules)?,
            TaskKind::Tags => tags(tracks, num_classes)?,
            TaskKind::Numbers => numbers(tracks)?,
            TaskKind::Tempo => per_track(kind, tracks, |target, prediction| match (target, prediction) {
                (Target::Tempo(tempo), Prediction::Numbers(found)) => {
                    tempo_scores(Some(*tempo), found.first().copied())
                }
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Beats => beats(kind, tracks, rules)?,
            TaskKind::Onsets => per_track(kind, tracks, |target, prediction| match (target, prediction) {
                (Target::Onsets(reference), Prediction::Onsets(estimate)) => {
                    let score = onset_f_measure(reference, estimate, ONSET_WINDOW_SECONDS)?;
                    Ok(vec![Some(score.f_measure), Some(score.precision), Some(score.recall)])
                }
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Chords => chords(kind, tracks)?,
            TaskKind::Structure => per_track(kind, tracks, |target, prediction| match (target, prediction) {
                (Target::Intervals(reference), Prediction::Intervals(parts)) => {
                    let estimate = Prediction::labelled(parts);
                    let scores = segment_scores(reference, &estimate)?;
                    let names = ["F-measure@0.5", "F-measure@3.0", "Pairwise F-measure", "V-measure"];
                    let mut values: Vec<Option<f64>> = names.iter().map(|name| named(&scores, name)).collect();
                    values.push(label_share(reference, &estimate));
                    Ok(values)
                }
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Melody => per_track(kind, tracks, |target, prediction| match (target, prediction) {
                (Target::Notes(reference), Prediction::Notes(estimate)) => melody(reference, estimate),
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Notes => per_track(kind, tracks, |target, prediction| match (target, prediction) {
                (Target::Notes(reference), Prediction::Notes(estimate)) => {
                    let scores = note_scores(&notes(reference), &notes(estimate))?;
                    let names = ["F-measure_no_offset", "F-measure", "Average_Overlap_Ratio"];
                    Ok(names.iter().map(|name| named(&scores, name)).collect())
                }
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Separation => per_track(kind, tracks, |_, prediction| match prediction {
                Prediction::Sdr(stems) => {
                    let of = |name: &str| stems.iter().find(|(stem, _)| stem == name).map(|(_, sdr)| *sdr);
                    let mean = stems.iter().map(|(_, sdr)| sdr).sum::<f64>() / stems.len().max(1) as f64;
                    Ok(vec![Some(mean), of("vocals"), of("drums"), of("bass"), of("other")])
                }
                _ => Err(other_form(kind)),
            })?,
            TaskKind::Retrieval => retrieval(tracks)?,
        };
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

impl Scores {
    /// The score on a selection of tracks; `None` where it is not defined there.
    fn on(&self, tracks: &[usize]) -> Option<f64> {
        match self {
            Self::Mean(values) => weighted_mean(tracks.iter().map(|&track| values[track])),
            Self::ClassF1(data) => {
                let pick = |values: &[usize]| tracks.iter().map(|&track| values[track]).collect::<Vec<_>>();
                f1_multi_class(&pick(&data.reference), &pick(&data.estimate), data.num_classes).ok()?.macro_average
            }
            Self::Tags(score, data) => data.select(tracks, None).score(*score),
            Self::Numbers(dimension, data) => data.select(tracks, None).r2(*dimension),
            Self::Pooled(counts) => {
                let mut sum = PooledFMeasure::default();
                for &track in tracks {
                    sum.merge(&counts[track]);
                }
                Some(sum.score().f_measure)
            }
        }
    }

    /// The first's score less the second's, with the predictions of some tracks swapped.
    fn difference(&self, other: &Self, swapped: &[bool]) -> Option<f64> {
        let all: Vec<usize> = (0..swapped.len()).collect();
        match (self, other) {
            (Self::Mean(first), Self::Mean(second)) => {
                let mix = |a: &[(Option<f64>, f64)], b: &[(Option<f64>, f64)]| {
                    weighted_mean(all.iter().map(|&track| if swapped[track] { b[track] } else { a[track] }))
                };
                Some(mix(first, second)? - mix(second, first)?)
            }
            (Self::Tags(score, first), Self::Tags(_, second)) => {
                let one = first.select(&all, Some((second, swapped))).score(*score)?;
                Some(one - second.select(&all, Some((first, swapped))).score(*score)?)
            }
            (Self::Numbers(dimension, first), Self::Numbers(_, second)) => {
                let one = first.select(&all, Some((second, swapped))).r2(*dimension)?;
                Some(one - second.select(&all, Some((first, swapped))).r2(*dimension)?)
            }
            (Self::ClassF1(first), Self::ClassF1(second)) => {
                let mix = |a: &Classes, b: &Classes| {
                    let pick = |track: &usize| if swapped[*track] { b.estimate[*track] } else { a.estimate[*track] };
                    let estimate: Vec<usize> = all.iter().map(pick).collect();
                    f1_multi_class(&a.reference, &estimate, a.num_classes).ok()?.macro_average
                };
                Some(mix(first, second)? - mix(second, first)?)
            }
            (Self::Pooled(first), Self::Pooled(second)) => {
                let mix = |a: &[PooledFMeasure], b: &[PooledFMeasure]| {
                    let mut sum = PooledFMeasure::default();
                    for &track in &all {
                        sum.merge(if swapped[track] { &b[track] } else { &a[track] });
                    }
                    sum.score().f_measure
                };
                Some(mix(first, second) - mix(second, first))
            }
            _ => None,
        }
    }

    fn draws(&self) -> usize {
        match self {
            Self::Tags(..) => DRAWS_OF_RANKINGS,
            _ => BOOTSTRAP_DRAWS,
        }
    }
}

impl Tags {
    /// Some tracks' rows; where another's predictions are given, those of swapped tracks come from there.
    fn select(&self, tracks: &[usize], other: Option<(&Self, &[bool])>) -> Self {
        let width = self.num_classes;
        let mut selected = Self { labels: Vec::new(), scores: Vec::new(), num_classes: width };
        for &track in tracks {
            let row = track * width..(track + 1) * width;
            selected.labels.extend_from_slice(&self.labels[row.clone()]);
            let source = match other {
                Some((other, swapped)) if swapped[track] => other,
                _ => self,
            };
            selected.scores.extend_from_slice(&source.scores[row]);
        }
        selected
    }

    fn score(&self, score: TagScore) -> Option<f64> {
        let tags = MultiLabel::new(&self.labels, &self.scores, self.num_classes).ok()?;
        match score {
            TagScore::RocAuc => roc_auc(&tags).macro_average,
            TagScore::AveragePrecision => average_precision(&tags).macro_average,
            TagScore::F1Macro => f1_multi_label(&tags, 0.0).ok()?.macro_average,
            TagScore::F1Micro => Some(f1_multi_label(&tags, 0.0).ok()?.micro_average),
        }
    }
}

impl Numbers {
    fn select(&self, tracks: &[usize], other: Option<(&Self, &[bool])>) -> Self {
        let mut selected = Self { reference: Vec::new(), estimate: Vec::new(), width: self.width };
        for &track in tracks {
            let row = track * self.width..(track + 1) * self.width;
            selected.reference.extend_from_slice(&self.reference[row.clone()]);
            let source = match other {
                Some((other, swapped)) if swapped[track] => other,
                _ => self,
            };
            selected.estimate.extend_from_slice(&source.estimate[row]);
        }
        selected
    }

    fn r2(&self, dimension: Option<usize>) -> Option<f64> {
        let scores = r2(&self.reference, &self.estimate, self.width).ok()?;
        match dimension {
            None => Some(scores.mean),
            Some(dimension) => scores.per_dimension.get(dimension).copied(),
        }
    }
}

fn other_form(kind: TaskKind) -> MetricError {
    MetricError::Label {
        what: "prediction",
        found: kind.name().to_owned(),
        reason: "labels and predictions have another form than the task's".to_owned(),
    }
}

/// The number of the largest score: the first of equal ones.
fn largest(scores: &[f64]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

/// Classes that are right and predicted.
fn class_pairs(tracks: &[ScoredTrack], num_classes: usize) -> Result<(Vec<usize>, Vec<usize>), MetricError> {
    let pair = |track: &ScoredTrack| match (&track.target, &track.prediction) {
        (Target::Class(reference), Prediction::Scores(scores)) if scores.len() == num_classes => {
            match scores.iter().position(|score| !score.is_finite()) {
                Some(index) => Err(MetricError::NotFinite { what: "scores", index, value: scores[index] }),
                None => Ok((*reference, largest(scores))),
            }
        }
        (Target::Class(_), Prediction::Scores(scores)) => {
            Err(MetricError::LengthMismatch { what: "scores", expected: num_classes, found: scores.len() })
        }
        _ => Err(other_form(TaskKind::Class)),
    };
    tracks.iter().map(pair).collect()
}

fn classes(tracks: &[ScoredTrack], num_classes: usize) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let (reference, estimate) = class_pairs(tracks, num_classes)?;
    let right = reference.iter().zip(&estimate).map(|(a, b)| (Some(f64::from(u8::from(a == b))), 1.0)).collect();
    let metrics = TaskKind::Class.metrics();
    let data = Arc::new(Classes { reference, estimate, num_classes });
    Ok(vec![(metrics[0], Scores::Mean(right)), (metrics[1], Scores::ClassF1(data))])
}

fn keys(tracks: &[ScoredTrack], rules: PredictionRules) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let (reference, estimate) = class_pairs(tracks, Key::COUNT)?;
    let rule = if rules.both_fifths { FifthRule::Both } else { FifthRule::Ascending };
    let score = |(a, b): (&usize, &usize)| {
        let keys = Key::from_class_index(*a).zip(Key::from_class_index(*b));
        (keys.map(|(reference, estimate)| key_score(reference, estimate, rule)), 1.0)
    };
    let weighted = reference.iter().zip(&estimate).map(score).collect();
    let right = reference.iter().zip(&estimate).map(|(a, b)| (Some(f64::from(u8::from(a == b))), 1.0)).collect();
    let metrics = TaskKind::Key.metrics();
    Ok(vec![(metrics[0], Scores::Mean(weighted)), (metrics[1], Scores::Mean(right))])
}

fn tags(tracks: &[ScoredTrack], num_classes: usize) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let mut data = Tags { labels: Vec::new(), scores: Vec::new(), num_classes };
    for track in tracks {
        let (Target::Tags(tags), Prediction::Scores(scores)) = (&track.target, &track.prediction) else {
            return Err(other_form(TaskKind::Tags));
        };
        if scores.len() != num_classes {
            return Err(MetricError::LengthMismatch { what: "scores", expected: num_classes, found: scores.len() });
        }
        data.labels.extend((0..num_classes).map(|class| tags.contains(&class)));
        data.scores.extend_from_slice(scores);
    }
    MultiLabel::new(&data.labels, &data.scores, num_classes)?;
    let data = Arc::new(data);
    let scores = [TagScore::RocAuc, TagScore::AveragePrecision, TagScore::F1Macro, TagScore::F1Micro];
    let metrics = TaskKind::Tags.metrics().iter();
    Ok(metrics.zip(scores).map(|(metric, score)| (*metric, Scores::Tags(score, data.clone()))).collect())
}

fn numbers(tracks: &[ScoredTrack]) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let mut data = Numbers { reference: Vec::new(), estimate: Vec::new(), width: 0 };
    for track in tracks {
        let (Target::Numbers(reference), Prediction::Numbers(estimate)) = (&track.target, &track.prediction) else {
            return Err(other_form(TaskKind::Numbers));
        };
        if data.width == 0 {
            data.width = reference.len();
        }
        for found in [reference.len(), estimate.len()] {
            if found != data.width {
                return Err(MetricError::LengthMismatch { what: "numbers", expected: data.width, found });
            }
        }
        data.reference.extend_from_slice(reference);
        data.estimate.extend_from_slice(estimate);
    }
    if let Some(index) = data.estimate.iter().position(|value| !value.is_finite()) {
        return Err(MetricError::NotFinite { what: "numbers", index, value: data.estimate[index] });
    }
    let width = data.width;
    let data = Arc::new(data);
    let dimensions = [None, Some(0), Some(1)];
    let metrics = TaskKind::Numbers.metrics().iter().zip(dimensions);
    let has = |dimension: Option<usize>| dimension.is_none_or(|dimension| dimension < width);
    Ok(metrics
        .filter(|(_, dimension)| has(*dimension))
        .map(|(metric, dimension)| (*metric, Scores::Numbers(dimension, data.clone())))
        .collect())
}

/// Every track as a query among all others, by the cosine of their vectors. A track that is alone of its work is a candidate
/// and no query.
fn retrieval(tracks: &[ScoredTrack]) -> Result<Vec<(Metric, Scores)>, MetricError> {
    /// How far down a list `precision_at_10` and `recall_at_10` look.
    const DEPTH: usize = 10;
    let kind = TaskKind::Retrieval;
    let mut works = Vec::with_capacity(tracks.len());
    let mut directions: Vec<Vec<f64>> = Vec::with_capacity(tracks.len());
    for track in tracks {
        let (Target::Class(work), Prediction::Vector(vector)) = (&track.target, &track.prediction) else {
            return Err(other_form(kind));
        };
        if let Some(index) = vector.iter().position(|value| !value.is_finite()) {
            return Err(MetricError::NotFinite { what: "vectors", index, value: f64::from(vector[index]) });
        }
        let expected = directions.first().map_or(vector.len(), Vec::len);
        if vector.len() != expected {
            return Err(MetricError::LengthMismatch { what: "vectors", expected, found: vector.len() });
        }
        let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        // A vector without a direction is as near to all.
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        directions.push(vector.iter().map(|&value| f64::from(value) * scale).collect());
        works.push(*work);
    }
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosines: Vec<f64> =
        directions.iter().flat_map(|a| directions.iter().map(|b| cosine(a, b)).collect::<Vec<_>>()).collect();
    let rankings = Rankings::of_works(&cosines, &works, Closeness::Similarity)?;
    let mut ranks = rankings.relevant_ranks().iter();
    let mut columns: Vec<Vec<(Option<f64>, f64)>> = vec![Vec::with_capacity(tracks.len()); kind.metrics().len()];
    for work in &works {
        let is_query = works.iter().filter(|other| *other == work).count() > 1;
        let scores = if is_query { ranks.next() } else { None }.map(|ranks| {
            let precisions = ranks.iter().enumerate().map(|(found, &rank)| (found + 1) as f64 / rank as f64);
            let within = ranks.partition_point(|&rank| rank <= DEPTH) as f64;
            let count = ranks.len() as f64;
            [precisions.sum::<f64>() / count, ranks[0] as f64, within / DEPTH as f64, within / count]
        });
        for (place, column) in columns.iter_mut().enumerate() {
            column.push((scores.map(|scores| scores[place]), 1.0));
        }
    }
    Ok(kind.metrics().iter().copied().zip(columns.into_iter().map(Scores::Mean)).collect())
}

/// Scores that are means of tracks' own: `score` gives a value for each of the task's metrics.
fn per_track(
    kind: TaskKind,
    tracks: &[ScoredTrack],
    score: impl Fn(&Target, &Prediction) -> Result<Vec<Option<f64>>, MetricError>,
) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let mut columns: Vec<Vec<(Option<f64>, f64)>> = vec![Vec::with_capacity(tracks.len()); kind.metrics().len()];
    for track in tracks {
        for (column, value) in columns.iter_mut().zip(score(&track.target, &track.prediction)?) {
            column.push((value, 1.0));
        }
    }
    Ok(kind.metrics().iter().copied().zip(columns.into_iter().map(Scores::Mean)).collect())
}

/// Accuracy 1 and 2 and the absolute error of one tempo; nothing where the reference has none, and wrong where the estimate
/// has none.
fn tempo_scores(reference: Option<f64>, estimate: Option<f64>) -> Result<Vec<Option<f64>>, MetricError> {
    match (reference, estimate) {
        (None, _) => Ok(vec![None; 3]),
        (Some(reference), estimate) => {
            let scores = tempo_accuracy(&[reference], &[estimate.unwrap_or(0.0)])?;
            Ok(vec![Some(scores.accuracy_1), Some(scores.accuracy_2), Some(scores.mean_absolute_error)])
        }
    }
}

fn beat_pair<'track>(
    target: &'track Target,
    prediction: &'track Prediction,
) -> Result<(&'track BeatTimes, &'track BeatTimes), MetricError> {
    match (target, prediction) {
        (Target::Beats(reference), Prediction::Beats(estimate)) => Ok((reference, estimate)),
        _ => Err(other_form(TaskKind::Beats)),
    }
}

fn beats(kind: TaskKind, tracks: &[ScoredTrack], rules: PredictionRules) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let mut scores = per_track(kind, tracks, |target, prediction| {
        let (reference, estimate) = beat_pair(target, prediction)?;
        let suite = BeatScores::new(&reference.beat, &estimate.beat, TRIM_SECONDS)?;
        let downbeats = if reference.downbeat.is_empty() {
            None
        } else {
            let (reference, estimate) =
                (trim(&reference.downbeat, TRIM_SECONDS), trim(&estimate.downbeat, TRIM_SECONDS));
            Some(beat_f_measure(&reference, &estimate, BEAT_WINDOW_SECONDS)?.f_measure)
        };
        let mut values = vec![
            Some(suite.f_measure),
            downbeats,
            Some(suite.cemgil.score),
            Some(suite.continuity.correct_level_total),
            Some(suite.continuity.any_level_total),
            Some(suite.information_gain),
        ];
        values.extend(tempo_scores(reference.tempo, estimate.tempo)?);
        Ok(values)
    })?;
    if rules.pooled_beats {
        let (mut beats, mut downbeats) = (Vec::new(), Vec::new());
        for track in tracks {
            let (reference, estimate) = beat_pair(&track.target, &track.prediction)?;
            for (counts, reference, estimate) in [
                (&mut beats, &reference.beat, &estimate.beat),
                (&mut downbeats, &reference.downbeat, &estimate.downbeat),
            ] {
                let mut count = PooledFMeasure::default();
                match rules.beat_frames_per_second {
                    Some(rate) => {
                        count.add(&on_frames(reference, rate), &on_frames(estimate, rate), BEAT_WINDOW_SECONDS)?
                    }
                    None => count.add(reference, estimate, BEAT_WINDOW_SECONDS)?,
                }
                counts.push(count);
            }
        }
        scores[0].1 = Scores::Pooled(beats);
        scores[1].1 = Scores::Pooled(downbeats);
    }
    Ok(scores)
}

/// Times rounded to the nearest of so many frames a second.
fn on_frames(times: &[f64], frames_per_second: f64) -> Vec<f64> {
    times.iter().map(|time| (time * frames_per_second).round() / frames_per_second).collect()
}

/// Chord scores are weighted with the length of what is annotated, as MIREX does.
fn chords(kind: TaskKind, tracks: &[ScoredTrack]) -> Result<Vec<(Metric, Scores)>, MetricError> {
    let mut scores = per_track(kind, tracks, |target, prediction| match (target, prediction) {
        (Target::Intervals(reference), Prediction::Intervals(parts)) => {
            let scores = chord_scores(reference, &Prediction::labelled(parts))?;
            let names = ["majmin", "root", "thirds", "mirex", "sevenths", "seg"];
            Ok(names.iter().map(|name| named(&scores, name)).collect())
        }
        _ => Err(other_form(kind)),
    })?;
    for (_, scores) in &mut scores {
        if let Scores::Mean(values) = scores {
            for ((_, weight), track) in values.iter_mut().zip(tracks) {
                if let Target::Intervals(reference) = &track.target {
                    *weight = reference.span().map_or(0.0, |span| span.duration());
                }
            }
        }
    }
    Ok(scores)
}

/// The share of annotated time in which the estimate has the reference's label.
fn label_share(
    reference: &crate::metrics::intervals::LabelledIntervals,
    estimate: &crate::metrics::intervals::LabelledIntervals,
) -> Option<f64> {
    let (mut right, mut total) = (0.0, 0.0);
    for (interval, label) in reference.intervals.iter().zip(&reference.labels) {
        total += interval.duration();
        for (other, other_label) in estimate.intervals.iter().zip(&estimate.labels) {
            if label == other_label {
                right += (interval.end.min(other.end) - interval.start.max(other.start)).max(0.0);
            }
        }
    }
    (total > 0.0).then(|| right / total)
}

/// The melody's scores, both sampled every 10 ms up to the later end.
fn melody(reference: &[NoteEvent], estimate: &[NoteEvent]) -> Result<Vec<Option<f64>>, MetricError> {
    let end = reference.iter().chain(estimate).map(|note| note.offset).fold(0.0, f64::max);
    let times: Vec<f64> = (0..=(end / MELODY_HOP_SECONDS) as usize).map(|i| i as f64 * MELODY_HOP_SECONDS).collect();
    let sampled = |notes: &[NoteEvent]| {
        let mut frequencies = vec![0.0; times.len()];
        for note in notes {
            let first = (note.onset / MELODY_HOP_SECONDS).ceil() as usize;
            let last = ((note.offset / MELODY_HOP_SECONDS).ceil() as usize).min(times.len());
            for frequency in frequencies.iter_mut().take(last).skip(first) {
                *frequency = hertz(note.pitch);
            }
        }
        frequencies
    };
    let (reference, estimate) = (sampled(reference), sampled(estimate));
    let scores = melody_scores(
        Melody { times: &times, frequencies: &reference },
        Melody { times: &times, frequencies: &estimate },
    )?;
    Ok(vec![
        Some(scores.raw_pitch_accuracy),
        Some(scores.raw_chroma_accuracy),
        Some(scores.overall_accuracy),
        Some(scores.voicing_recall),
        Some(scores.voicing_false_alarm),
    ])
}

fn notes(events: &[NoteEvent]) -> Vec<Note> {
    events.iter().map(|note| Note { onset: note.onset, offset: note.offset, frequency: hertz(note.pitch) }).collect()
}

fn hertz(pitch: f64) -> f64 {
    440.0 * ((pitch - 69.0) / 12.0).exp2()
}

fn named(scores: &[(&'static str, f64)], name: &str) -> Option<f64> {
    scores.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
