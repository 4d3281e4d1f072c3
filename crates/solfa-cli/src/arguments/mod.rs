//! What can be typed, and its help.

mod data;
mod export;
mod layers;
mod pretrain;
mod probe;
mod report;
mod score;
mod synth;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use solfa_eval::store::Format;
use solfa_kernels::Precision;
use solfa_learn::device::DeviceChoice;
use solfa_signal::audio::Resampler;
use solfa_signal::encoder::{EncoderSpec, LayerChoice};
use solfa_signal::frames::Pooling;
use solfa_signal::windows::{Tail, WindowLength, WindowPlan};

use crate::terminal::UsageError;

pub(crate) use data::{
    DataArguments, DataCheckArguments, DataCommand, DataImportArguments, DataPackArguments, PackFormat,
};
pub(crate) use export::ExportArguments;
pub(crate) use layers::LayersArguments;
pub(crate) use pretrain::PretrainArguments;
pub(crate) use probe::ProbeArguments;
pub(crate) use report::ReportArguments;
pub(crate) use score::{PairArguments, PredictionsArguments, ScoreArguments, ScoreInput};
pub(crate) use synth::{ComposeArguments, RenderArguments, SuiteArguments, SynthArguments, SynthCommand};

/// Self-supervised music representations.
#[derive(Debug, Parser)]
#[command(name = "solfa", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all done; 2 wrong command line; 3 some inputs failed, everything else was done; \
                          1 any other failure.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn audio, or text, into vectors
    Embed(EmbedArguments),
    /// Tag music with any words: zero-shot, by a model of music and text
    Tag(TagArguments),
    /// Turn a recording into the tokens that a model was trained to predict
    Tokens(TokensArguments),
    /// Data sets: import them from their own files, check them, pack them for training
    Data(DataArguments),
    /// Train an encoder from raw audio, by any of the field's methods
    Pretrain(PretrainArguments),
    /// Train heads on frozen features: every layer of an encoder, on any task
    Probe(ProbeArguments),
    /// Compare layers without labels, and look inside a track
    Layers(LayersArguments),
    /// Make a page, or tables, of a folder of results; draw the curves of training runs
    Report(ReportArguments),
    /// Score an estimate against a reference, by mir_eval's scores
    Score(ScoreArguments),
    /// Write a model in a published layout, for the programs of others
    Export(ExportArguments),
    /// List the models that are known
    Models(JsonArguments),
    /// Show what this machine and this program can do
    Doctor(DoctorArguments),
    /// Measure how fast a model runs here, or the kernels that it is made of
    Bench(BenchArguments),
    /// Compose and render music of which everything is known, or render MIDI files, with labels
    Synth(SynthArguments),
    /// Print shell completions
    #[command(after_help = "Example:\n  solfa completions bash > ~/.local/share/bash-completion/completions/solfa")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// What the command says of its threads; nothing where it does not compute.
    pub(crate) fn threads(&self) -> Option<usize> {
        match self {
            Self::Embed(arguments) => arguments.model.threads.threads,
            Self::Tag(arguments) => arguments.model.threads.threads,
            Self::Tokens(arguments) => arguments.model.threads.threads,
            Self::Bench(arguments) => arguments.model.threads.threads,
            Self::Probe(arguments) => arguments.encoding.threads.threads,
            Self::Layers(arguments) => arguments.encoding.threads.threads,
            Self::Doctor(arguments) => arguments.threads.threads,
            Self::Pretrain(arguments) => arguments.threads.threads,
            Self::Data(arguments) => match &arguments.command {
                DataCommand::Pack(arguments) => arguments.threads.threads,
                DataCommand::Import(_) | DataCommand::Check(_) | DataCommand::Sets(_) => None,
            },
            Self::Report(_) | Self::Score(_) | Self::Export(_) | Self::Models(_) | Self::Completions { .. } => None,
            Self::Synth(arguments) => arguments.threads(),
        }
    }
}

