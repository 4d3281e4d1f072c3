//! Hand-made features, each an [`Encoder`] in its own right: the baselines that every learned representation is
//! measured against, and the front ends that the published models were trained on.
//!
//! | feature | what it is | equal to |
//! |---|---|---|
//! | [`Stft`] | magnitude or power spectrum | `torch.stft`, torchaudio `Spectrogram` |
//! | [`MelSpectrogram`] | spectrum in bands as wide as hearing's | torchaudio `MelSpectrogram` + `AmplitudeToDB` |
//! | [`Mfcc`] | shape of the mel spectrum | torchaudio `MFCC` |
//! | [`KaldiMfcc`] | the same as speech recognition has it | torchaudio `compliance.kaldi.mfcc` |
//! | [`Cqt`] | one bin per fraction of a semitone | nnAudio `CQT` |
//! | [`Chroma`] | energy of the twelve pitch classes | librosa `feature.chroma_cqt` |
//!
//! [`with_deltas`] puts slopes over time beside any of them.
//!
//! Frame `t` is centred on sample `t * hop_samples`, and a clip of `n` samples has `n / hop_samples + 1` frames; only
//! [`KaldiMfcc`]'s frames begin there, and end before the clip does. All transforms run in double precision: the result
//! then differs from a single-precision reference by that reference's own rounding only. Every frame is computed on its
//! own, so results do not depend on the number of threads.
//!
//! This module must not know: files, windows of recordings, tensors.

mod chroma;
mod cqt;
mod deltas;
mod error;
mod kaldi_mfcc;
mod masking;
mod mel;
mod mfcc;
mod octaves;
mod stft;
mod tuning;

use rayon::prelude::*;
use serde::Serialize;

pub use chroma::{Chroma, ChromaConfig};
pub use cqt::{Cqt, CqtConfig};
pub use deltas::with_deltas;
pub use error::FeatureError;
pub use kaldi_mfcc::{KaldiMfcc, KaldiMfccConfig};
pub use masking::SpectralMask;
pub use mel::{Compression, MelConfig, MelScale, MelSpectrogram};
pub use mfcc::{Mfcc, MfccConfig};
pub use stft::{Padding, Spectrum, Stft, StftConfig};

use crate::audio::Waveform;
use crate::encoder::{
    EncodeError, Encoder, EncoderSpec, LayerBatch, LayerChoice, LayerFrames, LayerSpec, Tail, check_clips,
    check_finite, sha256_hex,
};
use crate::frames::Frames;

/// What embedding cuts a recording into by default, in seconds: features are not trained, so any length will do.
const DEFAULT_WINDOW_SECONDS: f64 = 30.0;

/// Names that [`builtin`] knows.
pub const BUILTIN_NAMES: [&str; 4] = ["mel", "mfcc", "cqt", "chroma"];

/// A feature with its default configuration, by name; `None` for a name that is not in [`BUILTIN_NAMES`].
///
/// | name | configuration |
/// |---|---|
/// | `mel` | [`MelConfig::muq`] |
/// | `mfcc` | [`MfccConfig::standard`] |
/// | `cqt` | [`CqtConfig::mert`] |
/// | `chroma` | [`ChromaConfig::standard`] |
pub fn builtin(name: &str) -> Option<Box<dyn Encoder>> {
    fn boxed<E: Encoder + 'static>(feature: Result<E, FeatureError>) -> Option<Box<dyn Encoder>> {
        feature.ok().map(|feature| Box::new(feature) as Box<dyn Encoder>)
    }
    match name {
        "mel" => boxed(MelSpectrogram::new(MelConfig::muq())),
        "mfcc" => boxed(Mfcc::new(MfccConfig::standard())),
        "cqt" => boxed(Cqt::new(CqtConfig::mert())),
        "chroma" => boxed(Chroma::new(ChromaConfig::standard())),
        _ => None,
    }
}

/// What a feature's specification is made of, beside the constants that all features share.
struct FeatureSpec {
    name: &'static str,
    /// Raised whenever the same configuration gives different numbers than before.
    numerics_version: u32,
    sample_rate: u32,
    dim: usize,
    hop_samples: usize,
    minimum_samples: usize,
    context_samples: Option<usize>,
}

impl FeatureSpec {
    /// The specification of an encoder with one layer, its identity taken from the configuration.
    fn into_encoder_spec(self, config: &impl Serialize) -> Result<EncoderSpec, FeatureError> {
        let config =
            serde_json::to_string(config).map_err(|error| FeatureError::Identity { reason: error.to_string() })?;
        let text = format!("solfa feature {}\nnumerics {}\n{config}", self.name, self.numerics_version);
        Ok(EncoderSpec {
            name: self.name.to_owned(),
            identity: sha256_hex(text),
            weights_sha256: None,
            sample_rate: self.sample_rate,
            layers: vec![LayerSpec { name: self.name.to_owned(), dim: self.dim, hop_samples: self.hop_samples }],
            minimum_samples: self.minimum_samples,
            maximum_samples: None,
            clip_samples: None,
            edge_samples: 0,
            has_class_token: false,
            normalizes_peak: false,
            attention_heads: None,
            context_samples: self.context_samples,
            default_window_seconds: DEFAULT_WINDOW_SECONDS,
            default_tail: Tail::Overlap,
        })
    }
}

