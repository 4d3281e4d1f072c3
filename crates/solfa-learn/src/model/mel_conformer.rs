//! The network that MusicFM and MuQ share: a mel spectrogram, convolutional subsampling, a conformer, and a head that
//! predicts tokens.
//!
//! Won et al. 2023 (MusicFM), arXiv:2311.03318; Zhu et al. 2025 (MuQ), arXiv:2501.01108, sec. 3. The two differ in what
//! they predict ([`crate::targets`]), not in the network.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{AttentionObserver, Conformer, ConformerConfig, Conv2dSubsampling, linear_layer};

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConformerConfig {
    /// Bands of the spectrogram; a multiple of 4.
    pub num_mels: usize,
    /// Channels of the convolutional front end.
    pub conv_channels: usize,
    /// Strides over time of the front end's two blocks: `[2, 2]` for 25 frames per second, `[2, 1]` for 50.
    pub time_strides: [usize; 2],
    /// The conformer.
    pub conformer: ConformerConfig,
    /// Width of the head: all codes of all codebooks.
    pub num_logits: usize,
}

/// A mel spectrogram to all hidden states and to the logits of its tokens.
#[derive(Module, Debug)]
pub struct MelConformer {
    subsampling: Conv2dSubsampling,
    conformer: Conformer,
    head: Linear,
}

impl MelConformer {
    /// A network with random weights.
    pub fn new(config: &MelConformerConfig, device: &Device) -> Self {
        let hidden_size = config.conformer.hidden_size;
        Self {
            subsampling: Conv2dSubsampling::new(
                config.conv_channels,
                config.num_mels,
                config.time_strides,
                hidden_size,
                device,
            ),
            conformer: Conformer::new(&config.conformer, device),
            head: LinearConfig::new(hidden_size, config.num_logits).init(device),
        }
    }

    /// What hidden states are made by: the front end and the conformer.
    pub(crate) fn into_parts(self) -> (Conv2dSubsampling, Conformer) {
        (self.subsampling, self.conformer)
    }

    /// All hidden states: layer 0 is the front end's output, layer `i` the output of the `i`-th conformer layer, the
    /// last one normed. Layers beyond number `last_layer` are not computed.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`, normalised
    /// - every hidden state: `[batch, output frames, hidden_size]`
    /// - padding: `[batch, output frames]`, true where an output frame is padding. It reaches attention only: the
    ///   front end and the convolution modules see the padded frames, as in the reference, so a padded clip does not
    ///   give exactly what the clip alone gives
    pub fn forward(
        &self,
        spectrogram: Tensor<3>,
        padding: Option<Tensor<2, Bool>>,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<Tensor<3>> {
        self.conformer.forward(self.subsampling.forward(spectrogram), padding, last_layer, observer)
    }

    /// All hidden states of whole clips, where `hide` may change the front end's frames before the conformer sees them.
    ///
    /// # Shapes
    /// - spectrogram: `[batch, mels, frames]`, normalised
    /// - what `hide` is given and gives, and every hidden state: `[batch, output frames, hidden_size]`
    pub fn forward_hiding(&self, spectrogram: Tensor<3>, hide: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Vec<Tensor<3>> {
        self.conformer.forward(hide(self.subsampling.forward(spectrogram)), None, usize::MAX, None)
    }

    /// Which output frames are padding, from which samples are: every `samples / frames`-th sample decides, as in the
    /// reference.
    ///
    /// # Shapes
    /// - sample_padding: `[batch, samples]`, true where a sample is padding
    /// - output: `[batch, num_frames]`
    pub fn frame_padding(sample_padding: Tensor<2, Bool>, num_frames: usize) -> Tensor<2, Bool> {
        let [batch, samples] = sample_padding.dims();
        let step = samples / num_frames;
        // [batch, samples] -> [batch, frames, step], of which the first column
        let stepped = sample_padding.narrow(1, 0, num_frames * step).reshape([batch, num_frames, step]);
        stepped.narrow(2, 0, 1).reshape([batch, num_frames])
    }

    /// Logits of all codes of all codebooks, codebook after codebook.
    ///
    /// # Shapes
    /// - last_hidden_state: `[batch, frames, hidden_size]`
    /// - output: `[batch, frames, num_logits]`
    pub fn logits(&self, last_hidden_state: Tensor<3>) -> Tensor<3> {
        linear_layer(&self.head, last_hidden_state)
    }
}
