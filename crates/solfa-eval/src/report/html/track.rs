//! What encoders make of one track.

use std::fmt::Write as _;

use super::comparison::p_value;
use super::curves::clipped;
use super::put;
use crate::report::colour::palette;
use crate::report::model::Report;
use crate::report::numbers::ticks;
use crate::report::png::data_address;
use crate::report::svg::{Chart, Line, Mark, escape, layer_ticks, short};
use crate::similarity::{LabelTrack, QuantizedMatrix, TrackEncoder, TrackLayer, TrackView};

pub(super) const ABOUT: &str = "Sound, labels, and what layers make of them. Self-similarity: each moment beside each other \
                                one, dark where they are alike. Attention: what each frame receives, mean over heads and \
                                queries. Every picture goes from its own smallest to its own largest value.";

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 78.0;
const WAVE: f64 = 64.0;
const LANE: f64 = 20.0;
const STRIP: f64 = 13.0;

pub(super) fn views(report: &Report) -> String {
    let mut out = String::new();
    for track in &report.tracks {
        put!(out, "<div data-tab=\"{0}\"><h3>{0}</h3>", escape(&track.title));
        timeline(&mut out, track);
        for encoder in &track.encoders {
            layers(&mut out, encoder);
        }
        out.push_str("</div>\n");
    }
    if out.is_empty() { out } else { format!("<div data-tabs>\n{out}</div>") }
}

/// The rows of attention of one encoder, one for each layer that has it.
fn attended(encoder: &TrackEncoder) -> Vec<(&TrackLayer, Vec<u8>, usize)> {
    let rows = encoder.layers.iter().filter_map(|layer| {
        let matrix = layer.attention.as_ref()?;
        Some((layer, mean_of_rows(matrix)?, matrix.columns))
    });
    rows.collect()
}

/// The mean over heads, stretched to all steps again.
fn mean_of_rows(matrix: &QuantizedMatrix) -> Option<Vec<u8>> {
    let bytes = matrix.bytes()?;
    let mut sums = vec![0_u32; matrix.columns];
    for row in bytes.chunks_exact(matrix.columns) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += u32::from(*value));
    }
    let (low, high) = (*sums.iter().min()?, *sums.iter().max()?);
    let range = f64::from((high - low).max(1));
    Some(sums.iter().map(|sum| (f64::from(sum - low) / range * 255.0).round() as u8).collect())
}

/// Waveform, labels and attention along one axis of time.
fn timeline(out: &mut String, track: &TrackView) {
    let attended: Vec<_> = track.encoders.iter().map(|encoder| (encoder, attended(encoder))).collect();
    let attention_height: f64 =
        attended.iter().filter(|(_, rows)| !rows.is_empty()).map(|(_, rows)| 20.0 + STRIP * rows.len() as f64).sum();
    let height = WAVE + 8.0 + LANE * track.labels.len() as f64 + attention_height + 30.0;
    let x_of = |seconds: f64| LEFT + (WIDTH - LEFT - 8.0) * (seconds / track.seconds).clamp(0.0, 1.0);
    put!(
        out,
        "<div class=\"scroll\"><svg class=\"chart\" style=\"min-width:720px\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-label=\"{} over time\">",
        short(height),
        escape(&track.title)
    );
    wave(out, track);
    let mut top = WAVE + 8.0;
    for labels in &track.labels {
        lane(out, labels, top, &x_of);
        top += LANE;
    }
    for (encoder, rows) in attended.iter().filter(|(_, rows)| !rows.is_empty()) {
        put!(
            out,
            "<text class=\"small\" x=\"{LEFT}\" y=\"{}\">attention received, {}</text>",
            short(top + 14.0),
            escape(&encoder.encoder)
        );
        top += 20.0;
        for (layer, steps, columns) in rows {
            put!(
                out,
                "<text class=\"tick\" x=\"{}\" y=\"{}\" dy=\".32em\" text-anchor=\"end\">{}</text>\
                 <image x=\"{LEFT}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"{}\"/>",
                LEFT - 6.0,
                short(top + STRIP / 2.0),
                layer.layer,
                short(top + 0.5),
                short(WIDTH - LEFT - 8.0),
                STRIP - 1.0,
                data_address(steps, *columns, &palette())
            );
            top += STRIP;
        }
    }
    let (places, decimals) = ticks(0.0, track.seconds, 8);
    put!(out, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{1}\" y2=\"{1}\"/>", WIDTH - 8.0, short(top + 6.0));
    for place in places {
        let x = short(x_of(place));
        put!(
            out,
            "<line class=\"axis\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>\
             <text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{place:.decimals$} s</text>",
            short(top + 6.0),
            short(top + 10.0),
            short(top + 22.0)
        );
    }
    out.push_str("</svg></div>\n");
}

