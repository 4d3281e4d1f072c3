//! The network of MusicFM and MuQ, see [`crate::model::MelConformer`].

use solfa_kernels::Arithmetic;

use super::WeightsObserver;
use super::conformer::ConformerPlan;
use super::conv_subsampling::SubsamplingPlan;
use crate::model::{MelConformer, MelConformerConfig};

/// A mel spectrogram to all hidden states, on the processor.
pub struct MelConformerPlan {
    num_mels: usize,
    subsampling: SubsamplingPlan,
    conformer: ConformerPlan,
}

impl MelConformerPlan {
    /// Takes a network apart. Its head is not needed for hidden states, and dropped.
    pub fn new(network: MelConformer, config: &MelConformerConfig, arithmetic: Arithmetic) -> Self {
        let (subsampling, conformer) = network.into_parts();
        Self {
            num_mels: config.num_mels,
            subsampling: SubsamplingPlan::new(subsampling, arithmetic),
            conformer: ConformerPlan::new(conformer, &config.conformer, arithmetic),
        }
    }

    /// As [`MelConformer::forward`], for one clip without padding.
    ///
    /// # Shapes
    /// - spectrogram: `[frames, mels]`, normalised
    pub fn hidden_states(&self, spectrogram: &[f32], last_layer: usize, watch: WeightsObserver<'_>) -> Vec<Vec<f32>> {
        let hidden = self.subsampling.forward(spectrogram, self.num_mels);
        self.conformer.hidden_states(hidden, last_layer, watch)
    }

