//! Layers of Burn that in training on the processor are one operation with a gradient of its own, see [`ops`](crate::ops).

use burn::module::RunningState;
use burn::nn::{BatchNorm, LayerNorm, Linear};
use burn::tensor::{Tensor, TensorData};
use solfa_kernels::training::BatchStatistics;

use crate::ops;

/// A layer norm over `[batch, frames, width]`; `epsilon` is the one that it was made with.
pub(super) fn layer_norm(norm: &LayerNorm, epsilon: f64, input: Tensor<3>) -> Tensor<3> {
    match &norm.beta {
        Some(shift) if ops::are_available(&input.device()) => {
            ops::layer_norm(input, norm.gamma.val(), shift.val(), epsilon)
        }
        _ => norm.forward(input),
    }
}

/// A linear layer over `[batch, frames, inputs]`.
pub(super) fn linear_layer(layer: &Linear, input: Tensor<3>) -> Tensor<3> {
    match &layer.bias {
        Some(bias) if ops::are_available(&input.device()) => ops::linear_layer(input, layer.weight.val(), bias.val()),
        _ => layer.forward(input),
    }
}

/// Moves the running statistics of a norm towards those of a batch, as the norm itself does in training.
pub(super) fn update_running_statistics(norm: &BatchNorm, seen: BatchStatistics) {
    let device = norm.gamma.val().device();
    let towards = |running: &RunningState<Tensor<1>>, seen: Vec<f32>| {
        let count = seen.len();
        let seen: Tensor<1> = Tensor::from_data(TensorData::new(seen, [count]), &device);
        let kept = running.value_sync().to_device(&device) * (1.0 - norm.momentum);
        running.update((kept + seen * norm.momentum).detach());
    };
    towards(&norm.running_mean, seen.mean);
    towards(&norm.running_var, seen.variance);
}

#[cfg(test)]
mod tests {
    use burn::nn::{LayerNormConfig, LinearConfig};
    use burn::tensor::{Device, Distribution};
    use solfa_signal::testing::assert_close;

    use super::*;

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().convert::<f32>().iter::<f32>().collect()
    }

    /// A number of all outputs, whose gradients differ.
    fn weighed(output: Tensor<3>) -> Tensor<1> {
        let output: Tensor<1> = output.flatten(0, 2);
        let count = output.dims()[0];
        let weights: Vec<f32> = (0..count).map(|place| (place as f32 * 0.7 + 0.3).sin()).collect();
        let weights: Tensor<1> = Tensor::from_data(TensorData::new(weights, [count]), &output.device());
        (output * weights).sum()
    }

    #[test]
    fn in_training_on_the_processor_layers_are_burns() {
        let device = Device::flex().autodiff();
        device.seed(6);
        for (batch, frames, width, outputs) in [(1, 1, 3, 1), (2, 7, 9, 5), (1, 40, 130, 131)] {
            let norm = LayerNormConfig::new(width).init(&device);
            let layer = LinearConfig::new(width, outputs).init(&device);
            let input: Tensor<3> =
                Tensor::random([batch, frames, width], Distribution::Normal(0.5, 2.0), &device).require_grad();
            let run = |normed: Tensor<3>, output: Tensor<3>| {
                let mut all =
                    vec![values(normed.clone().inner().flatten(0, 2)), values(output.clone().inner().flatten(0, 2))];
                let gradients = (weighed(normed) + weighed(output)).backward();
                all.push(values(input.grad(&gradients).unwrap().flatten(0, 2)));
                all.push(values(norm.gamma.val().grad(&gradients).unwrap()));
                all.push(values(norm.beta.as_ref().unwrap().val().grad(&gradients).unwrap()));
                all.push(values(layer.weight.val().grad(&gradients).unwrap().flatten(0, 1)));
                all.push(values(layer.bias.as_ref().unwrap().val().grad(&gradients).unwrap()));
                all
            };
            let expected = run(norm.forward(input.clone()), layer.forward(input.clone()));
            let found = run(layer_norm(&norm, 1e-5, input.clone()), linear_layer(&layer, input.clone()));
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_close(&format!("number {number} of width {width}"), found, expected, 5e-4);
            }
        }
    }
}
