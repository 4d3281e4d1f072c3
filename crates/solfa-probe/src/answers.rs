//! Between a task and a head: what outputs should be for each item, and what outputs say of a track.

use solfa_eval::dataset::Split;
use solfa_eval::decode::DecodeError;
use solfa_eval::decode::activations::{interpolated, relative_to_mean};
use solfa_eval::decode::beat_network::{BeatNetwork, TempoRange};
use solfa_eval::decode::peaks::PeakPicking;
use solfa_eval::decode::smoothing::{class_intervals, smooth_classes};
use solfa_eval::metrics::MetricError;
use solfa_eval::metrics::chord::{Chord, NUM_CHORD_CLASSES, chord_class_label, majmin_class, marble_class};
use solfa_eval::metrics::intervals::LabelledIntervals;
use solfa_eval::metrics::tempo::tempo_of_beats;
use solfa_eval::task::{
    BeatTimes, Evaluation, NoteEvent, Prediction, PredictionRules, ScoredTrack, Target, TaskKind, tempo_bins,
};

use crate::features::TrackItems;
use crate::items::{TargetBlock, Targets};
use crate::mix::softmax;
use crate::problem::Problem;

/// The lowest pitch that melodies and notes are heard at: the piano's lowest key.
const LOWEST_PITCH: usize = 21;

/// Pitches from the piano's lowest key to its highest.
const NUM_PITCHES: usize = 88;

/// Training targets of the frame of an event and of those beside it (MARBLE v2, where frames are 40 ms apart).
const NEIGHBOUR_TARGETS: [f32; 3] = [1.0, 0.5, 0.25];

/// Frames further from an event than this are not right at all, whatever their rate.
const NEIGHBOUR_SECONDS: f64 = 0.085;

/// Activations a second that beats are decoded from, at least: tempi are whole numbers of them.
const BEATS_PER_SECOND: f64 = 50.0;

/// How likely a class goes on to the next item at 10 items a second; adjusted to other rates.
const STAYS_AT_TEN: f64 = 0.9;

/// Weights of section labels and of boundaries in the loss for structure.
const STRUCTURE_WEIGHTS: [f32; 2] = [0.9, 0.1];

/// How items of a track are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// The mean of outputs before softmax or sigmoid.
    #[default]
    MeanLogits,
    /// The mean of probabilities.
    MeanProbabilities,
}

/// Choices that a protocol makes about answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerRules {
    /// How items of a track are put together.
    pub aggregation: Aggregation,
    /// Chord labels by MARBLE v2's mapping, and not by the vocabulary that is scored.
    pub marble_chords: bool,
    /// Downbeats decoded in the range of beats (55 to 215 a minute), as MARBLE v2 does, and not in that of bars.
    pub downbeats_as_beats: bool,
    /// Beats decoded from outputs as they are, at the items' rate, and rounded to it before they are scored, as MARBLE does:
    /// [`PredictionRules::beat_frames_per_second`].
    pub beats_on_frames: bool,
    /// Length in seconds of the clips that beats are decoded in, each on its own, as MARBLE v2 does; `None` decodes a track
    /// at once.
    pub beat_clip_seconds: Option<f64>,
    /// Validation scores clips and not tracks, as MARBLE v2 does for answers about whole tracks.
    pub validates_clips: bool,
    /// How predictions are scored.
    pub scoring: PredictionRules,
}

/// What a head's outputs mean for a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    kind: TaskKind,
    classes: Vec<String>,
    rules: AnswerRules,
    /// Means and deviations of the training labels, for numbers.
    scale: Vec<(f64, f64)>,
}

/// Why outputs could not be turned into predictions and scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// Activations could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Predictions could not be scored.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The task has no head of this form.
    #[error("task `{0}` has no head on frozen features")]
    NoHead(&'static str),
}

/// What is asked of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Everything that is scored.
    All,
    /// What the task's first score needs, after every epoch: no downbeats, which take most of the time.
    Headline,
}

