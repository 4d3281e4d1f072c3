//! Products whose two operands are made on the way, as in attention: what a task does by itself, in memory of its own.
#![allow(unsafe_code, reason = "kernels and vectors work on pointers: see the SAFETY comments")]

use super::operand::OperandFormat;
use super::packed::Format;
use super::{Arithmetic, ConfiguredTiles, Kernel, PANEL_COLUMNS, Strip, extent, strips_of};
use crate::instruction_set::InstructionSet;
use crate::simd::{Operation, Simd, dispatch, load_count};

/// Multiplies strips of rows with panels of columns, both in borrowed memory.
#[derive(Clone, Copy)]
pub(crate) struct PanelProduct {
    kernel: Kernel,
}

/// Rows of a left operand: where they lie in the bytes that hold them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeftLayout {
    pub(crate) format: OperandFormat,
    /// Bytes from one row to the next: an odd number of cache lines.
    pub(crate) row_pitch: usize,
    /// Bytes from a value to its low part, where values are split.
    pub(crate) low_offset: usize,
    /// Of all rows, with what a kernel reads behind them.
    pub(crate) num_bytes: usize,
}

impl PanelProduct {
    pub(crate) fn new(arithmetic: Arithmetic) -> Self {
        Self { kernel: arithmetic.kernel() }
    }

    pub(crate) fn instruction_set(&self) -> InstructionSet {
        self.kernel.set
    }

    /// Rows that are multiplied at a time, at most.
    pub(crate) fn strip_rows(&self) -> usize {
        self.kernel.strip_rows
    }

    /// First row and height of the strips of so many rows.
    pub(crate) fn strips(&self, rows: usize) -> Vec<(usize, usize)> {
        strips_of(&self.kernel, rows)
    }

    /// Bytes of a panel of so many inputs.
    pub(crate) fn panel_bytes(&self, inputs: usize) -> usize {
        inputs.div_ceil(self.kernel.step_inputs) * self.kernel.packed.step_bytes()
    }

    /// The layout of so many rows of up to `inputs` inputs.
    pub(crate) fn left_layout(&self, rows: usize, inputs: usize) -> LeftLayout {
        row_layout(self.kernel.operand, rows.next_multiple_of(self.kernel.strip_rows), inputs)
    }

    /// Until what this returns is dropped, this thread may multiply.
    pub(crate) fn begin(&self) -> impl Drop + use<> {
        ConfiguredTiles::new(&self.kernel)
    }

    /// Multiplies one strip, `rows` rows of a left operand from `first_row` on, with one panel of `inputs` inputs, and puts
    /// `[rows, 32]` into `sums`, which have room for [`strip_rows`](Self::strip_rows). What [`begin`](Self::begin) returned
    /// must be alive on this thread.
    ///
    /// # Panics
    /// If the strip, its sums or the panel reach beyond their slices.
    #[expect(clippy::too_many_arguments, reason = "two operands, their sizes and a result")]
    pub(crate) fn multiply(
        &self,
        left: &[u8],
        layout: &LeftLayout,
        first_row: usize,
        rows: usize,
        inputs: usize,
        panel: &[u8],
        sums: &mut [f32],
    ) {
        let kernel = &self.kernel;
        let start = first_row * layout.row_pitch;
        assert!(0 < rows && rows <= kernel.strip_rows, "a strip of {rows} rows");
        assert!(left.len() >= layout.num_bytes && layout.format == kernel.operand, "another left operand");
        let plane = layout.num_bytes - layout.low_offset;
        assert!(start + rows * layout.row_pitch <= plane, "a strip beyond its operand");
        assert!(!kernel.uses_tiles || start + kernel.strip_rows * layout.row_pitch <= plane, "tiles read whole strips");
        let value_bytes = layout.format.value_bytes();
        assert!(inputs.next_multiple_of(kernel.step_inputs) * value_bytes <= layout.row_pitch, "{inputs} inputs");
        assert!(self.panel_bytes(inputs) <= panel.len(), "{inputs} inputs in {} bytes", panel.len());
        assert!(sums.len() >= kernel.strip_rows * PANEL_COLUMNS, "room for {} sums", sums.len());
        let strip = Strip {
            rows,
            steps: inputs.div_ceil(kernel.step_inputs),
            left: left[start..].as_ptr(),
            left_pitch: layout.row_pitch,
            left_low: layout.low_offset,
            right: panel.as_ptr(),
            sums: sums.as_mut_ptr(),
            accumulates: false,
            upcoming: panel.as_ptr(),
            upcoming_lines: 0,
        };
        // SAFETY: an `Arithmetic` has only instructions that are available. Rows, panel and sums lie within their slices,
        // as was just checked, the rows with all that a kernel reads behind them.
        unsafe { (kernel.multiply)(&strip) };
    }

