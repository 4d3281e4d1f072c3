//! MuQ-MuLan's released layout: `config.json`, and the weights of both towers in one checkpoint.
//!
//! `OpenMuQ/MuQ-MuLan-large` and whatever the package `muq` saves. Zhu et al. 2025, arXiv:2501.01108. The sizes of the
//! towers are not in it: they stand in the configurations of the two models that it was made of, MuQ and XLM-RoBERTa,
//! which it names. Of those models only the configurations and the tokenizer are read, never the weights.

use std::path::{Component, Path, PathBuf};

use burn::tensor::Device;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use solfa_signal::encoder::Encoder;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::json::read_object;
use super::muq::{self, MuqConfig};
use super::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_size};
use super::strict::StrictLoader;
use super::xlm_roberta::{self, XlmRobertaFile};
use super::{CheckpointError, FindModel, KeyTable, TensorSource, TextTokenizer, Tower, folder_of, source};
use crate::model::{
    JointSpaceHead, JointSpaceHeadConfig, MelConformer, MulanConfig, QueryKeyNormTransformerConfig, XlmRoberta,
};

/// The rate that MuQ works at, in Hz.
const SAMPLE_RATE: u32 = 24_000;
/// Far above the published 10 s: a longer clip in a file is damage, and would only exhaust the memory.
const LARGEST_CLIP_SECONDS: f64 = 600.0;
/// Far above the published 4.
const LARGEST_FEED_FORWARD_MULTIPLE: usize = 64;

/// A text model and a music model that share a space.
pub struct MulanModel {
    /// Sound to the joint space.
    pub audio: MulanAudio,
    /// Text to the joint space.
    pub text: MulanText,
    /// Sizes, and what determines the vectors beside the weights.
    pub config: MulanConfig,
    /// What cosines were multiplied with in training, one over the temperature, for shares by softmax; none where the
    /// checkpoint does not say.
    pub logit_scale: Option<f64>,
    /// SHA-256 of the weight files, as in [`MelConformerModel::weights_sha256`](super::MelConformerModel).
    pub weights_sha256: String,
}

/// The audio tower: MuQ, of which one hidden state goes on to the joint space.
pub struct MulanAudio {
    /// The mel spectrogram that MuQ was trained on, in dB.
    pub mel: MelSpectrogram,
    /// Mean of MuQ's training data's mel spectrograms, in dB.
    pub mel_mean: f32,
    /// Standard deviation of the same, in dB.
    pub mel_deviation: f32,
    /// MuQ.
    pub network: MelConformer,
    /// From MuQ's hidden state to the joint space.
    pub head: JointSpaceHead,
}

/// The text tower: XLM-RoBERTa, of which the last hidden state goes on to the joint space.
pub struct MulanText {
    /// Text to tokens.
    pub tokenizer: TextTokenizer,
    /// XLM-RoBERTa.
    pub network: XlmRoberta,
    /// From XLM-RoBERTa's hidden state to the joint space.
    pub head: JointSpaceHead,
}

/// What the three `config.json` say, and where the tokenizer is.
#[derive(Clone, Debug)]
pub(super) struct MulanFile {
    config: MulanConfig,
    mel_mean: f32,
    mel_deviation: f32,
    text: XlmRobertaFile,
    /// The folder of the text model.
    text_folder: PathBuf,
}

/// The joint space. The file's other fields are about losses.
#[derive(Debug, Deserialize)]
struct MulanFields {
    sr: u32,
    clip_secs: f64,
    dim_latent: usize,
    #[serde(default = "projects_to_latents")]
    proj_to_latent: bool,
    #[serde(default = "l2_norm")]
    norm_type: String,
}

fn projects_to_latents() -> bool {
    true
}

fn l2_norm() -> String {
    "l2norm".into()
}

/// The model that a tower begins with.
#[derive(Debug, Deserialize)]
struct ModelFields {
    name: String,
    #[serde(default)]
    model_dim: Option<usize>,
    /// Read for the audio tower only: the reference takes the text model's last hidden state whatever stands here.
    #[serde(default = "last_layer")]
    use_layer_idx: i64,
}

fn last_layer() -> i64 {
    -1
}

