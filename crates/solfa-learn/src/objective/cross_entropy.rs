//! Cross-entropy of rows of logits, with its gradient written out.
//!
//! The derivative of `-ln softmax(logits)[target]` by the logits is `softmax(logits)`, less 1 at the target. In masked
//! prediction the logits are the largest tensor of a step; differentiated operation by operation, the formula passes
//! over them a dozen times. Here the softmax is computed once, turned into the gradient in place, and handed to the
//! graph.

use burn::tensor::{DType, FloatDType, IndexingUpdateOp, Int, Tensor, activation};

/// Cross-entropies of rows, in nats.
pub(super) struct CrossEntropy {
    /// `[rows]`: of each row; without gradients.
    pub(super) values: Tensor<1>,
    /// `[rows]`: 1 where the largest logit is the target's, the first one among equals; otherwise 0.
    pub(super) hits: Tensor<1>,
    logits: Tensor<2>,
    gradient: Tensor<2>,
}

impl CrossEntropy {
    /// # Shapes
    /// - logits: `[rows, classes]`, neither of them zero
    /// - targets: `[rows]`, class numbers
    pub(super) fn new(logits: Tensor<2>, targets: Tensor<1, Int>) -> Self {
        let constant = logits.clone().inner();
        let (largest, best) = constant.clone().max_dim_with_indices(1);
        let targets = targets.inner().cast(best.dtype()).unsqueeze_dim::<2>(1);
        let below_largest = largest - constant.clone().gather(1, targets.clone());
        let probabilities = activation::softmax(constant, 1);
        // The largest probability is 1 / Σ exp(logit - largest), so the sum is not computed twice.
        let largest_probability = probabilities.clone().gather(1, best.clone());
        let minus_one = Tensor::full(targets.dims(), -1.0, (&largest_probability.device(), DType::F32));
        Self {
            values: (below_largest - largest_probability.log()).squeeze_dim(1),
            hits: best.equal(targets.clone()).cast(FloatDType::F32).squeeze_dim(1),
            logits,
            gradient: probabilities.scatter(1, targets, minus_one, IndexingUpdateOp::Add),
        }
    }

    /// The sum of `weight x cross-entropy`, with its gradient.
    ///
    /// # Shapes
    /// - weights: `[rows]`; without them, 1
    pub(super) fn weighted_sum(self, weights: Option<Tensor<1>>) -> Tensor<1> {
        let (value, gradient) = match weights {
            None => (self.values.sum(), self.gradient),
            Some(weights) => {
                let weights = weights.inner();
                ((self.values * weights.clone()).sum(), self.gradient * weights.unsqueeze_dim::<2>(1))
            }
        };
        with_gradient(self.logits, gradient, value)
    }
}

/// A value whose gradient by `input` is `gradient`: a linear function of the input, moved to the value.
fn with_gradient(input: Tensor<2>, gradient: Tensor<2>, value: Tensor<1>) -> Tensor<1> {
    let linear = (input * gradient).sum();
    linear.clone() - linear.inner() + value
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

        let found = CrossEntropy::new(logits.clone(), targets.clone());
        let formula = -activation::log_softmax(logits.clone(), 1).gather(1, targets.unsqueeze_dim::<2>(1));
        let formula: Tensor<1> = formula.squeeze_dim(1);
        assert_close("values", &values(found.values.clone()), &values(formula.clone()), 1e-6);

        let found = found.weighted_sum(Some(weights.clone()));
        let formula = (formula * weights).sum();
        assert!((scalar(&found) - scalar(&formula)).abs() < 1e-5);
        let found = values(logits.grad(&found.backward()).unwrap());
        assert_close("gradient", &found, &values(logits.grad(&formula.backward()).unwrap()), 1e-5);
    }

    #[test]
    fn large_and_equal_logits_are_finite() {
        let logits: Tensor<2> = leaf([[1e30, -1e30, 0.0], [7.0, 7.0, 7.0], [1e4, 1e4, -1e4]]);
        let rows = CrossEntropy::new(logits.clone(), Tensor::from_ints([0, 2, 1], &device()));
        assert_close("values", &values(rows.values.clone()), &[0.0, 3f32.ln(), 2f32.ln()], 1e-6);
        assert_eq!(values(rows.hits.clone()), [1.0, 0.0, 0.0]);
        let loss = rows.weighted_sum(None);
        assert!((scalar(&loss) - 6f32.ln()).abs() < 1e-6, "the value does not pass through the logits' size");
        let third = 1.0 / 3.0;
        let expected = [0.0, 0.0, 0.0, third, third, third - 1.0, 0.5, -0.5, 0.0];
        assert_close("gradient", &values(logits.grad(&loss.backward()).unwrap()), &expected, 1e-6);
    }

    #[test]
    fn a_logit_that_is_no_number_makes_a_loss_that_is_none() {
        let logits: Tensor<2> = leaf([[f32::NAN, 1.0, 2.0]]);
        let loss = CrossEntropy::new(logits, Tensor::from_ints([1], &device())).weighted_sum(None);
        assert!(scalar(&loss).is_nan());
    }
}
