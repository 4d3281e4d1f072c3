//! The tables of a report in LaTeX, for the package booktabs.

use std::fmt::Write as _;

use super::html::{layer_name, put};
use super::model::{Panel, Report};
use super::numbers::metric_title;

pub(super) fn tables(report: &Report) -> String {
    let mut out = String::from("% Needs \\usepackage{booktabs}.\n");
    for note in &report.notes {
        put!(out, "% {}\n", comment(note));
    }
    for problem in &report.problems {
        put!(out, "% Could not be read: {}: {}\n", comment(&problem.file), comment(&problem.reason));
    }
    if report.panels.is_empty() {
        out.push_str("% There are no results.\n");
        return out;
    }
    best(&mut out, report);
    for index in 0..report.encoders.len() {
        if !report.encoders[index].is_baseline {
            layers(&mut out, report, index);
        }
    }
    out
}

fn best(out: &mut String, report: &Report) {
    let columns = "r".repeat(report.encoders.len());
    put!(out, "\n\\begin{{table*}}\n\\centering\n\\begin{{tabular}}{{ll{columns}}}\n\\toprule\nTask & Score");
    for encoder in &report.encoders {
        put!(out, " & {}", escape(&encoder.name));
    }
    out.push_str(" \\\\\n\\midrule\n");
    for panel in &report.panels {
        let first = panel.best_series().filter(|_| panel.series.len() > 1);
        put!(out, "{} & {}", escape(&panel.title), escape(&metric_title(&panel.metric)));
        for encoder in 0..report.encoders.len() {
            let Some(place) = panel.series.iter().position(|series| series.encoder == encoder) else {
                out.push_str(" & --");
                continue;
            };
            let point = panel.series[place].best_point();
            let value = number(&panel.unit.write(point.value));
            put!(out, " & {}", if first == Some(place) { format!("\\textbf{{{value}}}") } else { value });
            if let Some((low, high)) = point.interval {
                let (low, high) = (number(&panel.unit.write(low)), number(&panel.unit.write(high)));
                put!(out, " {{\\scriptsize [{low}, {high}]}}");
            }
            if !report.encoders[encoder].is_baseline {
                match point.number {
                    Some(layer) => {
                        put!(out, " {{\\scriptsize L{layer}}}");
                    }
                    None => {
                        put!(out, " {{\\scriptsize {}}}", escape(&layer_name(&point.layer)));
                    }
                }
            }
        }
        out.push_str(" \\\\\n");
    }
    out.push_str(
        "\\bottomrule\n\\end{tabular}\n\\caption{Score at the best single layer (L), with the 95\\,\\% interval over \
         recordings. Shares in percent; bold: best encoder.}\n\\end{table*}\n",
    );
}

fn layers(out: &mut String, report: &Report, encoder: usize) {
    let rows: Vec<(&Panel, usize)> = report
        .panels
        .iter()
        .filter_map(|panel| Some((panel, panel.series.iter().position(|series| series.encoder == encoder)?)))
        .collect();
    let points = rows.iter().flat_map(|(panel, place)| &panel.series[*place].points);
    let mut columns: Vec<&str> = Vec::new();
    for point in points {
        if !columns.contains(&point.layer.as_str()) {
            columns.push(&point.layer);
        }
    }
    columns.sort_by_key(|layer| (layer.parse().unwrap_or(usize::MAX), *layer));
    put!(
        out,
        "\n\\begin{{table*}}\n\\centering\\small\n\\begin{{tabular}}{{l{}}}\n\\toprule\nTask",
        "r".repeat(columns.len())
    );
    for layer in &columns {
        put!(out, " & {}", escape(layer));
    }
    out.push_str(" \\\\\n\\midrule\n");
    for (panel, place) in rows {
        let series = &panel.series[place];
        out.push_str(&escape(&panel.title));
        for layer in &columns {
            match series.points.iter().position(|point| point.layer == *layer) {
                Some(point) => {
                    let value = number(&panel.unit.write(series.points[point].value));
                    put!(out, " & {}", if point == series.best { format!("\\textbf{{{value}}}") } else { value });
                }
                None => out.push_str(" &"),
            }
        }
        out.push_str(" \\\\\n");
    }
    put!(
        out,
        "\\bottomrule\n\\end{{tabular}}\n\\caption{{{}: score by layer.}}\n\\end{{table*}}\n",
        escape(&report.encoders[encoder].name)
    );
}

/// A number with a true minus.
fn number(text: &str) -> String {
    text.replace('\u{2212}', "$-$")
}

/// Text in a comment: of one line.
fn comment(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Text that stands for itself.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '\u{b7}' => escaped.push_str("\\textperiodcentered{}"),
            '\u{b2}' => escaped.push_str("\\textsuperscript{2}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
