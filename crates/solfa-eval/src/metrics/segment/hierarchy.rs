//! Structure in several levels: the T-measure of boundaries and the L-measure of labels.
//!
//! McFee, Nieto, Bello: "Hierarchical evaluation of segment boundary detection", ISMIR 2015 (T); McFee, Nieto, Farbood, Bello:
//! "Evaluating hierarchical structure in music annotations", Frontiers in Psychology 2017 (L). `mir_eval.hierarchy` with its
//! defaults is what these numbers equal.
//!
//! How near two moments are is the deepest level at which one section holds both (T), or at which their sections have one
//! label (L). For each moment, the others are ranked by how near they are to it in the reference, and the score is the
//! share of pairs that the estimate ranks in the same order. T looks at 15 s before and behind a moment, L at all of the
//! piece. Full T counts all pairs; reduced T only those whose ranks follow each other.

use std::collections::HashMap;

use super::super::FMeasure;
use super::super::MetricError;
use super::super::intervals::{Interval, LabelledIntervals, check_ordered_intervals};
use super::{AFTER, BEFORE, SAMPLE_SECONDS};

/// How far around a moment the T-measure looks, in seconds.
const WINDOW_SECONDS: f64 = 15.0;

/// An hour. The L-measure looks at every pair of samples.
const MAXIMUM_SAMPLES: usize = 36_000;

/// More levels than anybody hears.
const MAXIMUM_LEVELS: usize = 32;

/// Every score of a hierarchy by `mir_eval`'s names, in its order; each from 0 to 1.
///
/// `reference` and `estimate` have one annotation for each level, from coarse to fine; the numbers of levels may differ. All
/// are cut or filled to go from 0 to the latest end of the reference.
///
/// # Errors
/// If either has no level or more than 32, a level of the reference is empty, intervals are not in order or overlap, or the
/// piece is shorter than 0.2 s or longer than an hour.
pub fn hierarchy_scores(
    reference: &[LabelledIntervals],
    estimate: &[LabelledIntervals],
) -> Result<Vec<(&'static str, f64)>, MetricError> {
    check("levels of the reference", reference)?;
    check("levels of the estimate", estimate)?;
    if reference.iter().any(LabelledIntervals::is_empty) {
        return Err(MetricError::Empty { what: "a level of the reference" });
    }
    let end = reference.iter().filter_map(LabelledIntervals::span).fold(0.0, |end: f64, span| end.max(span.end));
    let num_samples = sample(end);
    if !(2..=MAXIMUM_SAMPLES).contains(&num_samples) {
        let maximum = MAXIMUM_SAMPLES as f64 * SAMPLE_SECONDS;
        let expected = format!("an end from {} s to {maximum} s", 2.0 * SAMPLE_SECONDS);
        let found = format!("one at {end} s");
        return Err(MetricError::OutOfRange { what: "levels of the reference", index: 0, expected, found });
    }
    let span = Interval::new(0.0, end);
    let fit = |levels: &[LabelledIntervals]| -> Vec<LabelledIntervals> {
        levels.iter().map(|level| level.fitted(span, BEFORE, AFTER)).collect()
    };
    let (reference, estimate) = (fit(reference), fit(estimate));
    let by_section = [&reference, &estimate].map(|levels| Levels::by_section(levels, num_samples));
    let by_label = [&reference, &estimate].map(|levels| Levels::by_label(levels, num_samples));
    let window = sample(WINDOW_SECONDS);
    let reduced = score(&by_section, window, false);
    let full = score(&by_section, window, true);
    let labels = score(&by_label, num_samples, true);
    Ok(vec![
        ("T-Precision reduced", reduced.precision),
        ("T-Recall reduced", reduced.recall),
        ("T-Measure reduced", reduced.f_measure),
        ("T-Precision full", full.precision),
        ("T-Recall full", full.recall),
        ("T-Measure full", full.f_measure),
        ("L-Precision", labels.precision),
        ("L-Recall", labels.recall),
        ("L-Measure", labels.f_measure),
    ])
}

fn check(what: &'static str, levels: &[LabelledIntervals]) -> Result<(), MetricError> {
    if levels.is_empty() {
        return Err(MetricError::Empty { what });
    }
    if levels.len() > MAXIMUM_LEVELS {
        let expected = format!("at most {MAXIMUM_LEVELS} levels");
        return Err(MetricError::OutOfRange { what, index: MAXIMUM_LEVELS, expected, found: levels.len().to_string() });
    }
    for level in levels {
        if level.labels.len() != level.intervals.len() {
            let (expected, found) = (level.intervals.len(), level.labels.len());
            return Err(MetricError::LengthMismatch { what, expected, found });
        }
        check_ordered_intervals(what, &level.intervals)?;
    }
    Ok(())
}

/// The sample that a time falls into, with the rounding of `mir_eval`: a multiple of 0.1 s may come out one lower.
fn sample(seconds: f64) -> usize {
    ((seconds - seconds % SAMPLE_SECONDS) / SAMPLE_SECONDS) as usize
}

/// What each sample belongs to at each level, as numbers; 0 is nothing.
struct Levels {
    /// `[samples][levels]`
    groups: Vec<Vec<u32>>,
    num_levels: usize,
}

impl Levels {
    fn by_section(levels: &[LabelledIntervals], num_samples: usize) -> Self {
        Self::new(levels, num_samples, |level| (1..=level.len() as u32).collect())
    }

