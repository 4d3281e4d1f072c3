//! How long it takes to compare all layers of two encoders on one vector per track.
//!
//!     cargo run --release -p solfa-eval --example compare_layers [items] [dim] [layers]

#![allow(clippy::print_stdout, reason = "a measurement for people")]

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use solfa_eval::similarity::{
    ComparisonSettings, EncoderLayers, LayerComparison, Matrix, Measure, SimilarityError, Truncation,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut argument = |default| arguments.next().unwrap_or(Ok(default));
    let (items, dim, layers) = (argument(1000)?, argument(768)?, argument(13)?);
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut encoder = || -> Vec<Vec<f32>> {
        let mut layer: Vec<f32> = (0..items * dim).map(|_| random.random::<f32>() - 0.5).collect();
        // Variance that falls with the dimension, as networks have it.
        layer.iter_mut().enumerate().for_each(|(index, value)| *value /= 1.0 + (index % dim) as f32 / 8.0);
        let mut all = Vec::new();
        for _ in 0..layers {
            all.push(layer.clone());
            for (index, value) in layer.iter_mut().enumerate() {
                *value += 0.3 * (random.random::<f32>() - 0.5) / (1.0 + (index % dim) as f32 / 8.0);
            }
        }
        all
    };
    let (a, b) = (encoder(), encoder());
    let (a, b) = (named(&a, items, dim)?, named(&b, items, dim)?);
    println!("{layers} x {layers} layers, {items} items of {dim} dimensions");
    for measure in [Measure::Cka, Measure::CkaDebiased, Measure::Svcca, Measure::Pwcca] {
        let settings = ComparisonSettings::new(measure);
        let (found, seconds) = timed(|| LayerComparison::of(&a, &b, &settings, "tracks", None));
        let found = found?;
        let ranks = found.ranks_a.iter().max().map_or_else(String::new, |rank| format!(", rank up to {rank}"));
        println!("{:13} {seconds:6.2} s{ranks}", measure.name());
    }
    let settings = ComparisonSettings { measure: Measure::Pwcca, truncation: Truncation::default() };
    let (found, seconds) = timed(|| LayerComparison::of(&a, &b, &settings, "tracks", None));
    println!("pwcca, all    {seconds:6.2} s, rank up to {:?}", found?.ranks_a.iter().max());
    Ok(())
}

fn named(layers: &[Vec<f32>], items: usize, dim: usize) -> Result<EncoderLayers<'_>, SimilarityError> {
    Ok(EncoderLayers {
        encoder: "noise".into(),
        space_ids: Vec::new(),
        layers: (0..layers.len()).collect(),
        features: layers.iter().map(|values| Matrix::new(values, items, dim)).collect::<Result<_, _>>()?,
    })
}

fn timed<T>(compute: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = compute();
    (result, start.elapsed().as_secs_f64())
}
