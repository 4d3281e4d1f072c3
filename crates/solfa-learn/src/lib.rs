//! Frames to a trained encoder: the networks of self-supervised music representation learning, on Burn.
//!
//! In the order that data flows (each module may use those above it):
//!
//! | module | what |
//! |---|---|
//! | [`device`] | where tensors live, chosen at run time |
//! | [`ops`] | operations with gradients of their own, for training on the processor |
//! | [`model`] | networks; each returns all of its layers |
//! | [`plan`] | the same networks for inference on the processor, with packed weights |
//! | [`targets`] | what is predicted: the tokens of Mel-RVQ, of the random-projection quantiser and of k-means |
//! | [`checkpoint`] | released models' files, read strictly: every tensor is used, or named in a table with its reason |
//! | [`embed`] | a loaded model as an [`Encoder`](solfa_signal::encoder::Encoder) of sound or of text, and as a tokenizer |
//! | [`views`] | what a network is shown of a track: crops, changes of the sound, masks; plain samples and flags |
//! | [`data`] | where clips come from: files, packed stores, seeded sampling, batches that are read ahead |
//! | [`objective`] | losses on tensors alone, with what the log shows of them by name |
//! | [`train`] | what every training needs: the optimiser, schedules, the teacher, checkpoints, the log |
//! | [`recipe`] | one file for each method of pre-training: what is asked of a batch |
//!
//! This crate must not know: output files, probes, the command line.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `vulkan` | the Vulkan backend: [`DeviceChoice::Vulkan`](device::DeviceChoice) works |
//! | `cuda` | the CUDA backend: [`DeviceChoice::Cuda`](device::DeviceChoice) works; building it downloads an LLVM bundle |

pub mod checkpoint;
pub mod data;
pub mod device;
pub mod embed;
pub mod model;
pub mod objective;
pub mod ops;
pub mod plan;
pub mod recipe;
pub mod targets;
pub mod train;
pub mod views;
