//! Why a score cannot be computed.

/// Why a score cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Two series that belong together have different lengths.
    #[error("{what}: {expected} values are expected, one for each of the reference's, and {found} are found")]
    LengthMismatch {
        /// What the series are.
        what: &'static str,
        /// Length of the reference.
        expected: usize,
        /// Length of the estimate.
        found: usize,
    },
    /// There is nothing to score.
    #[error("{what}: there is nothing to score")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error("{what}: value {index} is {value}, which is not a number that can be scored")]
    NotFinite {
        /// What the values are.
        what: &'static str,
        /// Place of the first such value, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A value is outside of what it may be.
    #[error("{what}: value {index} is {found}, and {expected} is expected")]
    OutOfRange {
        /// What the values are.
        what: &'static str,
        /// Place of the first such value, from 0.
        index: usize,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Times or intervals are not in order.
    #[error("{what}: number {index} ({found}) does not come after the one before it ({before})")]
    NotSorted {
        /// What the times are.
        what: &'static str,
        /// Place of the first one out of order, from 0.
        index: usize,
        /// It.
        found: String,
        /// The one before it.
        before: String,
    },
    /// A label that cannot be read, such as a chord's or a key's.
    #[error("{what}: `{found}` cannot be read: {reason}")]
    Label {
        /// What it should be.
        what: &'static str,
        /// The text.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
}
