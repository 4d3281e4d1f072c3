//! Masks of the waveform, block by block, as MusicFM and MuQ are trained.
//!
//! Won et al. 2023, arXiv:2311.03318, and Zhu et al. 2025, arXiv:2501.01108: a clip is cut into blocks of 400 ms, each is
//! replaced by noise with a probability of 0.6, and the tokens of the blocks that were replaced are to be predicted. What
//! is left after the last whole block is never masked. The noise is put in before the spectrogram, so frames at the edge
//! of a block see a little of both sides; the flags of the tokens are those of the blocks all the same.

use serde::{Deserialize, Serialize};

use super::error::check_value;
use super::{RandomStream, ViewError};

/// How blocks are masked. The default is MuQ's and MusicFM's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockMaskConfig {
    /// The length of a block in seconds.
    pub block_seconds: f64,
    /// The probability that a block is masked.
    pub probability: f64,
    /// The standard deviation of the noise, whose mean is 0.
    pub noise_deviation: f64,
}

impl Default for BlockMaskConfig {
    fn default() -> Self {
        Self { block_seconds: 0.4, probability: 0.6, noise_deviation: 0.1 }
    }
}

/// A [`BlockMaskConfig`] at a sample rate and a rate of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMask {
    probability: f64,
    noise_deviation: f64,
    block_samples: usize,
    block_tokens: usize,
}

impl BlockMask {
    /// The mask for clips at `sample_rate` of which a network makes `tokens_per_second`.
    ///
    /// # Errors
    /// [`ViewError::Value`] for a probability outside 0 to 1, a negative deviation, or a block that is no whole number of
    /// samples and of tokens.
    pub fn new(config: &BlockMaskConfig, sample_rate: u32, tokens_per_second: f64) -> Result<Self, ViewError> {
        check_value("block-mask", "probability", config.probability, 0.0, 1.0)?;
        check_value("block-mask", "noise_deviation", config.noise_deviation, 0.0, 1e6)?;
        check_value("block-mask", "block_seconds", config.block_seconds, 0.0, 3_600.0)?;
        let whole = |per_second: f64, what: &str| {
            let exact = config.block_seconds * per_second;
            let count = exact.round();
            if count >= 1.0 && (exact - count).abs() < 1e-6 * count {
                return Ok(count as usize);
            }
            let expected = format!("a whole number of {what} ({per_second} a second; this gives {exact:.3})");
            Err(ViewError::Value { view: "block-mask", field: "block_seconds", value: config.block_seconds, expected })
        };
        Ok(Self {
            probability: config.probability,
            noise_deviation: config.noise_deviation,
            block_samples: whole(sample_rate.into(), "samples")?,
            block_tokens: whole(tokens_per_second, "tokens")?,
        })
    }

    /// Masks a clip in place, and says which of its `num_tokens` tokens lie under the mask.
    pub fn apply(&self, samples: &mut [f32], num_tokens: usize, random: &mut RandomStream) -> Vec<bool> {
        let num_blocks = samples.len() / self.block_samples;
        let masked: Vec<bool> = (0..num_blocks).map(|_| random.chance(self.probability)).collect();
        for (block, &is_masked) in samples.chunks_exact_mut(self.block_samples).zip(&masked) {
            if is_masked {
                random.normals(self.noise_deviation, block, |sample, noise| *sample = noise);
            }
        }
        (0..num_tokens).map(|token| masked.get(token / self.block_tokens).copied().unwrap_or(false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClipSeed, root_mean_square};
    use super::*;

    fn mask() -> BlockMask {
        BlockMask::new(&BlockMaskConfig::default(), 24_000, 25.0).unwrap()
    }

    #[test]
    fn masked_blocks_are_noise_and_the_others_are_left_alone() {
        let mut samples = vec![0.5; 720_000];
        let flags = mask().apply(&mut samples, 750, &mut ClipSeed { seed: 1, step: 0, clip: 0 }.stream("mask"));
        assert_eq!(flags.len(), 750);
        let mut num_masked = 0;
        for (block, tokens) in samples.chunks_exact(9_600).zip(flags.chunks_exact(10)) {
            assert!(tokens.iter().all(|&token| token == tokens[0]), "a block's tokens have its flag");
            if tokens[0] {
                num_masked += 1;
                assert!((root_mean_square(block) - 0.1).abs() < 0.005);
            } else {
                assert!(block.iter().all(|&sample| sample == 0.5));
            }
        }
        assert!((32..58).contains(&num_masked), "{num_masked} of 75 blocks; 45 expected");
    }

    #[test]
    fn the_rest_after_the_last_whole_block_is_never_masked() {
        let all = BlockMaskConfig { probability: 1.0, ..BlockMaskConfig::default() };
        let mask = BlockMask::new(&all, 24_000, 25.0).unwrap();
        let mut samples = vec![0.5; 2 * 9_600 + 9_599];
        let flags = mask.apply(&mut samples, 29, &mut ClipSeed { seed: 1, step: 0, clip: 0 }.stream("mask"));
        assert_eq!(flags, [[true; 20].as_slice(), &[false; 9]].concat());
        assert!(samples[2 * 9_600..].iter().all(|&sample| sample == 0.5));
        let mut short = vec![0.5; 100];
        let mut random = ClipSeed { seed: 1, step: 0, clip: 0 }.stream("mask");
        assert_eq!(mask.apply(&mut short, 1, &mut random), [false]);
    }

    #[test]
    fn the_mask_depends_on_its_stream_alone() {
        let draw = |step| {
            let mut samples = vec![0.0; 96_000];
            let flags = mask().apply(&mut samples, 100, &mut ClipSeed { seed: 1, step, clip: 0 }.stream("mask"));
            (flags, samples)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn blocks_that_do_not_fit_the_tokens_are_refused() {
        let config = BlockMaskConfig { block_seconds: 0.41, ..BlockMaskConfig::default() };
        let error = BlockMask::new(&config, 24_000, 25.0).unwrap_err().to_string();
        assert!(error.contains("a whole number of tokens") && error.contains("10.250"), "{error}");
        let parsed: Result<BlockMaskConfig, _> = serde_json::from_str(r#"{"probabilty": 0.5}"#);
        assert!(parsed.unwrap_err().to_string().contains("probabilty"));
    }
}
