//! Where the rows of a product come from, and where they go: steps through memory, and how far they reach.

/// The rows of a left operand: groups of windows of `taps` stretches each. Value `i` of stretch `t` of row `r` of group `g`
/// is `values[g * group_pitch + r * row_pitch + t * tap_pitch + i]`.
///
/// - A matrix `[rows, inputs]` is one group of one tap: [`matrix`](Self::matrix).
/// - A convolution over frames `[frames, channels]` is one group, whose rows overlap: [`frames`](Self::frames).
/// - A 3x3 convolution over an image `[time, bands, channels]` has a group for every time step of its output, a row for
///   every band, and a tap for every one of the three time steps that it sees.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Where the windows lie.
    pub values: &'a [f32],
    /// Groups.
    pub num_groups: usize,
    /// Rows of every group.
    pub group_rows: usize,
    /// Values from one group to the next.
    pub group_pitch: usize,
    /// Values from one row to the next.
    pub row_pitch: usize,
    /// Stretches of every row.
    pub taps: usize,
    /// Values from one stretch to the next.
    pub tap_pitch: usize,
    /// Length of a stretch.
    pub tap_inputs: usize,
}

impl<'a> Windows<'a> {
    /// The rows of a matrix `[rows, inputs]`.
    pub fn matrix(values: &'a [f32], inputs: usize) -> Self {
        Self::frames(values, values.len() / inputs.max(1), inputs, inputs)
    }

    /// `num_rows` windows of `inputs` values, one every `row_pitch` values.
    pub fn frames(values: &'a [f32], num_rows: usize, row_pitch: usize, inputs: usize) -> Self {
        Self {
            values,
            num_groups: 1,
            group_rows: num_rows,
            group_pitch: 0,
            row_pitch,
            taps: 1,
            tap_pitch: 0,
            tap_inputs: inputs,
        }
    }

    pub(super) fn num_rows(&self) -> usize {
        self.num_groups.saturating_mul(self.group_rows)
    }

    /// Values from the first that `groups` groups of `rows` rows see to behind the last.
    pub(super) fn span(&self, groups: usize, rows: usize) -> usize {
        let pitches = [(groups, self.group_pitch), (rows, self.row_pitch), (self.taps, self.tap_pitch)];
        extent(&pitches, self.tap_inputs)
    }

    /// Whether rows share values, so that they are better converted as one stretch than one by one.
    pub(super) fn overlaps(&self) -> bool {
        self.taps > 1 || (self.group_rows > 1 && self.row_pitch < self.tap_inputs)
    }
}

/// Values from the first to behind the last of things that lie so many times so far apart, each `last` long. What does not
/// fit into a number is taken for the largest there is: no slice is that long.
pub(crate) fn extent(counts_and_pitches: &[(usize, usize)], last: usize) -> usize {
    let before = counts_and_pitches.iter().map(|&(count, pitch)| count.saturating_sub(1).saturating_mul(pitch));
    before.fold(last, usize::saturating_add)
}

/// Where the rows of a product go: row `r` of group `g`, column `c` is `output[g * group_pitch + r * row_pitch + c]`. A
/// slice of the output is given that begins at the first value.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Values from one group to the next.
    pub group_pitch: usize,
    /// Values from one row to the next.
    pub row_pitch: usize,
}

impl Placement {
    /// # Panics
    /// If so many rows (at least one) of so many columns lie beyond the output or overlap.
    pub(crate) fn check(&self, num_groups: usize, group_rows: usize, columns: usize, output_len: usize) {
        let Self { group_pitch, row_pitch } = *self;
        let needed = extent(&[(num_groups, group_pitch), (group_rows, row_pitch)], columns);
        assert!(needed <= output_len, "rows need {needed} values of {output_len}");
        assert!(group_rows == 1 || row_pitch >= columns, "rows of the output overlap");
        let group = extent(&[(group_rows, row_pitch)], columns);
        assert!(num_groups == 1 || group_pitch >= group, "groups of the output overlap");
    }
}
