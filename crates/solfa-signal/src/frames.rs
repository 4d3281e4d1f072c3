//! Series of vectors at a known rate, and the poolings that turn one into a single vector.

use serde::{Deserialize, Serialize};

/// A series of vectors: what one layer of an encoder says about one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    data: Vec<f32>,
    num_frames: usize,
    dim: usize,
    frames_per_second: f64,
}

impl Frames {
    /// Wraps values in frame-major order: `[num_frames, dim]`.
    ///
    /// # Panics
    /// If `data.len() != num_frames * dim`: that is a mistake of the program, never of an input.
    pub fn new(data: Vec<f32>, num_frames: usize, dim: usize, frames_per_second: f64) -> Self {
        assert_eq!(
            data.len(),
            num_frames * dim,
            "Frames::new: {} values given for {num_frames} frames of width {dim}",
            data.len()
        );
        Self { data, num_frames, dim, frames_per_second }
    }

    /// All values, frame after frame.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, given away.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// Number of vectors.
    pub fn num_frames(&self) -> usize {
        self.num_frames
    }

    /// Width of each vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Vectors per second of audio.
    pub fn frames_per_second(&self) -> f64 {
        self.frames_per_second
    }

    /// The `index`-th vector.
    ///
    /// # Panics
    /// If `index >= num_frames`.
    pub fn frame(&self, index: usize) -> &[f32] {
        &self.data[index * self.dim..(index + 1) * self.dim]
    }

    /// The vectors `range`, in order.
    ///
    /// # Panics
    /// If the range reaches past the last vector.
    pub fn slice(&self, range: std::ops::Range<usize>) -> &[f32] {
        &self.data[range.start * self.dim..range.end * self.dim]
    }

    /// Position of the first value that is NaN or infinite, as `(frame, dimension)`.
    pub fn first_non_finite(&self) -> Option<(usize, usize)> {
        let position = self.data.iter().position(|value| !value.is_finite())?;
        Some((position / self.dim, position % self.dim))
    }
}

/// How the frames of a recording become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// All frames are kept.
    #[serde(rename = "none")]
    None,
    /// The mean of each dimension over time.
    #[serde(rename = "mean")]
    Mean,
    /// The maximum of each dimension over time.
    #[serde(rename = "max")]
    Max,
    /// The mean followed by the (population) standard deviation: twice as wide.
    #[serde(rename = "mean+std")]
    MeanStd,
    /// The class token; over several windows, the mean of theirs.
    #[serde(rename = "cls")]
    ClassToken,
    /// The class token followed by the mean of the frames: twice as wide.
    #[serde(rename = "cls+mean")]
    ClassTokenMean,
}

impl Pooling {
    /// The name on the command line and in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::MeanStd => "mean+std",
            Self::ClassToken => "cls",
            Self::ClassTokenMean => "cls+mean",
        }
    }

    /// Whether it needs an encoder with a class token.
    pub fn needs_class_token(self) -> bool {
        matches!(self, Self::ClassToken | Self::ClassTokenMean)
    }

    /// Width of the pooled vector for frames of width `dim`.
    pub fn pooled_dim(self, dim: usize) -> usize {
        if matches!(self, Self::MeanStd | Self::ClassTokenMean) { 2 * dim } else { dim }
    }
}

/// Pools frames as they arrive, in constant memory and independently of how they are cut into pieces.
///
/// Sums are kept in double precision, added frame by frame, so the same frames give the same bits whatever the size
/// of the pieces that they come in.
#[derive(Clone, Debug)]
pub struct PoolingAccumulator {
    pooling: Pooling,
    num_frames: u64,
    sum: Vec<f64>,
    /// Sum of squared deviations from the running mean (Welford 1962): no cancellation for signals with a large mean.
    squared_deviation: Vec<f64>,
    maximum: Vec<f32>,
    num_class_tokens: u64,
    class_token_sum: Vec<f64>,
}

impl PoolingAccumulator {
    /// An empty accumulator for frames of width `dim`.
    ///
    /// # Panics
    /// For [`Pooling::None`], which has nothing to accumulate.
    pub fn new(pooling: Pooling, dim: usize) -> Self {
        assert!(pooling != Pooling::None, "PoolingAccumulator::new: pooling `none` keeps frames and pools nothing");
        Self {
            pooling,
            num_frames: 0,
            sum: vec![0.0; dim],
            squared_deviation: vec![0.0; if pooling == Pooling::MeanStd { dim } else { 0 }],
            maximum: vec![f32::NEG_INFINITY; if pooling == Pooling::Max { dim } else { 0 }],
            num_class_tokens: 0,
            class_token_sum: vec![0.0; if pooling.needs_class_token() { dim } else { 0 }],
        }
    }