fn wave(out: &mut String, track: &TrackView) {
    let envelope = &track.envelope;
    let count = envelope.minimum.len();
    if count == 0 {
        return;
    }
    let values = envelope.minimum.iter().chain(&envelope.maximum);
    let loudest =
        values.fold(1e-6_f32, |loudest, value| if value.is_finite() { loudest.max(value.abs()) } else { loudest });
    let y_of = |value: f32| {
        let share = f64::from(value / loudest);
        WAVE / 2.0 - (WAVE / 2.0 - 2.0) * if share.is_finite() { share } else { 0.0 }
    };
    let x_of = |place: usize| LEFT + (WIDTH - LEFT - 8.0) * place as f64 / count as f64;
    let mut points = String::new();
    for (place, value) in envelope.maximum.iter().enumerate() {
        put!(points, "{},{} ", short(x_of(place)), short(y_of(*value) - 0.3));
    }
    for (place, value) in envelope.minimum.iter().enumerate().rev() {
        put!(points, "{},{} ", short(x_of(place)), short(y_of(*value) + 0.3));
    }
    put!(
        out,
        "<text class=\"small\" x=\"{}\" y=\"{}\" dy=\".32em\" text-anchor=\"end\">waveform</text>\
         <polygon class=\"wave\" points=\"{}\"/>",
        LEFT - 6.0,
        WAVE / 2.0,
        points.trim_end()
    );
}

/// One kind of label.
fn lane(out: &mut String, labels: &LabelTrack, top: f64, x_of: &dyn Fn(f64) -> f64) {
    put!(
        out,
        "<text class=\"small\" x=\"{}\" y=\"{}\" dy=\".32em\" text-anchor=\"end\">{}</text>",
        LEFT - 6.0,
        short(top + LANE / 2.0),
        escape(&clipped(&labels.name, 14))
    );
    for label in labels.labels.iter().filter(|label| label.start.is_finite()) {
        let x = x_of(label.start);
        let tip = format!("{:.2} s {}", label.start, label.text);
        match label.end.filter(|end| end.is_finite()) {
            Some(end) => {
                let width = (x_of(end) - x).max(0.5);
                put!(
                    out,
                    "<g><title>{}</title><rect class=\"segment\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                    escape(&tip),
                    short(x),
                    short(top + 1.5),
                    short(width),
                    LANE - 3.0
                );
                let letters = (width / 5.6) as usize;
                if letters >= 1 && (letters >= 3 || label.text.chars().count() <= letters) {
                    put!(
                        out,
                        "<text class=\"small\" x=\"{}\" y=\"{}\" dy=\".34em\" text-anchor=\"middle\">{}</text>",
                        short(x + width / 2.0),
                        short(top + LANE / 2.0),
                        escape(&clipped(&label.text, letters.max(1)))
                    );
                }
                out.push_str("</g>");
            }
            None => {
                let is_strong = labels.name.starts_with("downbeat");
                put!(
                    out,
                    "<line class=\"event{}\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"><title>{}</title></line>",
                    if is_strong { " strong" } else { "" },
                    short(top + if is_strong { 2.0 } else { 5.0 }),
                    short(top + LANE - 3.0),
                    escape(&tip),
                    x = short(x)
                );
            }
        }
    }
}

/// Self-similarity and attention maps, layer by layer, and how well attention marks events.
fn layers(out: &mut String, encoder: &TrackEncoder) {
    let similarities: Vec<(String, QuantizedMatrix)> = encoder
        .layers
        .iter()
        .filter_map(|layer| Some((format!("layer {}", layer.layer), layer.self_similarity.clone()?)))
        .collect();
    if !similarities.is_empty() {
        put!(out, "<h3>{}: self-similarity</h3>", escape(&encoder.encoder));
        pictures(out, &encoder.encoder, "self-similarity", &similarities);
    }
    let with_maps: Vec<&TrackLayer> = encoder.layers.iter().filter(|layer| !layer.attention_maps.is_empty()).collect();
    if !with_maps.is_empty() {
        put!(out, "<h3>{}: attention maps</h3>", escape(&encoder.encoder));
        out.push_str(
            "<p class=\"hint\">From each moment (down) to each moment (across): the mean over heads, and each head by \
             itself.</p>",
        );
        let means: Vec<(String, QuantizedMatrix)> = with_maps
            .iter()
            .filter_map(|layer| Some((format!("layer {}", layer.layer), mean_map(&layer.attention_maps)?)))
            .collect();
        pictures(out, &encoder.encoder, "attention, mean over heads", &means);
        for layer in with_maps {
            let heads = layer.attention_maps.iter().enumerate();
            let heads: Vec<(String, QuantizedMatrix)> =
                heads.map(|(head, map)| (format!("head {}", head + 1), map.clone())).collect();
            put!(out, "<details><summary>layer {}: {} heads</summary>", layer.layer, heads.len());
            pictures(out, &encoder.encoder, &format!("attention of layer {}", layer.layer), &heads);
            out.push_str("</details>\n");
        }
    }
    salience(out, encoder);
}

