//! Several views, one after another.

use serde::{Deserialize, Serialize};

use super::phase_vocoder::PhaseVocoder;
use super::{ClipSeed, Filter, Gain, Mix, Noise, PitchShift, RandomStream, Speed, TimeStretch, ViewError};

/// One change of the sound, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "view", rename_all = "kebab-case")]
pub enum ViewConfig {
    /// Louder or softer.
    Gain(Gain),
    /// White noise.
    Noise(Noise),
    /// A filter of the second order.
    Filter(Filter),
    /// Pitch and tempo together.
    Speed(Speed),
    /// Tempo alone.
    TimeStretch(TimeStretch),
    /// Pitch alone.
    PitchShift(PitchShift),
    /// Another clip.
    Mix(Mix),
}

impl ViewConfig {
    /// The name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gain(_) => "gain",
            Self::Noise(_) => "noise",
            Self::Filter(_) => "filter",
            Self::Speed(_) => "speed",
            Self::TimeStretch(_) => "time-stretch",
            Self::PitchShift(_) => "pitch-shift",
            Self::Mix(_) => "mix",
        }
    }

    fn probability(&self) -> f64 {
        match self {
            Self::Gain(view) => view.probability,
            Self::Noise(view) => view.probability,
            Self::Filter(view) => view.probability,
            Self::Speed(view) => view.probability,
            Self::TimeStretch(view) => view.probability,
            Self::PitchShift(view) => view.probability,
            Self::Mix(view) => view.probability,
        }
    }

    fn validate(&self, sample_rate: u32) -> Result<(), ViewError> {
        match self {
            Self::Gain(view) => view.validate(),
            Self::Noise(view) => view.validate(),
            Self::Filter(view) => view.validate(sample_rate),
            Self::Speed(view) => view.validate(),
            Self::TimeStretch(view) => view.validate(),
            Self::PitchShift(view) => view.validate(),
            Self::Mix(view) => view.validate(),
        }
    }
}

/// Where clips to be mixed in come from.
pub trait OtherClips {
    /// A clip of some other track, `num_samples` long, chosen by `random`; `None` where there is none to be had.
    fn other(&self, num_samples: usize, random: &mut RandomStream) -> Option<Vec<f32>>;
}

/// No other clips: [`Mix`] changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoOtherClips;

impl OtherClips for NoOtherClips {
    fn other(&self, _num_samples: usize, _random: &mut RandomStream) -> Option<Vec<f32>> {
        None
    }
}

/// Views in the order in which they are applied, at one sample rate.
#[derive(Clone)]
pub struct ViewChain {
    views: Vec<ViewConfig>,
    sample_rate: u32,
    vocoder: PhaseVocoder,
}

impl ViewChain {
    /// The chain of a configuration.
    ///
    /// # Errors
    /// [`ViewError`] for the first view with an impossible field.
    pub fn new(views: &[ViewConfig], sample_rate: u32) -> Result<Self, ViewError> {
        views.iter().try_for_each(|view| view.validate(sample_rate))?;
        Ok(Self { views: views.to_vec(), sample_rate, vocoder: PhaseVocoder::new(sample_rate) })
    }

    /// The configuration.
    pub fn views(&self) -> &[ViewConfig] {
        &self.views
    }

    /// Samples that must go in so that `num_samples` come out, whatever is drawn: views that speed a clip up need more.
    pub fn input_samples(&self, num_samples: usize) -> usize {
        self.views.iter().rev().fold(num_samples, |samples, view| match view {
            ViewConfig::Speed(view) => view.input_samples(samples),
            ViewConfig::TimeStretch(view) => view.input_samples(samples),
            _ => samples,
        })
    }

    /// Applies every view in order and cuts the end off, so that `num_samples` are left; silence fills up what is missing
    /// if fewer than [`input_samples`](Self::input_samples) went in.
    ///
    /// `crop` tells apart the crops of one clip: each has streams of its own.
    pub fn apply(
        &self,
        mut samples: Vec<f32>,
        num_samples: usize,
        seed: ClipSeed,
        crop: usize,
        others: &dyn OtherClips,
    ) -> Vec<f32> {
        for (place, view) in self.views.iter().enumerate() {
            let mut random = seed.stream(&format!("crop {crop}, view {place}, {}", view.name()));
            if !random.chance(view.probability()) {
                continue;
            }
            match view {
                ViewConfig::Gain(view) => view.apply(&mut samples, &mut random),
                ViewConfig::Noise(view) => view.apply(&mut samples, &mut random),
                ViewConfig::Filter(view) => view.apply(&mut samples, self.sample_rate, &mut random),
                ViewConfig::Speed(view) => samples = view.apply(samples, &mut random),
                ViewConfig::TimeStretch(view) => samples = view.apply(&samples, &self.vocoder, &mut random),
                ViewConfig::PitchShift(view) => samples = view.apply(&samples, &self.vocoder, &mut random),
                ViewConfig::Mix(view) => {
                    if let Some(other) = others.other(samples.len(), &mut random) {
                        view.apply(&mut samples, &other, &mut random);
                    }
                }
            }
        }
        samples.resize(num_samples, 0.0);
        samples
    }
}