impl Answers {
    /// The answers to a problem, of items at a rate. Numbers are scaled by the labels of its training split.
    pub fn new(problem: &Problem, mut rules: AnswerRules, items_per_second: f64) -> Self {
        if rules.beats_on_frames {
            rules.scoring.beat_frames_per_second = Some(items_per_second);
        }
        let mut scale = Vec::new();
        if problem.task.kind == TaskKind::Numbers {
            let labels: Vec<&Vec<f64>> = problem
                .of_split(Split::Train)
                .into_iter()
                .filter_map(|track| match &problem.tracks[track].target {
                    Target::Numbers(values) => Some(values),
                    _ => None,
                })
                .collect();
            let width = labels.first().map_or(0, |values| values.len());
            for dimension in 0..width {
                let column: Vec<f64> = labels.iter().filter_map(|values| values.get(dimension).copied()).collect();
                let mean = column.iter().sum::<f64>() / column.len() as f64;
                let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / column.len() as f64;
                scale.push((mean, if variance > 0.0 { variance.sqrt() } else { 1.0 }));
            }
        }
        Self { kind: problem.task.kind, classes: problem.classes.clone(), rules, scale }
    }

    /// Number of classes that scores are for.
    pub fn num_classes(&self) -> usize {
        match self.kind {
            TaskKind::Key => 24,
            _ => self.classes.len(),
        }
    }

    /// The rules of scoring.
    pub fn scoring(&self) -> PredictionRules {
        self.rules.scoring
    }

    /// What outputs should be for every item of some tracks.
    ///
    /// # Errors
    /// [`AnswerError::NoHead`] for separation and retrieval.
    pub fn targets(&self, targets: &[&Target], items: &TrackItems) -> Result<Vec<TargetBlock>, AnswerError> {
        let of_item = || items.track_of_item.iter().map(|&track| targets[track]);
        let block = |targets| vec![TargetBlock { targets, weight: 1.0 }];
        Ok(match self.kind {
            TaskKind::Class | TaskKind::Key => {
                let class = |target: &Target| if let Target::Class(class) = target { *class as i32 } else { -1 };
                block(Targets::Classes { num_classes: self.num_classes(), classes: of_item().map(class).collect() })
            }
            TaskKind::Tags => {
                let width = self.classes.len();
                let mut values = vec![0.0; items.track_of_item.len() * width];
                for (row, target) in values.chunks_exact_mut(width.max(1)).zip(of_item()) {
                    if let Target::Tags(tags) = target {
                        tags.iter().for_each(|&tag| row[tag] = 1.0);
                    }
                }
                block(Targets::Probabilities { width, values })
            }
            TaskKind::Numbers => {
                let width = self.scale.len();
                let scaled = |target: &Target| -> Vec<f32> {
                    let Target::Numbers(values) = target else { return vec![0.0; width] };
                    values.iter().zip(&self.scale).map(|(value, (mean, by))| ((value - mean) / by) as f32).collect()
                };
                block(Targets::Numbers { width, values: of_item().flat_map(scaled).collect() })
            }
            TaskKind::Tempo => {
                let bins = tempo_bins();
                let class = |target: &Target| match target {
                    Target::Tempo(tempo) => nearest_bin(&bins, *tempo) as i32,
                    _ => -1,
                };
                block(Targets::Classes { num_classes: bins.len(), classes: of_item().map(class).collect() })
            }
            TaskKind::Beats => {
                let beats = |target: &Target| match target {
                    Target::Beats(beats) => vec![beats.beat.clone(), beats.downbeat.clone()],
                    _ => vec![Vec::new(); 2],
                };
                block(events(targets, items, 2, beats))
            }
            TaskKind::Onsets => {
                let onsets = |target: &Target| match target {
                    Target::Onsets(onsets) => vec![onsets.clone()],
                    _ => vec![Vec::new()],
                };
                block(events(targets, items, 1, onsets))
            }
            TaskKind::Chords => {
                let class_of = |label: &str| {
                    let chord = Chord::parse(label).ok()?;
                    if self.rules.marble_chords { marble_class(&chord) } else { majmin_class(&chord) }
                };
                block(Targets::Classes {
                    num_classes: NUM_CHORD_CLASSES,
                    classes: labels_at(targets, items, |label| class_of(label).map_or(-1, |class| class as i32)),
                })
            }
            TaskKind::Structure => {
                let class_of =
                    |label: &str| self.classes.iter().position(|class| class == label).map_or(-1, |class| class as i32);
                let boundaries = |target: &Target| match target {
                    Target::Intervals(sections) => vec![sections.intervals.iter().map(|part| part.start).collect()],
                    _ => vec![Vec::new()],
                };
                let classes = labels_at(targets, items, class_of);
                let labels = Targets::Classes { num_classes: self.classes.len(), classes };
                vec![
                    TargetBlock { targets: labels, weight: STRUCTURE_WEIGHTS[0] },
                    TargetBlock { targets: events(targets, items, 1, boundaries), weight: STRUCTURE_WEIGHTS[1] },
                ]
            }
            TaskKind::Melody => {
                let mut classes = vec![0; items.track_of_item.len()];
                sounding(targets, items, |item, pitch| classes[item] = pitch as i32 + 1);
                block(Targets::Classes { num_classes: NUM_PITCHES + 1, classes })
            }
            TaskKind::Notes => {
                let mut values = vec![0.0; items.track_of_item.len() * NUM_PITCHES];
                sounding(targets, items, |item, pitch| values[item * NUM_PITCHES + pitch] = 1.0);
                block(Targets::Probabilities { width: NUM_PITCHES, values })
            }
            TaskKind::Separation | TaskKind::Retrieval => return Err(AnswerError::NoHead(self.kind.name())),
        })
    }