const EMBED_EXAMPLES: &str = "\
Examples:
  solfa embed song.mp3                                     hand-made mel features, mean over time
  solfa embed --model muq-large-msd-iter music/            every layer, one vector a layer and file
  solfa embed --model muq-large-msd-iter --layers 5,9 --pool none -o out music/
                                                           every frame of two layers
  solfa embed --model muq-large-msd-iter --layers 9 -o music.parquet music/
                                                           one table for a whole folder
  find music -name '*.flac' | solfa embed --resume -o out -
                                                           continue where an earlier run stopped
  solfa embed --model mert-v1-95m --layers 7 --attentions -o out song.mp3
                                                           a model by name, downloaded once; attention maps too
  solfa embed --model muq-large-msd-iter --threads 4 music/
                                                           leave the other cores to others
  solfa embed --model muq-mulan-large --text \"a sad piano ballad\"
                                                           a text in the space of music

Layers are numbered as in the papers: 0 is the front end's output (the first layer's input), i the output of layer i.

Exit codes: 0 all done; 2 wrong command line; 3 some inputs failed, each with its reason, everything else was
written; 1 any other failure.";

/// What says how audio is embedded, and nothing about texts.
const OF_AUDIO: [&str; 10] =
    ["inputs", "attentions", "resume", "layers", "pool", "window", "hop", "tail", "resampler", "batch"];

#[derive(Debug, Args)]
#[command(after_help = EMBED_EXAMPLES)]
pub(crate) struct EmbedArguments {
    /// Audio files, folders (searched recursively), glob patterns, manifests (.txt, .csv or .jsonl with `path` or
    /// `audio_path`), or `-` for paths on standard input
    #[arg(required_unless_present_any = ["text", "text_file"], value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,

    #[command(flatten)]
    pub(crate) model: ModelArguments,

    /// A text instead of audio, for a model of music and text; may be given several times. Its vector goes to standard
    /// output as JSON, or to --output as safetensors or jsonl
    #[arg(long, value_name = "TEXT", group = "texts", conflicts_with_all = OF_AUDIO)]
    pub(crate) text: Vec<String>,

    /// A file with one text a line
    #[arg(long, value_name = "FILE", group = "texts", conflicts_with_all = OF_AUDIO)]
    pub(crate) text_file: Option<PathBuf>,

    /// Encode each text on its own. Otherwise the texts of one command are padded to the longest of them, as the
    /// release of MuQ-MuLan does, and its vectors depend a little on that length
    #[arg(long, requires = "texts")]
    pub(crate) alone: bool,

    /// Layers: `all`, `last`, or numbers and ranges such as `0,3,5-8`
    #[arg(long, default_value = "all")]
    pub(crate) layers: LayerChoice,

    /// How the frames of a recording become one vector
    #[arg(long, value_enum, default_value_t = PoolName::Mean)]
    pub(crate) pool: PoolName,

    #[command(flatten)]
    pub(crate) windows: WindowArguments,

    /// Where to write: one file if it ends in a format's extension (for one input, or a table of many for parquet and
    /// jsonl), else a folder that mirrors the inputs
    /// [default: the folder `embeddings`]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Format of the output [default: the extension of --output, else safetensors]
    #[arg(long, value_parser = parse_format, value_name = "safetensors|npy|npz|parquet|jsonl")]
    pub(crate) format: Option<Format>,

    /// Windows encoded together [default: the number of threads, 8 on a graphics processor]. The result does not depend
    /// on it; a network on the CPU takes as many short windows at once as have 30 s together, each in a pass of its own
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count)]
    pub(crate) batch: Option<usize>,

    /// Skip inputs whose output is whole and of the same space
    #[arg(long, conflicts_with = "attentions")]
    pub(crate) resume: bool,

    /// Write the attention maps of every chosen layer and head as well, one file a window:
    /// `song.attention/0000.safetensors` beside `song.safetensors`. They take heads x frames x frames numbers a layer
    #[arg(long)]
    pub(crate) attentions: bool,

    /// Print one JSON object per input instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which model, and where it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// A model by its name (see `solfa models`), a repository `hf:ORG/NAME[@REVISION]` on the Hugging Face hub, or a
    /// checkpoint: its folder or its weight file. What is not here yet is downloaded into the hub's cache (HF_HOME,
    /// HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE count) [default of embed and bench: mel, until the project ships
    /// trained weights]
    #[arg(short, long, value_name = "NAME|hf:ORG/NAME|DIR|FILE")]
    pub(crate) model: Option<String>,

    /// Where the model runs; a device that is absent is an error
    #[arg(long, default_value = "cpu", value_name = "cpu|vulkan|cuda")]
    pub(crate) device: DeviceChoice,

    /// Type of numbers that the model computes in. Vectors are written as f32 in any case
    #[arg(long, default_value_t, value_name = "f32|bf16")]
    pub(crate) dtype: Precision,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

