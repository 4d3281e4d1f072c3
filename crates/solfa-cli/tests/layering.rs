//! Which crate may use which, and which module may use which: ARCHITECTURE.md as a check.
//!
//! The sources are read as text, so a path that no compiled configuration contains counts too. Code under
//! `#[cfg(test)]` is left out: tests may use anything of their crate. What a module re-exports counts as its own.

#![allow(clippy::unwrap_used, reason = "a test: what fails here is a mistake of the repository")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One crate: what it may depend on, and its modules in order. A module may use those before it and itself.
struct Layers {
    name: &'static str,
    /// Crates of this workspace that may be dependencies.
    crates: &'static [&'static str],
    /// Other crates that must not be dependencies: what would make this one expensive to build.
    never: &'static [&'static str],
    /// Modules of the crate, lowest first. A module inside another one may have a place of its own.
    modules: &'static [&'static str],
    /// Which of its files may read environment variables.
    environment: Environment,
    /// Other crates that only one module may name, with that module.
    confined: &'static [(&'static str, &'static str)],
}

enum Environment {
    Free,
    Only(&'static [&'static str]),
}

const WORKSPACE: [Layers; 8] = [
    Layers {
        name: "solfa-kernels",
        crates: &[],
        never: &["burn", "tokio", "clap", "anyhow"],
        modules: &[
            "allocator",
            "instruction_set",
            "memory",
            "simd",
            "product",
            "elementwise",
            "norm",
            "depthwise",
            "convolution",
            "attention",
            "training",
            "peak",
        ],
        environment: Environment::Only(&[]),
        confined: &[("libc", "instruction_set"), ("memmap2", "memory"), ("gemm", "training")],
    },
    Layers {
        name: "solfa-signal",
        crates: &[],
        never: &["burn", "tokio", "clap", "anyhow"],
        modules: &["frames", "audio", "encoder", "windows", "features", "extract", "testing"],
        // Looks for the `ffmpeg` program on the PATH.
        environment: Environment::Only(&["src/audio/ffmpeg.rs"]),
        confined: &[("symphonia", "audio"), ("rubato", "audio"), ("realfft", "features")],
    },
    Layers {
        name: "solfa-learn",
        crates: &["solfa-kernels", "solfa-signal"],
        never: &["tokio", "clap", "anyhow"],
        modules: &[
            "device",
            "ops",
            "model",
            "plan",
            "targets",
            "checkpoint",
            "targets::stored",
            "embed",
            "views",
            "data",
            "objective",
            "train",
            "recipe",
        ],
        environment: Environment::Only(&[]),
        confined: &[
            ("pytorch_reader", "checkpoint"),
            ("safetensors", "checkpoint"),
            ("zip", "checkpoint"),
            ("memmap2", "checkpoint"),
            ("tokenizers", "checkpoint"),
            ("prost", "train"),
            ("crc32c", "train"),
            ("faer", "train"),
            ("realfft", "views"),
        ],
    },
    Layers {
        name: "solfa-eval",
        crates: &["solfa-signal"],
        never: &["burn", "tokio", "clap", "anyhow"],
        modules: &[
            "store",
            "tag",
            "metrics",
            "decode",
            "annotation",
            "score",
            "dataset",
            "cache",
            "statistics",
            "task",
            "results",
            "similarity",
            "report",
        ],
        environment: Environment::Only(&[]),
        confined: &[("faer", "similarity"), ("memmap2", "cache"), ("half", "cache"), ("midly", "annotation")],
    },
    Layers {
        name: "solfa-probe",
        crates: &["solfa-signal", "solfa-eval"],
        never: &["tokio", "clap", "anyhow"],
        modules: &[
            "items",
            "mix",
            "head",
            "loss",
            "adam",
            "train",
            "problem",
            "features",
            "subject",
            "separation",
            "answers",
            "protocol",
            "encode",
            "record",
            "scan",
            "zero_shot",
            "retrieval",
            "compare",
            "suite",
        ],
        environment: Environment::Only(&[]),
        confined: &[],
    },
    Layers {
        name: "solfa-synth",
        crates: &["solfa-signal", "solfa-eval"],
        never: &["burn", "tokio", "clap", "anyhow"],
        modules: &["dice", "events", "instruments", "labels", "compose", "midi", "render", "suite", "tracks"],
        environment: Environment::Only(&[]),
        confined: &[("midly", "midi"), ("rustysynth", "render"), ("rand_chacha", "dice")],
    },
    Layers {
        name: "solfa-hub",
        crates: &[],
        never: &["burn", "tokio", "clap", "anyhow"],
        modules: &[
            "wanted",
            "catalogue",
            "reference",
            "error",
            "settings",
            "cache",
            "progress",
            "client",
            "download",
            "hub",
            "testing",
        ],
        environment: Environment::Only(&[]),
        confined: &[("hf_hub", "client")],
    },
    Layers {
        name: "solfa-cli",
        crates: &[
            "solfa-kernels",
            "solfa-signal",
            "solfa-hub",
            "solfa-learn",
            "solfa-eval",
            "solfa-synth",
            "solfa-probe",
        ],
        never: &["burn", "tokio"],
        modules: &[
            "terminal",
            "training_progress",
            "arguments",
            "inputs",
            "training_data",
            "encoders",
            "encoding",
            "commands",
        ],
        environment: Environment::Free,
        confined: &[],
    },
];

