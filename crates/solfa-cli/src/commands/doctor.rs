//! `solfa doctor`.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use solfa_kernels::{InstructionSet, Precision};
use solfa_learn::device::DeviceChoice;
use solfa_signal::audio::find_ffmpeg;

use crate::arguments::DoctorArguments;
use crate::encoders::{self, LazyHub};
use crate::terminal::{self, Outcome};

#[derive(Serialize)]
struct Diagnosis {
    version: &'static str,
    system: String,
    cores: usize,
    threads: usize,
    cpu_features: Vec<&'static str>,
    /// What networks on the CPU compute with.
    instructions: &'static str,
    /// What they could compute with, the plainest first.
    available_instructions: Vec<&'static str>,
    devices: Vec<DeviceState>,
    ffmpeg: Option<Ffmpeg>,
    hub: HubState,
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

/// The Hugging Face hub, as the environment describes it.
#[derive(Default, Serialize)]
struct HubState {
    endpoint: Option<String>,
    /// Where downloaded models are.
    cache_folder: Option<PathBuf>,
    has_token: bool,
    is_offline: bool,
    /// Why the hub cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

pub(crate) fn run(arguments: &DoctorArguments) -> anyhow::Result<Outcome> {
    let available = InstructionSet::available();
    let diagnosis = Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads: rayon::current_num_threads(),
        cpu_features: cpu_features(),
        instructions: encoders::arithmetic(Precision::F32)?.instruction_set().name(),
        available_instructions: available.map(InstructionSet::name).collect(),
        devices: DeviceChoice::ALL.into_iter().map(device_state).collect(),
        ffmpeg: find_ffmpeg().map(|path| Ffmpeg { version: ffmpeg_version(&path), path }),
        hub: hub_state(),
    };
    if arguments.json {
        terminal::print_json(&diagnosis)?;
        return Ok(Outcome::Done);
    }
    let mut lines = vec![
        format!("solfa         {}", diagnosis.version),
        format!("system        {}, {} cores, {} threads used", diagnosis.system, diagnosis.cores, diagnosis.threads),
        format!(
            "cpu           {}",
            if diagnosis.cpu_features.is_empty() {
                "no vector features known".into()
            } else {
                diagnosis.cpu_features.join(", ")
            }
        ),
        instructions(&diagnosis),
    ];
    for DeviceState { device, usable, reason } in &diagnosis.devices {
        let state = if *usable { "usable" } else { "not usable" };
        lines.push(format!(
            "device        {device}: {state}{}",
            reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"))
        ));
    }
    lines.push(match &diagnosis.ffmpeg {
        Some(ffmpeg) => format!("ffmpeg        {}, {}", ffmpeg.path.display(), ffmpeg.version),
        None => {
            "ffmpeg        not found on the PATH: Opus, HE-AAC, WMA and the sound of videos cannot be decoded".into()
        }
    });
    let HubState { endpoint, cache_folder, has_token, is_offline, fault } = &diagnosis.hub;
    lines.push(match (endpoint, cache_folder, fault) {
        (Some(endpoint), Some(cache_folder), _) => {
            let state = if cache_folder.is_dir() { "exists" } else { "does not exist yet" };
            let token = if *has_token { "with a token" } else { "without a token" };
            let offline = if *is_offline { ", offline (HF_HUB_OFFLINE)" } else { "" };
            format!("hub           {endpoint} {token}{offline}\ncache         {}: {state}", cache_folder.display())
        }
        (_, _, fault) => format!("hub           not usable ({})", fault.as_deref().unwrap_or("not set up")),
    });
    terminal::print_line(&lines.join("\n"))?;
    Ok(Outcome::Done)
}

/// The instructions that are used, and what there is to choose from.
fn instructions(diagnosis: &Diagnosis) -> String {
    let Diagnosis { instructions, available_instructions: available, .. } = diagnosis;
    let place = if available.last() == Some(instructions) { "best" } else { "one" };
    format!("instructions  {instructions} ({place} of {})", available.join(", "))
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

fn hub_state() -> HubState {
    let hub = LazyHub::default();
    match hub.get() {
        Ok(hub) => {
            let settings = hub.settings();
            HubState {
                endpoint: Some(settings.endpoint.clone()),
                cache_folder: Some(settings.cache_folder.clone()),
                has_token: settings.token.is_some(),
                is_offline: settings.is_offline,
                fault: None,
            }
        }
        Err(error) => HubState { fault: Some(terminal::describe(&error)), ..HubState::default() },
    }
}
