//! Classes, tags and numbers: scores of scikit-learn's definitions.
//!
//! A class is its index, from 0. Matrices are row-major, one row for each item.

mod accuracy;
mod average_precision;
mod f1;
mod multi_label;
mod r2;
mod roc_auc;

pub use accuracy::{ConfusionMatrix, accuracy, confusion_matrix};
pub use average_precision::{average_precision, average_precision_micro};
pub use f1::{F1, f1_multi_class, f1_multi_label};
pub use multi_label::{ClassScores, MultiLabel};
pub use r2::{R2, r2};
pub use roc_auc::{roc_auc, roc_auc_micro};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::golden::{assert_golden_scores, numbers, read};

    fn classes(value: &serde_json::Value) -> Vec<usize> {
        numbers(value).into_iter().map(|class| class as usize).collect()
    }

    fn matrix(value: &serde_json::Value) -> Vec<f64> {
        value.as_array().unwrap().iter().flat_map(numbers).collect()
    }

    #[test]
    fn scores_are_those_of_scikit_learn() {
        let inputs = read("classification-metrics", "inputs.json");
        let outputs = read("classification-metrics", "outputs.json");
        let labels: Vec<bool> = matrix(&inputs["labels"]).into_iter().map(|label| label == 1.0).collect();
        let scores = matrix(&inputs["scores"]);
        let tags = MultiLabel::new(&labels, &scores, 12).unwrap();
        for (name, found) in [("roc_auc", roc_auc(&tags)), ("average_precision", average_precision(&tags))] {
            assert_eq!(found.left_out(), [3], "{name}: class 3 has no positive");
            let mut actual: Vec<f64> = found.per_class.iter().copied().flatten().collect();
            let mut expected = numbers(&outputs[format!("{name}_per_class")]);
            actual.push(found.macro_average.unwrap());
            expected.push(outputs[format!("{name}_macro")].as_f64().unwrap());
            assert_eq!(actual.len(), 12);
            assert_golden_scores(name, &actual, &expected);
        }

        let (reference, estimate) = (classes(&inputs["classes_true"]), classes(&inputs["classes_pred"]));
        let f1 = f1_multi_class(&reference, &estimate, 7).unwrap();
        assert_golden_scores(
            "accuracy, F1",
            &[accuracy(&reference, &estimate).unwrap(), f1.macro_average.unwrap(), f1.micro_average],
            &["accuracy", "f1_macro", "f1_micro"].map(|name| outputs[name].as_f64().unwrap()),
        );
        let confusion = confusion_matrix(&reference, &estimate, 7).unwrap();
        let counts: Vec<f64> = confusion.rows().flatten().map(|&count| count as f64).collect();
        assert_eq!(counts.len(), 49);
        assert_golden_scores("confusion", &counts, &matrix(&outputs["confusion"]));

        let found = r2(&matrix(&inputs["reg_true"]), &matrix(&inputs["reg_pred"]), 2).unwrap();
        assert_golden_scores("R2", &found.per_dimension, &numbers(&outputs["r2"]));
    }
}
