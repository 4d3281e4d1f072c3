//! Classes of frames without jitter: chords, keys, sections that last longer than a frame.

use super::{DecodeError, check_finite, check_frames_per_second};

/// How near to 0 a probability may be before its logarithm is taken.
const SMALLEST_PROBABILITY: f64 = 1e-12;

/// The most likely class of every frame, where a class goes on to the next frame with probability `self_transition` and all
/// others follow equally likely: Viterbi's search in a hidden Markov model.
///
/// A. Sheh and D. P. W. Ellis, *Chord segmentation and recognition using EM-trained hidden Markov models*, ISMIR 2003. What is
/// heard is taken to be as likely as `probabilities` says, and the first class is as likely as any other. Where two paths
/// are equally likely, lower classes come first.
///
/// # Shapes
/// - `probabilities`: `[frames, num_classes]`, row-major, such as a softmax; rows need not sum to 1
/// - result: `[frames]`
///
/// # Errors
/// If a probability is negative or not finite, rows are not whole, there is no class, or `self_transition` is not between 0
/// and 1.
pub fn smooth_classes(
    probabilities: &[f32],
    num_classes: usize,
    self_transition: f64,
) -> Result<Vec<usize>, DecodeError> {
    check_rows(probabilities.len(), num_classes)?;
    check_finite("probabilities of classes", probabilities)?;
    if let Some(index) = probabilities.iter().position(|&probability| probability < 0.0) {
        return Err(DecodeError::OutOfRange {
            what: "probabilities of classes",
            index,
            expected: "a probability",
            found: f64::from(probabilities[index]),
        });
    }
    if !(self_transition > 0.0 && self_transition < 1.0) {
        return Err(DecodeError::Setting {
            what: "the probability that a class goes on",
            expected: "a number between 0 and 1".to_owned(),
            found: self_transition.to_string(),
        });
    }
    let stay = self_transition.ln();
    let change = ((1.0 - self_transition) / (num_classes.max(2) - 1) as f64).ln();
    let log = |probability: f32| f64::from(probability).max(SMALLEST_PROBABILITY).ln();

    let mut rows = probabilities.chunks_exact(num_classes);
    let Some(first) = rows.next() else { return Ok(Vec::new()) };
    let mut values: Vec<f64> = first.iter().map(|&probability| log(probability)).collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(probabilities.len());
    for row in rows {
        let (best, runner_up) = two_best(&values);
        let before: Vec<f64> = values.clone();
        for (class, (value, &probability)) in values.iter_mut().zip(row).enumerate() {
            // The best class of the frame before that is not this one.
            let other = if class == best { runner_up } else { Some(best) };
            let (from, transition) = match other.map(|other| (other, before[other] + change)) {
                Some((other, path))
                    if path > before[class] + stay || (path == before[class] + stay && other < class) =>
                {
                    (other, path)
                }
                _ => (class, before[class] + stay),
            };
            chosen.push(from);
            *value = transition + log(probability);
        }
    }
    let mut class = two_best(&values).0;
    let mut classes = vec![class];
    for from in chosen.chunks_exact(num_classes).rev() {
        class = from[class];
        classes.push(class);
    }
    classes.reverse();
    Ok(classes)
}

/// Places of the largest value and of the next one; the first of equals.
fn two_best(values: &[f64]) -> (usize, Option<usize>) {
    let best_but = |not: Option<usize>| {
        (0..values.len())
            .filter(|&class| Some(class) != not)
            .reduce(|best, class| if values[class] > values[best] { class } else { best })
    };
    let best = best_but(None).unwrap_or(0);
    (best, best_but(Some(best)))
}

