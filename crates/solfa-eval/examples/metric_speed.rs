//! How long the scores of a tagging data set of MTG-Jamendo's size take: 11,000 tracks, 87 tags.
//!
//! `cargo run --release -p solfa-eval --example metric_speed [FOLDER]`
//!
//! FOLDER holds `scores.f32` and `labels.u8` of that shape, which `tools/bench/metrics_beside_sklearn.py` writes.
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use solfa_eval::metrics::classification::{
    MultiLabel, average_precision, average_precision_micro, f1_multi_label, roc_auc, roc_auc_micro,
};

const NUM_TRACKS: usize = 11_000;
const NUM_TAGS: usize = 87;
const REPETITIONS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let (labels, scores) = match std::env::args_os().nth(1).map(PathBuf::from) {
        Some(folder) => {
            let labels = fs_err::read(folder.join("labels.u8"))?.into_iter().map(|label| label != 0).collect();
            let bytes = fs_err::read(folder.join("scores.f32"))?;
            (labels, bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
        }
        None => random_tags(),
    };
    println!("{NUM_TRACKS} tracks, {NUM_TAGS} tags, {} threads", rayon::current_num_threads());
    let tags = MultiLabel::new(&labels, &scores, NUM_TAGS)?;
    fastest("check", || MultiLabel::new(&labels, &scores, NUM_TAGS).ok().map(|_| 1.0));
    fastest("roc_auc_macro", || roc_auc(&tags).macro_average);
    fastest("average_precision_macro", || average_precision(&tags).macro_average);
    fastest("f1_macro", || f1_multi_label(&tags, 0.5).ok()?.macro_average);
    fastest("roc_auc_micro", || roc_auc_micro(&tags));
    fastest("average_precision_micro", || average_precision_micro(&tags));
    Ok(())
}

fn fastest(name: &str, score: impl Fn() -> Option<f64>) {
    let mut seconds = f64::INFINITY;
    let mut value = None;
    for _ in 0..REPETITIONS {
        let begun = Instant::now();
        value = score();
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    println!("{name} {:.2} ms {:.12}", seconds * 1e3, value.unwrap_or(f64::NAN));
}

fn random_tags() -> (Vec<bool>, Vec<f32>) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..NUM_TRACKS * NUM_TAGS)
        .map(|_| {
            let label = random.random_bool(0.05);
            (label, random.random::<f32>() + if label { 0.3 } else { 0.0 })
        })
        .unzip()
}
