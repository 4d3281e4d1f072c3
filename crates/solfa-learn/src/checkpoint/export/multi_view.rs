//! The multi-view study's layout, as written: one `.pt` file that is called after its method.
//!
//! Heads of pre-training, the teacher and the settings of the training program are not in a loaded model. The release's
//! own loader takes none of them.

use solfa_signal::features::MelConfig;

use super::check_same;
use crate::checkpoint::multi_view::TOP_LEVEL_KEY;
use crate::checkpoint::save::{CheckpointFolder, named_tensors};
use crate::checkpoint::{CheckpointError, MultiViewModel, NamedTensor, TensorValues};
use crate::model::ModifiedResNetConfig;

pub(super) fn check(model: &MultiViewModel) -> Result<(), String> {
    check_same("mel spectrogram", model.mel.config(), &MelConfig::multi_view())?;
    // What no tensor shows is the paper's.
    let &ModifiedResNetConfig { width, stage_depths, embedding_size, .. } = &model.config;
    let read = ModifiedResNetConfig { width, stage_depths, embedding_size, ..ModifiedResNetConfig::paper() };
    check_same("network", &model.config, &read)
}

pub(super) fn write(
    files: &mut CheckpointFolder,
    weights: &str,
    model: &MultiViewModel,
) -> Result<(), CheckpointError> {
    let layout = model.method.layout();
    let mut tensors = named_tensors(&model.network, layout.network);
    let (config, (window, filters)) = (model.mel.config(), model.mel.stored_parts());
    let filters_shape = vec![config.stft.num_bins(), config.num_mels];
    for (name, shape, values) in
        [(layout.window, vec![config.stft.window_samples], window), (layout.filters, filters_shape, filters)]
    {
        tensors.push(NamedTensor { name: name.into(), shape, values: TensorValues::Floats(values.into()) });
    }
    files.pytorch(weights, TOP_LEVEL_KEY, tensors)
}
