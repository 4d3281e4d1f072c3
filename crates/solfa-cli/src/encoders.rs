//! From `--model` and `--device` to an encoder.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::Context;
use solfa_hub::catalogue::{self, KnownModel, MODELS, Source};
use solfa_hub::hub::Hub;
use solfa_hub::reference::{HUB_PREFIX, HubFiles, ModelReference, ReferenceError, RepositoryReference, nearest_names};
use solfa_hub::settings::HubSettings;
use solfa_hub::wanted::Wanted;
use solfa_kernels::{Arithmetic, InstructionSet, Precision};
use solfa_learn::checkpoint::{Checkpoint, LoadedModel, Tower, Untrained};
use solfa_learn::device::{Device, DeviceChoice};
use solfa_learn::embed::{self, PrecisionError};
use solfa_signal::encoder::{Encoder, EncoderSpec};
use solfa_signal::extract::Batching;
use solfa_signal::features;

use crate::arguments::ModelArguments;
use crate::terminal::{self, Downloads, UsageError};

/// What is used where no model is named.
const DEFAULT_MODEL: &str = "mel";

/// Clips in one pass on a graphics processor, unless `--batch` says otherwise.
pub(crate) const GRAPHICS_BATCH: usize = 8;

/// An encoder that is ready, and what metadata call it.
pub(crate) struct NamedEncoder {
    /// The name of a built-in model, or as [`NamedModel::name`].
    pub(crate) name: String,
    pub(crate) encoder: Box<dyn Encoder>,
    /// Windows to encode in one call.
    pub(crate) batching: Batching,
}

/// Opens the model that was asked for.
pub(crate) fn open(arguments: &ModelArguments, batch: Option<usize>) -> anyhow::Result<NamedEncoder> {
    let name = arguments.model.as_deref().unwrap_or_else(|| {
        terminal::note(
            "no --model given: using `mel`, hand-made features without training (the default until this project ships \
             trained weights)",
        );
        DEFAULT_MODEL
    });
    if let Some(encoder) = builtin(name, arguments.device, arguments.dtype)? {
        let batching = Batching::any_lengths(batch.unwrap_or_else(rayon::current_num_threads), usize::MAX);
        return Ok(NamedEncoder { name: name.to_owned(), encoder, batching });
    }
    let NamedModel { name, model, device } = load(name, arguments.device)?;
    let clips_per_pass = batch.unwrap_or(GRAPHICS_BATCH);
    let encoder = embed::encoder(model, device, clips_per_pass, arithmetic(arguments.dtype)?).map_err(unavailable)?;
    let batching = network_batching(arguments.device, encoder.spec(), batch);
    Ok(NamedEncoder { name, encoder, batching })
}

/// Windows to encode in one call for a network: on a graphics processor those that make one pass, on the CPU as many as
/// there are threads, where they are short.
pub(crate) fn network_batching(device: DeviceChoice, spec: &EncoderSpec, batch: Option<usize>) -> Batching {
    match device {
        DeviceChoice::Cpu => {
            let clips = batch.unwrap_or_else(rayon::current_num_threads);
            Batching::any_lengths(clips, embed::samples_at_once(spec.sample_rate))
        }
        DeviceChoice::Vulkan | DeviceChoice::Cuda => Batching::equal_lengths(batch.unwrap_or(GRAPHICS_BATCH)),
    }
}

/// The environment variable that keeps to plainer instructions than the processor has: `plain`, `avx2`, `avx512`,
/// `avx512bf16` or `amx`.
const INSTRUCTIONS: &str = "SOLFA_INSTRUCTIONS";

/// The fastest way to multiply here, unless the environment asks for a plainer one.
pub(crate) fn arithmetic(precision: Precision) -> anyhow::Result<Arithmetic> {
    let Some(name) = std::env::var_os(INSTRUCTIONS) else { return Ok(Arithmetic::new(precision)) };
    let name = name.to_string_lossy();
    let set: InstructionSet = name.parse().map_err(|error| UsageError(format!("{INSTRUCTIONS}: {error}")))?;
    if !set.is_available() {
        let best = InstructionSet::best().name();
        return Err(UsageError(format!("{INSTRUCTIONS}: this processor has no {name}, its richest is {best}")).into());
    }
    Ok(Arithmetic::with_instructions(set, precision))
}

