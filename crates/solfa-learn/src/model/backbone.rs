//! Any of the networks that can be pre-trained, behind one interface: what learns is one thing, and what it is asked another.
//!
//! Objectives on frames (masked prediction, a teacher's layers) take the hidden states; objectives on clips (contrastive
//! and the like) take one vector.

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};

use super::{
    MelConformer, MelConformerConfig, ModifiedResNet, ModifiedResNetConfig, Vit1d, Vit1dConfig, WaveformTransformer,
    WaveformTransformerConfig,
};

/// A network of any of the families.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a run, and it is mapped field by field")]
pub enum Backbone {
    /// MuQ's and MusicFM's.
    MelConformer(MelConformer),
    /// HuBERT's, data2vec's and MERT's.
    WaveformTransformer(WaveformTransformer),
    /// The multi-view study's.
    Resnet(ModifiedResNet),
    /// A transformer of spectrogram frames with a class token.
    Vit1d(Vit1d),
}

/// The sizes of a [`Backbone`].
#[derive(Clone, Debug, PartialEq)]
pub enum BackboneConfig {
    /// MuQ's and MusicFM's.
    MelConformer(MelConformerConfig),
    /// HuBERT's, data2vec's and MERT's.
    WaveformTransformer(WaveformTransformerConfig),
    /// The multi-view study's.
    Resnet(ModifiedResNetConfig),
    /// A transformer of spectrogram frames with a class token.
    Vit1d(Vit1dConfig),
}

/// What a backbone is shown of a batch of clips of one length.
#[derive(Clone, Debug)]
pub enum BackboneInput {
    /// `[clips, mels, frames]`, on the scale that the network is trained on.
    Spectrogram(Tensor<3>),
    /// Samples, and features that are put beside the convolutions' frames.
    Waveform {
        /// `[clips, samples]`
        samples: Tensor<2>,
        /// `[clips, frames or more, extra_dim]`
        extra_features: Option<Box<Tensor<3>>>,
    },
}

/// Frames that a learned vector stands for before the network looks at them.
#[derive(Clone, Debug)]
pub struct HiddenFrames {
    /// `[clips, frames]`, true where a frame is hidden.
    pub is_hidden: Tensor<2, Bool>,
    /// `[hidden_size]`
    pub embedding: Tensor<1>,
}

impl HiddenFrames {
    /// `[clips, frames, hidden_size]` in and out.
    fn apply(&self, frames: Tensor<3>) -> Tensor<3> {
        let [clips, num_frames, dim] = frames.dims();
        let is_hidden = self.is_hidden.clone().unsqueeze_dim::<3>(2).expand([clips, num_frames, dim]);
        let embedding = self.embedding.clone().reshape([1, 1, dim]).expand([clips, num_frames, dim]);
        frames.mask_where(is_hidden, embedding)
    }
}

/// What a backbone makes of a batch.
#[derive(Clone, Debug)]
pub struct BackboneOutput {
    /// Input of the first layer, then the output of every layer: `[clips, frames, hidden_size]` each. Empty for a network
    /// without frames.
    pub frames: Vec<Tensor<3>>,
    /// `[clips, dim]`: the class token or the embedding, for a network that has one.
    pub embedding: Option<Tensor<2>>,
    /// `[clips, frames, channels]`: what the convolutions over the waveform gave, before any norm.
    pub front_end: Option<Tensor<3>>,
    /// `[clips, frames, hidden_size]` for every layer: the feed-forward part's output before it is added to its input. Only
    /// of a waveform transformer.
    pub feed_forward: Vec<Tensor<3>>,
}

impl BackboneOutput {
    fn of_frames(frames: Vec<Tensor<3>>) -> Self {
        Self { frames, embedding: None, front_end: None, feed_forward: Vec::new() }
    }

    /// One vector a clip: the class token or the embedding, or else the mean of the last layer's frames. None of a network
    /// without layers.
    ///
    /// # Shapes
    /// - output: `[clips, dim]`
    pub fn into_clip_vectors(self) -> Option<Tensor<2>> {
        self.embedding.or_else(|| {
            let last = self.frames.into_iter().next_back()?;
            // [clips, frames, dim] -> [clips, dim]
            Some(last.mean_dim(1).squeeze_dim::<2>(1))
        })
    }
}