    fn by_label(levels: &[LabelledIntervals], num_samples: usize) -> Self {
        Self::new(levels, num_samples, |level| {
            let mut numbers = HashMap::new();
            let number = |label: &String| {
                let next = numbers.len() as u32 + 1;
                *numbers.entry(label.to_lowercase()).or_insert(next)
            };
            level.labels.iter().map(number).collect()
        })
    }

    /// `number` gives each section of a level the number of its group.
    fn new(levels: &[LabelledIntervals], num_samples: usize, number: impl Fn(&LabelledIntervals) -> Vec<u32>) -> Self {
        let mut groups = vec![vec![0; levels.len()]; num_samples];
        for (place, level) in levels.iter().enumerate() {
            for (interval, group) in level.intervals.iter().zip(number(level)) {
                let end = sample(interval.end).min(num_samples);
                let start = sample(interval.start).min(end);
                groups[start..end].iter_mut().for_each(|groups| groups[place] = group);
            }
        }
        Self { groups, num_levels: levels.len() }
    }

    /// The deepest level, from 1, at which two samples are in one group; 0 for none.
    fn nearness(&self, one: usize, other: usize) -> usize {
        let groups = self.groups[one].iter().zip(&self.groups[other]);
        let deepest = groups.rev().position(|(one, other)| one == other && *one != 0);
        deepest.map_or(0, |from_below| self.num_levels - from_below)
    }
}

/// How well each ranks as the other does: recall asks for the reference's order, precision for the estimate's.
fn score([reference, estimate]: &[Levels; 2], window: usize, is_full: bool) -> FMeasure {
    let num_samples = reference.groups.len();
    let (columns, rows) = (estimate.num_levels + 1, reference.num_levels + 1);
    let mut recall = Mean::default();
    let mut precision = Mean::default();
    for query in 0..num_samples {
        // How many samples are so near in the reference and so near in the estimate.
        let mut counts = vec![vec![0u64; columns]; rows];
        for other in query.saturating_sub(window)..(query + window).min(num_samples) {
            if other != query {
                counts[reference.nearness(query, other)][estimate.nearness(query, other)] += 1;
            }
        }
        recall.add(same_order(&counts, is_full));
        let transposed: Vec<Vec<u64>> =
            (0..columns).map(|column| counts.iter().map(|row| row[column]).collect()).collect();
        precision.add(same_order(&transposed, is_full));
    }
    FMeasure::from_shares(precision.value(), recall.value())
}

/// The share of pairs of samples, one nearer than the other by the rows, that the columns rank in the same order; nothing
/// where there is no such pair.
fn same_order(counts: &[Vec<u64>], is_full: bool) -> Option<f64> {
    let (mut pairs, mut inverted) = (0, 0);
    for far in 0..counts.len() {
        let last = if is_full { counts.len() } else { counts.len().min(far + 2) };
        for near in far + 1..last {
            pairs += counts[far].iter().sum::<u64>() * counts[near].iter().sum::<u64>();
            let mut not_nearer = 0;
            for column in (0..counts[far].len()).rev() {
                not_nearer += counts[far][column];
                inverted += not_nearer * counts[near][column];
            }
        }
    }
    (pairs > 0).then(|| 1.0 - inverted as f64 / pairs as f64)
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    /// 0 where there was none.
    fn value(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::golden_cases::{Golden, labelled};
    use super::*;

    #[test]
    fn golden_hierarchies() {
        let golden = Golden::read("mir-hierarchies");
        let cases = golden.cases("hierarchy_");
        assert_eq!(cases.len(), 6);
        for case in &cases {
            let levels = |side: &str| -> Vec<LabelledIntervals> {
                let levels = case.input[side].as_array().unwrap().iter();
                levels.map(|level| labelled(&level["intervals"], &level["labels"])).collect()
            };
            case.assert_scores(&hierarchy_scores(&levels("reference"), &levels("estimate")).unwrap());
        }
    }

    fn level(parts: &[(f64, f64, &str)]) -> LabelledIntervals {
        let mut level = LabelledIntervals::default();
        for &(start, end, label) in parts {
            level.push(start, end, label);
        }
        level
    }

    #[test]
    fn the_same_is_perfect_and_a_flat_estimate_ranks_nothing() {
        let coarse = level(&[(0.0, 10.0, "A"), (10.0, 20.0, "B")]);
        let fine = level(&[(0.0, 5.0, "a"), (5.0, 10.0, "b"), (10.0, 20.0, "c")]);
        let reference = [coarse, fine];
        let same = hierarchy_scores(&reference, &reference).unwrap();
        assert!(same.iter().all(|&(_, value)| value == 1.0), "{same:?}");
        let flat = hierarchy_scores(&reference, &[level(&[(0.0, 20.0, "A")])]).unwrap();
        assert!(flat.iter().all(|&(_, value)| value == 0.0), "{flat:?}");
    }

    #[test]
    fn bad_input_is_named() {
        let good = [level(&[(0.0, 10.0, "A")])];
        assert!(matches!(hierarchy_scores(&good, &[]), Err(MetricError::Empty { what: "levels of the estimate" })));
        assert!(hierarchy_scores(&[LabelledIntervals::default()], &good).is_err());
        assert!(hierarchy_scores(&[level(&[(0.0, 20_000.0, "A")])], &good).unwrap_err().to_string().contains("3600 s"));
        assert!(hierarchy_scores(&good, &vec![good[0].clone(); 33]).unwrap_err().to_string().contains("at most 32"));
        let overlapping = [level(&[(0.0, 10.0, "A"), (5.0, 12.0, "B")])];
        assert!(matches!(hierarchy_scores(&good, &overlapping), Err(MetricError::NotSorted { .. })));
    }
}
