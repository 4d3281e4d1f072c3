//! Cutting a stream of sound into windows.
//!
//! Encoders are trained on clips of some seconds, so a recording is cut into windows of that length. Where every
//! window starts is a pure function of the plan and the recording's length, never of chance or of how a decoder cuts
//! its blocks.

mod plan;
mod stream;

pub use crate::encoder::Tail;
pub use plan::{WindowError, WindowLength, WindowPlan};
pub use stream::{Window, WindowPosition, WindowStream};
