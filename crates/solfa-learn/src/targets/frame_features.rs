//! What k-means is fitted to, and which of its rows belong to a token.
//!
//! MFCC with their derivatives in HuBERT's first round (Hsu et al. 2021, arXiv:2106.07447, sec. III-B), log-mel and chroma
//! in MERT's k-means teacher (Li et al. 2023, arXiv:2306.00107), a constant-Q transform, or hidden states of a model that
//! was trained before. A feature has a rate of its own; tokens have the encoder's.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::{EncodeError, Encoder, LayerChoice};
use solfa_signal::features::{
    Chroma, ChromaConfig, Cqt, CqtConfig, FeatureError, KaldiMfcc, KaldiMfccConfig, MelConfig, MelSpectrogram,
    StftConfig, with_deltas,
};
use solfa_signal::frames::Frames;

/// What a row is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KMeansFeature {
    /// Kaldi's MFCC, 100 rows a second.
    Mfcc {
        /// Coefficients: 13 in HuBERT, 20 in one of the musical ones.
        num_coefficients: usize,
        /// Whether slopes and slopes of slopes stand beside them: 39 values of 13 coefficients, 60 of 20.
        #[serde(default = "yes")]
        deltas: bool,
    },
    /// A mel spectrogram in decibels, 100 rows a second.
    LogMel {
        /// Bands: 229 in MERT.
        num_mels: usize,
    },
    /// Energies of pitch classes, 50 rows a second. Tuning is taken to be A = 440 Hz, so that a row does not depend on the
    /// rest of the clip.
    Chroma {
        /// Classes to the octave: 12 are semitones; 264 in MERT.
        num_chroma: usize,
    },
    /// Magnitudes of a constant-Q transform from C1, 48 bins to the octave, 50 rows a second.
    Cqt {
        /// Bins: 336 in MERT.
        num_bins: usize,
    },
    /// Hidden states, which the caller computes.
    Hidden {
        /// The layer's number; 0 is what the first one sees.
        layer: usize,
        /// The model: its folder or file in a configuration, its identity in a file of centroids.
        model: String,
    },
}

fn yes() -> bool {
    true
}

/// Why there are no rows, or none for some tokens.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FrameFeatureError {
    /// A feature that cannot be computed as configured.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// A clip that it cannot be computed of.
    #[error(transparent)]
    Clip(#[from] EncodeError),
    /// A sample rate without a whole number of samples from one row to the next.
    #[error("{rows_per_second} rows a second do not fit a sample rate of {sample_rate} Hz: a multiple is expected")]
    SampleRate {
        /// Rows of the feature.
        rows_per_second: u32,
        /// Samples.
        sample_rate: u32,
    },
    /// Hidden states, for which a model has to run.
    #[error("hidden states of layer {layer} come from a model, not from the sound alone")]
    Hidden {
        /// The layer.
        layer: usize,
    },
    /// A rate that is none.
    #[error("{rows_per_second} rows and {tokens_per_second} tokens a second: numbers above 0 are expected")]
    Rate {
        /// Rows of the feature.
        rows_per_second: f64,
        /// Tokens of the encoder.
        tokens_per_second: f64,
    },
    /// Rows that end before the tokens do.
    #[error(
        "{num_tokens} tokens at {tokens_per_second} a second reach row {needed}, and there are {num_rows} rows at \
         {rows_per_second} a second"
    )]
    TooFewRows {
        /// Tokens.
        num_tokens: usize,
        /// Their rate.
        tokens_per_second: f64,
        /// The row that the last one begins at.
        needed: u64,
        /// Rows that there are.
        num_rows: usize,
        /// Their rate.
        rows_per_second: f64,
    },
}

/// A feature that is computed of sound alone.
pub struct FrameFeature {
    encoder: Box<dyn Encoder>,
    /// How often slopes are put beside the values.
    delta_order: usize,
}

