//! Retrieval: how early in a ranked list the right answers come.
//!
//! For cover identification (other versions of a work among all recordings) and for finding recordings by texts, or texts
//! by recordings. C. D. Manning, P. Raghavan and H. Schütze, *Introduction to Information Retrieval*, 2008, chapter 8; mean
//! rank of the first hit and precision at 10 as in MIREX's audio cover song identification.

use rayon::prelude::*;

use super::check::{check_finite, check_length, check_not_empty, check_rows};
use super::error::MetricError;

/// What large values of a matrix mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closeness {
    /// Large values are near: cosines, dot products.
    Similarity,
    /// Small values are near.
    Distance,
}

/// Where the relevant candidates of every query stand, when its candidates are ranked.
///
/// Ranks count from 1. **Among candidates of equal value, relevant ones come last**, so that an encoder which gives
/// everything the same vector does not gain from the order of a file. **Queries without a relevant candidate are left out**
/// of every mean, and [`num_left_out`](Self::num_left_out) counts them.
///
/// ```
/// use solfa_eval::metrics::retrieval::{Closeness, Rankings};
///
/// // Two recordings of one work, and one of another.
/// let cosines = [1.0, 0.9, 0.2, 0.9, 1.0, 0.4, 0.2, 0.4, 1.0];
/// let rankings = Rankings::of_works(&cosines, &[7, 7, 3], Closeness::Similarity)?;
/// assert_eq!(rankings.mean_average_precision(), 1.0);
/// assert_eq!(rankings.num_left_out(), 1);
/// # Ok::<(), solfa_eval::metrics::MetricError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rankings {
    relevant_ranks: Vec<Vec<usize>>,
    num_left_out: usize,
}

impl Rankings {
    /// Ranks the candidates of each query by their values. Both matrices are `[queries, candidates]`, row-major.
    ///
    /// # Errors
    /// If a matrix is empty or has no whole rows, the two have different sizes, a value is not finite, or no query has a
    /// relevant candidate.
    pub fn new<S: Copy + Into<f64> + Sync>(
        values: &[S],
        relevance: &[bool],
        num_candidates: usize,
        closeness: Closeness,
    ) -> Result<Self, MetricError> {
        check_rows("values of candidates", values.len(), num_candidates)?;
        check_length("relevance of candidates", values.len(), relevance.len())?;
        check_finite("values of candidates", values.iter().map(|&value| value.into()))?;
        Self::of_queries(values, num_candidates, closeness, |query, candidate| {
            Some(relevance[query * num_candidates + candidate])
        })
    }

    /// Every recording is a query among all others; those of the same work are relevant. `values` is
    /// `[recordings, recordings]`, row-major, and its diagonal is not looked at, except that it is finite.
    ///
    /// # Errors
    /// If the matrix has another size, a value is not finite, or no work has two recordings.
    pub fn of_works<S: Copy + Into<f64> + Sync>(
        values: &[S],
        works: &[usize],
        closeness: Closeness,
    ) -> Result<Self, MetricError> {
        check_not_empty("recordings", works.len())?;
        check_length("values of pairs of recordings", works.len() * works.len(), values.len())?;
        check_finite("values of pairs of recordings", values.iter().map(|&value| value.into()))?;
        Self::of_queries(values, works.len(), closeness, |query, candidate| {
            (query != candidate).then(|| works[query] == works[candidate])
        })
    }

    /// `relevance` is `None` for what is no candidate of a query.
    fn of_queries<S: Copy + Into<f64> + Sync>(
        values: &[S],
        num_candidates: usize,
        closeness: Closeness,
        relevance: impl Fn(usize, usize) -> Option<bool> + Sync,
    ) -> Result<Self, MetricError> {
        let all: Vec<Vec<usize>> = values
            .par_chunks_exact(num_candidates)
            .enumerate()
            .map(|(query, values)| {
                let mut candidates: Vec<(f64, bool)> = (values.iter().enumerate())
                    .filter_map(|(candidate, &value)| {
                        let value: f64 = value.into();
                        let distance = if closeness == Closeness::Similarity { -value } else { value };
                        relevance(query, candidate).map(|is_relevant| (distance + 0.0, is_relevant))
                    })
                    .collect();
                candidates.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
                (candidates.iter().enumerate()).filter(|(_, (_, hit))| *hit).map(|(place, _)| place + 1).collect()
            })
            .collect();
        let num_queries = all.len();
        let relevant_ranks: Vec<Vec<usize>> = all.into_iter().filter(|ranks| !ranks.is_empty()).collect();
        check_not_empty("queries with a relevant candidate", relevant_ranks.len())?;
        Ok(Self { num_left_out: num_queries - relevant_ranks.len(), relevant_ranks })
    }

    /// Ranks of the relevant candidates of every query that has any, ascending.
    pub fn relevant_ranks(&self) -> &[Vec<usize>] {
        &self.relevant_ranks
    }

    /// Queries without a relevant candidate.
    pub fn num_left_out(&self) -> usize {
        self.num_left_out
    }

