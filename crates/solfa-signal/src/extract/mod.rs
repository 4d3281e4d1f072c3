//! Runs an encoder over a recording of any length.
//!
//! A recording is cut into windows ([`WindowStream`]), each is encoded, and a [`Stitcher`] puts the frames together
//! again and hands them to a [`FrameSink`]: a [`FrameCollector`], which keeps or pools them, or the caller's own.
//! [`extract`] does all that for one recording; a [`Pipeline`] does it for many files, decoding ahead and encoding windows
//! of several of them in one batch.

mod batching;
mod collect;
mod error;
mod pipeline;
mod stitch;
#[cfg(test)]
mod tests;

pub use batching::Batching;
pub use collect::{Extracted, ExtractedContent, FrameCollector};
pub use error::ExtractError;
pub use pipeline::{FinishedRecording, Pipeline, RecordingVisitor};
pub use stitch::{FrameSink, StitchedLayer, Stitcher};

use std::path::Path;

use crate::audio::{self, AudioError, MonoSource, Resampled, Resampler, Scaled, peak_gain};
use crate::encoder::{Encoder, EncoderSpec, LayerChoice};
use crate::frames::Pooling;
use crate::windows::{WindowPlan, WindowStream};

/// A recording as an encoder wants it: decoded, mixed down, at the encoder's sample rate, and divided by its peak where
/// the encoder's release does that ([`EncoderSpec::normalizes_peak`]; then it is decoded twice).
///
/// # Errors
/// A file that cannot be opened or decoded.
pub fn open_recording(
    path: &Path,
    spec: &EncoderSpec,
    resampler: Resampler,
) -> Result<impl MonoSource + use<>, AudioError> {
    let open = || Resampled::new(audio::open(path)?, spec.sample_rate, resampler);
    let gain = if spec.normalizes_peak { peak_gain(open()?)? } else { 1.0 };
    Ok(Scaled::new(open()?, gain))
}

/// The chosen layers of a whole recording, in ascending order.
///
/// `source` must be as the encoder wants it: see [`open_recording`]. Memory holds a few
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
