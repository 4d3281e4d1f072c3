//! Where k-means begins: greedy k-means++.
//!
//! Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding": each centroid is a row drawn with a
//! probability that grows with its squared distance to those before it. Of several rows drawn so (two and the logarithm
//! of the number of clusters, as scikit-learn has it), the one is taken that leaves the smallest sum of distances.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::distances::{BLOCK_ROWS, Block, Centres, mean_row};

/// The rows that become centroids.
pub(super) fn seed(rows: &[f32], dim: usize, num_clusters: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let num_rows = rows.len() / dim;
    let num_trials = 2 + (num_clusters as f64).ln() as usize;
    let offset = mean_row(rows, dim);
    let blocks: Vec<Block> = rows.par_chunks(BLOCK_ROWS * dim).map(|rows| Block::new(rows, &offset)).collect();
    let mut closest = vec![f32::INFINITY; num_rows];
    let first = below(num_rows, random);
    approach(rows, dim, &blocks, &offset, &[first], &mut closest);
    let mut chosen = vec![first];
    while chosen.len() < num_clusters {
        let mut total = 0.0_f64;
        let cumulative: Vec<f64> = closest
            .iter()
            .map(|&distance| {
                total += f64::from(distance);
                total
            })
            .collect();
        let trials: Vec<usize> = (0..num_trials)
            .map(|_| {
                if total <= 0.0 {
                    // Every row is a centroid already.
                    return below(num_rows, random);
                }
                let place = random.random::<f64>() * total;
                cumulative.partition_point(|&sum| sum <= place).min(num_rows - 1)
            })
            .collect();
        let best = approach(rows, dim, &blocks, &offset, &trials, &mut closest);
        chosen.push(trials[best]);
    }
    chosen
}

/// Finds which of some rows, made a centroid, leaves the smallest sum of distances, and brings `closest` up to date.
fn approach(
    rows: &[f32],
    dim: usize,
    blocks: &[Block],
    offset: &[f32],
    trials: &[usize],
    closest: &mut [f32],
) -> usize {
    let centres: Vec<f32> = trials.iter().flat_map(|&row| &rows[row * dim..(row + 1) * dim]).copied().collect();
    let centres = Centres::new(&centres, offset);
    let distances: Vec<Vec<f32>> = blocks
        .par_iter()
        .zip(closest.par_chunks(BLOCK_ROWS))
        .map(|(block, closest)| block.squared_distances_up_to(&centres, closest))
        .collect();
    let sum = |trial: usize| -> f64 {
        let of_trial =
            |block: &Vec<f32>| block.iter().skip(trial).step_by(trials.len()).map(|&d| f64::from(d)).sum::<f64>();
        distances.iter().map(of_trial).sum()
    };
    let sums: Vec<f64> = (0..trials.len()).into_par_iter().map(sum).collect();
    let best = (1..sums.len()).fold(0, |best, trial| if sums[trial] < sums[best] { trial } else { best });
    for (closest, block) in closest.chunks_mut(BLOCK_ROWS).zip(&distances) {
        for (closest, distance) in closest.iter_mut().zip(block.iter().skip(best).step_by(trials.len())) {
            *closest = *distance;
        }
    }
    best
}

fn below(count: usize, random: &mut ChaCha8Rng) -> usize {
    random.random_range(0..count as u64) as usize
}
