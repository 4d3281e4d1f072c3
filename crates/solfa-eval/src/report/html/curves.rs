//! Small charts, one for each task.

use std::fmt::Write as _;

use super::{heat, legend, panel_metric, put};
use crate::report::Unit;
use crate::report::model::{LabelCurve, Panel, Report};
use crate::report::svg::{Chart, Level, Line, Mark, escape, layer_ticks};

pub(super) const ABOUT: &str = "Lines are single layers with their 95 % intervals over recordings; a ring is the best layer. \
                                Dotted levels have one layer alone; \u{2193} names one that lies below the picture. \
                                Each task has its own scale.";

pub(super) const ABOUT_LABELS: &str = "The score by the share of training labels that was learned from, at the layer that is \
                                       best with all of them. Bands go from the smallest to the largest of the draws.";

fn shown(unit: Unit, value: f64) -> f64 {
    if unit == Unit::Percent { 100.0 * value } else { value }
}

pub(super) fn layers(report: &Report) -> String {
    let layered = |panel: &&Panel| panel.series.iter().any(|series| !report.encoders[series.encoder].is_baseline);
    let panels: Vec<&Panel> = report.panels.iter().filter(layered).collect();
    if panels.is_empty() {
        return String::new();
    }
    let all: Vec<usize> = (0..report.encoders.len()).collect();
    let mut out = legend(report, &all, false);
    out.push_str("<div class=\"grid\">\n");
    for panel in panels {
        let last =
            panel.series.iter().flat_map(|series| &series.points).filter_map(|point| point.number).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut levels = Vec::new();
        for series in &panel.series {
            let encoder = &report.encoders[series.encoder];
            let name = &encoder.name;
            if encoder.is_baseline || series.points.iter().all(|point| point.number.is_none()) {
                let point = series.best_point();
                levels.push(Level {
                    encoder: series.encoder,
                    y: shown(panel.unit, point.value),
                    label: format!("{} {}", clipped(name, 7), panel.unit.write(point.value)),
                    tip: format!("{name}\n{}", heat::describe(panel, point)),
                });
                continue;
            }
            let marks = series.points.iter().enumerate().filter_map(|(place, point)| {
                Some(Mark {
                    x: point.number? as f64,
                    y: shown(panel.unit, point.value),
                    band: point.interval.map(|(low, high)| (shown(panel.unit, low), shown(panel.unit, high))),
                    is_best: place == series.best,
                    tip: format!("{name}\n{}", heat::describe(panel, point)),
                })
            });
            lines.push(Line { encoder: series.encoder, is_dashed: false, marks: marks.collect() });
        }
        let chart = Chart {
            width: 330.0,
            height: 206.0,
            description: format!("{}: {} by layer", panel.title, panel.metric),
            x_label: "layer".into(),
            x_ticks: layer_ticks(last),
            x_range: if last == 0 { (-1.0, 1.0) } else { (-0.3, last as f64 + 0.3) },
            lines,
            levels,
            y_range: None,
        };
        figure(&mut out, &panel.title, &panel_metric(panel), &chart);
    }
    out.push_str("</div>\n");
    out
}

pub(super) fn label_shares(report: &Report) -> String {
    let panels: Vec<&Panel> = report.panels.iter().filter(|panel| !panel.label_curves.is_empty()).collect();
    if panels.is_empty() {
        return String::new();
    }
    let mut encoders: Vec<usize> =
        panels.iter().flat_map(|panel| panel.label_curves.iter().map(|curve| curve.encoder)).collect();
    encoders.sort_unstable();
    encoders.dedup();
    let mut out = legend(report, &encoders, true);
    out.push_str("<div class=\"grid\">\n");
    for panel in panels {
        let shares = || panel.label_curves.iter().flat_map(|curve| &curve.points).map(|point| point.fraction);
        let (low, high) = (shares().fold(1.0, f64::min), shares().fold(0.0, f64::max));
        let mut places: Vec<f64> = shares().collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let margin = 0.05 * (high.ln() - low.ln());
        let chart = Chart {
            width: 330.0,
            height: 206.0,
            description: format!("{}: {} by the share of labels", panel.title, panel.metric),
            x_label: "% of the training labels".into(),
            x_ticks: places.iter().map(|share| (share.ln(), percent(*share))).collect(),
            x_range: (low.ln() - margin, high.ln() + margin),
            lines: panel.label_curves.iter().map(|curve| line(report, panel, curve)).collect(),
            levels: Vec::new(),
            y_range: None,
        };
        figure(&mut out, &panel.title, &panel_metric(panel), &chart);
    }
    out.push_str("</div>\n");
    out
}

fn line(report: &Report, panel: &Panel, curve: &LabelCurve) -> Line {
    let encoder = &report.encoders[curve.encoder];
    let marks = curve.points.iter().map(|point| {
        let draws = if point.num_draws == 1 { "draw" } else { "draws" };
        Mark {
            x: point.fraction.ln(),
            y: shown(panel.unit, point.value),
            band: Some((shown(panel.unit, point.low), shown(panel.unit, point.high))),
            is_best: false,
            tip: format!(
                "{}, {}\n{} % of the labels: {}\n{} {draws}, {}",
                encoder.name,
                super::layer_name(&curve.layer),
                percent(point.fraction),
                panel.unit.write(point.value),
                point.num_draws,
                panel.unit.interval(point.low, point.high)
            ),
        }
    });
    Line { encoder: curve.encoder, is_dashed: encoder.is_baseline, marks: marks.collect() }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn figure(out: &mut String, title: &str, about: &str, chart: &Chart) {
    put!(out, "<figure><figcaption>{}<small>{about}</small></figcaption>{}</figure>\n", escape(title), chart.draw());
}

/// A name of at most so many letters.
pub(super) fn clipped(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let kept: String = name.chars().take(letters - 1).collect();
    format!("{kept}\u{2026}")
}
