//! What a head's outputs should be for every item.

use solfa_eval::metrics::chord::{Chord, NUM_CHORD_CLASSES, majmin_class, marble_class};
use solfa_eval::metrics::intervals::LabelledIntervals;
use solfa_eval::task::{Target, TaskKind, tempo_bins};

use super::{AnswerError, Answers, LOWEST_PITCH, NUM_PITCHES};
use crate::features::TrackItems;
use crate::items::{TargetBlock, Targets};

/// Training targets of the frame of an event and of those beside it (MARBLE v2, where frames are 40 ms apart).
const NEIGHBOUR_TARGETS: [f32; 3] = [1.0, 0.5, 0.25];

/// Frames further from an event than this are not right at all, whatever their rate.
const NEIGHBOUR_SECONDS: f64 = 0.085;

/// Weights of section labels and of boundaries in the loss for structure.
const STRUCTURE_WEIGHTS: [f32; 2] = [0.9, 0.1];

impl Answers {
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
}

fn nearest_bin(bins: &[f64], tempo: f64) -> usize {
    let distance = |bin: &f64| (bin / tempo).ln().abs();
    (0..bins.len()).min_by(|&a, &b| distance(&bins[a]).total_cmp(&distance(&bins[b]))).unwrap_or(0)
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
