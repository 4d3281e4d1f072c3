//! Encoders in another precision than their model's.

use solfa_kernels::Precision;
use solfa_signal::encoder::sha256_hex;

/// A network does not compute in the precision that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{precision} is not available for this model ({model}) on this device: use `--dtype f32`")]
pub struct PrecisionError {
    /// The name of the encoder.
    pub model: String,
    /// What was asked for.
    pub precision: Precision,
}

impl PrecisionError {
    /// For a network that computes in single precision only.
    ///
    /// # Errors
    /// If another precision is asked for.
    pub(super) fn check(precision: Precision, model: impl FnOnce() -> String) -> Result<(), Self> {
        if precision == Precision::F32 { Ok(()) } else { Err(Self { model: model(), precision }) }
    }
}

/// The identity of an encoder at a precision, of its identity at [`Precision::F32`].
pub(super) fn identity_at(precision: Precision, at_f32: String) -> String {
    if precision == Precision::F32 { at_f32 } else { sha256_hex(format!("{at_f32}{precision}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_precision_has_an_identity_of_its_own() {
        let at_f32 = sha256_hex("an encoder");
        assert_eq!(identity_at(Precision::F32, at_f32.clone()), at_f32);
        assert_eq!(identity_at(Precision::Bf16, at_f32.clone()), sha256_hex(format!("{at_f32}bf16")));
    }

    #[test]
    fn what_is_not_available_is_said_with_its_model() {
        assert_eq!(PrecisionError::check(Precision::F32, || "a model".into()), Ok(()));
        let error = PrecisionError::check(Precision::Bf16, || "a model".into()).unwrap_err();
        assert!(error.to_string().starts_with("bf16 is not available for this model (a model)"), "{error}");
    }
}