impl BackboneConfig {
    /// A network with random weights.
    pub fn init(&self, device: &Device) -> Backbone {
        match self {
            Self::MelConformer(config) => Backbone::MelConformer(MelConformer::new(config, device)),
            Self::WaveformTransformer(config) => {
                Backbone::WaveformTransformer(WaveformTransformer::new(config, device))
            }
            Self::Resnet(config) => Backbone::Resnet(ModifiedResNet::new(config, device)),
            Self::Vit1d(config) => Backbone::Vit1d(Vit1d::new(config, device)),
        }
    }

    /// Width of the frames; none for a network that has none.
    pub fn frame_dim(&self) -> Option<usize> {
        match self {
            Self::MelConformer(config) => Some(config.conformer.hidden_size),
            Self::WaveformTransformer(config) => Some(config.transformer.hidden_size),
            Self::Vit1d(config) => Some(config.hidden_size),
            Self::Resnet(_) => None,
        }
    }

    /// Width of [`BackboneOutput::into_clip_vectors`].
    pub fn clip_dim(&self) -> usize {
        match self {
            Self::Resnet(config) => config.embedding_size,
            framed => framed.frame_dim().unwrap_or_default(),
        }
    }

    /// Number of layers after the input of the first.
    pub fn num_layers(&self) -> usize {
        match self {
            Self::MelConformer(config) => config.conformer.num_layers,
            Self::WaveformTransformer(config) => config.transformer.num_layers,
            Self::Vit1d(config) => config.num_layers,
            Self::Resnet(config) => config.stage_depths.len(),
        }
    }
}

