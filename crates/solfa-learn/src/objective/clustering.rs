//! Clustering: both views of a track are to fall into the prototypes that a slow copy of the network gives them.
//!
//! Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO), arXiv:2104.14294, sec. 3.1:
//! the teacher's outputs are centred by a running mean and sharpened by a low temperature. As the multi-view study of
//! music tagging has it (Meseguer-Brocal et al. 2024, arXiv:2404.09177), with two views and the temperature's rise
//! along half a cosine.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{ObjectiveError, Terms, check_enough, check_shape, check_temperature, single};

const NAME: &str = "clustering";

/// Settings of [`clustering`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusteringConfig {
    /// What the trained network's outputs are divided by.
    pub student_temperature: f64,
    /// The share of the center that stays at each step.
    pub center_momentum: f64,
}

impl Default for ClusteringConfig {
    fn default() -> Self {
        Self { student_temperature: 0.1, center_momentum: 0.9 }
    }
}

/// A loss, and the center for the next step.
#[derive(Clone, Debug)]
pub struct Clustering {
    /// The loss and its named terms.
    pub terms: Terms,
    /// `[1, prototypes]`: the running mean of the teacher's outputs, without gradients.
    pub center: Tensor<2>,
}

/// Cross-entropy of each view's prototypes under the other view's, averaged.
///
/// Named terms, both in nats: `teacher_entropy`, of each target, which is 0 where all fall into one prototype each;
/// `prototype_entropy`, of the mean target of the batch, which is 0 where all fall into the same one.
///
/// # Shapes
/// - student: `[batch, prototypes]` for each view, outputs of the trained network
/// - teacher: `[batch, prototypes]` for each view, outputs of its slow copy; no gradient goes there
/// - center: `[1, prototypes]`, zeros at the first step
///
/// # Errors
/// [`ObjectiveError`] for an empty batch, for tensors that differ in shape, and for a temperature that is not above
/// zero.
pub fn clustering(
    student: [Tensor<2>; 2],
    teacher: [Tensor<2>; 2],
    center: Tensor<2>,
    teacher_temperature: f64,
    config: &ClusteringConfig,
) -> Result<Clustering, ObjectiveError> {
    let [batch, prototypes] = student[0].dims();
    check_enough(NAME, "pairs in a batch", 1, batch)?;
    check_shape(NAME, "the student's second view", [batch, prototypes], student[1].dims())?;
    check_shape(NAME, "the teacher's first view", [batch, prototypes], teacher[0].dims())?;
    check_shape(NAME, "the teacher's second view", [batch, prototypes], teacher[1].dims())?;
    check_shape(NAME, "the center", [1, prototypes], center.dims())?;
    check_temperature(NAME, teacher_temperature)?;
    check_temperature(NAME, config.student_temperature)?;
    let rows = 2 * batch;
    let center = single(center.inner());
    let [first, second] = teacher.map(|view| single(view.inner()));
    // [2 x batch, prototypes]: each of the student's views beside the teacher's other one.
    let teacher = Tensor::cat(vec![second, first], 0);
    let next_center =
        center.clone() * config.center_momentum + teacher.clone().mean_dim(0) * (1.0 - config.center_momentum);
    let log_targets = activation::log_softmax((teacher - center) / teacher_temperature, 1);
    let targets = log_targets.clone().exp();
    let student = Tensor::cat(Vec::from(student.map(single)), 0) / config.student_temperature;
    let loss = (targets.clone() * activation::log_softmax(student, 1)).sum() / -(rows as f64);
    let teacher_entropy = (targets.clone() * log_targets).sum() / -(rows as f64);
    let mean_target = targets.mean_dim(0);
    let prototype_entropy = (mean_target.clone() * mean_target.clamp_min(f32::MIN_POSITIVE).log()).sum().neg();
    let terms = Terms::new(loss).with("teacher_entropy", teacher_entropy).with("prototype_entropy", prototype_entropy);
    Ok(Clustering { terms, center: next_center })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::testing::{Case, assert_finite, device, leaf, named, noise, scalar, values};
    use crate::train::Schedule;
    use burn::tensor::TensorData;

    /// The study's, by epoch.
    const TEACHER_TEMPERATURE: Schedule = Schedule::Cosine { from: 0.02, to: 0.04, steps: 10 };

    fn of_views(student: &Tensor<3>, teacher: &Tensor<3>, center: Tensor<2>, temperature: f64) -> Clustering {
        let views = |views: &Tensor<3>| [0, 1].map(|number| views.clone().select_dim(0, number));
        clustering(views(student), views(teacher), center, temperature, &ClusteringConfig::default()).unwrap()
    }

    #[test]
    fn loss_gradient_and_center_are_the_references() {
        let case = Case::read("multiview-losses", &["inputs", "outputs"]);
        for epoch in [0, 12] {
            let (student, teacher): (Tensor<3>, Tensor<3>) = (case.leaf("student"), case.leaf("teacher"));
            let temperature = TEACHER_TEMPERATURE.at(epoch);
            let found = of_views(&student, &teacher, case.leaf("center"), temperature);
            case.assert(&format!("clustering_epoch{epoch}"), found.terms.loss.clone());
            case.assert(&format!("clustering_epoch{epoch}_new_center"), found.center);
            let gradients = found.terms.loss.backward();
            case.assert(&format!("clustering_epoch{epoch}_grad"), student.grad(&gradients).unwrap());
            assert!(teacher.grad(&gradients).is_none(), "the slow copy is not trained");
        }
    }

    #[test]
    fn the_temperature_is_the_references() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/multiview-losses");
        let text = fs_err::read_to_string(format!("{folder}/schedules.json")).unwrap();
        let schedules: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = schedules["teacher_temp"].as_array().unwrap();
        assert_eq!(expected.len(), 20);
        for (epoch, expected) in expected.iter().enumerate() {
            let found = TEACHER_TEMPERATURE.at(epoch as u64);
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-12, "epoch {epoch}: {found}, not {expected}");
        }
        let student = schedules["student_temp"].as_array().unwrap();
        assert!(student.iter().all(|value| value.as_f64() == Some(ClusteringConfig::default().student_temperature)));
    }

    #[test]
    fn equal_outputs_cost_the_logarithm_of_the_prototypes() {
        for value in [0.0, 1.0, 1e12] {
            let student = leaf(TensorData::new(vec![value; 2 * 4], [2, 1, 4]));
            let found = of_views(&student, &student, Tensor::zeros([1, 4], &device()), 0.02);
            for name in ["teacher_entropy", "prototype_entropy"] {
                assert!((named(&found.terms, name) - 4f32.ln()).abs() < 1e-5, "{name}");
            }
            let loss = assert_finite(&found.terms, &[student]);
            assert!((loss - 4f32.ln()).abs() < 1e-5, "{loss}");
        }
    }

    #[test]
    fn views_are_compared_across_and_the_center_is_taken_away() {
        let student = leaf([[[9.0, 0.0]], [[0.0, 9.0]]]);
        let teacher = leaf([[[5.0, 6.0]], [[6.0, 5.0]]]);
        let found = of_views(&student, &teacher, leaf([[5.5, 5.5]]), 0.04);
        assert!(scalar(&found.terms.loss).abs() < 1e-5);
        assert!((named(&found.terms, "prototype_entropy") - 2f32.ln()).abs() < 1e-5);
        assert!(named(&found.terms, "teacher_entropy").abs() < 1e-5);
        let center = leaf([[1.0, 0.0]]);
        // 0.9 (1, 0) + 0.1 (5.5, 5.5)
        let found = values(of_views(&student, &teacher, center, 0.04).center);
        assert!((found[0] - 1.45).abs() < 1e-6 && (found[1] - 0.55).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn large_outputs_are_finite() {
        let student = (noise([2, 3, 4], 1).inner() * 1e12).autodiff().require_grad();
        let found = of_views(&student, &student.clone().flip([0]), Tensor::zeros([1, 4], &device()), 0.02);
        assert_finite(&found.terms, &[student]);
    }

    #[test]
    fn shapes_that_differ_are_errors() {
        let view = || noise([2, 4], 1);
        let run = |center, temperature| {
            clustering([view(), view()], [view(), view()], center, temperature, &ClusteringConfig::default())
        };
        let message = run(noise([1, 3], 2), 0.02).unwrap_err().to_string();
        assert_eq!(message, "clustering: the shape of the center is [1, 3]; expected [1, 4]");
        assert!(run(noise([1, 4], 2), 0.0).unwrap_err().to_string().contains("temperature"));
    }
}
