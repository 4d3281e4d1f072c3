//! What can be typed after `solfa synth`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use solfa_synth::compose::{Key, Style};

use super::{ThreadArguments, parse_number};

#[derive(Debug, Args)]
pub(crate) struct SynthArguments {
    #[command(subcommand)]
    pub(crate) command: SynthCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SynthCommand {
    /// Write a data set of pieces and single notes, with labels for eleven tasks
    Suite(SuiteArguments),
    /// Render MIDI files, with labels from them and from annotations beside them
    Render(RenderArguments),
    /// Compose one piece
    Compose(ComposeArguments),
}

impl SynthArguments {
    pub(crate) fn threads(&self) -> Option<usize> {
        match &self.command {
            SynthCommand::Suite(arguments) => arguments.threads.threads,
            SynthCommand::Render(arguments) => arguments.threads.threads,
            SynthCommand::Compose(_) => None,
        }
    }
}

/// What makes sound.
#[derive(Debug, Args)]
pub(crate) struct SoundArguments {
    /// A SoundFont (.sf2) to play with, such as Debian's /usr/share/sounds/sf2/TimGM6mb.sf2
    /// [default: a small synthesiser that is built in]
    #[arg(long, value_name = "FILE")]
    pub(crate) soundfont: Option<PathBuf>,

    /// Samples per second
    #[arg(long, value_name = "HZ", default_value_t = 24_000)]
    pub(crate) sample_rate: u32,
}

const SUITE_EXAMPLES: &str = "\
Examples:
  solfa synth suite --output suite                          120 pieces of 30 s, 600 notes, 260 MB
  solfa synth suite --output suite --soundfont /usr/share/sounds/sf2/TimGM6mb.sf2
  solfa synth suite --output small --pieces 30 --seconds 10 --notes 100

Writes audio/*.wav (mono, 16 bits), one JSON lines file for each of key, chords, beats, tempo, structure, melody,
onsets, instruments, style, note-pitch and note-instrument, and manifest.json. A run that was interrupted continues
when the same command is given again. Same seed, same bytes. The suite is for sanity and for comparison on one's own
machine; it does not stand for real data.";

#[derive(Debug, Args)]
#[command(after_help = SUITE_EXAMPLES)]
pub(crate) struct SuiteArguments {
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Pieces; three fifths are for training, one fifth each for validation and test
    #[arg(long, value_name = "N", default_value = "120", value_parser = parse_suite_count)]
    pub(crate) pieces: usize,

    /// Length of a piece
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) seconds: f64,

    /// Single notes of 3 s
    #[arg(long, value_name = "N", default_value = "600", value_parser = parse_suite_count)]
    pub(crate) notes: usize,

    /// Decides everything
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) sound: SoundArguments,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const RENDER_EXAMPLES: &str = "\
Examples:
  solfa synth render songs/ --output rendered               every .mid below a folder
  solfa synth render song.mid --output rendered --soundfont /usr/share/sounds/sf2/FluidR3_GM.sf2

Labels come from the MIDI file (beats, tempo, onsets, instruments, key signature, a track called melody), and from
annotations in its folder: POP909's beat_midi.txt, chord_midi.txt and key_audio.txt, ASAP's NAME_annotations.txt.

Exit codes: 0 all done; 2 wrong command line; 3 some files failed, each with its reason, everything else was written;
1 any other failure.";

#[derive(Debug, Args)]
#[command(after_help = RENDER_EXAMPLES)]
pub(crate) struct RenderArguments {
    /// MIDI files, or folders, which are searched for them
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// The folder for the sounds, at the place that each file has below its folder, and for the labels
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) sound: SoundArguments,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    /// Print JSON, a line for each file
    #[arg(long)]
    pub(crate) json: bool,
}

const COMPOSE_EXAMPLES: &str = "\
Examples:
  solfa synth compose --seed 7 -o piece.wav
  solfa synth compose --seed 7 --style jazz --key \"Eb major\" --seconds 60 -o piece.wav --midi piece.mid
  solfa synth compose --seed 7 --json -o piece.wav          its labels too";

#[derive(Debug, Args)]
#[command(after_help = COMPOSE_EXAMPLES)]
pub(crate) struct ComposeArguments {
    /// Decides everything that is not asked for
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Its style: ballad, rock, blues, waltz, jazz, reggae, bossa, house, hip-hop, chorale, folk or funk [default: any]
    #[arg(long, value_name = "NAME", value_parser = parse_style)]
    pub(crate) style: Option<Style>,

    /// Its key, such as `Eb major` or `F# minor` [default: any]
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub(crate) key: Option<Key>,

    /// Its length
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) seconds: f64,

    /// The WAV file to write: stereo, 16 bits
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// A MIDI file to write too
    #[arg(long, value_name = "FILE")]
    pub(crate) midi: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sound: SoundArguments,

    /// Print its labels as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Far more than a folder should hold; a larger number is a typing mistake.
const MAXIMUM_SUITE: usize = 1_000_000;

fn parse_suite_count(text: &str) -> Result<usize, String> {
    if text == "0" { Ok(0) } else { parse_number(text, MAXIMUM_SUITE) }
}

fn parse_style(text: &str) -> Result<Style, String> {
    let names: Vec<&str> = Style::ALL.into_iter().map(Style::name).collect();
    Style::parse(text).ok_or_else(|| format!("`{text}` is not a style: expected one of {}", names.join(", ")))
}

fn parse_key(text: &str) -> Result<Key, String> {
    Key::parse(text).ok_or_else(|| format!("`{text}` is not a key: expected one such as `Eb major` or `F# minor`"))
}