impl FrameFeature {
    /// Prepares a feature of clips at a sample rate.
    ///
    /// # Errors
    /// [`FrameFeatureError`] for hidden states, and for what is impossible at this rate.
    pub fn new(feature: &KMeansFeature, sample_rate: u32) -> Result<Self, FrameFeatureError> {
        /// Samples of a spectrum.
        const FFT_SAMPLES: usize = 2048;
        let hop_samples = |rows_per_second: u32| {
            let fits = sample_rate > 0 && sample_rate.is_multiple_of(rows_per_second);
            let hop_samples = (sample_rate / rows_per_second) as usize;
            if fits { Ok(hop_samples) } else { Err(FrameFeatureError::SampleRate { rows_per_second, sample_rate }) }
        };
        let mut delta_order = 0;
        let encoder: Box<dyn Encoder> = match *feature {
            KMeansFeature::Mfcc { num_coefficients, deltas } => {
                hop_samples(100)?;
                delta_order = if deltas { 2 } else { 0 };
                Box::new(KaldiMfcc::new(KaldiMfccConfig::standard(sample_rate, num_coefficients))?)
            }
            KMeansFeature::LogMel { num_mels } => {
                let stft = StftConfig::power(sample_rate, FFT_SAMPLES, hop_samples(100)?);
                Box::new(MelSpectrogram::new(MelConfig { stft, num_mels, ..MelConfig::muq() })?)
            }
            KMeansFeature::Chroma { num_chroma } => {
                let standard = ChromaConfig::standard();
                Box::new(Chroma::new(ChromaConfig {
                    sample_rate,
                    hop_samples: hop_samples(50)?,
                    num_chroma,
                    bins_per_octave: standard.bins_per_octave.next_multiple_of(num_chroma.max(1)),
                    tuning_bins: Some(0.0),
                    ..standard
                })?)
            }
            KMeansFeature::Cqt { num_bins } => {
                let hop_samples = hop_samples(50)?;
                Box::new(Cqt::new(CqtConfig { sample_rate, hop_samples, num_bins, ..CqtConfig::mert() })?)
            }
            KMeansFeature::Hidden { layer, .. } => return Err(FrameFeatureError::Hidden { layer }),
        };
        Ok(Self { encoder, delta_order })
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.encoder.spec().layers[0].dim * (self.delta_order + 1)
    }

    /// Rows per second.
    pub fn rows_per_second(&self) -> f64 {
        self.encoder.spec().frames_per_second(0)
    }

    /// The rows of a clip: `[rows, dim]`.
    ///
    /// # Errors
    /// [`FrameFeatureError::Clip`] for a clip at another rate, one that is too short, and samples that are not finite.
    pub fn rows(&self, clip: &Waveform) -> Result<Frames, FrameFeatureError> {
        let mut batch = self.encoder.encode(std::slice::from_ref(clip), &LayerChoice::All)?;
        // One layer of one clip is what was asked for.
        let frames = batch.layers.swap_remove(0).clips.swap_remove(0);
        Ok(with_deltas(&frames, self.delta_order))
    }
}

/// What a token takes of the rows that it covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowsOfToken {
    /// The first of them, as HuBERT does: every second of 100 rows a second for 50 tokens.
    #[default]
    First,
    /// Their mean.
    Mean,
}

/// The rows that each token covers: the one that it begins in, and those after it up to the one that the next token begins
/// in. Past the end, where frames of the two are cut off differently, the last row is taken again, for as long as one
/// token or one row lasts.
///
/// # Errors
/// [`FrameFeatureError`] for rates that are none, and for rows that end sooner.
pub fn rows_of_tokens(
    num_rows: usize,
    rows_per_second: f64,
    num_tokens: usize,
    tokens_per_second: f64,
) -> Result<Vec<Range<usize>>, FrameFeatureError> {
    /// What rounding leaves of a boundary that rows and tokens share.
    const TOLERANCE: f64 = 1e-6;
    let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
    if !is_rate(rows_per_second) || !is_rate(tokens_per_second) {
        return Err(FrameFeatureError::Rate { rows_per_second, tokens_per_second });
    }
    let ratio = rows_per_second / tokens_per_second;
    let first = |token: usize| (token as f64 * ratio + TOLERANCE).floor() as u64;
    if let Some(last) = num_tokens.checked_sub(1) {
        let needed = first(last);
        let missing = (needed + 1).saturating_sub(num_rows as u64);
        if num_rows == 0 || missing as f64 > ratio.max(1.0).ceil() {
            return Err(FrameFeatureError::TooFewRows {
                num_tokens,
                tokens_per_second,
                needed,
                num_rows,
                rows_per_second,
            });
        }
    }
    let range = |token| {
        let start = first(token).min(num_rows as u64 - 1) as usize;
        start..(first(token + 1).min(num_rows as u64) as usize).max(start + 1)
    };
    Ok((0..num_tokens).map(range).collect())
}

