//! Why layers cannot be compared.

/// Why layers cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimilarityError {
    /// The number of values is not items times dimensions.
    #[error("{found} values are not {items} items of {dim} dimensions: {expected} are expected")]
    Shape {
        /// Rows.
        items: usize,
        /// Columns.
        dim: usize,
        /// Rows times columns.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("item {item}, dimension {dimension} is {value}, which cannot be compared")]
    NotFinite {
        /// Row of the first such value.
        item: usize,
        /// Column of the first such value.
        dimension: usize,
        /// The value.
        value: f64,
    },
    /// Two layers do not have the same items.
    #[error("the layers have {a} and {b} items; the same items are expected of both, in the same order")]
    ItemsDiffer {
        /// Items of the first.
        a: usize,
        /// Items of the second.
        b: usize,
    },
    /// There are not enough items for what was asked.
    #[error("{what} needs at least {expected} items, and there are {found}")]
    TooFewItems {
        /// What was asked for.
        what: &'static str,
        /// How many it needs.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// With so few items every canonical correlation is 1, whatever the layers are.
    #[error(
        "{items} items cannot tell layers of rank {rank_a} and {rank_b} apart: every canonical correlation would be 1. \
         Take more items than dimensions, or keep fewer dimensions"
    )]
    Saturated {
        /// Number of items.
        items: usize,
        /// Rank of the first layer.
        rank_a: usize,
        /// Rank of the second layer.
        rank_b: usize,
    },
    /// A layer is the same for every item.
    #[error("a layer is the same for every item: there is nothing to compare")]
    Constant,
    /// A setting is outside of its range.
    #[error("{what} is {found}, and {expected} is expected")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A decomposition did not converge.
    #[error("the decomposition of a layer of {items} items and {dim} dimensions does not converge")]
    NoConvergence {
        /// Rows.
        items: usize,
        /// Columns.
        dim: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("{what}: {found} are given, and {expected} are expected")]
    Length {
        /// What is counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}
