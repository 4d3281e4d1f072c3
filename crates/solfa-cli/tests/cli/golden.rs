//! The whole command against the published implementations.

use solfa_signal::testing::assert_golden;

use crate::common::{Stored, Workplace, fixture, float_tensors, json_lines};

/// A case, the sample rate of its clips, and the number that its reference gives the attention of layer 1.
const CASES: [(&str, u32, usize); 5] = [
    ("muq-25hz", 24_000, 0),
    ("mert-95m-tiny", 24_000, 0),
    ("mert-330m-tiny", 24_000, 0),
    ("music2vec-tiny", 16_000, 0),
    ("mert2-tiny", 24_000, 1),
];

/// Hidden states of each.
const NUM_LAYERS: usize = 3;

/// The clips of a case as `0.wav` and `1.wav`, and what the reference makes of them.
fn prepare(workplace: &Workplace, case: &str, rate: u32) -> std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let folder = fixture("golden").join(case);
    let inputs = float_tensors(&folder.join("inputs.safetensors"));
    let (shape, samples) = &inputs["wav"];
    for (item, clip) in samples.chunks_exact(samples.len() / shape[0]).enumerate() {
        workplace.wav(&format!("{item}.wav"), rate, clip);
    }
    let mut outputs = float_tensors(&folder.join("outputs.safetensors"));
    if case == "muq-25hz" {
        outputs.append(&mut float_tensors(&folder.join("attention.safetensors")));
    }
    outputs
}

/// The values of one item of a batch, the first dimension.
fn item_of((shape, values): &(Vec<usize>, Vec<f32>), item: usize) -> &[f32] {
    let size = values.len() / shape[0];
    &values[item * size..(item + 1) * size]
}

#[test]
fn layers_and_attention_maps_are_the_references() {
    for (case, rate, first_attention) in CASES {
        let workplace = Workplace::new();
        let outputs = prepare(&workplace, case, rate);
        let model = fixture("golden").join(case);
        let arguments = "embed --pool none --attentions --output out 0.wav 1.wav --model";
        workplace.solfa(arguments).arg(model).assert().success();
        for item in 0..2 {
            let found = Stored::read(&workplace.path(&format!("out/{item}.safetensors")));
            assert_eq!(found.tensors.len(), NUM_LAYERS, "{case}");
            let maps = Stored::read(&workplace.path(&format!("out/{item}.attention/0000.safetensors")));
            assert_eq!(maps.tensors.len(), NUM_LAYERS - 1, "{case}");
            for layer in 0..NUM_LAYERS {
                let name = format!("layer_{layer}");
                let expected = &outputs[&format!("hidden_{layer}")];
                assert_eq!(found.shape(&name), &expected.0[1..], "{case}: {name}");
                let what = format!("{case}: {name} of item {item}");
                assert_golden(&what, found.values(&name), item_of(expected, item), 1e-4);
                if layer == 0 {
                    continue; // No attention leads to it.
                }
                let expected = &outputs[&format!("attention_{}", layer - 1 + first_attention)];
                assert_eq!(maps.shape(&name), &expected.0[1..], "{case}: attention of {name}");
                let what = format!("{case}: attention of {name} of item {item}");
                assert_golden(&what, maps.values(&name), item_of(expected, item), 1e-4);
            }
        }
    }
}

#[test]
fn music_and_text_meet_in_the_references_joint_space() {
    let workplace = Workplace::new();
    prepare(&workplace, "mulan-tiny", 24_000);
    let model = fixture("golden/mulan-tiny");
    let outputs = float_tensors(&model.join("outputs_as_saved.safetensors"));
    let texts = fs_err::read_to_string(model.join("texts.json")).unwrap();
    let texts: Vec<String> = serde_json::from_str(&texts).unwrap();
    assert_eq!(texts.len(), 4);
    workplace.write("texts.txt", texts.join("\n"));

    workplace.solfa("embed --output out 0.wav --model").arg(&model).assert().success();
    let audio = Stored::read(&workplace.path("out/0.safetensors"));
    assert_golden("audio latents", audio.values("layer_0"), item_of(&outputs["audio_latents"], 0), 1e-4);

    workplace.solfa("embed --text-file texts.txt --output texts.safetensors --model").arg(&model).assert().success();
    let text = Stored::read(&workplace.path("texts.safetensors"));
    assert_eq!(text.shape("vectors"), outputs["text_latents"].0);
    assert_golden("text latents", text.values("vectors"), &outputs["text_latents"].1, 1e-4);
    assert_eq!(serde_json::from_str::<Vec<String>>(&text.metadata["texts"]).unwrap(), texts);

    // Scores are cosines; the reference's similarity has the length of the recording's vector in it.
    let output = workplace.solfa("tag --json --labels texts.txt 0.wav --model").arg(&model).output().unwrap();
    let tags = json_lines(&output.stdout).remove(0)[0]["tags"].clone();
    let length = audio.values("layer_0").iter().map(|value| value * value).sum::<f32>().sqrt();
    let score = |text: &String| {
        let tag = tags.as_array().unwrap().iter().find(|tag| tag["label"] == **text).unwrap();
        tag["score"].as_f64().unwrap() as f32 * length
    };
    let scores: Vec<f32> = texts.iter().map(score).collect();
    assert_golden("similarity", &scores, &outputs["similarity"].1, 1e-4);
}
