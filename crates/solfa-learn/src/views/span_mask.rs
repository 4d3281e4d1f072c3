//! Masks of frames, span by span, as HuBERT and data2vec are trained.
//!
//! Baevski et al. 2020, wav2vec 2.0, arXiv:2006.11477, sec. 3.1, and Hsu et al. 2021, HuBERT, arXiv:2106.07447, sec. II-C:
//! some frames are chosen as starts without replacement, and a span of fixed length from each is masked; spans may
//! overlap. How many starts follows fairseq (`compute_mask_indices` with `mask_type="static"`):
//! `floor(probability x frames / span + u)` with `u` uniform within 0 to 1, and at least `minimum_spans`. So the probability
//! is that of a frame if spans never overlapped; fewer frames are masked because they do. As there, no span reaches the
//! last frame: starts are drawn from the first `frames - span`.
//!
//! fairseq draws `u` once for a batch of clips of equal length; here every clip draws its own.

use serde::{Deserialize, Serialize};

use super::error::check_value;
use super::{RandomStream, ViewError};

/// How spans are masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanMaskConfig {
    /// Share of the frames that spans would cover if they did not overlap. HuBERT: 0.8; data2vec: 0.65.
    pub probability: f64,
    /// Frames of a span. HuBERT and data2vec: 10.
    pub span_frames: usize,
    /// The least number of spans. fairseq's HuBERT and data2vec: 2.
    #[serde(default = "default_minimum_spans")]
    pub minimum_spans: usize,
    /// Whether spans may overlap. If not, they are placed one by one where there is room, and none where there is none.
    #[serde(default = "default_overlap")]
    pub overlap: bool,
}

fn default_minimum_spans() -> usize {
    2
}

fn default_overlap() -> bool {
    true
}

impl SpanMaskConfig {
    /// HuBERT's base model.
    pub fn hubert() -> Self {
        Self { probability: 0.8, span_frames: 10, minimum_spans: 2, overlap: true }
    }

