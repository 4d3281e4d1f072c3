//! Cross-entropy of rows of logits, with its gradient written out.
//!
//! The derivative of `-ln softmax(logits)[target]` by the logits is `softmax(logits)`, less 1 at the target. In masked
//! prediction the logits are the largest tensor of a step; differentiated operation by operation, the formula passes
//! over them a dozen times. Here the softmax is computed once, turned into the gradient in place, and handed to the
//! graph.

use burn::tensor::{DType, FloatDType, IndexingUpdateOp, Int, Tensor, activation};

/// Cross-entropies of rows.
pub(super) struct CrossEntropy {
    /// `[rows]`: in nats, with their gradients.
    pub(super) values: Tensor<1>,
    /// `[rows]`: 1 where the largest logit is the target's, the first one among equals; otherwise 0. Without gradients.
    pub(super) hits: Tensor<1>,
}

/// The cross-entropy of every row.
///
/// # Shapes
/// - logits: `[rows, classes]`, neither of them zero
/// - targets: `[rows]`, class numbers
pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> CrossEntropy {
    let constant = logits.clone().inner();
    let (largest, best) = constant.clone().max_dim_with_indices(1);
    let targets = targets.inner().cast(best.dtype()).unsqueeze_dim::<2>(1);
    let below_largest = largest - constant.clone().gather(1, targets.clone());
    let probabilities = activation::softmax(constant, 1);
    // The largest probability is 1 / Σ exp(logit - largest), so the sum is not computed twice.
    let largest_probability = probabilities.clone().gather(1, best.clone());
    let minus_one = Tensor::full(targets.dims(), -1.0, (&largest_probability.device(), DType::F32));
    let hits = best.equal(targets.clone()).cast(FloatDType::F32).squeeze_dim(1);
    let gradient = probabilities.scatter(1, targets, minus_one, IndexingUpdateOp::Add);
    let values = (below_largest - largest_probability.log()).squeeze_dim(1);
    CrossEntropy { values: with_gradient(logits, gradient, values), hits }
}

/// The values, each with its row of `gradient` as the gradient by its row of `input`: a linear function of the row,
/// moved to the value. The products of rows take no memory of the input's size.
///
/// # Shapes
/// - input, gradient: `[rows, classes]`
/// - values, output: `[rows]`
fn with_gradient(input: Tensor<2>, gradient: Tensor<2>, values: Tensor<1>) -> Tensor<1> {
    let [rows, classes] = input.dims();
    let products = input.reshape([rows, 1, classes]).matmul(gradient.reshape([rows, classes, 1]));
    let linear: Tensor<1> = products.reshape([rows]);
    linear.clone() - linear.inner() + values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{device, leaf, noise, scalar, values};
    use solfa_signal::testing::assert_close;

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        let (rows, classes) = (13, 37);
        let logits: Tensor<2> = (noise([rows, classes], 1).inner() * 4.0).autodiff().require_grad();
        let numbers: Vec<i64> = (0..rows as i64).map(|row| row * 5 % classes as i64).collect();
        let targets = Tensor::<1, Int>::from_ints(numbers.as_slice(), &device());
        let weights = noise([rows], 2).inner();

        let found = cross_entropy(logits.clone(), targets.clone()).values;
        let formula = -activation::log_softmax(logits.clone(), 1).gather(1, targets.unsqueeze_dim::<2>(1));
        let formula: Tensor<1> = formula.squeeze_dim(1);
        assert_close("values", &values(found.clone()), &values(formula.clone()), 1e-6);

        let found = (found * weights.clone()).sum();
        let formula = (formula * weights).sum();
        assert!((scalar(&found) - scalar(&formula)).abs() < 1e-5);
        let found = values(logits.grad(&found.backward()).unwrap());
        assert_close("gradient", &found, &values(logits.grad(&formula.backward()).unwrap()), 1e-5);
    }

    #[test]
    fn large_and_equal_logits_are_finite() {
        let logits: Tensor<2> = leaf([[1e30, -1e30, 0.0], [7.0, 7.0, 7.0], [1e4, 1e4, -1e4]]);
        let rows = cross_entropy(logits.clone(), Tensor::from_ints([0, 2, 1], &device()));
        assert_close("values", &values(rows.values.clone()), &[0.0, 3f32.ln(), 2f32.ln()], 1e-6);
        assert_eq!(values(rows.hits.clone()), [1.0, 0.0, 0.0]);
        let loss = rows.values.sum();
        assert!((scalar(&loss) - 6f32.ln()).abs() < 1e-6, "the value does not pass through the logits' size");
        let third = 1.0 / 3.0;
        let expected = [0.0, 0.0, 0.0, third, third, third - 1.0, 0.5, -0.5, 0.0];
        assert_close("gradient", &values(logits.grad(&loss.backward()).unwrap()), &expected, 1e-6);
    }

    #[test]
    fn a_logit_that_is_no_number_makes_a_loss_that_is_none() {
        let logits: Tensor<2> = leaf([[f32::NAN, 1.0, 2.0]]);
        let loss = cross_entropy(logits, Tensor::from_ints([1], &device())).values.sum();
        assert!(scalar(&loss).is_nan());
    }
}
