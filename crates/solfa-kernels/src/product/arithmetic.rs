//! How a machine multiplies: the type of numbers, the instructions, and the kernel that they choose.

use std::fmt;
use std::str::FromStr;

use super::operand::OperandFormat;
#[cfg(target_arch = "x86_64")]
use super::{amx, bf16_dot};
use super::{fma, packed};
use crate::instruction_set::InstructionSet;

/// The type of numbers that weights are kept in and products are made of. Sums are always single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision. Where matrix tiles are all bfloat16 (AMX), a number is the sum of two of them and a product that
    /// of three: 16 bits of mantissa, relative errors of a few millionths, like those of a Winograd convolution.
    #[default]
    F32,
    /// bfloat16: 8 bits of mantissa.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// The name in commands and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
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

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == text);
        known.ok_or_else(|| format!("`{text}` is not a type of numbers: expected f32 or bf16"))
    }
}

/// How a machine multiplies: chosen once, at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    set: InstructionSet,
    precision: Precision,
}

impl Arithmetic {
    /// The fastest way of this processor.
    pub fn new(precision: Precision) -> Self {
        Self { set: InstructionSet::best(), precision }
    }

    /// With the instructions of `set`, or the richest that this processor has if that is less.
    pub fn with_instructions(set: InstructionSet, precision: Precision) -> Self {
        Self { set: set.min(InstructionSet::best()), precision }
    }

    /// Every way that this machine has in a precision, the one with the plainest instructions first.
    pub fn available(precision: Precision) -> impl Iterator<Item = Self> {
        InstructionSet::available().map(move |set| Self { set, precision })
    }

    /// The same for a network of this width: where single precision is made of bfloat16 ([`Precision::F32`] on matrix
    /// tiles), a narrow network takes fused multiply-add instead. Its rounding is not averaged over many terms, and tiles
    /// gain it nothing.
    #[must_use]
    pub fn for_width(self, width: usize) -> Self {
        /// Far below any published encoder, and above any that is made to be small.
        const NARROW: usize = 128;
        let is_split = self.set == InstructionSet::Amx && self.precision == Precision::F32;
        if is_split && width < NARROW { Self { set: InstructionSet::Avx512, ..self } } else { self }
    }

    /// The instructions that are used.
    pub fn instruction_set(self) -> InstructionSet {
        self.set
    }

    /// The type of weights.
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// The form in which its kernel reads the left operand.
    pub(crate) fn operand_format(self) -> OperandFormat {
        self.kernel().operand
    }

    pub(super) fn kernel(self) -> Kernel {
        match (self.set, self.precision) {
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Amx, Precision::F32) => amx::SPLIT,
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Amx, Precision::Bf16) => amx::BF16,
            #[cfg(target_arch = "x86_64")]
            (InstructionSet::Avx512Bf16, Precision::Bf16) => bf16_dot::KERNEL,
            (set, precision) => fma::kernel(set, precision),
        }
    }
}

/// A way to multiply a strip of rows with a panel of columns, and the sizes that suit it.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub(super) set: InstructionSet,
    /// How the left operand lies in memory.
    pub(super) operand: OperandFormat,
    /// How the packed weights lie in memory.
    pub(super) packed: packed::Format,
    /// Inputs (`k`) of one step.
    pub(super) step_inputs: usize,
    /// Rows that one call takes at most. Memory behind the last row of a strip is read, up to this many rows.
    pub(super) strip_rows: usize,
    /// Whether strips of equal height suit it better than full ones and a rest.
    pub(super) has_even_strips: bool,
    /// Rows that are worked on while they lie in the second-level cache.
    pub(super) block_rows: usize,
    /// Inputs of that many rows that fit into that cache.
    pub(super) block_inputs: usize,
    /// Inputs of a panel that fit into the first-level cache.
    pub(super) chunk_inputs: usize,
    /// Whether it needs [`ConfiguredTiles`].
    pub(super) uses_tiles: bool,
    /// The strip itself.
    pub(super) multiply: unsafe fn(&Strip),
}

/// What a kernel's strip is given.
pub(super) struct Strip {
    pub(super) rows: usize,
    pub(super) steps: usize,
    /// First row of the left operand, and bytes from one row to the next.
    pub(super) left: *const u8,
    pub(super) left_pitch: usize,
    /// Bytes from a value to its low part, where values are split.
    pub(super) left_low: usize,
    /// First step of the panel; a step has [`packed::Format::step_bytes`].
    pub(super) right: *const u8,
    /// `[rows, PANEL_COLUMNS]`
    pub(super) sums: *mut f32,
    /// Whether the product is added to what `sums` hold.
    pub(super) accumulates: bool,
    /// What is needed next: fetched into the cache on the way, this many lines in every step, or one in each where there
    /// are any. A hint: more or less changes nothing but the time.
    pub(super) upcoming: *const u8,
    pub(super) upcoming_lines: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_precisions_read_back() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("f64".parse::<Precision>().unwrap_err().contains("expected f32 or bf16"));
    }
}