    /// Bytes of the packed weights.
    pub fn num_bytes(&self) -> usize {
        self.subsampling.num_bytes() + self.conformer.num_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_device;
    use crate::model::ConformerConfig;
    use crate::plan::testing::{disturbed, noise, noise_tensor, tolerance};
    use crate::plan::values;
    use solfa_kernels::Precision;
    use solfa_signal::testing::{assert_close, assert_golden, cosine};

    const NUM_LAYERS: usize = 2;

    /// MuQ's rates and widths that no vector length divides.
    fn variants() -> [MelConformerConfig; 3] {
        let variant =
            |num_mels, conv_channels, time_strides, hidden_size, num_heads, depthwise_kernel| MelConformerConfig {
                num_mels,
                conv_channels,
                time_strides,
                conformer: ConformerConfig {
                    hidden_size,
                    num_layers: NUM_LAYERS,
                    num_heads,
                    intermediate_size: 2 * hidden_size + 3,
                    depthwise_kernel,
                    layer_norm_epsilon: 1e-3,
                    rotary_base: 10_000.0,
                },
                num_logits: 5,
            };
        [variant(128, 32, [2, 2], 64, 4, 31), variant(12, 5, [2, 1], 14, 1, 3), variant(8, 33, [2, 2], 30, 5, 7)]
    }

    struct Case {
        network: MelConformer,
        spectrogram: Vec<f32>,
        expected: Vec<Vec<f32>>,
    }

    impl Case {
        fn new(config: &MelConformerConfig, num_frames: usize) -> Self {
            let network = disturbed(MelConformer::new(config, &test_device()));
            let spectrogram = noise_tensor([1, num_frames, config.num_mels], 11);
            let hidden_states = network.forward(spectrogram.clone().swap_dims(1, 2), None, NUM_LAYERS, None);
            let expected = hidden_states.into_iter().map(values).collect();
            Self { network, spectrogram: values(spectrogram), expected }
        }

        fn found(&self, config: &MelConformerConfig, arithmetic: Arithmetic) -> Vec<Vec<f32>> {
            let plan = MelConformerPlan::new(self.network.clone(), config, arithmetic);
            assert!(plan.num_bytes() > 0);
            plan.hidden_states(&self.spectrogram, NUM_LAYERS, None)
        }
    }

    #[test]
    fn a_plan_gives_what_its_network_gives() {
        for (number, config) in variants().iter().enumerate() {
            for num_frames in [1, 2, 7, 121] {
                let case = Case::new(config, num_frames);
                for arithmetic in Arithmetic::available(Precision::F32) {
                    let found = case.found(config, arithmetic);
                    assert_eq!(found.len(), NUM_LAYERS + 1);
                    for (layer, (found, expected)) in found.iter().zip(&case.expected).enumerate() {
                        let what = format!("{arithmetic:?}: variant {number}, {num_frames} frames, layer {layer}");
                        assert_golden(&what, found, expected, tolerance(arithmetic));
                    }
                }
            }
        }
    }

    #[test]
    fn stretches_of_time_leave_no_seam() {
        let config = &variants()[1];
        let case = Case::new(config, 1315);
        for arithmetic in Arithmetic::available(Precision::F32) {
            let found = case.found(config, arithmetic);
            assert_eq!(found.len(), NUM_LAYERS + 1);
            for (found, expected) in found.iter().zip(&case.expected) {
                assert_golden(&format!("{arithmetic:?}"), found, expected, tolerance(arithmetic));
            }
        }
    }

    #[test]
    fn tiles_of_convolutions_leave_no_seam() {
        // Wide enough for every way of convolving, and two stretches, of which one begins at no multiple of a tile.
        let narrow = variants()[1].clone();
        let config = MelConformerConfig { num_mels: 8, conv_channels: 128, time_strides: [2, 2], ..narrow };
        let case = Case::new(&config, 4 * 190);
        for arithmetic in Arithmetic::available(Precision::F32) {
            let found = case.found(&config, arithmetic);
            assert_eq!(found.len(), NUM_LAYERS + 1);
            for (found, expected) in found.iter().zip(&case.expected) {
                assert_golden(&format!("{arithmetic:?}"), found, expected, tolerance(arithmetic));
            }
        }
    }

    #[test]
    fn bfloat16_points_the_same_way() {
        for (number, config) in variants().iter().enumerate() {
            let case = Case::new(config, 200);
            for arithmetic in Arithmetic::available(Precision::Bf16) {
                let found = case.found(config, arithmetic);
                assert_eq!(found.len(), NUM_LAYERS + 1);
                for (layer, (found, expected)) in found.iter().zip(&case.expected).enumerate() {
                    let cosine = cosine(found, expected);
                    assert!(cosine >= 0.999, "{arithmetic:?}: variant {number}, layer {layer}: cosine {cosine}");
                }
            }
        }
    }

    #[test]
    fn who_looks_on_changes_nothing() {
        let config = &variants()[0];
        let case = Case::new(config, 90);
        for arithmetic in Arithmetic::available(Precision::F32) {
            let plan = MelConformerPlan::new(case.network.clone(), config, arithmetic);
            let mut layers = Vec::new();
            let mut watch = |layer: usize, weights: Vec<f32>| {
                layers.push(layer);
                assert_eq!(weights.len(), 4 * 23 * 23);
                assert!(weights.chunks_exact(23).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
            };
            let watched = plan.hidden_states(&case.spectrogram, NUM_LAYERS, Some(&mut watch));
            assert_eq!((layers.as_slice(), watched.len()), (&[1, 2][..], NUM_LAYERS + 1));
            for (watched, alone) in watched.iter().zip(plan.hidden_states(&case.spectrogram, NUM_LAYERS, None)) {
                assert_close(&format!("{arithmetic:?}"), watched, &alone, 1e-5);
            }
        }
    }

    #[test]
    fn layers_that_nobody_wants_change_nothing() {
        let config = &variants()[2];
        let plan = MelConformerPlan::new(
            disturbed(MelConformer::new(config, &test_device())),
            config,
            Arithmetic::new(Precision::F32),
        );
        let spectrogram = noise(50 * config.num_mels, 3);
        let all = plan.hidden_states(&spectrogram, NUM_LAYERS, None);
        for last_layer in 0..NUM_LAYERS {
            assert!(plan.hidden_states(&spectrogram, last_layer, None)[..] == all[..=last_layer]);
        }
    }
}
