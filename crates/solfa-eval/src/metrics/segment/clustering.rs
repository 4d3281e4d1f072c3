//! Which moments have the same label: the scores of clusterings, on labels sampled in time.
//!
//! Both annotations become one label every 0.1 s, and pairs of samples, or the entropies of labels, are compared, so names
//! do not matter. Pairwise: Levy, Sandler: "Structural segmentation of musical audio by constrained clustering", IEEE TASLP
//! 2008. Rand: Rand 1971; adjusted: Hubert, Arabie 1985. Adjusted mutual information: Vinh, Epps, Bailey 2010. Normalised
//! conditional entropies: Lukashevich, ISMIR 2008. V-measure: Rosenberg, Hirschberg, EMNLP 2007.

use std::collections::HashMap;

use super::super::FMeasure;
use super::super::MetricError;
use super::super::intervals::{Interval, LabelledIntervals, check_ordered_intervals};

/// Seconds from one sample to the next, as in `mir_eval`.
pub const SAMPLE_SECONDS: f64 = 0.1;

/// More different labels than an annotation has. What is compared grows with their number squared.
const MAXIMUM_LABELS: usize = 2048;

/// How often each pair of a reference's and an estimate's label occurs at the same moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Contingency {
    /// `[reference labels][estimate labels]`
    counts: Vec<Vec<u64>>,
    of_reference: Vec<u64>,
    of_estimate: Vec<u64>,
    total: u64,
}

impl Contingency {
    /// Of two annotations from 0 to the reference's end, a label every 0.1 s. Letter case does not count. What no interval
    /// covers is a label of its own.
    ///
    /// The times of the samples are computed in single precision, as `mir_eval` does: a sample that falls on a boundary
    /// goes to one side or the other by its rounding. In double precision, scores move by up to 4e-4.
    ///
    /// # Errors
    /// If intervals are not in order or overlap, there are not as many labels as intervals, or the reference is too short
    /// for two samples.
    pub fn of_segments(reference: &LabelledIntervals, estimate: &LabelledIntervals) -> Result<Self, MetricError> {
        for (what, segments) in [("reference segments", reference), ("estimated segments", estimate)] {
            if segments.labels.len() != segments.intervals.len() {
                let (expected, found) = (segments.intervals.len(), segments.labels.len());
                return Err(MetricError::LengthMismatch { what, expected, found });
            }
            check_ordered_intervals(what, &segments.intervals)?;
        }
        let span = reference.span().ok_or(MetricError::Empty { what: "reference segments" })?;
        let num_samples = (span.end / SAMPLE_SECONDS).floor() as usize;
        if num_samples < 2 {
            let expected = format!("at least {} s, for two samples", 2.0 * SAMPLE_SECONDS);
            let found = format!("an end at {} s", span.end);
            return Err(MetricError::OutOfRange { what: "reference segments", index: 0, expected, found });
        }
        Self::of_labels(&sampled(reference, num_samples), &sampled(estimate, num_samples))
    }

    /// Of the labels of samples, as class numbers.
    ///
    /// # Errors
    /// If the lists have different lengths, fewer than two samples, or more than 2048 different labels.
    pub fn of_labels(reference: &[usize], estimate: &[usize]) -> Result<Self, MetricError> {
        const WHAT: &str = "labels of samples";
        if reference.len() != estimate.len() {
            return Err(MetricError::LengthMismatch { what: WHAT, expected: reference.len(), found: estimate.len() });
        }
        if reference.len() < 2 {
            return Err(MetricError::Empty { what: WHAT });
        }
        let (rows, num_rows) = places(reference);
        let (columns, num_columns) = places(estimate);
        let num_labels = num_rows.max(num_columns);
        if num_labels > MAXIMUM_LABELS {
            let expected = format!("at most {MAXIMUM_LABELS} different labels");
            return Err(MetricError::OutOfRange { what: WHAT, index: 0, expected, found: num_labels.to_string() });
        }
        let mut counts = vec![vec![0; num_columns]; num_rows];
        for (&row, &column) in rows.iter().zip(&columns) {
            counts[row][column] += 1;
        }
        let of_reference = counts.iter().map(|row: &Vec<u64>| row.iter().sum()).collect();
        let of_estimate = (0..num_columns).map(|column| counts.iter().map(|row| row[column]).sum()).collect();
        Ok(Self { counts, of_reference, of_estimate, total: reference.len() as u64 })
    }

