//! From the frames of a recording to what the cache keeps of them.

use std::io;

use solfa_signal::extract::{FrameSink, StitchedLayer};

use super::Kept;

/// Takes the frames of one recording, and keeps means of clips, class tokens, or frames.
///
/// Sums are kept in double precision and added frame by frame, so the result does not depend on the pieces that frames
/// come in.
#[derive(Clone, Debug)]
pub struct CacheSink {
    kept: Kept,
    layers: Vec<SinkLayer>,
}

/// One layer of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptLayer {
    pub(super) number: usize,
    pub(super) dim: usize,
    pub(super) num_items: usize,
    pub(super) items_per_second: f64,
    /// `[items, dim]`.
    pub(super) values: Vec<f32>,
}

#[derive(Clone, Debug)]
struct SinkLayer {
    number: usize,
    dim: usize,
    /// Frames that become one item; not always a whole number.
    frames_per_item: f64,
    items_per_second: f64,
    /// Frames seen.
    num_frames: u64,
    sum: Vec<f64>,
    /// Frames in the sum.
    count: u64,
    values: Vec<f32>,
}

impl CacheSink {
    /// A sink for one recording's layers.
    pub fn new(layers: &[StitchedLayer], kept: Kept) -> Self {
        let layer = |layer: &StitchedLayer| {
            let rate = layer.frames_per_second;
            let frames_per_item = match kept {
                Kept::ClipMeans { clip_seconds, .. } => (rate * clip_seconds).max(1.0),
                Kept::ClassTokens { .. } => 1.0,
                Kept::Frames { maximum_per_second } => (rate / maximum_per_second - 1e-9).ceil().max(1.0),
            };
            let items_per_second = match kept {
                Kept::ClassTokens { hop_seconds } => 1.0 / hop_seconds,
                _ => rate / frames_per_item,
            };
            SinkLayer {
                number: layer.layer,
                dim: layer.dim,
                frames_per_item,
                items_per_second,
                num_frames: 0,
                sum: vec![0.0; layer.dim],
                count: 0,
                values: Vec::new(),
            }
        };
        Self { kept, layers: layers.iter().map(layer).collect() }
    }

    fn layer(&mut self, number: usize) -> io::Result<&mut SinkLayer> {
        let found = self.layers.iter_mut().find(|layer| layer.number == number);
        found.ok_or_else(|| io::Error::other(format!("layer {number} is not among those that are kept")))
    }

    /// What was kept of each layer.
    pub(super) fn finish(self) -> Vec<KeptLayer> {
        let minimum_share = match self.kept {
            Kept::ClipMeans { minimum_share, .. } => minimum_share,
            Kept::ClassTokens { .. } | Kept::Frames { .. } => 0.0,
        };
        let finish = |mut layer: SinkLayer| {
            let is_long_enough = layer.count as f64 >= minimum_share * layer.frames_per_item;
            if layer.count > 0 && (is_long_enough || layer.values.is_empty()) {
                layer.complete_item();
            }
            KeptLayer {
                number: layer.number,
                dim: layer.dim,
                num_items: layer.values.len() / layer.dim,
                items_per_second: layer.items_per_second,
                values: layer.values,
            }
        };
        self.layers.into_iter().map(finish).collect()
    }
}

impl SinkLayer {
    fn push(&mut self, frames: &[f32]) {
        for frame in frames.chunks_exact(self.dim) {
            for (sum, &value) in self.sum.iter_mut().zip(frame) {
                *sum += f64::from(value);
            }
            self.num_frames += 1;
            self.count += 1;
            let item = (self.values.len() / self.dim + 1) as f64;
            if self.num_frames as f64 >= (item * self.frames_per_item).round() {
                self.complete_item();
            }
        }
    }

    fn complete_item(&mut self) {
        let count = self.count as f64;
        self.values.extend(self.sum.iter().map(|sum| (sum / count) as f32));
        self.sum.fill(0.0);
        self.count = 0;
    }
}

impl FrameSink for CacheSink {
    fn push(&mut self, layer: usize, frames: &[f32]) -> io::Result<()> {
        if !matches!(self.kept, Kept::ClassTokens { .. }) {
            self.layer(layer)?.push(frames);
        }
        Ok(())
    }

    fn push_class_token(&mut self, layer: usize, class_token: &[f32]) -> io::Result<()> {
        if matches!(self.kept, Kept::ClassTokens { .. }) {
            self.layer(layer)?.push(class_token);
        }
        Ok(())
    }
}
