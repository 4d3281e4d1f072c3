//! Zero-shot tagging: a recording and labels in the joint space of a music-text model.
//!
//! Each label is put into one or more prompts, the prompts become vectors (that is the model's work), and a recording's
//! score for a label is the cosine between its vector and the label's. Several prompts for a label are an ensemble: the
//! mean of their vectors of length 1 (Radford et al. 2021, arXiv:2103.00020, sec. 3.1.4).
//!
//! This module must not know: models, audio, files other than a list of labels.

mod labels;

pub use labels::{BUILTIN_LABEL_SETS, Label, LabelError, LabelSet};

/// What stands for the label in a prompt.
pub const PLACEHOLDER: &str = "{}";

/// Why vectors cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TagError {
    /// A prompt without a place for the label, so that every label would score the same.
    #[error("prompt `{prompt}`: expected `{PLACEHOLDER}` where the label goes, found none")]
    NoPlaceholder {
        /// The prompt.
        prompt: String,
    },
    /// Vectors of different widths do not come from one joint space.
    #[error("expected vectors of width {expected}, found one of width {found}: they are not from one joint space")]
    Width {
        /// Width of the first vector.
        expected: usize,
        /// The other width.
        found: usize,
    },
    /// A vector without a direction, or with a value that is not finite.
    #[error("expected a vector with a direction, found one of length {length}")]
    NoDirection {
        /// Its length.
        length: f64,
    },
}

/// The prompts of one label: every template with the label's phrase in it.
///
/// # Errors
/// [`TagError::NoPlaceholder`] for a template that has no place for a label.
pub fn prompts(label: &Label, templates: &[String]) -> Result<Vec<String>, TagError> {
    let fill = |template: &String| {
        if template.contains(PLACEHOLDER) {
            Ok(template.replace(PLACEHOLDER, label.phrase()))
        } else {
            Err(TagError::NoPlaceholder { prompt: template.clone() })
        }
    };
    templates.iter().map(fill).collect()
}

/// The vector of a label from those of its prompts: the mean of their directions, with length 1.
///
/// # Errors
/// [`TagError`] for vectors of different widths, or without a direction.
pub fn ensemble(vectors: &[Vec<f32>]) -> Result<Vec<f32>, TagError> {
    let width = vectors.first().map_or(0, Vec::len);
    let mut sum = vec![0.0; width];
    for vector in vectors {
        let direction = direction(vector, width)?;
        sum.iter_mut().zip(direction).for_each(|(sum, value)| *sum += value);
    }
    let length = length(&sum);
    if !(length.is_finite() && length > 0.0) {
        return Err(TagError::NoDirection { length });
    }
    Ok(sum.iter().map(|value| (value / length) as f32).collect())
}

/// The cosine between a recording's vector and each label's, from -1 to 1.
///
/// # Errors
/// [`TagError`] for vectors of different widths, or without a direction.
pub fn cosine_scores(recording: &[f32], labels: &[Vec<f32>]) -> Result<Vec<f64>, TagError> {
    let recording = direction(recording, recording.len())?;
    let score = |label: &Vec<f32>| {
        let label = direction(label, recording.len())?;
        Ok(recording.iter().zip(label).map(|(left, right)| left * right).sum())
    };
    labels.iter().map(score).collect()
}

/// Scores as shares that sum to 1: `exp(scale * score)`, normalised. `scale` is one over the temperature that a model
/// was trained with.
pub fn softmax(scores: &[f64], scale: f64) -> Vec<f64> {
    let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|score| (scale * (score - maximum)).exp()).collect();
    let sum: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

/// A vector scaled to length 1, in double precision.
fn direction(vector: &[f32], width: usize) -> Result<Vec<f64>, TagError> {
    if vector.len() != width {
        return Err(TagError::Width { expected: width, found: vector.len() });
    }
    let vector: Vec<f64> = vector.iter().map(|&value| f64::from(value)).collect();
    let length = length(&vector);
    if !(length.is_finite() && length > 0.0) {
        return Err(TagError::NoDirection { length });
    }
    Ok(vector.into_iter().map(|value| value / length).collect())
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_worked_scores() {
        let labels = [vec![1.0, 0.0], vec![0.0, -2.0], vec![3.0, 4.0]];
        let scores = cosine_scores(&[0.0, 5.0], &labels).unwrap();
        assert_eq!(scores, [0.0, -1.0, 0.8]);
        let shares = softmax(&scores, 1.0);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((shares[2] / shares[0] - 0.8f64.exp()).abs() < 1e-12);
        assert_eq!(softmax(&[900.0, 0.0], 10.0), [1.0, 0.0]);
    }

    #[test]
    fn an_ensemble_is_the_mean_direction_whatever_the_lengths() {
        let vector = ensemble(&[vec![10.0, 0.0], vec![0.0, 0.1]]).unwrap();
        assert!((vector[0] - 0.5f32.sqrt()).abs() < 1e-6 && (vector[1] - 0.5f32.sqrt()).abs() < 1e-6, "{vector:?}");
        assert_eq!(ensemble(&[vec![0.0, 3.0]]).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_errors() {
        let width = TagError::Width { expected: 2, found: 3 };
        assert_eq!(cosine_scores(&[1.0, 0.0], &[vec![1.0; 3]]), Err(width.clone()));
        assert_eq!(ensemble(&[vec![1.0; 2], vec![1.0; 3]]), Err(width));
        for vector in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(matches!(cosine_scores(&vector, &[]), Err(TagError::NoDirection { .. })), "{vector:?}");
        }
        assert!(matches!(ensemble(&[vec![1.0], vec![-1.0]]), Err(TagError::NoDirection { .. })));
        assert!(ensemble(&[]).is_err());
    }

    #[test]
    fn prompts_carry_the_label_and_must_have_a_place_for_it() {
        let labels = LabelSet::parse("rnb\tR&B\njazz\n").unwrap();
        let templates = ["{}".to_owned(), "a {} song, really {}".to_owned()];
        assert_eq!(prompts(&labels.labels()[0], &templates).unwrap(), ["R&B", "a R&B song, really R&B"]);
        assert_eq!(prompts(&labels.labels()[1], &templates[..1]).unwrap(), ["jazz"]);
        let error = prompts(&labels.labels()[0], &["a song".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "prompt `a song`: expected `{}` where the label goes, found none");
    }
}