/// How encoders run, for the commands that take several.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct EncodingArguments {
    /// Where encoders run; a device that is absent is an error
    #[arg(long, default_value = "cpu", value_name = "cpu|vulkan|cuda")]
    pub(crate) device: DeviceChoice,

    /// Type of numbers that encoders compute in
    #[arg(long, default_value_t, value_name = "f32|bf16")]
    pub(crate) dtype: Precision,

    /// How audio gets to an encoder's sample rate
    #[arg(long, default_value_t, value_name = "sinc-hann|sinc-kaiser|fast")]
    pub(crate) resampler: Resampler,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}

/// How many cores are used.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ThreadArguments {
    /// Threads that compute; as many again decode the files that come next, at most one a file [default: the number of
    /// cores, or RAYON_NUM_THREADS]. The result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_threads)]
    pub(crate) threads: Option<usize>,
}

/// How recordings are resampled and cut.
#[derive(Debug, Args)]
pub(crate) struct WindowArguments {
    /// Length of the windows that a recording is cut into: seconds, or `whole`
    /// [default: the length of the clips that the model was trained on]
    #[arg(long, allow_negative_numbers = true, value_parser = parse_window, value_name = "SECONDS|whole")]
    pub(crate) window: Option<WindowLength>,

    /// Time from one window to the next, in seconds [default: the window; less where windows have to overlap: for
    /// hand-made features, and by two frames for MERT and HuBERT]
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS")]
    pub(crate) hop: Option<f64>,

    /// What happens to the end of a recording that does not fill a window: `overlap` lets the last window start
    /// earlier, `pad` fills it with silence, `wrap` with the start of the recording, `drop` leaves it out
    /// [default: as the model's release does, mostly `overlap`]
    #[arg(long, value_name = "overlap|pad|wrap|drop")]
    pub(crate) tail: Option<Tail>,

    /// How audio gets to the model's sample rate: `sinc-hann` is torchaudio's default, `sinc-kaiser` its best, `fast`
    /// a band-limited FFT
    #[arg(long, default_value_t, value_name = "sinc-hann|sinc-kaiser|fast")]
    pub(crate) resampler: Resampler,
}

impl WindowArguments {
    /// The windows for an encoder.
    pub(crate) fn plan(&self, spec: &EncoderSpec) -> Result<WindowPlan, UsageError> {
        let tail = self.tail.unwrap_or(spec.default_tail);
        let plan = WindowPlan::new(spec, self.window.unwrap_or_default(), self.hop, tail);
        plan.map_err(|error| UsageError(error.to_string()))
    }
}

const TAG_EXAMPLES: &str = "\
Examples:
  solfa tag --model muq-mulan-large --labels mtt song.mp3
  solfa tag --model muq-mulan-large --labels moods.txt --prompt \"a {} song\" --prompt \"music that feels {}\" --top 3 music/
  solfa tag --model muq-mulan-large --labels jamendo-genre --json music/ > tags.json

A file of labels has one label a line; after a tab, the words that stand for it in a prompt, where those differ.";

#[derive(Debug, Args)]
#[command(after_help = TAG_EXAMPLES)]
pub(crate) struct TagArguments {
    /// Audio files, folders, glob patterns, manifests, or `-` for paths on standard input, as for `solfa embed`
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,

    #[command(flatten)]
    pub(crate) model: ModelArguments,

    /// The labels: a file, or a list of this program: mtt (MagnaTagATune, 50), jamendo-top50, jamendo-genre (87),
    /// jamendo-instrument (40), jamendo-mood-theme (56)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) labels: String,

    /// A sentence with `{}` where the label goes; several make an ensemble, the mean of their vectors
    #[arg(long, value_name = "TEXT", default_value = "{}")]
    pub(crate) prompt: Vec<String>,

    /// Only the best N labels [default: all with --json, else 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count)]
    pub(crate) top: Option<usize>,

    /// Shares that sum to 1 over the labels, at the model's temperature, instead of cosines
    #[arg(long)]
    pub(crate) softmax: bool,

