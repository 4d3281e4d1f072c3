//! From the cache to what heads are trained on: the items of some tracks, in one layer or several.

use solfa_eval::cache::{CacheKey, CachedTrack, FeatureCache};
use solfa_eval::store::StoreError;

use crate::items::{Features, LayerFeatures};
use crate::problem::Problem;

/// Where cached features of a problem's recordings are.
#[derive(Clone, Debug)]
pub struct CachedFeatures<'run> {
    /// The cache.
    pub cache: &'run FeatureCache,
    /// What its entries are.
    pub key: &'run CacheKey,
    /// SHA-256 of each of the problem's recordings; `None` for one that could not be encoded.
    pub audio: &'run [Option<String>],
    /// The length of the clips that a stretch of a recording is cut into from its own start, by the means of shorter items;
    /// `None` to take items as they are.
    pub clip_seconds: Option<f64>,
}

/// The items of some tracks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackItems {
    /// Their vectors.
    pub features: Features,
    /// For each item, which of the tracks asked for it belongs to (a place in that list).
    pub track_of_item: Vec<usize>,
    /// For each item, where its middle is in its track, in seconds.
    pub seconds_of_item: Vec<f64>,
    /// Items per second.
    pub items_per_second: f64,
}

/// Why features cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// An entry cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recording is not in the cache.
    #[error("{recording}: its features are not in the cache: encode it first")]
    Missing {
        /// The recording.
        recording: String,
    },
    /// A layer is not in an entry.
    #[error("{recording}: layer {layer} is not in the cache, which has {found:?}")]
    NoLayer {
        /// The recording.
        recording: String,
        /// The layer asked for.
        layer: usize,
        /// The layers that are there.
        found: Vec<usize>,
    },
    /// A value is NaN or infinite.
    #[error("{recording}: layer {layer} holds {value}, which is not a number that can be learned from")]
    NotFinite {
        /// The recording.
        recording: String,
        /// The layer.
        layer: usize,
        /// The value.
        value: f32,
    },
    /// A layer has other numbers of items, widths or rates than expected.
    #[error("{recording}: layer {layer} has {found}, expected {expected}")]
    Shape {
        /// The recording.
        recording: String,
        /// The layer.
        layer: usize,
        /// What it has.
        found: String,
        /// What others have.
        expected: String,
    },
}

impl CachedFeatures<'_> {
    /// Whether a track can be used: all of its recordings are in the cache.
    pub fn has(&self, problem: &Problem, track: usize) -> bool {
        problem.tracks[track].parts.iter().all(|(recording, _)| self.audio[*recording].is_some())
    }

    /// The items of tracks in some layers. Layers of different rates cannot be put side by side.
    ///
    /// # Errors
    /// [`FeatureError`] naming the recording.
    pub fn load(&self, problem: &Problem, tracks: &[usize], layers: &[usize]) -> Result<TrackItems, FeatureError> {
        let mut items = TrackItems::default();
        for (place, &track) in tracks.iter().enumerate() {
            for &(recording, segment) in &problem.tracks[track].parts {
                let name = problem.recordings[recording].display().to_string();
                let missing = || FeatureError::Missing { recording: name.clone() };
                let audio = self.audio[recording].as_deref().ok_or_else(missing)?;
                let entry = self.cache.read(self.key, audio)?.ok_or_else(missing)?;
                items.add(&entry, &name, place, segment, layers, self.clip_seconds)?;
            }
        }
        Ok(items)
    }
}

