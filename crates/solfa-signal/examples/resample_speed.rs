//! How many times faster than real time each resampler is on one core.
//!
//! `cargo run --release -p solfa-signal --example resample_speed`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::time::Instant;

use solfa_signal::audio::{AudioError, Resampler, resample};
use solfa_signal::testing::musical_signal;

fn main() -> Result<(), AudioError> {
    const SECONDS: usize = 60;
    println!("{:>14} {:>8} {:>8} {:>12}", "resampler", "from Hz", "to Hz", "x realtime");
    for (from, to) in [(44_100, 24_000), (48_000, 24_000), (44_100, 16_000), (24_000, 44_100), (44_101, 24_000)] {
        let recording = musical_signal(SECONDS * from as usize, from, 1);
        for resampler in Resampler::ALL {
            let start = Instant::now();
            let resampled = resample(&recording, to, resampler)?;
            let speed = resampled.seconds() / start.elapsed().as_secs_f64();
            println!("{resampler:>14} {from:>8} {to:>8} {speed:>12.0}");
        }
    }
    Ok(())
}
