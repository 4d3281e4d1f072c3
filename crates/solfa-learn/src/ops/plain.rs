//! Operations on slices as operations on tensors: Burn's autodiff calls their gradients.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensor, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

/// Tensors that an operation takes at most. Places that it does not use hold a constant.
const NUM_PLACES: usize = 16;

/// A tensor whose values lie one after the other.
#[derive(Clone)]
pub(super) struct Plain(FloatTensor<Flex>);

impl Plain {
    fn new(tensor: FloatTensor<Flex>) -> Self {
        Self(if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() })
    }

    pub(super) fn values(&self) -> &[f32] {
        let (start, end) = self.0.layout().contiguous_offsets().unwrap_or_default();
        &self.0.storage::<f32>()[start..end]
    }

    pub(super) fn shape<const D: usize>(&self) -> [usize; D] {
        self.0.shape().dims()
    }
}

/// Values and their shape.
pub(super) struct Values {
    values: Vec<f32>,
    shape: Vec<usize>,
}

impl Values {
    pub(super) fn new<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Self {
        Self { values, shape: shape.to_vec() }
    }

    fn into_tensor(self) -> FloatTensor<Flex> {
        FloatTensor::<Flex>::from_data(TensorData::new(self.values, self.shape))
    }
}

/// What the gradient of an operation needs of its forward pass.
pub(super) type Kept = Box<dyn Any + Send + Sync>;

/// An operation in memory with a gradient of its own.
pub(super) trait PlainOperation: Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// The output, and what the gradient needs.
    fn forward(&self, inputs: &[Plain]) -> (Values, Kept);

    /// For each input whose gradient is `wanted`, that gradient. `output` is what the forward pass gave.
    fn backward(
        &self,
        inputs: &[Plain],
        kept: &Kept,
        output: &Plain,
        incoming: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Values>>;
}

/// Runs an operation on tensors in memory.
///
/// # Panics
/// For tensors that are elsewhere, or for more than [`NUM_PLACES`].
pub(super) fn run<const D: usize>(
    operation: impl PlainOperation + 'static,
    inputs: Vec<DispatchTensor>,
    device: &Device,
) -> Tensor<D> {
    assert!(inputs.len() <= NUM_PLACES, "{}: {} inputs", operation.name(), inputs.len());
    let operation = Operation { num_inputs: inputs.len(), operation: Arc::new(operation) };
    let mut places = inputs.into_iter();
    let next = |_| places.next().unwrap_or_else(|| Tensor::<1>::zeros([1], device).into_dispatch());
    Tensor::from_dispatch(dispatch(std::array::from_fn(next), operation))
}

/// An operation and how many of the places it uses.
#[derive(Clone)]
struct Operation {
    num_inputs: usize,
    operation: Arc<dyn PlainOperation>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.operation.name())
    }
}

/// Burn's macro wants an argument for each tensor: this one writes them all, once for each place that is named.
macro_rules! in_memory {
    ($($place:ident)*) => {
        /// Backends that run operations in memory.
        #[backend_extension(Flex, Autodiff)]
        trait InMemory: Backend {
            #[allow(missing_docs, clippy::too_many_arguments, reason = "the macro wants an argument for each tensor")]
            fn run($($place: FloatTensor<Self>,)* operation: Operation) -> FloatTensor<Self>;
        }

        impl InMemory for Flex {
            fn run($($place: FloatTensor<Self>,)* operation: Operation) -> FloatTensor<Self> {
                without_gradient([$($place),*], &operation)
            }
        }

        impl<C: CheckpointStrategy> InMemory for Autodiff<Flex, C> {
            fn run($($place: FloatTensor<Self>,)* operation: Operation) -> FloatTensor<Self> {
                with_gradient::<C>([$($place),*], operation)
            }
        }

        /// Runs an operation on the backend that its tensors are of.
        fn dispatch(places: [DispatchTensor; NUM_PLACES], operation: Operation) -> DispatchTensor {
            let [$($place),*] = places;
            <Dispatch as InMemory>::run($($place,)* operation)
        }
    };
}

in_memory! {
    input_0 input_1 input_2 input_3 input_4 input_5 input_6 input_7
    input_8 input_9 input_10 input_11 input_12 input_13 input_14 input_15
}

fn without_gradient(places: [FloatTensor<Flex>; NUM_PLACES], operation: &Operation) -> FloatTensor<Flex> {
    let inputs: Vec<Plain> = places.into_iter().take(operation.num_inputs).map(Plain::new).collect();
    operation.operation.forward(&inputs).0.into_tensor()
}

fn with_gradient<C: CheckpointStrategy>(
    places: [FloatTensor<Autodiff<Flex, C>>; NUM_PLACES],
    operation: Operation,
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = places.each_ref().map(|place| place.node());
    let inputs: Vec<Plain> =
        places.into_iter().take(operation.num_inputs).map(|place| Plain::new(place.into_primitive())).collect();
    let (output, kept) = operation.operation.forward(&inputs);
    let output = output.into_tensor();
    match OperationGradient.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let state = State { operation, inputs, kept, output: Plain::new(output.clone()) };
            prepared.finish(Arc::new(state), output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

/// What the backward pass finds.
struct State {
    operation: Operation,
    inputs: Vec<Plain>,
    kept: Kept,
    output: Plain,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("operation", &self.operation).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct OperationGradient;

impl Backward<Flex, NUM_PLACES> for OperationGradient {
    type State = Arc<State>;

    fn backward(self, ops: Ops<Self::State, NUM_PLACES>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let incoming = Plain::new(gradients.consume::<Flex>(&ops.node));
        let State { operation, inputs, kept, output } = &*ops.state;
        let wanted: Vec<bool> = ops.parents.iter().take(inputs.len()).map(Option::is_some).collect();
        let found = operation.operation.backward(inputs, kept, output, incoming.values(), &wanted);
        for (parent, found) in ops.parents.iter().zip(found) {
            if let (Some(parent), Some(found)) = (parent, found) {
                gradients.register::<Flex>(parent.id, found.into_tensor());
            }
        }
    }
}
