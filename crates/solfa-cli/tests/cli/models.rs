//! Models by name and from the hub, against a hub on this machine; class tokens and attention that are not there.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;
use solfa_hub::testing::LocalHub;
use solfa_signal::testing::musical_signal;

use crate::common::{Workplace, fixture, json_lines};

/// The command with a hub of its own and nothing of the user's.
fn with_hub(workplace: &Workplace, endpoint: &str, arguments: &str) -> Command {
    let mut command = workplace.solfa(arguments);
    for name in [
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "XDG_CACHE_HOME",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
    ] {
        command.env_remove(name);
    }
    command.env("HF_HOME", workplace.path("hf")).env("HF_ENDPOINT", endpoint);
    command
}

/// A hub that has the tiny MuQ under the name of the real one.
fn hub_with_muq() -> LocalHub {
    let file = |name: &str| fs_err::read(fixture("golden/muq-25hz").join(name)).unwrap();
    let (config, weights) = (file("config.json"), file("model.safetensors"));
    LocalHub::serve("OpenMuQ/MuQ-large-msd-iter", &[("config.json", &config), ("model.safetensors", &weights)])
}

#[test]
fn a_known_name_is_downloaded_once_and_then_works_offline() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 2.0, 1);
    let hub = hub_with_muq();
    let endpoint = hub.endpoint();
    let is_cached = || {
        let output = with_hub(&workplace, &endpoint, "models --json").output().unwrap();
        let models = json_lines(&output.stdout);
        models.iter().find(|model| model["id"] == "muq-large-msd-iter").unwrap()["cached"].clone()
    };
    assert_eq!(is_cached(), Value::Bool(false));
    with_hub(&workplace, &endpoint, "embed --model muq-large-msd-iter -o one a.wav").assert().success().stderr(
        contains("downloading model.safetensors").and(contains("CC-BY-NC-4.0: not for commercial use").count(1)),
    );
    assert!(!hub.take_requests().is_empty());
    assert_eq!(is_cached(), Value::Bool(true));

    with_hub(&workplace, &endpoint, "embed --model hf:OpenMuQ/MuQ-large-msd-iter -o two a.wav")
        .assert()
        .success()
        .stderr(contains("downloading").not().and(contains("not for commercial use")));
    assert!(hub.take_requests().is_empty(), "what is in the cache needs no server");
    drop(hub);
    let mut offline = with_hub(&workplace, &endpoint, "embed --model muq-large-msd-iter -o three a.wav");
    offline.env("HF_HUB_OFFLINE", "1").assert().success();

    let vectors = |folder: &str| crate::common::float_tensors(&workplace.path(&format!("{folder}/a.safetensors")));
    assert_eq!(vectors("one"), vectors("two"));
    assert_eq!(vectors("one"), vectors("three"));
    workplace.solfa("embed --output four a.wav --model").arg(fixture("golden/muq-25hz")).assert().success();
    assert_eq!(vectors("one"), vectors("four"));
}

#[test]
fn the_doctor_says_which_hub_is_used_and_keeps_the_token_to_itself() {
    let workplace = Workplace::new();
    for arguments in ["doctor", "doctor --json"] {
        let mut command = with_hub(&workplace, "https://hub.example", arguments);
        command.env("HF_TOKEN", "hf_secret").env("HF_HUB_OFFLINE", "1").assert().success().stdout(
            contains("https://hub.example")
                .and(contains(workplace.path("hf/hub").to_str().unwrap()))
                .and(contains("ffline"))
                .and(contains("hf_secret").not()),
        );
    }
}

#[test]
fn what_cannot_be_had_says_what_to_do() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 2.0, 1);
    let hub = hub_with_muq();
    let refused = |model: &str, code: i32, messages: [&str; 2]| {
        let mut command = with_hub(&workplace, &hub.endpoint(), "embed a.wav --model");
        command.arg(model).assert().code(code).stderr(contains(messages[0]).and(contains(messages[1])));
    };
    refused("mert-v1-95", 2, ["neither a known model", "did you mean mert-v1-95m?"]);
    refused("chrom", 2, ["neither a known model", "did you mean chroma?"]);
    refused("music/model.safetensors", 2, ["no such folder or file", "hf:ORG/NAME"]);
    refused("hf:a/b/c", 2, ["a/b/c", "more than one"]);
    refused("hf:somebody/nothing", 1, ["somebody/nothing", "no such repository"]);
    refused("hf:OpenMuQ/MuQ-large-msd-iter@v9", 1, ["v9", "OpenMuQ/MuQ-large-msd-iter"]);
    refused("deezer-byol", 2, ["is not on the Hugging Face hub", "github.com/deezer"]);
    let mut offline = with_hub(&workplace, &hub.endpoint(), "embed a.wav --model mert-v1-95m");
    offline.env("HF_HUB_OFFLINE", "1").assert().code(1).stderr(contains("config.json").and(contains("HF_HUB_OFFLINE")));
    let mut unreachable = with_hub(&workplace, "http://127.0.0.1:9", "embed a.wav --model mert-v1-95m");
    unreachable.assert().code(1).stderr(contains("127.0.0.1:9"));
}

