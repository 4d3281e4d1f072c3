//! What is wrong with a feature's configuration.

use std::ops::RangeInclusive;

/// Why a feature cannot be computed as configured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FeatureError {
    /// A count or a length is outside what is possible.
    #[error("{field} is {value}: expected {minimum} to {maximum}")]
    Count {
        /// The field of the configuration.
        field: &'static str,
        /// The value found there.
        value: usize,
        /// The smallest value that is possible.
        minimum: usize,
        /// The largest value that is possible, given the other fields.
        maximum: usize,
    },
    /// A quantity is outside what is possible.
    #[error("{field} is {value}: expected {minimum} to {maximum}")]
    Quantity {
        /// The field of the configuration.
        field: &'static str,
        /// The value found there.
        value: f64,
        /// The smallest value that is possible.
        minimum: f64,
        /// The largest value that is possible, given the other fields.
        maximum: f64,
    },
    /// One count must be a whole number of times another.
    #[error("{field} is {value}: expected a multiple of {of}, which is {factor}")]
    NotAMultiple {
        /// The field of the configuration.
        field: &'static str,
        /// The value found there.
        value: usize,
        /// The field that it must be a multiple of.
        of: &'static str,
        /// The value of that field.
        factor: usize,
    },
    /// The configuration cannot be written down, so the feature has no identity.
    #[error("the configuration cannot be written as JSON: {reason}")]
    Identity {
        /// What the serializer said.
        reason: String,
    },
}

/// Checks that a count lies within `range`.
pub(super) fn check_count(field: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<(), FeatureError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(FeatureError::Count { field, value, minimum: *range.start(), maximum: *range.end() })
}

/// Checks that a quantity lies within `range`; NaN never does.
pub(super) fn check_quantity(field: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), FeatureError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(FeatureError::Quantity { field, value, minimum: *range.start(), maximum: *range.end() })
}
