//! The quantiser's pass with gradients.
//!
//! The choice of a code has no gradient. So what a stage hands on is `latents + (codes - latents)`, of which the
//! difference has none (straight through: van den Oord et al. 2017, arXiv:1711.00937, sec. 3.2): the value is the code,
//! the gradient the latent's. Codes learn from the loss alone, which compares both sides. Every stage sees the residual
//! of those before it with its gradient.

use burn::tensor::{Int, Tensor};

use super::ResidualVectorQuantizer;
use crate::targets::nearest_codes;

/// What a pass of training gives to the loss.
#[derive(Clone, Debug)]
pub struct TrainedQuantized {
    /// What each stage did, first to last.
    pub stages: Vec<TrainedStage>,
    /// `[batch, frames, input_dim]`: the sum of what the stages subtracted, with its gradient.
    pub reconstruction: Tensor<3>,
}

/// What one stage did.
#[derive(Clone, Debug)]
pub struct TrainedStage {
    /// `[batch, frames, code_dim]`: the projected residual, with its gradient.
    pub latents: Tensor<3>,
    /// `[batch, frames, code_dim]`: the row of the codebook chosen for each, at its own length, with its gradient.
    pub codes: Tensor<3>,
    /// `[batch, frames]`: the numbers of these rows.
    pub numbers: Tensor<2, Int>,
}

impl ResidualVectorQuantizer {
    /// The same codes as [`quantize`](Self::quantize), with all that a loss needs.
    ///
    /// # Shapes
    /// - input: `[batch, frames, input_dim]`
    pub fn train_forward(&self, input: Tensor<3>) -> TrainedQuantized {
        let mut residual = input.clone();
        let mut reconstruction = input.zeros_like().inner();
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let latents = stage.project_in.forward(residual.clone());
            let numbers = nearest_codes(latents.clone().inner(), stage.codebook.weight.val().inner());
            let codes = stage.codebook.forward(numbers.clone());
            let passed = latents.clone() + (codes.clone() - latents.clone()).inner();
            let output = stage.project_out.forward(passed);
            residual = residual - output.clone();
            reconstruction = reconstruction + output;
            stages.push(TrainedStage { latents, codes, numbers });
        }
        TrainedQuantized { stages, reconstruction }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Gradients, TensorData};
    use solfa_signal::testing::assert_golden;

    use super::*;
    use crate::checkpoint::{TensorSource, restore_module};
    use crate::device::test_device;
    use crate::objective::{RvqConfig, RvqStage, rvq};
    use crate::targets::ResidualVectorQuantizerConfig;

    const TOLERANCE: f64 = 1e-5;

    fn golden(file: &str) -> TensorSource {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/mel-rvq");
        TensorSource::open_safetensors(&[folder.join(format!("{file}.safetensors"))]).unwrap()
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    /// The gradient of every parameter by its path.
    struct Gathering<'gradients> {
        path: Vec<String>,
        gradients: &'gradients Gradients,
        found: HashMap<String, Vec<f32>>,
    }

    impl ModuleVisitor for Gathering<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.gradients).unwrap();
            self.found.insert(self.path.join("."), values(gradient));
        }
    }

    #[test]
    fn values_loss_and_gradients_are_the_references() {
        let device = test_device().autodiff();
        let config = ResidualVectorQuantizerConfig { input_dim: 12, num_codebooks: 3, num_codes: 10, code_dim: 4 };
        let quantizer = ResidualVectorQuantizer::new(&config, &device);
        let quantizer = restore_module(quantizer, "model", &golden("model")).unwrap();
        let case = golden("case");
        let expected = |name: &str| case.read_floats(name).unwrap();
        let input: Tensor<3> =
            Tensor::from_data(TensorData::new(expected("input"), [2, 9, 12]), &device).require_grad();

        let trained = quantizer.train_forward(input.clone());
        assert_golden(
            "reconstruction",
            &values(trained.reconstruction.clone()),
            &expected("reconstruction"),
            TOLERANCE,
        );
        assert_eq!(trained.stages.len(), 3);
        for (number, stage) in trained.stages.iter().enumerate() {
            for (name, found) in [("latents", &stage.latents), ("codes", &stage.codes)] {
                let name = format!("{name}_{number}");
                assert_golden(&name, &values(found.clone()), &expected(&name), TOLERANCE);
            }
        }
        let numbers: Vec<Tensor<2, Int>> = trained.stages.iter().map(|stage| stage.numbers.clone()).collect();
        let numbers: Tensor<3, Int> = Tensor::stack(numbers, 1);
        let found: Vec<i64> = numbers.into_data().convert::<i64>().try_to_vec().unwrap();
        assert_eq!(found, case.read_integers("numbers").unwrap());
        let plain: Vec<i64> =
            quantizer.quantize(input.clone()).codes.into_data().convert::<i64>().try_to_vec().unwrap();
        assert_eq!(plain, found, "the codes of inference");

        let stages: Vec<RvqStage> =
            trained.stages.into_iter().map(|stage| RvqStage { latents: stage.latents, codes: stage.codes }).collect();
        let terms = rvq(input.clone(), trained.reconstruction, &stages, &RvqConfig::default()).unwrap();
        assert_golden("loss", &values(terms.loss.clone()), &expected("loss"), TOLERANCE);
        let gradients = terms.loss.backward();
        assert_golden("input", &values(input.grad(&gradients).unwrap()), &expected("input_gradient"), TOLERANCE);
        let mut gathering = Gathering { path: Vec::new(), gradients: &gradients, found: HashMap::new() };
        quantizer.visit(&mut gathering);
        let found = gathering.found;
        assert_eq!(found.len(), 3 * 7);
        for (name, gradient) in found {
            assert_golden(&name, &gradient, &expected(&format!("gradient.{name}")), TOLERANCE);
        }
    }

    #[test]
    fn released_codes_are_those_of_training() {
        let device = test_device();
        let config = ResidualVectorQuantizerConfig { input_dim: 6, num_codebooks: 2, num_codes: 5, code_dim: 3 };
        let quantizer = ResidualVectorQuantizer::new(&config, &device);
        let input = Tensor::<3>::random([2, 7, 6], burn::tensor::Distribution::Normal(0.0, 1.0), &device);
        let (trained, plain) = (quantizer.train_forward(input.clone()), quantizer.quantize(input));
        let difference = (trained.reconstruction - plain.reconstruction).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn silence_and_damage_give_codes_and_no_panic() {
        let device = test_device().autodiff();
        let config = ResidualVectorQuantizerConfig { input_dim: 4, num_codebooks: 2, num_codes: 3, code_dim: 2 };
        let quantizer = ResidualVectorQuantizer::new(&config, &device);
        for value in [0.0, 1e30, f32::NAN] {
            let trained = quantizer.train_forward(Tensor::full([1, 2, 4], value, &device));
            let numbers: Vec<i64> =
                trained.stages[1].numbers.clone().into_data().convert::<i64>().try_to_vec().unwrap();
            assert!(numbers.iter().all(|number| (0..3).contains(number)), "{value}: {numbers:?}");
        }
    }
}
