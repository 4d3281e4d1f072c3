//! `solfa export`: a model in a published layout, and back.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use crate::common::{Stored, Workplace, fixture, json_lines, tiny_muq};

/// The layers of `song.wav` by a model.
fn layers(workplace: &Workplace, model: &str, output: &str) -> Stored {
    let arguments = format!("embed --pool none --output {output} song.wav --model");
    workplace.solfa(&arguments).arg(model).assert().success();
    Stored::read(&workplace.path(output))
}

#[test]
fn an_export_embeds_as_the_model_does() {
    let workplace = Workplace::new();
    workplace.song("song.wav", 1.0, 1);
    let hubert = fixture("golden/mert-95m-tiny");
    for (model, format, first) in [
        (tiny_muq(), "muq-hf", "model.safetensors"),
        (fixture("golden/musicfm-tiny").to_str().unwrap().to_owned(), "musicfm", "pretrained_musicfm.pt"),
        (hubert.to_str().unwrap().to_owned(), "mert-hf", "model.safetensors"),
    ] {
        let output = workplace
            .solfa(&format!("export --output out/{format} --format {format} --json --model"))
            .arg(&model)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = &json_lines(&output.stdout)[0];
        assert_eq!(
            (found["format"].as_str(), found["files"][0]["path"].as_str()),
            (Some(format), Some(&*format!("out/{format}/{first}")))
        );
        assert!(found["files"][0]["num_bytes"].as_u64().unwrap() > 100_000);
        let expected = layers(&workplace, &model, &format!("{format}.expected.safetensors"));
        let exported = layers(&workplace, &format!("out/{format}"), &format!("{format}.safetensors"));
        assert_eq!(expected.tensors.len(), 3);
        for (name, (shape, values)) in &expected.tensors {
            assert_eq!(exported.shape(name), shape);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(exported.values(name)) == bits(values), "{format}: {name}");
        }
    }
}

#[test]
fn the_default_is_the_models_own_layout_and_a_checkpoint_is_not_replaced_unasked() {
    let workplace = Workplace::new();
    let model = tiny_muq();
    let export = |arguments: &str| {
        let mut command = workplace.solfa(&format!("export --model {model} {arguments}"));
        command.assert()
    };
    export("--output out")
        .success()
        .stdout("out/model.safetensors\nout/config.json\n")
        .stderr(contains("muq-25hz as muq-hf: 2 files"));
    let before = workplace.read("out/model.safetensors");
    let holds = "--output out: holds a checkpoint already (config.json, model.safetensors): replace it with --force";
    export("--output out").code(2).stdout("").stderr(contains(holds));
    export("--output out --force").success();
    assert_eq!(workplace.read("out/model.safetensors"), before);
    workplace.write("out/other.pt", "x");
    export("--output out --force").code(1).stderr(contains("without other weights").and(contains("found other.pt")));
    workplace.write("file", "x");
    export("--output file").code(2).stderr(contains("expected a folder, found a file"));
    export("--output file/below")
        .code(1)
        .stderr(contains("file/below: cannot be written").and(contains("panicked").not()));
    assert_eq!(workplace.files("."), ["file", "out/config.json", "out/model.safetensors", "out/other.pt"]);
}

#[test]
fn a_layout_that_does_not_fit_is_named_with_those_that_do() {
    let workplace = Workplace::new();
    let multi_view = fixture("golden/multi-view-tiny/contrastive.pt");
    let refused = |model: &std::path::Path, format: &str, code: i32, message: &str| {
        workplace
            .solfa(&format!("export --output out --format {format} --model"))
            .arg(model)
            .assert()
            .code(code)
            .stdout("")
            .stderr(contains(message));
    };
    refused(&multi_view, "hubert-hf", 2, "contrastive.pt cannot be written so: expected multi-view");
    refused(&fixture("golden/mert-cqt-tiny"), "hubert-hf", 2, "expected mert-hf");
    refused(&multi_view, "onnx", 2, "`onnx` is no layout of checkpoints: expected one of muq-hf, musicfm");
    refused(std::path::Path::new("mel"), "muq-hf", 2, "give a trained model");
    assert!(!workplace.path("out").exists());
}
