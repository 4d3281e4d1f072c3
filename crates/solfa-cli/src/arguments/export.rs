//! What can be typed after `solfa export`.

use std::path::PathBuf;

use clap::Args;
use solfa_learn::checkpoint::ExportFormat;

const EXAMPLES: &str = "\
Examples:
  solfa export --model runs/muq --output muq-of-mine              MuQ's layout, for the package `muq` and for this program
  solfa export --model runs/hubert --output hubert-of-mine        for `transformers`: HubertModel.from_pretrained
  solfa export --model mert-v1-95m --format hubert-hf -o mert     MERT as a plain HuBERT, without code of its own
  solfa export --model MusicFM/pretrained_msd.pt -o musicfm       a .pt file with its statistics
  solfa embed --model muq-of-mine music/                          what was written is a model like any other

Layouts:
  muq-hf       MuQ: config.json, model.safetensors
  musicfm      MusicFM: pretrained_musicfm.pt, musicfm_stats.json, and the sizes in a config.json
  hubert-hf    HuBERT, as the library transformers has it: config.json, preprocessor_config.json, model.safetensors
  mert-hf      the same with MERT's fields; its class is in code of the release
  data2vec-hf  data2vec and music2vec, as the library transformers has them
  mert2-hf     MERT v2: config.json, model.safetensors
  multi-view   the multi-view ResNets: contrastive.pt, barlow_twins.pt, feature_stats.pt, byol.pt or clustering.pt
  mulan-hf     MuQ-MuLan, with folders for the configurations of its two models and the tokenizer
  vit1d        ViT-1D: config.json, model.safetensors

Weights are written as 32-bit floats. The export gives the same vectors and tokens as the model, bit for bit. What a
model does not use is not kept: heads of pre-training, teachers, counters.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    /// The model: a name (see `solfa models`), a repository `hf:ORG/NAME[@REVISION]`, or a checkpoint's folder or file
    #[arg(short, long, value_name = "NAME|hf:ORG/NAME|DIR|FILE")]
    pub(crate) model: String,

    /// The folder to write; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// The layout [default: the one that the model's kind is published in]
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<ExportFormat>,

    /// Write into a folder that holds a checkpoint already, and replace files of the same names
    #[arg(long)]
    pub(crate) force: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
