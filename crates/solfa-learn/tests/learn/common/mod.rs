//! What the integration tests share: golden cases, models on the test device, and checkpoints written anew.

pub(crate) mod weights;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors};
use solfa_kernels::{Arithmetic, Precision};
use solfa_learn::checkpoint::{Checkpoint, CheckpointError, LoadedModel, MelConformerModel};
use solfa_learn::device::DeviceChoice;
use solfa_signal::audio::Waveform;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

pub(crate) fn device() -> Device {
    DeviceChoice::Cpu.open().unwrap()
}

pub(crate) fn load(path: &Path) -> MelConformerModel {
    try_load(path).unwrap_or_else(|error| panic!("{error}"))
}

/// A model of the MusicFM and MuQ family.
pub(crate) fn try_load(path: &Path) -> Result<MelConformerModel, CheckpointError> {
    let LoadedModel::MelConformer(model) = Checkpoint::open(path)?.load(&device())? else {
        panic!("{}: a model of another family", path.display())
    };
    Ok(*model)
}

/// One tensor of a golden file. Integers are small enough to be exact.
#[derive(Clone)]
pub(crate) struct GoldenTensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl GoldenTensor {
    /// The values of one item of the batch, the first dimension.
    pub(crate) fn item(&self, index: usize) -> &[f32] {
        let size = self.values.len() / self.shape[0];
        &self.values[index * size..(index + 1) * size]
    }
}

pub(crate) fn tensors(path: &Path) -> HashMap<String, GoldenTensor> {
    let bytes = fs_err::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
                Dtype::I64 => view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f32).collect(),
                other => panic!("{name}: {other:?} in a golden file"),
            };
            (name.to_owned(), GoldenTensor { shape: view.shape().to_vec(), values })
        })
        .collect()
}

/// The waveforms of a golden case.
pub(crate) fn clips(inputs: &HashMap<String, GoldenTensor>, sample_rate: u32) -> Vec<Waveform> {
    let wav = &inputs["wav"];
    (0..wav.shape[0]).map(|item| Waveform::new(wav.item(item).to_vec(), sample_rate)).collect()
}

/// Checks that loading failed, with a message that has all these parts in it.
#[track_caller]
pub(crate) fn assert_error<T>(result: Result<T, CheckpointError>, parts: &[&str]) -> CheckpointError {
    let Err(error) = result else { panic!("loaded; expected an error with {parts:?}") };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    error
}

/// The machine's fastest way of multiplying in single precision.
pub(crate) fn single_precision() -> Arithmetic {
    Arithmetic::new(Precision::F32)
}
