//! The arithmetic of neural networks on processors, faster than a general framework because it knows what music encoders
//! need: weights that never change, packed once; products whose last step is the next operation; large memory that is
//! asked for in the first pass only.
//!
//! | module | what |
//! |---|---|
//! | [`convolution`] | 3x3 convolutions over images |
//! | `allocator` | with feature `mimalloc`: what training asks of the allocator |
//! | [`memory`] | aligned buffers, and a stock of them to borrow from |
//! | [`product`] | windows of frames times packed weights: linear layers and convolutions |
//! | [`attention`] | everybody's attention to everybody, never all scores at a time |
//! | [`elementwise`] | activations, scaled sums, rotary positions |
//! | [`norm`] | layer norm, and the norm of channels over time |
//! | [`depthwise`] | convolutions of every channel on its own |
//! | [`training`] | gradients of convolutions and products, norms over batches |
//! | [`peak`] | what the machine could do at best, to measure all of these by |
//!
//! Every kernel is chosen at run time for the [`InstructionSet`] of the processor, and every one has a plain version that
//! any processor runs. `unsafe` stands here and nowhere else in the project's arithmetic: what a public function is given
//! is checked before a pointer is made of it.
//!
//! This crate must not know: tensors, files, models.

#[cfg(feature = "mimalloc")]
pub mod allocator;
pub mod attention;
pub mod convolution;
pub mod depthwise;
pub mod elementwise;
mod instruction_set;
pub mod memory;
pub mod norm;
pub mod peak;
pub mod product;
mod simd;
#[cfg(test)]
mod testing;
pub mod training;

pub use instruction_set::InstructionSet;
pub use product::{Arithmetic, Precision};