    /// What outputs say of each of `num_tracks` tracks.
    ///
    /// # Shapes
    /// - outputs: `[items, outputs]`
    ///
    /// # Errors
    /// [`AnswerError`] where activations cannot be decoded.
    pub fn predictions(
        &self,
        outputs: &[f32],
        items: &TrackItems,
        num_tracks: usize,
    ) -> Result<Vec<Prediction>, AnswerError> {
        self.predict(outputs, items, num_tracks, Wanted::All)
    }

    fn predict(
        &self,
        outputs: &[f32],
        items: &TrackItems,
        num_tracks: usize,
        wanted: Wanted,
    ) -> Result<Vec<Prediction>, AnswerError> {
        let width = outputs.len() / items.track_of_item.len().max(1);
        let rows_of = |track_items: &[usize]| -> Vec<f32> {
            track_items.iter().flat_map(|&item| &outputs[item * width..(item + 1) * width]).copied().collect()
        };
        let tracks = items.ranges(num_tracks);
        let rate = items.items_per_second;
        tracks.iter().map(|track| self.prediction(&rows_of(track), width.max(1), rate, wanted)).collect()
    }

    /// What a track's outputs say of it.
    fn prediction(&self, outputs: &[f32], width: usize, rate: f64, wanted: Wanted) -> Result<Prediction, AnswerError> {
        let column = |column: usize| -> Vec<f32> {
            outputs.iter().skip(column).step_by(width).map(|output| sigmoid(*output)).collect()
        };
        Ok(match self.kind {
            TaskKind::Class | TaskKind::Key => Prediction::Scores(self.aggregate(outputs, width, softmax)),
            TaskKind::Tags => Prediction::Scores(match self.rules.aggregation {
                Aggregation::MeanLogits => self.aggregate(outputs, width, softmax),
                // Back to logits, so that 0 stays the line between yes and no.
                Aggregation::MeanProbabilities => {
                    let sigmoids = |row: &[f32]| row.iter().map(|&output| f64::from(sigmoid(output))).collect();
                    self.aggregate(outputs, width, sigmoids).into_iter().map(logit).collect()
                }
            }),
            TaskKind::Numbers => {
                let means = mean_rows(
                    outputs.chunks_exact(width).map(|row| row.iter().map(|&v| f64::from(v)).collect()),
                    width,
                );
                Prediction::Numbers(
                    means.iter().zip(&self.scale).map(|(value, (mean, by))| value * by + mean).collect(),
                )
            }
            TaskKind::Tempo => {
                let scores = self.aggregate(outputs, width, softmax);
                Prediction::Numbers(vec![tempo_bins()[argmax(&scores)]])
            }
            TaskKind::Beats => {
                let beats = |tempi, activation: &[f32]| match self.rules.beat_clip_seconds {
                    Some(seconds) => beats_of_clips(tempi, activation, rate, seconds),
                    None if self.rules.beats_on_frames => beats(tempi, activation, rate),
                    None => prepared_beats(tempi, activation, rate),
                };
                let beat = beats(TempoRange::BEATS, &column(0))?;
                let bars = if self.rules.downbeats_as_beats { TempoRange::BEATS } else { TempoRange::DOWNBEATS };
                let downbeat = match wanted {
                    Wanted::All => beats(bars, &column(1))?,
                    Wanted::Headline => Vec::new(),
                };
                let tempo = tempo_of_beats(&beat);
                Prediction::Beats(BeatTimes { beat, downbeat, tempo })
            }
            TaskKind::Onsets => {
                let times = PeakPicking::ONSETS.times(&column(0), rate)?;
                Prediction::Onsets(times.into_iter().map(|time| time + 0.5 / rate).collect())
            }
            TaskKind::Chords => {
                let parts = smoothed(outputs, width, width, rate)?;
                let named = parts.into_iter().map(|(start, end, class)| Ok((start, end, chord_class_label(class)?)));
                Prediction::Intervals(named.collect::<Result<_, MetricError>>()?)
            }
            TaskKind::Structure => self.sections(outputs, width, rate)?,
            TaskKind::Melody => {
                let parts = smoothed(outputs, width, width, rate)?;
                let sung = parts.into_iter().filter(|(.., class)| *class > 0);
                let note = |(onset, offset, class): (f64, f64, usize)| NoteEvent {
                    onset,
                    offset,
                    pitch: (class - 1 + LOWEST_PITCH) as f64,
                };
                Prediction::Notes(sung.map(note).collect())
            }
            TaskKind::Notes => {
                let mut notes = Vec::new();
                for pitch in 0..width {
                    let active: Vec<usize> = column(pitch).iter().map(|&p| usize::from(p >= 0.5)).collect();
                    for part in class_intervals(&active, rate)? {
                        if part.class == 1 {
                            let (onset, offset) = (part.start_seconds, part.end_seconds);
                            notes.push(NoteEvent { onset, offset, pitch: (pitch + LOWEST_PITCH) as f64 });
                        }
                    }
                }
                notes.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.pitch.total_cmp(&b.pitch)));
                Prediction::Notes(notes)
            }
            TaskKind::Separation | TaskKind::Retrieval => return Err(AnswerError::NoHead(self.kind.name())),
        })
    }

    fn aggregate(&self, outputs: &[f32], width: usize, probabilities: impl Fn(&[f32]) -> Vec<f64>) -> Vec<f64> {
        let rows = outputs.chunks_exact(width);
        match self.rules.aggregation {
            Aggregation::MeanLogits => mean_rows(rows.map(|row| row.iter().map(|&v| f64::from(v)).collect()), width),
            Aggregation::MeanProbabilities => mean_rows(rows.map(probabilities), width),
        }
    }

    /// Sections between peaks of the boundary, each with the label that is likeliest in it.
    fn sections(&self, outputs: &[f32], width: usize, rate: f64) -> Result<Prediction, AnswerError> {
        let num_items = outputs.len() / width;
        let labels = width - 1;
        let boundary: Vec<f32> = outputs.iter().skip(labels).step_by(width).map(|output| sigmoid(*output)).collect();
        let mut starts = PeakPicking::BOUNDARIES.frames(&boundary, rate)?;
        starts.retain(|&start| start > 0);
        starts.insert(0, 0);
        let ends = starts.iter().copied().skip(1).chain([num_items]);
        let mut parts: Vec<(f64, f64, String)> = Vec::new();
        for (start, end) in starts.iter().copied().zip(ends) {
            if start >= end {
                continue;
            }
            let rows = outputs[start * width..end * width].chunks_exact(width).map(|row| softmax(&row[..labels]));
            let label = self.classes.get(argmax(&mean_rows(rows, labels))).cloned().unwrap_or_default();
            parts.push((start as f64 / rate, end as f64 / rate, label));
        }
        Ok(Prediction::Intervals(parts))
    }

    /// The task's first score of a head's outputs; nothing where it is not defined. What other scores need is not decoded.
    ///
    /// # Errors
    /// [`AnswerError`] where outputs cannot be decoded or scored.
    pub fn headline(
        &self,
        targets: &[&Target],
        outputs: &[f32],
        items: &TrackItems,
    ) -> Result<Option<f64>, AnswerError> {
        let predictions = self.predict(outputs, items, targets.len(), Wanted::Headline)?;
        Ok(self.score(targets, &predictions)?.headline())
    }

    /// The scores of what outputs said.
    ///
    /// # Errors
    /// [`AnswerError`] where predictions cannot be scored.
    pub fn score(&self, targets: &[&Target], predictions: &[Prediction]) -> Result<Evaluation, AnswerError> {
        let tracks = ScoredTrack::zip(targets.iter().copied().cloned(), predictions)?;
        Ok(Evaluation::new(self.kind, self.num_classes(), self.rules.scoring, &tracks)?)
    }
}