/// The transformer on top. `max_seq_len` of the text tower has no effect in the reference: what cuts a text is XLM-
/// RoBERTa's table of positions.
#[derive(Debug, Deserialize)]
struct TransformerFields {
    dim: usize,
    tf_depth: usize,
    #[serde(default = "eight")]
    heads: usize,
    #[serde(default = "sixty_four")]
    dim_head: usize,
    #[serde(default = "four")]
    ff_mult: usize,
}

fn eight() -> usize {
    8
}

fn sixty_four() -> usize {
    64
}

fn four() -> usize {
    4
}

impl MulanFile {
    /// Reads `config.json` and the configurations of the two models that it names.
    pub(super) fn read(path: &Path, find_model: FindModel<'_>) -> Result<Self, CheckpointError> {
        let config_error = |reason: String| CheckpointError::Config { path: path.to_owned(), reason };
        let file: Map<String, Value> = read_object(path, "MuQ-MuLan's configuration")?;
        let joint: MulanFields = section(&file, "mulan").map_err(config_error)?;
        let audio_model: ModelFields = section(&file, "audio_model").map_err(config_error)?;
        let text_model: ModelFields = section(&file, "text_model").map_err(config_error)?;
        let audio_transformer: TransformerFields = section(&file, "audio_transformer").map_err(config_error)?;
        let text_transformer: TransformerFields = section(&file, "text_transformer").map_err(config_error)?;

        let find = |field: &str, name: &str, tower: Tower| {
            model_folder(folder_of(path), name, tower, find_model)
                .map_err(|reason| config_error(format!("{field}.name: {reason}")))
        };
        let audio_config = find("audio_model", &audio_model.name, Tower::Audio)?.join("config.json");
        let text_folder = find("text_model", &text_model.name, Tower::Text)?;
        let text_config = text_folder.join("config.json");
        let audio = MuqConfig::read(&audio_config)?;
        let text = XlmRobertaFile::read(&text_config)?;

        let clip_samples = clip_samples(&joint).map_err(config_error)?;
        let audio_layer = hidden_state(audio_model.use_layer_idx, audio.network.conformer.num_layers)
            .map_err(|reason| config_error(format!("audio_model.use_layer_idx: {reason}")))?;
        let audio_dim = audio.network.conformer.hidden_size;
        check_width("audio_model", audio_model.model_dim, ("encoder_dim", audio_dim, &audio_config))
            .map_err(config_error)?;
        // The package leaves out the text tower's projection where it need not change the width.
        let has_text_projection = text_model.model_dim.is_some_and(|dim| dim != text_transformer.dim);
        let text_input = if has_text_projection { text_model.model_dim } else { Some(text_transformer.dim) };
        let text_field = if has_text_projection { "text_model" } else { "text_transformer" };
        let text_dim = text.network.hidden_size;
        check_width(text_field, text_input, ("hidden_size", text_dim, &text_config)).map_err(config_error)?;
        let head = |prefix: &str, input_dim, has_projection, fields: &TransformerFields| {
            let transformer =
                transformer(fields).map_err(|reason| config_error(format!("{prefix}_transformer.{reason}")))?;
            Ok(JointSpaceHeadConfig { input_dim, has_projection, transformer, latent_dim: joint.dim_latent })
        };
        let config = MulanConfig {
            clip_samples,
            audio_layer,
            audio_head: head("audio", audio_dim, true, &audio_transformer)?,
            audio_network: audio.network,
            text_head: head("text", text_dim, has_text_projection, &text_transformer)?,
            text_network: text.network.clone(),
        };
        Ok(Self { config, mel_mean: audio.mel_mean, mel_deviation: audio.mel_deviation, text, text_folder })
    }
}

/// One object of the configuration.
fn section<T: DeserializeOwned>(file: &Map<String, Value>, name: &str) -> Result<T, String> {
    match file.get(name) {
        Some(Value::Object(fields)) => {
            serde_json::from_value(Value::Object(fields.clone())).map_err(|fault| format!("{name}: {fault}"))
        }
        Some(found) => Err(format!("{name}: expected an object, found {found}")),
        None => Err(format!("{name}: expected an object, found no such entry")),
    }
}

