//! `solfa layers`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use solfa_eval::similarity::Measure;

use super::EncodingArguments;

const LAYERS_EXAMPLES: &str = "\
Examples:
  solfa layers music/ --model muq-large-msd-iter --output results
                       every layer beside every other, by CKA and PWCCA, and the effective rank of each
  solfa layers music/ --model mert-v1-95m --model muq-large-msd-iter --measure cka
  solfa layers music/ --model mert-v1-95m --track song.mp3 --labels suite/onsets.jsonl --labels suite/chords.jsonl
                       and one track as its layers see it: self-similarity and attention, beside its labels
  solfa report results --output report.html";

#[derive(Debug, Args)]
#[command(after_help = LAYERS_EXAMPLES)]
pub(crate) struct LayersArguments {
    /// Audio files, folders, glob patterns, manifests, or `-`, as for `solfa embed`: the items that layers are compared on
    #[arg(value_name = "INPUT", required_unless_present = "tracks")]
    pub(crate) inputs: Vec<OsString>,

    /// An encoder, as for `solfa embed`; may be given several times
    #[arg(short, long = "model", value_name = "NAME|hf:ORG/NAME|DIR|FILE", required = true)]
    pub(crate) models: Vec<String>,

    /// How alike layers are: centred kernel alignment, or canonical correlations
    #[arg(long = "measure", value_enum, value_name = "MEASURE", default_values = ["cka", "pwcca"])]
    pub(crate) measures: Vec<MeasureName>,

    /// Compare frames and not means of tracks: this many of each second
    #[arg(long, value_name = "RATE")]
    pub(crate) frames: Option<f64>,

    /// A recording to show from inside; may be given several times
    #[arg(long = "track", value_name = "FILE")]
    pub(crate) tracks: Vec<PathBuf>,

    /// Where in those recordings the 30 seconds begin that are shown, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, requires = "tracks", allow_negative_numbers = true)]
    pub(crate) start: f64,

    /// Data sets that may say something of those recordings: beats, onsets, chords, structure; may be given several times
    #[arg(long = "labels", value_name = "FILE.jsonl", requires = "tracks")]
    pub(crate) labels: Vec<PathBuf>,

    /// The folder of results: `similarity/` and `tracks/` are written there
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(crate) output: PathBuf,

    /// The folder of cached features [default: as for `solfa probe`]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) encoding: EncodingArguments,

    /// Print one JSON object for each pair of encoders and measure instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`Measure`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MeasureName {
    /// Linear CKA
    Cka,
    /// Linear CKA with unbiased terms
    CkaDebiased,
    /// Mean canonical correlation
    Cca,
    /// Mean canonical correlation of the directions with 99 % of the variance
    Svcca,
    /// Projection-weighted canonical correlation
    Pwcca,
}

impl From<MeasureName> for Measure {
    fn from(name: MeasureName) -> Self {
        match name {
            MeasureName::Cka => Self::Cka,
            MeasureName::CkaDebiased => Self::CkaDebiased,
            MeasureName::Cca => Self::Cca,
            MeasureName::Svcca => Self::Svcca,
            MeasureName::Pwcca => Self::Pwcca,
        }
    }
}
