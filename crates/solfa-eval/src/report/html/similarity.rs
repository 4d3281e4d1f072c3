//! Layers beside layers, without any labels.

use std::fmt::Write as _;

use super::curves::figure;
use super::{heat, legend, put};
use crate::report::colour::step;
use crate::report::model::Report;
use crate::report::svg::{Chart, Line, Mark, escape, layer_ticks};
use crate::similarity::{LayerComparison, Measure};

pub(super) const ABOUT: &str = "How alike two layers are on the same items: 1 (written 100) for layers that differ by what the \
                                measure is blind to. Colours go from 0 to 1.";

pub(super) const ABOUT_RANK: &str = "How many directions a layer uses: the exponential of the entropy of its singular values \
                                     around the mean.";

fn measure_title(measure: Measure) -> &'static str {
    match measure {
        Measure::Cka => "Linear CKA",
        Measure::CkaDebiased => "Linear CKA, debiased",
        Measure::Cca => "Mean CCA",
        Measure::Svcca => "SVCCA",
        Measure::Pwcca => "PWCCA",
    }
}

pub(super) fn matrices(report: &Report) -> String {
    if report.comparisons.is_empty() {
        return String::new();
    }
    let mut out = String::from("<div class=\"matrices\">\n");
    for comparison in &report.comparisons {
        matrix(&mut out, comparison);
    }
    out.push_str("</div>\n");
    out.push_str(&heat::key("0", "1", false));
    out
}

const CELL: f64 = 27.0;
const EDGE: f64 = 40.0;

fn matrix(out: &mut String, comparison: &LayerComparison) {
    let (rows, columns) = (comparison.layers_a.len(), comparison.layers_b.len());
    let (width, height) = (EDGE + CELL * columns as f64 + 4.0, EDGE + CELL * rows as f64 + 4.0);
    let measure = measure_title(comparison.measure);
    put!(
        out,
        "<figure style=\"width:{width}px\"><figcaption>{measure}: {} {} {}<small>{}</small></figcaption><div class=\"scroll\">\
         <svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" style=\"max-width:none\" role=\"img\" \
         aria-label=\"{measure} of {} and {}\">",
        escape(&comparison.encoder_a),
        if comparison.encoder_a == comparison.encoder_b { "\u{b7}" } else { "beside" },
        if comparison.encoder_a == comparison.encoder_b { "with itself".into() } else { escape(&comparison.encoder_b) },
        escape(&about(comparison)),
        escape(&comparison.encoder_a),
        escape(&comparison.encoder_b),
    );
    put!(
        out,
        "<text class=\"label\" x=\"{}\" y=\"10\" text-anchor=\"middle\">{}</text>\
         <text class=\"label\" transform=\"translate(10 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        EDGE + CELL * columns as f64 / 2.0,
        escape(&comparison.encoder_b),
        EDGE + CELL * rows as f64 / 2.0,
        escape(&comparison.encoder_a)
    );
    for (column, layer) in comparison.layers_b.iter().enumerate() {
        let x = EDGE + CELL * (column as f64 + 0.5);
        put!(out, "<text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{layer}</text>", EDGE - 8.0);
    }
    let (a, b, size) = (escape(&comparison.encoder_a), escape(&comparison.encoder_b), CELL - 2.0);
    for (row, layer) in comparison.layers_a.iter().enumerate() {
        let y = EDGE + CELL * (row as f64 + 0.5);
        put!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".32em\" text-anchor=\"end\">{layer}</text>",
            EDGE - 6.0
        );
        for (column, value) in comparison.values[row].iter().enumerate() {
            let x = EDGE + CELL * column as f64;
            let shade = step(*value);
            put!(
                out,
                "<g><title>{a} {layer}, {b} {}: {value:.3}</title><rect class=\"h{shade}\" x=\"{}\" y=\"{}\" \
                 width=\"{size}\" height=\"{size}\" rx=\"2\"/><text class=\"value t{shade}\" x=\"{}\" y=\"{y}\" \
                 dy=\".34em\" text-anchor=\"middle\">{:.0}</text></g>",
                comparison.layers_b[column],
                x + 1.0,
                y - CELL / 2.0 + 1.0,
                x + CELL / 2.0,
                100.0 * value,
            );
        }
    }
    out.push_str("</svg></div></figure>\n");
}

