//! Golden scores of other implementations: 64-bit numbers, which are compared to an absolute tolerance.

use std::path::PathBuf;

use serde_json::Value;

/// The largest difference to scores that `mir_eval` and scikit-learn computed.
pub(crate) const TOLERANCE: f64 = 1e-9;

/// A JSON file of a golden case.
pub(crate) fn read(case: &str, file: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(case).join(file);
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// A list of numbers; `true` and `false` are 1 and 0.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().or_else(|| value.as_bool().map(|truth| f64::from(u8::from(truth)))).unwrap())
        .collect()
}

fn agrees(actual: &[f64], expected: &[f64]) -> bool {
    !expected.is_empty()
        && actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(actual, expected)| (actual - expected).abs() <= TOLERANCE)
}

/// Asserts that all scores are within [`TOLERANCE`], and that the comparison sees each of them changed by ten times as
/// much, in either direction.
#[track_caller]
pub(crate) fn assert_golden_scores(what: &str, actual: &[f64], expected: &[f64]) {
    assert!(agrees(actual, expected), "{what}: {actual:?} instead of {expected:?}");
    for index in 0..actual.len() {
        for direction in [-1.0, 1.0] {
            let mut changed = actual.to_vec();
            changed[index] += direction * 10.0 * TOLERANCE;
            assert!(!agrees(&changed, expected), "{what}: the canary at {index} was not rejected");
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    assert!(agrees(&[0.5], &[0.5]));
    assert!(!agrees(&[], &[]));
    assert!(!agrees(&[0.5], &[0.5, 0.5]));
    assert!(!agrees(&[f64::NAN], &[0.5]));
    assert!(!agrees(&[0.5], &[f64::NAN]));
}