/// [`Encoder::encode`] for every feature: each clip on its own, clips in parallel.
fn encode_clips(
    spec: &EncoderSpec,
    clips: &[Waveform],
    layers: &LayerChoice,
    compute: impl Fn(&Waveform) -> Frames + Sync,
) -> Result<LayerBatch, EncodeError> {
    let layers = layers.resolve(spec.layers.len())?;
    check_clips(spec, clips)?;
    let layers = layers
        .into_iter()
        .map(|layer| LayerFrames { layer, clips: clips.par_iter().map(&compute).collect(), class_tokens: Vec::new() })
        .collect();
    let batch = LayerBatch { layers };
    check_finite(&batch)?;
    Ok(batch)
}

/// Panics unless `waveform` fits `spec`: what `compute` promises where [`Encoder::encode`] returns an error.
#[track_caller]
fn assert_fits(spec: &EncoderSpec, waveform: &Waveform) {
    if let Err(error) = check_clips(spec, std::slice::from_ref(waveform)) {
        panic!("{}: {error}", spec.name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_builtin_exists_under_its_name_with_an_identity_of_its_own() {
        let mut identities = Vec::new();
        for name in BUILTIN_NAMES {
            let feature = builtin(name).unwrap();
            assert_eq!(feature.spec().name, name);
            identities.push(feature.spec().identity.clone());
        }
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), BUILTIN_NAMES.len());
        assert!(builtin("melody").is_none());
    }

    #[test]
    fn identity_follows_the_configuration() {
        let identity = |config| MelSpectrogram::new(config).unwrap().spec().identity.clone();
        let other = MelConfig { num_mels: 64, ..MelConfig::muq() };
        assert_eq!(identity(MelConfig::muq()), identity(MelConfig::muq()));
        assert_ne!(identity(MelConfig::muq()), identity(other));
        assert_eq!(identity(MelConfig::muq()).len(), 64);
    }

    #[test]
    fn a_clip_that_is_not_finite_is_refused() {
        for name in BUILTIN_NAMES {
            let feature = builtin(name).unwrap();
            let mut samples = vec![0.1; 24_000];
            samples[12_000] = f32::NAN;
            let clip = Waveform::new(samples, feature.spec().sample_rate);
            let result = feature.encode(&[clip], &LayerChoice::All);
            assert!(matches!(result, Err(EncodeError::NonFinite { .. })), "{name}: {result:?}");
        }
    }

    proptest! {
        #[test]
        fn clips_of_any_legal_length_have_a_frame_at_every_hop(
            fft_samples in 2usize..300,
            hop_samples in 1usize..400,
            more_samples in 0usize..2_000,
        ) {
            let stft = Stft::new(StftConfig::power(8_000, fft_samples, hop_samples)).unwrap();
            let cqt_config = CqtConfig { sample_rate: 8_000, hop_samples, minimum_hz: 400.0, num_bins: 30, ..CqtConfig::mert() };
            let cqt = Cqt::new(CqtConfig { bins_per_octave: 12, padding: Padding::Reflect, ..cqt_config }).unwrap();
            let chroma_config = ChromaConfig { sample_rate: 8_000, hop_samples, num_octaves: 5, ..ChromaConfig::standard() };
            let chroma = Chroma::new(chroma_config).unwrap();
            for feature in [&stft as &dyn Encoder, &cqt, &chroma] {
                let num_samples = feature.spec().minimum_samples + more_samples;
                let clip = crate::testing::musical_signal(num_samples, 8_000, 1);
                let batch = feature.encode(&[clip], &LayerChoice::All).unwrap();
                prop_assert_eq!(batch.layers[0].clips[0].num_frames(), num_samples / hop_samples + 1);
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for name in BUILTIN_NAMES {
            let feature = builtin(name).unwrap();
            let clip = crate::testing::musical_signal(24_000 * 12, feature.spec().sample_rate, 1);
            let with_threads = |num_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
                pool.install(|| feature.encode(std::slice::from_ref(&clip), &LayerChoice::All).unwrap())
            };
            assert!(with_threads(1) == with_threads(3), "{name}");
        }
    }
}

/// The golden case `audio-features`; see `fixtures/golden/audio-features/MANIFEST.md`.
#[cfg(test)]
mod golden {
    use safetensors::SafeTensors;

    use crate::audio::Waveform;

    fn tensor(file: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
        let path = format!("{}/../../fixtures/golden/audio-features/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = fs_err::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
    }

    /// The input `wav_24000`, taken to be at `sample_rate`.
    pub(super) fn input(sample_rate: u32) -> Waveform {
        Waveform::new(tensor("inputs", "wav_24000").1, sample_rate)
    }

    /// An output, `[.., dim, frames]` in the file, as `[frames, dim]`.
    pub(super) fn output(name: &str) -> Vec<f32> {
        let (shape, values) = tensor("outputs", name);
        let num_frames = shape[shape.len() - 1];
        let dim = shape[shape.len() - 2];
        (0..num_frames * dim).map(|index| values[index % dim * num_frames + index / dim]).collect()
    }
}
