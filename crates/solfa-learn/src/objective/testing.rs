//! What the tests of objectives share: leaves and their gradients, and golden cases.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use solfa_signal::testing::assert_golden;

use super::Terms;
use crate::device::test_device;

/// Largest difference from a golden value, as a share of the root mean square: references are in single precision, too.
const TOLERANCE: f64 = 1e-5;

/// The test device, with gradients.
pub(super) fn device() -> Device {
    test_device().autodiff()
}

/// A tensor that gradients are kept of.
pub(super) fn leaf<const D: usize>(data: impl Into<TensorData>) -> Tensor<D> {
    Tensor::from_data(data.into(), &device()).require_grad()
}

/// A leaf of numbers between -1 and 1 without an order that one can see.
pub(super) fn noise<const D: usize>(shape: [usize; D], seed: u32) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    leaf(TensorData::new(values, shape))
}

pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

pub(super) fn scalar(tensor: &Tensor<1>) -> f32 {
    tensor.clone().into_scalar()
}

/// The value of a named term.
#[track_caller]
pub(super) fn named(terms: &Terms, name: &str) -> f32 {
    let found = terms.named.iter().find(|(of, _)| *of == name);
    scalar(&found.unwrap_or_else(|| panic!("no term {name}")).1)
}

/// Asserts that the loss, its named terms and its gradients are finite, and returns the loss.
#[track_caller]
pub(super) fn assert_finite<const D: usize>(terms: &Terms, leaves: &[Tensor<D>]) -> f32 {
    let loss = scalar(&terms.loss);
    assert!(loss.is_finite(), "the loss is {loss}");
    for (name, value) in &terms.named {
        assert!(scalar(value).is_finite(), "{name} is {}", scalar(value));
    }
    let gradients = terms.loss.backward();
    for (number, leaf) in leaves.iter().enumerate() {
        let gradient = values(leaf.grad(&gradients).unwrap());
        assert!(gradient.iter().all(|value| value.is_finite()), "gradient {number}: {gradient:?}");
    }
    loss
}

/// The tensors of a golden case, by name.
pub(super) struct Case(HashMap<String, (Vec<usize>, Values)>);

enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Case {
    /// The tensors of some files of `fixtures/golden/CASE`.
    pub(super) fn read(case: &str, files: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(case);
        let mut tensors = HashMap::new();
        for file in files {
            let bytes = fs_err::read(folder.join(format!("{file}.safetensors"))).unwrap();
            for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
                let data = view.data();
                let values = match view.dtype() {
                    Dtype::F32 => Values::Floats(data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
                    Dtype::I64 => Values::Integers(data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect()),
                    other => panic!("{case}: {name} is {other:?}"),
                };
                let before = tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
                assert!(before.is_none(), "{case}: {name} is there twice");
            }
        }
        Self(tensors)
    }

    fn get(&self, name: &str) -> &(Vec<usize>, Values) {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    pub(super) fn floats(&self, name: &str) -> &[f32] {
        let (_, Values::Floats(values)) = self.get(name) else { panic!("{name} has integers") };
        values
    }

    /// A tensor that gradients are kept of.
    pub(super) fn leaf<const D: usize>(&self, name: &str) -> Tensor<D> {
        leaf(TensorData::new(self.floats(name).to_vec(), self.get(name).0.clone()))
    }

    pub(super) fn integers<const D: usize>(&self, name: &str) -> Tensor<D, Int> {
        let (shape, Values::Integers(values)) = self.get(name) else { panic!("{name} has floats") };
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), &device())
    }

    /// Compares a value or a gradient with the tensor of that name.
    #[track_caller]
    pub(super) fn assert<const D: usize>(&self, name: &str, found: Tensor<D>) {
        assert_golden(name, &values(found), self.floats(name), TOLERANCE);
    }
}
