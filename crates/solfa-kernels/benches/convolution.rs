//! The rate of 3x3 convolutions beside that of plain products of the same minute, which is about what the machine can do.
//!
//! `cargo bench -p solfa-kernels --bench convolution [-- avx512 f32]`: rates count the operations of the definition, so
//! that an algorithm which needs fewer of them can be faster than any product.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]

use std::time::Instant;

use solfa_kernels::convolution::{Image, PackedConvolution, convolve};
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Residual, Windows, multiply};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

/// What MuQ makes of 30 seconds: time steps and bands of the image, channels of inputs and outputs, stride.
const SHAPES: [([usize; 2], [usize; 2], usize); 4] =
    [([3000, 128], [1, 512], 2), ([1500, 64], [512, 512], 1), ([1500, 64], [512, 1024], 2), ([750, 32], [512, 512], 1)];

/// The least seconds of some runs.
fn seconds(num_runs: usize, mut run: impl FnMut()) -> f64 {
    let timed = (0..num_runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    timed.fold(f64::MAX, f64::min)
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index % 17) as f32 / 8.0 - 1.0).collect()
}

/// Billions of operations a second of a product that fits into the caches.
fn product_rate(arithmetic: Arithmetic) -> f64 {
    let (rows, inputs, columns) = (756, 1024, 1024);
    let values = numbers(rows * inputs);
    let packed = PackedMatrix::pack(arithmetic, 1, inputs, columns, |input, column| ((input + column) % 13) as f32);
    let mut output = vec![0.0; rows * columns];
    let placement = Placement { group_pitch: 0, row_pitch: columns };
    let windows = Windows::matrix(&values, inputs);
    let seconds = seconds(10, || multiply(&windows, &packed, &Epilogue::default(), &mut output, placement));
    2.0 * (rows * inputs * columns) as f64 / seconds / 1e9
}

fn convolution(arithmetic: Arithmetic, [times, bands]: [usize; 2], [inputs, outputs]: [usize; 2], stride: usize) {
    let image = numbers((times + 2) * (bands + 2) * inputs);
    let image = Image { values: &image, padded_bands: bands + 2 };
    let weights = PackedConvolution::pack(arithmetic, inputs, outputs, [stride; 2], |output, input, time, band| {
        ((output + input + 3 * time + band) % 13) as f32 / 1000.0
    });
    let (num_times, num_bands) = (weights.output_times(times + 2), weights.output_bands(bands + 2));
    let bias = numbers(outputs);
    let residual = if stride == 1 { Residual::BeforeActivation } else { Residual::None };
    let epilogue = Epilogue { bias: Some(&bias), activation: Activation::Relu, residual, ..Epilogue::default() };
    let placement = Placement { group_pitch: (num_bands + 2) * outputs, row_pitch: outputs };
    let mut output = vec![0.0; (num_times + 2) * placement.group_pitch];
    let operations = 2.0 * (num_times * num_bands * outputs * inputs * 9) as f64 / 1e9;
    // The first run waits for the system to give memory.
    let num_runs = if arithmetic.instruction_set() < InstructionSet::Avx512 { 2 } else { 6 };
    let seconds = seconds(num_runs, || {
        convolve(&image, num_times, &weights, &epilogue, &mut output[placement.group_pitch + outputs..], placement);
    });
    let (rate, limit) = (operations / seconds, product_rate(arithmetic));
    println!(
        "{:10} {:4} {bands:3}x{times} {inputs:3} to {outputs:4} channels, stride {stride}: {:7.1} ms, {rate:6.0} GFLOP/s, {:3.0} % of a product's {limit:.0}",
        arithmetic.instruction_set().name(),
        format!("{:?}", arithmetic.precision()).to_lowercase(),
        seconds * 1e3,
        100.0 * rate / limit,
    );
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    for set in InstructionSet::ALL.into_iter().rev().filter(|set| set.is_available()) {
        for (precision, name) in [(Precision::F32, "f32"), (Precision::Bf16, "bf16")] {
            if wanted.is_empty() || (is_wanted(set.name()) && is_wanted(name)) {
                for (extents, channels, stride) in SHAPES {
                    convolution(Arithmetic::with_instructions(set, precision), extents, channels, stride);
                }
            }
        }
    }
}
