//! Centred kernel alignment with the linear kernel.
//!
//! Kornblith, Norouzi, Lee, Hinton: Similarity of neural network representations revisited, ICML 2019. With centred `X`
//! and `Y`, items in rows,
//!
//! ```text
//! CKA = |Xᵀ Y|² / (|Xᵀ X| |Yᵀ Y|)        (Frobenius norms)
//! ```
//!
//! Its numerator estimates the Hilbert-Schmidt independence criterion with a bias: layers that have nothing in common
//! come out well above 0 where dimensions are not few beside items. [`debiased_cka`] puts the unbiased estimate of Song,
//! Smola, Gretton, Bedo, Borgwardt (Feature selection via dependence maximization, JMLR 2012) in all three places; it may
//! be slightly negative. [`MinibatchCka`] adds up those estimates over batches, as Nguyen, Raghu, Kornblith (Do wide and
//! deep networks learn the same things?, ICLR 2021) do it, so that no two items of different batches ever meet.

use faer::Mat;
use rayon::prelude::*;

use super::SimilarityError;
use super::matrix::{Matrix, inner_product, same_items};

/// The fewest items for which the unbiased estimate is defined.
const MINIMUM_ITEMS_UNBIASED: usize = 4;

/// Linear CKA, from 0 to 1; 1 for layers that differ by a rotation, an offset and a scale.
///
/// # Errors
///
/// Another number of items, fewer than two of them, a layer that is the same for all.
pub fn linear_cka(a: Matrix<'_>, b: Matrix<'_>) -> Result<f64, SimilarityError> {
    same_items(&a, &b, "CKA", 2)?;
    Gram::pair(a, b, Estimate::Biased)
}

/// Linear CKA with the unbiased estimate of its terms: near 0 for independent layers at any number of dimensions.
///
/// # Errors
///
/// As [`linear_cka`], and fewer than four items; [`SimilarityError::Constant`] also where a layer's own estimate is not
/// positive, as of a layer in which a single item differs.
pub fn debiased_cka(a: Matrix<'_>, b: Matrix<'_>) -> Result<f64, SimilarityError> {
    same_items(&a, &b, "debiased CKA", MINIMUM_ITEMS_UNBIASED)?;
    Gram::pair(a, b, Estimate::Unbiased)
}

/// Which estimate of the Hilbert-Schmidt independence criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimate {
    Biased,
    Unbiased,
}

/// A layer's products between items, centred so that the inner product of two such matrices is the criterion (times a
/// factor that is the same for all layers).
pub(super) struct Gram {
    centred: Mat<f64>,
    /// Of `centred` with itself.
    square: f64,
}

impl Gram {
    /// The centred products of one layer, `[items, items]`.
    pub(super) fn of(layer: Matrix<'_>, estimate: Estimate) -> Result<Self, SimilarityError> {
        let features = layer.centred()?;
        let mut products = &features * features.transpose();
        if estimate == Estimate::Unbiased {
            centre_without_diagonal(&mut products);
        }
        let square = inner_product(products.as_ref(), products.as_ref());
        Ok(Self { centred: products, square })
    }

    fn pair(a: Matrix<'_>, b: Matrix<'_>, estimate: Estimate) -> Result<f64, SimilarityError> {
        Self::of(a, estimate)?.alignment(&Self::of(b, estimate)?)
    }

    /// CKA of two layers.
    pub(super) fn alignment(&self, other: &Self) -> Result<f64, SimilarityError> {
        ratio(inner_product(self.centred.as_ref(), other.centred.as_ref()), self.square, other.square)
    }
}

/// Song et al.'s centring: the diagonal is taken out, and every row then sums to 0. The inner product of two such
/// matrices over `n (n - 3)` is the unbiased estimate.
fn centre_without_diagonal(products: &mut Mat<f64>) {
    let items = products.nrows();
    for item in 0..items {
        products[(item, item)] = 0.0;
    }
    let sums: Vec<f64> = products.col_iter().map(|column| column.iter().sum()).collect();
    let total: f64 = sums.iter().sum();
    let count = items as f64;
    let common = total / ((count - 1.0) * (count - 2.0));
    for column in 0..items {
        for row in 0..items {
            products[(row, column)] -= (sums[row] + sums[column]) / (count - 2.0) - common;
        }
        products[(column, column)] = 0.0;
    }
}

