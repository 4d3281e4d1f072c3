//! From `--model` and `--device` to an encoder.

use std::path::Path;

use anyhow::Context;
use solfa_learn::checkpoint::{Checkpoint, LoadedModel};
use solfa_learn::device::{Device, DeviceChoice};
use solfa_learn::embed;
use solfa_signal::encoder::Encoder;
use solfa_signal::features;

use crate::arguments::ModelArguments;
use crate::terminal::{self, UsageError};

/// What is used where no model is named.
const DEFAULT_MODEL: &str = "mel";

/// Clips in one pass on a graphics processor, unless `--batch` says otherwise.
const GRAPHICS_BATCH: usize = 8;

/// An encoder that is ready, and what metadata call it.
pub(crate) struct NamedEncoder {
    /// The name of a built-in model, or of a checkpoint's folder or file.
    pub(crate) name: String,
    pub(crate) encoder: Box<dyn Encoder>,
    /// Windows to encode in one call, unless `--batch` says otherwise.
    pub(crate) default_batch: usize,
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
    if let Some(encoder) = builtin(name, arguments.device)? {
        return Ok(NamedEncoder { name: name.to_owned(), encoder, default_batch: rayon::current_num_threads() });
    }
    let NamedModel { name, model, device } = load(name, arguments.device)?;
    let encoder = embed::encoder(model, device, batch.unwrap_or(GRAPHICS_BATCH));
    let default_batch = if arguments.device == DeviceChoice::Cpu { 1 } else { GRAPHICS_BATCH };
    Ok(NamedEncoder { name, encoder, default_batch })
}

fn builtin(name: &str, device: DeviceChoice) -> anyhow::Result<Option<Box<dyn Encoder>>> {
    // A checkpoint of that name in the current folder is meant by `./mel`.
    if !features::BUILTIN_NAMES.contains(&name) {
        return Ok(None);
    }
    if device != DeviceChoice::Cpu {
        return Err(UsageError(format!("`{name}` runs on the CPU only: leave out --device {}", device.name())).into());
    }
    Ok(features::builtin(name))
}

/// A checkpoint's model on its device, and what metadata call it.
pub(crate) struct NamedModel {
    /// The name of the checkpoint's folder or file.
    pub(crate) name: String,
    pub(crate) model: LoadedModel,
    pub(crate) device: Device,
}

/// Loads a checkpoint.
pub(crate) fn load(model: &str, device: DeviceChoice) -> anyhow::Result<NamedModel> {
    let path = Path::new(model);
    if !path.exists() {
        let builtin = features::BUILTIN_NAMES.join(", ");
        return Err(UsageError(format!(
            "--model {model}: neither a built-in model ({builtin}) nor a folder or file that exists"
        ))
        .into());
    }
    let device = device.open()?;
    let model = Checkpoint::open(path).and_then(|checkpoint| checkpoint.load(&device));
    let model = model.context("the model cannot be loaded")?;
    Ok(NamedModel { name: name_of(path), model, device })
}

/// The last part of a path that says something.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
