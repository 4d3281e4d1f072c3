//! Signals that what a network learns has collapsed: vectors that are all the same or lie in few directions, codes of which
//! few are used.

use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

/// How far the vectors of a batch are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The standard deviation over items, mean over dimensions. VICReg (Bardes et al. 2022, arXiv:2105.04906) holds it
    /// above 1.
    pub deviation: f64,
    /// The same of vectors scaled to length 1: `1 / sqrt(dim)` where they point everywhere, 0 where they are all the same
    /// (Chen and He 2021, SimSiam, arXiv:2011.10566, sec. 4.1).
    pub normalized_deviation: f64,
    /// How many directions the vectors take around their mean: the exponential of the entropy of the singular values'
    /// shares of their sum (Roy and Vetterli 2007). 0 where all items are the same, at most the smaller of `dim` and
    /// `items - 1`.
    pub effective_rank: f64,
}

/// How many codes of a codebook are used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeUsage {
    /// Share of the codes that occur.
    pub used_share: f64,
    /// The exponential of the entropy of the codes: how many would be used if all were used alike.
    pub perplexity: f64,
}

/// Numbers that say nothing of collapse.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CollapseError {
    /// Values that are not whole vectors.
    #[error("embeddings: expected whole vectors of {dim} values, found {found} values")]
    Length {
        /// Values of a vector.
        dim: usize,
        /// Values that there are.
        found: usize,
    },
    /// Nothing varies among fewer than two vectors.
    #[error("embeddings: expected two items or more, found {found}")]
    TooFew {
        /// Items that there are.
        found: usize,
    },
    /// NaN or infinity.
    #[error("embeddings: expected finite numbers, found {value} in item {item}, dimension {dimension}")]
    NotFinite {
        /// The item.
        item: usize,
        /// The dimension.
        dimension: usize,
        /// What is there.
        value: f32,
    },
    /// A decomposition that did not end, which finite numbers do not do.
    #[error("embeddings: the decomposition of {items} items of {dim} dimensions did not converge")]
    NoConvergence {
        /// Items.
        items: usize,
        /// Dimensions.
        dim: usize,
    },
    /// A code outside of the codebook.
    #[error("codes of codebook {codebook}: expected numbers below {num_codes}, found {found}")]
    NoSuchCode {
        /// The codebook.
        codebook: usize,
        /// Codes that there are.
        num_codes: usize,
        /// The number.
        found: i64,
    },
    /// A codebook outside of those that are counted.
    #[error("expected a codebook below {num_codebooks}, found {found}")]
    NoSuchCodebook {
        /// Codebooks that there are.
        num_codebooks: usize,
        /// The number.
        found: usize,
    },
}

/// The spread of a batch of vectors.
///
/// # Shapes
/// - embeddings: `[items, dim]`, one vector after the other
///
/// # Errors
/// Values that are not whole vectors, fewer than two vectors, values that are not finite.
pub fn spread(embeddings: &[f32], dim: usize) -> Result<Spread, CollapseError> {
    if dim == 0 || !embeddings.len().is_multiple_of(dim) {
        return Err(CollapseError::Length { dim, found: embeddings.len() });
    }
    let items = embeddings.len() / dim;
    if items < 2 {
        return Err(CollapseError::TooFew { found: items });
    }
    if let Some(place) = embeddings.iter().position(|value| !value.is_finite()) {
        let (item, dimension, value) = (place / dim, place % dim, embeddings[place]);
        return Err(CollapseError::NotFinite { item, dimension, value });
    }
    let raw = Mat::from_fn(items, dim, |item, dimension| f64::from(embeddings[item * dim + dimension]));
    let lengths: Vec<f64> = raw.row_iter().map(|row| row.norm_l2()).collect();
    let normalized = Mat::from_fn(items, dim, |item, dimension| match lengths[item] {
        0.0 => 0.0,
        length => raw[(item, dimension)] / length,
    });
    let size = raw.norm_max();
    let centred = centred(raw);
    Ok(Spread {
        deviation: mean_deviation(&centred),
        normalized_deviation: mean_deviation(&self::centred(normalized)),
        effective_rank: effective_rank(&centred, size)?,
    })
}

