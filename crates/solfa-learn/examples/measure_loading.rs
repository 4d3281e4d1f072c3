//! How fast clips come off the disk: `cargo run --release -p solfa-learn --example measure_loading -- FOLDER
//! [SECONDS [THREADS [BATCHES]]]`
//!
//! Reads random crops of the recordings in a folder (10 s, 2 threads, 25 batches of 4 by default) at 24 kHz, as a training
//! run does: from the files, from a packed store that is made in a temporary folder, and from that store with some views.
#![allow(clippy::print_stdout, reason = "an example program talks to people")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use solfa_learn::data::{
    AudioFile, Collection, FileTracks, Loader, LoaderThreads, PackedTracks, Sampler, SamplingConfig, TrackSource, pack,
};
use solfa_signal::audio::Resampler;

const RATE: u32 = 24_000;
const VIEWS: [&str; 5] = [
    r#"{"view": "noise", "minimum_snr_db": 10, "maximum_snr_db": 40}"#,
    r#"{"view": "filter", "kinds": ["low-pass", "high-pass"], "minimum_hz": 200, "maximum_hz": 8000}"#,
    r#"{"view": "speed", "minimum_factor": 0.9, "maximum_factor": 1.1}"#,
    r#"{"view": "time-stretch", "minimum_rate": 0.9, "maximum_rate": 1.1}"#,
    r#"{"view": "pitch-shift", "minimum_semitones": -2, "maximum_semitones": 2}"#,
];
const EXTENSIONS: [&str; 5] = ["mp3", "ogg", "flac", "wav", "m4a"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, options @ ..] = arguments.as_slice() else {
        return Err("expected FOLDER [SECONDS [THREADS [BATCHES]]]".into());
    };
    let seconds: f64 = options.first().map_or(Ok(10.0), |seconds| seconds.parse())?;
    let threads: usize = options.get(1).map_or(Ok(2), |threads| threads.parse())?;
    let batches: u64 = options.get(2).map_or(Ok(25), |batches| batches.parse())?;
    let mut paths = Vec::new();
    collect(Path::new(folder), &mut paths)?;
    paths.sort();
    let files: Vec<AudioFile> =
        paths.into_iter().map(|path| AudioFile { name: path.display().to_string(), path }).collect();
    let source = FileTracks::new(files, RATE, Resampler::SincHann);
    let store = std::env::temp_dir().join(format!("solfa-measure-loading-{}", std::process::id()));
    let begun = Instant::now();
    let report = pack(&source, &store, &|_, _| {})?;
    println!(
        "packed {} recordings, {:.0} s, in {:.1} s; {} skipped, {} samples clipped",
        report.num_tracks,
        report.seconds,
        begun.elapsed().as_secs_f64(),
        report.skipped.len(),
        report.clipped_samples
    );
    let packed = Arc::new(PackedTracks::open(&store)?);
    let run = Run { seconds, threads, batches };
    measure("files", Arc::new(source), "", &run)?;
    measure("store", packed.clone(), "", &run)?;
    for view in VIEWS {
        measure(&format!("store, {view}"), packed.clone(), view, &run)?;
    }
    std::fs::remove_dir_all(&store)?;
    Ok(())
}

/// What is read, and by how many threads.
struct Run {
    seconds: f64,
    threads: usize,
    batches: u64,
}

fn measure(what: &str, source: Arc<dyn TrackSource>, views: &str, run: &Run) -> Result<(), Box<dyn Error>> {
    let Run { seconds, threads, batches } = *run;
    let begun = Instant::now();
    let collection = Collection::survey(source)?;
    let surveyed = begun.elapsed().as_secs_f64();
    let text = format!(r#"{{"clips_per_batch": 4, "crop": {{"seconds": {seconds}}}, "views": [{views}]}}"#);
    let config: SamplingConfig = serde_json::from_str(&text)?;
    let sampler = Sampler::new(&collection, &config, 1)?;
    let num_tracks = sampler.num_tracks();
    let begun = Instant::now();
    let mut loader = Loader::new(collection, sampler, LoaderThreads { threads, batches_ahead: 2 }, 0)?;
    for _ in 0..batches {
        loader.next_batch()?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    println!(
        "{what}: {num_tracks} tracks surveyed in {surveyed:.2} s; {:.1} clips of {seconds} s per second on {threads} \
         threads, {:.0} ms of one thread's time each",
        4.0 * batches as f64 / elapsed,
        1000.0 * elapsed * threads as f64 / (4.0 * batches as f64)
    );
    Ok(())
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
            paths.push(path);
        }
    }
    Ok(())
}
