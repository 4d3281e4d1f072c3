//! The rate of every kernel on every set of instructions, beside the machine's limit.
//!
//! `cargo bench -p solfa-kernels [-- 'product.*amx']`: an item is a floating-point operation, so that `Gitem/s` are
//! GFLOP/s. Operations are those of the definition: Winograd's convolutions need fewer and may exceed the limit, and passes
//! that do little with each number are bound by the memory.

use std::fmt;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::convolution::{Image, PackedConvolution, convolve};
use solfa_kernels::depthwise::depthwise;
use solfa_kernels::elementwise::{activate, rotate};
use solfa_kernels::norm::{channel_norm_in_place, layer_norm};
use solfa_kernels::peak::multiply_in_registers;
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Windows, multiply};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

fn main() {
    divan::Divan::default().sample_size(1).max_time(Duration::from_millis(500)).config_with_args().main();
}

/// What is measured, and on what.
#[derive(Clone, Copy)]
struct Case<Way, Shape> {
    way: Way,
    shape: Shape,
}

/// Its name.
impl<Way: Name, Shape: Name> fmt::Display for Case<Way, Shape> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (way, shape) = (self.way.name(), self.shape.name());
        formatter.write_str(format!("{way} {shape}").trim_end())
    }
}

trait Name {
    fn name(&self) -> String;
}

impl Name for Arithmetic {
    fn name(&self) -> String {
        format!("{} {}", self.instruction_set().name(), self.precision())
    }
}

impl Name for InstructionSet {
    fn name(&self) -> String {
        InstructionSet::name(*self).to_owned()
    }
}

impl<const EXTENTS: usize> Name for [usize; EXTENTS] {
    fn name(&self) -> String {
        self.map(|extent| extent.to_string()).join("x")
    }
}

/// An image's time steps and bands, and what a convolution makes of it.
#[derive(Clone, Copy)]
struct ConvolutionShape {
    image: [usize; 2],
    channels: [usize; 2],
    stride: usize,
}

impl Name for ConvolutionShape {
    fn name(&self) -> String {
        let Self { image, channels: [inputs, outputs], stride } = self;
        format!("{}, {inputs} to {outputs}, stride {stride}", image.name())
    }
}

/// Every available way of multiplying, with every shape.
fn with_arithmetics<Shape: Copy>(shapes: &[Shape]) -> Vec<Case<Arithmetic, Shape>> {
    let ways = sets().flat_map(|set| Precision::ALL.map(|precision| Arithmetic::with_instructions(set, precision)));
    ways.flat_map(|way| shapes.iter().map(move |&shape| Case { way, shape })).collect()
}

/// Every available set of instructions, with every shape.
fn with_sets<Shape: Copy>(shapes: &[Shape]) -> Vec<Case<InstructionSet, Shape>> {
    sets().flat_map(|way| shapes.iter().map(move |&shape| Case { way, shape })).collect()
}

fn sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::available()
}

/// Numbers from -1 to 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
}

/// The machine's limit.
#[divan::bench(args = with_arithmetics(&[[]]))]
fn peak(bencher: Bencher<'_, '_>, case: &Case<Arithmetic, [usize; 0]>) {
    const STEPS: usize = 20_000;
    let operations = multiply_in_registers(case.way, STEPS);
    bencher.counter(ItemsCount::new(operations as usize)).bench_local(|| multiply_in_registers(case.way, STEPS));
}

/// Frames, inputs and outputs of linear layers: MuQ's for 30 seconds (1024 wide), and MERT's for as long (768 wide).
const PRODUCTS: [[usize; 3]; 5] =
    [[750, 1024, 4096], [750, 4096, 1024], [750, 1024, 1024], [2250, 768, 3072], [2250, 768, 768]];

#[divan::bench(args = with_arithmetics(&PRODUCTS))]
fn product(bencher: Bencher<'_, '_>, case: &Case<Arithmetic, [usize; 3]>) {
    let [frames, inputs, outputs] = case.shape;
    let values = numbers(frames * inputs);
    let weights = PackedMatrix::pack(case.way, 1, inputs, outputs, |input, output| ((input + output) % 13) as f32);
    let mut output = vec![0.0; frames * outputs];
    let placement = Placement { group_pitch: 0, row_pitch: outputs };
    let windows = Windows::matrix(&values, inputs);
    bencher
        .counter(ItemsCount::new(2 * frames * inputs * outputs))
        .bench_local(|| multiply(&windows, &weights, &Epilogue::default(), &mut output, placement));
}

/// The convolutions of MuQ's front end, on some of its time steps.
const CONVOLUTIONS: [ConvolutionShape; 3] = [
    ConvolutionShape { image: [512, 128], channels: [1, 512], stride: 2 },
    ConvolutionShape { image: [256, 64], channels: [512, 512], stride: 1 },
    ConvolutionShape { image: [256, 64], channels: [512, 512], stride: 2 },
];

