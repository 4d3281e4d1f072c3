//! The random-projection quantiser: a fixed random matrix and a fixed random codebook, neither of them trained.
//!
//! Chiu et al. 2022, "Self-supervised Learning with Random-projection Quantizer for Speech Recognition" (BEST-RQ),
//! arXiv:2202.01855, sec. 3.1, as MusicFM uses it (Won et al. 2023, arXiv:2311.03318): on stacked mel frames, normalised
//! by global statistics instead of a layer norm.

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::nearest_codes;

/// Sizes of a random-projection quantiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomProjectionQuantizerConfig {
    /// Width of what is quantised.
    pub input_dim: usize,
    /// Number of codes.
    pub num_codes: usize,
    /// Width of a code.
    pub code_dim: usize,
}

/// A projection and a codebook.
#[derive(Module, Debug)]
pub struct RandomProjectionQuantizer {
    /// `[input_dim, code_dim]`
    projection: Param<Tensor<2>>,
    /// `[num_codes, code_dim]`
    codebook: Param<Tensor<2>>,
}

impl RandomProjectionQuantizer {
    /// A quantiser drawn at random: the projection Xavier-normal, the codes standard normal.
    pub fn new(config: &RandomProjectionQuantizerConfig, device: &Device) -> Self {
        let frozen = |rows: usize, columns: usize, deviation: f64| {
            let values = Tensor::random([rows, columns], Distribution::Normal(0.0, deviation), device);
            Param::from_tensor(values).set_require_grad(false)
        };
        let xavier = (2.0 / (config.input_dim + config.code_dim) as f64).sqrt();
        Self {
            projection: frozen(config.input_dim, config.code_dim, xavier),
            codebook: frozen(config.num_codes, config.code_dim, 1.0),
        }
    }

    /// A quantiser whose numbers come from `normal`, which draws from a standard normal distribution: the projection row by
    /// row, then the codes. The device's own generator is left alone.
    pub fn drawn(config: &RandomProjectionQuantizerConfig, device: &Device, mut normal: impl FnMut() -> f64) -> Self {
        let mut frozen = |rows: usize, columns: usize, deviation: f64| {
            let values: Vec<f32> = (0..rows * columns).map(|_| (normal() * deviation) as f32).collect();
            let values: Tensor<2> = Tensor::from_data(TensorData::new(values, [rows, columns]), device);
            Param::from_tensor(values).set_require_grad(false)
        };
        let xavier = (2.0 / (config.input_dim + config.code_dim) as f64).sqrt();
        Self {
            projection: frozen(config.input_dim, config.code_dim, xavier),
            codebook: frozen(config.num_codes, config.code_dim, 1.0),
        }
    }

    /// Its sizes.
    pub fn config(&self) -> RandomProjectionQuantizerConfig {
        let ([input_dim, code_dim], [num_codes, _]) = (self.projection.dims(), self.codebook.dims());
        RandomProjectionQuantizerConfig { input_dim, num_codes, code_dim }
    }

    /// # Shapes
    /// - input: `[batch, frames, input_dim]`
    /// - output: `[batch, frames]`, code numbers
    pub fn quantize(&self, input: Tensor<3>) -> Tensor<2, Int> {
        nearest_codes(input.matmul(self.projection.val().unsqueeze()), self.codebook.val())
    }
}
