//! The scores of each kind of task.

use std::sync::Arc;

use super::ScoredTrack;
use super::scores::{Classes, Numbers, Scores, TagScore, Tags};
use crate::metrics::MetricError;
use crate::metrics::beat::{BEAT_WINDOW_SECONDS, BeatScores, PooledFMeasure, TRIM_SECONDS, beat_f_measure, trim};
use crate::metrics::chord::chord_scores;
use crate::metrics::classification::MultiLabel;
use crate::metrics::key::{FifthRule, Key, key_score};
use crate::metrics::melody::{Melody, melody_scores};
use crate::metrics::notes::{Note, note_scores};
use crate::metrics::onset::{ONSET_WINDOW_SECONDS, onset_f_measure};
use crate::metrics::retrieval::{Closeness, Rankings};
use crate::metrics::segment::segment_scores;
use crate::metrics::tempo::tempo_accuracy;
use crate::task::{BeatTimes, Metric, NoteEvent, Prediction, PredictionRules, Target, TaskKind, likeliest_class};

/// Seconds from one moment to the next at which melodies are compared.
const MELODY_HOP_SECONDS: f64 = 0.01;

/// Every score of a kind of task, in its order.
pub(super) fn scores_of(
    kind: TaskKind,
    num_classes: usize,
    rules: PredictionRules,
    tracks: &[ScoredTrack],
) -> Result<Vec<(Metric, Scores)>, MetricError> {
    Ok(match kind {
        TaskKind::Class => classes(tracks, num_classes)?,
        TaskKind::Key => keys(tracks, rules)?,
        TaskKind::Tags => tags(tracks, num_classes)?,
        TaskKind::Numbers => numbers(tracks)?,
        TaskKind::Tempo => per_track(kind, tracks, |target, prediction| match (target, prediction) {
            (Target::Tempo(tempo), Prediction::Numbers(found)) => tempo_scores(Some(*tempo), found.first().copied()),
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
    })
}

fn other_form(kind: TaskKind) -> MetricError {
    MetricError::Label {
        what: "prediction",
        found: kind.name().to_owned(),
        reason: "labels and predictions have another form than the task's".to_owned(),
    }
}

/// Classes that are right and predicted.
fn class_pairs(tracks: &[ScoredTrack], num_classes: usize) -> Result<(Vec<usize>, Vec<usize>), MetricError> {
    let pair = |track: &ScoredTrack| match (&track.target, &track.prediction) {
        (Target::Class(reference), Prediction::Scores(scores)) if scores.len() == num_classes => {
            match scores.iter().position(|score| !score.is_finite()) {
                Some(index) => Err(MetricError::NotFinite { what: "scores", index, value: scores[index] }),
                None => Ok((*reference, likeliest_class(scores))),
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
