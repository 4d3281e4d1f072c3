//! How far the hidden states of a checkpoint in bfloat16 are from those in single precision, on a real recording.
//!
//! `cargo run --release -p solfa-learn --example compare_precisions -- CHECKPOINT SOUND [SECONDS]`
//!
//! For every layer the cosine of all values together and the lowest of any frame. The sound may have any rate; its first
//! seconds (30 by default) are taken.
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::path::Path;

use solfa_kernels::{Arithmetic, Precision};
use solfa_learn::checkpoint::Checkpoint;
use solfa_learn::device::DeviceChoice;
use solfa_learn::embed;
use solfa_signal::audio::{Resampler, Waveform};
use solfa_signal::encoder::{Encoder, LayerBatch, LayerChoice};
use solfa_signal::extract::open_recording;
use solfa_signal::testing::cosine;
use solfa_signal::windows::{Tail, WindowLength, WindowPlan, WindowStream};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (checkpoint, sound, seconds) = match arguments.as_slice() {
        [checkpoint, sound] => (checkpoint, sound, 30.0),
        [checkpoint, sound, seconds] => (checkpoint, sound, seconds.parse()?),
        _ => return Err("expected CHECKPOINT SOUND [SECONDS]".into()),
    };
    let [single, half] = [Precision::F32, Precision::Bf16].map(|precision| run(checkpoint, sound, seconds, precision));
    let (single, half) = (single?, half?);
    let mut lowest = 1.0f64;
    for (single, half) in single.layers.iter().zip(&half.layers) {
        let (frames, other) = (&single.clips[0], &half.clips[0]);
        let all = cosine(frames.data(), other.data());
        let rows = frames.data().chunks_exact(frames.dim()).zip(other.data().chunks_exact(frames.dim()));
        let lowest_frame = rows.map(|(left, right)| cosine(left, right)).fold(1.0, f64::min);
        println!("layer {:2}: cosine {all:.6}, lowest of a frame {lowest_frame:.6}", single.layer);
        lowest = lowest.min(all);
    }
    println!("lowest cosine of a layer: {lowest:.6}");
    Ok(())
}

/// All layers of the first seconds.
fn run(checkpoint: &str, sound: &str, seconds: f64, precision: Precision) -> Result<LayerBatch, Box<dyn Error>> {
    let device = DeviceChoice::Cpu.open()?;
    let model = Checkpoint::open(Path::new(checkpoint))?.load(&device)?;
    let encoder = embed::encoder(model, device, 1, Arithmetic::new(precision))?;
    let clip = first_seconds(encoder.as_ref(), sound, seconds)?;
    Ok(encoder.encode(std::slice::from_ref(&clip), &LayerChoice::All)?)
}

fn first_seconds(encoder: &dyn Encoder, sound: &str, seconds: f64) -> Result<Waveform, Box<dyn Error>> {
    let source = open_recording(Path::new(sound), encoder.spec(), Resampler::default())?;
    let plan = WindowPlan::new(encoder.spec(), WindowLength::Seconds(seconds), None, Tail::Overlap)?;
    let window = WindowStream::new(source, plan).next().ok_or("the recording is empty")??;
    Ok(window.waveform)
}