#[test]
fn crates_depend_downwards() {
    for layers in &WORKSPACE {
        let manifest = read(&crate_folder(layers.name).join("Cargo.toml"));
        let dependencies = dependencies(&manifest);
        assert!(!dependencies.is_empty(), "{}: no dependency was found, so nothing was checked", layers.name);
        let wrong = wrong_dependencies(layers, &dependencies);
        assert!(wrong.is_empty(), "{} must not depend on {wrong:?}", layers.name);
    }
}

#[test]
fn every_crate_is_in_the_table() {
    let folder = crate_folder("solfa-cli").join("..");
    let found: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected: BTreeSet<String> = WORKSPACE.iter().map(|layers| layers.name.to_owned()).collect();
    assert_eq!(found, expected, "crates found in the folder and crates in this test's table");
}

#[test]
fn modules_use_downwards() {
    for layers in &WORKSPACE {
        let sources = sources(&crate_folder(layers.name));
        let uses: usize = sources.iter().map(|source| module_uses(&source.code, &source.module).len()).sum();
        assert!(sources.len() > 1, "{}: {} files were found", layers.name, sources.len());
        let internal_uses_expected = layers.modules.len() > 1;
        assert!(uses > 0 || !internal_uses_expected, "{}: no path was found, so nothing was checked", layers.name);
        let wrong: Vec<String> = sources.iter().flat_map(|source| wrong_uses(layers, source)).collect();
        assert!(wrong.is_empty(), "{}:\n{}", layers.name, wrong.join("\n"));
        println!("{}: {} files, {uses} paths to modules", layers.name, sources.len());
    }
}

#[test]
fn every_module_is_in_the_order() {
    for layers in &WORKSPACE {
        let sources = sources(&crate_folder(layers.name));
        let found: BTreeSet<&str> = sources.iter().filter_map(|source| Some(source.module.first()?.as_str())).collect();
        let expected: BTreeSet<&str> = layers.modules.iter().filter(|module| !module.contains("::")).copied().collect();
        assert_eq!(found, expected, "{}: modules found and modules in this test's order", layers.name);
    }
}

