//! A module's tensors as named tensors, and back: bit for bit, for training that goes on.
//!
//! Names are Burn's, and tensors lie as they lie in memory; released models' layouts are elsewhere in this module. Running
//! statistics are among them; flags (whether a layer is in training) are not, since the program sets those.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::error::Mismatch;
use super::{CheckpointError, NamedTensor, TensorSource, TensorValues};

/// Every tensor of a module, each under `<prefix>.<path>`. They share the module's memory until the module is changed.
///
/// # Panics
/// If the module has a parameter of booleans, which no file holds.
pub fn module_tensors<M: Module>(module: &M, prefix: &str) -> Vec<NamedTensor<'static>> {
    settle_running_statistics(module);
    let mut gatherer = Gatherer { path: vec![prefix.to_owned()], tensors: Vec::new() };
    module.visit(&mut gatherer);
    gatherer.tensors
}

/// The module with all of its tensors replaced by those under `<prefix>.<path>`. What needed gradients needs them again.
///
/// # Errors
/// [`CheckpointError::Mismatch`] with all names that are missing, of another shape, or below the prefix and not in the
/// module; a file that cannot be read.
///
/// # Panics
/// If the module has a parameter of booleans, which no file holds.
pub fn restore_module<M: Module>(module: M, prefix: &str, source: &TensorSource) -> Result<M, CheckpointError> {
    settle_running_statistics(&module);
    let mut restorer = Restorer {
        source,
        path: vec![prefix.to_owned()],
        used: HashSet::new(),
        mismatch: Mismatch::default(),
        unreadable: None,
    };
    let module = module.map(&mut restorer);
    let Restorer { used, mut mismatch, unreadable, .. } = restorer;
    if let Some(error) = unreadable {
        return Err(error);
    }
    mismatch.add_unexpected(source, &format!("{prefix}."), |name| used.contains(name));
    mismatch.into_result(source).map(|()| module)
}

/// A running statistic keeps its last update beside its value until it is asked for: this makes it the value. (It is what
/// the next training pass would do first, so nothing else changes.)
pub(crate) fn settle_running_statistics<M: Module>(module: &M) {
    drop(module.valid());
}

struct Gatherer {
    path: Vec<String>,
    tensors: Vec<NamedTensor<'static>>,
}

impl Gatherer {
    fn push(&mut self, shape: Vec<usize>, values: TensorValues<'static>) {
        self.tensors.push(NamedTensor { name: self.path.join("."), shape, values });
    }
}

impl ModuleVisitor for Gatherer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val().inner();
        let (shape, length) = (tensor.dims().to_vec(), tensor.shape().num_elements());
        self.push(shape, TensorValues::Tensor(Box::new(tensor.reshape([length]))));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let values: Vec<i64> = tensor.into_data().convert::<i64>().iter::<i64>().collect();
        self.push(shape, TensorValues::Integers(values.into()));
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        panic!("{} is a boolean parameter, which no checkpoint holds", self.path.join("."));
    }
}

struct Restorer<'source> {
    source: &'source TensorSource,
    path: Vec<String>,
    used: HashSet<String>,
    mismatch: Mismatch,
    unreadable: Option<CheckpointError>,
}

impl Restorer<'_> {
    /// The values of the tensor at the current path, if they are there and of this shape.
    fn take<T>(
        &mut self,
        expected: &[usize],
        read: impl FnOnce(&TensorSource, &str) -> Result<T, CheckpointError>,
    ) -> Option<T> {
        let name = self.path.join(".");
        let fits = self.mismatch.check_shape(self.source, &name, expected);
        let values = fits.then(|| read(self.source, &name));
        self.used.insert(name);
        values?.map_err(|error| self.unreadable.get_or_insert(error)).ok()
    }
}