impl Backbone {
    /// All layers of a batch. `hidden` is for networks with frames; others are not told.
    ///
    /// # Panics
    /// If the input is not of the kind that the network takes.
    pub fn forward(&self, input: BackboneInput, hidden: Option<&HiddenFrames>) -> BackboneOutput {
        let hide = |frames: Tensor<3>| match hidden {
            Some(hidden) => hidden.apply(frames),
            None => frames,
        };
        match (self, input) {
            (Self::MelConformer(network), BackboneInput::Spectrogram(spectrogram)) => {
                BackboneOutput::of_frames(network.forward_hiding(spectrogram, hide))
            }
            (Self::WaveformTransformer(network), BackboneInput::Waveform { samples, extra_features }) => {
                let output = network.forward_hiding(samples, extra_features.map(|features| *features), hide);
                BackboneOutput {
                    frames: output.hidden_states,
                    embedding: None,
                    front_end: Some(output.front_end),
                    feed_forward: output.feed_forward,
                }
            }
            (Self::Resnet(network), BackboneInput::Spectrogram(spectrogram)) => {
                let embedding = network.forward(spectrogram, ModifiedResNet::EMBEDDING_LAYER).pop();
                BackboneOutput { frames: Vec::new(), embedding, front_end: None, feed_forward: Vec::new() }
            }
            (Self::Vit1d(network), BackboneInput::Spectrogram(spectrogram)) => {
                let layers = network.forward_hiding(spectrogram.swap_dims(1, 2), hide);
                // [clips, 1, dim] -> [clips, dim]
                let embedding = layers.last().map(|last| last.clone().narrow(1, 0, 1).squeeze_dim::<2>(1));
                let without_class_token = |tokens: Tensor<3>| {
                    let num_frames = tokens.dims()[1] - 1;
                    tokens.narrow(1, 1, num_frames)
                };
                let frames = layers.into_iter().map(without_class_token).collect();
                BackboneOutput { frames, embedding, front_end: None, feed_forward: Vec::new() }
            }
            (network, _) => panic!("{network} was given the input of another family"),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::device::test_device;
    use crate::model::{
        ConformerConfig, ConvolutionSize, FrontendNorm, NormPlacement, PositionalConvolutionConfig, TransformerConfig,
        WaveformFrontendConfig,
    };

    fn conformer() -> BackboneConfig {
        let conformer = ConformerConfig {
            hidden_size: 16,
            num_layers: 2,
            num_heads: 2,
            intermediate_size: 32,
            depthwise_kernel: 3,
            layer_norm_epsilon: 1e-5,
            rotary_base: 10_000.0,
        };
        BackboneConfig::MelConformer(MelConformerConfig {
            num_mels: 16,
            conv_channels: 4,
            time_strides: [2, 2],
            conformer,
            num_logits: 8,
        })
    }

    fn transformer() -> BackboneConfig {
        let convolution = |kernel, stride| ConvolutionSize { channels: 8, kernel, stride };
        BackboneConfig::WaveformTransformer(WaveformTransformerConfig {
            frontend: WaveformFrontendConfig {
                convolutions: vec![convolution(10, 5), convolution(4, 4)],
                has_bias: false,
                norm: FrontendNorm::ChannelsOfFirstLayer,
            },
            extra_dim: 0,
            has_projection_norm: true,
            positions: PositionalConvolutionConfig::WeightNormed { kernel: 5, groups: 2 },
            transformer: TransformerConfig {
                hidden_size: 16,
                num_layers: 2,
                num_heads: 2,
                intermediate_size: 32,
                layer_norm_epsilon: 1e-5,
                norm_placement: NormPlacement::After,
                deep_norm: false,
            },
        })
    }

    fn vit1d() -> BackboneConfig {
        BackboneConfig::Vit1d(Vit1dConfig {
            num_mels: 16,
            hidden_size: 16,
            num_layers: 2,
            num_heads: 2,
            intermediate_size: 32,
            ..Vit1dConfig::rotary()
        })
    }

    fn input(config: &BackboneConfig, device: &Device) -> BackboneInput {
        let normal = Distribution::Normal(0.0, 1.0);
        match config {
            BackboneConfig::WaveformTransformer(_) => {
                BackboneInput::Waveform { samples: Tensor::random([2, 400], normal, device), extra_features: None }
            }
            BackboneConfig::Resnet(config) => {
                BackboneInput::Spectrogram(Tensor::random([2, config.num_mels, config.num_frames], normal, device))
            }
            _ => BackboneInput::Spectrogram(Tensor::random([2, 16, 40], normal, device)),
        }
    }

    #[test]
    fn every_family_gives_one_vector_a_clip_and_frames_where_it_has_them() {
        let device = test_device();
        let resnet = BackboneConfig::Resnet(ModifiedResNetConfig {
            num_mels: 64,
            num_frames: 64,
            width: 4,
            stage_depths: [1, 1, 1, 1],
            num_heads: 2,
            embedding_size: 24,
        });
        for (config, num_frames) in [(conformer(), 10), (transformer(), 19), (vit1d(), 40), (resnet, 0)] {
            let output = config.init(&device).forward(input(&config, &device), None);
            let expected = config.frame_dim().map_or(0, |_| config.num_layers() + 1);
            assert_eq!(output.frames.len(), expected);
            for layer in &output.frames {
                assert_eq!(layer.dims(), [2, num_frames, 16]);
            }
            assert_eq!(output.into_clip_vectors().unwrap().dims(), [2, config.clip_dim()]);
        }
    }

    #[test]
    fn a_hidden_frame_cannot_be_told_from_another_hidden_frame() {
        let device = test_device();
        for config in [conformer(), transformer(), vit1d()] {
            let network = config.init(&device);
            let num_frames = network.forward(input(&config, &device), None).frames[0].dims()[1];
            let all = Tensor::<1, burn::tensor::Int>::ones([2 * num_frames], &device).reshape([2, num_frames]).bool();
            let hidden = HiddenFrames { is_hidden: all, embedding: Tensor::ones([16], &device) };
            let [first, second] = [(); 2].map(|()| {
                let output = network.forward(input(&config, &device), Some(&hidden));
                output.frames.last().unwrap().clone().into_data().try_to_vec::<f32>().unwrap()
            });
            assert_eq!(first, second, "all frames are hidden: the sound makes no difference");
            let shown = network.forward(input(&config, &device), None).frames.pop().unwrap();
            assert_ne!(first, shown.into_data().try_to_vec::<f32>().unwrap());
        }
    }
}
