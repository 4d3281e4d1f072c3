//! `solfa bench --kernels`: what this machine could calculate, and how much of that every kernel does.

use std::time::{Duration, Instant};

use serde::Serialize;
use solfa_kernels::attention::{AttentionShape, Heads, attend};
use solfa_kernels::convolution::{Image, PackedConvolution, convolve};
use solfa_kernels::depthwise::depthwise;
use solfa_kernels::elementwise::activate;
use solfa_kernels::norm::{channel_norm_in_place, layer_norm};
use solfa_kernels::peak::peak_flops;
use solfa_kernels::product::{Activation, Epilogue, PackedMatrix, Placement, Windows, multiply};
use solfa_kernels::{Arithmetic, InstructionSet, Precision};

use crate::arguments::BenchArguments;
use crate::encoders;
use crate::terminal::{self, Outcome};

/// How long a kernel is measured, once at least.
const KERNEL_TIME: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Measured {
    kernel: &'static str,
    shape: String,
    instructions: &'static str,
    dtype: &'static str,
    threads: usize,
    /// Of the fastest run.
    seconds: f64,
    /// Billions of operations a second, where those of the definition count.
    gflops: f64,
    /// The same of products that never leave the registers.
    limit_gflops: f64,
    /// `gflops` of `limit_gflops`.
    share: f64,
}

