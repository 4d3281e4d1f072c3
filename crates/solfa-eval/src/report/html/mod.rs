//! One self-contained page. Everything on it can be read without its script, which adds tooltips, filters and tabs.

mod comparison;
mod curves;
mod heat;
mod similarity;
mod sources;
mod track;
mod training;

use std::fmt::Write as _;

use super::colour::{NUM_LINES, classes, variables};
use super::model::{Panel, Point, Report};
use super::numbers::metric_title;
use super::svg::{escape, marker};

/// Appends formatted text; writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = write!($out, $($arguments)*);
    };
}
pub(super) use put;
pub(super) use training::page as training_page;

const LIGHT: &str = "--ground:#fff;--raised:#f5f7f9;--ink:#171b21;--soft:#59636f;--rule:#e2e6eb;--link:#0b5fa5;\
                     --mark:#d9540f;--bad:#b3261e;--picture:none;color-scheme:light;";
const DARK: &str = "--ground:#11151b;--raised:#1a2029;--ink:#e8ebef;--soft:#9aa5b2;--rule:#2a323d;--link:#7cbcf5;\
                    --mark:#ff9a5c;--bad:#ff8a80;--picture:invert(1) hue-rotate(180deg);color-scheme:dark;";

/// A part of the page: what the navigation calls it, its address, its heading, what it is, its body.
struct Section {
    short: &'static str,
    id: &'static str,
    heading: &'static str,
    about: String,
    body: String,
}

/// A page before it is written.
struct Page<'text> {
    title: &'text str,
    /// Styles besides those of every page.
    css: &'text str,
    header: String,
    sections: Vec<Section>,
    /// What is said where there is nothing to show.
    empty: Option<&'text str>,
    /// What the last line says after the program's name.
    footer: String,
}

pub(super) fn page(report: &Report) -> String {
    let measured = match &report.provenance.times {
        None => String::new(),
        Some((first, last)) if first == last => format!("; measured at {}", escape(first)),
        Some((first, last)) => format!("; measured from {} to {}", escape(first), escape(last)),
    };
    let mut top = String::new();
    header(&mut top, report);
    Page {
        title: &title(report),
        css: "",
        header: top,
        sections: sections(report),
        empty: report.is_empty().then_some("There is nothing to show: the folder has no results yet."),
        footer: measured,
    }
    .write()
}

impl Page<'_> {
    fn write(&self) -> String {
        let Self { title, css, header, sections, empty, footer } = self;
        let mut page = String::new();
        put!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; img-src data:\">\n\
             <meta name=\"generator\" content=\"solfa\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
             <style>\n:root{{{LIGHT}{}}}\n@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{DARK}{}}}}}\n\
             :root[data-theme=dark]{{{DARK}{}}}\n@media print{{:root:root:root{{{LIGHT}{}}}}}\n{}{}{css}</style>\n</head>\n\
             <body>\n",
            escape(title),
            variables(false),
            variables(true),
            variables(true),
            variables(false),
            include_str!("page.css"),
            classes(),
        );
        page.push_str("<nav aria-label=\"Sections\"><div class=\"bar\">");
        for section in sections {
            put!(page, "<a href=\"#{}\">{}</a>", section.id, section.short);
        }
        page.push_str("<button id=\"theme\" type=\"button\" hidden>Dark</button></div></nav>\n");
        page.push_str(header);
        page.push_str("<main>\n");
        if let Some(empty) = empty {
            put!(page, "<p class=\"empty\">{empty}</p>\n");
        }
        for Section { id, heading, about, body, .. } in sections {
            put!(page, "<section id=\"{id}\">\n<h2>{heading}</h2>\n");
            if !about.is_empty() {
                put!(page, "<p class=\"hint\">{about}</p>\n");
            }
            put!(page, "{body}\n</section>\n");
        }
        put!(
            page,
            "</main>\n<footer>Made by solfa {}{footer}.</footer>\n<script>\n{}</script>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
            include_str!("page.js"),
        );
        page
    }
}

