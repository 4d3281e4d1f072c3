//! Exit codes, and what goes to which stream.

use std::process::Stdio;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use solfa_kernels::InstructionSet;

use crate::common::{Workplace, fixture, json_lines, tiny_muq};

fn workplace() -> Workplace {
    let workplace = Workplace::new();
    workplace.song("song.wav", 0.5, 1);
    workplace
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_would_be_right() {
    let workplace = workplace();
    workplace.song("other.wav", 0.5, 2);
    for (arguments, expected) in [
        ("", "Usage: solfa"),
        ("embed", "<INPUT>"),
        ("embed song.wav --frobnicate", "--frobnicate"),
        ("embed song.wav --model nope", "neither a known model (see `solfa models`) nor a folder or file"),
        ("embed song.wav --layers 5", "layer 5 does not exist: the encoder has layers 0 to 0"),
        ("embed song.wav --layers foo", "expected `all`, `last`, or numbers and ranges"),
        ("embed song.wav --layers 5-3", "expected `all`, `last`, or numbers and ranges"),
        ("embed song.wav --layers ,", "expected `all`, `last`, or numbers and ranges"),
        ("embed song.wav --layers 0-99999999999", "expected `all`, `last`, or numbers and ranges"),
        ("embed song.wav --pool median", "none, mean, max, mean+std"),
        ("embed song.wav --window 0", "a window of 0 s is impossible"),
        ("embed song.wav --window -1", "a window of -1 s is impossible"),
        ("embed song.wav --window nan", "a window of NaN s is impossible"),
        ("embed song.wav --window 1e300", "is impossible: give seconds above 0 and up to"),
        ("embed song.wav --window long", "expected seconds or `whole`"),
        ("embed song.wav --window 0.001", "too short for the encoder"),
        ("embed song.wav --hop 0", "a hop of 0 s is impossible"),
        ("embed song.wav --hop -2", "a hop of -2 s is impossible"),
        ("embed song.wav --window 2 --hop 3", "would skip sound"),
        ("embed song.wav --window whole --hop 1", "has no meaning"),
        ("embed song.wav --tail cut", "expected `overlap`, `pad`, `wrap` or `drop`"),
        ("embed song.wav --format csv", "expected safetensors, npy, npz, parquet, jsonl"),
        ("embed song.wav --format npy --output x.npz", "contradict each other"),
        ("embed song.wav --batch 0", "expected a number from 1"),
        ("embed song.wav --batch -1", "expected a number from 1"),
        ("embed song.wav --dtype f64", "expected f32 or bf16"),
        ("embed song.wav --dtype bf16", "`mel` is computed in one precision only"),
        ("embed song.wav --threads 0", "expected a number from 1 to 1024"),
        ("embed song.wav --threads -2", "expected a number from 1 to 1024"),
        ("tag song.wav --labels mtt --threads 1025", "expected a number from 1 to 1024"),
        ("tokens song.wav --threads 99999999999999999999", "expected a number from 1 to 1024"),
        ("bench song.wav --threads all", "expected a number from 1 to 1024"),
        ("doctor --threads 0", "expected a number from 1 to 1024"),
        ("models --threads 2", "unexpected argument"),
        ("embed song.wav --device tpu", "expected cpu, vulkan or cuda"),
        ("embed song.wav --device vulkan --model mel", "runs on the CPU only"),
        ("embed song.wav other.wav --output x.safetensors", "is one file, and there are 2 inputs"),
        ("embed song.wav --output other.wav", "other.wav is a file: expected a folder, or a file that ends in"),
        ("tokens song.wav", "--model"),
        ("tokens song.wav --model mel", "hand-made features cannot do this"),
        ("bench song.wav --passes 0", "expected a number from 1"),
        ("bench", "<FILE>"),
        ("bench song.wav --kernels", "cannot be used with"),
        ("bench --kernels --model mel", "cannot be used with"),
        ("bench --kernels --device cpu", "cannot be used with"),
        ("bench --kernels --passes 3", "cannot be used with"),
        ("completions tcsh", "bash"),
    ] {
        let result = workplace.solfa(arguments).assert();
        result.code(2).stdout("").stderr(contains(expected).and(contains("panicked").not()));
    }
    assert_eq!(workplace.files(""), ["other.wav", "song.wav"]);
}

#[test]
fn a_precision_that_a_model_lacks_is_2_and_names_both() {
    let workplace = workplace();
    let vit = fixture("golden/vit1d-rotary");
    for (arguments, expected) in [
        (format!("embed song.wav --dtype bf16 --model {}", vit.display()), "(vit1d)"),
        (format!("bench song.wav --dtype bf16 --model {}", vit.display()), "(vit1d)"),
    ] {
        let message = contains("bf16 is not available for this model").and(contains(expected));
        workplace.solfa(&arguments).assert().code(2).stdout("").stderr(message);
    }
    let tokens = format!("tokens song.wav --dtype bf16 --model {}", tiny_muq());
    workplace.solfa(&tokens).assert().code(2).stderr(contains("tokens are found in f32"));
}

#[test]
fn instructions_that_are_unknown_or_absent_are_2() {
    let workplace = workplace();
    let with = |instructions: &str| {
        let mut command = workplace.solfa(&format!("bench song.wav --passes 1 --model {}", tiny_muq()));
        command.env("SOLFA_INSTRUCTIONS", instructions).assert()
    };
    with("sse9").code(2).stderr(contains("SOLFA_INSTRUCTIONS: `sse9` is not a set of instructions"));
    with("plain").success();
}

#[test]
fn threads_are_as_many_as_asked_for() {
    let workplace = workplace();
    let threads = |arguments: &str| {
        let mut command = workplace.solfa(arguments);
        json_lines(&command.env("RAYON_NUM_THREADS", "2").assert().success().get_output().stdout)[0]["threads"].clone()
    };
    assert_eq!(threads("doctor --json"), 2);
    assert_eq!(threads("doctor --json --threads 5"), 5);
    assert_eq!(threads("bench song.wav --model mel --passes 1 --json --threads 3"), 3);
    let bench = workplace.solfa("bench song.wav --model mel --passes 1 --threads 1").assert().success();
    bench.stdout(contains("(1 threads, f32)"));
}

#[test]
fn what_is_read_is_not_written_over() {
    let workplace = workplace();
    let song = workplace.read("song.wav");
    workplace.write("song.npz", &song);
    workplace.write("list.jsonl", "{\"path\": \"song.wav\"}\n");
    let refused = |arguments: &str| {
        workplace.solfa(arguments).assert().code(2).stderr(contains("is one of the inputs"));
    };
    refused("embed song.npz --model mel --output song.npz");
    refused("embed song.npz --model mel --format npz --output .");
    refused("embed list.jsonl --model mel --output ./list.jsonl");
    workplace.write("song.safetensors", &song);
    refused(&format!("tokens song.safetensors --output song.safetensors --model {}", tiny_muq()));
    assert!(workplace.read("song.npz") == song && workplace.read("song.safetensors") == song);
}

#[test]
fn other_failures_are_1() {
    let workplace = workplace();
    for (arguments, expected) in [
        (format!("embed song.wav --model {} --device vulkan", tiny_muq()), "built without vulkan"),
        (format!("tokens absent.wav --model {}", tiny_muq()), "absent.wav: cannot be read"),
        ("bench absent.wav --model mel".to_owned(), "absent.wav: cannot be read"),
        ("bench song.wav --model mel --tail drop".to_owned(), "song.wav: the recording is 0.500 s long"),
    ] {
        if cfg!(feature = "vulkan") && arguments.contains("vulkan") {
            continue;
        }
        workplace.solfa(&arguments).assert().code(1).stdout("").stderr(contains(expected));
    }
}

#[test]
fn results_go_to_standard_output_and_messages_to_standard_error() {
    let workplace = workplace();
    // The default model says that it is one; no bar where nobody looks.
    let result = workplace.solfa("embed song.wav").assert().success();
    let output = result.get_output();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("song.wav") && stdout.contains("embeddings/song.safetensors"), "{stdout}");
    assert!(stderr.contains("no --model given: using `mel`") && stderr.contains("1 done"), "{stderr}");
    assert!(!stderr.contains('\r') && !stderr.contains('\x1b') && stderr.lines().count() == 2, "{stderr}");

    let result = workplace.solfa("embed absent.wav song.wav --model mel --json").assert().code(3);
    let rows = json_lines(&result.get_output().stdout);
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["path"], &rows[0]["status"]), (&"absent.wav".into(), &"failed".into()));
    assert_eq!((&rows[1]["path"], &rows[1]["status"]), (&"song.wav".into(), &"done".into()));
    assert_eq!(rows[1]["layers"]["0"], serde_json::json!([128]));
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let workplace = workplace();
    for arguments in ["models", "doctor", "completions bash", "embed song.wav --model mel"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_solfa"));
        command.current_dir(workplace.path("")).args(arguments.split(' '));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !message.contains("panicked"), "{arguments}: {message}");
        if cfg!(target_os = "linux") {
            let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let output = command.stdout(full.into_file()).stderr(Stdio::piped()).output().unwrap();
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments}: {message}");
            assert!(message.contains("No space left on device"), "{arguments}: {message}");
        }
    }
}