/// The values less the mean of their dimension.
fn centred(mut vectors: Mat<f64>) -> Mat<f64> {
    let items = vectors.nrows() as f64;
    for column in vectors.col_iter_mut() {
        let mean = column.as_ref().iter().sum::<f64>() / items;
        column.iter_mut().for_each(|value| *value -= mean);
    }
    vectors
}

/// The sample's standard deviation (over one item less), mean over dimensions.
fn mean_deviation(centred: &Mat<f64>) -> f64 {
    let (items, dim) = (centred.nrows() as f64, centred.ncols() as f64);
    centred.col_iter().map(|column| (column.squared_norm_l2() / (items - 1.0)).sqrt()).sum::<f64>() / dim
}

/// `size` is the largest value before the mean was taken off.
fn effective_rank(centred: &Mat<f64>, size: f64) -> Result<f64, CollapseError> {
    let (items, dim) = (centred.nrows(), centred.ncols());
    let largest = centred.norm_max();
    // What rounding leaves of equal items is no direction.
    if largest <= size * items as f64 * f64::EPSILON {
        return Ok(0.0);
    }
    let scaled = centred * faer::Scale(1.0 / largest);
    // The smaller of the two products has the squares of the singular values.
    let products = if items < dim { &scaled * scaled.transpose() } else { scaled.transpose() * &scaled };
    let squares =
        products.self_adjoint_eigenvalues(Side::Lower).map_err(|_| CollapseError::NoConvergence { items, dim })?;
    // Eigenvalues are known to a share of the largest one; what is below it is rounding.
    let noise = squares.iter().copied().fold(0.0, f64::max) * items.max(dim) as f64 * f64::EPSILON;
    let values = squares.iter().map(|&square| if square > noise { square.sqrt() } else { 0.0 });
    Ok(exponential_of_entropy(values))
}

/// Codes of several codebooks, counted over one batch or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCounts {
    counts: Vec<Vec<u64>>,
}

impl CodeCounts {
    /// Nothing counted yet.
    pub fn new(num_codebooks: usize, num_codes: usize) -> Self {
        Self { counts: vec![vec![0; num_codes]; num_codebooks] }
    }

    /// Counts codes of one codebook.
    ///
    /// # Errors
    /// A codebook or a code that there is not. Codes before it are counted.
    pub fn add(&mut self, codebook: usize, codes: &[i64]) -> Result<(), CollapseError> {
        let num_codebooks = self.counts.len();
        let wrong = CollapseError::NoSuchCodebook { num_codebooks, found: codebook };
        let counts = self.counts.get_mut(codebook).ok_or(wrong)?;
        let num_codes = counts.len();
        for &found in codes {
            let count = usize::try_from(found).ok().and_then(|code| counts.get_mut(code));
            *count.ok_or(CollapseError::NoSuchCode { codebook, num_codes, found })? += 1;
        }
        Ok(())
    }

    /// The usage of each codebook; 0 where nothing was counted.
    pub fn usage(&self) -> Vec<CodeUsage> {
        let usage = |counts: &Vec<u64>| {
            let used = counts.iter().filter(|&&count| count > 0).count();
            CodeUsage {
                used_share: used as f64 / counts.len().max(1) as f64,
                perplexity: exponential_of_entropy(counts.iter().map(|&count| count as f64)),
            }
        };
        self.counts.iter().map(usage).collect()
    }

    /// Starts again.
    pub fn clear(&mut self) {
        self.counts.iter_mut().for_each(|counts| counts.fill(0));
    }
}