/// One row for each token, at the tokens' rate.
///
/// # Errors
/// As for [`rows_of_tokens`].
pub fn align_rows(
    rows: &Frames,
    num_tokens: usize,
    tokens_per_second: f64,
    choice: RowsOfToken,
) -> Result<Frames, FrameFeatureError> {
    let dim = rows.dim();
    let mut data = Vec::with_capacity(num_tokens * dim);
    for covered in rows_of_tokens(rows.num_frames(), rows.frames_per_second(), num_tokens, tokens_per_second)? {
        match choice {
            RowsOfToken::First => data.extend_from_slice(rows.frame(covered.start)),
            RowsOfToken::Mean => data.extend((0..dim).map(|column| {
                let values = covered.clone().map(|row| f64::from(rows.frame(row)[column]));
                (values.sum::<f64>() / covered.len() as f64) as f32
            })),
        }
    }
    Ok(Frames::new(data, num_tokens, dim, tokens_per_second))
}

#[cfg(test)]
mod tests {
    use solfa_signal::testing::musical_signal;

    use super::*;

    #[test]
    fn every_feature_has_its_width_and_rate_and_a_text_of_its_own() {
        for (text, dim, rate) in [
            (r#"{"kind":"mfcc","num_coefficients":13,"deltas":true}"#, 39, 100.0),
            (r#"{"kind":"mfcc","num_coefficients":20,"deltas":true}"#, 60, 100.0),
            (r#"{"kind":"mfcc","num_coefficients":13,"deltas":false}"#, 13, 100.0),
            (r#"{"kind":"log-mel","num_mels":229}"#, 229, 100.0),
            (r#"{"kind":"chroma","num_chroma":12}"#, 12, 50.0),
            (r#"{"kind":"chroma","num_chroma":264}"#, 264, 50.0),
            (r#"{"kind":"cqt","num_bins":84}"#, 84, 50.0),
        ] {
            let feature: KMeansFeature = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&feature).unwrap(), text);
            for sample_rate in [16_000, 24_000] {
                let computed = FrameFeature::new(&feature, sample_rate).unwrap();
                assert_eq!((computed.dim(), computed.rows_per_second()), (dim, rate), "{text}");
            }
            let computed = FrameFeature::new(&feature, 16_000).unwrap();
            let rows = computed.rows(&musical_signal(16_000, 16_000, 1)).unwrap();
            assert_eq!((rows.dim(), rows.frames_per_second()), (dim, rate));
            // HuBERT's tokens of a second: (16,000 - 400) / 320 + 1.
            for choice in [RowsOfToken::First, RowsOfToken::Mean] {
                let aligned = align_rows(&rows, 49, 50.0, choice).unwrap();
                assert_eq!((aligned.num_frames(), aligned.dim(), aligned.frames_per_second()), (49, dim, 50.0));
            }
        }
        let short: KMeansFeature = serde_json::from_str(r#"{"kind":"mfcc","num_coefficients":13}"#).unwrap();
        assert_eq!(short, KMeansFeature::Mfcc { num_coefficients: 13, deltas: true });
        assert!(serde_json::from_str::<KMeansFeature>(r#"{"kind":"log-mel","num_bands":229}"#).is_err());
    }

    #[test]
    fn tokens_cover_the_rows_of_their_time() {
        let covered = |rows, rate, tokens, token_rate| rows_of_tokens(rows, rate, tokens, token_rate).unwrap();
        assert_eq!(covered(6, 100.0, 3, 50.0), [0..2, 2..4, 4..6]);
        assert_eq!(covered(8, 100.0, 2, 25.0), [0..4, 4..8]);
        assert_eq!(covered(3, 50.0, 3, 50.0), [0..1, 1..2, 2..3]);
        // Rows of 20 ms and tokens of 10 ms.
        assert_eq!(covered(2, 50.0, 4, 100.0), [0..1, 0..1, 1..2, 1..2]);
        // 75 tokens and 100 rows a second: tokens begin at rows 0, 1.33, 2.67, 4.
        assert_eq!(covered(6, 100.0, 4, 75.0), [0..1, 1..2, 2..4, 4..5]);
        // 0.1 and its kind: 300 boundaries that are shared stay so.
        let thirds = covered(900, 30.0, 300, 10.0);
        assert!(thirds.iter().enumerate().all(|(token, rows)| *rows == (3 * token..3 * token + 3)));
        assert!(covered(0, 100.0, 0, 50.0).is_empty());
    }

    #[test]
    fn one_value_is_taken_or_all_are_averaged() {
        let rows = Frames::new(vec![1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 9.0, 90.0], 4, 2, 100.0);
        let aligned = |choice| align_rows(&rows, 2, 50.0, choice).unwrap().into_data();
        assert_eq!(aligned(RowsOfToken::First), [1.0, 10.0, 5.0, 50.0]);
        assert_eq!(aligned(RowsOfToken::Mean), [2.0, 20.0, 7.0, 70.0]);
    }

    #[test]
    fn a_missing_end_is_filled_for_one_token_and_no_longer() {
        assert_eq!(rows_of_tokens(4, 100.0, 3, 50.0).unwrap(), [0..2, 2..4, 3..4]);
        let error = rows_of_tokens(4, 100.0, 5, 50.0).unwrap_err().to_string();
        assert_eq!(error, "5 tokens at 50 a second reach row 8, and there are 4 rows at 100 a second");
        assert!(rows_of_tokens(0, 100.0, 1, 50.0).is_err());
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(rows_of_tokens(4, rate, 1, 50.0), Err(FrameFeatureError::Rate { .. })));
            assert!(matches!(rows_of_tokens(4, 50.0, 1, rate), Err(FrameFeatureError::Rate { .. })));
        }
    }

    #[test]
    fn what_cannot_be_computed_is_an_error() {
        let error = |feature, rate| FrameFeature::new(&feature, rate).err().unwrap().to_string();
        assert_eq!(
            error(KMeansFeature::Hidden { layer: 9, model: "ab".into() }, 16_000),
            "hidden states of layer 9 come from a model, not from the sound alone"
        );
        for rate in [0, 22_050, 16_010] {
            let found = error(KMeansFeature::LogMel { num_mels: 40 }, rate);
            assert!(found.contains(&format!("100 rows a second do not fit a sample rate of {rate} Hz")), "{found}");
        }
        assert!(error(KMeansFeature::Mfcc { num_coefficients: 30, deltas: true }, 16_000).contains("1 to 23"));
        assert!(error(KMeansFeature::Chroma { num_chroma: 0 }, 16_000).contains("num_chroma is 0"));
        assert!(error(KMeansFeature::Cqt { num_bins: 900 }, 16_000).contains("highest bin"));
        let mfcc = FrameFeature::new(&KMeansFeature::Mfcc { num_coefficients: 13, deltas: true }, 16_000).unwrap();
        assert!(mfcc.rows(&musical_signal(399, 16_000, 1)).is_err());
        assert!(mfcc.rows(&musical_signal(16_000, 24_000, 1)).is_err());
        assert!(mfcc.rows(&Waveform::new(vec![f32::NAN; 800], 16_000)).is_err());
    }
}
