//! What training needs beside the kernels of inference: gradients of convolutions and of products, and norms over batches.
//!
//! Everything adds in an order that depends on sizes alone, so the number of threads changes no bit.

mod batch_norm;
mod convolution;
mod layer_norm;
mod linear;
mod product;

pub use batch_norm::{BatchStatistics, batch_norm, batch_norm_gradient, batch_statistics};
pub use convolution::{ConvolutionShape, convolution, input_gradient, padded, weight_gradient};
pub use layer_norm::layer_norm_gradient;
pub use linear::{linear, linear_input_gradient};
pub use product::{add_transposed_product, column_sums};

/// Rows that are added up before sums are put together: fixed, so that results do not depend on threads.
const ROWS_TOGETHER: usize = 1024;