    /// Adds frames in order, `[_, dim]` frame-major.
    pub fn push(&mut self, frames: &[f32]) {
        let dim = self.sum.len();
        debug_assert_eq!(frames.len() % dim, 0);
        for frame in frames.chunks_exact(dim) {
            self.num_frames += 1;
            match self.pooling {
                Pooling::None | Pooling::ClassToken => {}
                Pooling::Max => {
                    for (maximum, &value) in self.maximum.iter_mut().zip(frame) {
                        *maximum = maximum.max(value);
                    }
                }
                Pooling::Mean | Pooling::ClassTokenMean => {
                    for (sum, &value) in self.sum.iter_mut().zip(frame) {
                        *sum += f64::from(value);
                    }
                }
                Pooling::MeanStd => {
                    let count = self.num_frames as f64;
                    for ((sum, squared), &value) in self.sum.iter_mut().zip(&mut self.squared_deviation).zip(frame) {
                        let value = f64::from(value);
                        if self.num_frames > 1 {
                            let from_old_mean = value - *sum / (count - 1.0);
                            let from_new_mean = value - (*sum + value) / count;
                            *squared += from_old_mean * from_new_mean;
                        }
                        *sum += value;
                    }
                }
            }
        }
    }

    /// Adds the class token of one more window. Poolings that do not need it ignore it.
    pub fn push_class_token(&mut self, class_token: &[f32]) {
        self.num_class_tokens += 1;
        for (sum, &value) in self.class_token_sum.iter_mut().zip(class_token) {
            *sum += f64::from(value);
        }
    }

    /// Number of frames seen.
    pub fn num_frames(&self) -> u64 {
        self.num_frames
    }

    /// The pooled vector, or `None` where no frame was pushed, or no class token that is needed.
    pub fn finish(self) -> Option<Vec<f32>> {
        if self.num_frames == 0 || (self.pooling.needs_class_token() && self.num_class_tokens == 0) {
            return None;
        }
        let count = self.num_frames as f64;
        let mean = || self.sum.iter().map(|sum| (sum / count) as f32);
        let class_token = || self.class_token_sum.iter().map(|sum| (sum / self.num_class_tokens as f64) as f32);
        Some(match self.pooling {
            Pooling::None => return None,
            Pooling::Mean => mean().collect(),
            Pooling::Max => self.maximum,
            Pooling::ClassToken => class_token().collect(),
            Pooling::ClassTokenMean => class_token().chain(mean()).collect(),
            Pooling::MeanStd => {
                mean().chain(self.squared_deviation.iter().map(|squared| (squared / count).sqrt() as f32)).collect()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(pooling: Pooling, frames: &[f32], pieces: usize) -> Vec<f32> {
        let mut accumulator = PoolingAccumulator::new(pooling, 2);
        for piece in frames.chunks(pieces * 2) {
            accumulator.push(piece);
        }
        accumulator.finish().unwrap()
    }

    #[test]
    fn poolings_of_a_hand_worked_series() {
        let frames = [1.0, -4.0, 3.0, -2.0];
        assert_eq!(pooled(Pooling::Mean, &frames, 2), [2.0, -3.0]);
        assert_eq!(pooled(Pooling::Max, &frames, 2), [3.0, -2.0]);
        assert_eq!(pooled(Pooling::MeanStd, &frames, 2), [2.0, -3.0, 1.0, 1.0]);
    }

    #[test]
    fn pooling_does_not_depend_on_the_pieces() {
        let frames: Vec<f32> = (0..200).map(|i| (i as f32 * 0.37).sin() + 1000.0).collect();
        for pooling in [Pooling::Mean, Pooling::Max, Pooling::MeanStd] {
            assert_eq!(pooled(pooling, &frames, 100), pooled(pooling, &frames, 7), "{pooling:?}");
        }
    }

    #[test]
    fn class_tokens_of_windows_are_averaged_beside_the_frames() {
        let pooled = |pooling, class_tokens: &[[f32; 2]]| {
            let mut accumulator = PoolingAccumulator::new(pooling, 2);
            accumulator.push(&[1.0, -4.0, 3.0, -2.0]);
            class_tokens.iter().for_each(|class_token| accumulator.push_class_token(class_token));
            accumulator.finish()
        };
        let class_tokens = [[0.0, 10.0], [1.0, 20.0]];
        assert_eq!(pooled(Pooling::ClassToken, &class_tokens).unwrap(), [0.5, 15.0]);
        assert_eq!(pooled(Pooling::ClassTokenMean, &class_tokens).unwrap(), [0.5, 15.0, 2.0, -3.0]);
        assert_eq!(pooled(Pooling::Mean, &class_tokens).unwrap(), [2.0, -3.0]);
        assert_eq!(pooled(Pooling::ClassToken, &[]), None);
    }

    #[test]
    fn nothing_pushed_is_no_vector() {
        assert_eq!(PoolingAccumulator::new(Pooling::Mean, 3).finish(), None);
    }

    #[test]
    fn the_first_non_finite_value_is_found_by_frame_and_dimension() {
        let frames = Frames::new(vec![0.0, 1.0, 2.0, f32::NAN], 2, 2, 10.0);
        assert_eq!(frames.first_non_finite(), Some((1, 1)));
        assert_eq!(Frames::new(vec![0.0; 4], 2, 2, 10.0).first_non_finite(), None);
    }
}
