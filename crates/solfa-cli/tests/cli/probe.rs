//! `solfa probe` and `solfa layers`: from a data set to results, predictions, and pictures.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use solfa_eval::results::ResultFolder;
use solfa_signal::testing::musical_signal;

use crate::common::{Workplace, fixture, json_lines, tiny_muq};

const RATE: u32 = 16_000;

/// Twelve sounds of a second: low ones and high ones, in three splits, with a data set that tells them apart.
fn workplace() -> Workplace {
    let place = Workplace::new();
    let mut lines = String::new();
    for number in 0..24 {
        let class = number % 2;
        let frequency = [220.0, 1760.0][class] * (1.0 + number as f32 / 100.0);
        let samples: Vec<f32> = (0..RATE)
            .map(|sample| 0.4 * (std::f32::consts::TAU * frequency * sample as f32 / RATE as f32).sin())
            .collect();
        let name = format!("sounds/{number}.wav");
        place.wav(&name, RATE, &samples);
        let split = ["train", "train", "train", "train", "val", "val", "test", "test"][number % 8];
        let label = ["low", "high"][class];
        lines += &json!({"audio_path": name, "label": label, "split": split}).to_string();
        lines.push('\n');
    }
    place.write("pitch.jsonl", lines);
    place
}

const QUICK: &str = "--learning-rates 0.1 --seeds 0,1 --clip 1 --cache cache";

fn results(place: &Workplace) -> ResultFolder {
    ResultFolder::new(place.path("results"))
}

