//! Encoders beside each other, at their best layers.

use std::fmt::Write as _;

use super::{heat, layer_name, legend, panel_metric, put};
use crate::report::colour::NUM_LINES;
use crate::report::model::{Panel, Report};
use crate::report::numbers::{metric_title, ticks, unit_of};
use crate::report::svg::{escape, marker, minus, short};

pub(super) fn about(report: &Report) -> String {
    let mut about = "The best layer of each encoder with its 95 % interval over recordings. ".to_owned();
    about.push_str(if has_common_scale(report) {
        "All tasks share one scale."
    } else {
        "Tasks whose score is no share have a scale of their own."
    });
    about
}

fn is_share(panel: &Panel) -> bool {
    panel.unit == super::super::Unit::Percent
}

fn has_common_scale(report: &Report) -> bool {
    report.panels.iter().all(is_share)
}

const NAME: f64 = 190.0;
const WIDTH: f64 = 860.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 22.0;
const STEP: f64 = 9.0;

pub(super) fn encoders(report: &Report) -> String {
    if report.panels.is_empty() || report.encoders.len() < 2 {
        return paired(report);
    }
    let all: Vec<usize> = (0..report.encoders.len()).collect();
    let mut out = legend(report, &all, true);
    let heights: Vec<f64> = report.panels.iter().map(|panel| 14.0 + STEP * panel.series.len() as f64).collect();
    let height = TOP + heights.iter().sum::<f64>() + 8.0;
    let (low, high) = common_range(report);
    let scale =
        |value: f64, low: f64, high: f64| NAME + (WIDTH - NAME - RIGHT) * (value - low) / (high - low).max(1e-12);
    put!(
        out,
        "<div class=\"scroll\"><svg class=\"chart\" style=\"min-width:640px\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-label=\"Scores of all encoders at their best layers\">",
        short(height)
    );
    let (places, decimals) = ticks(low, high, 6);
    if report.panels.iter().any(is_share) {
        for place in places {
            let x = short(scale(place, low, high));
            put!(
                out,
                "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                short(height - 8.0),
                TOP - 8.0,
                minus(&format!("{place:.decimals$}"))
            );
        }
    }
    let mut top = TOP;
    for (panel, height) in report.panels.iter().zip(heights) {
        let (low, high) = if is_share(panel) { (low, high) } else { own_range(panel) };
        put!(
            out,
            "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{0}\" y2=\"{0}\"/><text x=\"0\" y=\"{1}\" \
             style=\"font-size:11.5px\">{2}</text><text class=\"small\" x=\"0\" y=\"{3}\">{4}</text>",
            short(top),
            short(top + height / 2.0 - 2.0),
            escape(&super::curves::clipped(&panel.title, 30)),
            short(top + height / 2.0 + 10.0),
            panel_metric(panel)
        );
        if !is_share(panel) {
            for (value, anchor) in [(low, "start"), (high, "end")] {
                put!(
                    out,
                    "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                    short(scale(value, low, high)),
                    short(top + height - 2.0),
                    panel.unit.write(value)
                );
            }
        }
        for (place, series) in panel.series.iter().enumerate() {
            let point = series.best_point();
            let y = top + 7.0 + STEP * (place as f64 + 0.5);
            let name = &report.encoders[series.encoder].name;
            let shown = |value: f64| scale(if is_share(panel) { 100.0 * value } else { value }, low, high);
            put!(out, "<g class=\"line e{}\" data-e=\"{}\">", series.encoder % NUM_LINES, series.encoder);
            if let Some((from, to)) = point.interval {
                let (from, to) = (short(shown(from)), short(shown(to)));
                put!(out, "<line class=\"whisker\" x1=\"{from}\" x2=\"{to}\" y1=\"{y}\" y2=\"{y}\"/>");
            }
            put!(
                out,
                "{}</g>",
                marker(
                    series.encoder,
                    shown(point.value),
                    y,
                    3.6,
                    &format!("{name}\n{}", heat::describe(panel, point))
                )
            );
        }
        top += height;
    }
    out.push_str("</svg></div>\n");
    out.push_str(&paired(report));
    out
}

/// The range of all shares in percent.
fn common_range(report: &Report) -> (f64, f64) {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for panel in report.panels.iter().filter(|panel| is_share(panel)) {
        for point in panel.series.iter().map(|series| series.best_point()) {
            let (from, to) = point.interval.unwrap_or((point.value, point.value));
            low = low.min(100.0 * from.min(point.value));
            high = high.max(100.0 * to.max(point.value));
        }
    }
    if low > high {
        return (0.0, 100.0);
    }
    let margin = (0.02 * (high - low)).max(0.5);
    // Shares end at 0 and at 100, except those that can be negative.
    let low = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
    (low, if high <= 100.0 { (high + margin).min(100.0) } else { high + margin })
}

fn own_range(panel: &Panel) -> (f64, f64) {
    let ends = panel.series.iter().flat_map(|series| {
        let point = series.best_point();
        let (low, high) = point.interval.unwrap_or((point.value, point.value));
        [low, high, point.value]
    });
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    let margin = (0.1 * (high - low)).max(1e-3 * high.abs()).max(1e-9);
    (low - margin, high + margin)
}

/// Differences on the same recordings.
fn paired(report: &Report) -> String {
    if report.paired.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h3 style=\"margin-top:1.6rem\">Differences on the same recordings</h3><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">Task</th><th scope=\"col\">Score</th><th scope=\"col\">A</th><th scope=\"col\">B</th>\
         <th scope=\"col\" class=\"number\">A \u{2212} B</th><th scope=\"col\" class=\"number\">95 % interval</th>\
         <th scope=\"col\" class=\"number\">p</th><th scope=\"col\">method</th></tr></thead><tbody>\n",
    );
    for pair in &report.paired {
        let unit = unit_of(&pair.metric);
        let is_clear = pair.low > 0.0 || pair.high < 0.0;
        put!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}, {}</td><td>{}, {}</td>\
             <td class=\"number\">{}{}{}</td><td class=\"number\">{} to {}</td><td class=\"number\">{}</td>\
             <td>{}, {} recordings</td></tr>\n",
            escape(&pair.task),
            escape(&metric_title(&pair.metric)),
            escape(&pair.encoder_a),
            escape(&layer_name(&pair.layer_a)),
            escape(&pair.encoder_b),
            escape(&layer_name(&pair.layer_b)),
            if is_clear { "<strong>" } else { "" },
            unit.write(pair.difference),
            if is_clear { "</strong>" } else { "" },
            unit.write(pair.low),
            unit.write(pair.high),
            p_value(pair.p_value),
            escape(&pair.method),
            pair.num_test
        );
    }
    let number = report.paired.len();
    put!(
        out,
        "</tbody></table></div><p class=\"hint\">Bold: the interval does not contain 0. {}</p>",
        if number > 1 {
            format!("Of {number} such tests about {:.1} would be bold by chance.", 0.05 * number as f64)
        } else {
            String::new()
        }
    );
    out
}

/// A probability for people.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".into() } else { format!("{p:.3}") }
}
