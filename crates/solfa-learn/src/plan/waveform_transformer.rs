//! The network of HuBERT, MERT, data2vec and music2vec, see [`crate::model::WaveformTransformer`].

use solfa_kernels::Arithmetic;
use solfa_kernels::memory::{Borrowed, borrow};
use solfa_kernels::product::Activation;

use super::linear::PackedLinear;
use super::positions::PositionsPlan;
use super::transformer::TransformerPlan;
use super::waveform_frontend::FrontendPlan;
use super::{Norm, WeightsObserver};
use crate::model::{TransformerConfig, WaveformTransformer, WaveformTransformerConfig};

/// A waveform to all hidden states, on the processor.
pub struct WaveformTransformerPlan {
    frontend: FrontendPlan,
    projection_norm: Option<Norm>,
    projection: PackedLinear,
    positions: PositionsPlan,
    transformer: TransformerPlan,
    frontend_dim: usize,
    extra_dim: usize,
    arithmetic: Arithmetic,
}

impl WaveformTransformerPlan {
    /// Takes a network apart: every weight is dropped when it is packed, so that memory never holds all of them twice.
    pub fn new(network: WaveformTransformer, config: &WaveformTransformerConfig, arithmetic: Arithmetic) -> Self {
        let WaveformTransformer { frontend, projection, encoder } = network;
        let TransformerConfig { hidden_size, layer_norm_epsilon, .. } = config.transformer;
        let positions = match (encoder.weight_normed_positions, encoder.stacked_positions) {
            (Some(module), _) => PositionsPlan::weight_normed(module, arithmetic),
            (None, Some(module)) => PositionsPlan::stacked(module, hidden_size, arithmetic),
            (None, None) => unreachable!("every configuration has positions"),
        };
        Self {
            frontend: FrontendPlan::new(frontend, arithmetic),
            projection_norm: projection.norm.map(|norm| Norm::new(norm, layer_norm_epsilon)),
            projection: PackedLinear::new(projection.linear, arithmetic),
            positions,
            transformer: TransformerPlan::new(encoder.norm, encoder.layers, &config.transformer, arithmetic),
            frontend_dim: config.frontend.dim(),
            extra_dim: config.extra_dim,
            arithmetic,
        }
    }

    /// The input of the first layer, then the output of every layer up to number `last_layer`, of one clip. Layers beyond
    /// it are not computed. `watch` is shown the attention weights of every layer.
    ///
    /// # Shapes
    /// - waveform: `[samples]`
    /// - extra_features: `[frames or more, extra_dim]`, of which the first frames are used
    /// - every hidden state: `[frames, hidden_size]`
    ///
    /// # Panics
    /// If extra features are absent where the network has them, or too few.
    pub fn hidden_states(
        &self,
        waveform: &[f32],
        extra_features: Option<&[f32]>,
        last_layer: usize,
        watch: WeightsObserver<'_>,
    ) -> Vec<Vec<f32>> {
        let mut features = self.features(waveform, extra_features);
        if let Some(norm) = &self.projection_norm {
            norm.apply_in_place(self.arithmetic.instruction_set(), &mut features, Activation::None);
        }
        let num_frames = features.len() / (self.frontend_dim + self.extra_dim);
        let mut hidden = vec![0.0; num_frames * self.projection.outputs()];
        self.projection.forward(&features, Activation::None, &mut hidden);
        drop(features);
        self.positions.add_to(self.arithmetic, &mut hidden);
        self.transformer.hidden_states(hidden, last_layer, watch)
    }

    /// How it multiplies.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Bytes of the packed weights.
    pub fn num_bytes(&self) -> usize {
        let packed = [self.frontend.num_bytes(), self.projection.num_bytes(), self.positions.num_bytes()];
        packed.iter().sum::<usize>() + self.transformer.num_bytes()
    }

