//! Stretches of time, with labels: what chords and structure are compared on.

use super::MetricError;

/// Times beyond this are taken for a mistake, such as samples or milliseconds in the place of seconds.
pub const MAXIMUM_SECONDS: f64 = 30_000.0;

/// A stretch of time: from `start` up to `end`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Where it starts, in seconds.
    pub start: f64,
    /// Where it ends, in seconds.
    pub end: f64,
}

impl Interval {
    /// An interval; [`check_intervals`] says whether it is one that can be scored.
    pub fn new(start: f64, end: f64) -> Self {
        Self { start, end }
    }

    /// Length in seconds.
    pub fn duration(self) -> f64 {
        self.end - self.start
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} s to {} s", self.start, self.end)
    }
}

/// Intervals, each with its label: a chord, a part of a song.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelledIntervals {
    /// When.
    pub intervals: Vec<Interval>,
    /// What, one for each interval.
    pub labels: Vec<String>,
}

impl LabelledIntervals {
    /// Intervals with labels, in order and without overlaps. Gaps are allowed.
    ///
    /// # Errors
    /// If there are not as many labels as intervals, or [`check_ordered_intervals`] fails. `what` is named in the error.
    pub fn new(what: &'static str, intervals: Vec<Interval>, labels: Vec<String>) -> Result<Self, MetricError> {
        if intervals.len() != labels.len() {
            return Err(MetricError::LengthMismatch { what, expected: intervals.len(), found: labels.len() });
        }
        check_ordered_intervals(what, &intervals)?;
        Ok(Self { intervals, labels })
    }

    /// Adds an interval at the end.
    pub fn push(&mut self, start: f64, end: f64, label: impl Into<String>) {
        self.intervals.push(Interval::new(start, end));
        self.labels.push(label.into());
    }

