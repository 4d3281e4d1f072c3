//! Sums over items that come in parts, from which canonical correlations follow.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::whitening::principal_directions;
use super::{CanonicalCorrelations, Matrix, SimilarityError, Truncation};

/// The covariances of two layers whose items come in parts, frames of many tracks for instance: memory depends on the
/// dimensions alone, `8 (a² + b² + a b)` bytes.
///
/// Values are taken less the mean of the first part, so that little cancels. Singular values come as roots of eigenvalues
/// here: of those below 1e-5 of the largest mostly rounding is left, so a smaller [`Truncation::tolerance`] is taken as
/// 1e-5.
#[derive(Clone, Debug)]
pub struct CrossMoments {
    items: usize,
    shift_a: Vec<f64>,
    shift_b: Vec<f64>,
    sum_a: Vec<f64>,
    sum_b: Vec<f64>,
    products_a: Mat<f64>,
    products_b: Mat<f64>,
    products_ab: Mat<f64>,
}

/// The smallest share of the largest singular value that eigenvalues can tell from rounding.
const TOLERANCE: f64 = 1e-5;

impl CrossMoments {
    /// For two layers of these widths.
    pub fn new(dim_a: usize, dim_b: usize) -> Self {
        Self {
            items: 0,
            shift_a: vec![0.0; dim_a],
            shift_b: vec![0.0; dim_b],
            sum_a: vec![0.0; dim_a],
            sum_b: vec![0.0; dim_b],
            products_a: Mat::zeros(dim_a, dim_a),
            products_b: Mat::zeros(dim_b, dim_b),
            products_ab: Mat::zeros(dim_a, dim_b),
        }
    }

    /// Adds some items.
    ///
    /// # Errors
    ///
    /// Another number of items in one layer than in the other, another width than before.
    pub fn add(&mut self, a: Matrix<'_>, b: Matrix<'_>) -> Result<(), SimilarityError> {
        if a.items() != b.items() {
            return Err(SimilarityError::ItemsDiffer { a: a.items(), b: b.items() });
        }
        for (what, expected, found) in [
            ("dimensions of the first layer", self.sum_a.len(), a.dim()),
            ("dimensions of the second layer", self.sum_b.len(), b.dim()),
        ] {
            if expected != found {
                return Err(SimilarityError::Length { what, expected, found });
            }
        }
        if self.items == 0 {
            (self.shift_a, self.shift_b) = (a.means(), b.means());
        }
        let (a, b) = (a.shifted(&self.shift_a), b.shifted(&self.shift_b));
        let add_up = |sums: &mut [f64], values: &Mat<f64>| {
            sums.iter_mut().zip(values.col_iter()).for_each(|(sum, column)| *sum += column.iter().sum::<f64>());
        };
        add_up(&mut self.sum_a, &a);
        add_up(&mut self.sum_b, &b);
        for (products, left, right) in
            [(&mut self.products_a, &a, &a), (&mut self.products_b, &b, &b), (&mut self.products_ab, &a, &b)]
        {
            matmul(products.as_mut(), Accum::Add, left.transpose(), right.as_ref(), 1.0, Par::rayon(0));
        }
        self.items += a.nrows();
        Ok(())
    }

    /// Items so far.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Linear CKA (biased) of the items so far.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Constant`] where a layer is the same for all items.
    pub fn linear_cka(&self) -> Result<f64, SimilarityError> {
        let square = |matrix: Mat<f64>| matrix.squared_norm_l2();
        let (a, b, cross) = (square(self.covariance_a()), square(self.covariance_b()), square(self.covariance_ab()));
        let cka = cross / (a.sqrt() * b.sqrt());
        if cka.is_finite() { Ok(cka) } else { Err(SimilarityError::Constant) }
    }

    /// Canonical correlations of the items so far.
    ///
    /// # Errors
    ///
    /// As [`WhitenedLayer::new`](super::WhitenedLayer::new) and [`CanonicalCorrelations::of`].
    pub fn canonical_correlations(&self, truncation: &Truncation) -> Result<CanonicalCorrelations, SimilarityError> {
        let truncation = Truncation { tolerance: truncation.tolerance.max(TOLERANCE), ..*truncation };
        truncation.check()?;
        if self.items < 3 {
            return Err(SimilarityError::TooFewItems { what: "canonical correlation", expected: 3, found: self.items });
        }
        let (whitener_a, loadings_a) = self.whitener(&self.covariance_a(), &truncation)?;
        let (whitener_b, loadings_b) = self.whitener(&self.covariance_b(), &truncation)?;
        let cross = whitener_a.transpose() * self.covariance_ab() * whitener_b;
        CanonicalCorrelations::of_cross(cross, self.items, &loadings_a, &loadings_b)
    }

