//! `solfa probe`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use solfa_eval::task::TaskKind;
use solfa_probe::head::HeadKind;
use solfa_probe::protocol::{ClipVector, LayerPlan, PROTOCOLS};
use solfa_signal::encoder::LayerChoice;

use super::EncodingArguments;

const PROBE_EXAMPLES: &str = "\
Examples:
  solfa probe --suite bundled --output results
                       music composed here, with exact labels: no download; not a stand-in for real data
  solfa data import gtzan GTZAN/ --output gtzan.jsonl
  solfa probe --task gtzan-genre --data gtzan.jsonl --model mel --model mert-v1-95m --output results
                       every layer of two encoders, one pass over the audio for each
  solfa probe --task mtt --data mtt.jsonl --model muq-large-msd-iter --protocol marble-v1 --layers all,weighted
  solfa probe --task my-moods --kind tags --data moods.jsonl --model mel --label-fractions 0.01,0.1,1
  solfa probe --task mtt --data mtt.jsonl --model muq-mulan-large --zero-shot --prompt \"a {} song\" --prompt \"{} music\"
                       tags without training
  solfa probe --suite suite.toml --output results
  solfa report results --output report.html

Rows are appended to OUTPUT/results.jsonl and never changed; what is there already is not done again. Features of every
layer are kept in the cache, so each further task, head or seed needs no encoder.

Exit codes: 0 all done; 2 wrong command line; 3 some recordings could not be encoded and were left out; 1 any other failure.";

/// What says how heads are trained.
const OF_TRAINING: [&str; 8] =
    ["protocol", "faithful", "layers", "head", "learning_rates", "seeds", "label_fractions", "suite"];

#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub(crate) struct ProbeArguments {
    /// Several tasks and models: `bundled` (composed and rendered here), or a TOML file
    #[arg(long, value_name = "bundled|FILE.toml", required_unless_present = "task", conflicts_with_all = ["task", "data", "kind"])]
    pub(crate) suite: Option<String>,

    /// The task: one of the field's (see `solfa data sets`), or a name of one's own with --kind
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) task: Option<String>,

    /// What kind of task it is, where the name does not say
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<TaskKind>,

    /// The data set: JSON lines of this program or of MARBLE v2
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) data: Option<PathBuf>,

    /// Where relative paths of recordings start [default: the working folder, then the data set's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) audio_root: Option<PathBuf>,

    /// An encoder, as for `solfa embed`; may be given several times. `untrained:muq`, `untrained:muq-small` and
    /// `untrained:RUN` (@SEED) have random weights
    #[arg(short, long = "model", value_name = "NAME|hf:ORG/NAME|DIR|FILE")]
    pub(crate) models: Vec<String>,

    /// How heads are trained: `linear` on standardised features, or a published protocol [default: linear]
    #[arg(long, value_name = "NAME", value_parser = PROTOCOLS)]
    pub(crate) protocol: Option<String>,

    /// Train nothing: put the classes or tags into sentences, and compare recordings with them in the joint space of a model
    /// of music and text
    #[arg(long, conflicts_with_all = OF_TRAINING)]
    pub(crate) zero_shot: bool,

    /// With --zero-shot, a sentence with `{}` where the label goes; several make an ensemble
    #[arg(long, value_name = "TEXT", default_value = "{}", requires = "zero_shot")]
    pub(crate) prompt: Vec<String>,

    /// Repeat the published code's choices where they are faults (one seed, and more: see docs/probing.md)
    #[arg(long)]
    pub(crate) faithful: bool,

    /// Layers: `all` (a head for each), `weighted` (a learned mixture), `concatenated`, `reduced` (MARBLE v2's), or numbers
    /// and ranges; several with commas [default: the protocol's]
    #[arg(long, value_name = "LIST", value_parser = parse_layers)]
    pub(crate) layers: Option<LayerPlans>,

    /// The head [default: the protocol's]
    #[arg(long, value_enum)]
    pub(crate) head: Option<HeadName>,

    /// Step sizes that validation chooses from [default: the protocol's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) learning_rates: Option<Vec<f64>>,

    /// A training for each [default: 0,1,2]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) seeds: Option<Vec<u64>>,

    /// Shares of the training labels that are learned from [default: 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) label_fractions: Option<Vec<f64>>,

    /// How often each share below 1 is drawn [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) draws: Option<u32>,

    /// Length of the clips that recordings are cut into, in seconds [default: the protocol's]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) clip: Option<f64>,

    /// What stands for a clip in answers about whole tracks [default: mean]
    #[arg(long, value_enum, conflicts_with = "zero_shot")]
    pub(crate) pool: Option<ClipVectorName>,

    /// Frames per second at most, for tasks about every frame [default: 25; 75 for marble-v1]
    #[arg(long, value_name = "RATE")]
    pub(crate) frame_rate: Option<f64>,

    /// Count a fifth below the key as one above it (MIREX since 2017)
    #[arg(long)]
    pub(crate) both_fifths: bool,

    /// The folder of results
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(crate) output: PathBuf,

    /// The folder of cached features [default: $SOLFA_CACHE, or solfa in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    /// Keep features in 16 bits: half the size, 11 bits of mantissa
    #[arg(long)]
    pub(crate) half: bool,

    /// A SoundFont (SF2) that the bundled suite is played with [default: the program's own synthesiser]
    #[arg(long, value_name = "FILE.sf2")]
    pub(crate) soundfont: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) encoding: EncodingArguments,

    /// Print one JSON object for each head instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--layers` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerPlans(pub(crate) Vec<LayerPlan>);