impl TrackItems {
    fn add(
        &mut self,
        entry: &CachedTrack,
        recording: &str,
        track: usize,
        segment: Option<(f64, f64)>,
        layers: &[usize],
        clip_seconds: Option<f64>,
    ) -> Result<(), FeatureError> {
        let is_first = self.features.layers.is_empty();
        let mut chosen: Option<(std::ops::Range<usize>, f64)> = None;
        for (index, &number) in layers.iter().enumerate() {
            let no_layer = || FeatureError::NoLayer {
                recording: recording.to_owned(),
                layer: number,
                found: entry.layers().iter().map(|layer| layer.number).collect(),
            };
            let layer = entry.layer(number).ok_or_else(no_layer)?;
            let values = entry.values(number).ok_or_else(no_layer)?;
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(FeatureError::NotFinite { recording: recording.to_owned(), layer: number, value });
            }
            let range = stretch(layer.num_items, layer.items_per_second, segment);
            let shape = (range.clone(), layer.items_per_second);
            let of_others = chosen.get_or_insert_with(|| shape.clone());
            let is_same_rate = (of_others.1 - layer.items_per_second).abs() < 1e-9 * of_others.1;
            if of_others.0 != range || !is_same_rate {
                return Err(FeatureError::Shape {
                    recording: recording.to_owned(),
                    layer: number,
                    found: format!("{} items at {} a second", range.len(), layer.items_per_second),
                    expected: format!("{} at {} as in layer {}", of_others.0.len(), of_others.1, layers[0]),
                });
            }
            if is_first {
                self.features.layers.push(LayerFeatures { number, dim: layer.dim, data: Vec::new() });
            }
            let into = &mut self.features.layers[index];
            if into.dim != layer.dim {
                return Err(FeatureError::Shape {
                    recording: recording.to_owned(),
                    layer: number,
                    found: format!("width {}", layer.dim),
                    expected: format!("width {}", into.dim),
                });
            }
            let items_per_clip = items_per_clip(layer.items_per_second, clip_seconds);
            for clip in values[range.start * layer.dim..range.end * layer.dim].chunks(items_per_clip * layer.dim) {
                extend_by_mean(&mut into.data, clip, layer.dim);
            }
        }
        if let Some((range, rate)) = chosen {
            let start = segment.map_or(0.0, |(start, _)| start);
            let items_per_clip = items_per_clip(rate, clip_seconds);
            let num_clips = range.len().div_ceil(items_per_clip);
            self.items_per_second = rate / items_per_clip as f64;
            self.features.num_items += num_clips;
            self.track_of_item.extend(std::iter::repeat_n(track, num_clips));
            for clip in 0..num_clips {
                let (first, last) = (clip * items_per_clip, ((clip + 1) * items_per_clip).min(range.len()));
                let middle = range.start as f64 + (first + last) as f64 / 2.0;
                self.seconds_of_item.push(middle / rate - start);
            }
        }
        Ok(())
    }

    /// The items of some of the tracks, by their places in the list that was asked for, which they keep.
    pub fn of_tracks(&self, places: &[usize]) -> Self {
        let items: Vec<usize> =
            (0..self.track_of_item.len()).filter(|&item| places.contains(&self.track_of_item[item])).collect();
        let mut features = self.features.clone();
        features.num_items = items.len();
        for layer in &mut features.layers {
            layer.data = items.iter().flat_map(|&i| &layer.data[i * layer.dim..(i + 1) * layer.dim]).copied().collect();
        }
        Self {
            features,
            track_of_item: items.iter().map(|&item| self.track_of_item[item]).collect(),
            seconds_of_item: items.iter().map(|&item| self.seconds_of_item[item]).collect(),
            items_per_second: self.items_per_second,
        }
    }

    /// Every item as a track of its own.
    pub fn each_alone(&self) -> Self {
        Self { track_of_item: (0..self.features.num_items).collect(), ..self.clone() }
    }

    /// The items of each track, in order: a range of items for each place of the list that was asked for.
    pub fn ranges(&self, num_tracks: usize) -> Vec<Vec<usize>> {
        let mut items = vec![Vec::new(); num_tracks];
        for (item, &track) in self.track_of_item.iter().enumerate() {
            items[track].push(item);
        }
        items
    }
}

/// How many items of a rate make a clip.
fn items_per_clip(items_per_second: f64, clip_seconds: Option<f64>) -> usize {
    clip_seconds.map_or(1, |seconds| ((seconds * items_per_second).round() as usize).max(1))
}

/// Adds the mean of a clip's items.
fn extend_by_mean(into: &mut Vec<f32>, items: &[f32], dim: usize) {
    let count = items.len() / dim;
    if count == 1 {
        return into.extend_from_slice(items);
    }
    let mean = |dimension: usize| {
        let sum: f64 = items.iter().skip(dimension).step_by(dim).map(|&value| f64::from(value)).sum();
        (sum / count as f64) as f32
    };
    into.extend((0..dim).map(mean));
}

/// The items whose middle is in a segment; all where there is none, and at least one.
fn stretch(num_items: usize, items_per_second: f64, segment: Option<(f64, f64)>) -> std::ops::Range<usize> {
    let Some((start, end)) = segment else { return 0..num_items };
    let first_at = |seconds: f64| ((seconds * items_per_second - 0.5).ceil().max(0.0) as usize).min(num_items);
    let (first, last) = (first_at(start), first_at(end));
    if first < last {
        first..last
    } else {
        let nearest = ((start * items_per_second) as usize).min(num_items.saturating_sub(1));
        nearest..(nearest + 1).min(num_items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_of_a_segment_are_means_of_its_items() {
        assert_eq!(
            (items_per_clip(1.0, None), items_per_clip(1.0, Some(15.0)), items_per_clip(0.1, Some(5.0))),
            (1, 15, 1)
        );
        let mut means = vec![9.0];
        extend_by_mean(&mut means, &[1.0, 10.0, 3.0, 30.0], 2);
        assert_eq!(means, [9.0, 2.0, 20.0]);
    }

    #[test]
    fn a_segment_takes_the_items_whose_middle_is_in_it() {
        assert_eq!(stretch(10, 1.0, None), 0..10);
        assert_eq!(stretch(10, 1.0, Some((2.0, 5.0))), 2..5);
        assert_eq!(stretch(10, 1.0, Some((2.6, 5.4))), 3..5);
        assert_eq!(stretch(4, 1.0 / 30.0, Some((30.0, 60.0))), 1..2);
        assert_eq!(stretch(1, 1.0 / 120.0, Some((30.0, 60.0))), 0..1, "a clip longer than the segment");
        assert_eq!(stretch(10, 1.0, Some((9.0, 50.0))), 9..10);
        assert_eq!(stretch(0, 1.0, Some((9.0, 50.0))), 0..0);
    }
}
