//! A linear layer with packed weights.

use burn::nn::Linear;
use solfa_kernels::Arithmetic;
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Residual, Windows, multiply};

use super::values;

/// `x W + b`, of every frame.
pub(super) struct PackedLinear {
    weights: PackedMatrix,
    bias: Option<Vec<f32>>,
}

impl PackedLinear {
    pub(super) fn new(linear: Linear, arithmetic: Arithmetic) -> Self {
        Self::side_by_side([linear], arithmetic)
    }

    /// Several layers of one input, whose outputs lie side by side in every frame of the result. Either all have a bias
    /// or none has.
    pub(super) fn side_by_side<const N: usize>(linears: [Linear; N], arithmetic: Arithmetic) -> Self {
        let [inputs, _] = linears[0].weight.dims();
        let mut columns = Vec::new();
        let mut bias = Vec::new();
        let weights = linears.map(|linear| {
            let [_, outputs] = linear.weight.dims();
            columns.push(outputs);
            if let Some(linear_bias) = linear.bias {
                bias.extend(values(linear_bias.val()));
            }
            // Stored output by output, which is the order it is packed from without copying.
            values(linear.weight.val().transpose())
        });
        let firsts: Vec<usize> =
            columns.iter().scan(0, |sum, &count| Some(std::mem::replace(sum, *sum + count))).collect();
        let total = columns.iter().sum();
        let weights = PackedMatrix::pack(arithmetic, 1, inputs, total, |input, column| {
            let part = firsts.partition_point(|&first| first <= column) - 1;
            weights[part][(column - firsts[part]) * inputs + input]
        });
        Self { weights, bias: Some(bias).filter(|bias| !bias.is_empty()) }
    }

    pub(super) fn outputs(&self) -> usize {
        self.weights.columns()
    }

    pub(super) fn num_bytes(&self) -> usize {
        self.weights.num_bytes()
    }

    /// `activation(x W + b)` into `output`. Both are dense `[frames, channels]`.
    pub(super) fn forward(&self, input: &[f32], activation: Activation, output: &mut [f32]) {
        self.multiply(input, Epilogue { activation, ..Epilogue::default() }, output);
    }

    /// `hidden += scale * (x W + b)`
    pub(super) fn add_to(&self, input: &[f32], scale: f32, hidden: &mut [f32]) {
        self.multiply(input, Epilogue { scale, residual: Residual::Last, ..Epilogue::default() }, hidden);
    }

    fn multiply(&self, input: &[f32], epilogue: Epilogue<'_>, output: &mut [f32]) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), ..epilogue };
        multiply(&Windows::matrix(input, self.weights.inputs()), &self.weights, &epilogue, output, self.dense());
    }

    fn dense(&self) -> Placement {
        Placement { group_pitch: 0, row_pitch: self.weights.columns() }
    }
}
