//! What follows a product while its result is in the cache.
#![allow(unsafe_code, reason = "vector code on pointers: see the SAFETY comments")]

use super::{PANEL_COLUMNS, PackedMatrix};
use crate::instruction_set::InstructionSet;
use crate::simd::{Function, Gelu, Identity, Operation, Relu, Silu, Simd, dispatch, load_count, sigmoid, store_count};

/// A function of every value of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The value itself.
    None,
    /// `max(x, 0)`
    Relu,
    /// `x / (1 + e ^ -x)`
    Silu,
    /// `x Phi(x)`
    Gelu,
    /// A gated linear unit: `x / (1 + e ^ -gate)`, for weights of [`PackedMatrix::pack_gated`] and only for them.
    GatedSigmoid,
}

/// Where what the output held before is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// Nowhere.
    None,
    /// Before the activation.
    BeforeActivation,
    /// Last of all.
    Last,
}

/// `activation(product + bias) * scale`, and a residual.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// One value a column; not with a gated linear unit.
    pub bias: Option<&'a [f32]>,
    /// Of every value.
    pub activation: Activation,
    /// Multiplied with what the activation gives.
    pub scale: f32,
    /// What the output held.
    pub residual: Residual,
}

impl Default for Epilogue<'_> {
    /// The product itself.
    fn default() -> Self {
        Self { bias: None, activation: Activation::None, scale: 1.0, residual: Residual::None }
    }
}

impl Epilogue<'_> {
    /// # Panics
    /// If it does not fit weights of so many columns, which were packed for gates or not.
    pub(crate) fn check(&self, columns: usize, is_gated: bool) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), columns, "one bias a column");
        }
        let wants_gates = self.activation == Activation::GatedSigmoid;
        assert_eq!(wants_gates, is_gated, "gates need weights that were packed for them");
        assert!(!is_gated || self.bias.is_none(), "a gated linear unit has no bias here");
    }

    /// Brings the first `count` values of a vector of sums to their place.
    ///
    /// # Safety
    /// As for [`Simd`]. `place` is valid for `count` values that nobody else uses, `bias` for as many, and `gate` for a whole
    /// vector, if there are such.
    #[inline(always)]
    pub(crate) unsafe fn place<S: Simd, F: Function>(
        &self,
        mut value: S::Vector,
        gate: Option<*const f32>,
        bias: Option<*const f32>,
        place: *mut f32,
        count: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            if let Some(bias) = bias {
                value = S::add(value, load_count::<S>(bias, count));
            }
            if self.residual == Residual::BeforeActivation {
                value = S::add(value, load_count::<S>(place, count));
            }
            value = F::of::<S>(value);
            if let Some(gate) = gate {
                value = S::mul(value, sigmoid::<S>(S::load(gate)));
            }
            if self.scale != 1.0 {
                value = S::mul(value, S::splat(self.scale));
            }
            if self.residual == Residual::Last {
                value = S::add(value, load_count::<S>(place, count));
            }
            store_count::<S>(place, value, count);
        }
    }

    /// Brings the sums of a strip and a panel to their place.
    ///
    /// # Safety
    /// `output` is valid for the panel's columns of `rows` rows, `row_pitch` apart, and nobody else uses them.
    #[expect(clippy::too_many_arguments, reason = "the parts of one place, known only here")]
    pub(super) unsafe fn finish(
        &self,
        set: InstructionSet,
        sums: &[f32],
        rows: usize,
        weights: &PackedMatrix,
        panel: usize,
        output: *mut f32,
        row_pitch: usize,
    ) {
        let first_column = panel * weights.panel_columns();
        let columns = weights.panel_columns().min(weights.columns() - first_column);
        let bias = self.bias.map_or(&[][..], |bias| &bias[first_column..first_column + columns]);
        let sums = &sums[..rows * PANEL_COLUMNS];
        // SAFETY: the column lies within the row.
        let output = unsafe { output.add(first_column) };
        dispatch(set, Finish { epilogue: self, sums, bias, columns, output, row_pitch });
    }
}

struct Finish<'a> {
    epilogue: &'a Epilogue<'a>,
    sums: &'a [f32],
    /// As many as columns, or none.
    bias: &'a [f32],
    columns: usize,
    output: *mut f32,
    row_pitch: usize,
}

impl Operation for Finish<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: `Epilogue::finish` says what the pointers are valid for.
        unsafe {
            match self.epilogue.activation {
                Activation::None => self.rows::<S, Identity, false>(),
                Activation::Relu => self.rows::<S, Relu, false>(),
                Activation::Silu => self.rows::<S, Silu, false>(),
                Activation::Gelu => self.rows::<S, Gelu, false>(),
                Activation::GatedSigmoid => self.rows::<S, Identity, true>(),
            }
        }
    }
}

impl Finish<'_> {
    #[inline(always)]
    unsafe fn rows<S: Simd, F: Function, const IS_GATED: bool>(&self) {
        for (row, sums) in self.sums.chunks_exact(PANEL_COLUMNS).enumerate() {
            let mut column = 0;
            while column < self.columns {
                let count = (self.columns - column).min(S::LANES);
                // SAFETY: a row of sums has all columns of a panel, which is a multiple of the lanes; the output and the
                // bias are touched for `count` columns only.
                unsafe {
                    let place = self.output.add(row * self.row_pitch + column);
                    let sum = sums.as_ptr().add(column);
                    let bias = (!self.bias.is_empty()).then(|| self.bias.as_ptr().add(column));
                    let gate = IS_GATED.then(|| sum.add(PANEL_COLUMNS / 2));
                    self.epilogue.place::<S, F>(S::load(sum), gate, bias, place, count);
                }
                column += S::LANES;
            }
        }
    }
}