fn sigmoid(output: f32) -> f32 {
    1.0 / (1.0 + (-output).exp())
}

fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(1e-12, 1.0 - 1e-12);
    (probability / (1.0 - probability)).ln()
}

fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

fn mean_rows(rows: impl Iterator<Item = Vec<f64>>, width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    let mut count = 0;
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        count += 1;
    }
    sum.into_iter().map(|sum| sum / f64::from(count.max(1))).collect()
}

fn nearest_bin(bins: &[f64], tempo: f64) -> usize {
    let distance = |bin: &f64| (bin / tempo).ln().abs();
    (0..bins.len()).min_by(|&a, &b| distance(&bins[a]).total_cmp(&distance(&bins[b]))).unwrap_or(0)
}

/// Beats by the dynamic Bayesian network, in the middle of their items.
fn beats(tempi: TempoRange, activation: &[f32], rate: f64) -> Result<Vec<f64>, DecodeError> {
    let times = BeatNetwork::new(rate, tempi)?.decode(activation)?;
    Ok(times.into_iter().map(|time| time + 0.5 / rate).collect())
}

/// Beats of activations that may be neither sharp nor frequent enough for the network as they are.
fn prepared_beats(tempi: TempoRange, activation: &[f32], rate: f64) -> Result<Vec<f64>, DecodeError> {
    let factor = (BEATS_PER_SECOND / rate).ceil().max(1.0) as usize;
    beats(tempi, &interpolated(&relative_to_mean(activation), factor), rate * factor as f64)
}