pub(super) fn run(arguments: &BenchArguments) -> anyhow::Result<Outcome> {
    let arithmetic = encoders::arithmetic(arguments.model.dtype)?;
    let mut bench = Bench { arithmetic, limits: Vec::new(), runs: Vec::new() };
    bench.products();
    bench.convolutions();
    bench.attentions();
    bench.depthwise();
    bench.norms();
    bench.activations();
    let measured = bench.measured();
    if arguments.json {
        measured.iter().try_for_each(terminal::print_json)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
    let header = ["kernel", "shape", "instructions", "dtype", "ms", "GFLOP/s", "limit", "%"];
    terminal::print_table(&header, &rows, &[4, 5, 6, 7])?;
    terminal::print_line(&format!(
        "{} threads. limit: GFLOP/s of products that never leave the registers. Operations are those of a kernel's\n\
         definition: convolutions from many channels need fewer (Winograd), so they can exceed the limit. Norms and\n\
         activations wait for the memory.",
        rayon::current_num_threads()
    ))?;
    Ok(Outcome::Done)
}

fn row(measured: &Measured) -> Vec<String> {
    vec![
        measured.kernel.to_owned(),
        measured.shape.clone(),
        measured.instructions.to_owned(),
        measured.dtype.to_owned(),
        format!("{:.3}", 1e3 * measured.seconds),
        format!("{:.0}", measured.gflops),
        format!("{:.0}", measured.limit_gflops),
        format!("{:.0}", 100.0 * measured.share),
    ]
}

/// One kernel's fastest run.
struct Run {
    kernel: &'static str,
    shape: String,
    arithmetic: Arithmetic,
    seconds: f64,
    operations: f64,
}

struct Bench {
    arithmetic: Arithmetic,
    /// Operations a second that were reached at best.
    limits: Vec<(Arithmetic, f64)>,
    runs: Vec<Run>,
}

impl Bench {
    /// Times a kernel, and the machine's limit beside it: both change with what else the machine does.
    fn time(
        &mut self,
        kernel: &'static str,
        shape: String,
        arithmetic: Arithmetic,
        operations: usize,
        mut work: impl FnMut(),
    ) {
        let limit = peak_flops(arithmetic);
        match self.limits.iter_mut().find(|(known, _)| *known == arithmetic) {
            Some((_, known)) => *known = known.max(limit),
            None => self.limits.push((arithmetic, limit)),
        }
        let (mut seconds, mut total) = (f64::INFINITY, 0.0);
        while total < KERNEL_TIME.as_secs_f64() {
            let start = Instant::now();
            work();
            let elapsed = start.elapsed().as_secs_f64();
            seconds = seconds.min(elapsed);
            total += elapsed;
        }
        self.runs.push(Run { kernel, shape, arithmetic, seconds, operations: operations as f64 });
    }

    /// With the best limit of all that were measured.
    fn measured(&self) -> Vec<Measured> {
        let of = |run: &Run| {
            let limit = self.limits.iter().find(|(arithmetic, _)| *arithmetic == run.arithmetic);
            let (rate, limit) = (run.operations / run.seconds, limit.map_or(f64::NAN, |&(_, limit)| limit));
            Measured {
                kernel: run.kernel,
                shape: run.shape.clone(),
                instructions: run.arithmetic.instruction_set().name(),
                dtype: run.arithmetic.precision().name(),
                threads: rayon::current_num_threads(),
                seconds: run.seconds,
                gflops: rate / 1e9,
                limit_gflops: limit / 1e9,
                share: rate / limit,
            }
        };
        self.runs.iter().map(of).collect()
    }

    /// What kernels calculate with that multiply no matrices: vectors of single precision.
    fn vectors(&self) -> Arithmetic {
        Arithmetic::with_instructions(self.arithmetic.instruction_set().min(InstructionSet::Avx512), Precision::F32)
    }

    /// Linear layers of MuQ for 30 seconds (1024 wide) and of MERT for as long (768 wide).
    fn products(&mut self) {
        for [frames, inputs, outputs] in [[750, 1024, 4096], [750, 4096, 1024], [750, 1024, 1024], [2250, 768, 3072]] {
            let values = numbers(frames * inputs);
            let weights = PackedMatrix::pack(self.arithmetic, 1, inputs, outputs, weight);
            let mut output = vec![0.0; frames * outputs];
            let placement = Placement { group_pitch: 0, row_pitch: outputs };
            let windows = Windows::matrix(&values, inputs);
            let shape = format!("{frames}x{inputs}x{outputs}");
            self.time("product", shape, self.arithmetic, 2 * frames * inputs * outputs, || {
                multiply(&windows, &weights, &Epilogue::default(), &mut output, placement);
            });
        }
    }

    /// Those of MuQ's front end, on some of its time steps.
    fn convolutions(&mut self) {
        for ([times, bands], [inputs, outputs], stride) in
            [([256, 128], [1, 512], 2), ([64, 64], [512, 512], 1), ([128, 64], [512, 512], 2)]
        {
            let values = numbers((times + 2) * (bands + 2) * inputs);
            let image = Image { values: &values, padded_bands: bands + 2 };
            let weights =
                PackedConvolution::pack(self.arithmetic, inputs, outputs, [stride; 2], |output, input, time, band| {
                    weight(input + time, output + 3 * band) / 1000.0
                });
            let (num_times, num_bands) = (weights.output_times(times + 2), weights.output_bands(bands + 2));
            let bias = numbers(outputs);
            let epilogue = Epilogue { bias: Some(&bias), activation: Activation::Relu, ..Epilogue::default() };
            let placement = Placement { group_pitch: num_bands * outputs, row_pitch: outputs };
            let mut output = vec![0.0; num_times * num_bands * outputs];
            let shape = format!("{times}x{bands}, {inputs} to {outputs}, stride {stride}");
            // One channel is too few for products of matrices.
            let arithmetic = if inputs == 1 { self.vectors() } else { self.arithmetic };
            let operations = 2 * 9 * num_times * num_bands * inputs * outputs;
            self.time("convolution 3x3", shape, arithmetic, operations, || {
                convolve(&image, num_times, &weights, &epilogue, &mut output, placement);
            });
        }
    }

    /// Frames, heads and values of a head: MuQ's and MERT's.
    fn attentions(&mut self) {
        for (num_frames, num_heads, head_dim) in [(750, 16, 64), (2250, 12, 64)] {
            let shape = AttentionShape { num_frames, num_heads, head_dim };
            let width = num_heads * head_dim;
            let projected = numbers(num_frames * 3 * width);
            let [queries, keys, values] =
                [0, 1, 2].map(|number| Heads { values: &projected[number * width..], row_pitch: 3 * width });
            let scale = 1.0 / (head_dim as f32).sqrt();
            let mut output = vec![0.0; num_frames * width];
            let (arithmetic, operations) = (self.arithmetic, 4 * num_frames * num_frames * width);
            self.time("attention", format!("{num_frames}x{num_heads}x{head_dim}"), arithmetic, operations, || {
                attend(arithmetic, shape, queries, keys, values, scale, None, None, &mut output);
            });
        }
    }

    fn depthwise(&mut self) {
        let (frames, channels, taps) = (750, 1024, 31);
        let (input, weights, bias) = (numbers(frames * channels), numbers(taps * channels), numbers(channels));
        let mut output = vec![0.0; input.len()];
        let (set, shape) = (self.vectors().instruction_set(), format!("{frames}x{channels}, {taps} taps"));
        self.time("depthwise", shape, self.vectors(), 2 * taps * input.len(), || {
            depthwise(set, &input, &weights, &bias, taps, Activation::None, &mut output);
        });
    }

    fn norms(&mut self) {
        /// For each number: one for the mean, three for the variance, four for the result.
        const OPERATIONS: usize = 8;
        let set = self.vectors().instruction_set();
        let (frames, width) = (750, 1024);
        let (input, gamma, beta) = (numbers(frames * width), vec![1.0; width], numbers(width));
        let mut output = vec![0.0; input.len()];
        self.time("layer norm", format!("{frames}x{width}"), self.vectors(), OPERATIONS * input.len(), || {
            layer_norm(set, &input, &gamma, &beta, 1e-5, &mut output);
        });
        let (frames, channels) = (12_000, 512);
        let (gamma, beta) = (vec![1.0; channels], numbers(channels));
        let mut values = numbers(frames * channels);
        let operations = OPERATIONS * values.len();
        self.time("channel norm", format!("{frames}x{channels}"), self.vectors(), operations, || {
            channel_norm_in_place(set, &mut values, &gamma, &beta, 1e-5, Activation::None);
        });
    }

    /// Their operations for each number: a quotient of polynomials, and an exponential.
    fn activations(&mut self) {
        let (frames, width) = (750, 4096);
        for (kernel, activation, operations) in [("gelu", Activation::Gelu, 29), ("silu", Activation::Silu, 27)] {
            // Numbers that stay as they are: others would become smaller in every run, until they are too small to be
            // calculated with at full speed.
            let mut values: Vec<f32> = numbers(frames * width).into_iter().map(|value| value + 11.0).collect();
            let set = self.vectors().instruction_set();
            let operations = operations * values.len();
            self.time(kernel, format!("{frames}x{width}"), self.vectors(), operations, || {
                activate(set, &mut values, activation);
            });
        }
    }
}

/// Numbers from -1 to 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
}

fn weight(input: usize, output: usize) -> f32 {
    ((input + output) % 13) as f32 - 6.0
}
