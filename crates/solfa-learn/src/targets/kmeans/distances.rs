//! Distances of many rows to many centres, as a product of matrices.
//!
//! `|row - centre|^2 = |row|^2 - 2 row·centre + |centre|^2`. That is exact as long as lengths are not much larger than
//! distances, so a common offset is taken off both sides first.

use solfa_kernels::training::add_transposed_product;

/// Rows that are multiplied together. Blocks do not depend on threads, so results do not either.
pub(super) const BLOCK_ROWS: usize = 1024;

/// Centres, less an offset.
pub(super) struct Centres {
    num_centres: usize,
    /// `[dim, centres]`
    transposed: Vec<f32>,
    /// Of each centre, less the offset.
    squared_lengths: Vec<f32>,
}

impl Centres {
    pub(super) fn new(centres: &[f32], offset: &[f32]) -> Self {
        let Block { num_rows, transposed, squared_lengths } = Block::new(centres, offset);
        Self { num_centres: num_rows, transposed, squared_lengths }
    }
}

/// Some rows, less an offset.
pub(super) struct Block {
    num_rows: usize,
    /// `[dim, rows]`
    transposed: Vec<f32>,
    squared_lengths: Vec<f32>,
}

impl Block {
    pub(super) fn new(rows: &[f32], offset: &[f32]) -> Self {
        let dim = offset.len();
        let num_rows = rows.len() / dim;
        let mut transposed = vec![0.0; rows.len()];
        let mut squared_lengths = vec![0.0; num_rows];
        for (number, (row, squared_length)) in rows.chunks_exact(dim).zip(&mut squared_lengths).enumerate() {
            for (column, (value, offset)) in row.iter().zip(offset).enumerate() {
                let value = value - offset;
                transposed[column * num_rows + number] = value;
                *squared_length += value * value;
            }
        }
        Self { num_rows, transposed, squared_lengths }
    }

    /// `[rows, centres]`: the product of each row with each centre.
    fn products(&self, centres: &Centres) -> Vec<f32> {
        let mut products = vec![0.0; self.num_rows * centres.num_centres];
        let (rows, columns) = (self.num_rows, centres.num_centres);
        add_transposed_product(&self.transposed, &centres.transposed, rows, columns, &mut products);
        products
    }

    /// The centre that is nearest to each row, the first among equals.
    pub(super) fn nearest(&self, centres: &Centres) -> Vec<u32> {
        let products = self.products(centres);
        let halves: Vec<f32> = centres.squared_lengths.iter().map(|square| 0.5 * square).collect();
        let nearest = |products: &[f32]| {
            let (mut best, mut largest) = (0, f32::NEG_INFINITY);
            for (number, (product, half)) in (0..).zip(products.iter().zip(&halves)) {
                let score = product - half;
                if score > largest {
                    (best, largest) = (number, score);
                }
            }
            best
        };
        products.chunks_exact(centres.num_centres).map(nearest).collect()
    }

    /// `[rows, centres]`: the squared distance of each row to each centre, but at most `limits` of the row.
    pub(super) fn squared_distances_up_to(&self, centres: &Centres, limits: &[f32]) -> Vec<f32> {
        let mut distances = self.products(centres);
        let rows = distances.chunks_exact_mut(centres.num_centres).zip(&self.squared_lengths).zip(limits);
        for ((distances, squared_length), limit) in rows {
            for (distance, centre) in distances.iter_mut().zip(&centres.squared_lengths) {
                *distance = (squared_length + centre - 2.0 * *distance).max(0.0).min(*limit);
            }
        }
        distances
    }
}

/// The mean of rows.
pub(super) fn mean_row(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dim];
    for row in rows.chunks_exact(dim) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let count = (rows.len() / dim).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// In double precision, term by term.
pub(super) fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(&left, &right)| (f64::from(left) - f64::from(right)).powi(2)).sum()
}
