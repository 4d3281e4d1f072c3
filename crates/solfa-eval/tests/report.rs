//! Reports of made-up folders of results.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

use std::path::Path;

use serde_json::{Value, json};
use solfa_eval::report::{Report, ReportFormat};

fn row(task: &str, encoder: &str, layer: &str, seed: Option<u64>, value: f64) -> Value {
    json!({
        "schema": 1, "time": "2026-11-21T10:00:00Z", "run": "0", "task": task, "dataset": "made up",
        "dataset_sha256": "89abcdef", "encoder": encoder, "space_id": "space", "layer": layer, "head": "linear",
        "protocol": "linear", "label_fraction": 1.0, "draw": 0, "seed": seed, "learning_rate": null, "epochs": null,
        "num_train": 80, "num_validation": 20, "num_test": 200, "metric": "accuracy", "is_headline": true,
        "value": value, "low": null, "high": null, "validation": null, "predictions": null, "program_version": "0.1.0"
    })
}

fn with(mut row: Value, changes: &[(&str, Value)]) -> Value {
    for (field, value) in changes {
        row[*field] = value.clone();
    }
    row
}

fn report(rows: &[Value]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.path().join("results.jsonl"), lines).unwrap();
    Report::read(folder.path()).unwrap()
}

#[test]
fn the_best_layer_is_chosen_by_validation_where_there_is_one() {
    let scored = |layer, value: f64, validation: f64| {
        with(row("genre", "a", layer, None, value), &[("validation", json!(validation))])
    };
    let found = report(&[scored("0", 0.5, 0.9), scored("1", 0.8, 0.6), scored("weighted", 0.9, 0.95)]);
    let series = &found.panels[0].series[0];
    assert_eq!((series.best_point().layer.as_str(), series.is_chosen_by_validation), ("0", true));
    assert!(!found.notes.iter().any(|note| note.contains("test split")));

    let found = report(&[row("genre", "a", "0", None, 0.5), row("genre", "a", "1", None, 0.8)]);
    let series = &found.panels[0].series[0];
    assert_eq!((series.best_point().layer.as_str(), series.is_chosen_by_validation), ("1", false));
    assert!(found.notes.iter().any(|note| note.contains("chosen on the test split itself")), "{:?}", found.notes);
}

#[test]
fn less_can_be_better() {
    let scored = |layer, value: f64| with(row("tempo", "a", layer, None, value), &[("metric", json!("tempo_mae"))]);
    let found = report(&[scored("0", 9.0), scored("1", 4.0), scored("2", 6.0)]);
    assert_eq!(found.panels[0].series[0].best_point().layer, "1");
    assert!(found.panels[0].less_is_better);
    assert!(found.render(ReportFormat::Html).contains("<b>4.00</b>"));
}

#[test]
fn seeds_become_a_mean_and_what_was_measured_last_counts() {
    let found = report(&[
        row("genre", "a", "10", Some(0), 0.1),
        row("genre", "a", "10", Some(0), 0.4),
        row("genre", "a", "10", Some(1), 0.6),
        row("genre", "a", "2", Some(0), 0.3),
    ]);
    let points = &found.panels[0].series[0].points;
    assert_eq!(points.iter().map(|point| point.layer.as_str()).collect::<Vec<_>>(), ["2", "10"], "layers by number");
    assert!((points[1].value - 0.5).abs() < 1e-12 && points[1].num_seeds == 2);
    let mean = with(row("genre", "a", "10", None, 0.7), &[("low", json!(0.6)), ("high", json!(0.8))]);
    let found = report(&[row("genre", "a", "10", Some(0), 0.1), mean]);
    let point = found.panels[0].series[0].best_point();
    assert_eq!((point.value, point.interval), (0.7, Some((0.6, 0.8))), "a mean over seeds goes before them");
    assert!(found.notes.iter().any(|note| note.contains("One seed only (0)")));
}