    /// Of the pairs of samples that share a label in one, which share one in the other. 0 where no two samples do.
    pub fn pairwise(&self) -> FMeasure {
        let shared = self.pairs_in_both() as usize;
        FMeasure::from_counts(
            shared,
            pairs_of_all(&self.of_reference) as usize,
            pairs_of_all(&self.of_estimate) as usize,
        )
    }

    /// The share of pairs of samples on which both agree, that they have the same label or that they have not.
    pub fn rand_index(&self) -> f64 {
        let all = pairs(self.total);
        let (both, reference, estimate) =
            (self.pairs_in_both(), pairs_of_all(&self.of_reference), pairs_of_all(&self.of_estimate));
        (all + 2 * both - reference - estimate) as f64 / all as f64
    }

    /// The Rand index so that chance is 0: from -1 (or above) to 1.
    pub fn adjusted_rand_index(&self) -> f64 {
        if self.is_trivial() || (self.is_all_different(&self.of_reference) && self.is_all_different(&self.of_estimate))
        {
            return 1.0;
        }
        let (both, reference, estimate) = (
            self.pairs_in_both() as f64,
            pairs_of_all(&self.of_reference) as f64,
            pairs_of_all(&self.of_estimate) as f64,
        );
        let by_chance = reference * estimate / pairs(self.total) as f64;
        (both - by_chance) / (f64::midpoint(reference, estimate) - by_chance)
    }

    /// Mutual information of the two labels, in nats.
    pub fn mutual_information(&self) -> f64 {
        let total = self.total as f64;
        let mut sum = 0.0;
        for (row, &reference) in self.counts.iter().zip(&self.of_reference) {
            for (&count, &estimate) in row.iter().zip(&self.of_estimate) {
                if count > 0 {
                    let (count, expected) = (count as f64, reference as f64 * estimate as f64 / total);
                    sum += count / total * (count / expected).ln();
                }
            }
        }
        sum
    }

    /// Mutual information less that of chance, over the larger entropy less the same: chance is 0, the same is 1.
    pub fn adjusted_mutual_information(&self) -> f64 {
        if self.is_trivial() {
            return 1.0;
        }
        let by_chance = self.expected_mutual_information();
        let most = entropy(&self.of_reference).max(entropy(&self.of_estimate));
        let adjusted = (self.mutual_information() - by_chance) / (most - by_chance);
        // Only where every sample has a label of its own in both, there is nothing above chance.
        if adjusted.is_finite() { adjusted } else { 1.0 }
    }

    /// Mutual information over the geometric mean of the entropies, from 0 to 1.
    ///
    /// Where one side alone has a single label this is 0. `mir_eval` then divides its rounding by 1e-10, and gives up to
    /// 1e-5 of noise.
    pub fn normalized_mutual_information(&self) -> f64 {
        if self.is_trivial() {
            return 1.0;
        }
        let scale = (entropy(&self.of_reference) * entropy(&self.of_estimate)).sqrt();
        self.mutual_information() / scale.max(1e-10)
    }

    /// Normalised conditional entropies: over-segmentation as precision, under-segmentation as recall, each from 0 to 1.
    /// Normalised by the largest entropy that so many labels could have; 0 where there is one label alone.
    pub fn normalized_conditional_entropy(&self) -> FMeasure {
        self.conditional_entropies((self.of_reference.len() as f64).ln(), (self.of_estimate.len() as f64).ln())
    }

    /// V-measure: the same normalised by the entropies that the labels have. Homogeneity is recall, completeness precision.
    pub fn v_measure(&self) -> FMeasure {
        self.conditional_entropies(entropy(&self.of_reference), entropy(&self.of_estimate))
    }