    /// Converts rows of numbers, `source_pitch` apart, to a left operand. Up to a whole number of cache lines, rows are
    /// filled with zeros.
    ///
    /// # Panics
    /// If the rows reach beyond their slices.
    pub(crate) fn convert(
        &self,
        source: &[f32],
        source_pitch: usize,
        rows: usize,
        inputs: usize,
        layout: &LeftLayout,
        left: &mut [u8],
    ) {
        if rows == 0 {
            return;
        }
        assert!((rows - 1) * source_pitch + inputs <= source.len(), "rows beyond their source");
        assert!(left.len() >= layout.num_bytes && rows * layout.row_pitch <= layout.num_bytes - layout.low_offset);
        assert!(layout.format == self.kernel.operand, "another kind of operand");
        dispatch(self.kernel.set, Convert { source, source_pitch, rows, inputs, layout: *layout, left });
    }

    /// Packs a panel of which the rows of a source are the inputs: `source[input * source_pitch + column]`. Inputs that are
    /// to be left out become zeros.
    ///
    /// # Panics
    /// If the rows reach beyond their slices.
    pub(crate) fn pack_inputs(
        &self,
        source: &[f32],
        source_pitch: usize,
        inputs: usize,
        columns: usize,
        leave_out: Option<&[bool]>,
        panel: &mut [u8],
    ) {
        assert!(columns <= PANEL_COLUMNS, "a panel has {PANEL_COLUMNS} columns");
        assert!(inputs == 0 || extent(&[(inputs, source_pitch)], columns) <= source.len(), "rows beyond their source");
        assert!(leave_out.is_none_or(|leave_out| leave_out.len() == inputs));
        let steps = inputs.div_ceil(self.kernel.step_inputs);
        let panel = &mut panel[..steps * self.kernel.packed.step_bytes()];
        let padded_inputs = steps * self.kernel.step_inputs;
        let format = self.kernel.packed;
        let operation = PackInputs { format, source, source_pitch, inputs, padded_inputs, columns, leave_out, panel };
        dispatch(self.kernel.set, operation);
    }

    /// Packs a panel of which the rows of a source are the columns: `source[column * source_pitch + input]`. `scratch` is
    /// as long as a [`left_layout`](Self::left_layout) of 32 rows of these inputs says. Columns that are to be left out
    /// become zeros.
    ///
    /// # Panics
    /// If the rows reach beyond their slices.
    #[expect(clippy::too_many_arguments, reason = "a matrix within a matrix")]
    pub(crate) fn pack_columns(
        &self,
        source: &[f32],
        source_pitch: usize,
        columns: usize,
        inputs: usize,
        leave_out: Option<&[bool]>,
        scratch: &mut [u32],
        panel: &mut [u8],
    ) {
        assert!(columns <= PANEL_COLUMNS, "a panel has {PANEL_COLUMNS} columns");
        assert!(leave_out.is_none_or(|leave_out| leave_out.len() == columns));
        let format = self.kernel.packed;
        let layout = scratch_layout(format, inputs);
        let scratch_bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut scratch[..layout.num_bytes / 4]);
        if columns > 0 {
            assert!((columns - 1) * source_pitch + inputs <= source.len(), "rows beyond their source");
            let operation = Convert { source, source_pitch, rows: columns, inputs, layout, left: &mut *scratch_bytes };
            dispatch(self.kernel.set, operation);
        }
        let planes = layout.format.num_planes();
        for plane in scratch_bytes.chunks_exact_mut(layout.num_bytes / planes) {
            for (column, row) in plane.chunks_exact_mut(layout.row_pitch).enumerate() {
                if column >= columns || leave_out.is_some_and(|leave_out| leave_out[column]) {
                    row.fill(0);
                }
            }
        }
        let steps = inputs.div_ceil(self.kernel.step_inputs);
        let step_bytes = format.step_bytes();
        let step_lanes = step_bytes / planes / PANEL_COLUMNS / 4;
        let panel: &mut [u32] = bytemuck::cast_slice_mut(&mut panel[..steps * step_bytes]);
        let pitch = layout.row_pitch / 4;
        for (plane, rows) in scratch[..layout.num_bytes / 4].chunks_exact(layout.num_bytes / 4 / planes).enumerate() {
            // Sixteen lanes at a time, or the few of the last steps.
            let mut lane = 0;
            while lane < steps * step_lanes {
                let count = (steps * step_lanes - lane).min(16);
                let place = lane / step_lanes * step_lanes * planes + lane % step_lanes + plane * step_lanes;
                let panel = &mut panel[place * PANEL_COLUMNS..][..count * PANEL_COLUMNS];
                transpose(self.kernel.set, &rows[lane..], pitch, panel);
                lane += count;
            }
        }
    }

    /// Values that the scratch memory of [`pack_columns`](Self::pack_columns) has.
    pub(crate) fn scratch_len(&self, inputs: usize) -> usize {
        scratch_layout(self.kernel.packed, inputs).num_bytes / 4
    }
}

