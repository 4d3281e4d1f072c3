//! How long a scan over layers, learning rates and seeds takes, on made-up features of the size of a real data set.
//!
//! ```sh
//! cargo run --release -p solfa-probe --example scan_speed [TRACKS [LAYERS [WIDTH]]]
//! ```
//!
//! 10 classes, MARBLE's constrained head (MLP-512, dropout 0.2, batch 64) with its six learning rates, three seeds, an
//! early stop after 20 epochs without a better validation score; 80 % of the tracks train, 20 % validate.

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use solfa_probe::head::{Head, HeadKind, Parameters};
use solfa_probe::items::{Features, LayerFeatures, TargetBlock, Targets};
use solfa_probe::mix::LayerPolicy;
use solfa_probe::train::{Plateau, Training, train};

/// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NUM_CLASSES: usize = 10;
const LEARNING_RATES: [f64; 6] = [5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2];
const SEEDS: u64 = 3;

/// Class means with noise around them, so that the better layers are in the middle.
fn layer(number: usize, num_layers: usize, classes: &[i32], width: usize) -> Features {
    let mut random = ChaCha8Rng::seed_from_u64(number as u64);
    let means: Vec<f32> = (0..NUM_CLASSES * width).map(|_| random.random_range(-1.0..1.0)).collect();
    let middle = num_layers as f32 / 2.0;
    let strength = 0.25 - 0.15 * ((number as f32 - middle) / middle).abs();
    let data = classes.iter().flat_map(|&class| {
        let mean = &means[class as usize * width..(class as usize + 1) * width];
        let noise: Vec<f32> = mean.iter().map(|mean| strength * mean + random.random_range(-1.7..1.7)).collect();
        noise
    });
    let layers = vec![LayerFeatures { number, dim: width, data: data.collect() }];
    Features { num_items: classes.len(), layers }
}

fn accuracy(head: &Head, parameters: &Parameters, features: &Features, classes: &[i32]) -> f64 {
    let outputs = head.predict(parameters, features);
    let right = outputs.chunks(NUM_CLASSES).zip(classes).filter(|(row, class)| {
        let best = (0..NUM_CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best == usize::try_from(**class).ok()
    });
    right.count() as f64 / classes.len() as f64
}

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |index: usize, default: usize| arguments.get(index).copied().unwrap_or(default);
    let (num_tracks, num_layers, width) = (number(0, 1000), number(1, 13), number(2, 768));
    let classes: Vec<i32> = (0..num_tracks).map(|track| (track % NUM_CLASSES) as i32).collect();
    let num_train = num_tracks * 4 / 5;
    let kind = HeadKind::Mlp { hidden: 512, dropout: 0.2 };
    let start = Instant::now();
    let (mut epochs, mut steps) = (0, 0);
    for number in 0..num_layers {
        let all = layer(number, num_layers, &classes, width);
        let part = |items: Vec<usize>| Features {
            num_items: items.len(),
            layers: vec![LayerFeatures { number, dim: width, data: all.gather(&items) }],
        };
        let (features, unseen) = (part((0..num_train).collect()), part((num_train..num_tracks).collect()));
        let targets = Targets::Classes { num_classes: NUM_CLASSES, classes: classes[..num_train].to_vec() };
        let blocks = [TargetBlock { targets, weight: 1.0 }];
        let Ok(head) = Head::new(LayerPolicy::Single, kind, &[width], NUM_CLASSES) else { return };
        let jobs: Vec<(f64, u64)> =
            LEARNING_RATES.into_iter().flat_map(|rate| (0..SEEDS).map(move |seed| (rate, seed))).collect();
        let results: Vec<(f64, u32)> = jobs
            .par_iter()
            .map(|&(learning_rate, seed)| {
                let plateau = Some(Plateau { factor: 0.5, patience: 6 });
                let training = Training {
                    batch_size: 64,
                    learning_rate,
                    weight_decay: 0.0,
                    max_epochs: 100,
                    stop_patience: 20,
                    plateau,
                    keeps_last_epoch: false,
                };
                let mut run = 0;
                let trained = train(&head, &features, &blocks, &training, seed, |parameters| {
                    run += 1;
                    accuracy(&head, parameters, &unseen, &classes[num_train..])
                });
                (trained.map_or(f64::NAN, |trained| trained.validation), run)
            })
            .collect();
        let best = results.iter().map(|(score, _)| *score).fold(f64::NAN, f64::max);
        let run: u32 = results.iter().map(|(_, run)| run).sum();
        epochs += run;
        steps += run as usize * num_train.div_ceil(64);
        println!(
            "layer {number}: best validation accuracy {best:.3}, {run} epochs, {:.1} s",
            start.elapsed().as_secs_f64()
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    let runs = num_layers * LEARNING_RATES.len() * SEEDS as usize;
    let flops = steps as f64 * 64.0 * (width * 512) as f64 * 4.0;
    println!(
        "{runs} trainings of {num_tracks} tracks: {seconds:.1} s, {epochs} epochs, {steps} steps of {:.2} ms a thread, {:.0} \
         GFLOP/s",
        seconds * 1e3 * rayon::current_num_threads() as f64 / steps as f64,
        flops / seconds / 1e9
    );
}