    fn conditional_entropies(&self, reference_scale: f64, estimate_scale: f64) -> FMeasure {
        let total = self.total as f64;
        let of_rows: f64 =
            self.counts.iter().zip(&self.of_reference).map(|(row, &count)| count as f64 / total * entropy(row)).sum();
        let of_columns: f64 = self
            .of_estimate
            .iter()
            .enumerate()
            .map(|(column, &count)| {
                let column: Vec<u64> = self.counts.iter().map(|row| row[column]).collect();
                count as f64 / total * entropy(&column)
            })
            .sum();
        let over = if estimate_scale > 0.0 { 1.0 - of_rows / estimate_scale } else { 0.0 };
        let under = if reference_scale > 0.0 { 1.0 - of_columns / reference_scale } else { 0.0 };
        FMeasure::from_shares(over, under)
    }

    /// The mean of mutual information over all clusterings with labels as frequent as these (Vinh et al., equation 24a).
    fn expected_mutual_information(&self) -> f64 {
        let log_factorial = log_factorials(self.total);
        let log_factorial = |count: u64| log_factorial[count as usize];
        let total = self.total as f64;
        let mut expected = 0.0;
        for &reference in &self.of_reference {
            for &estimate in &self.of_estimate {
                let least = (reference + estimate).saturating_sub(self.total).max(1);
                let fixed = log_factorial(reference)
                    + log_factorial(estimate)
                    + log_factorial(self.total - reference)
                    + log_factorial(self.total - estimate)
                    - log_factorial(self.total);
                for both in least..=reference.min(estimate) {
                    let log_probability = fixed
                        - log_factorial(both)
                        - log_factorial(reference - both)
                        - log_factorial(estimate - both)
                        - log_factorial(self.total + both - reference - estimate);
                    let information = (total * both as f64 / (reference as f64 * estimate as f64)).ln();
                    expected += both as f64 / total * information * log_probability.exp();
                }
            }
        }
        expected
    }

    fn pairs_in_both(&self) -> u64 {
        self.counts.iter().map(|row| pairs_of_all(row)).sum()
    }

    /// Whether both have one label alone.
    fn is_trivial(&self) -> bool {
        self.of_reference.len() == 1 && self.of_estimate.len() == 1
    }

    fn is_all_different(&self, counts: &[u64]) -> bool {
        counts.len() as u64 == self.total
    }
}

/// Number of pairs among so many.
fn pairs(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

fn pairs_of_all(counts: &[u64]) -> u64 {
    counts.iter().copied().map(pairs).sum()
}

/// Entropy of labels that are so frequent, in nats.
fn entropy(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    -counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 / total * (count as f64 / total).ln())
        .sum::<f64>()
}

/// Logarithms of the factorials from 0 to `largest`, summed so that rounding does not add up.
fn log_factorials(largest: u64) -> Vec<f64> {
    let (mut sum, mut lost) = (0f64, 0f64);
    let mut logarithms = vec![0.0];
    for number in 1..=largest {
        let term = (number as f64).ln() - lost;
        let next = sum + term;
        lost = (next - sum) - term;
        sum = next;
        logarithms.push(sum);
    }
    logarithms
}

/// Each value's place among the different ones, in order of their first occurrence, and how many there are.
fn places(values: &[usize]) -> (Vec<usize>, usize) {
    let mut known = HashMap::new();
    let places = values
        .iter()
        .map(|&value| {
            let next = known.len();
            *known.entry(value).or_insert(next)
        })
        .collect();
    (places, known.len())
}

/// The label at each sample as a number, 0 where there is none.
fn sampled(segments: &LabelledIntervals, num_samples: usize) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let mut samples = vec![0; num_samples];
    for (&Interval { start, end }, label) in segments.intervals.iter().zip(&segments.labels) {
        let next = numbers.len() + 1;
        let number = *numbers.entry(label.to_lowercase()).or_insert(next);
        let first = first_sample(num_samples, |time| time >= start);
        let behind = first_sample(num_samples, |time| time > end);
        samples[first..behind.max(first)].fill(number);
    }
    samples
}