/// Rows of a panel before they become its columns.
fn scratch_layout(packed: Format, inputs: usize) -> LeftLayout {
    let format = match packed {
        Format::F32 => OperandFormat::F32,
        Format::Bf16Pairs { .. } => OperandFormat::Bf16,
        Format::SplitBf16Pairs => OperandFormat::SplitBf16,
    };
    row_layout(format, PANEL_COLUMNS, inputs)
}

/// So many rows of up to `inputs` inputs, padded to whole panels.
fn row_layout(format: OperandFormat, rows: usize, inputs: usize) -> LeftLayout {
    let row_pitch = ((inputs.next_multiple_of(PANEL_COLUMNS) * format.value_bytes()).div_ceil(64) | 1) * 64;
    let plane = rows * row_pitch;
    let low_offset = if format == OperandFormat::SplitBf16 { plane } else { 0 };
    LeftLayout { format, row_pitch, low_offset, num_bytes: plane + low_offset }
}

/// Up to 16 lanes of 32 rows, `pitch` apart, to as many rows of 32 lanes.
fn transpose(set: InstructionSet, rows: &[u32], pitch: usize, panel: &mut [u32]) {
    let count = panel.len() / PANEL_COLUMNS;
    assert!(31 * pitch + count <= rows.len() && count <= 16);
    #[cfg(target_arch = "x86_64")]
    if set >= InstructionSet::Avx512 && count == 16 {
        // SAFETY: the set is available; 32 rows of 16 lanes are there, and room for 16 rows of 32.
        unsafe { x86::transpose(rows.as_ptr(), pitch, panel.as_mut_ptr()) };
        return;
    }
    let _ = set;
    for (lane, panel) in panel.chunks_exact_mut(PANEL_COLUMNS).enumerate() {
        for (column, value) in panel.iter_mut().enumerate() {
            *value = rows[column * pitch + lane];
        }
    }
}

struct Convert<'a> {
    source: &'a [f32],
    source_pitch: usize,
    rows: usize,
    inputs: usize,
    layout: LeftLayout,
    left: &'a mut [u8],
}

impl Operation for Convert<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { source, source_pitch, rows, inputs, layout, left } = self;
        let padded = inputs.next_multiple_of(PANEL_COLUMNS);
        for row in 0..rows {
            let source = &source[row * source_pitch..][..inputs];
            let start = row * layout.row_pitch;
            let mut input = 0;
            while input < padded {
                // SAFETY: of the source, only what is left of the row is touched; the operand's rows have room for the
                // padded inputs, which are a multiple of two vectors.
                unsafe {
                    let load = source.as_ptr().wrapping_add(input);
                    let left_over = inputs.saturating_sub(input);
                    let first = load_count::<S>(load, left_over);
                    let second = load_count::<S>(load.wrapping_add(S::LANES), left_over.saturating_sub(S::LANES));
                    store_operand::<S>(left.as_mut_ptr().add(start), &layout, input, first, second);
                }
                input += 2 * S::LANES;
            }
        }
    }
}

/// Brings two vectors of numbers to a place in a row of a left operand.
///
/// # Safety
/// As for [`Simd`]; the row has these places.
#[inline(always)]
pub(crate) unsafe fn store_operand<S: Simd>(
    row: *mut u8,
    layout: &LeftLayout,
    input: usize,
    first: S::Vector,
    second: S::Vector,
) {
    // SAFETY: the caller's.
    unsafe {
        match layout.format {
            OperandFormat::F32 => {
                let place = row.add(input * 4).cast::<f32>();
                S::store(place, first);
                S::store(place.add(S::LANES), second);
            }
            OperandFormat::Bf16 => {
                let place = row.add(input * 2).cast::<u16>();
                S::store_high_halves(place, S::nearest_bf16(first), S::nearest_bf16(second));
            }
            OperandFormat::SplitBf16 => {
                let place = row.add(input * 2);
                // What is cut off and not rounded is not lost: it goes to the low part.
                S::store_high_halves(place.cast(), first, second);
                let first = S::sub(first, S::high_halves(first));
                let second = S::sub(second, S::high_halves(second));
                let place = place.add(layout.low_offset).cast();
                S::store_high_halves(place, S::nearest_bf16(first), S::nearest_bf16(second));
            }
        }
    }
}