/// The folder of a model that the configuration names: beside the configuration under the whole name or its last part,
/// else wherever `find_model` says.
fn model_folder(beside: &Path, name: &str, tower: Tower, find_model: FindModel<'_>) -> Result<PathBuf, String> {
    let name_path = Path::new(name);
    // A name that leads out of the folder is not followed there; what it means is for `find_model` to say.
    let is_below = !name.is_empty() && name_path.components().all(|part| matches!(part, Component::Normal(_)));
    let candidates: Vec<PathBuf> = if is_below {
        let last = name_path.file_name().unwrap_or_default();
        [beside.join(name_path), beside.join(last)].into()
    } else {
        Vec::new()
    };
    if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
        return Ok(folder.clone());
    }
    find_model(name, tower).map_err(|reason| {
        let looked_for = match candidates.first() {
            Some(folder) => format!("folder {}", folder.display()),
            None => "name of a folder beside it".into(),
        };
        let found = source::list_names(beside);
        format!("expected the {looked_for} with the configuration of `{name}`, found {found}; elsewhere: {reason}")
    })
}

/// The clips' length in samples.
fn clip_samples(joint: &MulanFields) -> Result<usize, String> {
    if joint.sr != SAMPLE_RATE {
        return Err(format!("mulan.sr: expected {SAMPLE_RATE}, MuQ's sample rate, found {}", joint.sr));
    }
    if !joint.proj_to_latent {
        return Err("mulan.proj_to_latent: expected true, found false".into());
    }
    if joint.norm_type != l2_norm() {
        return Err(format!("mulan.norm_type: expected \"l2norm\", found {:?}", joint.norm_type));
    }
    check_size("mulan.dim_latent", joint.dim_latent, LARGEST_WIDTH)?;
    let samples = joint.clip_secs * f64::from(SAMPLE_RATE);
    let is_possible = joint.clip_secs > 0.0 && joint.clip_secs <= LARGEST_CLIP_SECONDS && samples.fract() == 0.0;
    let minimum = MelSpectrogram::new(MelConfig::muq()).map_err(|error| error.to_string())?.spec().minimum_samples;
    if !is_possible || (samples as usize) < minimum {
        return Err(format!(
            "mulan.clip_secs: expected a whole number of samples at {SAMPLE_RATE} Hz, from {minimum} samples to \
             {LARGEST_CLIP_SECONDS} seconds, found {} seconds",
            joint.clip_secs
        ));
    }
    Ok(samples as usize)
}

/// The number of a hidden state that may be counted from the end: -1 is the last.
fn hidden_state(index: i64, num_layers: usize) -> Result<usize, String> {
    let num_states = num_layers as i64 + 1;
    let number = if index < 0 { num_states.checked_add(index) } else { Some(index) };
    number.filter(|number| (0..num_states).contains(number)).map(|number| number as usize).ok_or_else(|| {
        format!("expected {} to {num_layers}, found {index}: the model has {num_layers} layers", -num_states)
    })
}

/// Checks the width that a tower expects of its model against the model's own configuration.
fn check_width(section: &str, expected: Option<usize>, model: (&str, usize, &Path)) -> Result<(), String> {
    let (name, found, path) = model;
    if expected == Some(found) {
        return Ok(());
    }
    let field = if section.ends_with("_model") { "model_dim" } else { "dim" };
    let expected = expected.map_or("nothing".into(), |width| width.to_string());
    Err(format!("{section}.{field}: expected {name} {found} of {}, found {expected}", path.display()))
}

/// The sizes of a transformer; an error begins with the field's name.
fn transformer(fields: &TransformerFields) -> Result<QueryKeyNormTransformerConfig, String> {
    let &TransformerFields { dim, tf_depth, heads, dim_head, ff_mult } = fields;
    check_size("dim", dim, LARGEST_WIDTH)?;
    // The released audio tower has no layers at all.
    if tf_depth > LARGEST_DEPTH {
        return Err(format!("tf_depth: expected 0 to {LARGEST_DEPTH}, found {tf_depth}"));
    }
    check_size("heads", heads, LARGEST_WIDTH)?;
    check_size("dim_head", dim_head, LARGEST_WIDTH / heads)?;
    check_size("ff_mult", ff_mult, LARGEST_FEED_FORWARD_MULTIPLE)?;
    let intermediate_size = dim * ff_mult * 2 / 3;
    if intermediate_size == 0 {
        return Err(format!("dim: expected two thirds of ff_mult {ff_mult} times it to be 1 or more, found {dim}"));
    }
    Ok(QueryKeyNormTransformerConfig {
        dim,
        num_layers: tf_depth,
        num_heads: heads,
        head_dim: dim_head,
        intermediate_size,
        has_norm_biases: false,
    })
}

