//! Scores that can be computed on any selection of tracks, and with the predictions of some tracks swapped.

use std::sync::Arc;

use crate::metrics::beat::PooledFMeasure;
use crate::metrics::classification::{MultiLabel, average_precision, f1_multi_class, f1_multi_label, r2, roc_auc};
use crate::statistics::{BOOTSTRAP_DRAWS, weighted_mean};

/// Draws of the bootstrap for scores that sort all tracks anew each time.
const DRAWS_OF_RANKINGS: usize = 200;

/// One score, as it can be computed on any selection of tracks.
#[derive(Clone, Debug)]
pub(super) enum Scores {
    /// A mean of tracks' own values, each with its weight.
    Mean(Vec<(Option<f64>, f64)>),
    /// Macro F1 of classes.
    ClassF1(Arc<Classes>),
    /// A score of tags.
    Tags(TagScore, Arc<Tags>),
    /// R² of one dimension, or their mean.
    Numbers(Option<usize>, Arc<Numbers>),
    /// The F-measure of events of all tracks as one list.
    Pooled(Vec<PooledFMeasure>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagScore {
    RocAuc,
    AveragePrecision,
    F1Macro,
    F1Micro,
}

#[derive(Clone, Debug)]
pub(super) struct Classes {
    pub(super) reference: Vec<usize>,
    pub(super) estimate: Vec<usize>,
    pub(super) num_classes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Tags {
    pub(super) labels: Vec<bool>,
    pub(super) scores: Vec<f64>,
    pub(super) num_classes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) reference: Vec<f64>,
    pub(super) estimate: Vec<f64>,
    pub(super) width: usize,
}

impl Scores {
    /// The score on a selection of tracks; `None` where it is not defined there.
    pub(super) fn on(&self, tracks: &[usize]) -> Option<f64> {
        match self {
            Self::Mean(values) => weighted_mean(tracks.iter().map(|&track| values[track])),
            Self::ClassF1(data) => {
                let pick = |values: &[usize]| tracks.iter().map(|&track| values[track]).collect::<Vec<_>>();
                f1_multi_class(&pick(&data.reference), &pick(&data.estimate), data.num_classes).ok()?.macro_average
            }
            Self::Tags(score, data) => data.select(tracks, None).score(*score),
            Self::Numbers(dimension, data) => data.select(tracks, None).r2(*dimension),
            Self::Pooled(counts) => {
                let mut sum = PooledFMeasure::default();
                for &track in tracks {
                    sum.merge(&counts[track]);
                }
                Some(sum.score().f_measure)
            }
        }
    }

    /// The first's score less the second's, with the predictions of some tracks swapped.
    pub(super) fn difference(&self, other: &Self, swapped: &[bool]) -> Option<f64> {
        let all: Vec<usize> = (0..swapped.len()).collect();
        match (self, other) {
            (Self::Mean(first), Self::Mean(second)) => {
                let mix = |a: &[(Option<f64>, f64)], b: &[(Option<f64>, f64)]| {
                    weighted_mean(all.iter().map(|&track| if swapped[track] { b[track] } else { a[track] }))
                };
                Some(mix(first, second)? - mix(second, first)?)
            }
            (Self::Tags(score, first), Self::Tags(_, second)) => {
                let one = first.select(&all, Some((second, swapped))).score(*score)?;
                Some(one - second.select(&all, Some((first, swapped))).score(*score)?)
            }
            (Self::Numbers(dimension, first), Self::Numbers(_, second)) => {
                let one = first.select(&all, Some((second, swapped))).r2(*dimension)?;
                Some(one - second.select(&all, Some((first, swapped))).r2(*dimension)?)
            }
            (Self::ClassF1(first), Self::ClassF1(second)) => {
                let mix = |a: &Classes, b: &Classes| {
                    let pick = |track: &usize| if swapped[*track] { b.estimate[*track] } else { a.estimate[*track] };
                    let estimate: Vec<usize> = all.iter().map(pick).collect();
                    f1_multi_class(&a.reference, &estimate, a.num_classes).ok()?.macro_average
                };
                Some(mix(first, second)? - mix(second, first)?)
            }
            (Self::Pooled(first), Self::Pooled(second)) => {
                let mix = |a: &[PooledFMeasure], b: &[PooledFMeasure]| {
                    let mut sum = PooledFMeasure::default();
                    for &track in &all {
                        sum.merge(if swapped[track] { &b[track] } else { &a[track] });
                    }
                    sum.score().f_measure
                };
                Some(mix(first, second) - mix(second, first))
            }
            _ => None,
        }
    }

    pub(super) fn draws(&self) -> usize {
        match self {
            Self::Tags(..) => DRAWS_OF_RANKINGS,
            _ => BOOTSTRAP_DRAWS,
        }
    }
}

impl Tags {
    /// Some tracks' rows; where another's predictions are given, those of swapped tracks come from there.
    fn select(&self, tracks: &[usize], other: Option<(&Self, &[bool])>) -> Self {
        let width = self.num_classes;
        let mut selected = Self { labels: Vec::new(), scores: Vec::new(), num_classes: width };
        for &track in tracks {
            let row = track * width..(track + 1) * width;
            selected.labels.extend_from_slice(&self.labels[row.clone()]);
            let source = match other {
                Some((other, swapped)) if swapped[track] => other,
                _ => self,
            };
            selected.scores.extend_from_slice(&source.scores[row]);
        }
        selected
    }

    fn score(&self, score: TagScore) -> Option<f64> {
        let tags = MultiLabel::new(&self.labels, &self.scores, self.num_classes).ok()?;
        match score {
            TagScore::RocAuc => roc_auc(&tags).macro_average,
            TagScore::AveragePrecision => average_precision(&tags).macro_average,
            TagScore::F1Macro => f1_multi_label(&tags, 0.0).ok()?.macro_average,
            TagScore::F1Micro => Some(f1_multi_label(&tags, 0.0).ok()?.micro_average),
        }
    }
}

impl Numbers {
    fn select(&self, tracks: &[usize], other: Option<(&Self, &[bool])>) -> Self {
        let mut selected = Self { reference: Vec::new(), estimate: Vec::new(), width: self.width };
        for &track in tracks {
            let row = track * self.width..(track + 1) * self.width;
            selected.reference.extend_from_slice(&self.reference[row.clone()]);
            let source = match other {
                Some((other, swapped)) if swapped[track] => other,
                _ => self,
            };
            selected.estimate.extend_from_slice(&source.estimate[row]);
        }
        selected
    }

    fn r2(&self, dimension: Option<usize>) -> Option<f64> {
        let scores = r2(&self.reference, &self.estimate, self.width).ok()?;
        match dimension {
            None => Some(scores.mean),
            Some(dimension) => scores.per_dimension.get(dimension).copied(),
        }
    }
}