    /// data2vec's audio base model.
    pub fn data2vec() -> Self {
        Self { probability: 0.65, ..Self::hubert() }
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// [`ViewError::Value`] for a probability outside 0 to 1 or a span of no frames.
    pub fn validate(&self) -> Result<(), ViewError> {
        check_value("span-mask", "probability", self.probability, 0.0, 1.0)?;
        check_value("span-mask", "span_frames", self.span_frames as f64, 1.0, 1e6)?;
        check_value("span-mask", "minimum_spans", self.minimum_spans as f64, 0.0, 1e6)
    }

    /// Which of `num_frames` frames are masked. Where there are hardly more frames than a span has, spans are cut short so
    /// that there are places enough for them, and all frames may be masked.
    pub fn draw(&self, num_frames: usize, random: &mut RandomStream) -> Vec<bool> {
        let mut mask = vec![false; num_frames];
        let expected = self.probability * num_frames as f64 / self.span_frames as f64;
        let num_spans = ((expected + random.unit()).floor() as usize).max(self.minimum_spans);
        if num_spans == 0 || num_frames < 2 {
            return mask;
        }
        if self.overlap {
            let span = self.span_frames.min(num_frames - 1);
            // Too few places for so many spans: as in fairseq, shorter spans make more places.
            let span = if num_frames - span <= num_spans { num_frames.saturating_sub(num_spans + 1) } else { span };
            for start in random.distinct(num_spans, num_frames - span) {
                let end = num_frames.min(start + self.span_frames.min(num_frames - 1));
                mask[start..end].fill(true);
            }
        } else {
            self.place_apart(num_spans, &mut mask, random);
        }
        mask
    }

    /// Places spans one after another, each in a gap chosen by its length and anywhere in it, with a frame between two.
    fn place_apart(&self, num_spans: usize, mask: &mut [bool], random: &mut RandomStream) {
        let span = self.span_frames;
        let mut gaps = vec![(0, mask.len())];
        for _ in 0..num_spans {
            gaps.retain(|&(start, end)| end - start >= span);
            let mut left = random.below(gaps.iter().map(|&(start, end)| (end - start) as u64).sum());
            let Some(chosen) = gaps.iter().position(|&(start, end)| {
                let length = (end - start) as u64;
                let is_here = left < length;
                left = left.saturating_sub(length);
                is_here
            }) else {
                return;
            };
            let (gap_start, gap_end) = gaps.swap_remove(chosen);
            let start = gap_start + random.below((gap_end - gap_start - span) as u64 + 1) as usize;
            mask[start..start + span].fill(true);
            gaps.extend([
                (gap_start, start.saturating_sub(1).max(gap_start)),
                ((start + span + 1).min(gap_end), gap_end),
            ]);
        }
    }
}

/// Unmasks random frames of all masks but those with the fewest, so that every clip has as many masked frames (fairseq's
/// `require_same_masks`).
pub fn equalize_masks(masks: &mut [Vec<bool>], random: &mut RandomStream) {
    let count = |mask: &[bool]| mask.iter().filter(|&&is_masked| is_masked).count();
    let Some(fewest) = masks.iter().map(|mask| count(mask)).min() else { return };
    for mask in masks {
        let masked: Vec<usize> = (0..mask.len()).filter(|&frame| mask[frame]).collect();
        for place in random.distinct(masked.len() - fewest, masked.len()) {
            mask[masked[place]] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClipSeed;
    use super::*;

    fn random(clip: u64) -> RandomStream {
        ClipSeed { seed: 4, step: 5, clip }.stream("mask")
    }

    fn count(mask: &[bool]) -> usize {
        mask.iter().filter(|&&is_masked| is_masked).count()
    }

    #[test]
    fn the_number_of_masked_frames_is_that_of_overlapping_spans() {
        // The rule above in NumPy, 4,000 masks each; transformers 4.46.3, whose spans may reach the last frame and whose
        // rounding is drawn once, has 0.5696 and 0.4904.
        for (config, num_frames, expected) in
            [(SpanMaskConfig::hubert(), 781, 0.5657), (SpanMaskConfig::data2vec(), 999, 0.4907)]
        {
            let total: usize = (0..400).map(|clip| count(&config.draw(num_frames, &mut random(clip)))).sum();
            let share = total as f64 / (400 * num_frames) as f64;
            assert!((share - expected).abs() < 0.004, "{share} of the frames, {expected} expected");
        }
    }

    #[test]
    fn the_number_of_spans_is_rounded_at_random_and_has_a_minimum() {
        let config = SpanMaskConfig { probability: 0.125, span_frames: 1, minimum_spans: 0, overlap: true };
        // 0.125 x 20 / 1 = 2.5: two or three spans of one frame.
        let counts: Vec<usize> = (0..1000).map(|clip| count(&config.draw(20, &mut random(clip)))).collect();
        assert!(counts.iter().all(|&count| count == 2 || count == 3));
        assert!((420..580).contains(&counts.iter().filter(|&&count| count == 3).count()));
        let config = SpanMaskConfig { probability: 0.0, span_frames: 2, minimum_spans: 1, overlap: true };
        assert!((0..50).all(|clip| count(&config.draw(40, &mut random(clip))) == 2));
        let none = SpanMaskConfig { minimum_spans: 0, ..config };
        assert_eq!(count(&none.draw(40, &mut random(0))), 0);
    }

    #[test]
    fn spans_have_their_length_and_never_reach_the_last_frame() {
        let config = SpanMaskConfig { probability: 0.0, span_frames: 7, minimum_spans: 1, overlap: true };
        let mut starts = std::collections::BTreeSet::new();
        for clip in 0..500 {
            let mask = config.draw(20, &mut random(clip));
            let start = mask.iter().position(|&is_masked| is_masked).unwrap();
            assert_eq!(mask, (0..20).map(|frame| (start..start + 7).contains(&frame)).collect::<Vec<_>>());
            starts.insert(start);
        }
        assert_eq!(starts, (0..13).collect());
    }

    #[test]
    fn clips_of_few_frames_are_masked_in_part() {
        let config = SpanMaskConfig::hubert();
        assert!(config.draw(0, &mut random(0)).is_empty());
        assert_eq!(config.draw(1, &mut random(0)), [false]);
        for num_frames in 2..40 {
            for clip in 0..20 {
                let mask = config.draw(num_frames, &mut random(clip));
                assert!(mask.len() == num_frames && count(&mask) >= 1, "{num_frames} frames");
            }
        }
        for num_frames in 0..40 {
            let apart = SpanMaskConfig { overlap: false, ..SpanMaskConfig::hubert() };
            assert_eq!(apart.draw(num_frames, &mut random(1)).len(), num_frames);
        }
    }

    #[test]
    fn spans_apart_do_not_touch() {
        let config = SpanMaskConfig { probability: 0.3, span_frames: 5, minimum_spans: 0, overlap: false };
        for clip in 0..100 {
            let mask = config.draw(500, &mut random(clip));
            let runs: Vec<usize> =
                mask.split(|&is_masked| !is_masked).map(<[bool]>::len).filter(|&length| length > 0).collect();
            assert!(runs.iter().all(|&length| length == 5), "{runs:?}");
            assert!((29..=31).contains(&runs.len()), "{} runs, 30 expected", runs.len());
        }
    }

    #[test]
    fn equal_masks_lose_frames_only() {
        let config = SpanMaskConfig::hubert();
        let before: Vec<Vec<bool>> = (0..6).map(|clip| config.draw(300, &mut random(clip))).collect();
        let mut after = before.clone();
        equalize_masks(&mut after, &mut random(9));
        let fewest = before.iter().map(|mask| count(mask)).min().unwrap();
        assert!(after.iter().all(|mask| count(mask) == fewest));
        for (before, after) in before.iter().zip(&after) {
            assert!(before.iter().zip(after).all(|(before, after)| *before || !after));
        }
        equalize_masks(&mut [], &mut random(9));
    }
}