impl std::fmt::Debug for ViewChain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ViewChain").field("views", &self.views).field("sample_rate", &self.sample_rate).finish()
    }
}

#[cfg(test)]
mod tests {
    use solfa_signal::testing::musical_signal;

    use super::*;

    const ALL: &str = r#"[
        {"view": "gain", "minimum_db": -6, "maximum_db": 6},
        {"view": "noise", "minimum_snr_db": 20, "maximum_snr_db": 40, "probability": 0.5},
        {"view": "filter", "kinds": ["low-pass", "band-pass"], "minimum_hz": 500, "maximum_hz": 4000},
        {"view": "speed", "minimum_factor": 0.9, "maximum_factor": 1.1},
        {"view": "time-stretch", "minimum_rate": 0.8, "maximum_rate": 1.25},
        {"view": "pitch-shift", "minimum_semitones": -2, "maximum_semitones": 2, "whole_semitones": true},
        {"view": "mix", "minimum_level_db": -20, "maximum_level_db": -10}
    ]"#;

    struct Tone;

    impl OtherClips for Tone {
        fn other(&self, num_samples: usize, random: &mut RandomStream) -> Option<Vec<f32>> {
            let step = random.range(0.01, 0.1);
            Some((0..num_samples).map(|index| (step * index as f64).sin() as f32).collect())
        }
    }

    fn seed(clip: u64) -> ClipSeed {
        ClipSeed { seed: 7, step: 3, clip }
    }

    #[test]
    fn every_view_is_read_by_its_name_and_unknown_keys_are_refused() {
        let views: Vec<ViewConfig> = serde_json::from_str(ALL).unwrap();
        let names: Vec<&str> = views.iter().map(ViewConfig::name).collect();
        assert_eq!(names, ["gain", "noise", "filter", "speed", "time-stretch", "pitch-shift", "mix"]);
        for view in &views {
            let mut value = serde_json::to_value(view).unwrap();
            assert_eq!(value["view"], view.name());
            assert_eq!(serde_json::from_value::<ViewConfig>(value.clone()).unwrap(), *view);
            value["minimun"] = 1.into();
            let error = serde_json::from_value::<ViewConfig>(value).unwrap_err().to_string();
            assert!(error.contains("minimun"), "{}: {error}", view.name());
        }
        assert!(serde_json::from_str::<ViewConfig>(r#"{"view": "reverb"}"#).is_err());
    }

    #[test]
    fn the_same_clip_gives_the_same_bits_and_another_clip_others() {
        let views: Vec<ViewConfig> = serde_json::from_str(ALL).unwrap();
        let chain = ViewChain::new(&views, 24_000).unwrap();
        let num_input = chain.input_samples(12_000);
        assert_eq!(num_input, 16_500);
        let clip = musical_signal(num_input, 24_000, 1).into_samples();
        let apply = |number, crop| chain.apply(clip.clone(), 12_000, seed(number), crop, &Tone);
        let first = apply(0, 0);
        assert_eq!(first.len(), 12_000);
        assert!(first.iter().all(|sample| sample.is_finite()) && first[11_990..].iter().any(|&sample| sample != 0.0));
        assert_eq!(first, apply(0, 0));
        assert_ne!(first, apply(1, 0));
        assert_ne!(first, apply(0, 1));
    }

    #[test]
    fn a_view_draws_the_same_whatever_stands_elsewhere_in_the_chain() {
        let gain: ViewConfig = serde_json::from_str(r#"{"view": "gain", "minimum_db": -6, "maximum_db": 6}"#).unwrap();
        let never: ViewConfig =
            serde_json::from_str(r#"{"view": "mix", "minimum_level_db": 0, "maximum_level_db": 0, "probability": 0}"#)
                .unwrap();
        let alone = ViewChain::new(std::slice::from_ref(&gain), 24_000).unwrap();
        let followed = ViewChain::new(&[gain, never], 24_000).unwrap();
        let clip = vec![0.5; 10];
        assert_eq!(
            alone.apply(clip.clone(), 10, seed(0), 0, &NoOtherClips),
            followed.apply(clip, 10, seed(0), 0, &NoOtherClips)
        );
    }

    #[test]
    fn no_views_cut_the_clip_to_its_length_and_an_impossible_one_is_refused() {
        let chain = ViewChain::new(&[], 24_000).unwrap();
        assert_eq!(chain.apply(vec![1.0, 2.0, 3.0], 2, seed(0), 0, &NoOtherClips), [1.0, 2.0]);
        assert_eq!(chain.apply(vec![1.0], 2, seed(0), 0, &NoOtherClips), [1.0, 0.0]);
        let wrong = ViewConfig::Gain(Gain { probability: 2.0, minimum_db: 0.0, maximum_db: 0.0 });
        assert!(ViewChain::new(&[wrong], 24_000).is_err());
    }
}