    /// Encode each prompt on its own. Otherwise all prompts are padded to the longest, as the release of MuQ-MuLan does
    #[arg(long)]
    pub(crate) alone: bool,

    #[command(flatten)]
    pub(crate) windows: WindowArguments,

    /// Print one JSON list: [{"path": ..., "tags": [{"label": ..., "score": ...}]}]
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  solfa tokens song.flac --model muq-large-msd-iter --output codes.safetensors")]
pub(crate) struct TokensArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) model: ModelArguments,

    /// A safetensors file with one tensor `codes`, I64, [codebooks, frames]. Without it, the codes are printed, one
    /// line per codebook
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// How audio gets to the model's sample rate
    #[arg(long, default_value_t, value_name = "sinc-hann|sinc-kaiser|fast")]
    pub(crate) resampler: Resampler,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  solfa bench --model muq-large-msd-iter song.wav --json
  solfa bench --model muq-large-msd-iter --threads 1 song.wav     on one core
  solfa bench --kernels --dtype bf16                              no model: how near to the machine's limit";

/// What says how a model is measured, and nothing about kernels.
const OF_MODELS: [&str; 10] =
    ["input", "model", "device", "layers", "window", "hop", "tail", "resampler", "passes", "no_warm_up"];

#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArguments {
    /// The recording; it is decoded before the clock starts
    #[arg(value_name = "FILE", required_unless_present = "kernels")]
    pub(crate) input: Option<PathBuf>,

    /// Measure the parts that models are made of (matrix products, convolutions, attention, norms), each beside what
    /// this machine can calculate at best, instead of a model. SOLFA_INSTRUCTIONS keeps to plainer instructions
    #[arg(long, conflicts_with_all = OF_MODELS)]
    pub(crate) kernels: bool,

    #[command(flatten)]
    pub(crate) model: ModelArguments,

    /// Layers: `all`, `last`, or numbers and ranges such as `0,3,5-8`
    #[arg(long, default_value = "all")]
    pub(crate) layers: LayerChoice,

    #[command(flatten)]
    pub(crate) windows: WindowArguments,

    /// Passes that are measured, after one to warm up; the best counts
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "5", value_parser = parse_count)]
    pub(crate) passes: usize,

    /// Measure from the first pass on
    #[arg(long)]
    pub(crate) no_warm_up: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  solfa doctor --json")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`Pooling`] by the names that it has on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PoolName {
    /// Keep every frame
    None,
    /// The mean over time
    Mean,
    /// The maximum over time
    Max,
    /// The mean, then the standard deviation: twice as wide
    #[value(name = "mean+std")]
    MeanStd,
    /// The class token, of a model that has one (ViT-1D)
    #[value(name = "cls")]
    ClassToken,
    /// The class token, then the mean over time: twice as wide
    #[value(name = "cls+mean")]
    ClassTokenMean,
}

impl From<PoolName> for Pooling {
    fn from(name: PoolName) -> Self {
        match name {
            PoolName::None => Self::None,
            PoolName::Mean => Self::Mean,
            PoolName::Max => Self::Max,
            PoolName::MeanStd => Self::MeanStd,
            PoolName::ClassToken => Self::ClassToken,
            PoolName::ClassTokenMean => Self::ClassTokenMean,
        }
    }
}

fn parse_format(text: &str) -> Result<Format, String> {
    text.parse::<Format>().map_err(|error| error.to_string())
}

fn parse_window(text: &str) -> Result<WindowLength, String> {
    if text == "whole" {
        return Ok(WindowLength::Whole);
    }
    let seconds = text.parse().map_err(|_| format!("`{text}` is not a window: expected seconds or `whole`"))?;
    Ok(WindowLength::Seconds(seconds))
}

/// Far more windows, labels or passes than make sense; a larger number is a typing mistake.
const MAXIMUM_COUNT: usize = 4096;

/// More cores than machines have.
const MAXIMUM_THREADS: usize = 1024;

fn parse_count(text: &str) -> Result<usize, String> {
    parse_number(text, MAXIMUM_COUNT)
}

fn parse_threads(text: &str) -> Result<usize, String> {
    parse_number(text, MAXIMUM_THREADS)
}

fn parse_number(text: &str, maximum: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=maximum).contains(number));
    number.ok_or_else(|| format!("`{text}`: expected a number from 1 to {maximum}"))
}
