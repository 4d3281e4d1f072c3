//! `solfa data pack`.

use std::cell::RefCell;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use solfa_learn::data::{PackReport, pack};

use crate::arguments::{DataPackArguments, PackFormat};
use crate::terminal::{self, Outcome, Progress, UsageError};
use crate::training_data::{self, FoundTracks, duration, note_skipped};

/// What was packed, for machines.
#[derive(Serialize)]
struct Printed<'run> {
    output: &'run Path,
    format: &'static str,
    sample_rate: u32,
    num_tracks: usize,
    /// Tracks that an earlier run had done.
    num_resumed: usize,
    seconds: f64,
    num_bytes: u64,
    clipped_samples: u64,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    name: String,
    reason: String,
}

pub(crate) fn run(arguments: &DataPackArguments) -> anyhow::Result<Outcome> {
    let DataPackArguments { source, output, rate, format, resampler, .. } = arguments;
    let FoundTracks { source: tracks, description, failed, is_packed, .. } =
        training_data::find(source, *rate, *resampler)?;
    if is_packed {
        return Err(UsageError(format!("{source}: is a packed store already")).into());
    }
    let progress = RefCell::new(Progress::new(tracks.len()));
    let packed =
        pack(tracks.as_ref(), output, &|num_tracks, seconds| progress.borrow_mut().reached(num_tracks, seconds));
    progress.borrow().finish();
    let report = packed.with_context(|| format!("{description} was not packed"))?;
    let PackReport { num_tracks, num_resumed, seconds, clipped_samples, skipped } = report;
    let unreadable: Vec<(String, String)> = skipped.into_iter().map(|track| (track.name, track.reason)).collect();
    note_skipped(&failed, &unreadable);
    if num_resumed > 0 {
        terminal::note(&format!("{num_resumed} tracks were done by an earlier run"));
    }
    if clipped_samples > 0 {
        terminal::note(&format!("{clipped_samples} samples were beyond full scale, and were clipped"));
    }
    let is_whole = unreadable.is_empty() && failed.is_empty();
    if arguments.json {
        let failed = failed.into_iter().map(|input| (input.path, format!("{:#}", input.error)));
        terminal::print_json(&Printed {
            output,
            format: match format {
                PackFormat::Int16 => "int16",
            },
            sample_rate: *rate,
            num_tracks,
            num_resumed,
            seconds,
            num_bytes: (seconds * f64::from(*rate)).round() as u64 * 2,
            clipped_samples,
            skipped: failed.chain(unreadable).map(|(name, reason)| Skipped { name, reason }).collect(),
        })?;
    } else {
        let length = duration(seconds);
        terminal::print_line(&terminal::printable(&format!(
            "{}: {num_tracks} tracks, {length} at {rate} Hz",
            output.display()
        )))?;
    }
    Ok(if is_whole { Outcome::Done } else { Outcome::SomeFailed })
}
