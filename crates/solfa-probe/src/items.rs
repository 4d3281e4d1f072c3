//! What a head is trained on: vectors, and what should come of them.

/// Vectors of one or more layers for a number of items: clips of recordings, or frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Number of items.
    pub num_items: usize,
    /// Each layer's width and values, `[items, dim]` item-major.
    pub layers: Vec<LayerFeatures>,
}

/// One layer's vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerFeatures {
    /// The layer's number.
    pub number: usize,
    /// Width of a vector.
    pub dim: usize,
    /// `[items, dim]`.
    pub data: Vec<f32>,
}

impl Features {
    /// Width of all layers of an item together.
    pub fn width(&self) -> usize {
        self.layers.iter().map(|layer| layer.dim).sum()
    }

    /// One layer alone, by its place.
    ///
    /// # Panics
    /// Where there is no such layer.
    pub fn layer(&self, index: usize) -> Self {
        Self { num_items: self.num_items, layers: vec![self.layers[index].clone()] }
    }

    /// The vectors of some items, each item's layers one after the other: `[items, width]`.
    ///
    /// # Panics
    /// For an item that does not exist.
    pub fn gather(&self, items: &[usize]) -> Vec<f32> {
        let mut gathered = Vec::with_capacity(items.len() * self.width());
        for &item in items {
            for layer in &self.layers {
                gathered.extend_from_slice(&layer.data[item * layer.dim..(item + 1) * layer.dim]);
            }
        }
        gathered
    }
}

/// Means and deviations of features, by which they are standardised.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardization {
    /// For each layer, the mean of each dimension and the factor that makes its deviation 1.
    layers: Vec<Vec<(f32, f32)>>,
}

/// A deviation below this share of the mean's size is none: the dimension is constant.
const CONSTANT: f64 = 1e-6;

impl Standardization {
    /// Measures features, usually those of the training split. A dimension that is constant is only shifted.
    pub fn of(features: &Features) -> Self {
        let measure = |layer: &LayerFeatures| {
            let mut statistics = vec![(0.0_f64, 0.0_f64); layer.dim];
            for (count, vector) in layer.data.chunks_exact(layer.dim.max(1)).enumerate() {
                for ((mean, squares), &value) in statistics.iter_mut().zip(vector) {
                    let difference = f64::from(value) - *mean;
                    *mean += difference / (count + 1) as f64;
                    *squares += difference * (f64::from(value) - *mean);
                }
            }
            let finish = |(mean, squares): (f64, f64)| {
                let deviation = (squares / features.num_items.max(1) as f64).sqrt();
                let factor = if deviation > CONSTANT * (1.0 + mean.abs()) { 1.0 / deviation } else { 1.0 };
                (mean as f32, factor as f32)
            };
            statistics.into_iter().map(finish).collect()
        };
        Self { layers: features.layers.iter().map(measure).collect() }
    }

    /// Shifts and scales features in place.
    ///
    /// # Panics
    /// For features of other widths than those that were measured.
    pub fn apply(&self, features: &mut Features) {
        assert_eq!(self.layers.len(), features.layers.len(), "Standardization::apply: other layers than were measured");
        for (layer, statistics) in features.layers.iter_mut().zip(&self.layers) {
            assert_eq!(layer.dim, statistics.len(), "Standardization::apply: another width than was measured");
            for vector in layer.data.chunks_exact_mut(layer.dim.max(1)) {
                for (value, (mean, factor)) in vector.iter_mut().zip(statistics) {
                    *value = (*value - mean) * factor;
                }
            }
        }
    }
}

/// What one part of a head's outputs is compared with, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One of several classes, by softmax and cross-entropy. `-1` for an item that does not count.
    Classes {
        /// Number of classes: outputs of this part.
        num_classes: usize,
        /// A class for each item.
        classes: Vec<i32>,
    },
    /// Any number of classes, each by sigmoid and binary cross-entropy; targets may lie between 0 and 1.
    Probabilities {
        /// Number of outputs of this part.
        width: usize,
        /// `[items, width]`.
        values: Vec<f32>,
    },
    /// Numbers, by squared error.
    Numbers {
        /// Number of outputs of this part.
        width: usize,
        /// `[items, width]`.
        values: Vec<f32>,
    },
}

impl Targets {
    /// Outputs that this part of a head has.
    pub fn width(&self) -> usize {
        match self {
            Self::Classes { num_classes, .. } => *num_classes,
            Self::Probabilities { width, .. } | Self::Numbers { width, .. } => *width,
        }
    }
}

/// A part of a head's outputs, and what the loss of that part counts.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetBlock {
    /// What the outputs should be.
    pub targets: Targets,
    /// What the loss of this part is multiplied by.
    pub weight: f32,
}

/// Outputs of a head for these blocks.
pub fn output_width(blocks: &[TargetBlock]) -> usize {
    blocks.iter().map(|block| block.targets.width()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        Features {
            num_items: 3,
            layers: vec![
                LayerFeatures { number: 0, dim: 2, data: vec![1.0, 5.0, 2.0, 5.0, 3.0, 5.0] },
                LayerFeatures { number: 4, dim: 1, data: vec![-1.0, 0.0, 4.0] },
            ],
        }
    }

    #[test]
    fn items_are_gathered_with_their_layers_side_by_side() {
        assert_eq!(features().gather(&[2, 0]), [3.0, 5.0, 4.0, 1.0, 5.0, -1.0]);
        assert_eq!(features().layer(1).gather(&[1]), [0.0]);
    }

    #[test]
    fn standardised_features_have_mean_0_and_deviation_1() {
        let mut features = features();
        Standardization::of(&features).apply(&mut features);
        let [first, second] = &features.layers[..] else { panic!("two layers") };
        let spread = 1.5_f32.sqrt();
        for (found, expected) in first.data.iter().zip([-spread, 0.0, 0.0, 0.0, spread, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}: the second dimension is constant");
        }
        assert!(second.data.iter().sum::<f32>().abs() < 1e-6);
        assert!((second.data.iter().map(|value| value * value).sum::<f32>() / 3.0 - 1.0).abs() < 1e-6);
    }
}
