//! Heads on frozen features: what a layer of an encoder knows of a task.
//!
//! - [`items`] is what a head sees: vectors of layers, and targets.
//! - [`mix`] says how layers come together, [`head`] what stands on them; [`train`] fits one.
//!
//! This crate stands between `solfa-eval`, which knows tasks, scores and files and no tensors, and the programs: training a
//! head needs both gradients and the task's score after every epoch. `solfa-learn` does not know it.
//!
//! This crate must not know: models and checkpoints, how sound is decoded, the command line.

mod adam;
pub mod answers;
pub mod compare;
pub mod encode;
pub mod features;
pub mod head;
pub mod items;
mod loss;
pub mod mix;
pub mod problem;
pub mod protocol;
pub mod record;
pub mod retrieval;
pub mod scan;
pub mod separation;
pub mod subject;
pub mod suite;
pub mod train;
pub mod zero_shot;
