//! `solfa synth`: music with labels, composed or from MIDI files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::bail;
use serde_json::{Map, Value, json};
use solfa_synth::compose::{Request, compose};
use solfa_synth::labels::Task;
use solfa_synth::midi;
use solfa_synth::render::{BuiltinSynth, RenderError, Renderer, SoundFontSynth};
use solfa_synth::suite::{SuiteError, SuiteSettings, render_files, wav_bytes, write_suite, write_whole};
use walkdir::WalkDir;

use crate::arguments::{ComposeArguments, RenderArguments, SuiteArguments, SynthArguments, SynthCommand};
use crate::terminal::{self, Outcome, Progress, UsageError};

pub(crate) fn run(arguments: &SynthArguments) -> anyhow::Result<Outcome> {
    match &arguments.command {
        SynthCommand::Suite(arguments) => suite(arguments),
        SynthCommand::Render(arguments) => render(arguments),
        SynthCommand::Compose(arguments) => compose_one(arguments),
    }
}

fn suite(arguments: &SuiteArguments) -> anyhow::Result<Outcome> {
    let renderer = renderer(arguments.sound.soundfont.as_deref())?;
    let settings = SuiteSettings {
        seed: arguments.seed,
        pieces: arguments.pieces,
        seconds: arguments.seconds,
        notes: arguments.notes,
        sample_rate: arguments.sound.sample_rate,
    };
    let progress = Mutex::new(Progress::new(settings.pieces + settings.notes));
    let summary = write_suite(&arguments.output, &settings, &*renderer, &|seconds| advance(&progress, seconds));
    finish(&progress);
    let summary = summary.map_err(of_usage)?;
    if arguments.json {
        terminal::print_json(&summary)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = summary
        .tasks
        .iter()
        .map(|(task, count)| {
            vec![task.clone(), count.to_string(), arguments.output.join(task).display().to_string() + ".jsonl"]
        })
        .collect();
    terminal::print_table(&["task", "rows", "file"], &rows, &[1])?;
    terminal::note(&format!("{} sounds rendered, {} were there", summary.rendered, summary.kept));
    Ok(Outcome::Done)
}

fn render(arguments: &RenderArguments) -> anyhow::Result<Outcome> {
    let files = midi_files(&arguments.inputs)?;
    let renderer = renderer(arguments.sound.soundfont.as_deref())?;
    let progress = Mutex::new(Progress::new(files.len()));
    let rate = arguments.sound.sample_rate;
    let done = render_files(&files, &arguments.output, &*renderer, rate, &|seconds| advance(&progress, seconds));
    finish(&progress);
    let done = done?;
    let mut num_failed = 0;
    for file in &done {
        let (path, output) = (file.input.display().to_string(), arguments.output.join(&file.output));
        match &file.result {
            Ok((seconds, tasks)) => {
                let tasks: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
                if arguments.json {
                    let row =
                        json!({"path": path, "status": "done", "output": output, "seconds": seconds, "tasks": tasks});
                    terminal::print_json(&row)?;
                } else {
                    let tasks = tasks.join(", ");
                    terminal::print_line(&terminal::printable(&format!("{}: {tasks}", output.display())))?;
                }
            }
            Err(error) => {
                num_failed += 1;
                if arguments.json {
                    terminal::print_json(&json!({"path": path, "status": "failed", "error": error.to_string()}))?;
                }
                terminal::note(&terminal::describe(&terminal::about(&path, anyhow::anyhow!("{error}"))));
            }
        }
    }
    match num_failed {
        0 => Ok(Outcome::Done),
        _ if num_failed == done.len() => bail!("none of {num_failed} files could be rendered"),
        _ => Ok(Outcome::SomeFailed),
    }
}

fn compose_one(arguments: &ComposeArguments) -> anyhow::Result<Outcome> {
    let is_wav = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    if !is_wav(&arguments.output) {
        return Err(UsageError(format!("--output {}: expected a .wav file", arguments.output.display())).into());
    }
    let renderer = renderer(arguments.sound.soundfont.as_deref())?;
    let ComposeArguments { seed, style, key, seconds, .. } = *arguments;
    let piece = compose(&Request { seed, style, key, seconds }).map_err(|error| UsageError(error.to_string()))?;
    let sound = renderer
        .render_stereo(&piece.performance, arguments.sound.sample_rate)
        .map_err(|error| of_usage(SuiteError::Render(error)))?;
    write_whole(&arguments.output, &wav_bytes(&sound, false))?;
    if let Some(path) = &arguments.midi {
        write_whole(path, &midi::write(&piece.performance, &piece.labels)?)?;
    }
    let labels = &piece.labels;
    if arguments.json {
        let known = Task::ALL.into_iter().filter_map(|task| Some((task.name().to_owned(), labels.of_task(task)?)));
        terminal::print_json(&known.collect::<Map<String, Value>>())?;
        return Ok(Outcome::Done);
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    let form: Vec<&str> = labels.segments.iter().map(|segment| segment.label.as_str()).collect();
    let rows = [
        ("style", or_none(&labels.style)),
        ("key", or_none(&labels.key)),
        ("meter", or_none(&labels.meter)),
        ("tempo", labels.tempo.map(|tempo| format!("{tempo:.1}")).unwrap_or_default()),
        ("form", form.join(", ")),
        ("instruments", labels.instruments.join(", ")),
        ("file", arguments.output.display().to_string()),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    terminal::print_table(&["", ""], &rows, &[])?;
    Ok(Outcome::Done)
}

/// What plays: a SoundFont, or the program's own synthesiser.
pub(crate) fn renderer(soundfont: Option<&Path>) -> anyhow::Result<Box<dyn Renderer>> {
    Ok(match soundfont {
        Some(path) => Box::new(SoundFontSynth::open(path).map_err(|error| UsageError(format!("--soundfont {error}")))?),
        None => Box::new(BuiltinSynth),
    })
}

/// What was asked for and cannot be is a mistake of the command line.
fn of_usage(error: SuiteError) -> anyhow::Error {
    match error {
        SuiteError::Settings { .. }
        | SuiteError::Other { .. }
        | SuiteError::Compose(_)
        | SuiteError::Render(RenderError::SampleRate { .. }) => UsageError(error.to_string()).into(),
        other => other.into(),
    }
}

fn advance(progress: &Mutex<Progress>, seconds: f64) {
    // Nothing that holds it panics; if it did, a bar would be the least of it.
    if let Ok(mut progress) = progress.lock() {
        progress.advance(seconds);
        progress.file_done();
    }
}

fn finish(progress: &Mutex<Progress>) {
    if let Ok(progress) = progress.lock() {
        progress.finish();
    }
}

/// MIDI files with the places of their sounds: files that are named, and all of folders.
fn midi_files(inputs: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let is_midi = |path: &Path| {
        path.extension()
            .is_some_and(|end| ["mid", "midi", "smf", "kar"].iter().any(|known| end.eq_ignore_ascii_case(known)))
    };
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            let name = Path::new(input.file_name().unwrap_or(input.as_os_str()));
            files.push((input.clone(), name.with_extension("wav")));
            continue;
        }
        let num_before = files.len();
        for entry in WalkDir::new(input).follow_links(true).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() && is_midi(entry.path()) {
                let relative = entry.path().strip_prefix(input).unwrap_or(entry.path()).with_extension("wav");
                files.push((entry.path().to_owned(), relative));
            }
        }
        if files.len() == num_before {
            return Err(UsageError(format!("{}: the folder holds no .mid or .midi file", input.display())).into());
        }
    }
    let mut first: HashMap<&Path, &Path> = HashMap::new();
    for (input, output) in &files {
        if let Some(other) = first.insert(output, input) {
            bail!(UsageError(format!(
                "{} and {} would both be written to {}: give them in two runs with different --output",
                other.display(),
                input.display(),
                output.display()
            )));
        }
    }
    Ok(files)
}
