//! The convolution module of a conformer layer as one operation with its gradient:
//! `x + pointwise(silu(batch_norm(depthwise(glu(pointwise(layer_norm(x)))))))`.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use solfa_kernels::product::Activation;
use solfa_kernels::training::{
    BatchNorm, BatchStatistics, DepthwiseShape, activation, activation_gradient, add_linear_input_gradient,
    add_transposed_product, batch_norm, batch_norm_gradient, batch_statistics, depthwise_convolution,
    depthwise_input_gradient, depthwise_weight_gradient, gated, gated_gradient, linear, linear_input_gradient,
};
use solfa_kernels::{Arithmetic, Precision};

use super::layer_norm::InputNorm;
use super::plain::{Kept, Plain, PlainOperation, Values, run};

/// Parameters of the module, as a network keeps them; convolutions have no biases.
#[derive(Clone, Debug)]
pub struct ConvolutionModuleParameters {
    /// Gain of the layer norm.
    pub gain: Tensor<1>,
    /// Shift of the layer norm.
    pub shift: Tensor<1>,
    /// The first pointwise convolution, `[2 * width, width, 1]`: values, then gates.
    pub pointwise_in: Tensor<3>,
    /// The depthwise convolution, `[width, 1, taps]`, centred.
    pub depthwise: Tensor<3>,
    /// Gain of the batch norm.
    pub batch_gain: Tensor<1>,
    /// Shift of the batch norm.
    pub batch_shift: Tensor<1>,
    /// The second pointwise convolution, `[width, width, 1]`.
    pub pointwise_out: Tensor<3>,
    /// Added to variances in the layer norm.
    pub epsilon: f64,
    /// Added to variances in the batch norm.
    pub batch_epsilon: f64,
}

/// The module in training with its residual, and what its batch norm saw.
///
/// # Shapes
/// - input and output: `[batch, frames, width]`
///
/// # Panics
/// For tensors that are not in memory, see [`are_available`](super::are_available), or whose shapes do not fit.
pub fn convolution_module(input: Tensor<3>, parameters: ConvolutionModuleParameters) -> (Tensor<3>, BatchStatistics) {
    let device = input.device();
    let statistics = Arc::new(Mutex::new(None));
    let module = ConvolutionModule {
        norm: InputNorm { epsilon: parameters.epsilon as f32 },
        batch_epsilon: parameters.batch_epsilon as f32,
        statistics: Arc::clone(&statistics),
    };
    let inputs = vec![
        input.into_dispatch(),
        parameters.gain.into_dispatch(),
        parameters.shift.into_dispatch(),
        parameters.pointwise_in.into_dispatch(),
        parameters.depthwise.into_dispatch(),
        parameters.batch_gain.into_dispatch(),
        parameters.batch_shift.into_dispatch(),
        parameters.pointwise_out.into_dispatch(),
    ];
    let output = run(module, inputs, &device);
    let found = statistics.lock().unwrap_or_else(PoisonError::into_inner).take();
    #[allow(clippy::expect_used, reason = "the operation has run, and every run writes them")]
    let statistics = found.expect("statistics of the batch");
    (output, statistics)
}

/// The operation: what is no tensor, and where statistics go.
struct ConvolutionModule {
    norm: InputNorm,
    batch_epsilon: f32,
    statistics: Arc<Mutex<Option<BatchStatistics>>>,
}

/// What the gradient needs of the forward pass.
struct Forward {
    /// What the first pointwise convolution gave.
    doubled: Vec<f32>,
    /// What the depthwise convolution gave.
    convolved: Vec<f32>,
    statistics: BatchStatistics,
}

impl ConvolutionModule {
    fn batch_norm<'a>(&self, inputs: &'a [Plain], statistics: &'a BatchStatistics) -> BatchNorm<'a> {
        BatchNorm { statistics, gain: inputs[5].values(), shift: inputs[6].values(), epsilon: self.batch_epsilon }
    }