#[divan::bench(args = with_arithmetics(&CONVOLUTIONS))]
fn convolution(bencher: Bencher<'_, '_>, case: &Case<Arithmetic, ConvolutionShape>) {
    let ConvolutionShape { image: [times, bands], channels: [inputs, outputs], stride } = case.shape;
    let values = numbers((times + 2) * (bands + 2) * inputs);
    let image = Image { values: &values, padded_bands: bands + 2 };
    let weights = PackedConvolution::pack(case.way, inputs, outputs, [stride; 2], |output, input, time, band| {
        ((output + input + 3 * time + band) % 13) as f32 / 1000.0
    });
    let (num_times, num_bands) = (weights.output_times(times + 2), weights.output_bands(bands + 2));
    let bias = numbers(outputs);
    let epilogue = Epilogue { bias: Some(&bias), activation: Activation::Relu, ..Epilogue::default() };
    let placement = Placement { group_pitch: num_bands * outputs, row_pitch: outputs };
    let mut output = vec![0.0; num_times * num_bands * outputs];
    bencher
        .counter(ItemsCount::new(2 * 9 * num_times * num_bands * inputs * outputs))
        .bench_local(|| convolve(&image, num_times, &weights, &epilogue, &mut output, placement));
}

/// Frames, heads and values of a head: MuQ's and MERT's.
#[divan::bench(args = with_arithmetics(&[[750, 16, 64], [2250, 12, 64]]))]
fn attention(bencher: Bencher<'_, '_>, case: &Case<Arithmetic, [usize; 3]>) {
    let [num_frames, num_heads, head_dim] = case.shape;
    let shape = AttentionShape { num_frames, num_heads, head_dim };
    let width = num_heads * head_dim;
    let projected = numbers(num_frames * 3 * width);
    let [queries, keys, values] =
        [0, 1, 2].map(|number| Heads { values: &projected[number * width..], row_pitch: 3 * width });
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut output = vec![0.0; num_frames * width];
    bencher
        .counter(ItemsCount::new(4 * num_frames * num_frames * width))
        .bench_local(|| attend(case.way, shape, queries, keys, values, scale, None, None, &mut output));
}

/// Eight operations for each number: one for the mean, three for the variance, four for the result.
#[divan::bench(name = "layer norm", args = with_sets(&[[750, 1024], [2250, 768]]))]
fn norm_of_frames(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 2]>) {
    let [frames, width] = case.shape;
    let (input, gamma, beta) = (numbers(frames * width), numbers(width), numbers(width));
    let mut output = vec![0.0; input.len()];
    bencher
        .counter(ItemsCount::new(8 * input.len()))
        .bench_local(|| layer_norm(case.way, &input, &gamma, &beta, 1e-5, &mut output));
}

/// As many operations as a layer norm has.
#[divan::bench(name = "channel norm", args = with_sets(&[[48_000, 512]]))]
fn norm_of_channels(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 2]>) {
    let [frames, channels] = case.shape;
    let (gamma, beta) = (vec![1.0; channels], numbers(channels));
    let mut values = numbers(frames * channels);
    bencher
        .counter(ItemsCount::new(8 * values.len()))
        .bench_local(|| channel_norm_in_place(case.way, &mut values, &gamma, &beta, 1e-5, Activation::None));
}

/// Frames, channels and taps.
#[divan::bench(name = "depthwise", args = with_sets(&[[750, 1024, 31]]))]
fn convolution_of_channels(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 3]>) {
    let [frames, channels, taps] = case.shape;
    let (input, weights, bias) = (numbers(frames * channels), numbers(taps * channels), numbers(channels));
    let mut output = vec![0.0; input.len()];
    bencher
        .counter(ItemsCount::new(2 * taps * input.len()))
        .bench_local(|| depthwise(case.way, &input, &weights, &bias, taps, Activation::None, &mut output));
}

/// Three operations for each number.
#[divan::bench(name = "rotary positions", args = with_sets(&[[750, 1024]]))]
fn rotation(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 2]>) {
    const HEAD_DIM: usize = 64;
    let [frames, width] = case.shape;
    let input = numbers(frames * width);
    let (cosine, sine) = (numbers(frames * HEAD_DIM / 2), numbers(frames * HEAD_DIM / 2));
    let mut output = vec![0.0; input.len()];
    bencher
        .counter(ItemsCount::new(3 * input.len()))
        .bench_local(|| rotate(case.way, &input, &cosine, &sine, HEAD_DIM, &mut output));
}

/// 29 operations for each number, a quotient of polynomials for the most part.
#[divan::bench(args = with_sets(&[[750, 4096]]))]
fn gelu(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 2]>) {
    activation(bencher, case, Activation::Gelu, 29);
}

/// 27 operations for each number, an exponential for the most part.
#[divan::bench(args = with_sets(&[[750, 4096]]))]
fn silu(bencher: Bencher<'_, '_>, case: &Case<InstructionSet, [usize; 2]>) {
    activation(bencher, case, Activation::Silu, 27);
}

fn activation(
    bencher: Bencher<'_, '_>,
    case: &Case<InstructionSet, [usize; 2]>,
    activation: Activation,
    operations: usize,
) {
    let [frames, width] = case.shape;
    // Numbers that stay as they are: others would become smaller in every run, until they are too small to be calculated
    // with at full speed.
    let mut values: Vec<f32> = numbers(frames * width).into_iter().map(|value| value + 11.0).collect();
    bencher
        .counter(ItemsCount::new(operations * values.len()))
        .bench_local(|| activate(case.way, &mut values, activation));
}
