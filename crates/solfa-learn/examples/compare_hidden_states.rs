//! Every hidden state of a checkpoint beside those that another program computed from the same weights.
//!
//! `cargo run --release -p solfa-learn --example compare_hidden_states -- CHECKPOINT input.wav outputs.safetensors
//! [TOLERANCE [f32|bf16 [INSTRUCTIONS]]]`
//!
//! The outputs are tensors `hidden_0`, `hidden_1`, ... of shape `[frames, dim]` or `[1, frames, dim]`; the sound is at the
//! checkpoint's sample rate, and is normalised as the checkpoint says. Ends with exit code 1 where a layer differs by
//! more than the tolerance (1e-3 by default) as a share of the expected root mean square.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example program talks to people")]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use solfa_kernels::{Arithmetic, InstructionSet, Precision};
use solfa_learn::checkpoint::{Checkpoint, TensorSource};
use solfa_learn::device::DeviceChoice;
use solfa_learn::embed;
use solfa_signal::audio;
use solfa_signal::encoder::LayerChoice;
use solfa_signal::testing::{compare, cosine};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, sound, outputs, options @ ..] = arguments.as_slice() else {
        return Err("expected CHECKPOINT SOUND OUTPUTS [TOLERANCE [f32|bf16 [INSTRUCTIONS]]]".into());
    };
    let tolerance: f64 = options.first().map_or(Ok(1e-3), |tolerance| tolerance.parse())?;
    let precision: Precision = options.get(1).map_or(Ok(Precision::F32), |precision| precision.parse())?;
    let set: InstructionSet = options.get(2).map_or(Ok(InstructionSet::best()), |set| set.parse())?;
    let arithmetic = Arithmetic::with_instructions(set, precision);
    let device = DeviceChoice::Cpu.open()?;
    let model = Checkpoint::open(Path::new(checkpoint))?.load(&device)?;
    for note in model.notes() {
        eprintln!("note: {note}");
    }
    let encoder = embed::encoder(model, device, 1, arithmetic)?;
    let clip = audio::read(Path::new(sound))?;
    let begun = Instant::now();
    let found = encoder.encode(std::slice::from_ref(&clip), &LayerChoice::All)?;
    println!("{:.1} s of sound in {:.2} s", clip.seconds(), begun.elapsed().as_secs_f64());

    let outputs = TensorSource::open_safetensors(&[outputs.into()])?;
    let num_expected = outputs.shapes().filter(|(name, _)| name.starts_with("hidden_")).count();
    if num_expected != found.layers.len() {
        return Err(format!("{num_expected} hidden states given, {} computed", found.layers.len()).into());
    }
    let (mut worst, mut lowest_cosine) = (0.0f64, 1.0f64);
    for layer in &found.layers {
        let name = format!("hidden_{}", layer.layer);
        let frames = &layer.clips[0];
        let expected = outputs.read(&name)?.try_to_vec::<f32>().map_err(|error| format!("{name}: {error:?}"))?;
        if outputs.shape(&name).and_then(|shape| shape.last().copied()) != Some(frames.dim()) {
            return Err(format!("{name}: shape {:?}, not of width {}", outputs.shape(&name), frames.dim()).into());
        }
        let comparison = compare(frames.data(), &expected).map_err(|reason| format!("{name}: {reason}"))?;
        let angle = cosine(frames.data(), &expected);
        println!(
            "layer {:2}: {} x {}, largest difference {:.2e} of rms {:.4}, cosine {angle:.6}",
            layer.layer,
            frames.num_frames(),
            frames.dim(),
            comparison.relative(),
            comparison.expected_rms
        );
        worst = worst.max(comparison.relative());
        lowest_cosine = lowest_cosine.min(angle);
    }
    println!(
        "{precision}, {}: largest difference {worst:.2e} of rms (tolerance {tolerance:.1e}), lowest cosine {lowest_cosine:.6}",
        arithmetic.instruction_set().name()
    );
    Ok(if worst <= tolerance { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
