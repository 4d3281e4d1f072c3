//! The tables of a report in Markdown.

use std::fmt::Write as _;

use super::html::{layer_name, put};
use super::model::{Panel, Report, Series};
use super::numbers::{metric_title, unit_of};

pub(super) fn document(report: &Report) -> String {
    let mut out = String::from("# Results, layer by layer\n");
    if report.is_empty() {
        out.push_str("\nThere is nothing to show: the folder has no results yet.\n");
    }
    for (heading, items) in
        [("", report.notes.clone()), ("\nCould not be read:\n", report.problems.iter().map(problem).collect())]
    {
        if !items.is_empty() {
            put!(out, "{heading}\n");
        }
        for item in items {
            put!(out, "- {}\n", escape(&item));
        }
    }
    best(&mut out, report);
    layers(&mut out, report);
    others(&mut out, report);
    paired(&mut out, report);
    weights(&mut out, report);
    similarity(&mut out, report);
    sources(&mut out, report);
    out
}

fn problem(problem: &super::Problem) -> String {
    let line = problem.line.map_or_else(String::new, |line| format!(", line {line}"));
    format!("{}{line}: {}", problem.file, problem.reason)
}

pub(super) fn table(out: &mut String, header: &[String], num_text: usize, rows: &[Vec<String>]) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    out.push_str(&line(header));
    let rules: Vec<String> =
        (0..header.len()).map(|column| if column < num_text { "---".into() } else { "---:".into() }).collect();
    out.push_str(&line(&rules));
    rows.iter().for_each(|row| out.push_str(&line(row)));
}

fn header(report: &Report, first: &[&str]) -> Vec<String> {
    let names = report.encoders.iter().map(|encoder| escape(&encoder.name));
    first.iter().map(|text| (*text).to_owned()).chain(names).collect()
}

fn best(out: &mut String, report: &Report) {
    if report.panels.is_empty() {
        return;
    }
    out.push_str(
        "\n## The best layer for each task\n\nMean, 95 % interval over recordings, layer. Shares are in percent.\n\n",
    );
    let rows: Vec<Vec<String>> = report
        .panels
        .iter()
        .map(|panel| {
            let first = panel.best_series().filter(|_| panel.series.len() > 1);
            let mut row = vec![escape(&panel.title), escape(&metric_title(&panel.metric))];
            for encoder in 0..report.encoders.len() {
                let place = panel.series.iter().position(|series| series.encoder == encoder);
                row.push(place.map_or_else(
                    || "\u{2013}".into(),
                    |place| cell(panel, &panel.series[place], first == Some(place)),
                ));
            }
            row
        })
        .collect();
    table(out, &header(report, &["task", "score"]), 2, &rows);
}

fn cell(panel: &Panel, series: &Series, is_first: bool) -> String {
    let point = series.best_point();
    let value = panel.unit.write(point.value);
    let value = if is_first { format!("**{value}**") } else { value };
    let interval = point
        .interval
        .map_or_else(String::new, |(low, high)| format!(" [{}, {}]", panel.unit.write(low), panel.unit.write(high)));
    let is_single = series.points.len() == 1 && point.number.is_some();
    let layer = if is_single { String::new() } else { format!(", {}", escape(&layer_name(&point.layer))) };
    format!("{value}{interval}{layer}")
}

fn layers(out: &mut String, report: &Report) {
    for (index, encoder) in report.encoders.iter().enumerate().filter(|(_, encoder)| !encoder.is_baseline) {
        let of_encoder = |panel: &&Panel| panel.series.iter().any(|series| series.encoder == index);
        let panels: Vec<&Panel> = report.panels.iter().filter(of_encoder).collect();
        let mut columns: Vec<&str> = Vec::new();
        let series = |panel: &'_ Panel| panel.series.iter().position(|series| series.encoder == index);
        for panel in &panels {
            for point in series(panel).map(|place| &panel.series[place].points).into_iter().flatten() {
                if !columns.contains(&point.layer.as_str()) {
                    columns.push(&point.layer);
                }
            }
        }
        columns.sort_by_key(|layer| (layer.parse().unwrap_or(usize::MAX), *layer));
        put!(out, "\n## {}: task by layer\n\n", escape(&encoder.name));
        let mut header = vec!["task".to_owned()];
        header.extend(columns.iter().map(|layer| escape(layer)));
        let rows: Vec<Vec<String>> = panels
            .iter()
            .filter_map(|panel| {
                let series = &panel.series[series(panel)?];
                let mut row = vec![escape(&panel.title)];
                for layer in &columns {
                    let place = series.points.iter().position(|point| point.layer == *layer);
                    row.push(place.map_or_else(String::new, |place| {
                        let value = panel.unit.write(series.points[place].value);
                        if place == series.best { format!("**{value}**") } else { value }
                    }));
                }
                Some(row)
            })
            .collect();
        table(out, &header, 1, &rows);
    }
}

