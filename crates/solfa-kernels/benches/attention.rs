//! What stands between the products of a transformer, in milliseconds and beside the memory it touches.

use std::time::Instant;

use solfa_kernels::InstructionSet;
use solfa_kernels::depthwise::depthwise;
use solfa_kernels::elementwise::{activate, rotate};
use solfa_kernels::norm::{channel_norm_in_place, layer_norm};
use solfa_kernels::product::Activation;

fn main() {
    for set in InstructionSet::ALL.into_iter().rev().filter(|set| set.is_available()) {
        let (frames, width) = (750, 1024);
        let input = values(frames * width);
        let (gamma, beta) = (values(width), values(width));
        let mut output = vec![0.0; input.len()];
        let bytes = 2 * size_of_val(&*input);
        let seconds = best(50, || layer_norm(set, &input, &gamma, &beta, 1e-5, &mut output));
        report(set, "layer norm 750x1024", seconds, bytes);
        let weights = values(31 * width);
        let seconds = best(50, || depthwise(set, &input, &weights, &beta, 31, Activation::Silu, &mut output));
        report(set, "depthwise 750x1024, 31 taps", seconds, bytes);
        let (cosine, sine) = (values(frames * 32), values(frames * 32));
        let seconds = best(50, || rotate(set, &input, &cosine, &sine, 64, &mut output));
        report(set, "rotary positions 750x1024", seconds, bytes);
        let mut frames = values(750 * 4096);
        let bytes = 2 * size_of_val(&*frames);
        let seconds = best(20, || activate(set, &mut frames, Activation::Gelu));
        report(set, "GELU 750x4096", seconds, bytes);
        let width = 512;
        let mut frames = values(48_000 * width);
        let bytes = 3 * size_of_val(&*frames);
        let (gamma, beta) = (values(width), values(width));
        let seconds = best(5, || channel_norm_in_place(set, &mut frames, &gamma, &beta, 1e-5, Activation::Gelu));
        report(set, "channel norm 48000x512, GELU", seconds, bytes);
    }
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7919 % 1009) as f32 / 505.0 - 1.0).collect()
}

/// Seconds of the fastest of so many runs.
fn best(runs: usize, mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(time).fold(f64::INFINITY, f64::min)
}

fn report(set: InstructionSet, name: &str, seconds: f64, bytes: usize) {
    println!("{:10}  {name:35} {:8.3} ms {:7.1} GB/s", set.name(), seconds * 1e3, bytes as f64 / seconds / 1e9);
}