/// That a model does not compute in the type of numbers that was asked for: another command line is needed.
pub(crate) fn unavailable(error: PrecisionError) -> UsageError {
    UsageError(error.to_string())
}

fn builtin(name: &str, device: DeviceChoice, precision: Precision) -> anyhow::Result<Option<Box<dyn Encoder>>> {
    // A checkpoint of that name in the current folder is meant by `./mel`.
    if !features::BUILTIN_NAMES.contains(&name) {
        return Ok(None);
    }
    if device != DeviceChoice::Cpu {
        return Err(UsageError(format!("`{name}` runs on the CPU only: leave out --device {}", device.name())).into());
    }
    if precision != Precision::F32 {
        return Err(
            UsageError(format!("`{name}` is computed in one precision only: leave out --dtype {precision}")).into()
        );
    }
    Ok(features::builtin(name))
}

/// A checkpoint's model on its device, and what metadata call it.
pub(crate) struct NamedModel {
    /// The short name of a known model, the name of a repository on the hub, or that of a checkpoint's folder or file.
    pub(crate) name: String,
    pub(crate) model: LoadedModel,
    pub(crate) device: Device,
}

/// Loads a checkpoint, from where it lies or from the hub.
pub(crate) fn load(model: &str, device: DeviceChoice) -> anyhow::Result<NamedModel> {
    if features::BUILTIN_NAMES.contains(&model) {
        let reason = format!("--model {model}: hand-made features cannot do this: give a trained model");
        return Err(UsageError(reason).into());
    }
    if let Some(text) = model.strip_prefix(UNTRAINED_PREFIX) {
        return untrained(model, text, device);
    }
    let hub = LazyHub::default();
    let Located { path, name, known } = locate(model, &hub)?;
    if let Some(known) = known {
        note_licence(known);
    }
    let device = device.open()?;
    let companion = |name: &str, tower: Tower| hub.companion(name, tower);
    let model = Checkpoint::open_with(&path, &companion).and_then(|checkpoint| checkpoint.load(&device));
    let model = model.context("the model cannot be loaded")?;
    model.notes().iter().for_each(|note| terminal::note(note));
    Ok(NamedModel { name, model, device })
}

/// What a network that has learned nothing is asked for by: `untrained:muq`, or `untrained:muq@7` for another seed; or
/// `untrained:RUN` for the network of a run before its training.
const UNTRAINED_PREFIX: &str = "untrained:";

fn untrained(model: &str, text: &str, device: DeviceChoice) -> anyhow::Result<NamedModel> {
    let wrong = |reason: String| UsageError(format!("--model {model}: {reason}"));
    let (name, seed) = text.split_once('@').unwrap_or((text, "0"));
    let seed = seed.parse().map_err(|_| wrong(format!("expected a whole number as the seed, found `{seed}`")))?;
    let device = device.open()?;
    let loaded = match name.parse::<Untrained>() {
        Ok(architecture) => architecture.load(seed, &device),
        Err(_) if Path::new(name).exists() => Checkpoint::open(Path::new(name))
            .and_then(|checkpoint| checkpoint.load_untrained(seed, &device))
            .with_context(|| format!("--model {model}"))?,
        Err(reason) => return Err(wrong(format!("{reason}, or the folder of a run")).into()),
    };
    Ok(NamedModel { name: model.to_owned(), model: loaded, device })
}

/// A checkpoint's files on this machine.
struct Located {
    path: PathBuf,
    name: String,
    known: Option<&'static KnownModel>,
}