fn others(out: &mut String, report: &Report) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for panel in &report.panels {
        let mut metrics: Vec<&str> = Vec::new();
        for other in panel.series.iter().flat_map(|series| &series.others) {
            if !metrics.contains(&other.metric.as_str()) {
                metrics.push(&other.metric);
            }
        }
        for metric in metrics {
            let mut row = vec![escape(&panel.title), escape(&metric_title(metric))];
            for encoder in 0..report.encoders.len() {
                let series = panel.series.iter().find(|series| series.encoder == encoder);
                let other = series.and_then(|series| series.others.iter().find(|other| other.metric == metric));
                row.push(other.map_or_else(String::new, |other| unit_of(metric).write(other.point.value)));
            }
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        out.push_str("\n## All other scores at the same layers\n\n");
        table(out, &header(report, &["task", "score"]), 2, &rows);
    }
}

fn paired(out: &mut String, report: &Report) {
    if report.paired.is_empty() {
        return;
    }
    out.push_str("\n## Differences on the same recordings\n\n");
    let header = ["task", "score", "A", "B", "A \u{2212} B", "95 % interval", "p"].map(str::to_owned);
    let rows: Vec<Vec<String>> = report
        .paired
        .iter()
        .map(|pair| {
            let unit = unit_of(&pair.metric);
            vec![
                escape(&pair.task),
                escape(&metric_title(&pair.metric)),
                escape(&format!("{}, {}", pair.encoder_a, layer_name(&pair.layer_a))),
                escape(&format!("{}, {}", pair.encoder_b, layer_name(&pair.layer_b))),
                unit.write(pair.difference),
                format!("{} to {}", unit.write(pair.low), unit.write(pair.high)),
                format!("{:.3}", pair.p_value),
            ]
        })
        .collect();
    table(out, &header, 4, &rows);
}

fn weights(out: &mut String, report: &Report) {
    if report.mixtures.is_empty() {
        return;
    }
    out.push_str("\n## Learned weights of layers, in percent\n\n");
    let mut layers: Vec<usize> = report.mixtures.iter().flat_map(|mixture| mixture.layers.iter().copied()).collect();
    layers.sort_unstable();
    layers.dedup();
    let mut header = vec!["task".to_owned(), "encoder".to_owned()];
    header.extend(layers.iter().map(usize::to_string));
    let rows: Vec<Vec<String>> = report
        .mixtures
        .iter()
        .map(|mixture| {
            let mut row = vec![escape(&mixture.task), escape(&mixture.encoder)];
            for layer in &layers {
                let weight =
                    mixture.layers.iter().position(|number| number == layer).map(|place| mixture.weights[place]);
                row.push(weight.map_or_else(String::new, |weight| format!("{:.1}", 100.0 * weight)));
            }
            row
        })
        .collect();
    table(out, &header, 2, &rows);
}

fn similarity(out: &mut String, report: &Report) {
    for comparison in &report.comparisons {
        put!(
            out,
            "\n## {}: {} (rows) and {}, {} {}\n\n",
            comparison.measure.name(),
            escape(&comparison.encoder_a),
            escape(&comparison.encoder_b),
            comparison.items,
            escape(&comparison.item_kind)
        );
        let mut header = vec!["layer".to_owned()];
        header.extend(comparison.layers_b.iter().map(usize::to_string));
        let rows: Vec<Vec<String>> = comparison
            .layers_a
            .iter()
            .zip(&comparison.values)
            .map(|(layer, values)| {
                std::iter::once(layer.to_string()).chain(values.iter().map(|value| format!("{value:.2}"))).collect()
            })
            .collect();
        table(out, &header, 1, &rows);
    }
}

fn sources(out: &mut String, report: &Report) {
    if report.panels.is_empty() {
        return;
    }
    out.push_str("\n## What this was measured on\n\n");
    let header = ["task", "data set", "SHA-256", "protocol", "head", "train", "validation", "test"].map(str::to_owned);
    let rows: Vec<Vec<String>> = report
        .panels
        .iter()
        .map(|panel| {
            let (train, validation, test) = panel.num_recordings;
            vec![
                escape(&panel.title),
                escape(&panel.dataset),
                escape(&panel.dataset_sha256.chars().take(12).collect::<String>()),
                escape(&panel.protocol),
                escape(&panel.head),
                train.to_string(),
                validation.to_string(),
                test.to_string(),
            ]
        })
        .collect();
    table(out, &header, 5, &rows);
    let seeds: Vec<String> = report.provenance.seeds.iter().map(u64::to_string).collect();
    put!(
        out,
        "\nSeeds: {}. Measured by solfa {}.\n",
        if seeds.is_empty() { "none".into() } else { seeds.join(", ") },
        escape(&report.provenance.versions.join(", "))
    );
}

/// Text that stands for itself in a cell of a table.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' => escaped.extend(['\\', character]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
