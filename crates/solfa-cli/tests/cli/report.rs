//! `solfa report`: what is in a folder of results, as a page and as tables; and the page in a real browser.

use std::process::Command as Program;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};
use solfa_eval::similarity::{
    ComparisonSettings, EncoderLayers, Envelope, LabelTrack, LayerComparison, Matrix, Measure, QuantizedMatrix,
    SalienceSummary, TimedLabel, TrackEncoder, TrackLayer, TrackView, salience,
};

use crate::common::Workplace;

/// A name that would be markup if it were not escaped.
const HOSTILE: &str = "<script>alert('1')</script>|`$\\&\"";

fn row(task: &str, encoder: &str, layer: &str, seed: Option<u64>, value: f64) -> Value {
    json!({
        "schema": 1, "time": "2026-11-21T10:00:00Z", "run": "0123456789abcdef", "task": task, "dataset": "made up",
        "dataset_sha256": "89abcdef".repeat(8), "encoder": encoder, "space_id": format!("space-of-{encoder}"),
        "layer": layer, "head": "linear", "protocol": "linear", "label_fraction": 1.0, "draw": 0, "seed": seed,
        "learning_rate": 0.001, "epochs": 3, "num_train": 80, "num_validation": 20, "num_test": 200,
        "metric": "accuracy", "is_headline": true, "value": value,
        "low": if seed.is_none() { json!(value - 0.02) } else { Value::Null },
        "high": if seed.is_none() { json!(value + 0.02) } else { Value::Null },
        "validation": value, "predictions": null, "program_version": "0.1.0"
    })
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Results of two encoders with three layers and one baseline, with all that a report can show.
fn results(workplace: &Workplace) {
    let mut rows = Vec::new();
    for (task, top) in [("genre", 0.7), (HOSTILE, 0.5)] {
        for (encoder, bonus) in [("first", 0.02), (HOSTILE, 0.0)] {
            for layer in 0..3_u8 {
                let value = top + bonus + if layer == 1 { 0.05 } else { 0.01 * f64::from(layer) };
                for seed in 0..3 {
                    rows.push(row(task, encoder, &layer.to_string(), Some(seed), value));
                }
                rows.push(row(task, encoder, &layer.to_string(), None, value));
            }
            let mut other = row(task, encoder, "1", None, 0.61);
            (other["metric"], other["is_headline"]) = (json!("f1_macro"), json!(false));
            rows.push(other);
            for (draw, share) in [(0, 0.1), (1, 0.1), (0, 0.5)] {
                let mut few = row(task, encoder, "1", None, top - 0.1 + 0.1 * share);
                (few["label_fraction"], few["draw"]) = (json!(share), json!(draw));
                rows.push(few);
            }
        }
        rows.push(row(task, "mel", "0", None, 0.4));
    }
    workplace.write("results/results.jsonl", lines(&rows));
    let weights = json!({"run": "0", "task": "genre", "encoder": "first", "seed": 0, "layers": [0, 1, 2],
                         "weights": [0.2, 0.5, 0.3]});
    workplace.write("results/layer-weights.jsonl", lines(&[weights]));
    let paired = json!({"task": "genre", "metric": "accuracy", "encoder_a": "first", "layer_a": "1",
                        "encoder_b": HOSTILE, "layer_b": "1", "difference": 0.02, "low": 0.01, "high": 0.03,
                        "p_value": 0.004, "method": "paired bootstrap", "num_test": 200});
    workplace.write("results/comparisons.jsonl", lines(&[paired]));
    let values: Vec<f32> = (0..240).map(|index| ((index * 7919) % 241) as f32).collect();
    let matrix = |start: usize| Matrix::new(&values[start..start + 120], 30, 4).unwrap();
    let layers = EncoderLayers {
        encoder: "first".into(),
        space_ids: vec!["space".into()],
        layers: vec![0, 1],
        features: vec![matrix(0), matrix(120)],
    };
    let settings = ComparisonSettings::new(Measure::Pwcca);
    let comparison = LayerComparison::of(&layers, &layers, &settings, "tracks", Some(HOSTILE)).unwrap();
    workplace.write("results/similarity/first.json", serde_json::to_vec(&comparison).unwrap());
    workplace.write("results/tracks/song.json", serde_json::to_vec(&track()).unwrap());
}

fn track() -> TrackView {
    let picture: Vec<f32> = (0..64).map(|index| (index % 9) as f32).collect();
    let layer = |layer: usize| TrackLayer {
        layer,
        self_similarity: Some(QuantizedMatrix::new(&picture, 8, 8).unwrap()),
        attention: Some(QuantizedMatrix::new(&picture, 2, 32).unwrap()),
        attention_maps: vec![QuantizedMatrix::new(&picture, 8, 8).unwrap(); 3],
        salience: vec![SalienceSummary {
            events: "onsets".into(),
            salience: salience::salience(&[0.5, 1.0], &[0.5, 1.5], 2.0, &salience::SalienceSettings::default())
                .unwrap(),
        }],
    };
    let label = |start: f64, end: Option<f64>| TimedLabel { start, end, text: HOSTILE.into() };
    TrackView {
        schema: 1,
        title: HOSTILE.into(),
        seconds: 2.0,
        envelope: Envelope::of(&[0.0, 0.5, -0.5, 0.25, 0.0, -1.0], 3),
        labels: vec![
            LabelTrack { name: "chords".into(), labels: vec![label(0.0, Some(1.0)), label(1.0, Some(2.0))] },
            LabelTrack { name: "beats".into(), labels: vec![label(0.5, None)] },
        ],
        encoders: vec![TrackEncoder {
            encoder: "first".into(),
            space_id: "space".into(),
            layers: vec![layer(0), layer(1)],
        }],
    }
}

#[test]
fn one_run_writes_every_format_and_the_same_bytes_again() {
    let workplace = Workplace::new();
    results(&workplace);
    let command = "report results -o a.html -o a.md -o sub/a.tex --json";
    let output = workplace.solfa(command).assert().success().get_output().stdout.clone();
    let summary: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(summary["outputs"], json!(["a.html", "a.md", "sub/a.tex"]));
    let best = &summary["tasks"][0]["best"];
    assert_eq!((&best[0]["encoder"], &best[0]["layer"]), (&json!("first"), &json!("1")));
    assert!((best[0]["value"].as_f64().unwrap() - 0.77).abs() < 1e-12);
    assert_eq!((&summary["num_tracks"], &summary["num_comparisons"]), (&json!(1), &json!(1)));
    let first = workplace.read("a.html");
    workplace.solfa("report results -o b.html").assert().success().stdout("");
    assert_eq!(first, workplace.read("b.html"));

    let html = String::from_utf8(first).unwrap();
    assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    assert!(html.contains("77.0") && html.contains("75.0\u{2013}79.0") && html.contains("PWCCA"));
    for address in ["http://", "https://", "url(", "@import", "<link rel=\"stylesheet"] {
        assert!(!html.contains(address), "{address} asks the network");
    }
    let markdown = String::from_utf8(workplace.read("a.md")).unwrap();
    assert!(markdown.contains("| genre | accuracy | **77.0** [75.0, 79.0], layer 1 |"), "{markdown}");
    assert!(!markdown.contains("<script>") && markdown.contains("\\|\\`$\\\\&amp;"));
    let latex = String::from_utf8(workplace.read("sub/a.tex")).unwrap();
    assert!(
        latex.contains("\\toprule") && latex.contains("\\textbf{77.0} {\\scriptsize [75.0, 79.0]} {\\scriptsize L1}")
    );
    assert!(latex.contains("\\textbackslash{}\\&"), "{latex}");
}

#[test]
fn standard_output_has_the_tables() {
    let workplace = Workplace::new();
    results(&workplace);
    workplace.solfa("report results").assert().success().stdout(contains("## The best layer for each task"));
    workplace.solfa("report results --format latex").assert().success().stdout(contains("\\toprule"));
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_shown() {
    let workplace = Workplace::new();
    let mut wrong = row("genre", "first", "1", None, 0.5);
    wrong["schema"] = json!(7);
    let good = row("genre", "first", "0", None, 0.5).to_string();
    workplace.write("results/results.jsonl", format!("{good}\n{{\"schema\": 1\n\n{wrong}\n"));
    workplace.write("results/similarity/x.json", "{}");
    workplace.write("results/tracks/y.json", b"\xff\xfe");
    let command = workplace.solfa("report results -o a.html").assert().code(3).stdout("");
    command.stderr(
        contains("results.jsonl, line 2: ")
            .and(contains("results.jsonl, line 4: schema 7 is found, and 1 is expected"))
            .and(contains("x.json: missing field"))
            .and(contains("y.json: ")),
    );
    let html = String::from_utf8(workplace.read("a.html")).unwrap();
    assert!(html.contains("4 entries could not be read") && html.contains("50.0"));
}

#[test]
fn an_empty_folder_is_no_failure_and_an_absent_one_is() {
    let workplace = Workplace::new();
    fs_err::create_dir(workplace.path("results")).unwrap();
    let there_is_nothing = || contains("there are no results to show");
    workplace.solfa("report results -o a.html -o a.md -o a.tex").assert().success().stderr(there_is_nothing());
    assert!(String::from_utf8(workplace.read("a.html")).unwrap().contains("There is nothing to show"));
    workplace.solfa("report absent -o a.html").assert().code(1).stderr(contains("absent"));
    workplace.write("file", "");
    workplace.solfa("report file").assert().code(1).stderr(contains("a folder of results is expected"));
    workplace.solfa("report results -o a.pdf").assert().code(2).stderr(contains("expected .html, .md or .tex"));
    let lost = "report results --format markdown -o results/results.jsonl";
    workplace.solfa(lost).assert().code(2).stderr(contains("it would be lost"));
}

/// The page in headless Chromium, where there is one: its script runs, all figures are there, and it asks no network.
#[test]
fn a_browser_shows_the_page_without_errors_or_requests() {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|program| Program::new(program).arg("--version").output().is_ok_and(|output| output.status.success()))
    else {
        println!("skipped: there is no Chromium on this machine");
        return;
    };
    let workplace = Workplace::new();
    results(&workplace);
    workplace.solfa("report results -o a.html").assert().success();
    let shown = |page: &str| {
        let log = workplace.path(&format!("{page}.net.json"));
        let output = Program::new(chromium)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,2000"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", workplace.path("profile").display()))
            .arg(format!("--log-net-log={}", log.display()))
            .arg(format!("file://{}", workplace.path(page).display()))
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        let console: Vec<String> =
            messages.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        // The browser's own errands go to its maker.
        let net = fs_err::read_to_string(log).unwrap();
        let addresses = net.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        let is_of_page = |address: &&str| address.starts_with("http") && !address.contains("google");
        let requests: Vec<String> = addresses.filter(is_of_page).map(str::to_owned).collect();
        (dom, console, requests)
    };
    let (dom, console, requests) = shown("a.html");
    assert!(console.is_empty(), "{console:?}");
    // What the script does: titles become tooltips, encoders become switches, parts become tabs.
    for (what, expected) in [
        ("data-tip=", 40),
        ("role=\"button\"", 6),
        ("role=\"tab\"", 2),
        ("<svg class=\"chart\"", 6),
        ("class=\"heat\"", 3),
        ("data:image/png;base64,", 6),
        ("<section id=", 10),
    ] {
        assert!(dom.matches(what).count() >= expected, "{what}: {} are found", dom.matches(what).count());
    }
    for wrong in ["<script>alert", ">NaN", "\"NaN", ",NaN", ">inf", "\"inf"] {
        assert!(!dom.contains(wrong), "{wrong}");
    }
    assert_eq!(requests, Vec::<String>::new(), "the page asks a network");

    // The canary: a page with an error and a request is seen to have them.
    let broken = "<!DOCTYPE html><img src=\"http://127.0.0.1:9/x.png\"><script>undefinedFunction();</script>";
    workplace.write("broken.html", broken);
    let (_, console, requests) = shown("broken.html");
    assert!(!console.is_empty() && !requests.is_empty(), "{console:?}, {requests:?}: nothing was checked");
}
