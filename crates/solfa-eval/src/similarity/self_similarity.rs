//! How alike the moments of one track are.
//!
//! Foote: Visualizing music and audio using self-similarity, ACM Multimedia 1999.

use super::{Matrix, SimilarityError};

/// Whether the mean over the track is taken off before frames are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centring {
    /// Cosines as they are. Frames of a network often share so large an offset that all are near 1.
    None,
    /// The mean of all frames is taken off first: what differs within the track shows.
    Mean,
}

/// Cosines between the moments of one track.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfSimilarity {
    /// Number of moments.
    pub blocks: usize,
    /// Cosines from -1 to 1, `[blocks, blocks]`, row-major and symmetric. A moment without any length, such as digital
    /// silence, has 0 with all.
    pub values: Vec<f32>,
}

impl SelfSimilarity {
    /// Of frames `[frames, dim]`. Where there are more than `maximum_blocks`, neighbours are averaged, so that a long
    /// track gives no larger matrix: block `i` of `n` has the frames from `i frames / n` to `(i + 1) frames / n`.
    ///
    /// # Errors
    ///
    /// [`SimilarityError::Setting`] where `maximum_blocks` is 0.
    pub fn of(frames: Matrix<'_>, maximum_blocks: usize, centring: Centring) -> Result<Self, SimilarityError> {
        if maximum_blocks == 0 {
            return Err(SimilarityError::Setting {
                what: "the number of blocks",
                expected: "a number from 1",
                found: "0".into(),
            });
        }
        let blocks = frames.items().min(maximum_blocks);
        let mean = match centring {
            Centring::None => vec![0.0; frames.dim()],
            Centring::Mean => frames.means(),
        };
        let bounds = |block: usize| block * frames.items() / blocks..(block + 1) * frames.items() / blocks;
        let units: Vec<Vec<f64>> = (0..blocks)
            .map(|block| {
                let part = frames.part(bounds(block));
                let vector: Vec<f64> = part.means().iter().zip(&mean).map(|(value, mean)| value - mean).collect();
                let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
                vector.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
            })
            .collect();
        let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0) as f32;
        let values = units.iter().flat_map(|a| units.iter().map(|b| cosine(a, b))).collect();
        Ok(Self { blocks, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let frames = [1.0, 0.0, 3.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        let matrix = Matrix::new(&frames, 4, 2).unwrap();
        let found = SelfSimilarity::of(matrix, 10, Centring::None).unwrap();
        assert_eq!(found.blocks, 4);
        assert_eq!(found.values[..8], [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(found.values[12..], [0.0; 4]);
        // Two blocks, (2, 0) and (0, 1).
        assert_eq!(SelfSimilarity::of(matrix, 2, Centring::None).unwrap().values, [1.0, 0.0, 0.0, 1.0]);
        // Less their mean (1, 0.5): opposite.
        let centred = SelfSimilarity::of(matrix, 2, Centring::Mean).unwrap().values;
        assert!((centred[1] + 1.0).abs() < 1e-6 && (centred[0] - 1.0).abs() < 1e-6, "{centred:?}");
    }

    #[test]
    fn no_blocks_is_an_error_and_odd_lengths_are_covered() {
        let frames: Vec<f32> = (0..7).map(|index| index as f32).collect();
        let matrix = Matrix::new(&frames, 7, 1).unwrap();
        assert!(SelfSimilarity::of(matrix, 0, Centring::None).is_err());
        let found = SelfSimilarity::of(matrix, 3, Centring::None).unwrap();
        assert_eq!((found.blocks, found.values.len()), (3, 9));
        assert!((found.values[1] - 1.0).abs() < 1e-6);
    }
}