/// The checks above reject made-up violations; each pair is a line of code and the module it stands in.
#[test]
fn violations_are_rejected() {
    let wrong = |name: &str, module: &str, text: &str| {
        let layers = WORKSPACE.iter().find(|layers| layers.name == name).unwrap();
        let module = module.split("::").map(str::to_owned).collect();
        let source = Source { file: "src/canary.rs".into(), module, code: code(text) };
        wrong_uses(layers, &source).len()
    };
    for (name, module, text) in [
        ("solfa-kernels", "product::fma", "use crate::elementwise::activate;"),
        ("solfa-kernels", "norm", "use crate::InstructionSet;"),
        ("solfa-learn", "model", "use crate::plan::MelConformerPlan;"),
        ("solfa-learn", "model::attention", "use crate::embed::NetworkEncoder;"),
        ("solfa-learn", "model::attention", "use super::super::targets;"),
        ("solfa-learn", "device", "pub(crate) use super::model;"),
        ("solfa-learn", "targets", "use crate::{\n    device,\n    checkpoint::{KeyTable},\n};"),
        ("solfa-learn", "model", "fn load() { crate::checkpoint::open() }"),
        ("solfa-learn", "embed", "use safetensors::SafeTensors;"),
        ("solfa-learn", "embed", "let home = std::env::var(\"HOME\");"),
        ("solfa-learn", "embed", "use crate::recipe::Recipe;"),
        ("solfa-signal", "audio::decode", "use crate::encoder::EncoderSpec;"),
        ("solfa-signal", "features::mel", "use crate::extract::Stitcher;"),
        ("solfa-signal", "features", "use symphonia::core::codecs;"),
        ("solfa-cli", "terminal", "use crate::commands::embed;"),
        ("solfa-cli", "encoders", "use crate::*;"),
        ("solfa-learn", "model", "#[cfg(feature = \"cuda\")]\nuse crate::embed::tokenize;"),
        ("solfa-learn", "model", "#[cfg(test)]\nmod tests {\n    use crate::embed::a;\n}\nuse crate::embed::b;"),
        ("solfa-learn", "model", "#[cfg(test)]\nmod tests;\nuse crate::embed::b;"),
        ("solfa-learn", "model", "const QUOTE: char = '\"'; const URL: &str = \"https://a\"; use crate::embed::b;"),
    ] {
        assert_eq!(wrong(name, module, text), 1, "{name}, {module}: {text}");
    }
    for (name, module, text) in [
        ("solfa-learn", "embed", "use crate::checkpoint::Checkpoint;"),
        ("solfa-learn", "embed::tokenize", "use super::mel_conformer::normalized;"),
        (
            "solfa-learn",
            "model",
            "// use crate::embed::a;\n/// [`crate::embed`]\n/* crate::embed /* nested */ crate::embed */",
        ),
        ("solfa-learn", "model", "const TEXT: &str = \"use crate::embed::a; \\\" crate::embed\";"),
        ("solfa-learn", "model", "const TEXT: &str = r#\"crate::embed \" crate::embed\"#;"),
        ("solfa-learn", "model", "#[cfg(test)]\nmod tests {\n    use crate::embed::a;\n}\n"),
        ("solfa-learn", "model", "fn first<'text>(text: &'text str) -> &'text str { text }"),
        ("solfa-learn", "checkpoint", "use safetensors::SafeTensors;"),
        ("solfa-signal", "windows::plan", "use crate::encoder::EncoderSpec;"),
        ("solfa-cli", "encoders", "let home = std::env::var(\"HOME\");"),
    ] {
        assert_eq!(wrong(name, module, text), 0, "{name}, {module}: {text}");
    }
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nsolfa-learn.workspace = true\nburn = { version = \"1\" }\n\
                    [dev-dependencies]\nclap = \"4\"\n[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n\
                    [dependencies.anyhow]\nversion = \"1\"\n";
    let found = dependencies(manifest);
    assert_eq!(wrong_dependencies(&WORKSPACE[3], &found), ["solfa-learn", "burn", "tokio", "anyhow"]);
}

/// One source file.
struct Source {
    /// Relative to the crate's folder.
    file: String,
    /// The module that it is, `["audio", "decode"]`; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    /// Its text without comments, strings and tests.
    code: String,
}

fn crate_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `src`, without those that are modules of tests.
fn sources(crate_folder: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    collect_files(&crate_folder.join("src"), &mut files);
    files.sort();
    let texts: Vec<(PathBuf, String)> = files.into_iter().map(|file| (file.clone(), read(&file))).collect();
    let tests: Vec<Vec<String>> = texts
        .iter()
        .flat_map(|(file, text)| {
            let module = module_of(crate_folder, file);
            test_modules(text).into_iter().map(move |name| [module.as_slice(), &[name]].concat())
        })
        .collect();
    texts
        .into_iter()
        .map(|(file, text)| Source {
            module: module_of(crate_folder, &file),
            file: file.strip_prefix(crate_folder).unwrap().to_str().unwrap().replace('\\', "/"),
            code: code(&text),
        })
        .filter(|source| !tests.iter().any(|test| source.module.starts_with(test)))
        .collect()
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `src/audio/resample/mod.rs` is `audio::resample`.
fn module_of(crate_folder: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(crate_folder.join("src")).unwrap().with_extension("");
    let mut module: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// The modules in files of their own that exist in tests only.
fn test_modules(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == TEST_ATTRIBUTE);
    pairs.filter_map(|pair| Some(pair[1].strip_suffix(';')?.rsplit_once("mod ")?.1.to_owned())).collect()
}

/// The text without comments, strings and items for tests.
fn code(text: &str) -> String {
    without_tests(&without_comments_and_strings(text))
}

/// Removes items with `#[cfg(test)]` at the left margin, where rustfmt puts those of a file; each ends at the first
/// `}` at the margin, or on its own line where that ends in `;` or `}`.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != TEST_ATTRIBUTE {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let mut item = lines.by_ref().skip_while(|line| line.starts_with("#[") || line.trim().is_empty());
        let is_one_line = item.next().is_none_or(|first| first.ends_with([';', '}']));
        if !is_one_line {
            lines.by_ref().find(|line| *line == "}");
        }
    }
    kept
}

