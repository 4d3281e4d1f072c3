//! What layers have in common, and what they show inside one track: CKA, SVCCA, PWCCA, effective rank, self-similarity,
//! and how well attention marks events.
//!
//! This module must not know: files, encoders, tasks.
