//! `solfa data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use solfa_eval::dataset::SplitShares;
use solfa_eval::dataset::import::{Filter, LabelForm, known_data_sets};
use solfa_signal::audio::Resampler;

use super::{JsonArguments, ThreadArguments};

const DATA_EXAMPLES: &str = "\
Examples:
  solfa data sets                                            which data sets are known
  solfa data import gtzan data/GTZAN --output gtzan.jsonl    its own files to one file of JSON lines
  solfa data check gtzan.jsonl                               is everything there?
  solfa data pack music/ --output packed                     decode a collection once, to train on it";

#[derive(Debug, Args)]
#[command(after_help = DATA_EXAMPLES)]
pub(crate) struct DataArguments {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Make a file of JSON lines of a data set's own files
    Import(Box<DataImportArguments>),
    /// Read a data set and every recording in it, and say what is wrong
    Check(DataCheckArguments),
    /// Decode recordings once, into a store that training reads without decoding
    Pack(DataPackArguments),
    /// List the data sets whose layout is known
    #[command(after_help = "Example:\n  solfa data sets --json")]
    Sets(JsonArguments),
}

/// The examples and the data sets.
fn import_help() -> String {
    let sets: String = known_data_sets().map(|set| format!("  {:<22} {}\n", set.name, set.title)).collect();
    format!(
        "\
Examples:
  solfa data import gtzan data/GTZAN --output gtzan.jsonl
  solfa data import vocalset-singer data/VocalSet --seed 1 --output vocalset.jsonl
  solfa data import csv notes.csv --label instrument --where agrees=yes --min-per-class 20 --output notes.jsonl
  solfa data import csv moods.csv --label-form numbers --label arousal --label valence --output moods.jsonl

Sets (`solfa data sets` says where they come from and how they are laid out):
{sets}
Paths are written relative to the folder of --output, so that the two can be moved together. Nothing is downloaded.

Exit codes: 0 all done; 2 wrong command line; 3 some recordings are missing or cannot be decoded, the others were
written; 1 any other failure."
    )
}

#[derive(Debug, Args)]
#[command(after_help = import_help())]
pub(crate) struct DataImportArguments {
    /// Which data set, by its name (see below)
    pub(crate) set: String,

    /// The folder that it lies in; for `csv`, the table itself may be given
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// The file of JSON lines to write: all splits in one, `split` in every row
    #[arg(short, long, value_name = "FILE.jsonl")]
    pub(crate) output: PathBuf,

    /// Where chance decides on splits, it begins here
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Shares of train, val and test where chance decides and the data set has no rule of its own
    #[arg(long, value_name = "A:B:C", default_value = "8:1:1")]
    pub(crate) shares: SplitShares,

    /// hear, giantsteps-tempo: which fold is the test split; the next one is the validation split
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) fold: usize,

    /// Leave out all but one of recordings with the same content. Published splits have some, so they stay by default
    #[arg(long)]
    pub(crate) drop_duplicates: bool,

    /// Print one JSON object: what was found, and the identity of the data set
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) table: TableArguments,
}

/// How a table of people's own is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for csv")]
pub(crate) struct TableArguments {
    /// The table, where the folder has several: .csv, or .tsv with tabs
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,

    /// The column of paths, below the folder
    #[arg(long, value_name = "COLUMN", default_value = "path")]
    pub(crate) path: String,

    /// The column of labels; for numbers it may be given several times
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub(crate) label: Vec<String>,

    /// What the labels are
    #[arg(long, value_enum, default_value_t = LabelFormName::Class)]
    pub(crate) label_form: LabelFormName,

    /// What stands between tags in a cell
    #[arg(long, value_name = "CHARACTER", default_value_t = ';')]
    pub(crate) separator: char,

    /// The column of splits: train, val or test in every row
    #[arg(long, value_name = "COLUMN")]
    pub(crate) split: Option<String>,

    /// The column of what must stay in one split: songs, artists
    #[arg(long, value_name = "COLUMN")]
    pub(crate) group: Option<String>,

    /// Only rows of which this is true; may be given several times
    #[arg(long = "where", value_name = "COLUMN=VALUE|COLUMN!=VALUE")]
    pub(crate) filters: Vec<Filter>,

    /// Leave out classes with fewer rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_per_class: usize,
}

/// [`LabelForm`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LabelFormName {
    /// One class
    Class,
    /// Any number of tags in a cell
    Tags,
    /// A number in each column
    Numbers,
}

impl From<LabelFormName> for LabelForm {
    fn from(name: LabelFormName) -> Self {
        match name {
            LabelFormName::Class => Self::Class,
            LabelFormName::Tags => Self::Tags,
            LabelFormName::Numbers => Self::Numbers,
        }
    }
}

const CHECK_EXAMPLES: &str = "\
Examples:
  solfa data check gtzan.jsonl
  solfa data check data/GTZAN/GTZANGenre                     MARBLE v2's three files, by what their names begin with
  solfa data check gtzan.jsonl --audio-root /music --decode  decode every recording to its end

Exit codes: 0 nothing is wrong; 2 wrong command line; 3 something is wrong, each with its place; 1 any other failure.";

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct DataCheckArguments {
    /// A file of JSON lines with `split` in its rows, any of MARBLE v2's TASK.train.jsonl, TASK.val.jsonl and
    /// TASK.test.jsonl, what these begin with, or their folder
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The folder that paths start from [default: the working directory, else the folder of FILE]
    #[arg(long, value_name = "DIR")]
    pub(crate) audio_root: Option<PathBuf>,

    /// Decode every recording to its end, and not only its beginning
    #[arg(long)]
    pub(crate) decode: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const PACK_EXAMPLES: &str = "\
Examples:
  solfa data pack music/ --output packed                     every audio file below a folder, mono at 24 kHz
  solfa data pack train.jsonl --output packed --rate 16000   the recordings that a manifest lists
  solfa data pack synth:tracks=1000,seed=7 --output packed   composed pieces, rendered once

The folder gets samples.i16 (all tracks one after another, mono, 16 bits, little-endian; an hour at 24 kHz takes 173 MB)
and index.json (where each track begins, and what it was made from). Training maps it into memory: nothing is decoded
or resampled any more. A run that was interrupted goes on when the same command is given again; a folder that holds a
store is left as it is.

Exit codes: 0 all done; 2 wrong command line; 3 some recordings cannot be decoded, each with its reason, the others were
packed; 1 any other failure.";

#[derive(Debug, Args)]
#[command(after_help = PACK_EXAMPLES)]
pub(crate) struct DataPackArguments {
    /// A folder (searched recursively), an audio file, a manifest (.txt, .csv or .jsonl with `path` or `audio_path`), or
    /// `synth:` for pieces that are composed, with `tracks=200,seconds=30,seed=0` or some of these after it
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,

    /// The folder to write
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,

    /// Samples per second: those of the model that is to be trained
    #[arg(long, value_name = "HZ", default_value_t = 24_000, value_parser = clap::value_parser!(u32).range(1_000..=192_000))]
    pub(crate) rate: u32,

    /// How samples are stored
    #[arg(long, value_enum, default_value_t = PackFormat::Int16)]
    pub(crate) format: PackFormat,

    /// How audio gets to the sample rate
    #[arg(long, default_value_t, value_name = "sinc-hann|sinc-kaiser|fast")]
    pub(crate) resampler: Resampler,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    /// Print one JSON object: what was packed, and what was not
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a packed store holds its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackFormat {
    /// 16 bits a sample
    Int16,
}
