//! What layers have in common, and what they show inside one track: CKA, SVCCA, PWCCA, effective rank, self-similarity,
//! and how well attention marks events.
//!
//! Measures between two layers take the same items through both: row `i` of one [`Matrix`] and row `i` of the other
//! belong to the same track, or to the same frame.
//!
//! | measure | blind to | paper |
//! |---|---|---|
//! | [`linear_cka`], [`debiased_cka`] | rotation, one common scale | Kornblith et al., ICML 2019 |
//! | [`CanonicalCorrelations`] | any invertible linear map | Hotelling 1936 |
//! | SVCCA: the same after [`Truncation::variance`] 0.99 | rotation, one common scale | Raghu et al., NeurIPS 2017 |
//! | [`CanonicalCorrelations::projection_weighted`] | as CCA, but weighted by what a layer is made of | Morcos et al., NeurIPS 2018 |
//!
//! [`LayerComparison`] has one of them for every pair of layers of two encoders. Where items are too many for memory,
//! [`MinibatchCka`] and [`CrossMoments`] take them in parts.
//!
//! Inside one track, [`SelfSimilarity`] and [`attention_received`] make pictures of frames, and [`salience`] scores peaks
//! against events. [`TrackView`] holds them for a report.
//!
//! This module must not know: encoders, tasks, how features were made.

mod base64;
mod cca;
mod cka;
mod comparison;
mod effective_rank;
mod error;
mod file;
mod matrix;
mod moments;
mod pwcca;
pub mod salience;
mod self_similarity;
mod svcca;
mod track;
mod whitening;

pub use base64::{decode_base64, encode_base64};
pub use cca::CanonicalCorrelations;
pub use cka::{MinibatchCka, debiased_cka, linear_cka};
pub use comparison::{ComparisonSettings, EncoderLayers, LayerComparison, Measure};
pub use effective_rank::{effective_rank, effective_rank_of};
pub use error::SimilarityError;
pub use matrix::Matrix;
pub use moments::CrossMoments;
pub use pwcca::ProjectionWeighted;
pub use salience::{attention_received, attention_received_per_head, pooled_attention_maps};
pub use self_similarity::{Centring, SelfSimilarity};
pub use svcca::svcca;
pub use track::{
    Envelope, LabelTrack, QuantizedMatrix, SalienceSummary, TRACK_VIEW_SCHEMA, TimedLabel, TrackEncoder, TrackLayer,
    TrackView,
};
pub use whitening::{Truncation, WhitenedLayer};
