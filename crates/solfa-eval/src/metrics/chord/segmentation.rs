//! How well the changes of chords fit, whatever the chords are.
//!
//! The directional Hamming distance (Abdallah, Noland, Sandler, Casey, Rhodes: "Theory and evaluation of a Bayesian music
//! structure extractor", ISMIR 2005; for chords: Mauch, PhD thesis, Queen Mary, 2010): the share of the time of one
//! segmentation that lies outside of the longest piece of the other in each of its segments.

use super::super::intervals::{Interval, LabelledIntervals};
use super::ChordEncoding;

/// How well two segmentations fit, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segmentation {
    /// 1 where the estimate cuts nowhere that the reference does not: low where it is cut too fine.
    pub over: f64,
    /// 1 where the estimate cuts wherever the reference does: low where it is cut too coarse.
    pub under: f64,
}

impl Segmentation {
    /// The lesser of the two, `mir_eval`'s `seg`.
    pub fn minimum(self) -> f64 {
        self.over.min(self.under)
    }
}

/// How the segments of an estimate fit those of the reference. Both are in order and not empty, else both shares are 0.
pub fn segmentation(reference: &[Interval], estimate: &[Interval]) -> Segmentation {
    Segmentation {
        over: 1.0 - directional_hamming(reference, estimate),
        under: 1.0 - directional_hamming(estimate, reference),
    }
}

/// The share of the time of `segments` that is outside of the longest piece which `others` leave in each.
fn directional_hamming(segments: &[Interval], others: &[Interval]) -> f64 {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return 1.0;
    };
    if others.is_empty() {
        return 1.0;
    }
    let mut times: Vec<f64> = others.iter().flat_map(|other| [other.start, other.end]).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let outside: f64 = segments
        .iter()
        .map(|segment| {
            let inside = times.partition_point(|&time| time < segment.start);
            let mut longest = 0f64;
            let mut since = segment.start;
            for &time in times[inside..].iter().take_while(|&&time| time < segment.end) {
                longest = longest.max(time - since);
                since = time;
            }
            segment.duration() - longest.max(segment.end - since)
        })
        .sum();
    outside / (last.end - first.start)
}

/// The intervals with neighbours of the same chord made one.
pub(super) fn merge_equal_chords(chords: &LabelledIntervals, encodings: &[ChordEncoding]) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::new();
    let mut before = None;
    for (&interval, encoding) in chords.intervals.iter().zip(encodings) {
        match merged.last_mut() {
            Some(last) if before == Some(encoding) => last.end = interval.end,
            _ => merged.push(interval),
        }
        before = Some(encoding);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(times: &[f64]) -> Vec<Interval> {
        times.windows(2).map(|pair| Interval::new(pair[0], pair[1])).collect()
    }

    #[test]
    fn by_hand() {
        let reference = intervals(&[0.0, 4.0, 10.0]);
        let finer = intervals(&[0.0, 1.0, 4.0, 10.0]);
        assert_eq!(segmentation(&reference, &reference), Segmentation { over: 1.0, under: 1.0 });
        // 1 of 10 seconds is outside of the longest piece of the first segment.
        assert_eq!(segmentation(&reference, &finer), Segmentation { over: 0.9, under: 1.0 });
        assert_eq!(segmentation(&finer, &reference), Segmentation { over: 1.0, under: 0.9 });
        assert_eq!(segmentation(&finer, &reference).minimum(), 0.9);
        assert_eq!(segmentation(&[], &reference), Segmentation { over: 0.0, under: 0.0 });
    }
}