/// Beats of one clip after the other, each decoded as if there were no other.
fn beats_of_clips(
    tempi: TempoRange,
    activation: &[f32],
    rate: f64,
    clip_seconds: f64,
) -> Result<Vec<f64>, DecodeError> {
    let length = ((clip_seconds * rate).round() as usize).max(1);
    let mut times = Vec::new();
    for (number, clip) in activation.chunks(length).enumerate() {
        let start = (number * length) as f64 / rate;
        times.extend(beats(tempi, clip, rate)?.into_iter().map(|time| start + time));
    }
    Ok(times)
}

/// Stretches of one class, after smoothing over time.
fn smoothed(outputs: &[f32], width: usize, labels: usize, rate: f64) -> Result<Vec<(f64, f64, usize)>, DecodeError> {
    let probabilities: Vec<f32> =
        outputs.chunks_exact(width).flat_map(|row| softmax(&row[..labels])).map(|p| p as f32).collect();
    let stays = STAYS_AT_TEN.powf(10.0 / rate).clamp(1e-6, 1.0 - 1e-6);
    let classes = smooth_classes(&probabilities, labels, stays)?;
    let intervals = class_intervals(&classes, rate)?;
    Ok(intervals.into_iter().map(|part| (part.start_seconds, part.end_seconds, part.class)).collect())
}

