//! The passes of a training step of masked prediction: MuQ's network, 256 wide and 6 layers deep, on 4 clips of 10 s.
//!
//! ```sh
//! cargo run --release -p solfa-learn --example training_step
//! ```
//!
//! Neither the spectrogram nor the optimiser is part of it.
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use solfa_learn::model::{ConformerConfig, MelConformer, MelConformerConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let device = Device::flex().autodiff();
    let config = MelConformerConfig {
        num_mels: 128,
        conv_channels: 64,
        time_strides: [2, 2],
        conformer: ConformerConfig {
            hidden_size: 256,
            num_layers: 6,
            num_heads: 4,
            intermediate_size: 1024,
            depthwise_kernel: 31,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        },
        num_logits: 8192,
    };
    let model = MelConformer::new(&config, &device);
    println!("{:.1} M parameters", model.num_params() as f64 / 1e6);
    let input: Tensor<3> = Tensor::random([4, 128, 1000], Distribution::Normal(0.0, 1.0), &device);
    let targets: Tensor<3, Int> = Tensor::random([4, 250, 8], Distribution::Uniform(0.0, 1023.0), &device);
    for _ in 0..6 {
        let start = Instant::now();
        let hidden = model.forward(input.clone(), None, 6, None);
        let after_model = start.elapsed().as_secs_f64();
        let Some(last) = hidden.into_iter().last() else { return };
        let logits = model.logits(last);
        let logits = logits.reshape([4 * 250 * 8, 1024]);
        let log = activation::log_softmax(logits, 1);
        let loss = -log.gather(1, targets.clone().reshape([4 * 250 * 8, 1])).mean();
        let value: f32 = loss.clone().into_scalar();
        let forward = start.elapsed().as_secs_f64();
        let gradients = loss.backward();
        let total = start.elapsed().as_secs_f64();
        println!(
            "loss {value:.3}, model {after_model:.3} s, forward {forward:.3} s, backward {:.3} s, total {total:.3}",
            total - forward
        );
        drop(gradients);
    }
}