fn ratio(cross: f64, a: f64, b: f64) -> Result<f64, SimilarityError> {
    let scale = a.max(0.0).sqrt() * b.max(0.0).sqrt();
    if scale > 0.0 && (cross / scale).is_finite() { Ok(cross / scale) } else { Err(SimilarityError::Constant) }
}

/// CKA of layers whose items come in batches: the unbiased terms of each batch are added up.
///
/// What it keeps is one number for each pair of layers. It estimates the same as [`debiased_cka`] on all items at once;
/// batches of some hundred items in random order do well.
#[derive(Clone, Debug)]
pub struct MinibatchCka {
    cross: Vec<Vec<f64>>,
    of_a: Vec<f64>,
    of_b: Vec<f64>,
    num_items: usize,
}

impl MinibatchCka {
    /// For so many layers of two encoders.
    pub fn new(layers_a: usize, layers_b: usize) -> Self {
        Self {
            cross: vec![vec![0.0; layers_b]; layers_a],
            of_a: vec![0.0; layers_a],
            of_b: vec![0.0; layers_b],
            num_items: 0,
        }
    }

    /// Adds a batch: the same items in every layer.
    ///
    /// # Errors
    ///
    /// Another number of layers than before, layers with other items, fewer than four items, a layer that is the same for
    /// all items of the batch.
    pub fn add(&mut self, a: &[Matrix<'_>], b: &[Matrix<'_>]) -> Result<(), SimilarityError> {
        for (what, expected, found) in [
            ("layers of the first encoder", self.of_a.len(), a.len()),
            ("layers of the second", self.of_b.len(), b.len()),
        ] {
            if expected != found {
                return Err(SimilarityError::Length { what, expected, found });
            }
        }
        let Some(first) = a.first().or(b.first()) else { return Ok(()) };
        for layer in a.iter().chain(b) {
            same_items(first, layer, "a batch of CKA", MINIMUM_ITEMS_UNBIASED)?;
        }
        let scaled = |layers: &[Matrix<'_>]| {
            let gram = |layer: &Matrix<'_>| Gram::unscaled(*layer);
            layers.par_iter().map(gram).collect::<Result<Vec<_>, _>>()
        };
        let (grams_a, grams_b) = (scaled(a)?, scaled(b)?);
        let count = first.items() as f64;
        let factor = 1.0 / (count * (count - 3.0));
        for (sum, gram) in self.of_a.iter_mut().zip(&grams_a) {
            *sum += factor * gram.square;
        }
        for (sum, gram) in self.of_b.iter_mut().zip(&grams_b) {
            *sum += factor * gram.square;
        }
        self.cross.par_iter_mut().zip(&grams_a).for_each(|(sums, a)| {
            for (sum, b) in sums.iter_mut().zip(&grams_b) {
                *sum += factor * inner_product(a.centred.as_ref(), b.centred.as_ref());
            }
        });
        self.num_items += first.items();
        Ok(())
    }

    /// Items so far.
    pub fn num_items(&self) -> usize {
        self.num_items
    }

    /// CKA of every layer of the first encoder (rows) with every layer of the second.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Constant`] where there was no batch, or a layer's sum is not positive.
    pub fn values(&self) -> Result<Vec<Vec<f64>>, SimilarityError> {
        let row = |(cross, &a): (&Vec<f64>, &f64)| {
            cross.iter().zip(&self.of_b).map(|(&cross, &b)| ratio(cross, a, b)).collect()
        };
        self.cross.iter().zip(&self.of_a).map(row).collect()
    }
}

impl Gram {
    /// As [`Gram::of`] for the unbiased estimate, at the features' own scale: batches must weigh alike.
    fn unscaled(layer: Matrix<'_>) -> Result<Self, SimilarityError> {
        let features = layer.shifted(&layer.means());
        let mut products = &features * features.transpose();
        centre_without_diagonal(&mut products);
        let square = inner_product(products.as_ref(), products.as_ref());
        Ok(Self { centred: products, square })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::{noise, rotation, times};

    fn matrix(values: &[f32], dim: usize) -> Matrix<'_> {
        Matrix::new(values, values.len() / dim, dim).unwrap()
    }

