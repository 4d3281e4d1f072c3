//! What is predicted in pre-training: discrete tokens of the sound.
//!
//! | what | made of |
//! |---|---|
//! | [`ResidualVectorQuantizer`] | stacked mel frames or hidden states, by a quantiser that is trained; [`StaleCodes`] keeps its codes in use |
//! | [`RandomProjectionQuantizer`] | stacked mel frames, by one that is not |
//! | [`MelTokenizer`] | either of the two |
//! | [`KMeans`] | the rows of a [`KMeansFeature`], by centroids that are fitted to them |
//! | [`stored`] | centroids, and labels that were computed once, in files |
//!
//! This module must not know: files (but for `stored`), data sets, losses, optimisers.

mod frame_features;
mod kmeans;
mod mel_rvq;
mod mel_tokenizer;
mod random_projection;
mod stack;
pub mod stored;

pub use frame_features::{FrameFeature, FrameFeatureError, KMeansFeature, RowsOfToken, align_rows, rows_of_tokens};
pub use kmeans::{KMeans, KMeansConfig, KMeansError};
pub use mel_rvq::{
    CodeReplacement, Quantized, ResidualVectorQuantizer, ResidualVectorQuantizerConfig, StaleCodes, TrainedQuantized,
    TrainedStage,
};
pub use mel_tokenizer::{MelTokenizer, MelTokenizerConfig};
pub use random_projection::{RandomProjectionQuantizer, RandomProjectionQuantizerConfig};
pub use stack::stack_frames;

use burn::tensor::{Int, Tensor};

/// Scales every vector to length 1; a vector of zeros stays zero.
fn l2_normalize<const D: usize>(vectors: Tensor<D>) -> Tensor<D> {
    /// The smallest length divided by, as in `torch.nn.functional.normalize`.
    const MINIMUM_LENGTH: f64 = 1e-12;
    let lengths = vectors.clone().square().sum_dim(D - 1).sqrt().clamp_min(MINIMUM_LENGTH);
    vectors / lengths
}

/// The code nearest to each latent, both scaled to length 1: the largest cosine, and the lowest number among equals.
///
/// # Shapes
/// - latents: `[batch, frames, code_dim]`
/// - codebook: `[codes, code_dim]`
/// - output: `[batch, frames]`, code numbers
fn nearest_codes(latents: Tensor<3>, codebook: Tensor<2>) -> Tensor<2, Int> {
    let [batch, frames, code_dim] = latents.dims();
    let latents = l2_normalize(latents.reshape([batch * frames, code_dim]));
    let similarity = latents.matmul(l2_normalize(codebook).transpose());
    similarity.argmax(1).reshape([batch, frames])
}