/// Of shares of a sum; 0 where there is no sum.
fn exponential_of_entropy(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let total: f64 = values.clone().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let shares = values.map(|value| value / total).filter(|&share| share > 0.0);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn vectors_along_the_axes_have_full_rank() {
        // Means 0; sums of squares 2 each over three degrees of freedom; all of length 1.
        let found = spread(&[1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0], 2).unwrap();
        assert_near(found.deviation, (2.0_f64 / 3.0).sqrt());
        assert_near(found.normalized_deviation, (2.0_f64 / 3.0).sqrt());
        assert_near(found.effective_rank, 2.0);
    }

    #[test]
    fn singular_values_of_three_and_one_have_the_rank_of_their_entropy() {
        let found = spread(&[3.0, 0.0, -3.0, 0.0, 0.0, 1.0, 0.0, -1.0], 2).unwrap();
        // Shares 3/4 and 1/4.
        assert_near(found.effective_rank, 4.0 / 3.0_f64.powf(0.75));
        assert_near(found.deviation, (6.0_f64.sqrt() + (2.0_f64 / 3.0).sqrt()) / 2.0);
        assert_near(found.normalized_deviation, (2.0_f64 / 3.0).sqrt());
        // More dimensions than items: the same directions.
        let wide: Vec<f32> = [3.0, 0.0, -3.0, 0.0, 0.0, 1.0, 0.0, -1.0]
            .chunks(2)
            .flat_map(|pair| [pair, &[7.0, 7.0, 7.0]].concat())
            .collect();
        assert_near(spread(&wide, 5).unwrap().effective_rank, 4.0 / 3.0_f64.powf(0.75));
    }

    #[test]
    fn collapsed_vectors_show_it() {
        let same = spread(&[0.1, 0.7, -0.3].repeat(50), 3).unwrap();
        assert_eq!(same.effective_rank, 0.0);
        assert!(same.deviation < 1e-12 && same.normalized_deviation < 1e-12);
        // One direction, at every length.
        let line: Vec<f32> = (1..40).flat_map(|number| [number as f32, 2.0 * number as f32]).collect();
        let line = spread(&line, 2).unwrap();
        assert!((line.effective_rank - 1.0).abs() < 1e-6 && line.deviation > 10.0 && line.normalized_deviation < 1e-7);
        let silent = spread(&[0.0; 12], 4).unwrap();
        assert_eq!(silent, Spread { deviation: 0.0, normalized_deviation: 0.0, effective_rank: 0.0 });
    }

    #[test]
    fn numbers_that_say_nothing_are_errors() {
        assert_eq!(spread(&[1.0; 5], 2), Err(CollapseError::Length { dim: 2, found: 5 }));
        assert_eq!(spread(&[], 0), Err(CollapseError::Length { dim: 0, found: 0 }));
        assert_eq!(spread(&[1.0; 2], 2), Err(CollapseError::TooFew { found: 1 }));
        let error = spread(&[1.0, 2.0, 3.0, f32::INFINITY], 2).unwrap_err().to_string();
        assert_eq!(error, "embeddings: expected finite numbers, found inf in item 1, dimension 1");
        assert!(spread(&[f32::MAX, f32::MIN, f32::MIN, f32::MAX], 2).unwrap().effective_rank > 0.99);
    }

    #[test]
    fn codes_are_counted_for_each_codebook_over_batches() {
        let mut counts = CodeCounts::new(2, 4);
        counts.add(0, &[0, 1, 2, 3]).unwrap();
        counts.add(1, &[2, 2]).unwrap();
        counts.add(1, &[2, 0]).unwrap();
        let [first, second] = counts.usage()[..] else { panic!("two codebooks") };
        assert_eq!(first.used_share, 1.0);
        assert_near(first.perplexity, 4.0);
        assert_eq!(second.used_share, 0.5);
        assert_near(second.perplexity, 4.0 / 3.0_f64.powf(0.75));
        counts.clear();
        assert_eq!(counts.usage(), [CodeUsage { used_share: 0.0, perplexity: 0.0 }; 2]);
    }

    #[test]
    fn codes_outside_of_their_codebook_are_errors() {
        let mut counts = CodeCounts::new(1, 4);
        assert_eq!(counts.add(0, &[1, 4]), Err(CollapseError::NoSuchCode { codebook: 0, num_codes: 4, found: 4 }));
        assert_eq!(counts.add(0, &[-1]), Err(CollapseError::NoSuchCode { codebook: 0, num_codes: 4, found: -1 }));
        assert_eq!(counts.add(1, &[0]), Err(CollapseError::NoSuchCodebook { num_codebooks: 1, found: 1 }));
    }
}