fn about(comparison: &LayerComparison) -> String {
    let mut about = format!("{} {}", super::thousands(comparison.items), comparison.item_kind);
    if let Some(dataset) = &comparison.dataset {
        about = format!("{about} of {dataset}");
    }
    if comparison.measure == Measure::Pwcca {
        about = format!("{about}; weighted by {}\u{2019}s layers (rows)", comparison.encoder_a);
    }
    if let Some(variance) = comparison.variance_kept.filter(|variance| *variance < 1.0) {
        about = format!("{about}; {:.0} % of the variance kept", 100.0 * variance);
    }
    if let Some(chance) = comparison.chance_mean_square {
        about = format!(
            "{about}; layers with nothing in common would reach up to {:.0}",
            100.0 * chance.clamp(0.0, 1.0).sqrt()
        );
    }
    if let Some(forced) = comparison.forced_share.filter(|share| *share > 0.0) {
        about = format!(
            "{about}; too few items: up to {:.0} % of the correlations are 1 whatever the layers are",
            100.0 * forced
        );
    }
    about
}

/// A line for each encoder; the first comparison that has it counts.
pub(super) fn ranks(report: &Report) -> String {
    let mut found: Vec<(usize, &[usize], &[f64], &LayerComparison)> = Vec::new();
    let mut unnamed = Vec::new();
    for comparison in &report.comparisons {
        let sides = [
            (&comparison.encoder_a, &comparison.layers_a, &comparison.effective_ranks_a),
            (&comparison.encoder_b, &comparison.layers_b, &comparison.effective_ranks_b),
        ];
        for (name, layers, ranks) in sides {
            // Encoders without results have a place after those that have.
            let index = report.encoder_index(name).unwrap_or_else(|| {
                let place = unnamed.iter().position(|other| other == name).unwrap_or_else(|| {
                    unnamed.push(name.clone());
                    unnamed.len() - 1
                });
                report.encoders.len() + place
            });
            if !found.iter().any(|(other, ..)| *other == index) && !layers.is_empty() {
                found.push((index, layers, ranks, comparison));
            }
        }
    }
    let Some(last) = found.iter().flat_map(|(_, layers, ..)| layers.iter().copied()).max() else {
        return String::new();
    };
    let name = |index: usize| match index.checked_sub(report.encoders.len()) {
        None => report.encoders[index].name.clone(),
        Some(place) => unnamed[place].clone(),
    };
    let lines = found.iter().map(|(index, layers, ranks, comparison)| Line {
        encoder: *index,
        is_dashed: false,
        marks: layers
            .iter()
            .zip(*ranks)
            .map(|(layer, rank)| Mark {
                x: *layer as f64,
                y: *rank,
                band: None,
                is_best: false,
                tip: format!(
                    "{}, layer {layer}: {rank:.1}\n{} {}",
                    name(*index),
                    comparison.items,
                    comparison.item_kind
                ),
            })
            .collect(),
    });
    let chart = Chart {
        width: 560.0,
        height: 260.0,
        description: "Effective rank by layer".into(),
        x_label: "layer".into(),
        x_ticks: layer_ticks(last),
        x_range: if last == 0 { (-1.0, 1.0) } else { (-0.3, last as f64 + 0.3) },
        lines: lines.collect(),
        levels: Vec::new(),
        y_range: None,
    };
    let indices: Vec<usize> = found.iter().map(|(index, ..)| *index).collect();
    let named: Vec<usize> = indices.iter().copied().filter(|index| *index < report.encoders.len()).collect();
    let mut out = if named.is_empty() { String::new() } else { legend(report, &named, false) };
    out.push_str("<div style=\"max-width:640px\">");
    let title: Vec<String> = indices.iter().map(|index| name(*index)).collect();
    figure(&mut out, "Effective rank by layer", &escape(&title.join(", ")), &chart);
    out.push_str("</div>");
    out
}
