//! `solfa probe`.

mod bundled;
mod report;
mod zero_shot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use solfa_eval::cache::{CacheDtype, CacheKey, FeatureCache, Kept};
use solfa_eval::dataset::{DataSet, ReadOptions, Split};
use solfa_eval::results::ResultFolder;
use solfa_eval::task::{Scope, Task, TaskKind};
use solfa_probe::compare::compare_encoders;
use solfa_probe::features::CachedFeatures;
use solfa_probe::problem::{Problem, Row};
use solfa_probe::protocol::{ClipVector, Protocol};
use solfa_probe::retrieval::Retrieval;
use solfa_probe::scan::Scan;
use solfa_probe::subject::Subject;
use solfa_probe::suite::{Choices, Suite, SuiteTask};

use self::report::Report;
use crate::arguments::ProbeArguments;
use crate::encoding::{Encoding, cache_folder};
use crate::inputs;
use crate::terminal::{self, Outcome, UsageError};

/// What is kept of recordings of which rows name stretches, in seconds: fine enough to begin and end where they do.
const ITEM_SECONDS: f64 = 1.0;

/// A task on a data set, ready to be probed.
struct Entry {
    problem: Problem,
    protocol: Protocol,
}

impl Entry {
    /// Seconds of the clips that recordings are cut into.
    fn clip_seconds(&self) -> f64 {
        self.protocol.clip_seconds.unwrap_or(self.problem.task.clip_seconds)
    }

    /// What the cache keeps of a recording for this task, when windows are so far apart.
    fn kept(&self, hop_seconds: Option<f64>) -> Kept {
        let Protocol { maximum_frames_per_second, minimum_share, clip_vector, .. } = self.protocol;
        let clip_seconds = match self.clips_of_stretches() {
            Some(seconds) => ITEM_SECONDS.min(seconds),
            None => self.clip_seconds(),
        };
        match (self.problem.task.kind.scope(), clip_vector) {
            (Scope::Frame | Scope::Sound, _) => Kept::Frames { maximum_per_second: maximum_frames_per_second },
            (_, ClipVector::Mean) => Kept::ClipMeans { clip_seconds, minimum_share },
            (_, ClipVector::ClassToken) => Kept::ClassTokens { hop_seconds: hop_seconds.unwrap_or(clip_seconds) },
        }
    }

    /// The length of clips that begin where a stretch of a recording does; nothing where rows are about whole recordings, or
    /// about moments.
    fn clips_of_stretches(&self) -> Option<f64> {
        let is_of_clips = self.problem.task.kind.scope() == Scope::Track && !self.needs_class_token();
        let mut parts = self.problem.tracks.iter().flat_map(|track| &track.parts);
        (is_of_clips && parts.any(|(_, segment)| segment.is_some())).then(|| self.clip_seconds())
    }

    /// Whether an encoder without class tokens cannot be probed.
    fn needs_class_token(&self) -> bool {
        self.protocol.clip_vector == ClipVector::ClassToken
    }
}

