//! MuQ-MuLan's `config.json`, and the sizes of its towers, which stand in the configurations of the two models that it
//! names.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use solfa_signal::encoder::Encoder;
use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::named_model::model_folder;
use crate::checkpoint::json::read_object;
use crate::checkpoint::muq::MuqConfig;
use crate::checkpoint::sizes::{LARGEST_DEPTH, LARGEST_WIDTH, check_size};
use crate::checkpoint::xlm_roberta::XlmRobertaFile;
use crate::checkpoint::{CheckpointError, FindModel, Tower, folder_of};
use crate::model::{
    JointSpaceHeadConfig, MelConformerConfig, MulanConfig, QueryKeyNormTransformerConfig, XlmRobertaConfig,
};

/// The rate that MuQ works at, in Hz.
pub(in crate::checkpoint) const SAMPLE_RATE: u32 = 24_000;
/// Far above the published 10 s: a longer clip in a file is damage, and would only exhaust the memory.
const LARGEST_CLIP_SECONDS: f64 = 600.0;
/// Far above the published 4.
pub(in crate::checkpoint) const LARGEST_FEED_FORWARD_MULTIPLE: usize = 64;

/// What the three `config.json` say, and where the tokenizer is.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct MulanFile {
    pub(super) config: MulanConfig,
    pub(super) mel_mean: f32,
    pub(super) mel_deviation: f32,
    pub(super) text: XlmRobertaFile,
    /// The folder of the text model.
    pub(super) text_folder: PathBuf,
    /// The names of the audio model and of the text model.
    pub(super) model_names: [String; 2],
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
    /// Sizes of the text tower's network.
    pub(in crate::checkpoint) fn text_network(&self) -> &XlmRobertaConfig {
        &self.config.text_network
    }

    /// Reads `config.json` and the configurations of the two models that it names.
    pub(in crate::checkpoint) fn read(path: &Path, find_model: FindModel<'_>) -> Result<Self, CheckpointError> {
        let config_error = |reason: String| CheckpointError::Config { path: path.to_owned(), reason };
        let file: Map<String, Value> = read_object(path, "MuQ-MuLan's configuration")?;
        let sections = Sections::of(&file).map_err(config_error)?;
        let find = |field: &str, name: &str, tower: Tower| {
            model_folder(folder_of(path), name, tower, find_model)
                .map_err(|reason| config_error(format!("{field}.name: {reason}")))
        };
        let audio_config = find("audio_model", &sections.audio_model.name, Tower::Audio)?.join("config.json");
        let text_folder = find("text_model", &sections.text_model.name, Tower::Text)?;
        let text_config = text_folder.join("config.json");
        let audio = MuqConfig::read(&audio_config)?;
        let text = XlmRobertaFile::read(&text_config)?;
        let config =
            sections.resolve((&audio.network, &audio_config), (&text.network, &text_config)).map_err(config_error)?;
        let model_names = [sections.audio_model.name, sections.text_model.name];
        let MuqConfig { mel_mean, mel_deviation, .. } = audio;
        Ok(Self { config, mel_mean, mel_deviation, text, text_folder, model_names })
    }
}

/// What a reader makes of configurations that are yet to be written: MuQ-MuLan's own, MuQ's and XLM-RoBERTa's.
pub(in crate::checkpoint) fn config_of_json(own: Value, audio: Value, text: Value) -> Result<MulanConfig, String> {
    let own: Map<String, Value> = serde_json::from_value(own).map_err(|fault| fault.to_string())?;
    let (audio, text) = (MuqConfig::of_json(audio)?, XlmRobertaFile::of_json(text)?);
    let beside = Path::new("config.json");
    Sections::of(&own)?.resolve((&audio.network, beside), (&text.network, beside))
}

/// The objects of the file.
struct Sections {
    joint: MulanFields,
    audio_model: ModelFields,
    text_model: ModelFields,
    audio_transformer: TransformerFields,
    text_transformer: TransformerFields,
}

impl Sections {
    fn of(file: &Map<String, Value>) -> Result<Self, String> {
        Ok(Self {
            joint: section(file, "mulan")?,
            audio_model: section(file, "audio_model")?,
            text_model: section(file, "text_model")?,
            audio_transformer: section(file, "audio_transformer")?,
            text_transformer: section(file, "text_transformer")?,
        })
    }

    /// The sizes, given those of the two models, each with the file that they stand in.
    fn resolve(
        &self,
        (audio, audio_config): (&MelConformerConfig, &Path),
        (text, text_config): (&XlmRobertaConfig, &Path),
    ) -> Result<MulanConfig, String> {
        let Self { joint, audio_model, text_model, audio_transformer, text_transformer } = self;
        let clip_samples = clip_samples(joint)?;
        let audio_layer = hidden_state(audio_model.use_layer_idx, audio.conformer.num_layers)
            .map_err(|reason| format!("audio_model.use_layer_idx: {reason}"))?;
        let audio_dim = audio.conformer.hidden_size;
        check_width("audio_model", audio_model.model_dim, ("encoder_dim", audio_dim, audio_config))?;
        // The package leaves out the text tower's projection where it need not change the width.
        let has_text_projection = text_model.model_dim.is_some_and(|dim| dim != text_transformer.dim);
        let text_input = if has_text_projection { text_model.model_dim } else { Some(text_transformer.dim) };
        let text_field = if has_text_projection { "text_model" } else { "text_transformer" };
        let text_dim = text.hidden_size;
        check_width(text_field, text_input, ("hidden_size", text_dim, text_config))?;
        let head = |prefix: &str, input_dim, has_projection, fields: &TransformerFields| {
            let transformer = transformer(fields).map_err(|reason| format!("{prefix}_transformer.{reason}"))?;
            Ok::<_, String>(JointSpaceHeadConfig {
                input_dim,
                has_projection,
                transformer,
                latent_dim: joint.dim_latent,
            })
        };
        Ok(MulanConfig {
            clip_samples,
            audio_layer,
            audio_head: head("audio", audio_dim, true, audio_transformer)?,
            audio_network: audio.clone(),
            text_head: head("text", text_dim, has_text_projection, text_transformer)?,
            text_network: text.clone(),
        })
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
}