    /// What the batch norm gives, before the activation.
    fn batch_normed(&self, inputs: &[Plain], convolved: &[f32], statistics: &BatchStatistics) -> Vec<f32> {
        let mut normed = vec![0.0; convolved.len()];
        batch_norm(self.batch_norm(inputs, statistics), convolved, &mut normed);
        normed
    }
}

fn sizes(inputs: &[Plain]) -> (usize, DepthwiseShape, Arithmetic) {
    let [_, frames, width] = inputs[0].shape();
    let [_, _, taps] = inputs[4].shape::<3>();
    let arithmetic = Arithmetic::new(Precision::F32).for_width(width);
    (width, DepthwiseShape { frames, channels: width, taps }, arithmetic)
}

// A pointwise convolution keeps its weights as `[outputs, inputs]`, turned round beside a linear layer: its forward pass is
// the gradient of a linear layer's input, and the gradient of its input is a linear layer.
impl PlainOperation for ConvolutionModule {
    fn name(&self) -> &'static str {
        "convolution module"
    }

    fn forward(&self, inputs: &[Plain]) -> (Values, Kept) {
        let (width, shape, arithmetic) = sizes(inputs);
        let doubled = linear_input_gradient(arithmetic, &self.norm.forward(inputs), inputs[3].values(), 2 * width);
        let convolved = depthwise_convolution(&shape, &gated(&doubled, width), inputs[4].values());
        let statistics = batch_statistics(&convolved, width);
        let active = activation(&self.batch_normed(inputs, &convolved, &statistics), Activation::Silu);
        let mut output = inputs[0].values().to_vec();
        add_linear_input_gradient(arithmetic, &active, inputs[7].values(), width, &mut output);
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = Some(statistics.clone());
        (Values::new(output, inputs[0].shape::<3>()), Box::new(Forward { doubled, convolved, statistics }))
    }

    fn backward(
        &self,
        inputs: &[Plain],
        kept: &Kept,
        _output: &Plain,
        incoming: &[f32],
        _wanted: &[bool],
    ) -> Vec<Option<Values>> {
        let Some(Forward { doubled, convolved, statistics }) = kept.downcast_ref() else { return Vec::new() };
        let (width, shape, arithmetic) = sizes(inputs);
        let normed = self.batch_normed(inputs, convolved, statistics);
        let mut to_pointwise_out = vec![0.0; width * width];
        let active = activation(&normed, Activation::Silu);
        add_transposed_product(incoming, &active, width, width, &mut to_pointwise_out);
        let mut to_convolved = linear(arithmetic, incoming, inputs[7].values(), None, width);
        activation_gradient(&normed, Activation::Silu, &mut to_convolved);
        drop((normed, active));
        let (to_batch_gain, to_batch_shift) =
            batch_norm_gradient(self.batch_norm(inputs, statistics), convolved, false, &mut to_convolved);
        let to_depthwise = depthwise_weight_gradient(&shape, &gated(doubled, width), &to_convolved);
        let to_gated = depthwise_input_gradient(&shape, &to_convolved, inputs[4].values());
        let to_doubled = gated_gradient(doubled, width, &to_gated);
        let mut to_pointwise_in = vec![0.0; 2 * width * width];
        add_transposed_product(&to_doubled, &self.norm.forward(inputs), 2 * width, width, &mut to_pointwise_in);
        let to_layer_norm = linear(arithmetic, &to_doubled, inputs[3].values(), None, 2 * width);
        let mut gradients = Vec::from(self.norm.backward(inputs, &to_layer_norm, incoming.to_vec()));
        gradients.extend([
            Some(Values::new(to_pointwise_in, inputs[3].shape::<3>())),
            Some(Values::new(to_depthwise, inputs[4].shape::<3>())),
            Some(Values::new(to_batch_gain, [width])),
            Some(Values::new(to_batch_shift, [width])),
            Some(Values::new(to_pointwise_out, inputs[7].shape::<3>())),
        ]);
        gradients
    }
}
