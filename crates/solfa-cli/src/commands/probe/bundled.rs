//! The suite that needs no download: music composed and rendered here.

use std::path::PathBuf;

use solfa_eval::task::TaskKind;
use solfa_probe::protocol::LayerPlan;
use solfa_probe::suite::{Choices, Suite, SuiteTask};
use solfa_synth::suite::{SuiteSettings, write_suite};

use crate::arguments::ProbeArguments;
use crate::commands::synth;
use crate::encoding::cache_folder;
use crate::terminal::{self, Counter};

/// What is probed where no model is named: two kinds of hand-made features, and a network that has learned nothing.
const MODELS: [&str; 3] = ["mel", "chroma", "untrained:muq-small"];

/// The tasks: name, kind, file.
const TASKS: [(&str, TaskKind, &str); 11] = [
    ("bundled-key", TaskKind::Key, "key"),
    ("bundled-chords", TaskKind::Chords, "chords"),
    ("bundled-beats", TaskKind::Beats, "beats"),
    ("bundled-tempo", TaskKind::Tempo, "tempo"),
    ("bundled-structure", TaskKind::Structure, "structure"),
    ("bundled-melody", TaskKind::Melody, "melody"),
    ("bundled-onsets", TaskKind::Onsets, "onsets"),
    ("bundled-instruments", TaskKind::Tags, "instruments"),
    ("bundled-style", TaskKind::Class, "style"),
    ("bundled-note-pitch", TaskKind::Class, "note-pitch"),
    ("bundled-note-instrument", TaskKind::Class, "note-instrument"),
];

/// Composes and renders the suite below the cache, once, and says how it is probed.
pub(super) fn suite(arguments: &ProbeArguments) -> anyhow::Result<(Suite, PathBuf)> {
    let renderer = synth::renderer(arguments.soundfont.as_deref())?;
    let settings = SuiteSettings::default();
    let player = if arguments.soundfont.is_some() { "bundled-soundfont" } else { "bundled" };
    let features = cache_folder(arguments.cache.as_deref())?;
    let folder = features.parent().unwrap_or(&features).join(player);
    let counter = Counter::new("sounds composed");
    counter.expect(settings.pieces + settings.notes);
    let summary = write_suite(&folder, &settings, renderer.as_ref(), &|_| counter.one_done())?;
    counter.finish();
    terminal::note(&format!(
        "the bundled suite is in {}: {} sounds rendered, {} were there. It is for sanity and for comparison on this \
         machine; it does not stand for real data",
        folder.display(),
        summary.rendered,
        summary.kept
    ));
    let task = |(name, kind, file): (&str, TaskKind, &str)| SuiteTask {
        task: name.to_owned(),
        kind: Some(kind),
        data: PathBuf::from(format!("{file}.jsonl")),
        protocol: None,
        set: Choices::default(),
    };
    let suite = Suite {
        models: MODELS.map(str::to_owned).to_vec(),
        set: Choices {
            layers: Some(vec![LayerPlan::Each]),
            learning_rates: Some(vec![1e-3, 1e-2]),
            maximum_frames_per_second: Some(12.5),
            max_epochs: Some(50),
            stop_patience: Some(8),
            ..Choices::default()
        },
        tasks: TASKS.map(task).to_vec(),
        ..Suite::default()
    };
    Ok((suite, folder))
}
