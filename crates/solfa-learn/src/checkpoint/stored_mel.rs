//! The window and the filter bank of a mel spectrogram that a checkpoint stores beside its weights: what is stored is
//! what counts.

use solfa_signal::features::{MelConfig, MelSpectrogram};

use super::strict::StrictLoader;
use super::{CheckpointError, TensorSource};

/// What was found in a file, until it is known that everything in it fits.
pub(super) struct StoredMel {
    config: MelConfig,
    window: Vec<f32>,
    filters: Vec<f32>,
}

impl StoredMel {
    /// Takes the window and the filters by their names; what is wrong with them is for
    /// [`finish`](StrictLoader::finish) to say.
    pub(super) fn take(loader: &mut StrictLoader<'_>, config: MelConfig, window: &str, filters: &str) -> Self {
        let window = loader.take(window, &[config.stft.window_samples]).unwrap_or_default();
        let filters = loader.take(filters, &[config.stft.num_bins(), config.num_mels]).unwrap_or_default();
        Self { config, window, filters }
    }

    /// The spectrogram, once the loader has finished.
    ///
    /// # Errors
    /// Values that are no window or no filters.
    pub(super) fn spectrogram(self, source: &TensorSource) -> Result<MelSpectrogram, CheckpointError> {
        MelSpectrogram::from_stored(self.config, &self.window, &self.filters)
            .map_err(|error| CheckpointError::Config { path: source.files()[0].clone(), reason: error.to_string() })
    }
}
