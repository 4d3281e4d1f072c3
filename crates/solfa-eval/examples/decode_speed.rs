//! How long it takes to find beats and downbeats, in seconds of music per second of work on one core.
//!
//! `cargo run --release -p solfa-eval --example decode_speed`
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use solfa_eval::decode::DecodeError;
use solfa_eval::decode::beat_network::{BarNetwork, BeatNetwork, TempoRange};

const SECONDS: f64 = 240.0;
const REPETITIONS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    for frames_per_second in [25.0, 50.0, 75.0, 100.0] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut activation = |period: f64| -> Vec<f32> {
            (0..(SECONDS * frames_per_second) as usize)
                .map(|frame| {
                    let is_near = (frame as f64 / frames_per_second / period).fract() < 0.05;
                    random.random::<f32>() * if is_near { 0.9 } else { 0.1 }
                })
                .collect()
        };
        let (beats, downbeats) = (activation(0.5), activation(2.0));
        let network = BeatNetwork::new(frames_per_second, TempoRange::BEATS)?;
        fastest(frames_per_second, "beats", network.num_states(), || network.decode(&beats).map(|found| found.len()))?;
        let network = BeatNetwork::new(frames_per_second, TempoRange::DOWNBEATS)?;
        fastest(frames_per_second, "downbeats", network.num_states(), || {
            network.decode(&downbeats).map(|found| found.len())
        })?;
        let network = BarNetwork::new(frames_per_second, TempoRange::BEATS, &BarNetwork::METERS)?;
        fastest(frames_per_second, "bars", network.num_states(), || {
            network.decode(&beats, &downbeats).map(|found| found.map_or(0, |bars| bars.beats.len()))
        })?;
    }
    Ok(())
}

fn fastest(
    frames_per_second: f64,
    what: &str,
    num_states: usize,
    decode: impl Fn() -> Result<usize, DecodeError>,
) -> Result<(), DecodeError> {
    let (mut seconds, mut count) = (f64::INFINITY, 0);
    for _ in 0..REPETITIONS {
        let begun = Instant::now();
        count = decode()?;
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    println!(
        "{frames_per_second:>4} frames/s, {what:<9} {num_states:>6} states: {:7.1} ms for {SECONDS} s, {:6.0} x realtime, \
         {count} found",
        seconds * 1e3,
        SECONDS / seconds
    );
    Ok(())
}
