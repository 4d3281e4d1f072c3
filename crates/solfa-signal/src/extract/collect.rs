//! A sink that keeps frames in memory, or pools them.

use std::io;

use super::{FrameSink, StitchedLayer};
use crate::frames::{Frames, Pooling, PoolingAccumulator};

/// What one layer says about a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// The layer's number.
    pub layer: usize,
    /// Number of frames of the recording, kept or pooled.
    pub num_frames: u64,
    /// What became of them.
    pub content: ExtractedContent,
}

/// The frames of a recording, or the vector that they were pooled into.
#[derive(Clone, Debug, PartialEq)]
pub enum ExtractedContent {
    /// Every frame, for [`Pooling::None`].
    Frames(Frames),
    /// The pooled vector, as wide as [`Pooling::pooled_dim`] says.
    Pooled(Vec<f32>),
}

/// Keeps the frames of each layer in memory, or pools them as they come.
#[derive(Clone, Debug)]
pub struct FrameCollector {
    layers: Vec<CollectedLayer>,
}

#[derive(Clone, Debug)]
struct CollectedLayer {
    layer: StitchedLayer,
    content: Collected,
}

#[derive(Clone, Debug)]
enum Collected {
    Frames(Vec<f32>),
    Pooled(PoolingAccumulator),
}

impl FrameCollector {
    /// A collector for the layers of a [`Stitcher`](super::Stitcher).
    pub fn new(layers: &[StitchedLayer], pooling: Pooling) -> Self {
        let content = |layer: &StitchedLayer| match pooling {
            Pooling::None => Collected::Frames(Vec::new()),
            pooling => Collected::Pooled(PoolingAccumulator::new(pooling, layer.dim)),
        };
        let layers =
            layers.iter().map(|layer| CollectedLayer { layer: layer.clone(), content: content(layer) }).collect();
        Self { layers }
    }

    /// Each layer's result, or `None` where a layer was given no frame.
    pub fn finish(self) -> Option<Vec<Extracted>> {
        self.layers.into_iter().map(CollectedLayer::finish).collect()
    }
}

impl CollectedLayer {
    fn finish(self) -> Option<Extracted> {
        let StitchedLayer { layer, dim, frames_per_second, .. } = self.layer;
        let (num_frames, content) = match self.content {
            Collected::Frames(data) if data.is_empty() => return None,
            Collected::Frames(data) => {
                let num_frames = data.len() / dim;
                let frames = Frames::new(data, num_frames, dim, frames_per_second);
                (num_frames as u64, ExtractedContent::Frames(frames))
            }
            Collected::Pooled(accumulator) => {
                (accumulator.num_frames(), ExtractedContent::Pooled(accumulator.finish()?))
            }
        };
        Some(Extracted { layer, num_frames, content })
    }
}

impl FrameCollector {
    fn content(&mut self, layer: usize) -> &mut Collected {
        match self.layers.iter_mut().find(|collected| collected.layer.layer == layer) {
            Some(collected) => &mut collected.content,
            None => panic!("FrameCollector::push: layer {layer} is not among those it was made for"),
        }
    }
}

impl FrameSink for FrameCollector {
    /// # Panics
    /// For a layer that the collector was not made for.
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
        match self.content(layer) {
            Collected::Frames(data) => data.extend_from_slice(frames),
            Collected::Pooled(accumulator) => accumulator.push(frames),
        }
        Ok(())
    }

    /// # Panics
    /// For a layer that the collector was not made for.
    fn push_class_token(&mut self, layer: usize, class_token: &[f32]) -> io::Result<()> {
        if let Collected::Pooled(accumulator) = self.content(layer) {
            accumulator.push_class_token(class_token);
        }
        Ok(())
    }
}