/// The class that most frames of a window around each frame have. Among equally frequent ones, the frame's own class if it is
/// one of them, else the lowest. Windows are cut where the recording begins and ends.
///
/// # Errors
/// If the window is not an odd number of frames.
pub fn mode_filter(classes: &[usize], window_frames: usize) -> Result<Vec<usize>, DecodeError> {
    let half = half_window(window_frames)?;
    let mut counts: Vec<usize> = vec![0; classes.iter().max().map_or(0, |class| class + 1)];
    let mut smoothed = Vec::with_capacity(classes.len());
    let mut window = 0..0;
    for (frame, &own) in classes.iter().enumerate() {
        while window.end < classes.len() && window.end <= frame + half {
            counts[classes[window.end]] += 1;
            window.end += 1;
        }
        while window.start + half < frame {
            counts[classes[window.start]] -= 1;
            window.start += 1;
        }
        // Only classes of the window can be the most frequent.
        let most = classes[window.clone()].iter().map(|&class| counts[class]).max().unwrap_or(0);
        let winner = classes[window.clone()].iter().copied().filter(|&class| counts[class] == most).min();
        smoothed.push(if counts[own] == most { own } else { winner.unwrap_or(own) });
    }
    Ok(smoothed)
}

/// The median of a window around each frame; of an even number, at the ends of a recording, the mean of the middle two.
///
/// # Errors
/// If the window is not an odd number of frames, or a value is not finite.
pub fn median_filter(activation: &[f32], window_frames: usize) -> Result<Vec<f32>, DecodeError> {
    let half = half_window(window_frames)?;
    check_finite("activation", activation)?;
    let mut window: Vec<f32> = Vec::with_capacity(window_frames.min(activation.len()));
    Ok((0..activation.len())
        .map(|frame| {
            window.clear();
            let end = frame.saturating_add(half).saturating_add(1).min(activation.len());
            window.extend(&activation[frame.saturating_sub(half)..end]);
            window.sort_unstable_by(f32::total_cmp);
            let middle = window.len() / 2;
            if window.len() % 2 == 1 { window[middle] } else { 0.5 * window[middle - 1] + 0.5 * window[middle] }
        })
        .collect())
}

/// A stretch of frames of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassInterval {
    /// Where it begins, in seconds.
    pub start_seconds: f64,
    /// Where it ends and the next one begins, in seconds.
    pub end_seconds: f64,
    /// The class of its frames.
    pub class: usize,
}

/// Joins neighbouring frames of one class: intervals without gaps, from 0 to the end of the last frame.
///
/// # Errors
/// If the rate is not above 0.
pub fn class_intervals(classes: &[usize], frames_per_second: f64) -> Result<Vec<ClassInterval>, DecodeError> {
    check_frames_per_second(frames_per_second)?;
    let mut end = 0;
    Ok(classes
        .chunk_by(|left, right| left == right)
        .map(|run| {
            let start = end;
            end += run.len();
            let [start_seconds, end_seconds] = [start, end].map(|frame| frame as f64 / frames_per_second);
            ClassInterval { start_seconds, end_seconds, class: run[0] }
        })
        .collect())
}

fn half_window(window_frames: usize) -> Result<usize, DecodeError> {
    if window_frames % 2 == 1 {
        return Ok(window_frames / 2);
    }
    Err(DecodeError::Setting {
        what: "the window",
        expected: "an odd number of frames".to_owned(),
        found: window_frames.to_string(),
    })
}