    #[test]
    fn worked_by_hand() {
        // Centred: x = (-1, 0, 1), y = (-1, 1, 0); x·y = 1, |x|² = |y|² = 2; CKA is the squared correlation.
        let cka = linear_cka(matrix(&[1.0, 2.0, 3.0], 1), matrix(&[4.0, 6.0, 5.0], 1)).unwrap();
        assert!((cka - 0.25).abs() < 1e-12, "{cka}");
    }

    #[test]
    fn rotation_offset_and_scale_change_nothing_but_stretching_does() {
        let x = noise(60, 8, 1);
        let mut moved = times(&x, 8, &rotation(8, 2));
        moved.iter_mut().for_each(|value| *value = *value * 37.0 + 5.0);
        let mut stretched = x.clone();
        stretched.iter_mut().step_by(8).for_each(|value| *value *= 20.0);
        for cka in [linear_cka, debiased_cka] {
            assert!((cka(matrix(&x, 8), matrix(&x, 8)).unwrap() - 1.0).abs() < 1e-12);
            assert!((cka(matrix(&x, 8), matrix(&moved, 8)).unwrap() - 1.0).abs() < 1e-6);
            assert!(cka(matrix(&x, 8), matrix(&stretched, 8)).unwrap() < 0.8);
        }
    }

    #[test]
    fn independent_noise_is_near_0_only_without_bias() {
        let (items, dim) = (100, 80);
        let mut sum = 0.0;
        for seed in 0..20 {
            let (x, y) = (noise(items, dim, 2 * seed), noise(items, dim, 2 * seed + 1));
            let biased = linear_cka(matrix(&x, dim), matrix(&y, dim)).unwrap();
            assert!(biased > 0.35, "{biased}");
            sum += debiased_cka(matrix(&x, dim), matrix(&y, dim)).unwrap();
        }
        assert!((sum / 20.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn batches_add_up_to_what_the_whole_gives() {
        let (items, dim) = (4000, 6);
        let x = noise(items, dim, 1);
        let y: Vec<f32> =
            times(&x, dim, &rotation(dim, 3)).iter().zip(noise(items, dim, 2)).map(|(x, e)| x + e).collect();
        let whole = debiased_cka(matrix(&x, dim), matrix(&y, dim)).unwrap();
        let mut batches = MinibatchCka::new(1, 2);
        for start in (0..items).step_by(200) {
            let part = |values| matrix(values, dim).part(start..start + 200);
            batches.add(&[part(&x)], &[part(&y), part(&x)]).unwrap();
        }
        let values = batches.values().unwrap();
        assert_eq!(batches.num_items(), items);
        assert!((values[0][0] - whole).abs() < 0.01, "{} and {whole}", values[0][0]);
        assert!((values[0][1] - 1.0).abs() < 1e-12);
        let one_batch = {
            let mut batch = MinibatchCka::new(1, 1);
            batch.add(&[matrix(&x, dim).part(0..500)], &[matrix(&y, dim).part(0..500)]).unwrap();
            batch.values().unwrap()[0][0]
        };
        let direct = debiased_cka(matrix(&x, dim).part(0..500), matrix(&y, dim).part(0..500)).unwrap();
        assert!((one_batch - direct).abs() < 1e-9, "{one_batch} and {direct}");
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let x = noise(6, 2, 1);
        let constant = [1.0; 12];
        assert_eq!(linear_cka(matrix(&x, 2), matrix(&x, 3)), Err(SimilarityError::ItemsDiffer { a: 6, b: 4 }));
        assert_eq!(linear_cka(matrix(&x, 2), matrix(&constant, 2)), Err(SimilarityError::Constant));
        assert!(matches!(
            debiased_cka(matrix(&x, 4), matrix(&x, 4)),
            Err(SimilarityError::TooFewItems { found: 3, .. })
        ));
        let mut batches = MinibatchCka::new(1, 1);
        assert!(matches!(batches.add(&[], &[]), Err(SimilarityError::Length { .. })));
        assert_eq!(batches.values(), Err(SimilarityError::Constant));
    }
}
