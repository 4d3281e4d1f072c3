//! `solfa score`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use solfa_eval::metrics::key::FifthRule;
use solfa_eval::score::ScoreKind;

const SCORE_EXAMPLES: &str = "\
Examples:
  solfa score chord reference.lab estimate.lab
  solfa score segment reference.lab estimate.lab --json
  solfa score key reference.txt estimate.txt --fifths both
  solfa score predictions results/predictions/*  what a probe predicted, scored again
  solfa score beat references/ estimates/       all files of two folders, by name, and the mean

Scores have mir_eval's names, order and values. Files are mir_eval's: one item a line, in seconds,
and lines that start with # are skipped. Beat and onset: `time`, beats with their number in the
bar behind it or not. Tempo: `tempo tempo weight`. Key: `C# minor`. Chord, in Harte's syntax, and
segment: `start end label`. Melody: `time Hz`. Notes: `onset offset Hz`. Beat, key, chord and
segment take JAMS too.

Exit codes: 0 all done; 2 wrong command line; 3 some files of the folders failed or have no
partner, everything else was scored; 1 any other failure.";

#[derive(Debug, Args)]
#[command(after_help = SCORE_EXAMPLES)]
pub(crate) struct ScoreArguments {
    #[command(subcommand)]
    pub(crate) command: ScoreCommand,
}

/// What is scored.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "KIND", subcommand_help_heading = "Kinds")]
pub(crate) enum ScoreCommand {
    /// Beats: F-measure, Cemgil, Goto, P-score, continuity, information gain; the first 5 s do not count
    Beat(PairArguments),
    /// Onsets: F-measure, precision, recall at 50 ms
    Onset(PairArguments),
    /// Tempo: P-score, one or both of two tempi correct at 8 %
    Tempo(PairArguments),
    /// Key: the weighted score of MIREX
    Key(KeyArguments),
    /// Chords: root, thirds, triads, tetrads, sevenths, majmin, mirex, with inversions; segmentation
    Chord(PairArguments),
    /// Structure: boundaries at 0.5 s and 3 s, and which parts are alike
    Segment(PairArguments),
    /// Melody: voicing, raw pitch and chroma, overall accuracy at 50 cents
    Melody(PairArguments),
    /// Notes: onset, pitch and offset, with and without offset; average overlap
    Notes(PairArguments),
    /// What `solfa probe` predicted: every score of the task again, from the file alone
    Predictions(PredictionsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct PredictionsArguments {
    /// Files of predictions: OUTPUT/predictions/*.jsonl
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Make sure that they are of this data set
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) data: Option<PathBuf>,

    /// Print one JSON object for each file
    #[arg(long)]
    pub(crate) json: bool,
}

/// A reference and an estimate.
#[derive(Debug, Args)]
pub(crate) struct PairArguments {
    /// What is true: a file, or a folder of files
    pub(crate) reference: PathBuf,

    /// What is scored: a file, or a folder with a file of the same name, but for its extension, for each reference
    pub(crate) estimate: PathBuf,

    /// Print one JSON object of names to numbers; for folders, {"files": [{"name": ..., "scores": {...}}], "mean": {...}}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArguments {
    #[command(flatten)]
    pub(crate) pair: PairArguments,

    /// Which fifths score 0.5: the one above the reference (mir_eval, MARBLE), or those above and below (MIREX since 2017)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) fifths: FifthsName,
}

/// [`FifthRule`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum FifthsName {
    /// The fifth above
    #[default]
    Ascending,
    /// The fifths above and below
    Both,
}

impl From<FifthsName> for FifthRule {
    fn from(name: FifthsName) -> Self {
        match name {
            FifthsName::Ascending => Self::Ascending,
            FifthsName::Both => Self::Both,
        }
    }
}

impl ScoreCommand {
    /// What is scored, and how.
    pub(crate) fn input(&self) -> ScoreInput<'_> {
        let (kind, pair) = match self {
            Self::Predictions(arguments) => return ScoreInput::Predictions(arguments),
            Self::Beat(pair) => (ScoreKind::Beat, pair),
            Self::Onset(pair) => (ScoreKind::Onset, pair),
            Self::Tempo(pair) => (ScoreKind::Tempo, pair),
            Self::Key(KeyArguments { pair, fifths }) => (ScoreKind::Key((*fifths).into()), pair),
            Self::Chord(pair) => (ScoreKind::Chord, pair),
            Self::Segment(pair) => (ScoreKind::Segment, pair),
            Self::Melody(pair) => (ScoreKind::Melody, pair),
            Self::Notes(pair) => (ScoreKind::Notes, pair),
        };
        ScoreInput::Pair(kind, pair)
    }
}

/// What a [`ScoreCommand`] scores.
#[derive(Debug)]
pub(crate) enum ScoreInput<'arguments> {
    /// An estimate against a reference.
    Pair(ScoreKind, &'arguments PairArguments),
    /// Predictions that hold what is right themselves.
    Predictions(&'arguments PredictionsArguments),
}
