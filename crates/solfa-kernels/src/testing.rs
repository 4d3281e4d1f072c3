//! What tests of kernels share.

use crate::product::Activation;
use crate::{Arithmetic, InstructionSet, Precision};

/// Every set of instructions that this machine has.
pub(crate) fn instruction_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::available()
}

/// Every way of multiplying that this machine has.
pub(crate) fn arithmetics() -> Vec<Arithmetic> {
    instruction_sets()
        .flat_map(|set| {
            [Precision::F32, Precision::Bf16].map(|precision| Arithmetic::with_instructions(set, precision))
        })
        .collect()
}

/// What a product of numbers around 1 may be off by, as a share of their root mean square.
pub(crate) fn tolerance(arithmetic: Arithmetic) -> f32 {
    match (arithmetic.precision(), arithmetic.instruction_set()) {
        (Precision::Bf16, _) => 3e-2,
        (Precision::F32, InstructionSet::Amx) => 5e-5,
        (Precision::F32, _) => 3e-6,
    }
}

/// Does something in a pool of so many threads.
pub(crate) fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// An activation in double precision.
pub(crate) fn activated(activation: Activation, value: f64) -> f64 {
    match activation {
        Activation::None => value,
        Activation::Relu => value.max(0.0),
        Activation::Silu => value / (1.0 + (-value).exp()),
        Activation::Gelu => value * normal_distribution(value),
        Activation::GatedSigmoid => panic!("a gate has two values"),
    }
}

/// The normal distribution: the integral of its density from 0, by Simpson's rule.
pub(crate) fn normal_distribution(value: f64) -> f64 {
    let width = value / 200.0;
    let density = |at: f64| (-0.5 * at * at).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let step = |step: i32| {
        let start = f64::from(step) * width;
        width / 6.0 * (density(start) + 4.0 * density(start + width / 2.0) + density(start + width))
    };
    0.5 + (0..200).map(step).sum::<f64>()
}

/// Numbers from -1.7 to 1.7 of variance 1, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 3.464
        })
        .collect()
}

/// Fails where a value is further from what is expected than `tolerance` times the root mean square of all, and where
/// the same comparison would not notice a changed value.
#[track_caller]
pub(crate) fn assert_near(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}: number of values");
    let mean_square = expected.iter().map(|value| value * value).sum::<f32>() / expected.len().max(1) as f32;
    let allowed = tolerance * mean_square.sqrt().max(1e-3);
    let is_near = |found: f32, expected: f32| (found - expected).abs() <= allowed;
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!(is_near(found, expected), "{name}: value {index}: expected {expected}, found {found} (+-{allowed:e})");
        assert!(!is_near(found + 3.0 * allowed, expected), "{name}: a changed value is not noticed");
    }
}
