//! An encoder of `solfa probe`: from recordings to the cache.

use std::path::{Path, PathBuf};

use solfa_eval::cache::{CacheKey, FeatureCache};
use solfa_eval::store::{EmbeddingSpace, NUMERICS_VERSION};
use solfa_probe::encode::{EncodeObserver, EncodeRecordingError, Encoded, fill_cache};
use solfa_signal::encoder::{LayerChoice, Tail};
use solfa_signal::extract::{Pipeline, Stitcher};
use solfa_signal::frames::Pooling;
use solfa_signal::windows::{WindowLength, WindowPlan};

use crate::arguments::{ModelArguments, ProbeArguments, ThreadArguments};
use crate::encoders::{self, NamedEncoder};
use crate::terminal::{self, Progress, UsageError};

/// An encoder, and how its windows are made.
pub(super) struct Encoding<'run> {
    arguments: &'run ProbeArguments,
    named: NamedEncoder,
}

impl<'run> Encoding<'run> {
    pub(super) fn open(arguments: &'run ProbeArguments, model: &str) -> anyhow::Result<Self> {
        let of_model = ModelArguments {
            model: Some(model.to_owned()),
            device: arguments.device,
            dtype: arguments.dtype,
            threads: ThreadArguments { threads: arguments.threads.threads },
        };
        Ok(Self { arguments, named: encoders::open(&of_model, None)? })
    }

    pub(super) fn name(&self) -> &str {
        &self.named.name
    }

    /// Windows as long as clips, so that each clip is encoded alone; shorter where the encoder takes no longer ones.
    fn plan(&self, clip_seconds: f64) -> Result<WindowPlan, UsageError> {
        let spec = self.named.encoder.spec();
        let longest =
            spec.maximum_samples.map_or(f64::INFINITY, |samples| samples as f64 / f64::from(spec.sample_rate));
        let window = match spec.clip_samples {
            Some(_) => WindowLength::Default,
            None => WindowLength::Seconds(clip_seconds.min(longest)),
        };
        // Sound is never filled up: the end of a recording is a shorter clip, or belongs to the one before it.
        let tail = if spec.clip_samples.is_some() { spec.default_tail } else { Tail::Overlap };
        let plan = WindowPlan::new(spec, window, None, tail);
        plan.map_err(|error| UsageError(format!("--model {}: {error}", self.named.name)))
    }

    /// What the frames are.
    pub(super) fn space(&self, clip_seconds: f64) -> anyhow::Result<EmbeddingSpace> {
        let spec = self.named.encoder.spec();
        let plan = self.plan(clip_seconds)?;
        let stitcher = Stitcher::new(spec, &plan, &LayerChoice::All)?;
        let layers = stitcher.layers();
        let seconds = |samples: usize| samples as f64 / f64::from(spec.sample_rate);
        Ok(EmbeddingSpace {
            model: self.named.name.clone(),
            encoder_identity: spec.identity.clone(),
            weights_sha256: spec.weights_sha256.clone(),
            layers: layers.iter().map(|layer| layer.layer).collect(),
            layer_dims: layers.iter().map(|layer| layer.dim).collect(),
            frames_per_second: layers.iter().map(|layer| layer.frames_per_second).collect(),
            pooling: Pooling::None,
            window_seconds: plan.window_samples().map(seconds),
            hop_seconds: plan.hop_samples().map(seconds),
            tail: plan.tail().name().to_owned(),
            resampler: self.arguments.resampler.name().to_owned(),
            sample_rate: spec.sample_rate,
            dtype: self.arguments.dtype.name().to_owned(),
            numerics_version: NUMERICS_VERSION,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Encodes what is not in the cache.
    pub(super) fn fill(
        &self,
        cache: &FeatureCache,
        keys: &[CacheKey],
        recordings: &[PathBuf],
        clip_seconds: f64,
    ) -> anyhow::Result<Encoded> {
        let pipeline = Pipeline {
            encoder: self.named.encoder.as_ref(),
            plan: self.plan(clip_seconds)?,
            layers: LayerChoice::All,
            resampler: self.arguments.resampler,
            batching: self.named.batching,
            decoder_threads: rayon::current_num_threads(),
        };
        let mut observer = Observer { progress: Progress::new(0) };
        let encoded = fill_cache(&pipeline, recordings, keys, cache, &mut observer)?;
        observer.progress.finish();
        let per_track = encoded.bytes as f64 / encoded.audio.iter().flatten().count().max(1) as f64 / 1e3;
        terminal::note(&format!(
            "{}: {} recordings encoded, {} were in the cache; {:.1} MB there, {per_track:.0} kB a recording",
            self.named.name,
            encoded.num_encoded,
            encoded.num_cached,
            encoded.bytes as f64 / 1e6,
        ));
        Ok(encoded)
    }
}

struct Observer {
    progress: Progress,
}

impl EncodeObserver for Observer {
    fn started(&mut self, num_missing: usize, _num_cached: usize) {
        self.progress = Progress::new(num_missing);
    }

    fn advanced(&mut self, seconds: f64) {
        self.progress.advance(seconds);
    }

    fn finished(&mut self, recording: &Path, error: Option<&EncodeRecordingError>) {
        self.progress.file_done();
        if let Some(error) = error {
            let path = recording.to_string_lossy();
            let message = error.to_string();
            let message = if message.contains(path.as_ref()) { message } else { format!("{path}: {message}") };
            self.progress.suspend(|| terminal::note(&format!("left out: {message}")));
        }
    }
}
