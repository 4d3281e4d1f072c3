//! Tables whose cells are coloured by their value.

use std::fmt::Write as _;

use super::put;
use crate::report::colour::{STEPS, step};
use crate::report::model::{Panel, Point, Report, Series};
use crate::report::svg::escape;

pub(super) const ABOUT: &str = "Every score of a single layer. The colours of a row go from the smallest to the largest \
                                score of that task over all encoders with several layers, which stand at its end; an \
                                encoder that stays below all layers of the best one does not widen them. So a row can be \
                                compared between encoders, and colours of different rows cannot.";

pub(super) const ABOUT_WEIGHTS: &str = "What a softmax over the layers came to, in percent, the mean over trainings. \
                                        Colours go from 0 to the largest weight of the row. Weights follow the size of a \
                                        layer\u{2019}s features as well as their use.";

/// A table for each encoder with several layers.
pub(super) fn tasks(report: &Report) -> String {
    let mut out = String::new();
    for (index, encoder) in report.encoders.iter().enumerate().filter(|(_, encoder)| !encoder.is_baseline) {
        let rows: Vec<(&Panel, &Series)> = report
            .panels
            .iter()
            .filter_map(|panel| Some((panel, panel.series.iter().find(|series| series.encoder == index)?)))
            .collect();
        let mut numbers: Vec<usize> = rows.iter().flat_map(|(_, series)| numbers(series)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut names: Vec<&str> = Vec::new();
        for point in rows.iter().flat_map(|(_, series)| &series.points).filter(|point| point.number.is_none()) {
            if !names.contains(&point.layer.as_str()) {
                names.push(&point.layer);
            }
        }
        if numbers.is_empty() {
            continue;
        }
        put!(
            out,
            "<div data-tab=\"{}\"><h3>{}</h3><div class=\"scroll\">",
            escape(&encoder.name),
            escape(&encoder.name)
        );
        out.push_str("<table class=\"heat\"><thead><tr><th scope=\"col\">layer</th>");
        for number in &numbers {
            put!(out, "<th scope=\"col\">{number}</th>");
        }
        for name in &names {
            put!(out, "<th scope=\"col\">{}</th>", escape(if *name == "weighted" { "mixture" } else { name }));
        }
        out.push_str("<th scope=\"col\">range</th></tr></thead><tbody>\n");
        for (panel, series) in rows {
            row(&mut out, panel, series, &numbers, &names);
        }
        out.push_str("</tbody></table></div></div>\n");
    }
    if out.is_empty() {
        return out;
    }
    format!("<div data-tabs>\n{out}</div>\n{}", key("smallest", "largest score of the task", true))
}

fn numbers(series: &Series) -> impl Iterator<Item = usize> {
    series.points.iter().filter_map(|point| point.number)
}

fn row(out: &mut String, panel: &Panel, series: &Series, numbers: &[usize], names: &[&str]) {
    let (low, high) = panel.layer_range();
    let share = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 1.0 };
        if panel.less_is_better { 1.0 - share } else { share }
    };
    put!(out, "<tr><th scope=\"row\" title=\"{0}\">{0}</th>", escape(&panel.title));
    for number in numbers {
        let Some(place) = series.points.iter().position(|point| point.number == Some(*number)) else {
            out.push_str("<td class=\"none\">\u{b7}</td>");
            continue;
        };
        let point = &series.points[place];
        let best = if place == series.best { " best" } else { "" };
        put!(
            out,
            "<td class=\"h{}{best}\" title=\"{}\">{}</td>",
            step(share(point.value)),
            escape(&describe(panel, point)),
            panel.unit.write(point.value)
        );
    }
    for name in names {
        match series.points.iter().find(|point| point.layer == *name) {
            Some(point) => {
                let text = escape(&describe(panel, point));
                put!(out, "<td class=\"extra\" title=\"{text}\">{}</td>", panel.unit.write(point.value));
            }
            None => out.push_str("<td class=\"none\">\u{b7}</td>"),
        }
    }
    put!(out, "<td class=\"range\">{}</td></tr>\n", panel.unit.interval(low, high));
}

/// A score in a line for a tooltip.
pub(super) fn describe(panel: &Panel, point: &Point) -> String {
    let mut text = format!("{}, {}: {}", panel.title, super::layer_name(&point.layer), panel.unit.write(point.value));
    if let Some((low, high)) = point.interval {
        text = format!("{text}\n95 % interval {}", panel.unit.interval(low, high));
    }
    if let Some(validation) = point.validation {
        text = format!("{text}\nvalidation {}", panel.unit.write(validation));
    }
    if point.num_seeds > 0 {
        text = format!("{text}\n{} {}", point.num_seeds, if point.num_seeds == 1 { "seed" } else { "seeds" });
    }
    text
}

/// A table of weights for each encoder.
pub(super) fn weights(report: &Report) -> String {
    let mut out = String::new();
    let mut encoders: Vec<&str> = Vec::new();
    for mixture in &report.mixtures {
        if !encoders.contains(&mixture.encoder.as_str()) {
            encoders.push(&mixture.encoder);
        }
    }
    for encoder in encoders {
        let rows: Vec<_> = report.mixtures.iter().filter(|mixture| mixture.encoder == encoder).collect();
        let mut layers: Vec<usize> = rows.iter().flat_map(|mixture| mixture.layers.iter().copied()).collect();
        layers.sort_unstable();
        layers.dedup();
        put!(out, "<div data-tab=\"{0}\"><h3>{0}</h3><div class=\"scroll\">", escape(encoder));
        out.push_str("<table class=\"heat\"><thead><tr><th scope=\"col\">layer</th>");
        for layer in &layers {
            put!(out, "<th scope=\"col\">{layer}</th>");
        }
        out.push_str("</tr></thead><tbody>\n");
        for mixture in rows {
            let largest = mixture.weights.iter().copied().fold(0.0, f64::max);
            put!(out, "<tr><th scope=\"row\" title=\"{0}\">{0}</th>", escape(&mixture.task));
            for layer in &layers {
                let place = mixture.layers.iter().position(|number| number == layer);
                match place.and_then(|place| mixture.weights.get(place)) {
                    Some(weight) => {
                        let best = if *weight == largest { " best" } else { "" };
                        let share = step(weight / largest.max(f64::MIN_POSITIVE));
                        put!(out, "<td class=\"h{share}{best}\">{:.1}</td>", 100.0 * weight);
                    }
                    None => out.push_str("<td class=\"none\">\u{b7}</td>"),
                }
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div></div>\n");
    }
    if out.is_empty() { out } else { format!("<div data-tabs>\n{out}</div>\n") }
}

/// The ramp with its ends.
pub(super) fn key(low: &str, high: &str, has_best: bool) -> String {
    let steps: String = (0..STEPS).map(|index| format!("<span class=\"h{index}\"></span>")).collect();
    let best = if has_best { "<span class=\"ringed\"></span> the best layer" } else { "" };
    format!("<div class=\"ramp\">{low} <i>{steps}</i> {high} {best}</div>\n")
}