/// Matrices side by side, each under its name.
fn pictures(out: &mut String, encoder: &str, title: &str, named: &[(String, QuantizedMatrix)]) {
    out.push_str("<div class=\"layers\">");
    for (name, matrix) in named {
        let Some(steps) = matrix.bytes() else { continue };
        put!(
            out,
            "<figure><figcaption>{0}</figcaption><img class=\"picture\" width=\"{1}\" height=\"{2}\" \
             alt=\"{3}, {0}: {title}\" title=\"{0}: from {4:.3} to {5:.3}\" src=\"{6}\"></figure>",
            name,
            matrix.columns,
            matrix.rows,
            escape(encoder),
            matrix.low,
            matrix.high,
            data_address(&steps, matrix.columns, &palette())
        );
    }
    out.push_str("</div>\n");
}

/// The mean of maps of one size; nothing where sizes differ.
fn mean_map(maps: &[QuantizedMatrix]) -> Option<QuantizedMatrix> {
    let first = maps.first()?;
    let mut sum = vec![0.0_f32; first.rows * first.columns];
    for map in maps {
        let values = map.values()?;
        if values.len() != sum.len() {
            return None;
        }
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / maps.len() as f32);
    }
    QuantizedMatrix::new(&sum, first.rows, first.columns).ok()
}

fn salience(out: &mut String, encoder: &TrackEncoder) {
    let mut kinds: Vec<&str> = Vec::new();
    for summary in encoder.layers.iter().flat_map(|layer| &layer.salience) {
        if !kinds.contains(&summary.events.as_str()) {
            kinds.push(&summary.events);
        }
    }
    if kinds.is_empty() {
        return;
    }
    put!(out, "<h3>{}: how well peaks of attention mark events</h3>", escape(&encoder.encoder));
    out.push_str("<p class=\"hint\">F-measure in percent by layer; dashed: events that know nothing of the music.</p><div class=\"grid\">");
    for kind in &kinds {
        let scores: Vec<_> = encoder
            .layers
            .iter()
            .filter_map(|layer| {
                Some((layer.layer, layer.salience.iter().find(|summary| summary.events == *kind)?.salience))
            })
            .collect();
        let line = |index: usize, is_dashed: bool, value: fn(&crate::similarity::salience::Salience) -> f64| Line {
            encoder: index,
            is_dashed,
            marks: scores
                .iter()
                .map(|(layer, score)| Mark {
                    x: *layer as f64,
                    y: 100.0 * value(score),
                    band: None,
                    is_best: false,
                    tip: format!(
                        "layer {layer}: F {:.1}, precision {:.1}, recall {:.1}\nby chance {:.1}, p {}",
                        100.0 * score.f_measure,
                        100.0 * score.precision,
                        100.0 * score.recall,
                        100.0 * score.chance_f_measure,
                        p_value(score.p_value).replace("&lt;", "<")
                    ),
                })
                .collect(),
        };
        let last = scores.iter().map(|(layer, _)| *layer).max().unwrap_or(0);
        let chart = Chart {
            width: 330.0,
            height: 190.0,
            description: format!("{}: how well attention marks {kind}", encoder.encoder),
            x_label: "layer".into(),
            x_ticks: layer_ticks(last),
            x_range: if last == 0 { (-1.0, 1.0) } else { (-0.3, last as f64 + 0.3) },
            lines: vec![line(7, true, |score| score.chance_f_measure), line(0, false, |score| score.f_measure)],
            levels: Vec::new(),
            y_range: None,
        };
        let about = scores.first().map_or_else(String::new, |(_, score)| {
            format!("{} events, within {:.0} ms", score.num_events, 1000.0 * score.tolerance_seconds)
        });
        // These lines are no encoders: the legend's switches leave them alone.
        let drawing = chart.draw().replace(" data-e=\"", " data-of=\"");
        put!(out, "<figure><figcaption>{}<small>{about}</small></figcaption>{drawing}</figure>\n", escape(kind));
    }
    out.push_str("</div>\n<details><summary>The numbers</summary><div class=\"scroll\"><table><thead><tr>\
                  <th scope=\"col\">Layer</th><th scope=\"col\">Events</th><th scope=\"col\" class=\"number\">Peaks</th>\
                  <th scope=\"col\" class=\"number\">Precision</th><th scope=\"col\" class=\"number\">Recall</th>\
                  <th scope=\"col\" class=\"number\">F</th><th scope=\"col\" class=\"number\">by chance</th>\
                  <th scope=\"col\" class=\"number\">p</th></tr></thead><tbody>\n");
    for layer in &encoder.layers {
        for summary in &layer.salience {
            let score = &summary.salience;
            put!(out, "<tr><th scope=\"row\">{}</th><td>{}</td>", layer.layer, escape(&summary.events));
            put!(out, "<td class=\"number\">{}</td>", score.num_peaks);
            for value in [score.precision, score.recall, score.f_measure, score.chance_f_measure] {
                put!(out, "<td class=\"number\">{:.1}</td>", 100.0 * value);
            }
            put!(out, "<td class=\"number\">{}</td></tr>\n", p_value(score.p_value));
        }
    }
    out.push_str("</tbody></table></div></details>\n");
}