    /// What makes an orthonormal basis of a layer (`[dim, rank]`), and the layer in that basis (`[rank, dim]`).
    fn whitener(
        &self,
        covariance: &Mat<f64>,
        truncation: &Truncation,
    ) -> Result<(Mat<f64>, Mat<f64>), SimilarityError> {
        let dim = covariance.nrows();
        let (singular_values, directions) = principal_directions(covariance, self.items)?;
        let rank = truncation.rank(&singular_values);
        if rank == 0 {
            return Err(SimilarityError::Constant);
        }
        let shrinkage = truncation.shrinkage(&singular_values[..rank]);
        let whitener = Mat::from_fn(dim, rank, |row, column| {
            directions[(row, column)] * shrinkage[column] / singular_values[column]
        });
        let loadings =
            Mat::from_fn(rank, dim, |row, column| directions[(column, row)] * shrinkage[row] * singular_values[row]);
        Ok((whitener, loadings))
    }

    fn covariance_a(&self) -> Mat<f64> {
        centred(&self.products_a, &self.sum_a, &self.sum_a, self.items)
    }

    fn covariance_b(&self) -> Mat<f64> {
        centred(&self.products_b, &self.sum_b, &self.sum_b, self.items)
    }

    fn covariance_ab(&self) -> Mat<f64> {
        centred(&self.products_ab, &self.sum_a, &self.sum_b, self.items)
    }
}

fn centred(products: &Mat<f64>, left: &[f64], right: &[f64], items: usize) -> Mat<f64> {
    let count = items.max(1) as f64;
    Mat::from_fn(left.len(), right.len(), |row, column| products[(row, column)] - left[row] * right[column] / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::whitening::tests::{noise, times};
    use crate::similarity::{WhitenedLayer, linear_cka};

    #[test]
    fn parts_give_what_the_whole_gives() {
        let (items, dim) = (300, 7);
        let x: Vec<f32> = noise(items, dim, 1).iter().map(|value| value + 100.0).collect();
        let noisy = times(&x, dim, &noise(dim, 5, 2)).into_iter().zip(noise(items, 5, 3));
        let y: Vec<f32> = noisy.map(|(y, noise)| y + noise).collect();
        let (x, y) = (Matrix::new(&x, items, dim).unwrap(), Matrix::new(&y, items, 5).unwrap());
        let mut moments = CrossMoments::new(dim, 5);
        for (start, end) in [(0, 1), (1, 90), (90, 300)] {
            moments.add(x.part(start..end), y.part(start..end)).unwrap();
        }
        assert_eq!(moments.items(), items);
        assert!((moments.linear_cka().unwrap() - linear_cka(x, y).unwrap()).abs() < 1e-9);
        for truncation in
            [Truncation::default(), Truncation::svcca(), Truncation { ridge: 0.1, ..Truncation::default() }]
        {
            let parts = moments.canonical_correlations(&truncation).unwrap();
            let whitened = |matrix| WhitenedLayer::new(matrix, &truncation).unwrap();
            let whole = CanonicalCorrelations::of(&whitened(x), &whitened(y)).unwrap();
            assert_eq!((parts.rank_a, parts.rank_b), (whole.rank_a, whole.rank_b));
            for (part, whole) in parts.correlations.iter().zip(&whole.correlations) {
                assert!((part - whole).abs() < 1e-8, "{part} and {whole}");
            }
            let (parts, whole) = (parts.projection_weighted(), whole.projection_weighted());
            assert!((parts.by_a - whole.by_a).abs() < 1e-8 && (parts.by_b - whole.by_b).abs() < 1e-8);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let x = noise(4, 2, 1);
        let (two, four) = (Matrix::new(&x, 4, 2).unwrap(), Matrix::new(&x, 2, 4).unwrap());
        let mut moments = CrossMoments::new(2, 2);
        assert_eq!(moments.add(two, four).unwrap_err(), SimilarityError::ItemsDiffer { a: 4, b: 2 });
        assert!(matches!(moments.add(two.part(0..2), four), Err(SimilarityError::Length { .. })));
        assert!(matches!(
            moments.canonical_correlations(&Truncation::default()),
            Err(SimilarityError::TooFewItems { found: 0, .. })
        ));
        assert_eq!(moments.linear_cka(), Err(SimilarityError::Constant));
    }
}