/// Targets of events: 1 at the nearest item, less at its neighbours.
fn events(targets: &[&Target], items: &TrackItems, width: usize, times: impl Fn(&Target) -> Vec<Vec<f64>>) -> Targets {
    let mut values = vec![0.0_f32; items.track_of_item.len() * width];
    for (track, track_items) in items.ranges(targets.len()).iter().enumerate() {
        let Some(&first) = track_items.first() else { continue };
        for (column, times) in times(targets[track]).iter().enumerate() {
            for time in times {
                let position = (time - items.seconds_of_item[first]) * items.items_per_second;
                let nearest = position.round() as isize;
                for offset in -2..=2_isize {
                    if offset.unsigned_abs() as f64 / items.items_per_second > NEIGHBOUR_SECONDS {
                        continue;
                    }
                    let Some(&item) = usize::try_from(nearest + offset).ok().and_then(|place| track_items.get(place))
                    else {
                        continue;
                    };
                    let value = &mut values[item * width + column];
                    *value = value.max(NEIGHBOUR_TARGETS[offset.unsigned_abs()]);
                }
            }
        }
    }
    Targets::Probabilities { width, values }
}

/// The class of the label that each item's middle lies in; -1 where there is none.
fn labels_at(targets: &[&Target], items: &TrackItems, class: impl Fn(&str) -> i32) -> Vec<i32> {
    let per_track: Vec<Option<(&LabelledIntervals, Vec<i32>)>> = targets
        .iter()
        .map(|target| match target {
            Target::Intervals(parts) => Some((parts, parts.labels.iter().map(|label| class(label)).collect())),
            _ => None,
        })
        .collect();
    let at = |(&track, &seconds): (&usize, &f64)| {
        let Some((parts, classes)) = &per_track[track] else { return -1 };
        let after = parts.intervals.partition_point(|part| part.start <= seconds);
        match after.checked_sub(1) {
            Some(index) if seconds < parts.intervals[index].end => classes[index],
            _ => -1,
        }
    };
    items.track_of_item.iter().zip(&items.seconds_of_item).map(at).collect()
}

/// Calls `sounds` with every item and pitch (from 0) that sounds in its middle.
fn sounding(targets: &[&Target], items: &TrackItems, mut sounds: impl FnMut(usize, usize)) {
    for (track, track_items) in items.ranges(targets.len()).iter().enumerate() {
        let Target::Notes(notes) = targets[track] else { continue };
        for note in notes {
            let pitch = note.pitch.round() as isize - LOWEST_PITCH as isize;
            let Some(pitch) = usize::try_from(pitch).ok().filter(|&pitch| pitch < NUM_PITCHES) else { continue };
            let first = track_items.partition_point(|&item| items.seconds_of_item[item] < note.onset);
            for &item in &track_items[first..] {
                if items.seconds_of_item[item] >= note.offset {
                    break;
                }
                sounds(item, pitch);
            }
        }
    }
}