#[test]
fn every_layer_of_every_model_is_probed_from_one_pass() {
    let place = workplace();
    let model = tiny_muq();
    let arguments =
        format!("probe --task pitch --kind class --data pitch.jsonl --model mel --model {model} {QUICK} --json");
    let output = place.solfa(&arguments).assert().success();
    let lines = json_lines(&output.get_output().stdout);
    let layers: Vec<&str> = lines.iter().map(|line| line["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["0", "0", "1", "2"], "{lines:?}");
    assert_eq!(lines[0]["value"], 1.0, "mel hears low from high: {}", lines[0]);
    let told = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(told.contains("24 recordings encoded, 0 were in the cache"), "{told}");

    let before = results(&place).rows().unwrap().0.len();
    let again = place.solfa(&arguments).assert().success();
    assert!(json_lines(&again.get_output().stdout).iter().all(|line| line["was_there"] == true));
    let told = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(told.contains("0 recordings encoded, 24 were in the cache"), "{told}");
    assert_eq!(results(&place).rows().unwrap().0.len(), before, "nothing is done twice");

    // Another head needs no encoder.
    let of_network = arguments.replace("--model mel ", "");
    let weighted = place.solfa(&format!("{of_network} --layers weighted,concatenated,1")).assert().success();
    let layers: BTreeSet<String> = json_lines(&weighted.get_output().stdout)
        .iter()
        .filter(|line| line["was_there"] == false)
        .map(|line| line["layer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(layers, BTreeSet::from(["weighted".to_owned(), "all".to_owned()]));
    assert!(String::from_utf8_lossy(&weighted.get_output().stderr).contains("0 recordings encoded"));
    assert_eq!(results(&place).layer_weights().unwrap().0.len(), 2, "two seeds");
}

#[test]
fn class_tokens_can_stand_for_clips() {
    let place = workplace();
    let probe = |model: &str| {
        format!("probe --task pitch --kind class --data pitch.jsonl --model {model} {QUICK} --pool cls --json")
    };
    let output = place.solfa(&probe(fixture("golden/vit1d-learned").to_str().unwrap())).assert().success();
    let lines = json_lines(&output.get_output().stdout);
    assert!(!lines.is_empty() && lines.iter().all(|line| line["value"].is_f64()), "{lines:?}");
    let (rows, _) = results(&place).rows().unwrap();
    assert!(rows.iter().all(|row| row.protocol == "linear-cls"), "{:?}", rows[0]);
    let output = place.solfa(&probe("mel")).assert().code(2);
    assert!(String::from_utf8_lossy(&output.get_output().stderr).contains("no class token"));
}

#[test]
fn predictions_give_every_number_again() {
    let place = workplace();
    place.solfa(&format!("probe --task pitch --kind class --data pitch.jsonl --model mel {QUICK}")).assert().success();
    let (rows, _) = results(&place).rows().unwrap();
    let row = rows.iter().find(|row| row.seed == Some(1) && row.metric == "accuracy").unwrap();
    let file = format!("results/{}", row.predictions.as_ref().unwrap());
    let scored = place.solfa(&format!("score predictions {file} --data pitch.jsonl --json")).assert().success();
    let scored: Value = serde_json::from_slice(&scored.get_output().stdout).unwrap();
    assert_eq!(scored["scores"]["accuracy"], row.value);
    assert_eq!(scored["num_tracks"], 6);

    place.write("other.jsonl", "{\"audio_path\": \"a.wav\", \"label\": \"low\", \"split\": \"test\"}\n");
    let refused = place.solfa(&format!("score predictions {file} --data other.jsonl")).assert().code(1);
    let told = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(told.contains("other") && told.contains("pitch"), "{told}");
}

#[test]
fn a_suite_is_a_file() {
    let place = workplace();
    place.write(
        "suite.toml",
        "models = [\"chroma\", \"mel\"]\n[set]\nseeds = [3]\nlearning_rates = [0.1]\nclip_seconds = 1.0\n[[task]]\ntask = \
         \"pitch\"\nkind = \"class\"\ndata = \"pitch.jsonl\"\n[[task]]\ntask = \"means\"\nkind = \"class\"\ndata = \
         \"pitch.jsonl\"\nset = { head = { kind = \"class-mean\" } }\n",
    );
    place.solfa("probe --suite suite.toml --cache cache").assert().success();
    let (rows, _) = results(&place).rows().unwrap();
    let heads: BTreeSet<(String, String, String)> =
        rows.into_iter().map(|row| (row.task, row.encoder, row.head)).collect();
    assert_eq!(heads.len(), 4, "{heads:?}");
    assert!(heads.contains(&("means".to_owned(), "mel".to_owned(), "class-mean".to_owned())));
    let comparisons = json_lines(&place.read("results/comparisons.jsonl"));
    assert_eq!(comparisons.len(), 2, "two encoders on two tasks: {comparisons:?}");
    assert!(comparisons.iter().all(|line| line["num_test"] == 6 && line["p_value"].as_f64().unwrap() > 0.0));
    place.solfa("report results --output report.html").assert().success();
    assert!(String::from_utf8(place.read("report.html")).unwrap().contains("chroma"));
}

#[test]
fn words_answer_without_training() {
    let place = workplace();
    let model = fixture("golden/mulan-tiny").to_str().unwrap().to_owned();
    let arguments = format!(
        "probe --task pitch --kind class --data pitch.jsonl --model {model} --zero-shot --prompt {{}} --prompt a-{{}}-note \
         --cache cache --json"
    );
    let output = place.solfa(&arguments).assert().success();
    let lines = json_lines(&output.get_output().stdout);
    assert_eq!(lines[0]["layer"], "joint");
    assert_eq!((&lines[0]["num_train"], &lines[0]["num_test"]), (&json!(0), &json!(6)), "{lines:?}");
    let (rows, _) = results(&place).rows().unwrap();
    assert!(rows.iter().all(|row| row.head == "zero-shot" && row.predictions.is_some()));
    place.solfa(&arguments).assert().success();
    assert_eq!(results(&place).rows().unwrap().0.len(), rows.len(), "nothing is done twice");
    let refused = place
        .solfa("probe --task pitch --kind class --data pitch.jsonl --model untrained:muq-small --zero-shot")
        .assert()
        .code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("music and text"));
}

#[test]
fn recordings_of_one_work_are_found_among_others() {
    let place = workplace();
    let data = String::from_utf8(place.read("pitch.jsonl")).unwrap();
    place.write("works.jsonl", data);
    let arguments = "probe --task works --kind retrieval --data works.jsonl --model mel --cache cache --clip 1 --json";
    let output = place.solfa(arguments).assert().success();
    let lines = json_lines(&output.get_output().stdout);
    assert_eq!((&lines[0]["metric"], &lines[0]["layer"]), (&json!("mean_average_precision"), &json!("0")));
    assert_eq!(lines[0]["value"], 1.0, "low sounds are near low ones: {lines:?}");
    place.solfa(arguments).assert().success();
    assert_eq!(results(&place).rows().unwrap().0.len(), 4, "nothing is done twice");
    let file = format!("results/{}", lines[0]["predictions"].as_str().unwrap());
    let scored = place.solfa(&format!("score predictions {file} --json")).assert().success();
    let scored: Value = serde_json::from_slice(&scored.get_output().stdout).unwrap();
    assert_eq!(scored["scores"]["mean_average_precision"], 1.0);
}

#[test]
fn what_is_wrong_is_named() {
    let place = workplace();
    let good = String::from_utf8(place.read("pitch.jsonl")).unwrap();
    let cases = [
        ("low", "\"label\":\"low\"", "\"label\":{}", "line 1"),
        ("missing", "sounds/3.wav", "sounds/gone.wav", "gone.wav"),
        ("splits", "\"split\":\"test\"", "\"split\":\"val\"", "test"),
    ];
    for (name, from, to, expected) in cases {
        place.write(&format!("{name}.jsonl"), good.replace(from, to));
        let failed = place
            .solfa(&format!("probe --task pitch --kind class --data {name}.jsonl --model mel {QUICK}"))
            .assert()
            .failure();
        let told = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(told.contains(expected), "{name}: {told}");
    }
    for (arguments, expected) in [
        ("probe --task pitch --data pitch.jsonl --model mel", "kind"),
        ("probe --task pitch --kind class --data pitch.jsonl", "--model"),
        ("probe --task pitch --kind class --data pitch.jsonl --model mel --layers best", "best"),
        ("probe --task pitch --kind class --data pitch.jsonl --model untrained:wavenet", "wavenet"),
        ("probe --task chords --data pitch.jsonl --model mel --pool cls", "single frames"),
        ("probe --task pitch --kind class --data pitch.jsonl --model mel --label-fractions 2", "label_fractions"),
        ("layers --model mel", "INPUT"),
        ("layers sounds --model mel --frames 0", "--frames"),
    ] {
        let failed = place.solfa(arguments).assert().code(2);
        let told = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(told.contains(expected), "{arguments}: {told}");
    }
    let failed = place.solfa("probe --task musdb18 --data pitch.jsonl --model mel").assert().code(1);
    let told = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(told.contains("line 1") && told.contains("stems"), "{told}");
    // A recording that cannot be decoded is left out, and the rest goes on.
    place.write("sounds/5.wav", "RIFF");
    let failed = place
        .solfa(&format!("probe --task pitch --kind class --data pitch.jsonl --model mel {QUICK}"))
        .assert()
        .code(3);
    let told = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(told.contains("left out") && told.contains("5.wav"), "{told}");
    assert!(!results(&place).rows().unwrap().0.is_empty());
}

#[test]
fn layers_are_compared_and_a_track_is_looked_into() {
    let place = Workplace::new();
    for number in 0..8 {
        let sound = musical_signal(24_000, 24_000, number);
        place.wav(&format!("music/{number}.wav"), 24_000, sound.samples());
    }
    place.write(
        "labels.jsonl",
        "{\"audio_path\": \"music/3.wav\", \"label\": {\"onset\": [0.1, 0.5]}, \"split\": \"test\"}\n",
    );
    let model = tiny_muq();
    let output = place
        .solfa(&format!(
            "layers music --model {model} --model mel --measure cka --frames 20 --track music/3.wav --labels labels.jsonl \
             --cache cache --json"
        ))
        .assert()
        .success();
    let lines = json_lines(&output.get_output().stdout);
    assert_eq!(lines.len(), 2, "the network with itself and with mel: {lines:?}");
    let values = lines[0]["values"].as_array().unwrap();
    assert_eq!(values.len(), 3);
    for (index, row) in values.iter().enumerate() {
        assert!((row[index].as_f64().unwrap() - 1.0).abs() < 1e-6, "a layer is like itself: {row}");
    }
    let view: Value = serde_json::from_slice(&place.read("results/tracks/3.json")).unwrap();
    assert_eq!(view["labels"][0]["name"], "onsets");
    assert_eq!(view["encoders"][0]["layers"].as_array().unwrap().len(), 3);
    assert!(view["encoders"][0]["layers"][1]["salience"][0]["salience"]["p_value"].is_number());
    let maps = view["encoders"][0]["layers"][1]["attention_maps"].as_array().unwrap();
    assert_eq!((maps.len(), &maps[0]["rows"]), (4, &maps[0]["columns"]), "a square for each head");
    place.solfa("report results --output page.html").assert().success();
    let page = String::from_utf8(place.read("page.html")).unwrap();
    assert!(page.contains("layer 1: 4 heads") && page.contains("attention, mean over heads"), "maps are shown");

    let later =
        format!("layers --model {model} --track music/3.wav --labels labels.jsonl --cache cache --start 0.25 --json");
    place.solfa(&later).assert().success();
    let view: Value = serde_json::from_slice(&place.read("results/tracks/3--from-0.25-s.json")).unwrap();
    assert_eq!(view["labels"][0]["labels"][0]["start"], 0.25, "{}", view["labels"]);
    assert_eq!(view["seconds"], 0.75);
    let output = place.solfa(&later.replace("0.25", "2")).assert().code(2);
    assert!(String::from_utf8_lossy(&output.get_output().stderr).contains("1.0 s long"));
}
