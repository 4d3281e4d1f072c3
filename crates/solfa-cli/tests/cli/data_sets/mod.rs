//! Every task of the field from its data set's own files to numbers: a tiny folder in the exact layout, `solfa data
//! import`, `solfa probe`, `solfa score`.
//!
//! Sounds are synthetic and carry their labels: a probe must find them, and must not find them once all is silent. They are
//! WAV files, also under names that end in `.mp3`: decoders go by content.

mod chords;
mod emomusic;
mod general;
mod giantsteps;
mod giantsteps_tempo;
mod gtzan;
mod harmonix;
mod hooktheory;
mod maestro;
mod musdb18;
mod nsynth;
mod sound;
mod steps;
mod tags;
mod vocalset;

use solfa_eval::task::{TASKS, Task};

use self::steps::{RESULTS, Steps};
use crate::common::{Workplace, fixture};

/// Where a layout is made, in the test's own folder.
const SET: &str = "set";

/// A tiny data set, and what is to come of it.
struct Case {
    /// A name in [`TASKS`], or one of one's own with a kind.
    task: &'static str,
    kind: Option<&'static str>,
    /// The importer, and its options.
    import: &'static str,
    lay_out: fn(&Workplace),
    /// Rows of training, validation and test.
    rows: [u64; 3],
    /// Recordings that the whole data set has and the tiny one has not.
    num_missing: usize,
    /// Tracks that are scored, of one row or of several.
    num_scored: u64,
    /// The encoder, and what makes the probe quick.
    probe: &'static str,
    /// A headline score that nobody reaches who has not heard the label.
    above: f64,
}

/// One list of cases, and a test for each.
macro_rules! cases {
    ($($test:ident: $case:expr,)+) => {
        const CASES: &[Case] = &[$($case),+];
        $(#[test]
        fn $test() {
            Steps::new(&$case).all();
        })+
    };
}

cases! {
    gtzan_genre: gtzan::GENRE,
    gtzan_beats: gtzan::BEATS,
    giantsteps_key: giantsteps::KEY,
    giantsteps_tempo: giantsteps_tempo::TEMPO,
    emomusic_numbers: emomusic::NUMBERS,
    mtt: tags::MTT,
    jamendo_top50: tags::JAMENDO_TOP50,
    jamendo_genre: tags::JAMENDO_GENRE,
    jamendo_instrument: tags::JAMENDO_INSTRUMENT,
    jamendo_mood_theme: tags::JAMENDO_MOOD_THEME,
    msd100: tags::MSD100,
    nsynth_pitch: nsynth::PITCH,
    nsynth_instrument: nsynth::INSTRUMENT,
    vocalset_singer: vocalset::SINGER,
    vocalset_technique: vocalset::TECHNIQUE,
    harmonix_structure: harmonix::STRUCTURE,
    hooktheory_structure: hooktheory::STRUCTURE,
    hooktheory_key: hooktheory::KEY,
    hooktheory_melody: hooktheory::MELODY,
    maestro_notes: maestro::NOTES,
    chords_of_songs: chords::CHORDS,
    harmonix_beats: harmonix::BEATS,
    hear_scenes: general::HEAR_SCENES,
    hear_notes: general::HEAR_NOTES,
    folders_of_classes: general::FOLDERS,
    a_table: general::TABLE,
}

#[test]
fn every_task_of_the_field_is_run() {
    for (name, ..) in TASKS {
        let is_run = CASES.iter().chain([&musdb18::SEPARATION]).any(|case| case.task == name);
        assert!(is_run, "{name} has no case");
    }
    for case in CASES {
        assert!(Task::named(case.task).is_some() != case.kind.is_some(), "{}", case.task);
    }
}

/// Separation has a network of its own, which a suite makes small.
#[test]
fn musdb18_separation() {
    Steps::new(&musdb18::SEPARATION).all_by_suite(musdb18::SMALL_NETWORK);
}

#[test]
fn mtt_by_words_alone() {
    let case = tags::MTT;
    let steps = Steps::new(&case);
    steps.import();
    let model = fixture("golden/mulan-tiny").to_str().unwrap().to_owned();
    // The tiny model has random weights: it is the way that is tested, not what it hears.
    steps.probe(&format!("--model {model} --zero-shot --prompt {{}} --prompt {{}}-music"), RESULTS);
    steps.score();
}