/// Blanks comments, and the insides of string and character literals. Lines stay lines.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_length(rest)
        } else if let Some(length) = raw_string_length(rest, &out) {
            length
        } else if first == '"' {
            quoted_length(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted_length(rest, '\'')
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().filter(|&character| character == '\n'));
        rest = &rest[length..];
    }
    out
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut position) = (0, 0);
    while position < text.len() {
        let rest = &text[position..];
        if rest.starts_with("/*") {
            (depth, position) = (depth + 1, position + 2);
        } else if rest.starts_with("*/") {
            (depth, position) = (depth - 1, position + 2);
            if depth == 0 {
                return position;
            }
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw string that starts here; `before` is what was read so far.
fn raw_string_length(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|last: char| last.is_alphanumeric() || last == '_') && !before.ends_with(['b', 'c']) {
        return None;
    }
    let after = text.strip_prefix('r')?;
    let hashes = after.chars().take_while(|&character| character == '#').count();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |position| position + end.len());
    Some(text.len() - inside.len() + length)
}

/// Whether this quotation mark begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// The length of a literal between two marks, with escapes.
fn quoted_length(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == mark {
            return position + mark.len_utf8();
        }
    }
    text.len()
}

/// The modules of its own crate that `code`, which stands in `module`, names: paths below `crate::` and `super::`.
/// Inline modules are rare outside tests, and count as the module that they stand in.
fn module_uses(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (position, _) in code.match_indices("crate::") {
        if !continues_a_name(code, position) {
            collect_paths(&code[position + "crate::".len()..], &[], &mut found);
        }
    }
    for (position, _) in code.match_indices("super::") {
        // The second of `super::super::` was read with the first.
        if continues_a_name(code, position) || code[..position].ends_with("super::") {
            continue;
        }
        let mut rest = &code[position..];
        let mut base = module;
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            base = &base[..base.len().saturating_sub(1)];
        }
        collect_paths(rest, base, &mut found);
    }
    found
}

fn continues_a_name(code: &str, position: usize) -> bool {
    code[..position].ends_with(|last: char| last.is_alphanumeric() || last == '_')
}

/// Reads one path, or the paths of a group in braces, two segments deep: no module has a deeper place of its own.
fn collect_paths(text: &str, base: &[String], found: &mut Vec<Vec<String>>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (position, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    if !group[start..position].trim().is_empty() {
                        collect_paths(&group[start..position], base, found);
                    }
                    if character == '}' {
                        return;
                    }
                    start = position + 1;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|character: char| !(character.is_alphanumeric() || character == '_'));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let name = if name.is_empty() { "*" } else { name };
    let path = [base, &[name.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(rest) if path.len() < 2 && rest.trim_start().starts_with('{') => collect_paths(rest, &path, found),
        _ => found.push(path),
    }
}

/// What `source` uses that it must not, as messages.
fn wrong_uses(layers: &Layers, source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let Source { file, module, code } = source;
    // The root joins all modules.
    if let Some(own) = place(layers, module) {
        for path in module_uses(code, module) {
            // A path to no module of the order is wrong too.
            match place(layers, &path) {
                Some(used) if used <= own => {}
                _ => wrong.push(format!("{file}: `{}` uses `{}`", module.join("::"), path.join("::"))),
            }
        }
    }
    for (name, home) in layers.confined {
        let is_home = module.first().is_some_and(|first| first == home);
        let is_named = code.match_indices(&format!("{name}::")).any(|(position, _)| !continues_a_name(code, position));
        if is_named && !is_home {
            wrong.push(format!("{file}: `{name}` is for `{home}` only"));
        }
    }
    let reads_environment = code.contains("env::var") || code.contains("env::args");
    if let Environment::Only(files) = layers.environment
        && reads_environment
        && !files.contains(&file.as_str())
    {
        wrong.push(format!("{file}: only programs read the environment"));
    }
    wrong
}

/// The place in the order of the innermost module of `path` that has one.
fn place(layers: &Layers, path: &[String]) -> Option<usize> {
    (1..=path.len()).rev().find_map(|length| {
        let name = path[..length].join("::");
        layers.modules.iter().position(|module| *module == name)
    })
}

/// The names of what a manifest depends on outside of tests, `[dependencies]` of targets included.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_table = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_table = header == "dependencies" || header.ends_with(".dependencies");
            let header = header.rsplit_once("dependencies.").filter(|(before, _)| !before.ends_with('-'));
            found.extend(header.map(|(_, name)| name.to_owned()));
        } else if is_table && !line.is_empty() && !line.starts_with('#') {
            found.extend(line.split(['.', '=', ' ']).next().map(str::to_owned));
        }
    }
    found
}

fn wrong_dependencies(layers: &Layers, dependencies: &[String]) -> Vec<String> {
    let is_wrong = |name: &&String| {
        let name = name.as_str();
        (name.starts_with("solfa-") && !layers.crates.contains(&name)) || layers.never.contains(&name)
    };
    dependencies.iter().filter(is_wrong).cloned().collect()
}
