//! HuBERT, MERT, data2vec and music2vec as encoders.

use burn::tensor::{Device, Tensor, TensorData};
use solfa_kernels::Arithmetic;
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{Encoder, EncoderSpec, Tail, sha256_hex};
use solfa_signal::features::Cqt;

use super::input::stacked_samples;
use super::network::{HiddenState, Network, layer_specs, planned_hidden_states};
use super::precision::identity_at;
use crate::checkpoint::WaveformTransformerModel;
use crate::model::{AttentionObserver, TransformerConfig};
use crate::plan::WaveformTransformerPlan;

/// Raised whenever this encoder starts to give other numbers for the same weights and the same waveform.
const NUMERICS_VERSION: u32 = 2;

/// What published evaluations give these models at once (MARBLE, arXiv:2306.10548), though they were trained on shorter
/// clips: MERT on 5 s.
const DEFAULT_WINDOW_SECONDS: f64 = 30.0;

/// Added to the variance, as Hugging Face's `Wav2Vec2FeatureExtractor` does.
const VARIANCE_FLOOR: f64 = 1e-7;

/// A clip at mean 0 and variance 1; its variance is that of the clip itself, not an estimate of a larger population's.
fn normalized(clip: &Waveform) -> Waveform {
    let samples = clip.samples();
    let count = samples.len() as f64;
    let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count;
    let variance = samples.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>() / count;
    let deviation = (variance + VARIANCE_FLOOR).sqrt();
    let samples = samples.iter().map(|&sample| ((f64::from(sample) - mean) / deviation) as f32).collect();
    Waveform::new(samples, clip.sample_rate())
}

impl WaveformTransformerModel {
    /// The same model for inference on the processor.
    pub fn into_plan(self, arithmetic: Arithmetic) -> WaveformTransformerModel<WaveformTransformerPlan> {
        let Self { name, sample_rate, is_normalized, cqt, network, config, weights_sha256, notes } = self;
        let network =
            WaveformTransformerPlan::new(network, &config, arithmetic.for_width(config.transformer.hidden_size));
        WaveformTransformerModel { name, sample_rate, is_normalized, cqt, network, config, weights_sha256, notes }
    }

    /// The network's input: the clips as they are, or normalised; and the magnitudes of a constant-Q transform where the
    /// model has one.
    ///
    /// # Shapes
    /// - clips: all of the same number of samples
    /// - output: `[clips, samples]`, and `[clips, frames, bins]`
    ///
    /// # Panics
    /// If the clips have different lengths or are at another rate.
    pub fn inputs(&self, clips: &[Waveform], device: &Device) -> (Tensor<2>, Option<Tensor<3>>) {
        waveform_inputs(clips, self.is_normalized, self.cqt.as_ref(), device)
    }
}

/// See [`WaveformTransformerModel::inputs`].
pub(super) fn waveform_inputs(
    clips: &[Waveform],
    is_normalized: bool,
    cqt: Option<&Cqt>,
    device: &Device,
) -> (Tensor<2>, Option<Tensor<3>>) {
    let clips: Vec<Waveform> = clips.iter().map(|clip| prepared(clip, is_normalized)).collect();
    let magnitudes = cqt.map(|cqt| {
        let frames: Vec<_> = clips.iter().map(|clip| cqt.compute(clip)).collect();
        let shape = [clips.len(), frames.first().map_or(0, |frames| frames.num_frames()), cqt.config().num_bins];
        let values: Vec<f32> = frames.iter().flat_map(|frames| frames.data().iter().copied()).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    });
    (stacked_samples(&clips, device), magnitudes)
}

/// A clip as it is, or normalised.
fn prepared(clip: &Waveform, is_normalized: bool) -> Waveform {
    if is_normalized { normalized(clip) } else { clip.clone() }
}

impl<N> WaveformTransformerModel<N> {
    fn spec(&self) -> EncoderSpec {
        let frontend = &self.config.frontend;
        let transformer = &self.config.transformer;
        let hop_samples = frontend.hop_samples();
        let receptive_samples = frontend.receptive_samples();
        let layers =
            layer_specs("front end", "transformer layer", transformer.num_layers, transformer.hidden_size, hop_samples);
        let cqt = self.cqt.as_ref().map_or("none", |cqt| &cqt.spec().identity);
        let identity = format!(
            "{} {NUMERICS_VERSION}\nrate={}\nnormalized={}\ncqt={cqt}\nconfig={:?}\nweights={}\n",
            self.name, self.sample_rate, self.is_normalized, self.config, self.weights_sha256
        );
        EncoderSpec {
            name: self.name.into(),
            identity: sha256_hex(identity),
            weights_sha256: Some(self.weights_sha256.clone()),
            sample_rate: self.sample_rate,
            layers,
            minimum_samples: receptive_samples,
            maximum_samples: None,
            clip_samples: None,
            edge_samples: receptive_samples.saturating_sub(hop_samples),
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: Some(transformer.num_heads),
            context_samples: None,
            default_window_seconds: DEFAULT_WINDOW_SECONDS,
            default_tail: Tail::Overlap,
        }
    }
}

impl Network for WaveformTransformerModel {
    fn encoder_spec(&self) -> EncoderSpec {
        self.spec()
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let (waveforms, extra_features) = self.inputs(clips, device);
        let hidden_states = self.network.forward(waveforms, extra_features, None, last_layer, observer);
        hidden_states.into_iter().map(HiddenState::from).collect()
    }
}

impl Network for WaveformTransformerModel<WaveformTransformerPlan> {
    fn encoder_spec(&self) -> EncoderSpec {
        let mut spec = self.spec();
        spec.identity = identity_at(self.network.arithmetic().precision(), spec.identity);
        spec
    }

    fn hidden_states(
        &self,
        clips: &[Waveform],
        device: &Device,
        last_layer: usize,
        observer: AttentionObserver<'_>,
    ) -> Vec<HiddenState> {
        let TransformerConfig { hidden_size, num_heads, .. } = self.config.transformer;
        planned_hidden_states(clips, hidden_size, num_heads, device, observer, |clip, watch| {
            let clip = prepared(clip, self.is_normalized);
            let magnitudes = self.cqt.as_ref().map(|cqt| cqt.compute(&clip));
            let extra_features = magnitudes.as_ref().map(|frames| frames.data());
            self.network.hidden_states(clip.samples(), extra_features, last_layer, watch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalized_clip_has_mean_0_and_variance_1() {
        let clip = Waveform::new(vec![1.0, 2.0, 3.0, 6.0], 16_000);
        let expected = [-2.0, -1.0, 0.0, 3.0].map(|value: f64| (value / (3.5f64 + 1e-7).sqrt()) as f32);
        assert_eq!(normalized(&clip).samples(), expected);
        assert_eq!(normalized(&Waveform::new(vec![0.25; 9], 16_000)).samples(), [0.0; 9]);
    }
}
