//! What a head's outputs say of tracks.

use solfa_eval::decode::DecodeError;
use solfa_eval::decode::activations::{interpolated, relative_to_mean};
use solfa_eval::decode::beat_network::{BeatNetwork, TempoRange};
use solfa_eval::decode::peaks::PeakPicking;
use solfa_eval::decode::smoothing::{class_intervals, smooth_classes};
use solfa_eval::metrics::MetricError;
use solfa_eval::metrics::chord::chord_class_label;
use solfa_eval::metrics::tempo::tempo_of_beats;
use solfa_eval::task::{BeatTimes, NoteEvent, Prediction, TaskKind, likeliest_class, tempo_bins};

use super::{Aggregation, AnswerError, Answers, LOWEST_PITCH};
use crate::features::TrackItems;
use crate::mix::softmax;

/// Activations a second that beats are decoded from, at least: tempi are whole numbers of them.
const BEATS_PER_SECOND: f64 = 50.0;

/// How likely a class goes on to the next item at 10 items a second; adjusted to other rates.
const STAYS_AT_TEN: f64 = 0.9;

/// What is asked of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything that is scored.
    All,
    /// What the task's first score needs, after every epoch: no downbeats, which take most of the time.
    Headline,
}

impl Answers {
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

    pub(super) fn predict(
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
                Prediction::Numbers(vec![tempo_bins()[likeliest_class(&scores)]])
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
            let label = self.classes.get(likeliest_class(&mean_rows(rows, labels))).cloned().unwrap_or_default();
            parts.push((start as f64 / rate, end as f64 / rate, label));
        }
        Ok(Prediction::Intervals(parts))
    }
}

fn sigmoid(output: f32) -> f32 {
    1.0 / (1.0 + (-output).exp())
}

fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(1e-12, 1.0 - 1e-12);
    (probability / (1.0 - probability)).ln()
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