fn title(report: &Report) -> String {
    match report.encoders.len() {
        0 => "Results".into(),
        1 => format!("{}, layer by layer", report.encoders[0].name),
        _ => "Music representations, layer by layer".into(),
    }
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |short, id, heading, about: String, body: String| {
        if !body.is_empty() {
            sections.push(Section { short, id, heading, about, body });
        }
    };
    add(
        "Best layers",
        "best",
        "The best layer for each task",
        "Score on the test split at the best single layer, with the 95 % interval over recordings. \u{25C6} marks the best \
         encoder of a task. Shares are in percent."
            .into(),
        best_table(report),
    );
    add("Heat maps", "layers", "Task by layer", heat::ABOUT.into(), heat::tasks(report));
    add("Curves", "curves", "From layer to layer", curves::ABOUT.into(), curves::layers(report));
    add("Encoders", "encoders", "Encoder beside encoder", comparison::about(report), comparison::encoders(report));
    add("Mixtures", "weights", "Learned weights of layers", heat::ABOUT_WEIGHTS.into(), heat::weights(report));
    add("Few labels", "few-labels", "With fewer labels", curves::ABOUT_LABELS.into(), curves::label_shares(report));
    add("Similarity", "similarity", "Layers beside layers", similarity::ABOUT.into(), similarity::matrices(report));
    add("Rank", "rank", "Effective rank", similarity::ABOUT_RANK.into(), similarity::ranks(report));
    add("Tracks", "tracks", "Inside a track", track::ABOUT.into(), track::views(report));
    add("Sources", "sources", "What this was measured on", String::new(), sources::section(report));
    sections
}

fn header(page: &mut String, report: &Report) {
    let provenance = &report.provenance;
    put!(page, "<header class=\"top\">\n<h1>{}</h1>\n", escape(&title(report)));
    if !report.panels.is_empty() {
        let names: Vec<String> = report.encoders.iter().map(|encoder| escape(&encoder.name)).collect();
        put!(page, "<p class=\"lead\">{}</p>\n", listed(&names));
        let tasks: std::collections::BTreeSet<&str> = report.panels.iter().map(|panel| panel.task.as_str()).collect();
        page.push_str("<dl class=\"facts\">");
        for (number, one, many) in [
            (tasks.len(), "task", "tasks"),
            (report.encoders.len(), "encoder", "encoders"),
            (provenance.datasets.len(), "data set", "data sets"),
            (provenance.seeds.len(), "seed", "seeds"),
            (provenance.num_rows, "measured number", "measured numbers"),
        ] {
            put!(
                page,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                if number == 1 { one } else { many },
                thousands(number as u64)
            );
        }
        page.push_str("</dl>\n");
    }
    if !report.notes.is_empty() {
        page.push_str("<aside class=\"notes\"><strong>Read this first</strong><ul>");
        for note in &report.notes {
            put!(page, "<li>{}</li>", escape(note));
        }
        page.push_str("</ul></aside>\n");
    }
    if !report.problems.is_empty() {
        const SHOWN: usize = 20;
        let number = report.problems.len();
        put!(
            page,
            "<aside class=\"notes bad\"><strong>{} could not be read and {} missing here</strong><ul>",
            if number == 1 { "One entry".to_owned() } else { format!("{number} entries") },
            if number == 1 { "is" } else { "are" }
        );
        for problem in report.problems.iter().take(SHOWN) {
            let line = problem.line.map_or_else(String::new, |line| format!(", line {line}"));
            put!(page, "<li><code>{}</code>{line}: {}</li>", escape(&problem.file), escape(&problem.reason));
        }
        if number > SHOWN {
            put!(page, "<li>and {} more</li>", number - SHOWN);
        }
        page.push_str("</ul></aside>\n");
    }
    page.push_str("</header>\n");
}