impl ModuleMapper for Restorer<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let Some(values) = self.take(&shape, TensorSource::read_floats) else { return param };
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let shape = param.lazy_shape();
        let Some(values) = self.take(&shape, TensorSource::read_integers) else { return param };
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_bool<const D: usize>(&mut self, _param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        panic!("{} is a boolean parameter, which no checkpoint holds", self.path.join("."));
    }
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::checkpoint::tensor_file::stage_tensors;
    use crate::device::test_device;

    #[derive(Module, Debug)]
    struct Small {
        linear: Linear,
        norms: Vec<BatchNorm>,
        counts: Param<Tensor<1, Int>>,
    }

    fn small(device: &Device) -> Small {
        Small {
            linear: LinearConfig::new(3, 2).init(device),
            norms: vec![BatchNormConfig::new(2).init(device)],
            counts: Param::initialized(ParamId::new(), Tensor::from_data([3_i64, -7], device)),
        }
    }

    fn forward(module: &Small, seed: f32, device: &Device) -> Tensor<2> {
        let input = Tensor::<2>::from_floats([[seed, 1.0, -2.0], [0.5, seed * seed, 0.25], [1.0, 1.0, seed]], device);
        module.norms[0].forward(module.linear.forward(input))
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn stored(tensors: Vec<NamedTensor<'_>>) -> (tempfile::TempDir, TensorSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        stage_tensors(path.clone(), tensors).unwrap().0.commit().unwrap();
        (folder, TensorSource::open_safetensors(&[path]).unwrap())
    }

    #[test]
    fn a_module_in_training_comes_back_bit_for_bit_with_its_running_statistics() {
        let device = test_device().autodiff();
        let trained = small(&device);
        forward(&trained, 0.3, &device);
        forward(&trained, -1.7, &device);
        let (_folder, source) = stored(module_tensors(&trained, "model"));
        let names: Vec<&str> = source.shapes().map(|(name, _)| name).collect();
        let expected = [
            "model.counts",
            "model.linear.bias",
            "model.linear.weight",
            "model.norms.0.beta",
            "model.norms.0.gamma",
            "model.norms.0.running_mean",
            "model.norms.0.running_var",
        ];
        assert_eq!(names, expected);
        let other = small(&device);
        // A pending update of its own must not win over what is loaded.
        forward(&other, 9.0, &device);
        let restored = restore_module(other, "model", &source).unwrap();
        let mean = |module: &Small| floats(module.norms[0].running_mean.value_sync().inner());
        assert_eq!(mean(&restored), mean(&trained));
        assert_ne!(mean(&restored), [0.0, 0.0]);
        assert!(restored.linear.weight.val().is_require_grad());
        assert_eq!(restored.counts.val().into_data().convert::<i64>().try_to_vec::<i64>().unwrap(), [3, -7]);
        for seed in [0.9, -0.4] {
            let [next, expected] = [&restored, &trained].map(|module| floats(forward(module, seed, &device).inner()));
            assert_eq!(next, expected);
        }
        assert_eq!(mean(&restored), mean(&trained));
    }

    #[test]
    fn all_names_that_do_not_fit_are_listed() {
        let device = test_device();
        let mut tensors = module_tensors(&small(&device), "teacher");
        tensors.retain(|tensor| tensor.name != "teacher.linear.bias");
        for tensor in &mut tensors {
            match tensor.name.as_str() {
                "teacher.linear.weight" => tensor.shape = vec![2, 3],
                "teacher.norms.0.beta" => tensor.name = "teacher.norms.0.shift".into(),
                _ => {}
            }
        }
        let (_folder, source) = stored(tensors);
        let error = restore_module(small(&device), "teacher", &source).unwrap_err();
        let CheckpointError::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
        let missing: Vec<&str> = mismatch.missing.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(missing, ["teacher.linear.bias", "teacher.norms.0.beta"]);
        assert_eq!(mismatch.unexpected, [("teacher.norms.0.shift".to_owned(), vec![2])]);
        assert_eq!(mismatch.mis_shaped, [("teacher.linear.weight".to_owned(), vec![3, 2], vec![2, 3])]);
    }
}
