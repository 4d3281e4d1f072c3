//! k-means: every vector is told by the number of the centroid that is nearest to it.
//!
//! The teacher of HuBERT's first rounds (Hsu et al. 2021, arXiv:2106.07447, sec. II-A) and of MERT's. Centroids are fitted
//! as its `learn_kmeans.py` does, which is scikit-learn's `MiniBatchKMeans`: the best of several greedy k-means++ seedings
//! (Arthur and Vassilvitskii 2007), then batches drawn at random, each of which moves the centroids that it is nearest
//! to towards it (Sculley 2010, "Web-Scale K-Means Clustering"), until the batches' distance has not fallen for a while.
//! Nothing is reassigned: a centroid that no batch meets stays where it is.
//!
//! On plain memory, with products of `solfa-kernels`. Results depend on the seed, and not on the number of threads.

mod distances;
mod seeding;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use distances::{BLOCK_ROWS, Block, Centres, mean_row, squared_distance};

/// Values beyond this have squares that single precision does not hold.
const LARGEST_VALUE: f32 = 1e15;

/// How centroids are fitted. The defaults are HuBERT's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeansConfig {
    /// Number of centroids.
    pub num_clusters: usize,
    /// Rows of a batch; all of them where there are fewer.
    #[serde(default = "default_batch_rows")]
    pub batch_rows: usize,
    /// The most passes over as many rows as there are.
    #[serde(default = "default_iterations")]
    pub max_iterations: usize,
    /// Seedings of which the best is taken.
    #[serde(default = "default_initializations")]
    pub num_initializations: usize,
    /// Batches in a row without a smaller distance, as an exponential mean has it, after which fitting ends.
    #[serde(default = "default_patience")]
    pub max_no_improvement: usize,
}

fn default_batch_rows() -> usize {
    10_000
}

fn default_iterations() -> usize {
    100
}

fn default_patience() -> usize {
    100
}

fn default_initializations() -> usize {
    20
}

impl KMeansConfig {
    /// HuBERT's settings.
    pub fn hubert(num_clusters: usize) -> Self {
        Self {
            num_clusters,
            batch_rows: default_batch_rows(),
            max_iterations: default_iterations(),
            num_initializations: default_initializations(),
            max_no_improvement: default_patience(),
        }
    }

    fn check(&self) -> Result<(), KMeansError> {
        for (field, value) in [
            ("num_clusters", self.num_clusters),
            ("batch_rows", self.batch_rows),
            ("max_iterations", self.max_iterations),
            ("num_initializations", self.num_initializations),
            ("max_no_improvement", self.max_no_improvement),
        ] {
            if value == 0 {
                return Err(KMeansError::Setting { field });
            }
        }
        if u32::try_from(self.num_clusters).is_err() {
            return Err(KMeansError::TooMany { found: self.num_clusters });
        }
        Ok(())
    }
}

/// Why there are no centroids, or no numbers of centroids.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KMeansError {
    /// A setting of 0.
    #[error("k-means: `{field}` is 0, at least 1 expected")]
    Setting {
        /// The setting.
        field: &'static str,
    },
    /// More centroids than numbers of 32 bits.
    #[error("k-means: `num_clusters` is {found}, fewer than 2^32 expected")]
    TooMany {
        /// Their number.
        found: usize,
    },
    /// Values that are not whole rows.
    #[error("k-means: expected whole rows of {dim} values, found {found} values")]
    Width {
        /// Values of a row.
        dim: usize,
        /// Values that there are.
        found: usize,
    },
    /// Fewer rows than centroids.
    #[error("k-means: {num_clusters} clusters take as many rows, and there are {num_rows}")]
    FewRows {
        /// Centroids that are wanted.
        num_clusters: usize,
        /// Rows that there are.
        num_rows: usize,
    },
    /// A value that no distance can be computed of.
    #[error("k-means: row {row}, column {column} is {value}; finite numbers up to {limit:e} are expected", limit = LARGEST_VALUE)]
    Value {
        /// The row.
        row: usize,
        /// Its column.
        column: usize,
        /// What is there.
        value: f32,
    },
}

/// Centroids.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    dim: usize,
    /// `[clusters, dim]`
    centroids: Vec<f32>,
}

