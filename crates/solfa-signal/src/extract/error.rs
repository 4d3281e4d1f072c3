//! Why a recording could not be encoded.

use crate::audio::AudioError;
use crate::encoder::EncodeError;
use crate::windows::{Tail, WindowPlan};

/// Why a recording could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The sound could not be read.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A window could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The sink could not take the frames.
    #[error("the frames cannot be stored: {0}")]
    Sink(#[source] std::io::Error),
    /// The recording gives no frame.
    #[error("the recording is {seconds:.3} s long and gives no frame{}", no_frames_reason(*.window_seconds, *.tail))]
    NoFrames {
        /// Length of the recording.
        seconds: f64,
        /// Length of a window; `None` where the whole recording is one window.
        window_seconds: Option<f64>,
        /// What happens to a window that is not full.
        tail: Tail,
    },
    /// A window gives fewer frames than lead up to the next one, so that there would be a gap.
    #[error(
        "layer {layer} gives {actual} frames for the window at sample {start_sample}, and the next window takes over \
         from frame {expected} of it: let windows overlap by a shorter hop"
    )]
    FrameGap {
        /// The layer's number.
        layer: usize,
        /// The window's start, in samples.
        start_sample: u64,
        /// Frames that the window would have to give.
        expected: usize,
        /// Frames that it gives.
        actual: usize,
    },
}

impl ExtractError {
    /// That a recording of `num_samples` gives no frame when cut by `plan`.
    pub fn no_frames(plan: &WindowPlan, num_samples: u64) -> Self {
        let rate = f64::from(plan.sample_rate());
        Self::NoFrames {
            seconds: num_samples as f64 / rate,
            window_seconds: plan.window_samples().map(|samples| samples as f64 / rate),
            tail: plan.tail(),
        }
    }
}

fn no_frames_reason(window_seconds: Option<f64>, tail: Tail) -> String {
    match window_seconds {
        Some(window_seconds) if tail == Tail::Drop => {
            format!(": windows are {window_seconds:.3} s, and the tail `drop` leaves out what does not fill one")
        }
        _ => String::new(),
    }
}
