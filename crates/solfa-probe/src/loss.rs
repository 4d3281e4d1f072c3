//! What a head's outputs cost: cross-entropy, binary cross-entropy, squared error, weighted and added.

use burn::tensor::{Device, Tensor, activation};

use crate::head::tensor;
use crate::items::{TargetBlock, Targets};

/// The loss of a batch: the weighted sum of its blocks' means.
///
/// # Shapes
/// - outputs: `[batch, outputs]`, the blocks side by side
/// - items: the number of each row among the targets
/// - output: a scalar
pub(crate) fn loss(outputs: Tensor<2>, blocks: &[TargetBlock], items: &[usize], device: &Device) -> Tensor<1> {
    let mut first = 0;
    let mut total: Option<Tensor<1>> = None;
    for block in blocks {
        let width = block.targets.width();
        let part = if width == outputs.dims()[1] { outputs.clone() } else { outputs.clone().narrow(1, first, width) };
        first += width;
        let shape = [items.len(), width];
        let mean = match &block.targets {
            Targets::Classes { classes, .. } => {
                // An item that does not count has a row of zeros.
                let mut expected = vec![0.0; items.len() * width];
                let mut count = 0;
                for (row, &item) in items.iter().enumerate() {
                    if let Ok(class) = usize::try_from(classes[item]) {
                        expected[row * width + class] = 1.0;
                        count += 1;
                    }
                }
                let logarithms = activation::log_softmax(part, 1);
                (logarithms * tensor(expected, shape, device)).sum() * (-1.0 / f64::from(count.max(1)))
            }
            Targets::Probabilities { values, .. } => {
                let expected = tensor(gather(values, width, items), shape, device);
                // ln(1 + eˣ) - x·t, without overflow
                let rectified = activation::relu(part.clone());
                let correction = (part.clone().abs().neg().exp() + 1.0).log();
                (rectified - part * expected + correction).mean()
            }
            Targets::Numbers { values, .. } => {
                let difference = part - tensor(gather(values, width, items), shape, device);
                (difference.clone() * difference).mean()
            }
        };
        let weighted = if block.weight == 1.0 { mean } else { mean * f64::from(block.weight) };
        total = Some(match total {
            Some(total) => total + weighted,
            None => weighted,
        });
    }
    total.unwrap_or_else(|| Tensor::zeros([1], device))
}

fn gather(values: &[f32], width: usize, items: &[usize]) -> Vec<f32> {
    items.iter().flat_map(|&item| &values[item * width..(item + 1) * width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(outputs: &[f32], blocks: &[TargetBlock]) -> f32 {
        let device = Device::flex();
        let width = crate::items::output_width(blocks);
        let items: Vec<usize> = (0..outputs.len() / width).collect();
        let outputs = tensor(outputs.to_vec(), [items.len(), width], &device);
        loss(outputs, blocks, &items, &device).into_scalar()
    }

    fn block(targets: Targets) -> TargetBlock {
        TargetBlock { targets, weight: 1.0 }
    }

    fn assert_close(found: f32, expected: f64) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn equal_outputs_cost_the_logarithm_of_the_classes() {
        let targets = Targets::Classes { num_classes: 4, classes: vec![2, 0] };
        assert_close(value(&[0.0; 8], &[block(targets)]), 4.0_f64.ln());
    }

    #[test]
    fn items_without_a_class_do_not_count() {
        let one = value(&[1.0, 3.0], &[block(Targets::Classes { num_classes: 2, classes: vec![0] })]);
        let targets = Targets::Classes { num_classes: 2, classes: vec![0, -1] };
        assert_close(value(&[1.0, 3.0, 9.0, -9.0], &[block(targets)]), f64::from(one));
        let none = Targets::Classes { num_classes: 2, classes: vec![-1] };
        assert_close(value(&[1.0, 3.0], &[block(none)]), 0.0);
    }

    #[test]
    fn binary_cross_entropy_stays_finite() {
        let targets = Targets::Probabilities { width: 2, values: vec![1.0, 0.0] };
        assert_close(value(&[100.0, 100.0], &[block(targets.clone())]), 50.0);
        assert_close(value(&[0.0, 0.0], &[block(targets)]), 2.0_f64.ln());
    }

    #[test]
    fn blocks_are_weighted_and_added() {
        let blocks = [
            TargetBlock { targets: Targets::Classes { num_classes: 2, classes: vec![1] }, weight: 0.9 },
            TargetBlock { targets: Targets::Numbers { width: 1, values: vec![3.0] }, weight: 0.1 },
        ];
        assert_close(value(&[0.0, 0.0, 1.0], &blocks), 0.9 * 2.0_f64.ln() + 0.1 * 4.0);
    }
}