/// The first sample whose time is so, where all that follow are.
fn first_sample(num_samples: usize, is_so: impl Fn(f64) -> bool) -> usize {
    let (mut low, mut high) = (0, num_samples);
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_so(f64::from(middle as f32 * SAMPLE_SECONDS as f32)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} instead of {expected}");
    }

    /// Six samples: two parts of three, estimated as three parts of two.
    fn small() -> Contingency {
        Contingency::of_labels(&[0, 0, 0, 1, 1, 1], &[5, 5, 6, 6, 7, 7]).unwrap()
    }

    #[test]
    fn pairs_by_hand() {
        let scores = small().pairwise();
        // 6 pairs in the reference, 3 in the estimate, 2 in both.
        close(scores.precision, 2.0 / 3.0);
        close(scores.recall, 2.0 / 6.0);
        // Of 15 pairs, 2 are together in both and 8 in neither.
        close(small().rand_index(), 10.0 / 15.0);
        close(small().adjusted_rand_index(), (2.0 - 1.2) / (4.5 - 1.2));
    }

    #[test]
    fn entropies_by_hand() {
        let information = 2f64.ln() * 2.0 / 3.0;
        close(small().mutual_information(), information);
        close(small().normalized_mutual_information(), information / (2f64.ln() * 3f64.ln()).sqrt());
        let scores = small().normalized_conditional_entropy();
        // Given the estimate, one third of the time has one bit that is open.
        close(scores.recall, 1.0 - 1.0 / 3.0);
        let open = -(2f64 / 3.0).ln() * 2.0 / 3.0 - (1f64 / 3.0).ln() / 3.0;
        close(scores.precision, 1.0 - open / 3f64.ln());
        close(small().v_measure().recall, scores.recall);
    }

    #[test]
    fn names_do_not_matter_and_the_same_is_one() {
        let same = Contingency::of_labels(&[0, 0, 1, 1, 2], &[9, 9, 4, 4, 1]).unwrap();
        for score in [
            same.pairwise().f_measure,
            same.rand_index(),
            same.adjusted_rand_index(),
            same.adjusted_mutual_information(),
            same.normalized_mutual_information(),
            same.normalized_conditional_entropy().f_measure,
            same.v_measure().f_measure,
        ] {
            close(score, 1.0);
        }
    }

    #[test]
    fn one_label_alone_scores_without_nan() {
        let both = Contingency::of_labels(&[0, 0, 0], &[1, 1, 1]).unwrap();
        assert_eq!((both.adjusted_rand_index(), both.adjusted_mutual_information()), (1.0, 1.0));
        assert_eq!(both.normalized_conditional_entropy(), FMeasure::ZERO);
        let one = Contingency::of_labels(&[0, 0, 0], &[1, 2, 2]).unwrap();
        for score in [one.adjusted_rand_index(), one.adjusted_mutual_information(), one.normalized_mutual_information()]
        {
            close(score, 0.0);
        }
        let different = Contingency::of_labels(&[0, 1, 2], &[0, 1, 2]).unwrap();
        assert_eq!(different.adjusted_rand_index(), 1.0);
        assert!(different.adjusted_mutual_information().is_finite());
        assert_eq!(different.pairwise(), FMeasure::ZERO);
    }

    #[test]
    fn samples_are_taken_on_a_grid_of_single_precision() {
        let mut segments = LabelledIntervals::default();
        segments.push(0.0, 0.3, "a");
        segments.push(0.3, 0.6, "B");
        segments.push(0.7, 1.0, "b");
        // 3 * 0.1 in single precision is 0.3000000119, behind the boundary; 0.6 and 0.7 are 0.6000000238 and 0.6999999881.
        assert_eq!(sampled(&segments, 10), [1, 1, 1, 2, 2, 2, 0, 0, 2, 2]);
        assert!(f64::from(7f32 * 0.1f32) > 0.7 || sampled(&segments, 10)[7] == 0);
    }

    #[test]
    fn too_short_a_reference_is_an_error() {
        let mut short = LabelledIntervals::default();
        short.push(0.0, 0.15, "a");
        let error = Contingency::of_segments(&short, &short).unwrap_err().to_string();
        assert!(error.contains("at least 0.2 s"), "{error}");
        assert!(Contingency::of_labels(&[0, 1], &[0]).is_err());
    }
}
