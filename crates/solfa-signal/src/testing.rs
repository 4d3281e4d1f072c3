//! What tests of several crates share: one comparison of numbers, and the laws of every encoder.
//!
//! [`assert_golden`] shows each difference that it measures where a test's output is shown:
//! `cargo test --release -- --nocapture`.
//!
//! This module is part of the library so that encoders written elsewhere can be held to the same laws. It panics with
//! a message where a law is broken, as test assertions do.

use std::ops::ControlFlow;

use crate::audio::Waveform;
use crate::encoder::{AttentionMaps, EncodeError, Encoder, LayerBatch, LayerChoice};

/// How far two series of numbers are apart, measured against the size of the expected one.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Root mean square of the expected values.
    pub expected_rms: f64,
    /// The largest absolute difference.
    pub max_difference: f64,
    /// Where the largest difference stands.
    pub worst_index: usize,
    /// The two values there: `(actual, expected)`.
    pub worst: (f64, f64),
}

impl Comparison {
    /// The largest difference as a share of the expected root mean square.
    pub fn relative(&self) -> f64 {
        self.max_difference / self.expected_rms
    }
}

/// Compares in both directions: a length that differs, a value that is not finite, or expected values that are all zero
/// are errors, so a comparison can never pass by comparing nothing.
///
/// # Errors
/// A sentence that says what cannot be compared.
pub fn compare(actual: &[f32], expected: &[f32]) -> Result<Comparison, String> {
    if actual.len() != expected.len() {
        return Err(format!("{} values given, {} expected", actual.len(), expected.len()));
    }
    if let Some(index) = actual.iter().chain(expected).position(|value| !value.is_finite()) {
        return Err(format!("a value is not finite (position {index} of actual then expected)"));
    }
    let expected_rms =
        (expected.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / expected.len().max(1) as f64).sqrt();
    if expected_rms == 0.0 {
        return Err(format!("the {} expected values are all zero: nothing to compare against", expected.len()));
    }
    let mut comparison = Comparison { expected_rms, max_difference: 0.0, worst_index: 0, worst: (0.0, 0.0) };
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let (actual, expected) = (f64::from(actual), f64::from(expected));
        if (actual - expected).abs() > comparison.max_difference {
            comparison.max_difference = (actual - expected).abs();
            comparison.worst_index = index;
            comparison.worst = (actual, expected);
        }
    }
    Ok(comparison)
}

/// Asserts that every value is within `tolerance` times the root mean square of the expected values.
///
/// # Panics
/// If not, with the largest difference and where it stands.
#[track_caller]
pub fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f64) {
    match compare(actual, expected) {
        Err(reason) => panic!("{what}: {reason}"),
        Ok(comparison) => assert!(
            comparison.relative() <= tolerance,
            "{what}: differs by {:.3e} of rms (tolerance {tolerance:.1e}); worst at {}: {} instead of {}",
            comparison.relative(),
            comparison.worst_index,
            comparison.worst.0,
            comparison.worst.1,
        ),
    }
}

/// [`assert_close`], and its canary: the same comparison must reject the values with one of them changed by ten times
/// the tolerance, in either direction, at the first, a middle and the last place.
///
/// # Panics
/// If the values differ, or if the comparison cannot tell a changed value.
#[track_caller]
#[allow(clippy::print_stdout, reason = "what a test measured belongs to its output")]
pub fn assert_golden(what: &str, actual: &[f32], expected: &[f32], tolerance: f64) {
    assert_close(what, actual, expected, tolerance);
    if let Ok(comparison) = compare(actual, expected) {
        println!("golden: {what}: {:.1e} of rms over {} values", comparison.relative(), actual.len());
    }
    for index in [0, actual.len() / 2, actual.len() - 1] {
        for direction in [-1.0, 1.0] {
            let rms = compare(actual, expected).map_or(0.0, |comparison| comparison.expected_rms);
            let mut perturbed = actual.to_vec();
            perturbed[index] = expected[index] + (direction * 10.0 * tolerance * rms) as f32;
            let seen = compare(&perturbed, expected).is_ok_and(|comparison| comparison.relative() > tolerance);
            assert!(seen, "{what}: the canary at {index} was not rejected; the comparison proves nothing");
        }
    }
}

/// A signal with something at every pitch and time: decaying harmonic notes and a little noise, the same for the same
/// arguments.
pub fn musical_signal(num_samples: usize, sample_rate: u32, seed: u64) -> Waveform {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let rate = f64::from(sample_rate);
    let samples = (0..num_samples)
        .map(|index| {
            let time = index as f64 / rate;
            let note = (time * 4.0).floor();
            let pitch = 110.0 * 2f64.powf(((note * 7.0 + seed as f64) % 24.0) / 12.0);
            let decay = (-3.0 * (time * 4.0).fract()).exp();
            let tone: f64 = (1..=5)
                .map(|harmonic| {
                    (std::f64::consts::TAU * pitch * f64::from(harmonic) * time).sin() / f64::from(harmonic)
                })
                .sum();
            (0.25 * decay * tone) as f32 + 0.01 * noise()
        })
        .collect();
    Waveform::new(samples, sample_rate)
}