    /// Number of intervals.
    pub fn len(&self) -> usize {
        self.intervals.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// From the first start to the last end. The intervals must be in order.
    pub fn span(&self) -> Option<Interval> {
        Some(Interval::new(self.intervals.first()?.start, self.intervals.last()?.end))
    }

    /// The same intervals cut to a span, and filled up to it: with `before` where they start later, with `after` where
    /// they end earlier. Where nothing is left, all of the span is `before`.
    ///
    /// Intervals of no length that cutting would leave are dropped (`mir_eval` keeps them and then refuses them).
    #[must_use]
    pub fn fitted(&self, span: Interval, before: &str, after: &str) -> Self {
        let mut fitted = Self::default();
        for (interval, label) in self.intervals.iter().zip(&self.labels) {
            let (start, end) = (interval.start.max(span.start), interval.end.min(span.end));
            if start < end {
                fitted.push(start, end, label.as_str());
            }
        }
        match fitted.span() {
            None => fitted.push(span.start, span.end, before),
            Some(found) => {
                if found.start > span.start {
                    fitted.intervals.insert(0, Interval::new(span.start, found.start));
                    fitted.labels.insert(0, before.to_owned());
                }
                if found.end < span.end {
                    fitted.push(found.end, span.end, after);
                }
            }
        }
        fitted
    }
}

/// The stretches in which neither of two series changes, each with the place of its interval in both.
///
/// Both series start and end at the same times, as [`LabelledIntervals::fitted`] makes them. In a gap, the label before
/// it goes on.
pub(crate) fn merged(reference: &[Interval], estimate: &[Interval]) -> Vec<(Interval, usize, usize)> {
    let mut times: Vec<f64> = reference.iter().chain(estimate).flat_map(|part| [part.start, part.end]).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let (mut in_reference, mut in_estimate) = (0, 0);
    let mut pieces = Vec::with_capacity(times.len());
    for pair in times.windows(2) {
        advance(reference, &mut in_reference, pair[0]);
        advance(estimate, &mut in_estimate, pair[0]);
        pieces.push((Interval::new(pair[0], pair[1]), in_reference, in_estimate));
    }
    pieces
}

/// Moves `place` to the last interval that has started at `time`.
fn advance(intervals: &[Interval], place: &mut usize, time: f64) {
    while *place + 1 < intervals.len() && intervals[*place + 1].start <= time {
        *place += 1;
    }
}

/// Checks that every interval is finite, not before 0, not beyond [`MAXIMUM_SECONDS`], and ends after it starts.
///
/// # Errors
/// The first interval that is not so.
pub fn check_intervals(what: &'static str, intervals: &[Interval]) -> Result<(), MetricError> {
    for (index, interval) in intervals.iter().enumerate() {
        for value in [interval.start, interval.end] {
            if !value.is_finite() {
                return Err(MetricError::NotFinite { what, index, value });
            }
        }
        let expected = if interval.start < 0.0 {
            "a start that is not negative".to_owned()
        } else if interval.end <= interval.start {
            "an end after the start".to_owned()
        } else if interval.end > MAXIMUM_SECONDS {
            format!("an end in seconds, of at most {MAXIMUM_SECONDS} s")
        } else {
            continue;
        };
        return Err(MetricError::OutOfRange { what, index, expected, found: interval.to_string() });
    }
    Ok(())
}

/// [`check_intervals`], and that each interval starts where the one before it ends, or later.
///
/// # Errors
/// The first interval that is not so.
pub fn check_ordered_intervals(what: &'static str, intervals: &[Interval]) -> Result<(), MetricError> {
    check_intervals(what, intervals)?;
    for (index, pair) in intervals.windows(2).enumerate() {
        if pair[1].start < pair[0].end {
            return Err(MetricError::NotSorted {
                what,
                index: index + 1,
                found: pair[1].to_string(),
                before: pair[0].to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chords() -> LabelledIntervals {
        let mut chords = LabelledIntervals::default();
        chords.push(1.0, 2.0, "C");
        chords.push(2.0, 4.0, "G");
        chords
    }

    #[test]
    fn a_series_is_cut_and_filled_to_a_span() {
        let wider = chords().fitted(Interval::new(0.0, 5.0), "N", "Z");
        assert_eq!(wider.labels, ["N", "C", "G", "Z"]);
        assert_eq!(wider.intervals[0], Interval::new(0.0, 1.0));
        assert_eq!(wider.intervals[3], Interval::new(4.0, 5.0));
        let narrower = chords().fitted(Interval::new(1.5, 2.0), "N", "N");
        assert_eq!(narrower.intervals, [Interval::new(1.5, 2.0)]);
        assert_eq!(narrower.labels, ["C"]);
    }

    #[test]
    fn where_nothing_is_left_the_whole_span_is_filled() {
        for span in [Interval::new(4.0, 6.0), Interval::new(0.0, 1.0)] {
            let fitted = chords().fitted(span, "N", "Z");
            assert_eq!((fitted.intervals, fitted.labels), (vec![span], vec!["N".to_owned()]));
        }
    }

    #[test]
    fn merging_names_both_places_and_a_gap_keeps_its_label() {
        let reference = [Interval::new(0.0, 1.0), Interval::new(2.0, 3.0)];
        let estimate = [Interval::new(0.0, 1.5), Interval::new(1.5, 3.0)];
        let pieces: Vec<_> = merged(&reference, &estimate).iter().map(|&(piece, r, e)| (piece.start, r, e)).collect();
        assert_eq!(pieces, [(0.0, 0, 0), (1.0, 0, 0), (1.5, 0, 1), (2.0, 1, 1)]);
    }

    #[test]
    fn bad_intervals_are_named() {
        let check = |intervals: &[(f64, f64)]| {
            let intervals: Vec<_> = intervals.iter().map(|&(start, end)| Interval::new(start, end)).collect();
            check_ordered_intervals("chords", &intervals).unwrap_err().to_string()
        };
        assert!(check(&[(0.0, f64::NAN)]).contains("value 0 is NaN"));
        assert!(check(&[(0.0, 1.0), (1.0, 1.0)]).contains("an end after the start"));
        assert!(check(&[(-1.0, 1.0)]).contains("not negative"));
        assert!(check(&[(0.0, 44_100.0)]).contains("30000 s"));
        let overlap = check(&[(0.0, 2.0), (1.0, 3.0)]);
        assert!(
            overlap.contains("number 1 (1 s to 3 s) does not come after the one before it (0 s to 2 s)"),
            "{overlap}"
        );
        let missing = LabelledIntervals::new("chords", vec![Interval::new(0.0, 1.0)], Vec::new());
        assert!(matches!(missing, Err(MetricError::LengthMismatch { expected: 1, found: 0, .. })));
    }
}
