//! A training step of masked prediction, whole: spectrogram, targets, network, loss, gradients, Adam. The network is MuQ's,
//! 256 wide and 6 layers deep with 64 channels, on 4 clips of 10 s; targets are MusicFM's, of 8,192 codes.
//!
//! ```sh
//! cargo run --release -p solfa-learn --example training_step
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::error::Error;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use solfa_learn::data::{Batch, Clip};
use solfa_learn::device::DeviceChoice;
use solfa_learn::model::{ConformerConfig, MelConformerConfig};
use solfa_learn::recipe::musicfm::{MusicFm, MusicFmConfig};
use solfa_learn::train::{Adam, AdamConfig, Rates, Recipe};
use solfa_learn::views::BlockMaskConfig;

/// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIPS: usize = 4;
const SECONDS: usize = 10;
const STEPS: u64 = 7;

fn main() -> Result<(), Box<dyn Error>> {
    solfa_kernels::allocator::keep_freed_memory();
    let plain = DeviceChoice::Cpu.open()?;
    let device = plain.clone().autodiff();
    let conformer = ConformerConfig {
        hidden_size: 256,
        num_layers: 6,
        num_heads: 4,
        intermediate_size: 1024,
        depthwise_kernel: 31,
        layer_norm_epsilon: 1e-5,
        rotary_base: 10_000.0,
    };
    let network =
        MelConformerConfig { num_mels: 128, conv_channels: 64, time_strides: [2, 2], conformer, num_logits: 8192 };
    let config = MusicFmConfig {
        network,
        code_dim: 16,
        mask: BlockMaskConfig::default(),
        mel_statistics: [6.768_445, 18.417_923],
        seed: 0,
    };
    let recipe = MusicFm::new(config, &plain)?;
    let mut network = recipe.network(&device);
    let optimizer = AdamConfig { betas: [0.9, 0.98], epsilon: 1e-6, clip_norm: Some(10.0), ..AdamConfig::default() };
    let mut adam = Adam::new(optimizer, &network)?;
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut times = Vec::new();
    for step in 0..STEPS {
        let mut clip = |number: usize| Clip {
            track: number,
            name: format!("noise {number}"),
            starts: vec![0],
            crops: vec![
                (0..SECONDS * recipe.sample_rate() as usize).map(|_| random.random_range(-0.17..0.17_f32)).collect(),
            ],
            replaced: Vec::new(),
        };
        let batch = Batch { step, clips: (0..CLIPS).map(&mut clip).collect(), waited: Duration::ZERO };
        let start = Instant::now();
        let terms = recipe.terms(&network, &batch, &device)?;
        let loss: f32 = terms.loss.clone().into_scalar();
        let forward = start.elapsed().as_secs_f64();
        let mut gradients = terms.loss.backward();
        let backward = start.elapsed().as_secs_f64() - forward;
        adam.accumulate(&network, &mut gradients);
        drop(gradients);
        network = adam.step(network, Rates { learning_rate: 5e-4, weight_decay: None }).0;
        let whole = start.elapsed().as_secs_f64();
        println!("loss {loss:.3}: forward {forward:.3} s, backward {backward:.3} s, whole step {whole:.3} s");
        times.push(whole);
    }
    // The first step makes moments and asks for memory.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    println!("median of {}: {:.3} s", times.len(), times[times.len() / 2]);
    Ok(())
}
