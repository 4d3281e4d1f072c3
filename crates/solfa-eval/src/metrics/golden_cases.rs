//! What `mir_eval` computed, for the tests of this module.

use std::path::Path;

use serde_json::Value;

use super::intervals::{Interval, LabelledIntervals};

/// A folder below `fixtures/golden` with `inputs.json` and `outputs.json`.
pub(crate) struct Golden {
    inputs: Value,
    outputs: Value,
}

/// One case: what went in, and the scores that came out.
pub(crate) struct GoldenCase<'golden> {
    pub(crate) name: &'golden str,
    pub(crate) input: &'golden Value,
    pub(crate) scores: &'golden Value,
}

impl Golden {
    pub(crate) fn read(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(folder);
        let read = |name: &str| serde_json::from_slice(&fs_err::read(folder.join(name)).unwrap()).unwrap();
        Self { inputs: read("inputs.json"), outputs: read("outputs.json") }
    }

    /// The cases whose name starts with `prefix`.
    pub(crate) fn cases(&self, prefix: &str) -> Vec<GoldenCase<'_>> {
        let inputs = self.inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(prefix));
        inputs.map(|(name, input)| GoldenCase { name, input, scores: &self.outputs["scores"][name] }).collect()
    }
}

impl GoldenCase<'_> {
    /// Asserts that the scores have the names of the golden ones in their order, and their values to `tolerance`; and, as
    /// a canary, that each score would be rejected if it were off by ten times the tolerance.
    pub(crate) fn assert_scores(&self, actual: &[(&'static str, f64)], tolerance: f64) {
        let expected: Vec<(&str, f64)> = self
            .scores
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_f64().unwrap()))
            .collect();
        assert!(!expected.is_empty(), "{}: nothing to compare with", self.name);
        assert_eq!(compare(actual, &expected, tolerance), Ok(()), "{}", self.name);
        for index in 0..actual.len() {
            for direction in [-1.0, 1.0] {
                let mut perturbed = actual.to_vec();
                perturbed[index].1 += direction * 10.0 * tolerance;
                let seen = compare(&perturbed, &expected, tolerance).is_err();
                assert!(seen, "{}: the canary at {} was not rejected", self.name, actual[index].0);
            }
        }
    }
}

fn compare(actual: &[(&'static str, f64)], expected: &[(&str, f64)], tolerance: f64) -> Result<(), String> {
    let names = |scores: &[(&str, f64)]| scores.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    if names(actual) != names(expected) {
        return Err(format!("{:?} instead of {:?}", names(actual), names(expected)));
    }
    for ((name, actual), (_, expected)) in actual.iter().zip(expected) {
        let difference = (actual - expected).abs();
        // A NaN is no match.
        if difference.is_nan() || difference > tolerance {
            return Err(format!("{name} is {actual} instead of {expected}"));
        }
    }
    Ok(())
}

/// A JSON list of numbers.
pub(crate) fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// A JSON list of `[start, end]`.
pub(crate) fn intervals(values: &Value) -> Vec<Interval> {
    values.as_array().unwrap().iter().map(numbers).map(|pair| Interval::new(pair[0], pair[1])).collect()
}

/// JSON lists of `[start, end]` and of labels.
pub(crate) fn labelled(values: &Value, labels: &Value) -> LabelledIntervals {
    let labels = labels.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect();
    LabelledIntervals::new("golden", intervals(values), labels).unwrap()
}