/// Tasks in rows, encoders in columns.
fn best_table(report: &Report) -> String {
    if report.panels.is_empty() {
        return String::new();
    }
    let mut out = String::from("<div class=\"scroll\"><table class=\"wide\"><thead><tr><th scope=\"col\">Task</th>");
    for encoder in &report.encoders {
        put!(out, "<th scope=\"col\">{}</th>", escape(&encoder.name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for panel in &report.panels {
        let first = if panel.series.len() > 1 { panel.best_series() } else { None };
        put!(
            out,
            "<tr><th scope=\"row\" class=\"task\">{}<small>{}</small></th>",
            escape(&panel.title),
            panel_metric(panel)
        );
        for encoder in 0..report.encoders.len() {
            let Some(place) = panel.series.iter().position(|series| series.encoder == encoder) else {
                out.push_str("<td class=\"cell\">\u{2013}</td>");
                continue;
            };
            let series = &panel.series[place];
            put!(out, "<td class=\"cell{}\">", if first == Some(place) { " first" } else { "" });
            put!(out, "{}</td>", cell(panel, series.best_point(), !report.encoders[encoder].is_baseline));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out.push_str(&other_scores(report));
    out
}

fn cell(panel: &Panel, point: &Point, has_layers: bool) -> String {
    let mut details = Vec::new();
    if let Some((low, high)) = point.interval {
        details.push(panel.unit.interval(low, high));
    }
    if has_layers || point.number.is_none() {
        details.push(layer_name(&point.layer));
    }
    format!("<b>{}</b><small>{}</small>", panel.unit.write(point.value), escape(&details.join(" \u{b7} ")))
}

/// Every score that is not the task's first one.
fn other_scores(report: &Report) -> String {
    if report.panels.iter().all(|panel| panel.series.iter().all(|series| series.others.is_empty())) {
        return String::new();
    }
    let mut out = String::from(
        "<details><summary>All other scores at the same layers</summary><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">Task</th><th scope=\"col\">Score</th>",
    );
    for encoder in &report.encoders {
        put!(out, "<th scope=\"col\" class=\"number\">{}</th>", escape(&encoder.name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for panel in &report.panels {
        let mut metrics: Vec<&str> = Vec::new();
        for other in panel.series.iter().flat_map(|series| &series.others) {
            if !metrics.contains(&other.metric.as_str()) {
                metrics.push(&other.metric);
            }
        }
        for metric in metrics {
            put!(out, "<tr><th scope=\"row\">{}</th><td>{}</td>", escape(&panel.title), escape(&metric_title(metric)));
            for encoder in 0..report.encoders.len() {
                let series = panel.series.iter().find(|series| series.encoder == encoder);
                let other = series.and_then(|series| series.others.iter().find(|other| other.metric == metric));
                let text = other.map_or_else(String::new, |other| {
                    let unit = super::unit_of(metric);
                    let interval = other.point.interval.map_or_else(String::new, |(low, high)| {
                        format!(" <span class=\"hint\">{}</span>", unit.interval(low, high))
                    });
                    format!("{}{interval}", unit.write(other.point.value))
                });
                put!(out, "<td class=\"number\">{text}</td>");
            }
            out.push_str("</tr>\n");
        }
    }
    out.push_str("</tbody></table></div></details>");
    out
}

/// `accuracy`, with an arrow where less is better.
fn panel_metric(panel: &Panel) -> String {
    let arrow = if panel.less_is_better { ", less is better" } else { "" };
    format!("{}{arrow}", escape(&metric_title(&panel.metric)))
}

/// A layer for people.
pub(super) fn layer_name(layer: &str) -> String {
    match layer {
        "weighted" => "learned mixture".into(),
        "all" => "all layers".into(),
        "joint" => "joint space".into(),
        number if number.parse::<usize>().is_ok() => format!("layer {number}"),
        other => other.to_owned(),
    }
}

/// The encoders' signs; the script makes switches of them. `is_marked`: encoders with one layer have a mark too, and not a
/// dotted level.
fn legend(report: &Report, shown: &[usize], is_marked: bool) -> String {
    let mut out = String::from("<div class=\"legend\">");
    for &index in shown {
        let encoder = &report.encoders[index];
        let class = index % NUM_LINES;
        put!(
            out,
            "<span class=\"key\" data-e=\"{index}\"><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><g class=\"{} e{class}\">",
            if encoder.is_baseline && !is_marked { "level" } else { "line" }
        );
        if encoder.is_baseline && !is_marked {
            out.push_str("<line x1=\"1\" x2=\"25\" y1=\"6\" y2=\"6\"/>");
        } else {
            let dashed = if index >= NUM_LINES { " dashed" } else { "" };
            put!(out, "<polyline class=\"stroke{dashed}\" points=\"1,6 25,6\"/>{}", marker(index, 13.0, 6.0, 3.4, ""));
        }
        put!(out, "</g></svg>{}</span>", escape(&encoder.name));
    }
    out.push_str("</div>\n");
    out
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Digits in groups of three.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
