//! Attention maps of every window of a recording, beside its embedding.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use solfa_eval::store::{AttentionFolder, write_attention};
use solfa_signal::audio::{Resampler, Waveform};
use solfa_signal::encoder::{EncodeError, Encoder, EncoderSpec, LayerChoice};
use solfa_signal::extract::open_recording;
use solfa_signal::windows::{WindowPlan, WindowStream};

use crate::terminal::UsageError;

/// What attention maps are made with.
pub(super) struct AttentionOutput<'run> {
    encoder: &'run dyn Encoder,
    model: String,
    plan: WindowPlan,
    resampler: Resampler,
    layers: Vec<usize>,
}

impl<'run> AttentionOutput<'run> {
    /// Maps of those of `layers` that have attention: all but the first.
    pub(super) fn new(
        encoder: &'run dyn Encoder,
        model: &str,
        plan: &WindowPlan,
        resampler: Resampler,
        layers: &[usize],
    ) -> Result<Self, UsageError> {
        if encoder.spec().attention_heads.is_none() {
            return Err(UsageError(format!("--attentions: {model} has no attention maps of frames: leave it out")));
        }
        let layers: Vec<usize> = layers.iter().copied().filter(|&layer| layer > 0).collect();
        if layers.is_empty() {
            return Err(UsageError("--attentions: layer 0 is what attention starts from: choose another layer".into()));
        }
        Ok(Self { encoder, model: model.to_owned(), plan: plan.clone(), resampler, layers })
    }

    /// Writes one file for each window of `recording`: `song.attention/0000.safetensors` and so on, beside its embedding
    /// `song.safetensors`.
    pub(super) fn write(&self, recording: &Path, output: &Path) -> anyhow::Result<()> {
        let folder = AttentionFolder::create(&output.with_extension("attention"))?;
        let source = open_recording(recording, self.encoder.spec(), self.resampler)?;
        for (number, window) in WindowStream::new(source, self.plan.clone()).enumerate() {
            let window = window?;
            let seconds = |sample: u64| (sample as f64 / f64::from(self.plan.sample_rate())).to_string();
            let metadata = self.metadata(
                recording,
                [
                    ("window_start_seconds", seconds(window.position.start_sample)),
                    ("window_end_seconds", seconds(window.position.end_sample)),
                ],
            );
            write_attention(&folder.window(number), &self.layers, &metadata, |take| {
                self.produce(&window.waveform, take)
            })?;
        }
        Ok(folder.commit()?)
    }

    fn metadata(&self, recording: &Path, window: [(&'static str, String); 2]) -> BTreeMap<&'static str, String> {
        let EncoderSpec { identity, has_class_token, weights_sha256, .. } = self.encoder.spec();
        let seconds = |samples: Option<usize>| {
            samples.map_or("whole".into(), |samples| (samples as f64 / f64::from(self.plan.sample_rate())).to_string())
        };
        let layer = self.layers[0];
        let mut metadata = BTreeMap::from([
            ("path", recording.to_string_lossy().into_owned()),
            ("model", self.model.clone()),
            ("encoder_identity", identity.clone()),
            ("weights_sha256", weights_sha256.clone().unwrap_or_default()),
            ("window_seconds", seconds(self.plan.window_samples())),
            ("hop_seconds", seconds(self.plan.hop_samples())),
            ("tail", self.plan.tail().name().to_owned()),
            ("dtype", "f32".to_owned()),
            ("sample_rate", self.plan.sample_rate().to_string()),
            ("frames_per_second", self.encoder.spec().frames_per_second(layer).to_string()),
            ("first_token", if *has_class_token { "class token" } else { "frame 0" }.to_owned()),
            ("resampler", self.resampler.name().to_owned()),
            ("program_version", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        metadata.extend(window);
        metadata
    }

    /// Hands the maps of one window over, until they are not taken any more.
    fn produce(
        &self,
        window: &Waveform,
        take: &mut dyn FnMut(solfa_signal::encoder::AttentionMaps) -> io::Result<()>,
    ) -> Result<(), EncodeError> {
        self.encoder.attention_maps(window, &LayerChoice::Numbers(self.layers.clone()), &mut |maps| match take(maps) {
            Ok(()) => ControlFlow::Continue(()),
            // Whoever takes them keeps the reason.
            Err(_) => ControlFlow::Break(()),
        })
    }
}
