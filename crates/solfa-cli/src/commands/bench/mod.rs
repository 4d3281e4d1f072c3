//! `solfa bench`.

mod kernels;

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use solfa_signal::audio::{self, Waveform, WaveformSource, resample};
use solfa_signal::extract::ExtractError;
use solfa_signal::windows::WindowStream;

use crate::arguments::BenchArguments;
use crate::encoders;
use crate::terminal::{self, Outcome, UsageError};

#[derive(Serialize)]
struct Measured {
    model: String,
    dtype: &'static str,
    device: &'static str,
    threads: usize,
    layers: usize,
    audio_seconds: f64,
    windows: usize,
    passes: usize,
    seconds_per_pass: f64,
    realtime_factor: f64,
    /// Largest resident memory of this process so far; nothing where the system does not say.
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<Outcome> {
    match &arguments.input {
        Some(input) => measure_model(arguments, input),
        // One of them is there: the command line says so.
        None => kernels::run(arguments),
    }
}

fn measure_model(arguments: &BenchArguments, input: &Path) -> anyhow::Result<Outcome> {
    let named = encoders::open(&arguments.model, None)?;
    let spec = named.encoder.spec();
    let windows = &arguments.windows;
    let plan = windows.plan(spec)?;
    let layers = arguments.layers.resolve(spec.layers.len()).map_err(|error| UsageError(error.to_string()))?;
    let path = input.to_string_lossy();
    let waveform = audio::read(input)
        .and_then(|waveform| resample(&waveform, spec.sample_rate, windows.resampler))
        .map_err(|error| terminal::about(&path, error.into()))?;
    let (audio_seconds, num_samples) = (waveform.seconds(), waveform.num_samples() as u64);
    let clips: Vec<Waveform> = WindowStream::new(WaveformSource::new(waveform), plan.clone())
        .map(|window| Ok(window?.waveform))
        .collect::<anyhow::Result<_>>()?;
    if clips.is_empty() {
        return Err(terminal::about(&path, ExtractError::no_frames(&plan, num_samples).into()));
    }

    let pass = || -> anyhow::Result<f64> {
        let start = Instant::now();
        for batch in named.batching.calls(&clips) {
            let encoded = named.encoder.encode(batch, &arguments.layers);
            encoded.map_err(|error| terminal::about(&path, error.into()))?;
        }
        Ok(start.elapsed().as_secs_f64())
    };
    if !arguments.no_warm_up {
        pass()?;
    }
    let mut seconds_per_pass = f64::INFINITY;
    for _ in 0..arguments.passes {
        seconds_per_pass = seconds_per_pass.min(pass()?);
    }
    let measured = Measured {
        model: named.name,
        dtype: arguments.model.dtype.name(),
        device: arguments.model.device.name(),
        threads: rayon::current_num_threads(),
        layers: layers.len(),
        audio_seconds,
        windows: clips.len(),
        passes: arguments.passes,
        seconds_per_pass,
        realtime_factor: audio_seconds / seconds_per_pass,
        peak_rss_bytes: peak_rss_bytes(),
    };
    if arguments.json {
        terminal::print_json(&measured)?;
        return Ok(Outcome::Done);
    }
    let memory = measured.peak_rss_bytes.map_or("not known".into(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
    terminal::print_line(&format!(
        "{} on {} ({} threads, {}): {:.2} s of audio in {:.3} s, {:.1} times realtime; peak memory {memory}",
        measured.model,
        measured.device,
        measured.threads,
        measured.dtype,
        measured.audio_seconds,
        measured.seconds_per_pass,
        measured.realtime_factor,
    ))?;
    Ok(Outcome::Done)
}

/// `VmHWM` of Linux's `/proc/self/status`, in kB there.
fn peak_rss_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