    /// Mean average precision (mAP): over queries, the mean of the precision at every relevant candidate. From 0 to 1.
    pub fn mean_average_precision(&self) -> f64 {
        self.mean(|ranks| {
            let precisions = ranks.iter().enumerate().map(|(found, &rank)| (found + 1) as f64 / rank as f64);
            precisions.sum::<f64>() / ranks.len() as f64
        })
    }

    /// Mean rank of the first relevant candidate (MR1). 1 is the best.
    pub fn mean_rank_of_first(&self) -> f64 {
        self.mean(|ranks| ranks[0] as f64)
    }

    /// Median rank of the first relevant candidate. 1 is the best.
    pub fn median_rank_of_first(&self) -> f64 {
        let mut firsts: Vec<usize> = self.relevant_ranks.iter().map(|ranks| ranks[0]).collect();
        firsts.sort_unstable();
        let middle = firsts.len() / 2;
        if firsts.len() % 2 == 1 { firsts[middle] as f64 } else { (firsts[middle - 1] + firsts[middle]) as f64 / 2.0 }
    }

    /// Mean over queries of the relevant share of the first `k` candidates. Where a query has fewer than `k` relevant ones,
    /// 1 cannot be reached; `k` is the divisor even where there are fewer candidates.
    pub fn precision_at(&self, k: usize) -> f64 {
        self.mean(|ranks| count_up_to(ranks, k) as f64 / k.max(1) as f64)
    }

    /// Mean over queries of the share of relevant candidates that are among the first `k`. Where each query has one
    /// relevant candidate, as texts and their recordings, this is how often it is among the first `k`.
    pub fn recall_at(&self, k: usize) -> f64 {
        self.mean(|ranks| count_up_to(ranks, k) as f64 / ranks.len() as f64)
    }

    fn mean(&self, score: impl Fn(&[usize]) -> f64) -> f64 {
        self.relevant_ranks.iter().map(|ranks| score(ranks)).sum::<f64>() / self.relevant_ranks.len() as f64
    }
}

fn count_up_to(ranks: &[usize], k: usize) -> usize {
    ranks.partition_point(|&rank| rank <= k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_scores_by_hand() {
        let values = [0.9, 0.1, 0.5, 0.7, 0.2, 0.8, 0.6, 0.4];
        let relevance = [true, false, true, false, false, false, false, true];
        let rankings = Rankings::new(&values, &relevance, 4, Closeness::Similarity).unwrap();
        assert_eq!(rankings.relevant_ranks(), [vec![1, 3], vec![3]]);
        assert!((rankings.mean_average_precision() - ((1.0 + 2.0 / 3.0) / 2.0 + 1.0 / 3.0) / 2.0).abs() < 1e-15);
        assert_eq!((rankings.mean_rank_of_first(), rankings.median_rank_of_first()), (2.0, 2.0));
        assert_eq!((rankings.recall_at(1), rankings.recall_at(3), rankings.recall_at(0)), (0.25, 1.0, 0.0));
        assert_eq!(rankings.precision_at(3), 0.5);
        assert!((rankings.precision_at(10) - 0.15).abs() < 1e-15);

        let distances = values.map(|value| -value);
        assert_eq!(Rankings::new(&distances, &relevance, 4, Closeness::Distance).unwrap(), rankings);
    }

    #[test]
    fn a_recording_does_not_find_itself() {
        let distances = [0.0f32, 2.0, 1.0, 2.0, 0.0, 3.0, 1.0, 3.0, 0.0];
        let rankings = Rankings::of_works(&distances, &[1, 1, 2], Closeness::Distance).unwrap();
        assert_eq!(rankings.relevant_ranks(), [vec![2], vec![1]]);
        assert_eq!(rankings.num_left_out(), 1);
    }

    #[test]
    fn equal_values_gain_nothing() {
        let relevance = [true, false, false, true];
        let rankings = Rankings::new(&[0.0, -0.0, 0.5, 0.5], &relevance, 2, Closeness::Similarity).unwrap();
        assert_eq!(rankings.relevant_ranks(), [vec![2], vec![2]]);
    }

    #[test]
    fn bad_input_is_named() {
        let message = |result: Result<Rankings, MetricError>| result.unwrap_err().to_string();
        let new = |values: &[f32], relevance: &[bool]| Rankings::new(values, relevance, 2, Closeness::Similarity);
        assert!(message(new(&[], &[])).contains("nothing"));
        assert!(message(new(&[1.0; 3], &[true; 3])).contains("a last row of 2"));
        assert!(message(new(&[1.0; 2], &[true; 4])).contains("2 values are expected"));
        assert!(message(new(&[1.0, f32::NAN], &[true; 2])).contains("NaN"));
        assert!(message(new(&[1.0; 2], &[false; 2])).contains("queries with a relevant candidate"));
        assert!(Rankings::of_works(&[1.0f32; 3], &[1, 2], Closeness::Distance).is_err());
    }
}
