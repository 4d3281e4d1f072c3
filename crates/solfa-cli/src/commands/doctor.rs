//! `solfa doctor`.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use solfa_learn::device::DeviceChoice;
use solfa_signal::audio::find_ffmpeg;

use crate::arguments::JsonArguments;
use crate::terminal::{self, Outcome};

#[derive(Serialize)]
struct Diagnosis {
    version: &'static str,
    system: String,
    cores: usize,
    threads: usize,
    cpu_features: Vec<&'static str>,
    devices: Vec<DeviceState>,
    ffmpeg: Option<Ffmpeg>,
    cache_folders: Vec<CacheFolder>,
}

#[derive(Serialize)]
struct DeviceState {
    device: &'static str,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Ffmpeg {
    path: PathBuf,
    version: String,
}

#[derive(Serialize)]
struct CacheFolder {
    path: PathBuf,
    set_by: &'static str,
    exists: bool,
}

pub(crate) fn run(arguments: &JsonArguments) -> anyhow::Result<Outcome> {
    let diagnosis = Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads: rayon::current_num_threads(),
        cpu_features: cpu_features(),
        devices: DeviceChoice::ALL.into_iter().map(device_state).collect(),
        ffmpeg: find_ffmpeg().map(|path| Ffmpeg { version: ffmpeg_version(&path), path }),
        cache_folders: cache_folder().into_iter().collect(),
    };
    if arguments.json {
        terminal::print_json(&diagnosis)?;
        return Ok(Outcome::Done);
    }
    let mut lines = vec![
        format!("solfa      {}", diagnosis.version),
        format!("system     {}, {} cores, {} threads used", diagnosis.system, diagnosis.cores, diagnosis.threads),
        format!(
            "cpu        {}",
            if diagnosis.cpu_features.is_empty() {
                "no vector features known".into()
            } else {
                diagnosis.cpu_features.join(", ")
            }
        ),
    ];
    for DeviceState { device, usable, reason } in &diagnosis.devices {
        let state = if *usable { "usable" } else { "not usable" };
        lines.push(format!(
            "device     {device}: {state}{}",
            reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"))
        ));
    }
    lines.push(match &diagnosis.ffmpeg {
        Some(ffmpeg) => format!("ffmpeg     {}, {}", ffmpeg.path.display(), ffmpeg.version),
        None => "ffmpeg     not found on the PATH: Opus, HE-AAC, WMA and the sound of videos cannot be decoded".into(),
    });
    for CacheFolder { path, set_by, exists } in &diagnosis.cache_folders {
        let state = if *exists { "exists" } else { "does not exist yet" };
        lines.push(format!("cache      {} ({set_by}): {state}", path.display()));
    }
    terminal::print_line(&lines.join("\n"))?;
    Ok(Outcome::Done)
}

fn device_state(choice: DeviceChoice) -> DeviceState {
    let reason = choice.open().err().map(|error| error.to_string());
    DeviceState { device: choice.name(), usable: reason.is_none(), reason }
}

/// The vector features that the kernels look for, of those that this processor has.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}

fn ffmpeg_version(path: &std::path::Path) -> String {
    let output = Command::new(path).arg("-version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    words.take(3).collect::<Vec<_>>().join(" ")
}

/// Hugging Face's cache of models, by its own rules: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in the user's cache.
fn cache_folder() -> Option<CacheFolder> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (path, set_by) = if let Some(path) = variable("HF_HUB_CACHE") {
        (path, "HF_HUB_CACHE")
    } else if let Some(home) = variable("HF_HOME") {
        (home.join("hub"), "HF_HOME")
    } else if let Some(cache) = variable("XDG_CACHE_HOME") {
        (cache.join("huggingface/hub"), "XDG_CACHE_HOME")
    } else {
        (variable("HOME")?.join(".cache/huggingface/hub"), "default")
    };
    Some(CacheFolder { exists: path.is_dir(), path, set_by })
}