/// Finds the files of what was typed after `--model`: a known name, `hf:ORG/NAME`, or a path. A folder that has the name
/// of a known model is meant by `./` before it.
fn locate(model: &str, hub: &LazyHub) -> anyhow::Result<Located> {
    let is_named = model.starts_with(HUB_PREFIX) || catalogue::find(model).is_some();
    let path = Path::new(model);
    if !is_named && path.exists() {
        return Ok(Located { path: path.to_owned(), name: name_of(path), known: of_cached_path(path) });
    }
    let reference = model.parse::<ModelReference>().map_err(|error| unknown_model(model, &error))?;
    let files = reference.files().map_err(|error| UsageError(format!("--model {model}: {error}")))?;
    let known = match &reference {
        ModelReference::Known(known) => Some(*known),
        ModelReference::Repository(repository) => of_repository(repository.name()),
    };
    let path = hub.fetch(&files)?;
    Ok(Located { path, name: reference.to_string(), known })
}

/// That nothing is called so, with the nearest names among the catalogue and the built-in models.
fn unknown_model(model: &str, error: &ReferenceError) -> UsageError {
    let is_path = model.contains(['/', '\\']) || Path::new(model).extension().is_some();
    match error {
        ReferenceError::Unknown { .. } if is_path => {
            UsageError(format!("--model {model}: no such folder or file; a repository on the hub is hf:ORG/NAME"))
        }
        // The error's own suggestions leave out what is built in.
        ReferenceError::Unknown { .. } => {
            let known = MODELS.iter().map(|known| known.id).chain(features::BUILTIN_NAMES);
            let hint = match nearest_names(model, known).as_slice() {
                [] => String::new(),
                nearest => format!("; did you mean {}?", nearest.join(" or ")),
            };
            UsageError(format!(
                "--model {model}: neither a known model (see `solfa models`) nor a folder or file{hint}"
            ))
        }
        error => UsageError(format!("--model {model}: {error}")),
    }
}

/// The known model that a repository holds.
fn of_repository(name: &str) -> Option<&'static KnownModel> {
    MODELS.iter().find(|known| matches!(known.source, Source::Hub { repository, .. } if repository == name))
}

/// The known model whose files lie at a path in the hub's cache: its folder is called `models--ORG--NAME`.
fn of_cached_path(path: &Path) -> Option<&'static KnownModel> {
    let path = path.canonicalize().ok()?;
    let folder = path.components().find_map(|part| part.as_os_str().to_str()?.strip_prefix("models--"))?;
    of_repository(&folder.replacen("--", "/", 1))
}

/// Says once what a model's weights may be used for, where that is not for everything.
fn note_licence(known: &KnownModel) {
    if known.licence.non_commercial() {
        let name = known.licence.name();
        terminal::note(&format!("the weights of {} are under {name}: not for commercial use", known.title));
    } else if !known.licence.is_stated() {
        terminal::note(&format!("the weights of {} come without a stated licence: ask their authors", known.title));
    }
}

/// The hub, as the environment describes it, made when it is first needed.
#[derive(Default)]
pub(crate) struct LazyHub(OnceCell<Hub>);

impl LazyHub {
    pub(crate) fn get(&self) -> anyhow::Result<&Hub> {
        if let Some(hub) = self.0.get() {
            return Ok(hub);
        }
        let home = std::env::home_dir();
        let settings = HubSettings::from_variables(|name| std::env::var(name).ok(), home.as_deref())?;
        let hub = Hub::new(settings)?;
        Ok(self.0.get_or_init(|| hub))
    }

    fn fetch(&self, files: &HubFiles) -> anyhow::Result<PathBuf> {
        let mut downloads = Downloads::default();
        let path = self.get()?.fetch(files, &mut downloads);
        downloads.finish();
        Ok(path?)
    }

    /// The folder of a model that another one's configuration names; its weights are not wanted.
    fn companion(&self, name: &str, tower: Tower) -> Result<PathBuf, String> {
        let repository = RepositoryReference::new(name, None).map_err(|error| error.to_string())?;
        let wanted = match tower {
            Tower::Audio => Wanted::Configuration,
            Tower::Text => Wanted::ConfigurationAndTokenizer,
        };
        self.fetch(&HubFiles { repository, wanted }).map_err(|error| terminal::describe(&error))
    }
}

/// The last part of a path that says something.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