    /// The front end's frames, with the extra features beside them.
    fn features(&self, waveform: &[f32], extra_features: Option<&[f32]>) -> Borrowed<f32> {
        let frames = self.frontend.forward(waveform);
        let Self { frontend_dim, extra_dim, .. } = *self;
        assert_eq!(extra_features.is_some(), extra_dim > 0, "extra features of width {extra_dim}");
        let Some(extra_features) = extra_features else { return frames };
        let num_frames = frames.len() / frontend_dim;
        assert!(extra_features.len() >= num_frames * extra_dim, "extra features of {num_frames} frames");
        let mut features = borrow::<f32>(num_frames * (frontend_dim + extra_dim));
        let sources = frames.chunks_exact(frontend_dim).zip(extra_features.chunks_exact(extra_dim));
        for (features, (frame, extra)) in features.chunks_exact_mut(frontend_dim + extra_dim).zip(sources) {
            let (left, right) = features.split_at_mut(frontend_dim);
            left.copy_from_slice(frame);
            right.copy_from_slice(extra);
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use crate::model::{
        ConvolutionSize, FrontendNorm, NormPlacement, PositionalConvolutionConfig, WaveformFrontendConfig,
    };
    use crate::plan::testing::{disturbed, noise, tolerance};
    use crate::plan::values;
    use burn::tensor::{Tensor, TensorData};
    use solfa_kernels::Precision;
    use solfa_signal::testing::{assert_close, assert_golden, cosine};

    const NUM_LAYERS: usize = 2;

    /// All that such a network may have, each in one of them at least; with widths that no vector length divides.
    fn variants() -> Vec<WaveformTransformerConfig> {
        let frontend = |channels: [usize; 3], has_bias, norm| WaveformFrontendConfig {
            convolutions: [(10, 5), (3, 2), (2, 2)]
                .into_iter()
                .zip(channels)
                .map(|((kernel, stride), channels)| ConvolutionSize { channels, kernel, stride })
                .collect(),
            has_bias,
            norm,
        };
        let transformer = |hidden_size, num_heads, intermediate_size, norm_placement, deep_norm| TransformerConfig {
            hidden_size,
            num_layers: NUM_LAYERS,
            num_heads,
            intermediate_size,
            layer_norm_epsilon: 1e-5,
            norm_placement,
            deep_norm,
        };
        let weight_normed = |kernel, groups| PositionalConvolutionConfig::WeightNormed { kernel, groups };
        let (channels, frames) = (FrontendNorm::ChannelsOfFirstLayer, FrontendNorm::FramesOfEveryLayer);
        let (after, before) = (NormPlacement::After, NormPlacement::Before);
        let variant = |frontend, extra_dim, has_projection_norm, positions, transformer| WaveformTransformerConfig {
            frontend,
            extra_dim,
            has_projection_norm,
            positions,
            transformer,
        };
        vec![
            // MERT-95M.
            variant(
                frontend([16, 16, 16], false, channels),
                0,
                true,
                weight_normed(8, 4),
                transformer(32, 4, 64, after, false),
            ),
            // MERT-330M.
            variant(
                frontend([6, 7, 33], true, frames),
                0,
                true,
                weight_normed(5, 3),
                transformer(21, 3, 50, before, false),
            ),
            // data2vec and music2vec.
            variant(
                frontend([40, 9, 11], false, frames),
                0,
                true,
                PositionalConvolutionConfig::Stacked { num_layers: 3, kernel: 19, groups: 5 },
                transformer(35, 1, 37, after, false),
            ),
            // MERT-v0 with a constant-Q transform.
            variant(
                frontend([5, 6, 7], true, channels),
                13,
                false,
                weight_normed(128, 1),
                transformer(18, 9, 19, after, true),
            ),
        ]
    }

    struct Case {
        network: WaveformTransformer,
        waveform: Vec<f32>,
        extra: Option<Vec<f32>>,
    }

    impl Case {
        fn new(config: &WaveformTransformerConfig, num_frames: usize) -> Self {
            let frontend = &config.frontend;
            let num_samples = frontend.receptive_samples() + (num_frames - 1) * frontend.hop_samples() + 3;
            assert_eq!(frontend.num_frames(num_samples), num_frames);
            Self {
                network: disturbed(WaveformTransformer::new(config, &test_device())),
                waveform: noise(num_samples, 11),
                // More frames than are needed.
                extra: (config.extra_dim > 0).then(|| noise((num_frames + 2) * config.extra_dim, 12)),
            }
        }

        /// What the module gives.
        fn expected(&self, config: &WaveformTransformerConfig) -> Vec<Vec<f32>> {
            let tensor = |values: &[f32]| TensorData::new(values.to_vec(), [1, values.len()]);
            let waveform = Tensor::<2>::from_data(tensor(&self.waveform), &test_device());
            let extra = self.extra.as_ref().map(|extra| {
                let shape = [1, extra.len() / config.extra_dim, config.extra_dim];
                Tensor::<2>::from_data(tensor(extra), &test_device()).reshape(shape)
            });
            self.network.forward(waveform, extra, None, NUM_LAYERS, None).into_iter().map(values).collect()
        }

        fn plan(&self, config: &WaveformTransformerConfig, arithmetic: Arithmetic) -> WaveformTransformerPlan {
            WaveformTransformerPlan::new(self.network.clone(), config, arithmetic)
        }

        fn found(&self, plan: &WaveformTransformerPlan, last_layer: usize) -> Vec<Vec<f32>> {
            plan.hidden_states(&self.waveform, self.extra.as_deref(), last_layer, None)
        }
    }

    #[test]
    fn a_plan_gives_what_its_network_gives() {
        for (number, config) in variants().iter().enumerate() {
            for num_frames in [1, 7, 150] {
                let case = Case::new(config, num_frames);
                let expected = case.expected(config);
                assert_eq!(expected.len(), NUM_LAYERS + 1);
                for arithmetic in Arithmetic::available(Precision::F32) {
                    let found = case.found(&case.plan(config, arithmetic), NUM_LAYERS);
                    assert_eq!(found.len(), expected.len());
                    for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        let what = format!("{arithmetic:?}: variant {number}, {num_frames} frames, layer {layer}");
                        assert_golden(&what, found, expected, tolerance(arithmetic));
                    }
                }
            }
        }
    }

    #[test]
    fn bfloat16_points_the_same_way() {
        for (number, config) in variants().iter().enumerate() {
            let case = Case::new(config, 150);
            let expected = case.expected(config);
            for arithmetic in Arithmetic::available(Precision::Bf16) {
                let plan = case.plan(config, arithmetic);
                assert!(plan.num_bytes() > 0);
                let found = case.found(&plan, NUM_LAYERS);
                assert_eq!(found.len(), NUM_LAYERS + 1);
                for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let cosine = cosine(found, expected);
                    assert!(cosine >= 0.999, "{arithmetic:?}: variant {number}, layer {layer}: cosine {cosine}");
                }
            }
        }
    }