fn check_rows(num_values: usize, num_classes: usize) -> Result<(), DecodeError> {
    if num_classes > 0 && num_values.is_multiple_of(num_classes) {
        return Ok(());
    }
    Err(DecodeError::Length {
        what: "probabilities of classes",
        expected: format!("whole rows of {num_classes} classes (at least one)"),
        found: num_values,
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const PROBABILITIES: [f32; 18] =
        [0.6, 0.3, 0.1, 0.5, 0.4, 0.1, 0.2, 0.7, 0.1, 0.6, 0.3, 0.1, 0.1, 0.2, 0.7, 0.1, 0.3, 0.6];

    #[test]
    fn a_short_change_is_smoothed_away() {
        // librosa 0.11's viterbi_discriminative with transition_loop(3, p) gives the same.
        assert_eq!(smooth_classes(&PROBABILITIES, 3, 0.7), Ok(vec![0, 0, 0, 0, 2, 2]));
        assert_eq!(smooth_classes(&PROBABILITIES, 3, 0.4), Ok(vec![0, 0, 1, 0, 2, 2]));
    }

    #[test]
    fn the_path_is_the_best_of_all() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (num_classes, num_frames) in [(1usize, 4), (2, 9), (3, 7), (5, 5)] {
            let probabilities: Vec<f32> = (0..num_classes * num_frames).map(|_| random.random()).collect();
            let score = |path: &[usize]| -> f64 {
                let heard = path.iter().enumerate();
                let heard = heard.map(|(frame, class)| f64::from(probabilities[frame * num_classes + class]).ln());
                let steps = path
                    .windows(2)
                    .map(|step| if step[0] == step[1] { 0.8f64.ln() } else { (0.2 / (num_classes - 1) as f64).ln() });
                heard.sum::<f64>() + steps.sum::<f64>()
            };
            let found = score(&smooth_classes(&probabilities, num_classes, 0.8).unwrap());
            let best = (0..num_classes.pow(num_frames as u32))
                .map(|number| {
                    let path: Vec<usize> =
                        (0..num_frames).map(|frame| number / num_classes.pow(frame as u32) % num_classes).collect();
                    score(&path)
                })
                .fold(f64::NEG_INFINITY, f64::max);
            assert!((found - best).abs() < 1e-9, "{num_classes} classes: {found} instead of {best}");
        }
    }

    #[test]
    fn filters_by_hand() {
        assert_eq!(mode_filter(&[0, 0, 1, 0, 2, 2, 2], 3), Ok(vec![0, 0, 0, 0, 2, 2, 2]));
        assert_eq!(mode_filter(&[3, 1, 2], 3), Ok(vec![3, 1, 2]), "all equally frequent");
        assert_eq!(mode_filter(&[1, 1, 7, 0, 0], 5), Ok(vec![1, 1, 0, 0, 0]));
        assert_eq!(mode_filter(&[], 3), Ok(vec![]));
        assert_eq!(median_filter(&[0.0, 9.0, 1.0, 2.0, 8.0], 3), Ok(vec![4.5, 1.0, 2.0, 2.0, 5.0]));
        assert_eq!(median_filter(&[1.0, 2.0], 1), Ok(vec![1.0, 2.0]));
        assert_eq!(median_filter(&[1.0, 3.0], usize::MAX), Ok(vec![2.0, 2.0]));
    }

    #[test]
    fn runs_become_intervals() {
        let interval = |start_seconds, end_seconds, class| ClassInterval { start_seconds, end_seconds, class };
        assert_eq!(
            class_intervals(&[4, 4, 1, 4], 2.0),
            Ok(vec![interval(0.0, 1.0, 4), interval(1.0, 1.5, 1), interval(1.5, 2.0, 4)])
        );
        assert_eq!(class_intervals(&[], 2.0), Ok(vec![]));
    }

    #[test]
    fn bad_input_is_named() {
        let message =
            |values: &[f32], num_classes, stay| smooth_classes(values, num_classes, stay).unwrap_err().to_string();
        assert_eq!(smooth_classes(&[], 3, 0.9), Ok(vec![]));
        assert!(message(&[0.1; 4], 3, 0.9).contains("4 values are found, and whole rows of 3 classes"));
        assert!(message(&[0.1; 4], 0, 0.9).contains("at least one"));
        assert!(message(&[0.1, f32::NAN], 2, 0.9).contains("value 1 is NaN"));
        assert!(message(&[0.1, -0.5], 2, 0.9).contains("value 1 is -0.5"));
        assert!(message(&[0.1, 0.5], 2, 1.0).contains("between 0 and 1"));
        assert!(mode_filter(&[1], 2).unwrap_err().to_string().contains("odd number"));
        assert!(median_filter(&[1.0], 0).is_err());
        assert!(class_intervals(&[1], f64::NAN).is_err());
    }
}
