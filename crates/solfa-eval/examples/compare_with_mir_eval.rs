//! The largest difference of every score to those of `mir_eval`, over the cases of a file.
//!
//! `tools/reference/beside_mir_eval.py` makes the file and runs this.
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::Value;
use solfa_eval::metrics::MetricError;
use solfa_eval::metrics::beat::{BeatScores, TRIM_SECONDS};
use solfa_eval::metrics::key::{FifthRule, KeyLabel, key_score};
use solfa_eval::metrics::onset::{ONSET_WINDOW_SECONDS, onset_f_measure};
use solfa_eval::metrics::tempo::{TEMPO_DETECTION_TOLERANCE, tempo_detection};

/// Differences up to this are rounding.
const TOLERANCE: f64 = 1e-9;

#[derive(Default)]
struct Differences {
    compared: usize,
    largest: f64,
    above_tolerance: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("a file of cases is expected")?;
    let mut differences: BTreeMap<String, Differences> = BTreeMap::new();
    let mut errors: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in fs_err::read_to_string(path)?.lines().enumerate() {
        let case: Value = serde_json::from_str(line)?;
        match (ours(&case), case["error"].as_bool().unwrap_or(false)) {
            (Err(_), true) => *errors.entry("an error on both sides").or_default() += 1,
            (Err(error), false) => {
                println!("line {number}: only ours is an error: {error}");
                *errors.entry("an error of ours only").or_default() += 1;
            }
            (Ok(_), true) => {
                println!("line {number}: only theirs is an error: {line}");
                *errors.entry("an error of theirs only").or_default() += 1;
            }
            (Ok(scores), false) => {
                for (name, score) in scores {
                    let Some(expected) = case["scores"][name].as_f64() else { continue };
                    let kind = case["kind"].as_str().ok_or("a case has a kind")?;
                    let entry = differences.entry(format!("{kind}: {name}")).or_default();
                    let difference = (score - expected).abs();
                    entry.compared += 1;
                    entry.largest = entry.largest.max(difference);
                    if difference > TOLERANCE {
                        entry.above_tolerance += 1;
                        println!("line {number}: {name}: {score} instead of {expected}: {line}");
                    }
                }
            }
        }
    }
    for (name, Differences { compared, largest, above_tolerance }) in differences {
        println!(
            "{name:<40} {compared:>6} cases, largest difference {largest:.1e}, above {TOLERANCE:e}: {above_tolerance}"
        );
    }
    for (what, count) in errors {
        println!("{what}: {count}");
    }
    Ok(())
}

fn ours(case: &Value) -> Result<Vec<(&'static str, f64)>, MetricError> {
    let numbers =
        |side: &str| -> Vec<f64> { case[side].as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let pair = |side: &str| -> [f64; 2] {
        let tempi = numbers(side);
        [tempi[0], tempi[1]]
    };
    let text = |side: &str| case[side].as_str().unwrap_or_default().parse::<KeyLabel>();
    Ok(match case["kind"].as_str() {
        Some("beat") => BeatScores::new(&numbers("reference"), &numbers("estimate"), TRIM_SECONDS)?.named().to_vec(),
        Some("onset") => {
            let found = onset_f_measure(&numbers("reference"), &numbers("estimate"), ONSET_WINDOW_SECONDS)?;
            vec![("F-measure", found.f_measure), ("Precision", found.precision), ("Recall", found.recall)]
        }
        Some("tempo") => {
            let weight = case["weight"].as_f64().unwrap_or(f64::NAN);
            let found = tempo_detection(pair("reference"), weight, pair("estimate"), TEMPO_DETECTION_TOLERANCE)?;
            let [one, both] = [found.one_correct, found.both_correct].map(|truth| f64::from(u8::from(truth)));
            vec![("P-score", found.p_score), ("One-correct", one), ("Both-correct", both)]
        }
        _ => vec![("Weighted Score", key_score(text("reference")?, text("estimate")?, FifthRule::Ascending))],
    })
}
