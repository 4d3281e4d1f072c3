//! How fast a file becomes a mel spectrogram on one core: decoding with mixing down, resampling to 24 kHz, and the 128
//! bands of MuQ's front end, each stage alone and all together in windows as `solfa embed --model mel` runs them.
//!
//! `cargo run --release -p solfa-signal --example frontend_speed -- song.mp3 [PASSES]`
//!
//! Prints one JSON object; the fastest of the passes counts for each stage. `tools/bench/frontend_beside_python.py` runs
//! it beside librosa and torchaudio.
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use solfa_signal::audio::{self, Resampler, resample};
use solfa_signal::encoder::{Encoder, LayerChoice};
use solfa_signal::extract::{extract, open_recording};
use solfa_signal::features::{MelConfig, MelSpectrogram};
use solfa_signal::frames::Pooling;
use solfa_signal::windows::{Tail, WindowLength, WindowPlan};

/// The fastest runs of the stages, in seconds.
#[derive(Clone, Copy)]
struct Fastest {
    decode: f64,
    resample: f64,
    mel: f64,
    all: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, passes) = match arguments.as_slice() {
        [path] => (path, 3),
        [path, passes] => (path, passes.parse()?),
        _ => return Err("expected a file, and the number of passes if it is not to be 3".into()),
    };
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let (fastest, seconds) =
        one_core.install(|| measure(Path::new(path), passes).map_err(|error| error.to_string()))?;
    let Fastest { decode, resample, mel, all } = fastest;
    println!(
        "{}",
        json!({"audio_seconds": seconds, "decode": decode, "resample": resample, "mel": mel, "all": all, "passes": passes})
    );
    Ok(())
}

fn measure(path: &Path, passes: usize) -> Result<(Fastest, f64), Box<dyn Error>> {
    let mel = MelSpectrogram::new(MelConfig::muq())?;
    let plan = WindowPlan::new(mel.spec(), WindowLength::Default, None, Tail::Overlap)?;
    let rate = mel.spec().sample_rate;
    let mut fastest =
        Fastest { decode: f64::INFINITY, resample: f64::INFINITY, mel: f64::INFINITY, all: f64::INFINITY };
    let mut seconds = 0.0;
    for _ in 0..passes {
        let (decoded, time) = timed(|| audio::read(path));
        fastest.decode = fastest.decode.min(time);
        let decoded = decoded?;
        let (resampled, time) = timed(|| resample(&decoded, rate, Resampler::default()));
        fastest.resample = fastest.resample.min(time);
        let resampled = resampled?;
        let (_, time) = timed(|| mel.compute(&resampled));
        fastest.mel = fastest.mel.min(time);
        seconds = decoded.seconds();

        let (extracted, time) = timed(|| -> Result<_, Box<dyn Error>> {
            let source = open_recording(path, mel.spec(), Resampler::default())?;
            Ok(extract(source, &mel, &plan, &LayerChoice::All, Pooling::None)?)
        });
        fastest.all = fastest.all.min(time);
        extracted?;
    }
    Ok((fastest, seconds))
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed().as_secs_f64())
}