impl KMeans {
    /// Centroids that are known.
    ///
    /// # Shapes
    /// - centroids: `[clusters, dim]`, one after the other
    ///
    /// # Errors
    /// [`KMeansError`] for values that are not whole rows or not finite, and without any.
    pub fn new(centroids: Vec<f32>, dim: usize) -> Result<Self, KMeansError> {
        check_rows(&centroids, dim)?;
        if centroids.is_empty() {
            return Err(KMeansError::FewRows { num_clusters: 1, num_rows: 0 });
        }
        Ok(Self { dim, centroids })
    }

    /// Fits centroids to rows.
    ///
    /// # Shapes
    /// - rows: `[rows, dim]`, one after the other
    ///
    /// # Errors
    /// [`KMeansError`] for a setting of 0, rows that are not whole or not finite, and fewer of them than clusters.
    pub fn fit(rows: &[f32], dim: usize, config: &KMeansConfig, seed: u64) -> Result<Self, KMeansError> {
        config.check()?;
        let num_rows = check_rows(rows, dim)?;
        if num_rows < config.num_clusters {
            return Err(KMeansError::FewRows { num_clusters: config.num_clusters, num_rows });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let batch_rows = config.batch_rows.min(num_rows);
        let mut fit = MiniBatchFit::new(best_seeding(rows, dim, config, &mut random));
        let num_batches = (config.max_iterations as u64).saturating_mul(num_rows as u64) / batch_rows as u64;
        let mut patience = Patience::new(batch_rows, num_rows, config.max_no_improvement);
        for _ in 0..num_batches {
            let batch = draw_rows(rows, dim, batch_rows, &mut random);
            let inertia = fit.update(&batch);
            if patience.is_over(inertia / batch_rows as f64) {
                break;
            }
        }
        Ok(fit.kmeans)
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of centroids.
    pub fn num_clusters(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// `[clusters, dim]`, one after the other.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// The number of the centroid that is nearest to each row, the lowest among equals.
    ///
    /// # Errors
    /// [`KMeansError`] for rows that are not whole or not finite.
    pub fn assign(&self, rows: &[f32]) -> Result<Vec<u32>, KMeansError> {
        check_rows(rows, self.dim)?;
        Ok(self.nearest(rows))
    }

    /// The sum of the squared distances of all rows to the centroids that are nearest to them.
    ///
    /// # Errors
    /// As for [`assign`](Self::assign).
    pub fn inertia(&self, rows: &[f32]) -> Result<f64, KMeansError> {
        let labels = self.assign(rows)?;
        Ok(self.distance(rows, &labels))
    }

    fn nearest(&self, rows: &[f32]) -> Vec<u32> {
        let offset = mean_row(&self.centroids, self.dim);
        let centres = Centres::new(&self.centroids, &offset);
        let blocks: Vec<Vec<u32>> =
            rows.par_chunks(BLOCK_ROWS * self.dim).map(|rows| Block::new(rows, &offset).nearest(&centres)).collect();
        blocks.concat()
    }

    /// The sum of squared distances to the centroids of these numbers.
    fn distance(&self, rows: &[f32], labels: &[u32]) -> f64 {
        let sums: Vec<f64> = rows
            .par_chunks(BLOCK_ROWS * self.dim)
            .zip(labels.par_chunks(BLOCK_ROWS))
            .map(|(rows, labels)| {
                let pairs = rows.chunks_exact(self.dim).zip(labels);
                pairs.map(|(row, &label)| squared_distance(row, self.centroid(label))).sum()
            })
            .collect();
        sums.into_iter().sum()
    }

    fn centroid(&self, number: u32) -> &[f32] {
        &self.centroids[number as usize * self.dim..][..self.dim]
    }
}

/// Centroids with the number of rows that each has been moved by.
struct MiniBatchFit {
    kmeans: KMeans,
    weights: Vec<f64>,
}

impl MiniBatchFit {
    fn new(kmeans: KMeans) -> Self {
        Self { weights: vec![0.0; kmeans.num_clusters()], kmeans }
    }

    /// Makes each centroid the mean of all rows that it has ever been nearest to, those of `batch` included. Gives the
    /// batch's inertia before that.
    fn update(&mut self, batch: &[f32]) -> f64 {
        let dim = self.kmeans.dim;
        let labels = self.kmeans.nearest(batch);
        let inertia = self.kmeans.distance(batch, &labels);
        let mut sums = vec![0.0_f64; self.kmeans.centroids.len()];
        let mut counts = vec![0.0_f64; self.weights.len()];
        for (row, &label) in batch.chunks_exact(dim).zip(&labels) {
            counts[label as usize] += 1.0;
            let sum = &mut sums[label as usize * dim..][..dim];
            sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let centroids = self.kmeans.centroids.chunks_exact_mut(dim).zip(sums.chunks_exact(dim));
        for (((centroid, sum), weight), count) in centroids.zip(&mut self.weights).zip(counts) {
            if count > 0.0 {
                let total = *weight + count;
                for (value, sum) in centroid.iter_mut().zip(sum) {
                    *value = ((f64::from(*value) * *weight + sum) / total) as f32;
                }
                *weight = total;
            }
        }
        inertia
    }
}

/// Whether batches have stopped getting nearer.
struct Patience {
    /// The share of a new batch in the exponential mean.
    share: f64,
    limit: usize,
    is_first: bool,
    mean: Option<f64>,
    smallest: f64,
    without_improvement: usize,
}

impl Patience {
    fn new(batch_rows: usize, num_rows: usize, limit: usize) -> Self {
        let share = (2.0 * batch_rows as f64 / (num_rows as f64 + 1.0)).min(1.0);
        Self { share, limit, is_first: true, mean: None, smallest: f64::INFINITY, without_improvement: 0 }
    }

    /// Takes the mean distance of a batch.
    fn is_over(&mut self, distance: f64) -> bool {
        // The first batch says what the seeding was worth.
        if std::mem::take(&mut self.is_first) {
            return false;
        }
        let mean = self.mean.map_or(distance, |mean| mean * (1.0 - self.share) + distance * self.share);
        self.mean = Some(mean);
        if mean < self.smallest {
            self.smallest = mean;
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        self.without_improvement >= self.limit
    }
}

/// Seeds several times, each time among other rows, and takes the centroids that are nearest to some rows.
fn best_seeding(rows: &[f32], dim: usize, config: &KMeansConfig, random: &mut ChaCha8Rng) -> KMeans {
    /// Batches that are seeded from and compared on.
    const BATCHES: usize = 3;
    let num_rows = rows.len() / dim;
    let wanted = BATCHES * config.batch_rows.min(num_rows);
    let wanted = if wanted < config.num_clusters { BATCHES * config.num_clusters } else { wanted };
    let sample = wanted.min(num_rows);
    let judges = draw_rows(rows, dim, sample, random);
    let mut seeding = || {
        let drawn;
        let candidates: &[f32] = if sample < num_rows {
            drawn = draw_rows(rows, dim, sample, random);
            &drawn
        } else {
            rows
        };
        let chosen = seeding::seed(candidates, dim, config.num_clusters, random);
        let centroids = chosen.iter().flat_map(|&row| &candidates[row * dim..(row + 1) * dim]).copied().collect();
        let kmeans = KMeans { dim, centroids };
        let inertia = kmeans.distance(&judges, &kmeans.nearest(&judges));
        (inertia, kmeans)
    };
    let mut best = seeding();
    for _ in 1..config.num_initializations {
        let next = seeding();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Rows drawn at random; one may come more than once.
fn draw_rows(rows: &[f32], dim: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let num_rows = rows.len() / dim;
    let mut drawn = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let row = random.random_range(0..num_rows as u64) as usize;
        drawn.extend_from_slice(&rows[row * dim..(row + 1) * dim]);
    }
    drawn
}

/// Checks width and values, and gives the number of rows.
fn check_rows(rows: &[f32], dim: usize) -> Result<usize, KMeansError> {
    if dim == 0 || !rows.len().is_multiple_of(dim) {
        return Err(KMeansError::Width { dim, found: rows.len() });
    }
    // A NaN is not within the limits either.
    let is_wrong = |value: &f32| !(-LARGEST_VALUE..=LARGEST_VALUE).contains(value);
    if let Some(place) = rows.par_iter().position_first(is_wrong) {
        return Err(KMeansError::Value { row: place / dim, column: place % dim, value: rows[place] });
    }
    Ok(rows.len() / dim)
}

#[cfg(test)]
mod tests;
