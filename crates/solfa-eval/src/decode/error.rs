//! Why activations cannot be decoded.

/// Why activations cannot be decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// A value is NaN or infinite.
    #[error("{what}: value {index} is {value}, which is not a number that can be decoded")]
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
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// Two series that belong together have different lengths, or a matrix has no whole rows.
    #[error("{what}: {found} values are found, and {expected} are expected")]
    Length {
        /// What the values are.
        what: &'static str,
        /// How many there should be.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// A setting that no decoder can have.
    #[error("{what} is {found}, and {expected} is expected")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
}

pub(super) fn check_finite(what: &'static str, values: &[f32]) -> Result<(), DecodeError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(DecodeError::NotFinite { what, index, value: f64::from(values[index]) }),
        None => Ok(()),
    }
}

pub(super) fn check_probabilities(what: &'static str, values: &[f32]) -> Result<(), DecodeError> {
    check_finite(what, values)?;
    match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
        Some(index) => Err(DecodeError::OutOfRange {
            what,
            index,
            expected: "a probability from 0 to 1",
            found: f64::from(values[index]),
        }),
        None => Ok(()),
    }
}

pub(super) fn check_frames_per_second(frames_per_second: f64) -> Result<(), DecodeError> {
    if frames_per_second.is_finite() && frames_per_second > 0.0 {
        return Ok(());
    }
    Err(DecodeError::Setting {
        what: "frames per second",
        expected: "a number above 0".to_owned(),
        found: frames_per_second.to_string(),
    })
}
