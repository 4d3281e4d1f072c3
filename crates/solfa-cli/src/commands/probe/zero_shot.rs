//! `solfa probe --zero-shot`.

use solfa_eval::cache::{CacheDtype, CacheKey, FeatureCache, Kept};
use solfa_eval::results::ResultFolder;
use solfa_eval::tag::{Label, LabelSet, prompts};
use solfa_eval::task::ClassSource;
use solfa_learn::checkpoint::LoadedModel;
use solfa_probe::features::CachedFeatures;
use solfa_probe::subject::Subject;
use solfa_probe::zero_shot::ZeroShot;

use super::Entry;
use super::report::{Report, now};
use crate::arguments::ProbeArguments;
use crate::commands::tag::label_vectors;
use crate::encoders::{self, NamedModel};
use crate::encoding::Encoding;
use crate::terminal::UsageError;

/// Clips that recordings are encoded in; a model of whole clips has its own.
const CLIP_SECONDS: f64 = 30.0;

/// Longer than any recording: one vector for each.
const WHOLE_SECONDS: f64 = 1e9;

/// Answers every task by a model of music and text. Gives the number of recordings that could not be encoded.
pub(super) fn run(
    arguments: &ProbeArguments,
    model: &str,
    entries: &[Entry],
    cache: &FeatureCache,
    results: &ResultFolder,
    report: &mut Report,
) -> anyhow::Result<usize> {
    let NamedModel { name, model: loaded, device } = encoders::load(model, arguments.encoding.device)?;
    let LoadedModel::Mulan(loaded) = loaded else {
        let reason = format!("--model {name} takes sound alone: --zero-shot needs a model of music and text");
        return Err(UsageError(reason).into());
    };
    let text = loaded.into_text_encoder(device, arguments.encoding.dtype);
    let encoding = Encoding::open(arguments.encoding, model)?;
    let kept = Kept::ClipMeans { clip_seconds: WHOLE_SECONDS, minimum_share: 0.0 };
    let key = CacheKey { space: encoding.space(CLIP_SECONDS)?, kept, dtype: CacheDtype::F32 };
    let mut num_failed = 0;
    for entry in entries {
        let problem = &entry.problem;
        let sentences = problem
            .classes
            .iter()
            .map(|class| prompts(&label(problem.task.classes, class), &arguments.prompt))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| UsageError(format!("--prompt: {error}")))?;
        // All prompts padded to the longest, as published scores were made.
        let class_vectors = label_vectors(&text, &sentences, false)?;
        let encoded = encoding.fill(cache, std::slice::from_ref(&key), &problem.recordings, CLIP_SECONDS)?;
        num_failed += encoded.audio.iter().filter(|audio| audio.is_none()).count();
        let time = now();
        let zero_shot = ZeroShot {
            subject: Subject {
                problem,
                features: CachedFeatures { cache, key: &key, audio: &encoded.audio, clip_seconds: None },
                encoder: encoding.name(),
                results,
                time: &time,
                program_version: env!("CARGO_PKG_VERSION"),
            },
            class_vectors: &class_vectors,
            templates: &arguments.prompt,
        };
        report.add_rows(&zero_shot.run()?)?;
    }
    Ok(num_failed)
}

/// How a class reads in a sentence: as its list has it, else the class itself with its underlines as spaces.
fn label(source: ClassSource, class: &str) -> Label {
    let listed = match source {
        ClassSource::Labels(name) => LabelSet::builtin(name),
        ClassSource::Kind | ClassSource::Data => None,
    };
    let found = listed.and_then(|set| set.labels().iter().find(|label| label.name() == class).cloned());
    found.unwrap_or_else(|| Label::new(class, &class.replace('_', " ")))
}
