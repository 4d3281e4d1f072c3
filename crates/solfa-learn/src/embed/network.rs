//! Any network as an encoder: clips to passes, tensors to frames.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{
    AttentionMaps, EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice, LayerFrames, LayerSpec, check_clips,
    check_finite,
};
use solfa_signal::extract::Batching;
use solfa_signal::frames::Frames;

use crate::model::AttentionObserver;
use crate::plan::WeightsObserver;

/// A loaded network that an [`Encoder`] can be made of.
pub trait Network: Send + Sync {
    /// What the encoder says of itself.
    fn encoder_spec(&self) -> EncoderSpec;

    /// The hidden states of layers `0..=last_layer` of clips of equal length, in one pass. The clips fit the
    /// specification: [`check_clips`] has passed. On the processor it runs for several clips at once, on rayon's threads:
    /// nothing that a call holds locked may be held while it waits for work that it has given to rayon.
    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState>;
}

/// One layer's output.
#[derive(Clone, Debug)]
pub struct HiddenState {
    /// `[clips, frames, dim]`
    pub frames: Tensor<3>,
    /// `[clips, dim]`, for a network with a class token.
    pub class_token: Option<Tensor<2>>,
}

impl From<Tensor<3>> for HiddenState {
    /// Frames without a class token.
    fn from(frames: Tensor<3>) -> Self {
        Self { frames, class_token: None }
    }
}

/// The layers of a network whose layers all have one width and rate: `input`, then `layer 1`, `layer 2` and so on.
pub(super) fn layer_specs(
    input: &str,
    layer: &str,
    num_layers: usize,
    dim: usize,
    hop_samples: usize,
) -> Vec<LayerSpec> {
    let name = |number: usize| if number == 0 { input.to_owned() } else { format!("{layer} {number}") };
    (0..=num_layers).map(|number| LayerSpec { name: name(number), dim, hop_samples }).collect()
}

/// Hidden states, `dim` wide, of clips of equal length by a plan, which takes one clip at a time and gives its layers one
/// by one.
pub(super) fn planned_hidden_states(
    clips: &[Waveform],
    dim: usize,
    num_heads: usize,
    device: &Device,
    mut observer: AttentionObserver<'_>,
    run: impl Fn(&Waveform, WeightsObserver<'_>) -> Vec<Vec<f32>>,
) -> Vec<HiddenState> {
    let runs = clips.iter().map(|clip| {
        let Some(observer) = &mut observer else { return run(clip, None) };
        let mut show = |layer: usize, weights: Vec<f32>| {
            let num_frames = (weights.len() / num_heads).isqrt();
            let shape = [1, num_heads, num_frames, num_frames];
            observer(layer, Tensor::from_data(TensorData::new(weights, shape), device));
        };
        run(clip, Some(&mut show))
    });
    let mut clips_of_layers: Vec<Vec<Tensor<3>>> = Vec::new();
    for layers in runs {
        clips_of_layers.resize_with(layers.len(), Vec::new);
        for (clips, values) in clips_of_layers.iter_mut().zip(layers) {
            let shape = [1, values.len() / dim, dim];
            clips.push(Tensor::from_data(TensorData::new(values, shape), device));
        }
    }
    clips_of_layers
        .into_iter()
        .map(|mut clips| if clips.len() == 1 { clips.swap_remove(0) } else { Tensor::cat(clips, 0) }.into())
        .collect()
}

/// A network on a device, as an [`Encoder`].
///
/// On the processor every clip is its own pass, so a clip gives the same bits whatever it is batched with. One clip of 30
/// s keeps all cores busy; of shorter ones, as many as have 30 s together run at once ([`samples_at_once`]). On other
/// devices clips of equal length share a pass. Clips of different lengths never do: the convolutions would mix padding
/// into the result.
pub struct NetworkEncoder<N> {
    network: N,
    device: Device,
    passes: Passes,
    spec: EncoderSpec,
}

/// Which clips are worked on together.
#[derive(Clone, Copy)]
enum Passes {
    /// Each in a pass of its own, those of a call at once.
    AtOnce(Batching),
    /// Those of a call in one pass.
    Together(Batching),
}

/// Samples of the clips that are encoded at once on the processor, where each alone has fewer: those of 30 s, so that
/// memory is that of one long window.
pub fn samples_at_once(sample_rate: u32) -> usize {
    const SECONDS: usize = 30;
    SECONDS.saturating_mul(sample_rate as usize)
}

impl<N: Network> NetworkEncoder<N> {
    /// Wraps a network that was loaded on `device`. `clips_per_pass` is the largest number of clips in one pass where
    /// the device is not the processor.
    pub fn new(network: N, device: Device, clips_per_pass: usize) -> Self {
        let spec = network.encoder_spec();
        let passes = if device == Device::flex() {
            Passes::AtOnce(Batching::any_lengths(usize::MAX, samples_at_once(spec.sample_rate)))
        } else {
            Passes::Together(Batching::equal_lengths(clips_per_pass))
        };
        Self { network, device, passes, spec }
    }

    /// The network.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The chosen layers of clips of equal length, in one pass.
    fn pass(&self, clips: &[Waveform], layers: &[usize]) -> Result<LayerBatch, EncodeError> {
        let last_layer = layers.last().copied().unwrap_or(0);
        let hidden_states = self.network.hidden_states(clips, &self.device, last_layer, None);
        let chosen = hidden_states.into_iter().enumerate().filter(|(layer, _)| layers.contains(layer));
        let layer_frames = |(layer, HiddenState { frames, class_token }): (usize, HiddenState)| {
            let [num_clips, num_frames, dim] = frames.dims();
            let rate = self.spec.frames_per_second(layer);
            let values = read_back(frames, layer)?;
            let clips = if num_clips == 1 {
                vec![Frames::new(values, num_frames, dim, rate)]
            } else {
                let clips = values.chunks_exact(num_frames * dim);
                clips.map(|values| Frames::new(values.to_vec(), num_frames, dim, rate)).collect()
            };
            let class_tokens = match class_token {
                Some(class_token) => read_back(class_token, layer)?.chunks_exact(dim).map(<[f32]>::to_vec).collect(),
                None => Vec::new(),
            };
            Ok(LayerFrames { layer, clips, class_tokens })
        };
        Ok(LayerBatch { layers: chosen.map(layer_frames).collect::<Result<_, _>>()? })
    }

    /// The chosen layers of every clip, pass by pass.
    fn passes(&self, clips: &[Waveform], layers: &[usize]) -> Result<Vec<LayerBatch>, EncodeError> {
        match self.passes {
            Passes::Together(batching) => batching.calls(clips).map(|clips| self.pass(clips, layers)).collect(),
            Passes::AtOnce(batching) => {
                let mut passes = Vec::with_capacity(clips.len());
                for clips in batching.calls(clips) {
                    match clips {
                        [_] => passes.push(self.pass(clips, layers)?),
                        _ => {
                            let at_once = clips.par_chunks(1).map(|clip| self.pass(clip, layers));
                            passes.extend(at_once.collect::<Result<Vec<_>, _>>()?);
                        }
                    }
                }
                Ok(passes)
            }
        }
    }
}

/// A tensor's values in the processor's memory.
fn read_back<const D: usize>(tensor: Tensor<D>, layer: usize) -> Result<Vec<f32>, EncodeError> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .map_err(|error| EncodeError::Device(format!("layer {layer} cannot be read back: {error:?}")))
}

