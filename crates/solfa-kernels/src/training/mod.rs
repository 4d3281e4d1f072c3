//! What training needs beside the kernels of inference: gradients of convolutions and of products, and norms over batches.
//!
//! Everything adds in an order that depends on sizes alone, so the number of threads changes no bit.

mod activation;
mod attention;
mod batch_norm;
mod convolution;
mod depthwise;
mod layer_norm;
mod linear;
mod product;

pub use activation::{activation, activation_gradient, gated, gated_gradient};
pub use attention::{AttentionGradients, attention_gradient};
pub use batch_norm::{
    BatchNorm, BatchStatistics, batch_norm, batch_norm_gradient, batch_norm_relu_padded, batch_norm_sum_relu,
    batch_statistics,
};
pub use convolution::{ConvolutionShape, convolution, input_gradient, padded, weight_gradient};
pub use depthwise::{DepthwiseShape, depthwise_convolution, depthwise_input_gradient, depthwise_weight_gradient};
pub use layer_norm::{layer_norm, layer_norm_gradient};
pub use linear::{add_linear, add_linear_input_gradient, linear, linear_input_gradient};
pub use product::{add_transposed_product, column_sums};

/// Rows that are added up before sums are put together: fixed, so that results do not depend on threads.
const ROWS_TOGETHER: usize = 1024;
