//! Why a view cannot be.

/// Why a configuration of views is impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ViewError {
    /// A field has a value that cannot be.
    #[error("{view}: `{field}` is {value}, {expected} expected")]
    Value {
        /// The view's name.
        view: &'static str,
        /// The field.
        field: &'static str,
        /// The value given.
        value: f64,
        /// What is possible.
        expected: String,
    },
    /// A list has nothing in it.
    #[error("{view}: `{field}` is empty, at least 1 expected")]
    Empty {
        /// The view's name.
        view: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// Checks that a field is a finite number from `minimum` to `maximum`.
pub(super) fn check_value(
    view: &'static str,
    field: &'static str,
    value: f64,
    minimum: f64,
    maximum: f64,
) -> Result<(), ViewError> {
    if value >= minimum && value <= maximum && value.is_finite() {
        return Ok(());
    }
    Err(ViewError::Value { view, field, value, expected: format!("{minimum} to {maximum}") })
}

/// Checks two fields, the ends of a range: both possible, and the lower one first.
pub(super) fn check_range(
    view: &'static str,
    [low_field, high_field]: [&'static str; 2],
    [low, high]: [f64; 2],
    minimum: f64,
    maximum: f64,
) -> Result<(), ViewError> {
    check_value(view, low_field, low, minimum, maximum)?;
    check_value(view, high_field, high, low, maximum)
}