#[test]
fn attention_and_class_tokens_are_asked_of_models_that_have_them() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 2.0, 1);
    let refused = |arguments: &str, message: &str| {
        workplace.solfa(arguments).assert().code(2).stderr(contains(message));
        assert!(!workplace.path("embeddings").exists());
    };
    refused("embed --model mel --attentions a.wav", "mel has no attention maps");
    refused("embed --model mel --pool cls a.wav", "--pool cls: mel has no class token");
    refused("embed --attentions --resume a.wav", "cannot be used with");
    let muq = fixture("golden/muq-25hz");
    let mut command = workplace.solfa("embed --attentions -o all.parquet a.wav --model");
    command.arg(&muq).assert().code(2).stderr(contains("maps do not fit into the table all.parquet"));
    let mut command = workplace.solfa("embed --attentions --layers 0 a.wav --model");
    command.arg(&muq).assert().code(2).stderr(contains("choose another layer"));
}

#[test]
fn attention_maps_of_every_window_stand_beside_the_embedding() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 2.5, 1);
    let mut command = workplace.solfa("embed --attentions --layers 2 --window 1 --tail pad a.wav -o out/b.npy --model");
    command.arg(fixture("golden/muq-25hz")).assert().success();
    let maps = ["b.attention/0000.safetensors", "b.attention/0001.safetensors", "b.attention/0002.safetensors"];
    assert_eq!(workplace.files("out"), [&maps[..], &["b.npy", "b.npy.json"]].concat());
    for (window, name) in maps.into_iter().enumerate() {
        let stored = crate::common::Stored::read(&workplace.path("out").join(name));
        assert_eq!(stored.tensors.len(), 1);
        assert_eq!(stored.shape("layer_2"), [4, 25, 25], "{name}");
        assert_eq!(stored.metadata["window_start_seconds"], window.to_string());
        assert_eq!(stored.metadata["path"], "a.wav");
    }
    // Longer windows are fewer: nothing of an earlier run stays.
    let mut command = workplace.solfa("embed --attentions --layers 2 --window 5 a.wav -o out/b.npy --model");
    command.arg(fixture("golden/muq-25hz")).assert().success();
    assert_eq!(workplace.files("out"), ["b.attention/0000.safetensors", "b.npy", "b.npy.json"]);
}

#[test]
fn every_model_in_the_help_is_known() {
    let mut num_models = 0;
    for command in ["embed", "tag", "tokens", "bench"] {
        let output = Workplace::new().solfa(&format!("{command} --help")).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = help.split_whitespace().collect();
        let models = words.windows(2).filter(|pair| pair[0] == "--model" && !pair[1].starts_with('<'));
        for pair in models {
            num_models += 1;
            assert!(solfa_hub::catalogue::find(pair[1]).is_some(), "{command}: {}", pair[1]);
        }
    }
    assert!(num_models >= 8, "{num_models}");
}

#[test]
fn a_recordings_loudness_does_not_matter_to_a_model_that_was_trained_so() {
    let workplace = Workplace::new();
    let song = musical_signal(16_000 * 9, 16_000, 1);
    workplace.wav("loud.wav", 16_000, song.samples());
    // Half of it is exact in binary.
    let quiet: Vec<f32> = song.samples().iter().map(|sample| 0.5 * sample).collect();
    workplace.wav("quiet.wav", 16_000, &quiet);
    workplace.song("short.wav", 3.0, 1);
    let mut command = workplace.solfa("embed --pool none loud.wav quiet.wav short.wav -o out --model");
    let model = fixture("golden/multi-view-tiny/contrastive.pt");
    command.arg(model).assert().code(3).stderr(contains("short.wav").and(contains("gives no frame")));
    let vectors = |name: &str| crate::common::float_tensors(&workplace.path(&format!("out/{name}.safetensors")));
    assert_eq!(vectors("loud"), vectors("quiet"));
    // Clips of 4 s: two of them, and a rest that is left out. Four stages and the embedding.
    let shapes: Vec<_> = vectors("loud").into_values().map(|(shape, _)| shape).collect();
    assert_eq!(shapes, [[2, 16], [2, 32], [2, 64], [2, 128], [2, 32]]);
}

#[test]
fn a_class_token_is_pooled_beside_the_frames() {
    let workplace = Workplace::new();
    workplace.song("a.wav", 10.0, 1);
    let pooled = |pool: &str| {
        let mut command = workplace.solfa(&format!("embed --pool {pool} -o {pool}.safetensors a.wav --model"));
        command.arg(fixture("golden/vit1d-rotary")).assert().success();
        crate::common::float_tensors(&workplace.path(&format!("{pool}.safetensors")))
    };
    let (class_token, mean, both) = (pooled("cls"), pooled("mean"), pooled("cls+mean"));
    assert!(class_token.len() > 2);
    for (layer, (_, values)) in &both {
        assert_eq!(*values, [&class_token[layer].1[..], &mean[layer].1[..]].concat(), "{layer}");
        assert_ne!(class_token[layer].1, mean[layer].1, "{layer}");
    }
}
