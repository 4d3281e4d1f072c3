//! Cases of `mir_eval`, with every score by its name.

use serde_json::Value;

pub(crate) use super::golden::numbers;
use super::golden::{assert_golden_scores, read};
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
        Self { inputs: read(folder, "inputs.json"), outputs: read(folder, "outputs.json") }
    }

    /// The cases whose name starts with `prefix`.
    pub(crate) fn cases(&self, prefix: &str) -> Vec<GoldenCase<'_>> {
        let inputs = self.inputs.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(prefix));
        inputs.map(|(name, input)| GoldenCase { name, input, scores: &self.outputs["scores"][name] }).collect()
    }
}

impl GoldenCase<'_> {
    /// Asserts that the scores have the names of the golden ones in their order, and their values.
    #[track_caller]
    pub(crate) fn assert_scores(&self, actual: &[(&'static str, f64)]) {
        let (names, actual): (Vec<&str>, Vec<f64>) = actual.iter().copied().unzip();
        let scores = self.scores.as_object().unwrap();
        assert_eq!(names, scores.keys().collect::<Vec<_>>(), "{}", self.name);
        let expected: Vec<f64> = scores.values().map(|value| value.as_f64().unwrap()).collect();
        assert_golden_scores(self.name, &actual, &expected);
    }
}

/// JSON lists of `[start, end]` and of labels.
pub(crate) fn labelled(intervals: &Value, labels: &Value) -> LabelledIntervals {
    let intervals = intervals.as_array().unwrap().iter().map(numbers);
    let intervals = intervals.map(|pair| Interval::new(pair[0], pair[1])).collect();
    let labels = labels.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect();
    LabelledIntervals::new("golden", intervals, labels).unwrap()
}