    #[test]
    fn who_looks_on_changes_nothing() {
        for config in &variants() {
            let case = Case::new(config, 23);
            let num_heads = config.transformer.num_heads;
            for arithmetic in Arithmetic::available(Precision::F32) {
                let plan = case.plan(config, arithmetic);
                let mut layers = Vec::new();
                let mut watch = |layer: usize, weights: Vec<f32>| {
                    layers.push(layer);
                    assert_eq!(weights.len(), num_heads * 23 * 23);
                    for row in weights.chunks_exact(23) {
                        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    }
                };
                let watched = plan.hidden_states(&case.waveform, case.extra.as_deref(), NUM_LAYERS, Some(&mut watch));
                assert_eq!((layers.as_slice(), watched.len()), (&[1, 2][..], NUM_LAYERS + 1));
                for (watched, alone) in watched.iter().zip(case.found(&plan, NUM_LAYERS)) {
                    assert_close(&format!("{arithmetic:?}"), watched, &alone, 1e-5);
                }
            }
        }
    }

    #[test]
    fn layers_that_nobody_wants_change_nothing() {
        for config in &variants() {
            let case = Case::new(config, 10);
            let plan = case.plan(config, Arithmetic::new(Precision::F32));
            let all = case.found(&plan, NUM_LAYERS);
            for last_layer in 0..NUM_LAYERS {
                assert!(case.found(&plan, last_layer)[..] == all[..=last_layer]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "extra features of width 13")]
    fn extra_features_are_not_forgotten() {
        let config = &variants()[3];
        let case = Case { extra: None, ..Case::new(config, 3) };
        case.found(&case.plan(config, Arithmetic::new(Precision::F32)), 0);
    }
}