/// The nearest bfloat16 as a number.
#[inline(always)]
unsafe fn high_part<S: Simd>(value: S::Vector) -> S::Vector {
    // SAFETY: the caller's.
    unsafe { S::high_halves(S::nearest_bf16(value)) }
}

struct PackInputs<'a> {
    format: Format,
    source: &'a [f32],
    source_pitch: usize,
    inputs: usize,
    padded_inputs: usize,
    columns: usize,
    leave_out: Option<&'a [bool]>,
    panel: &'a mut [u8],
}

impl PackInputs<'_> {
    /// A vector of columns of an input, or zeros.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, input: usize, column: usize) -> S::Vector {
        let is_left_out = input >= self.inputs || self.leave_out.is_some_and(|leave_out| leave_out[input]);
        // SAFETY: the row has these columns.
        unsafe {
            if is_left_out || column >= self.columns {
                return S::splat(0.0);
            }
            load_count::<S>(self.source.as_ptr().add(input * self.source_pitch + column), self.columns - column)
        }
    }
}

impl Operation for PackInputs<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let panel: *mut f32 = std::mem::take(&mut self.panel).as_mut_ptr().cast();
        let step_inputs = self.format.step_inputs();
        // SAFETY: the panel has all steps of the padded inputs.
        unsafe {
            match self.format {
                Format::F32 => {
                    for input in 0..self.padded_inputs {
                        for column in (0..PANEL_COLUMNS).step_by(S::LANES) {
                            let place = panel.add(input * PANEL_COLUMNS + column);
                            S::store(place, self.load::<S>(input, column));
                        }
                    }
                }
                Format::Bf16Pairs { .. } => {
                    for pair in 0..self.padded_inputs / 2 {
                        for column in (0..PANEL_COLUMNS).step_by(S::LANES) {
                            let first = S::nearest_bf16(self.load::<S>(2 * pair, column));
                            let second = S::nearest_bf16(self.load::<S>(2 * pair + 1, column));
                            S::store(panel.add(pair * PANEL_COLUMNS + column), S::pair(first, second));
                        }
                    }
                }
                Format::SplitBf16Pairs => {
                    for pair in 0..self.padded_inputs / 2 {
                        let (step, in_step) = (pair / (step_inputs / 2), pair % (step_inputs / 2));
                        let place = panel.add((step * step_inputs + in_step) * PANEL_COLUMNS);
                        for column in (0..PANEL_COLUMNS).step_by(S::LANES) {
                            let first = self.load::<S>(2 * pair, column);
                            let second = self.load::<S>(2 * pair + 1, column);
                            let (first_high, second_high) = (high_part::<S>(first), high_part::<S>(second));
                            S::store(place.add(column), S::pair(first_high, second_high));
                            let first = S::nearest_bf16(S::sub(first, first_high));
                            let second = S::nearest_bf16(S::sub(second, second_high));
                            let low = place.add(step_inputs / 2 * PANEL_COLUMNS + column);
                            S::store(low, S::pair(first, second));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::PANEL_COLUMNS;

    /// Sixteen lanes of 32 rows to sixteen rows of 32 lanes.
    ///
    /// # Safety
    /// The processor has the instructions, and both places have these rows.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn transpose(rows: *const u32, pitch: usize, panel: *mut u32) {
        for half in [0, 16] {
            // SAFETY: the caller's.
            unsafe {
                let mut lanes = [_mm512_setzero_si512(); 16];
                for (row, lane) in lanes.iter_mut().enumerate() {
                    *lane = _mm512_loadu_si512(rows.add((half + row) * pitch).cast());
                }
                // Within quarters of four lanes, four rows at a time.
                for group in lanes.as_chunks_mut::<4>().0 {
                    let [a, b, c, d] = *group;
                    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
                    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
                    *group = [
                        _mm512_unpacklo_epi64(ab_low, cd_low),
                        _mm512_unpackhi_epi64(ab_low, cd_low),
                        _mm512_unpacklo_epi64(ab_high, cd_high),
                        _mm512_unpackhi_epi64(ab_high, cd_high),
                    ];
                }
                // Now quarter q of vector 4 g + l holds lane 4 q + l of rows 4 g to 4 g + 3.
                for lane in 0..4 {
                    let [a, b, c, d] = [lanes[lane], lanes[4 + lane], lanes[8 + lane], lanes[12 + lane]];
                    let (ab_even, ab_odd) =
                        (_mm512_shuffle_i32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b));
                    let (cd_even, cd_odd) =
                        (_mm512_shuffle_i32x4::<0b10_00_10_00>(c, d), _mm512_shuffle_i32x4::<0b11_01_11_01>(c, d));
                    let quarters = [
                        _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_even, cd_even),
                        _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_odd, cd_odd),
                        _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_even, cd_even),
                        _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_odd, cd_odd),
                    ];
                    for (quarter, &vector) in quarters.iter().enumerate() {
                        let place = panel.add((4 * quarter + lane) * PANEL_COLUMNS + half);
                        _mm512_storeu_si512(place.cast(), vector);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::borrow;
    use crate::testing::{arithmetics, assert_near, noise, tolerance};

    /// Both ways of packing a right operand, against the product in double precision.
    #[test]
    fn products_of_odd_shapes() {
        for arithmetic in arithmetics() {
            let product = PanelProduct::new(arithmetic);
            for (rows, inputs, columns) in [(1, 1, 1), (7, 5, 3), (33, 48, 32), (32, 64, 31), (40, 80, 17), (3, 700, 9)]
            {
                let (left_pitch, right_pitch) = (inputs + 3, columns + 2);
                let (left, right) = (noise(rows * left_pitch, 1), noise(inputs * right_pitch, 2));
                let across: Vec<f32> = (0..columns * left_pitch)
                    .map(|index| (index / left_pitch, index % left_pitch))
                    .map(|(column, input)| if input < inputs { right[input * right_pitch + column] } else { 9.0 })
                    .collect();
                for leaves_out in [false, true] {
                    let is_left_out = |number: usize| leaves_out && number % 3 == 1;
                    let layout = product.left_layout(rows, inputs);
                    let mut operand = borrow::<u8>(layout.num_bytes);
                    operand.fill(0xff);
                    product.convert(&left, left_pitch, rows, inputs, &layout, &mut operand);
                    let mut panel = borrow::<u8>(product.panel_bytes(inputs));
                    for by_columns in [false, true] {
                        panel.fill(0xff);
                        let left_out: Vec<bool> =
                            (0..if by_columns { columns } else { inputs }).map(is_left_out).collect();
                        let left_out = Some(left_out.as_slice()).filter(|_| leaves_out);
                        if by_columns {
                            let mut scratch = vec![u32::MAX; product.scratch_len(inputs)];
                            product.pack_columns(
                                &across,
                                left_pitch,
                                columns,
                                inputs,
                                left_out,
                                &mut scratch,
                                &mut panel,
                            );
                        } else {
                            product.pack_inputs(&right, right_pitch, inputs, columns, left_out, &mut panel);
                        }
                        let mut found = Vec::new();
                        let mut expected = Vec::new();
                        let _begun = product.begin();
                        for (first_row, height) in product.strips(rows) {
                            let mut sums = vec![f32::NAN; product.strip_rows() * PANEL_COLUMNS];
                            product.multiply(&operand, &layout, first_row, height, inputs, &panel, &mut sums);
                            for row in 0..height {
                                for column in 0..PANEL_COLUMNS {
                                    let sum: f64 = (0..inputs)
                                        .filter(|_| column < columns)
                                        .filter(|&input| !is_left_out(if by_columns { column } else { input }))
                                        .map(|input| {
                                            let value = left[(first_row + row) * left_pitch + input];
                                            f64::from(value) * f64::from(right[input * right_pitch + column])
                                        })
                                        .sum();
                                    expected.push(sum as f32);
                                    found.push(sums[row * PANEL_COLUMNS + column]);
                                }
                            }
                        }
                        let name = format!("{rows}x{inputs}x{columns}, {arithmetic:?}, {by_columns}, {leaves_out}");
                        // Errors are shares of a sum of `columns` numbers among 32.
                        assert_near(&name, &found, &expected, 6.0 * tolerance(arithmetic));
                    }
                }
            }
        }
    }
}
