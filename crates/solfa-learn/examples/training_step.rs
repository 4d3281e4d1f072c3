//! A training step of masked prediction, whole: spectrogram, targets, network, loss, gradients, Adam, the log. The network is
//! MuQ's, 256 wide and 6 layers deep with 64 channels, on 4 clips of 10 s; targets are MusicFM's, of 8,192 codes.
//!
//! ```sh
//! cargo run --release -p solfa-learn --example training_step
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::error::Error;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use solfa_learn::data::{Collection, DataError, TrackSource};
use solfa_learn::device::DeviceChoice;
use solfa_learn::recipe::{Ground, Plan};
use solfa_learn::train::{LogLine, RunFolder, TrainingObserver};
use solfa_signal::audio::Waveform;

/// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Noise.
struct Noise;

impl TrackSource for Noise {
    fn sample_rate(&self) -> u32 {
        24_000
    }
    fn len(&self) -> usize {
        8
    }
    fn name(&self, track: usize) -> String {
        format!("noise {track}")
    }
    fn num_samples(&self, _track: usize) -> Result<u64, DataError> {
        Ok(240_000)
    }
    fn read(&self, track: usize, _start: u64, num_samples: usize) -> Result<Waveform, DataError> {
        let mut random = ChaCha8Rng::seed_from_u64(track as u64);
        let samples = (0..num_samples).map(|_| random.random_range(-0.17..0.17_f32)).collect();
        Ok(Waveform::new(samples, self.sample_rate()))
    }
}

/// Prints every step, and keeps how long it took without waiting for data.
#[derive(Default)]
struct Times(Vec<f64>);

impl TrainingObserver for Times {
    fn stepped(&mut self, line: &LogLine) {
        let seconds = line.seconds;
        let whole = seconds.forward + seconds.backward + seconds.optimizer;
        println!(
            "loss {:.3}: forward {:.3} s, backward {:.3} s, whole step {whole:.3} s",
            line.loss, seconds.forward, seconds.backward
        );
        self.0.push(whole);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    solfa_kernels::allocator::keep_freed_memory();
    let table = include_str!("training_step.toml").parse()?;
    let plan = Plan::read(&table)?;
    let parent = tempfile::tempdir()?;
    let folder = RunFolder::create(&parent.path().join("run"), &plan.resolved()?)?;
    let collection = Collection::survey(Arc::new(Noise))?;
    let device = DeviceChoice::Cpu.open()?;
    let mut times = Times::default();
    plan.run(&Ground { folder: &folder, collection: &collection, texts: &[], device: &device }, &mut times)?;
    let Times(mut times) = times;
    // The first step makes moments and asks for memory.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    println!("median of {}: {:.3} s", times.len(), times[times.len() / 2]);
    Ok(())
}
