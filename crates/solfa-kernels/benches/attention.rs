//! Attention in GFLOP/s, and what stands between the products of a transformer beside the memory that it touches.
#![allow(clippy::print_stdout, reason = "a benchmark reports its figures")]

use std::time::Instant;

use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::depthwise::depthwise;
use solfa_kernels::elementwise::{activate, rotate};
use solfa_kernels::norm::{channel_norm_in_place, layer_norm};
use solfa_kernels::product::Activation;
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

/// Sets of instructions whose names are given, or all.
fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_wanted = |set: &InstructionSet| names.is_empty() || names.iter().any(|name| name == set.name());
    for set in InstructionSet::ALL.into_iter().rev().filter(|set| set.is_available() && is_wanted(set)) {
        for precision in [Precision::F32, Precision::Bf16] {
            for (num_frames, num_heads, head_dim) in [(750, 16, 64), (1500, 12, 64), (5000, 12, 64)] {
                let shape = AttentionShape { num_frames, num_heads, head_dim };
                attention(Arithmetic::with_instructions(set, precision), shape);
            }
        }
        let (frames, width) = (750, 1024);
        let input = values(frames * width);
        let (gamma, beta) = (values(width), values(width));
        let mut output = vec![0.0; input.len()];
        let bytes = 2 * size_of_val(&*input);
        let seconds = best(|| layer_norm(set, &input, &gamma, &beta, 1e-5, &mut output));
        report(set, "layer norm 750x1024", seconds, bytes);
        let weights = values(31 * width);
        let seconds = best(|| depthwise(set, &input, &weights, &beta, 31, Activation::Silu, &mut output));
        report(set, "depthwise 750x1024, 31 taps", seconds, bytes);
        let (cosine, sine) = (values(frames * 32), values(frames * 32));
        let seconds = best(|| rotate(set, &input, &cosine, &sine, 64, &mut output));
        report(set, "rotary positions 750x1024", seconds, bytes);
        let mut frames = values(750 * 4096);
        let bytes = 2 * size_of_val(&*frames);
        let seconds = best(|| activate(set, &mut frames, Activation::Gelu));
        report(set, "GELU 750x4096", seconds, bytes);
        let width = 512;
        let mut frames = values(48_000 * width);
        let bytes = 3 * size_of_val(&*frames);
        let (gamma, beta) = (values(width), values(width));
        let seconds = best(|| channel_norm_in_place(set, &mut frames, &gamma, &beta, 1e-5, Activation::Gelu));
        report(set, "channel norm 48000x512, GELU", seconds, bytes);
    }
}

fn attention(arithmetic: Arithmetic, shape: AttentionShape) {
    let AttentionShape { num_frames, num_heads, head_dim } = shape;
    let width = num_heads * head_dim;
    let projected = values(num_frames * 3 * width);
    let [queries, keys, values] =
        [0, 1, 2].map(|number| Heads { values: &projected[number * width..], row_pitch: 3 * width });
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut output = vec![0.0; num_frames * width];
    let seconds = best(|| attend(arithmetic, shape, queries, keys, values, scale, None, None, &mut output));
    let operations = (4 * num_frames * num_frames * width) as f64;
    let name = format!("attention {num_frames}x{num_heads}x{head_dim}, {:?}", arithmetic.precision());
    let set = arithmetic.instruction_set().name();
    println!("{set:10}  {name:35} {:8.3} ms {:7.1} GFLOP/s", seconds * 1e3, operations / seconds / 1e9);
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7919 % 1009) as f32 / 505.0 - 1.0).collect()
}

/// Seconds of the fastest run: three at least, and half a second's worth at most.
fn best(mut work: impl FnMut()) -> f64 {
    let (mut fastest, mut total, mut runs) = (f64::INFINITY, 0.0, 0);
    while runs < 3 || total < 0.5 {
        let start = Instant::now();
        work();
        let seconds = start.elapsed().as_secs_f64();
        (fastest, total, runs) = (fastest.min(seconds), total + seconds, runs + 1);
    }
    fastest
}

fn report(set: InstructionSet, name: &str, seconds: f64, bytes: usize) {
    println!("{:10}  {name:35} {:8.3} ms {:7.1} GB/s", set.name(), seconds * 1e3, bytes as f64 / seconds / 1e9);
}