#[test]
fn what_was_measured_differently_is_not_mixed() {
    let found = report(&[
        row("genre", "a", "0", None, 0.5),
        with(row("genre", "a", "0", None, 0.6), &[("head", json!("mlp-512"))]),
        with(row("genre", "a", "0", None, 0.7), &[("dataset_sha256", json!("0123456789"))]),
    ]);
    let titles: Vec<&str> = found.panels.iter().map(|panel| panel.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "genre \u{b7} linear \u{b7} data 89abcdef",
            "genre \u{b7} mlp-512 \u{b7} data 89abcdef",
            "genre \u{b7} linear \u{b7} data 01234567"
        ]
    );
    let two_spaces =
        [row("key", "a", "0", None, 0.5), with(row("key", "a", "0", None, 0.6), &[("space_id", json!("x"))])];
    assert!(report(&two_spaces).notes.iter().any(|note| note.contains("stands for several spaces")));
}

#[test]
fn fewer_labels_make_a_curve_and_not_a_layer() {
    let share = |share: f64, draw: u32, value: f64| {
        with(row("genre", "a", "3", None, value), &[("label_fraction", json!(share)), ("draw", json!(draw))])
    };
    let found = report(&[share(1.0, 0, 0.8), share(0.1, 0, 0.5), share(0.1, 1, 0.6), share(0.05, 0, 0.4)]);
    let panel = &found.panels[0];
    assert_eq!((panel.series[0].points.len(), panel.series[0].best_point().value), (1, 0.8));
    let points = &panel.label_curves[0].points;
    assert_eq!(points.iter().map(|point| point.fraction).collect::<Vec<_>>(), [0.05, 0.1, 1.0]);
    assert!((points[1].value - 0.55).abs() < 1e-12);
    assert_eq!((points[1].low, points[1].high, points[1].num_draws), (0.5, 0.6, 2));
}

#[test]
fn an_untrained_network_does_not_widen_the_colours() {
    let mut rows = Vec::new();
    for (encoder, values) in [("good", [0.7, 0.8]), ("near", [0.65, 0.75]), ("untrained", [0.2, 0.3])] {
        for (layer, value) in values.into_iter().enumerate() {
            rows.push(row("genre", encoder, &layer.to_string(), None, value));
        }
    }
    rows.push(row("genre", "mel", "0", None, 0.1));
    let found = report(&rows);
    assert_eq!(found.panels[0].layer_range(), (0.65, 0.8));
    assert_eq!(found.encoders.iter().filter(|encoder| encoder.is_baseline).count(), 1);
}

#[test]
fn the_smallest_results_and_none_make_whole_documents() {
    for rows in [vec![], vec![row("one", "only", "0", Some(3), 0.5)], vec![row("joint", "mulan", "joint", None, 0.5)]] {
        let found = report(&rows);
        for format in [ReportFormat::Html, ReportFormat::Markdown, ReportFormat::Latex] {
            let text = found.render(format);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text, found.render(format));
        }
        let html = found.render(ReportFormat::Html);
        for element in ["section", "div", "table", "tr", "td", "svg", "figure", "g", "details"] {
            let opened = html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
            assert_eq!(opened, html.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    assert!(Report::read(Path::new("no/such/folder")).is_err());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Report::read(&file).unwrap_err().to_string().contains("a folder of results is expected"));
}

#[test]
fn broken_lines_are_named_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let good = row("genre", "a", "0", None, 0.5);
    let share = with(good.clone(), &[("label_fraction", json!(0.0))]);
    let interval = with(good.clone(), &[("low", json!(0.9)), ("high", json!(0.1))]);
    let missing = with(good.clone(), &[("value", Value::Null)]);
    let text = format!("{good}\nnot json\n{share}\n{interval}\n{missing}\n");
    std::fs::write(folder.path().join("results.jsonl"), text).unwrap();
    let weights = json!({"run": "0", "task": "t", "encoder": "a", "seed": 0, "layers": [0, 1], "weights": [1.0]});
    std::fs::write(folder.path().join("layer-weights.jsonl"), weights.to_string()).unwrap();
    let report = Report::read(folder.path()).unwrap();
    let lines: Vec<Option<u64>> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(2), Some(3), Some(4), Some(5), Some(1)], "{:?}", report.problems);
    assert_eq!(report.problems[4].reason, "weights: 2 are expected, and 1 are found");
    assert_eq!(report.panels.len(), 1);
}
