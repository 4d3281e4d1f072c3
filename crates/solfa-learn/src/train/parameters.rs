//! A module's tensors of floats, one after the other, each with its name.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// What is done with each tensor.
pub(super) trait FloatVisitor {
    /// `name` is the path to the tensor, joined by dots.
    fn visit<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>);
}

/// What each tensor becomes.
pub(super) trait FloatMapper {
    /// The tensor comes and goes without autodiff; what needs gradients needs them again afterwards. If nobody else
    /// holds the module's tensors, nobody else holds this one: its memory can be worked on without a copy.
    fn map<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D>;
}

/// Visits all tensors of floats in the order of the module's fields.
pub(super) fn visit_floats<M: Module>(module: &M, visitor: &mut impl FloatVisitor) {
    module.visit(&mut Visiting { path: Vec::new(), visitor });
}

/// Maps all tensors of floats in the order of the module's fields.
pub(super) fn map_floats<M: Module>(module: M, mapper: &mut impl FloatMapper) -> M {
    module.map(&mut Mapping { path: Vec::new(), mapper })
}

struct Visiting<'visitor, V> {
    path: Vec<String>,
    visitor: &'visitor mut V,
}

impl<V: FloatVisitor> ModuleVisitor for Visiting<'_, V> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.visitor.visit(&self.path.join("."), &param.val());
    }
}

struct Mapping<'mapper, V> {
    path: Vec<String>,
    mapper: &'mapper mut V,
}

impl<V: FloatMapper> ModuleMapper for Mapping<'_, V> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let needs_gradient = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let mapped = self.mapper.map(&self.path.join("."), tensor.inner());
        let mapped = match checkpointing {
            None => mapped,
            Some(strategy) => {
                mapped.autodiff().with_gradient_checkpointing_strategy(strategy).set_require_grad(needs_gradient)
            }
        };
        Param::from_mapped_value(id, mapped, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};

    use super::*;
    use crate::device::test_device;

    #[derive(Module, Debug)]
    struct Small {
        layers: Vec<Linear>,
        norm: BatchNorm,
    }

    struct Doubling(Vec<String>);

    impl FloatMapper for Doubling {
        fn map<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
            assert!(!tensor.is_autodiff());
            self.0.push(name.to_owned());
            tensor * 2.0
        }
    }

    struct Gathering(Vec<(String, bool, Vec<f32>)>);

    impl FloatVisitor for Gathering {
        fn visit<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
            let values = tensor.clone().inner().into_data().try_to_vec().unwrap();
            self.0.push((name.to_owned(), tensor.is_require_grad(), values));
        }
    }

    #[test]
    fn names_are_paths_in_order_and_what_needed_gradients_needs_them_again() {
        let device = test_device().autodiff().gradient_checkpointing();
        let layer = || LinearConfig::new(2, 2).init(&device);
        let module = Small { layers: vec![layer(), layer()], norm: BatchNormConfig::new(2).init(&device) };
        let gathered = |module: &Small| {
            let mut gathering = Gathering(Vec::new());
            visit_floats(module, &mut gathering);
            gathering.0
        };
        let before = gathered(&module);
        let mut doubling = Doubling(Vec::new());
        let module = map_floats(module, &mut doubling);
        let names = [
            "layers.0.weight",
            "layers.0.bias",
            "layers.1.weight",
            "layers.1.bias",
            "norm.gamma",
            "norm.beta",
            "norm.running_mean",
            "norm.running_var",
        ];
        assert_eq!(doubling.0, names);
        let strategy = |module: &Small| module.layers[0].weight.val().gradient_checkpointing_strategy();
        assert_eq!(strategy(&module), device.gradient_checkpointing_strategy());
        for ((name, needs_gradient, values), (_, needed_gradient, old)) in gathered(&module).iter().zip(&before) {
            assert_eq!((needs_gradient, *needs_gradient), (needed_gradient, !name.contains("running")), "{name}");
            assert!(values.iter().zip(old).all(|(new, old)| *new == 2.0 * old), "{name}");
        }
    }
}
