//! What can be typed after `solfa pretrain`.

use std::path::PathBuf;

use clap::Args;
use solfa_learn::device::DeviceChoice;
use solfa_signal::audio::Resampler;

use super::ThreadArguments;

const EXAMPLES: &str = "\
Examples:
  solfa pretrain configs/muq-tiny.toml --data synth: --output runs/look          music that is made on the fly
  solfa pretrain configs/muq.toml --data ~/music --output runs/mine
  solfa pretrain configs/resnet-byol.toml --data packed --output runs/byol --set training.steps=20000
  solfa pretrain configs/mel-rvq.toml --data ~/music --output runs/rvq --from-model runs/mine --layer 9
  solfa pretrain --resume --output runs/mine                                     goes on where it stopped
  solfa embed --model runs/mine song.mp3                                         a run is a model at any time

The recipes are mel-rvq, muq, muq-iter, musicfm, musichubert, mert, music2vec, vit1d-contrastive, resnet-contrastive,
resnet-byol, resnet-clustering, resnet-barlow, resnet-vicreg and mulan; configs/ has each in its published size and, as
-tiny, in one for a small machine. docs/recipes says what each does.

Ctrl-C saves a checkpoint and ends; a second one ends at once. `solfa report RUN` draws the curves.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PretrainArguments {
    /// The configuration: a TOML file
    /// [with --resume: that of the run]
    #[arg(value_name = "CONFIG", required_unless_present = "resume")]
    pub(crate) config: Option<PathBuf>,

    /// What to learn from: a folder, an audio file, a manifest, a folder of `solfa data pack`, or `synth:`
    /// [with --resume: what the run has learned from]
    #[arg(long, value_name = "DATA", required_unless_present = "resume")]
    pub(crate) data: Option<String>,

    /// The folder of the run, which is made
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Go on with the run in the folder
    #[arg(long)]
    pub(crate) resume: bool,

    /// Updates in all; short for --set training.steps=N
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,

    /// Change a key of the configuration; can be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) changes: Vec<String>,

    /// For mel-rvq: quantise a layer of this model instead of spectrograms
    #[arg(long, value_name = "MODEL", requires = "layer")]
    pub(crate) from_model: Option<String>,

    /// The layer of --from-model; 9 in MuQ
    #[arg(long, value_name = "N", requires = "from_model")]
    pub(crate) layer: Option<usize>,

    /// Probe the encoder every N updates (a multiple of training.checkpoint_every), into the run's folder `probes`
    #[arg(long, value_name = "N")]
    pub(crate) probe_every: Option<u64>,

    /// What is probed: `bundled` (some minutes each time), or a TOML file as for `solfa probe --suite`
    #[arg(long, value_name = "bundled|FILE.toml", default_value = "bundled", requires = "probe_every")]
    pub(crate) probe_suite: String,

    /// Where to compute: cpu, vulkan or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceChoice,

    /// How recordings are brought to the encoder's sample rate [default: the program's; with --resume: that of the run]
    #[arg(long, value_name = "NAME")]
    pub(crate) resampler: Option<Resampler>,

    /// Print a summary as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,
}