/// Tensors that neither tower uses.
const UNUSED: &[(&str, &str)] = &[
    ("mulan.contrast.*", "the contrastive loss of training, of which only the temperature is read"),
    ("mulan.multi_layer_contrastive_learning.*", "heads of an optional loss of training"),
    ("mulan.audio_layers_indices", "belongs to an optional loss of training"),
    ("mulan.text_layers_indices", "belongs to an optional loss of training"),
    ("mulan.audio.aggregator.*", "declared by the reference and never read by its forward pass"),
    ("*.num_batches_tracked", "a counter of batch norm's training"),
    ("mulan.audio.model.model.cls_token", "declared by the reference and never read by its forward pass"),
    (
        "mulan.audio.model.model.conformer.pos_conv_embed.*",
        "declared by the reference and never read: positions are rotary",
    ),
    ("mulan.audio.model.model.recon_proj.*", "head of an optional reconstruction loss of MuQ's pre-training"),
    ("mulan.audio.model.model.rvq.*", "MuQ's tokenizer, a target of its pre-training: the joint space has no tokens"),
    ("mulan.audio.model.model.quantizer_melspec_2048.*", "the same, in a MuQ with random projections"),
    ("*.norm.gamma", "a buffer that the reference reads only where no scale is learned"),
    ("*.1.0.gamma", "the same in a feed-forward module"),
    ("mulan.text.model.pooler.*", "the reference takes the last hidden state, and not what the pooler makes of it"),
    ("mulan.text.model.embeddings.position_ids", "counts from 0; older versions of the library stored it"),
];

const AUDIO_NETWORK: KeyTable = KeyTable { prefix: "mulan.audio.model.model.", unused: UNUSED, ..muq::NETWORK };
const AUDIO_HEAD: HeadTables = HeadTables {
    projection: "mulan.audio.proj.",
    transformer: "mulan.audio.transformer.",
    to_latents: "mulan.audio_to_latents.",
};
const TEXT_NETWORK: KeyTable = KeyTable { prefix: "mulan.text.model.", ..xlm_roberta::NETWORK };
const TEXT_HEAD: HeadTables = HeadTables {
    projection: "mulan.text.proj.",
    transformer: "mulan.text.transformer.",
    to_latents: "mulan.text_to_latents.",
};

/// Where the parts of a head lie.
struct HeadTables {
    projection: &'static str,
    transformer: &'static str,
    to_latents: &'static str,
}

/// The names of a transformer's tensors. The feed-forward module is a numbered sequence in the file.
const TRANSFORMER: KeyTable = KeyTable {
    prefix: "",
    segments: &[
        ("attention", "0"),
        ("query", "to_q"),
        ("key_value", "to_kv"),
        ("output", "to_out.0"),
        ("query_scale", "q_scale"),
        ("key_scale", "k_scale"),
        ("feed_forward", "1"),
        ("input_norm", "0"),
        ("expand", "1"),
        ("contract", "4"),
        ("gamma", "learned_gamma"),
    ],
    unused: &[],
};

fn fill_head(loader: &mut StrictLoader<'_>, head: JointSpaceHead, tables: &HeadTables) -> JointSpaceHead {
    let linear = |prefix| KeyTable { prefix, segments: &[], unused: &[] };
    JointSpaceHead {
        projection: head.projection.map(|projection| loader.fill(projection, linear(tables.projection))),
        transformer: loader.fill(head.transformer, KeyTable { prefix: tables.transformer, ..TRANSFORMER }),
        to_latents: loader.fill(head.to_latents, linear(tables.to_latents)),
    }
}