pub(crate) fn run(arguments: &ProbeArguments) -> anyhow::Result<Outcome> {
    let (suite, folder) = suite(arguments)?;
    if suite.models.is_empty() {
        return Err(UsageError("no encoder to probe: give --model, several times for several".to_owned()).into());
    }
    let resolved = suite.resolve().map_err(|error| UsageError(error.to_string()))?;
    let mut entries = Vec::with_capacity(resolved.len());
    for ((task, protocol), entry) in resolved.into_iter().zip(&suite.tasks) {
        // Without training, only what is scored has to be there.
        let is_trained = !arguments.zero_shot && task.kind.scope() != Scope::Pairs;
        let needed = if is_trained { &Split::ALL[..] } else { &[Split::Test] };
        let problem = problem(&task, &folder.join(&entry.data), arguments.audio_root.as_deref(), needed)?;
        problem.notes.iter().for_each(|note| terminal::note(note));
        entries.push(Entry { problem, protocol });
    }
    let results = ResultFolder::new(&arguments.output);
    let (_, broken) = results.rows()?;
    for line in broken {
        terminal::note(&format!("{}, line {}: left out: {}", results.rows_path().display(), line.line, line.reason));
    }
    let cache = FeatureCache::new(cache_folder(arguments.cache.as_deref())?);
    let mut report = Report::new(arguments.json);
    let mut num_failed = 0;
    for model in &suite.models {
        num_failed += if arguments.zero_shot {
            zero_shot::run(arguments, model, &entries, &cache, &results, &mut report)?
        } else {
            probe_model(arguments, model, &entries, &cache, &results, &mut report)?
        };
    }
    results.write_comparisons(&compare_encoders(&results)?)?;
    let parquet = results.write_parquet()?;
    report.finish()?;
    terminal::note(&format!("results are in {} and {}", results.rows_path().display(), parquet.display()));
    Ok(if num_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// Encodes what one model has not encoded yet, and trains its heads on every task. Gives the number of recordings that
/// could not be encoded.
fn probe_model(
    arguments: &ProbeArguments,
    model: &str,
    entries: &[Entry],
    cache: &FeatureCache,
    results: &ResultFolder,
    report: &mut Report,
) -> anyhow::Result<usize> {
    let encoding = Encoding::open(arguments.encoding, model)?;
    if entries.iter().any(Entry::needs_class_token) && !encoding.encoder().spec().has_class_token {
        return Err(UsageError(format!("--pool cls: {} has no class token", encoding.name())).into());
    }
    // Tasks whose clips are as long share one pass over their recordings.
    let mut passes: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        passes.entry(entry.clip_seconds().to_bits()).or_default().push(entry);
    }
    let mut num_failed = 0;
    for entries in passes.values() {
        let mut recordings: Vec<PathBuf> =
            entries.iter().flat_map(|entry| entry.problem.recordings.iter().cloned()).collect();
        recordings.sort();
        recordings.dedup();
        let space = encoding.space(entries[0].clip_seconds())?;
        let dtype = if arguments.half { CacheDtype::F16 } else { CacheDtype::F32 };
        let mut keys: Vec<CacheKey> = Vec::new();
        for entry in entries {
            let key = CacheKey { space: space.clone(), kept: entry.kept(space.hop_seconds), dtype };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let encoded = encoding.fill(cache, &keys, &recordings, entries[0].clip_seconds())?;
        num_failed += encoded.audio.iter().filter(|audio| audio.is_none()).count();
        let audio: BTreeMap<&PathBuf, &Option<String>> = recordings.iter().zip(&encoded.audio).collect();
        for entry in entries {
            let key = CacheKey { space: space.clone(), kept: entry.kept(space.hop_seconds), dtype };
            let audio: Vec<Option<String>> = entry
                .problem
                .recordings
                .iter()
                .map(|path| audio.get(path).and_then(|found| (*found).clone()))
                .collect();
            let time = report::now();
            let subject = Subject {
                problem: &entry.problem,
                features: CachedFeatures { cache, key: &key, audio: &audio, clip_seconds: entry.clips_of_stretches() },
                encoder: encoding.name(),
                results,
                time: &time,
                program_version: env!("CARGO_PKG_VERSION"),
            };
            if entry.problem.task.kind.scope() == Scope::Pairs {
                report.add_rows(&Retrieval { subject }.run()?)?;
                continue;
            }
            let scan = Scan { subject, protocol: &entry.protocol };
            let units = scan.units(&space.layers)?;
            let observer = report.observer(&scan, &units);
            let outcomes = scan.run(&units, &observer);
            observer.finish();
            report.add(&entry.problem, encoding.name(), &units, &outcomes?, results)?;
        }
    }
    Ok(num_failed)
}

/// The suite that is asked for, and the folder that its paths start from.
fn suite(arguments: &ProbeArguments) -> anyhow::Result<(Suite, PathBuf)> {
    let (mut suite, folder) = match (&arguments.suite, &arguments.task, &arguments.data) {
        (Some(name), ..) if name == "bundled" => bundled::suite(arguments)?,
        (Some(file), ..) => {
            let path = Path::new(file);
            let text = inputs::read_text(path)?;
            let suite: Suite = toml::from_str(&text).with_context(|| format!("{file}: not a suite"))?;
            (suite, path.parent().unwrap_or(Path::new("")).to_owned())
        }
        (None, Some(task), Some(data)) => {
            let (task, data) = (task.clone(), data.clone());
            let task = SuiteTask { task, kind: arguments.kind, data, protocol: None, set: Choices::default() };
            (Suite { tasks: vec![task], ..Suite::default() }, PathBuf::new())
        }
        _ => return Err(UsageError("give --task with --data, or --suite".to_owned()).into()),
    };
    if !arguments.models.is_empty() {
        suite.models.clone_from(&arguments.models);
    }
    if arguments.protocol.is_some() {
        suite.protocol.clone_from(&arguments.protocol);
        suite.tasks.iter_mut().for_each(|task| task.protocol = None);
    }
    suite.faithful |= arguments.faithful;
    let typed = choices(arguments);
    for task in &mut suite.tasks {
        task.set = typed.clone().or(&task.set);
    }
    Ok((suite, folder))
}

/// What was typed, which counts more than what a file says.
fn choices(arguments: &ProbeArguments) -> Choices {
    Choices {
        layers: arguments.layers.clone().map(|layers| layers.0),
        head: arguments.head.map(Into::into),
        learning_rates: arguments.learning_rates.clone(),
        seeds: arguments.seeds.clone(),
        label_fractions: arguments.label_fractions.clone(),
        draws: arguments.draws,
        clip_seconds: arguments.clip,
        clip_vector: arguments.pool.map(Into::into),
        maximum_frames_per_second: arguments.frame_rate,
        both_fifths: arguments.both_fifths.then_some(true),
        ..Choices::default()
    }
}

/// A task's data set, with every recording found.
fn problem(task: &Task, data: &Path, audio_root: Option<&Path>, needed: &[Split]) -> anyhow::Result<Problem> {
    let options = ReadOptions { required: needed.to_vec(), ..ReadOptions::default() };
    let data_set = DataSet::read_with(data, &options)?;
    let paths = data_set.audio_paths(audio_root)?;
    let mut rows = Vec::new();
    for (index, (record, path)) in data_set.records().iter().zip(paths).enumerate() {
        let split = record.split.unwrap_or(Split::Train);
        if !needed.contains(&split) {
            continue;
        }
        let stems = match task.kind {
            TaskKind::Separation => data_set.stem_paths(index, audio_root)?,
            _ => Vec::new(),
        };
        let (place, segment) = (data_set.place(index), record.segment());
        rows.push(Row { record: record.clone(), split, path, place, segment, stems });
    }
    Ok(Problem::new(task, data_set.name(), data_set.sha256(), rows, needed)?)
}
