//! From recordings to cached features, for the commands that work on all layers (`probe` and `layers`), and what is known
//! of an encoder's vectors.

use std::path::{Path, PathBuf};

use anyhow::Context;
use solfa_eval::cache::{CacheKey, FeatureCache};
use solfa_eval::store::{EmbeddingSpace, NUMERICS_VERSION};
use solfa_kernels::Precision;
use solfa_probe::encode::{EncodeObserver, EncodeRecordingError, Encoded, fill_cache};
use solfa_signal::audio::Resampler;
use solfa_signal::encoder::{Encoder, LayerChoice, Tail};
use solfa_signal::extract::{Pipeline, Stitcher};
use solfa_signal::frames::Pooling;
use solfa_signal::windows::{WindowLength, WindowPlan};

use crate::arguments::{EncodingArguments, ModelArguments};
use crate::encoders::{self, NamedEncoder};
use crate::terminal::{self, Progress, UsageError};

/// An encoder, and how its windows are made.
pub(crate) struct Encoding {
    arguments: EncodingArguments,
    named: NamedEncoder,
}

impl Encoding {
    pub(crate) fn open(arguments: EncodingArguments, model: &str) -> anyhow::Result<Self> {
        let EncodingArguments { device, dtype, threads, .. } = arguments;
        let of_model = ModelArguments { model: Some(model.to_owned()), device, dtype, threads };
        Ok(Self { arguments, named: encoders::open(&of_model, None)? })
    }

    pub(crate) fn encoder(&self) -> &dyn Encoder {
        self.named.encoder.as_ref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.named.name
    }

    /// Windows as long as clips, so that each clip is encoded alone; shorter where the encoder takes no longer ones.
    pub(crate) fn plan(&self, clip_seconds: f64) -> Result<WindowPlan, UsageError> {
        let spec = self.named.encoder.spec();
        // Windows are rounded to whole frames, and must not be rounded up here.
        let whole_frames = |samples: usize| samples / spec.grid_samples() * spec.grid_samples();
        let seconds = |samples: usize| whole_frames(samples) as f64 / f64::from(spec.sample_rate);
        let longest = spec.maximum_samples.map_or(f64::INFINITY, seconds);
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
    pub(crate) fn space(&self, clip_seconds: f64) -> anyhow::Result<EmbeddingSpace> {
        let plan = self.plan(clip_seconds)?;
        let EncodingArguments { dtype, resampler, .. } = self.arguments;
        embedding_space(&self.named, &plan, &LayerChoice::All, Pooling::None, resampler, dtype)
    }

    /// Encodes what is not in the cache.
    pub(crate) fn fill(
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

/// All that will be known of an encoder's vectors.
pub(crate) fn embedding_space(
    named: &NamedEncoder,
    plan: &WindowPlan,
    layers: &LayerChoice,
    pooling: Pooling,
    resampler: Resampler,
    dtype: Precision,
) -> anyhow::Result<EmbeddingSpace> {
    let spec = named.encoder.spec();
    if pooling.needs_class_token() && !spec.has_class_token {
        return Err(UsageError(format!("--pool {}: {} has no class token", pooling.name(), named.name)).into());
    }
    let stitcher = Stitcher::new(spec, plan, layers).map_err(|error| UsageError(error.to_string()))?;
    let layers = stitcher.layers();
    let seconds = |samples: usize| samples as f64 / f64::from(spec.sample_rate);
    Ok(EmbeddingSpace {
        model: named.name.clone(),
        encoder_identity: spec.identity.clone(),
        weights_sha256: spec.weights_sha256.clone(),
        layers: layers.iter().map(|layer| layer.layer).collect(),
        layer_dims: layers.iter().map(|layer| layer.dim).collect(),
        frames_per_second: layers.iter().map(|layer| layer.frames_per_second).collect(),
        pooling,
        window_seconds: plan.window_samples().map(seconds),
        hop_seconds: plan.hop_samples().map(seconds),
        tail: plan.tail().name().to_owned(),
        resampler: resampler.name().to_owned(),
        sample_rate: spec.sample_rate,
        dtype: dtype.name().to_owned(),
        numerics_version: NUMERICS_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Where features are kept unless `--cache` says otherwise.
pub(crate) fn cache_folder(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("SOLFA_CACHE") {
        return Ok(folder.join("features"));
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let cache = cache.context("there is no home folder to keep features in: give --cache")?;
    Ok(cache.join("solfa/features"))
}