#[test]
fn help_and_completions_and_lists() {
    let workplace = Workplace::new();
    workplace.solfa("--version").assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
    for command in ["", "embed", "tag", "tokens", "models", "doctor", "bench", "completions"] {
        workplace.solfa(&format!("{command} --help")).assert().success().stdout(contains("Usage:")).stderr("");
    }
    workplace.solfa("embed --help").assert().stdout(contains("Exit codes: 0").and(contains("0,3,5-8")));
    for (shell, start) in [("bash", "_solfa()"), ("zsh", "#compdef solfa"), ("fish", "complete -c solfa")] {
        workplace.solfa(&format!("completions {shell}")).assert().success().stdout(contains(start)).stderr("");
    }
    let models = json_lines(&workplace.solfa("models --json").output().unwrap().stdout);
    let ids: Vec<_> = models.iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..4], ["mel", "mfcc", "cqt", "chroma"]);
    for id in
        ["muq-large-msd-iter", "muq-mulan-large", "mert-v1-95m", "mert-v1-330m", "music2vec-v1", "deezer-contrastive"]
    {
        assert!(ids.contains(&id), "{id}");
    }
    let muq = models.iter().find(|model| model["id"] == "muq-large-msd-iter").unwrap();
    assert_eq!((&muq["licence"], &muq["non_commercial"]), (&"CC-BY-NC-4.0".into(), &true.into()));
    workplace.solfa("models").assert().success().stdout(contains("CC-BY-NC-4.0 (nc)").and(contains("built in")));
    let doctor = json_lines(&workplace.solfa("doctor --json").output().unwrap().stdout);
    assert_eq!(doctor[0]["devices"][0], serde_json::json!({"device": "cpu", "usable": true}));
}

#[test]
fn the_doctor_says_which_instructions_are_used() {
    let workplace = Workplace::new();
    let doctor = |instructions: Option<&str>, arguments: &str| {
        let mut command = workplace.solfa(&format!("doctor {arguments}"));
        command.env_remove("SOLFA_INSTRUCTIONS");
        instructions.map(|name| command.env("SOLFA_INSTRUCTIONS", name));
        command.assert()
    };
    let best = InstructionSet::best().name();
    let of_best = &json_lines(&doctor(None, "--json").success().get_output().stdout)[0];
    let available: Vec<&str> =
        of_best["available_instructions"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    assert_eq!((&of_best["instructions"], available[0]), (&best.into(), "plain"));
    assert_eq!(available.last(), Some(&best));
    let line = format!("instructions  {best} (best of {})\n", available.join(", "));
    doctor(None, "").success().stdout(contains(line));
    let of_plain = &json_lines(&doctor(Some("plain"), "--json").success().get_output().stdout)[0];
    assert_eq!(
        (&of_plain["instructions"], &of_plain["available_instructions"]),
        (&"plain".into(), &of_best["available_instructions"])
    );
    doctor(Some("sse9"), "").code(2).stderr(contains("`sse9` is not a set of instructions"));
}