/// Runs an encoder through the laws of the [`Encoder`] trait.
///
/// `clip_samples` is the length of the longest test clip; at least four times the encoder's minimum is sensible. An
/// encoder of whole clips is given those.
///
/// # Panics
/// If a law is broken.
pub fn check_encoder(encoder: &dyn Encoder, clip_samples: usize) {
    let spec = encoder.spec().clone();
    let rate = spec.sample_rate;
    let name = &spec.name;
    let encode = |clips: &[Waveform]| -> LayerBatch {
        encoder.encode(clips, &LayerChoice::All).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let clip_samples = spec.clip_samples.unwrap_or(clip_samples);
    let short_samples = (clip_samples * 2 / 3).max(spec.minimum_samples);
    let clips = [
        musical_signal(clip_samples, rate, 1),
        musical_signal(short_samples, rate, 2),
        musical_signal(clip_samples, rate, 3),
    ];

    // The specification is true, and all layers come in order.
    assert!(spec.minimum_samples <= clip_samples, "{name}: the test clip is shorter than the minimum");
    assert!(!spec.identity.is_empty(), "{name}: no identity");
    let batch = encode(&clips);
    assert_eq!(batch.layers.len(), spec.layers.len(), "{name}: number of layers");
    for (number, (frames, layer)) in batch.layers.iter().zip(&spec.layers).enumerate() {
        assert_eq!(frames.layer, number, "{name}: layers in order");
        assert_eq!(frames.clips.len(), clips.len(), "{name}: one series per clip");
        for (frames, clip) in frames.clips.iter().zip(&clips) {
            assert_eq!(frames.dim(), layer.dim, "{name}: width of layer {number}");
            assert_eq!(frames.frames_per_second(), spec.frames_per_second(number), "{name}: rate of layer {number}");
            let expected = (clip.num_samples() - spec.edge_samples) as f64 / layer.hop_samples as f64;
            let found = frames.num_frames() as f64;
            assert!((found - expected).abs() <= 1.0, "{name}: layer {number} has {found} frames, not {expected:.1}");
            assert!(found >= expected.floor(), "{name}: layer {number} has {found} frames, less than {expected:.1}");
            assert!(spec.clip_samples.is_none() || found == 1.0, "{name}: layer {number} has {found} frames a clip");
        }
        assert_eq!(
            frames.class_tokens.iter().map(Vec::len).collect::<Vec<_>>(),
            if spec.has_class_token { vec![layer.dim; clips.len()] } else { Vec::new() },
            "{name}: class tokens of layer {number}"
        );
    }
    if let Some(length) = spec.clip_samples {
        assert!(spec.layers.iter().all(|layer| layer.hop_samples == length), "{name}: one vector a clip");
        assert!(spec.minimum_samples <= length, "{name}: a clip is long enough");
        let longer = musical_signal(length + 1, rate, 1);
        assert!(
            matches!(encoder.encode(&[longer], &LayerChoice::All), Err(EncodeError::ClipLength { .. })),
            "{name}: a longer clip is an error"
        );
    }
    if let Some(maximum) = spec.maximum_samples {
        encode(&[musical_signal(maximum, rate, 1)]);
        let longer = musical_signal(maximum + 1, rate, 1);
        assert!(
            matches!(encoder.encode(&[longer], &LayerChoice::All), Err(EncodeError::TooLong { .. })),
            "{name}: a longer clip is an error"
        );
    }

    // Alone gives the same bits as in a batch, and twice the same bits.
    for (index, clip) in clips.iter().enumerate() {
        let alone = encode(std::slice::from_ref(clip));
        let again = encode(std::slice::from_ref(clip));
        for ((alone, again), together) in alone.layers.iter().zip(&again.layers).zip(&batch.layers) {
            assert!(alone == again, "{name}: layer {}: twice the same clip, two results", alone.layer);
            assert!(
                alone.clips[0] == together.clips[index],
                "{name}: layer {}: clip {index} alone differs from clip {index} in a batch",
                alone.layer
            );
            assert!(
                alone.class_tokens.first() == together.class_tokens.get(index),
                "{name}: layer {}: class token {index} alone differs from class token {index} in a batch",
                alone.layer
            );
        }
    }

    // A choice of layers gives those layers, unchanged.
    let last = encoder.encode(&clips[..1], &LayerChoice::Last).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(last.layers.len(), 1, "{name}: one layer asked for");
    assert!(
        last.layers[0].clips[0] == batch.layers[spec.layers.len() - 1].clips[0],
        "{name}: the last layer differs when asked for alone"
    );
    let no_such_layer = LayerChoice::Numbers(vec![spec.layers.len()]);
    assert!(
        matches!(encoder.encode(&clips[..1], &no_such_layer), Err(EncodeError::NoSuchLayer { .. })),
        "{name}: a layer that does not exist is an error"
    );

    check_attention(encoder, &clips[0]);

    // The shortest legal clip works; a shorter one, or one at another rate, is an error.
    encode(&[musical_signal(spec.minimum_samples, rate, 4)]);
    let too_short = Waveform::new(vec![0.1; spec.minimum_samples - 1], rate);
    assert!(
        matches!(encoder.encode(&[too_short], &LayerChoice::All), Err(EncodeError::TooShort { .. })),
        "{name}: a clip of {} samples is an error",
        spec.minimum_samples - 1
    );
    let other_rate = musical_signal(clip_samples, rate + 1, 1);
    assert!(
        matches!(encoder.encode(&[other_rate], &LayerChoice::All), Err(EncodeError::SampleRate { .. })),
        "{name}: another sample rate is an error"
    );

    // Silence and a full-scale square wave are finite (an encoder refuses to return anything else, so `encode` fails
    // where they are not).
    let square = (0..clip_samples).map(|index| if index / 50 % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for clip in [Waveform::new(vec![0.0; clip_samples], rate), Waveform::new(square, rate)] {
        for layer in encode(&[clip]).layers {
            assert_eq!(layer.clips[0].first_non_finite(), None, "{name}: layer {} is not finite", layer.layer);
        }
    }
}

/// An encoder with attention has maps for every layer but the first, each row of which sums to 1; another says that it
/// has none.
fn check_attention(encoder: &dyn Encoder, clip: &Waveform) {
    let spec = encoder.spec();
    let name = &spec.name;
    let mut layers = Vec::new();
    let result = encoder.attention_maps(clip, &LayerChoice::All, &mut |maps| {
        let AttentionMaps { layer, num_heads, num_tokens, weights } = maps;
        assert_eq!(Some(num_heads), spec.attention_heads, "{name}: heads of layer {layer}");
        assert_eq!(weights.len(), num_heads * num_tokens * num_tokens, "{name}: size of layer {layer}'s maps");
        for row in weights.chunks_exact(num_tokens) {
            let sum: f32 = row.iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{name}: a row of layer {layer}'s attention sums to {sum}");
        }
        layers.push(layer);
        ControlFlow::Continue(())
    });
    match (spec.attention_heads, result) {
        (None, result) => assert!(matches!(result, Err(EncodeError::NoAttention { .. })), "{name}: no attention"),
        (Some(_), Err(error)) => panic!("{name}: {error}"),
        (Some(_), Ok(())) => {
            assert!(layers.iter().copied().eq(1..spec.layers.len()), "{name}: attention of layers {layers:?}");
            let mut num_maps = 0;
            let result = encoder.attention_maps(clip, &LayerChoice::All, &mut |_| {
                num_maps += 1;
                ControlFlow::Break(())
            });
            assert_eq!((result, num_maps), (Ok(()), 1), "{name}: a visitor that breaks sees no more maps");
        }
    }
}

/// The cosine of the angle between two series of values.
///
/// # Panics
/// If they have different lengths, or none.
#[track_caller]
pub fn cosine(left: &[f32], right: &[f32]) -> f64 {
    assert_eq!(left.len(), right.len(), "numbers of values");
    assert!(!left.is_empty(), "nothing to compare");
    let product = |left: &[f32], right: &[f32]| -> f64 {
        left.iter().zip(right).map(|(&left, &right)| f64::from(left) * f64::from(right)).sum()
    };
    product(left, right) / (product(left, left) * product(right, right)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_sees_both_directions_and_nothing() {
        let expected = [1.0, -1.0, 1.0, -1.0];
        assert_eq!(compare(&expected, &expected).unwrap().max_difference, 0.0);
        for wrong in [[1.1, -1.0, 1.0, -1.0], [0.9, -1.0, 1.0, -1.0], [1.0, -1.0, 1.0, -1.1]] {
            let comparison = compare(&wrong, &expected).unwrap();
            assert!((comparison.relative() - 0.1).abs() < 1e-6, "{comparison:?}");
        }
        assert!(compare(&expected[..3], &expected).is_err());
        assert!(compare(&[], &[]).is_err());
        assert!(compare(&[f32::NAN, 0.0, 0.0, 0.0], &expected).is_err());
        assert!(compare(&[0.0; 4], &[0.0; 4]).is_err());
    }

    #[test]
    #[should_panic(expected = "differs by")]
    fn close_values_are_required() {
        assert_close("canary", &[1.0, 1.001], &[1.0, 1.0], 1e-4);
    }
}
