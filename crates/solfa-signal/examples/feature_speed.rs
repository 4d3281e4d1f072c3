//! How many seconds of sound each built-in feature takes in per second of work on one core.
//!
//! `cargo run --release -p solfa-signal --example feature_speed`
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::time::Instant;

use solfa_signal::encoder::LayerChoice;
use solfa_signal::features::{BUILTIN_NAMES, builtin};
use solfa_signal::testing::musical_signal;

const SECONDS: usize = 60;
const REPETITIONS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    for name in BUILTIN_NAMES {
        let prepared = Instant::now();
        let feature = one_core.install(|| builtin(name)).ok_or("a built-in feature is missing")?;
        let preparation = prepared.elapsed();
        let sample_rate = feature.spec().sample_rate;
        let clips = [musical_signal(SECONDS * sample_rate as usize, sample_rate, 1)];
        let mut fastest = f64::INFINITY;
        for _ in 0..REPETITIONS {
            let begun = Instant::now();
            one_core.install(|| feature.encode(&clips, &LayerChoice::All))?;
            fastest = fastest.min(begun.elapsed().as_secs_f64());
        }
        println!("{name:>6}: {:6.0} x realtime, prepared in {preparation:.1?}", SECONDS as f64 / fastest);
    }
    Ok(())
}