/// Builds both towers from their tensors.
pub(super) fn load(file: &MulanFile, source: &TensorSource, device: &Device) -> Result<MulanModel, CheckpointError> {
    let MulanFile { config, mel_mean, mel_deviation, text, text_folder } = file;
    let (tokenizer_path, config_path) = (text_folder.join("tokenizer.json"), text_folder.join("config.json"));
    let tokenizer = TextTokenizer::read(&tokenizer_path, text, &config_path)?;
    let mut config = config.clone();
    for (head, tables) in [(&mut config.audio_head, AUDIO_HEAD), (&mut config.text_head, TEXT_HEAD)] {
        let name = format!("{}layers.0.0.norm.beta", tables.transformer);
        head.transformer.has_norm_biases = source.shape(&name).is_some();
    }
    let mut loader = StrictLoader::new(source);
    let audio_network = loader.fill(MelConformer::new(&config.audio_network, device), AUDIO_NETWORK);
    let audio_head = fill_head(&mut loader, JointSpaceHead::new(&config.audio_head, device), &AUDIO_HEAD);
    let text_network = loader.fill(XlmRoberta::new(&config.text_network, device), TEXT_NETWORK);
    let text_head = fill_head(&mut loader, JointSpaceHead::new(&config.text_head, device), &TEXT_HEAD);
    loader.finish()?;
    let mel = MelSpectrogram::new(MelConfig::muq())
        .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })?;
    Ok(MulanModel {
        audio: MulanAudio {
            mel,
            mel_mean: *mel_mean,
            mel_deviation: *mel_deviation,
            network: audio_network,
            head: audio_head,
        },
        text: MulanText { tokenizer, network: text_network, head: text_head },
        config,
        logit_scale: logit_scale(source)?,
        weights_sha256: source.sha256()?,
    })
}

/// Where the contrastive loss keeps the logarithm of what it multiplies cosines with.
const TEMPERATURE: &str = "mulan.contrast.temperatures";

fn logit_scale(source: &TensorSource) -> Result<Option<f64>, CheckpointError> {
    let is_one_number = source.shape(TEMPERATURE).is_some_and(|shape| shape.iter().all(|&size| size == 1));
    if !is_one_number || source.type_other_than_float(TEMPERATURE).is_some() {
        return Ok(None);
    }
    let values = source.read(TEMPERATURE)?.try_to_vec::<f32>().unwrap_or_default();
    let scale = values.first().map(|&logarithm| f64::from(logarithm).exp());
    Ok(scale.filter(|scale| scale.is_finite() && *scale > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_states_count_from_both_ends() {
        for (index, expected) in [(-1, Some(12)), (-13, Some(0)), (0, Some(0)), (12, Some(12)), (-2, Some(11))] {
            assert_eq!(hidden_state(index, 12).ok(), expected, "{index}");
        }
        for index in [13, -14, i64::MIN, i64::MAX] {
            assert!(hidden_state(index, 12).unwrap_err().contains("expected -13 to 12"), "{index}");
        }
    }

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let beside = parent.path().join("checkpoint");
        for folder in ["checkpoint/tower", "elsewhere"] {
            fs_err::create_dir_all(parent.path().join(folder)).unwrap();
        }
        let absolute = parent.path().join("elsewhere").to_string_lossy().into_owned();
        let asked = std::cell::RefCell::new(Vec::new());
        let find_model = |name: &str, _: Tower| -> Result<PathBuf, String> {
            asked.borrow_mut().push(name.to_owned());
            Err("nowhere".into())
        };
        assert_eq!(model_folder(&beside, "tower", Tower::Audio, &find_model), Ok(beside.join("tower")));
        assert_eq!(model_folder(&beside, "SomeOrg/tower", Tower::Audio, &find_model), Ok(beside.join("tower")));
        assert!(asked.borrow().is_empty());
        for name in ["", ".", "..", "../elsewhere", "tower/../../elsewhere", "tower/..", "/", &absolute] {
            let reason = model_folder(&beside, name, Tower::Text, &find_model).unwrap_err();
            assert!(reason.contains("found tower; elsewhere: nowhere"), "{name}: {reason}");
            assert_eq!(asked.borrow_mut().pop().as_deref(), Some(name));
        }
    }
}
