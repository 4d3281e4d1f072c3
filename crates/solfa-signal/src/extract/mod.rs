//! Runs an encoder over a recording of any length.
//!
//! A recording is cut into windows ([`WindowStream`]), each is encoded, and a [`Stitcher`] puts the frames together
//! again and hands them to a [`FrameSink`]: a [`FrameCollector`], which keeps or pools them, or the caller's own.
//! [`extract`] does all that for one recording; a [`Pipeline`] does it for many files, decoding ahead and encoding windows
//! of several of them in one batch.

mod collect;
mod error;
mod pipeline;
mod stitch;
#[cfg(test)]
mod tests;

pub use collect::{Extracted, ExtractedContent, FrameCollector};
pub use error::ExtractError;
pub use pipeline::{FinishedRecording, Pipeline, RecordingVisitor};
pub use stitch::{FrameSink, StitchedLayer, Stitcher};

use crate::audio::MonoSource;
use crate::encoder::{Encoder, LayerChoice};
use crate::frames::Pooling;
use crate::windows::{WindowPlan, WindowStream};

/// The chosen layers of a whole recording, in ascending order.
///
/// `source` must be at the encoder's sample rate (see [`Resampled`](crate::audio::Resampled)), and scaled where the
/// encoder wants that ([`EncoderSpec::normalizes_peak`](crate::encoder::EncoderSpec::normalizes_peak),
/// [`Scaled`](crate::audio::Scaled)): a source is read once. Memory holds a few
/// windows of sound and the frames of one, besides the result.
///
/// # Errors
/// [`ExtractError`] where the source fails, the encoder refuses a window, or no frame comes out.
pub fn extract(
    source: impl MonoSource,
    encoder: &dyn Encoder,
    plan: &WindowPlan,
    layers: &LayerChoice,
    pooling: Pooling,
) -> Result<Vec<Extracted>, ExtractError> {
    let mut stitcher = Stitcher::new(encoder.spec(), plan, layers)?;
    let mut collector = FrameCollector::new(stitcher.layers(), pooling);
    let mut windows = WindowStream::new(source, plan.clone());
    for window in windows.by_ref() {
        let window = window?;
        let batch = encoder.encode(std::slice::from_ref(&window.waveform), layers)?;
        stitcher.push(&window.position, &batch, 0, &mut collector)?;
    }
    collector.finish().ok_or_else(|| ExtractError::no_frames(plan, windows.num_samples()))
}
