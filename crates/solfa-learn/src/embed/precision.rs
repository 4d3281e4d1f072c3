//! Types of numbers that a network computes in.

use std::fmt;
use std::str::FromStr;

use solfa_signal::encoder::sha256_hex;

/// The type of numbers that a network's weights and products are in. Sound, spectrograms and results are 32-bit floats
/// at any precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Weights in bfloat16: 8 bits of exponent as in a 32-bit float, 8 bits of significand. Sums are 32-bit floats.
    Bf16,
}

/// A network does not compute in the precision that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{precision} is not available for this model ({model}): use `--dtype f32`")]
pub struct PrecisionError {
    /// The name of the encoder.
    pub model: String,
    /// What was asked for.
    pub precision: Precision,
}

impl Precision {
    /// All of them, whether a model has them or not.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// The name on the command line and in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The identity of an encoder at this precision, of its identity at [`Precision::F32`], which stays as it is.
    pub(super) fn identity(self, at_f32: String) -> String {
        match self {
            Self::F32 => at_f32,
            Self::Bf16 => sha256_hex(format!("{at_f32}{}", self.name())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| format!("`{text}` is not a type of numbers: expected f32 or bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse(), Ok(precision));
        }
        assert!("f64".parse::<Precision>().unwrap_err().contains("expected f32 or bf16"));
    }

    #[test]
    fn each_precision_has_an_identity_of_its_own() {
        let at_f32 = sha256_hex("an encoder");
        assert_eq!(Precision::F32.identity(at_f32.clone()), at_f32);
        assert_eq!(Precision::Bf16.identity(at_f32.clone()), sha256_hex(format!("{at_f32}bf16")));
    }
}
