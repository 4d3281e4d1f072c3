//! Linear layers whose weights change: packed for each pass.

use crate::product::{Activation, Arithmetic, Epilogue, PackedMatrix, Placement, Residual, Windows, multiply};

/// Rows times weights, with a bias.
///
/// # Shapes
/// - input: `[rows, inputs]`
/// - weights: `[inputs, outputs]`
/// - output: `[rows, outputs]`
///
/// # Panics
/// If sizes do not fit.
pub fn linear(arithmetic: Arithmetic, input: &[f32], weights: &[f32], bias: Option<&[f32]>, inputs: usize) -> Vec<f32> {
    let outputs = weights.len() / inputs.max(1);
    let mut output = vec![0.0; input.len() / inputs.max(1) * outputs];
    let epilogue = Epilogue { bias, ..Epilogue::default() };
    linear_into(arithmetic, input, weights, inputs, &epilogue, &mut output);
    output
}

/// Adds rows times weights, with a bias, and all that times `scale`, to `output`.
///
/// # Shapes
/// As for [`linear`].
///
/// # Panics
/// If sizes do not fit.
pub fn add_linear(
    arithmetic: Arithmetic,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    scale: f32,
    output: &mut [f32],
) {
    let epilogue = Epilogue { bias, activation: Activation::None, scale, residual: Residual::Last };
    linear_into(arithmetic, input, weights, inputs, &epilogue, output);
}

fn linear_into(
    arithmetic: Arithmetic,
    input: &[f32],
    weights: &[f32],
    inputs: usize,
    epilogue: &Epilogue<'_>,
    output: &mut [f32],
) {
    let outputs = weights.len() / inputs.max(1);
    assert_eq!(weights.len(), inputs * outputs, "weights of a linear layer");
    let packed = PackedMatrix::pack(arithmetic, 1, inputs, outputs, |input, output| weights[input * outputs + output]);
    let placement = Placement { group_pitch: 0, row_pitch: outputs };
    multiply(&Windows::matrix(input, inputs), &packed, epilogue, output, placement);
}

/// The gradient of a linear layer's input.
///
/// # Shapes
/// - gradient: `[rows, outputs]`
/// - weights: `[inputs, outputs]`
/// - output: `[rows, inputs]`
///
/// # Panics
/// If sizes do not fit.
pub fn linear_input_gradient(arithmetic: Arithmetic, gradient: &[f32], weights: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = weights.len() / inputs.max(1);
    let mut output = vec![0.0; gradient.len() / outputs.max(1) * inputs];
    input_gradient_into(arithmetic, gradient, weights, inputs, &Epilogue::default(), &mut output);
    output
}

/// Adds the gradient of a linear layer's input to `output`.
///
/// # Shapes
/// As for [`linear_input_gradient`].
///
/// # Panics
/// If sizes do not fit.
pub fn add_linear_input_gradient(
    arithmetic: Arithmetic,
    gradient: &[f32],
    weights: &[f32],
    inputs: usize,
    output: &mut [f32],
) {
    let epilogue = Epilogue { residual: Residual::Last, ..Epilogue::default() };
    input_gradient_into(arithmetic, gradient, weights, inputs, &epilogue, output);
}

fn input_gradient_into(
    arithmetic: Arithmetic,
    gradient: &[f32],
    weights: &[f32],
    inputs: usize,
    epilogue: &Epilogue<'_>,
    output: &mut [f32],
) {
    let outputs = weights.len() / inputs.max(1);
    assert_eq!(weights.len(), inputs * outputs, "weights of a linear layer");
    let packed = PackedMatrix::pack(arithmetic, 1, outputs, inputs, |output, input| weights[input * outputs + output]);
    let placement = Placement { group_pitch: 0, row_pitch: inputs };
    multiply(&Windows::matrix(gradient, outputs), &packed, epilogue, output, placement);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::testing::{arithmetics, assert_near, noise, tolerance};

    #[test]
    fn the_definition() {
        let (rows, inputs, outputs) = (7, 40, 33);
        let (input, weights) = (noise(rows * inputs, 1), noise(inputs * outputs, 2));
        let (bias, gradient) = (noise(outputs, 3), noise(rows * outputs, 4));
        let mut expected: Vec<f32> = bias.iter().copied().cycle().take(rows * outputs).collect();
        let mut to_input = vec![0.0; rows * inputs];
        for row in 0..rows {
            for (place, weight) in weights.iter().enumerate() {
                let (from, to) = (row * inputs + place / outputs, row * outputs + place % outputs);
                expected[to] += input[from] * weight;
                to_input[from] += gradient[to] * weight;
            }
        }
        for arithmetic in arithmetics().into_iter().filter(|arithmetic| arithmetic.precision() == Precision::F32) {
            let off = 10.0 * tolerance(arithmetic);
            assert_near("linear", &linear(arithmetic, &input, &weights, Some(&bias), inputs), &expected, off);
            let found = linear_input_gradient(arithmetic, &gradient, &weights, inputs);
            assert_near("input gradient", &found, &to_input, off);
            let (before, before_input) = (noise(rows * outputs, 5), noise(rows * inputs, 6));
            let mut found = before.clone();
            add_linear(arithmetic, &input, &weights, Some(&bias), inputs, 0.5, &mut found);
            let sums: Vec<f32> = before.iter().zip(&expected).map(|(before, value)| before + value * 0.5).collect();
            assert_near("added linear", &found, &sums, off);
            let mut found = before_input.clone();
            add_linear_input_gradient(arithmetic, &gradient, &weights, inputs, &mut found);
            let sums: Vec<f32> = before_input.iter().zip(&to_input).map(|(before, value)| before + value).collect();
            assert_near("added input gradient", &found, &sums, off);
        }
    }
}