impl<N: Network> Encoder for NetworkEncoder<N> {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&self, clips: &[Waveform], layers: &LayerChoice) -> Result<LayerBatch, EncodeError> {
        let layers = layers.resolve(self.spec.layers.len())?;
        check_clips(&self.spec, clips)?;
        let no_frames = |&layer: &usize| LayerFrames { layer, clips: Vec::new(), class_tokens: Vec::new() };
        let mut batch = LayerBatch { layers: layers.iter().map(no_frames).collect() };
        for pass in self.passes(clips, &layers)? {
            for (all, found) in batch.layers.iter_mut().zip(pass.layers) {
                all.clips.extend(found.clips);
                all.class_tokens.extend(found.class_tokens);
            }
        }
        check_finite(&batch)?;
        Ok(batch)
    }

    fn attention_maps(
        &self,
        clip: &Waveform,
        layers: &LayerChoice,
        visit: &mut dyn FnMut(AttentionMaps) -> ControlFlow<()>,
    ) -> Result<(), EncodeError> {
        if self.spec.attention_heads.is_none() {
            return Err(EncodeError::NoAttention { name: self.spec.name.clone() });
        }
        let layers = layers.resolve(self.spec.layers.len())?;
        check_clips(&self.spec, std::slice::from_ref(clip))?;
        let mut outcome = Ok(ControlFlow::Continue(()));
        let mut observer = |layer: usize, weights: Tensor<4>| {
            if layers.contains(&layer) && matches!(outcome, Ok(ControlFlow::Continue(()))) {
                let [_, num_heads, num_tokens, _] = weights.dims();
                outcome = read_back(weights, layer)
                    .map(|weights| visit(AttentionMaps { layer, num_heads, num_tokens, weights }));
            }
        };
        let last_layer = layers.last().copied().unwrap_or(0);
        self.network.hidden_states(std::slice::from_ref(clip), &self.device, last_layer, Some(&mut observer));
        outcome.map(|_| ())
    }
}
