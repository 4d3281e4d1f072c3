//! Putting the frames of windows together to the frames of the recording.
//!
//! Frame `j` of the result stands at sample `j * hop_samples` of the recording, whatever the windows were. Each window
//! contributes the frames between two cuts: one in the middle of its overlap with the window before it, one in the
//! middle of its overlap with the window after it, so that every frame comes from the window that knows more of its
//! surroundings. A middle that falls between two frames is moved to the later one: then a frame kept is never nearer to
//! an edge than half the overlap, and windows that overlap by twice the encoder's context give exactly the frames of the
//! whole recording. Without overlap the cut is where the next window starts.
//!
//! The first window keeps its frames from its start, and the last one to its end. So the frame that centred features
//! give at the very end of a window (one more than samples / hop) is kept from the last window only.
//!
//! An encoder of whole clips has nothing to cut: each window gives one vector, and all are kept, in order.

use std::io;
use std::ops::Range;

use super::ExtractError;
use crate::encoder::{EncodeError, EncoderSpec, LayerBatch, LayerChoice};
use crate::windows::{WindowPlan, WindowPosition};

/// What takes the frames of a recording, in order.
pub trait FrameSink {
    /// Takes the next frames of the layer with the number `layer`, `[_, dim]` frame-major; never empty.
    ///
    /// # Errors
    /// A sink that writes to disk may fail; nothing is pushed after that.
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()>;

    /// Takes the class token that the next window has in the layer with the number `layer`, where the encoder has one.
    /// A sink that has no use for class tokens leaves this as it is.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    fn push_class_token(&mut self, layer: usize, class_token: &[f32]) -> io::Result<()> {
        let _ = (layer, class_token);
        Ok(())
    }
}

/// One layer of a recording that is being stitched.
#[derive(Clone, Debug, PartialEq)]
pub struct StitchedLayer {
    /// The layer's number.
    pub layer: usize,
    /// Width of its vectors.
    pub dim: usize,
    /// Samples from one frame to the next; for an encoder of whole clips, from one window to the next.
    pub hop_samples: usize,
    /// Vectors per second of audio.
    pub frames_per_second: f64,
    /// Frames given to the sink so far.
    pub num_frames: u64,
}

/// Turns the frames of the windows of one recording into the frames of the recording.
#[derive(Clone, Debug)]
pub struct Stitcher {
    layers: Vec<StitchedLayer>,
    takes_whole_clips: bool,
}

impl Stitcher {
    /// A stitcher for the chosen layers of one recording that is cut by `plan`.
    ///
    /// # Errors
    /// [`EncodeError::NoSuchLayer`] for a layer that the encoder does not have.
    pub fn new(spec: &EncoderSpec, plan: &WindowPlan, layers: &LayerChoice) -> Result<Self, EncodeError> {
        let takes_whole_clips = spec.clip_samples.is_some();
        let layers = layers.resolve(spec.layers.len())?.into_iter().map(|layer| {
            let own_hop = spec.layers[layer].hop_samples;
            let hop_samples = plan.hop_samples().filter(|_| takes_whole_clips).unwrap_or(own_hop);
            StitchedLayer {
                layer,
                dim: spec.layers[layer].dim,
                hop_samples,
                frames_per_second: f64::from(spec.sample_rate) / hop_samples as f64,
                num_frames: 0,
            }
        });
        Ok(Self { layers: layers.collect(), takes_whole_clips })
    }

    /// The layers, in ascending order, and how many frames of each the sink has.
    pub fn layers(&self) -> &[StitchedLayer] {
        &self.layers
    }

    /// Takes the frames of the next window, which are those of clip number `clip` in `batch`, and pushes what the
    /// recording keeps of them.
    ///
    /// # Errors
    /// [`ExtractError::FrameGap`] where the window gives too few frames, [`ExtractError::Sink`] where the sink fails.
    ///
    /// # Panics
    /// If the batch has other layers than the stitcher, or windows come in another order than the stream gave them:
    /// mistakes of the program.
    pub fn push(
        &mut self,
        position: &WindowPosition,
        batch: &LayerBatch,
        clip: usize,
        sink: &mut dyn FrameSink,
    ) -> Result<(), ExtractError> {
        assert!(
            self.layers.iter().map(|layer| layer.layer).eq(batch.layers.iter().map(|layer| layer.layer)),
            "Stitcher::push: the batch has other layers than were chosen"
        );
        for (layer, frames) in self.layers.iter_mut().zip(&batch.layers) {
            let class_token = frames.class_tokens.get(clip);
            let frames = &frames.clips[clip];
            let kept = if self.takes_whole_clips {
                0..frames.num_frames()
            } else {
                let kept = kept_frames(position, layer, frames.num_frames())?;
                let start_frame = position.start_sample / layer.hop_samples as u64 + kept.start as u64;
                assert_eq!(start_frame, layer.num_frames, "Stitcher::push: windows come in another order than was cut");
                kept
            };
            if !kept.is_empty() {
                layer.num_frames += kept.len() as u64;
                sink.push(layer.layer, frames.slice(kept)).map_err(ExtractError::Sink)?;
            }
            if let Some(class_token) = class_token {
                sink.push_class_token(layer.layer, class_token).map_err(ExtractError::Sink)?;
            }
        }
        Ok(())
    }
}

/// Which of a window's `num_frames` frames the recording keeps.
fn kept_frames(
    position: &WindowPosition,
    layer: &StitchedLayer,
    num_frames: usize,
) -> Result<Range<usize>, ExtractError> {
    let hop = layer.hop_samples as u64;
    // The middle of an overlap, in frames from the window's start; starts and the ends of windows that another one
    // follows are whole numbers of frames.
    let cut = |overlap_start: u64, overlap_end: u64| {
        let before = (overlap_start - position.start_sample) / hop;
        (before + ((overlap_end - overlap_start) / hop).div_ceil(2)) as usize
    };
    let start = position.previous_end_sample.map_or(0, |previous_end| cut(position.start_sample, previous_end));
    let end = match position.next_start_sample {
        Some(next_start) => cut(next_start, position.end_sample),
        // Frames further on stand wholly in what fills the window up.
        None if position.is_padded => {
            num_frames.min((position.end_sample - position.start_sample).div_ceil(hop) as usize)
        }
        None => num_frames,
    };
    if end > num_frames {
        return Err(ExtractError::FrameGap {
            layer: layer.layer,
            start_sample: position.start_sample,
            expected: end,
            actual: num_frames,
        });
    }
    Ok(start..end.max(start))
}