fn parse_layers(text: &str) -> Result<LayerPlans, String> {
    let mut plans = Vec::new();
    let mut numbers = Vec::new();
    for part in text.split(',').map(str::trim) {
        plans.push(match part {
            "all" | "each" => LayerPlan::Each,
            "weighted" => LayerPlan::Weighted,
            "concatenated" => LayerPlan::All,
            "reduced" => LayerPlan::Reduced,
            _ => match part.parse() {
                Ok(LayerChoice::Numbers(of_part)) => {
                    numbers.extend(of_part);
                    continue;
                }
                _ => {
                    return Err(format!(
                        "`{part}`: expected all, weighted, concatenated, reduced, or numbers and ranges such as 0,3,5-8"
                    ));
                }
            },
        });
    }
    if !numbers.is_empty() {
        plans.push(LayerPlan::Numbers(numbers));
    }
    Ok(LayerPlans(plans))
}

/// [`ClipVector`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ClipVectorName {
    /// The mean of its frames
    Mean,
    /// The class token, of a model that has one (ViT-1D)
    #[value(name = "cls")]
    ClassToken,
}

impl From<ClipVectorName> for ClipVector {
    fn from(name: ClipVectorName) -> Self {
        match name {
            ClipVectorName::Mean => Self::Mean,
            ClipVectorName::ClassToken => Self::ClassToken,
        }
    }
}

/// [`HeadKind`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HeadName {
    /// One linear layer
    Linear,
    /// MARBLE's: a hidden layer of 512, ReLU, dropout 0.2
    Mlp,
    /// The class whose mean is nearest; nothing is trained
    ClassMean,
}

impl From<HeadName> for HeadKind {
    fn from(name: HeadName) -> Self {
        match name {
            HeadName::Linear => Self::Linear,
            HeadName::Mlp => Self::Mlp { hidden: 512, dropout: 0.2 },
            HeadName::ClassMean => Self::ClassMean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_words_and_numbers() {
        assert_eq!(parse_layers("all,weighted").unwrap().0, [LayerPlan::Each, LayerPlan::Weighted]);
        assert_eq!(parse_layers("0,3,5-6").unwrap().0, [LayerPlan::Numbers(vec![0, 3, 5, 6])]);
        assert_eq!(parse_layers("reduced, 2").unwrap().0, [LayerPlan::Reduced, LayerPlan::Numbers(vec![2])]);
        assert!(parse_layers("best").unwrap_err().contains("best"));
    }
}
