//! Charts as SVG: lines over layers, with bands, marks and levels.

use std::fmt::Write as _;

use super::colour::NUM_LINES;
use super::numbers::ticks;

/// Text that stands for itself in HTML and in SVG, in elements and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters, and those that turn the direction of text, have no place in a name.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            character if character.is_control() && character != '\n' => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A number of a picture, short.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// One chart.
pub(super) struct Chart {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for those who do not see it.
    pub(super) description: String,
    pub(super) x_label: String,
    /// Places of the horizontal axis, with what is written there.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) x_range: (f64, f64),
    pub(super) lines: Vec<Line>,
    pub(super) levels: Vec<Level>,
    /// How numbers of the vertical axis are written; they are given as they are shown.
    pub(super) y_range: Option<(f64, f64)>,
}

/// One encoder's line.
pub(super) struct Line {
    pub(super) encoder: usize,
    pub(super) is_dashed: bool,
    pub(super) marks: Vec<Mark>,
}

/// One point.
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) band: Option<(f64, f64)>,
    pub(super) is_best: bool,
    pub(super) tip: String,
}

/// A horizontal line.
pub(super) struct Level {
    pub(super) encoder: usize,
    pub(super) y: f64,
    pub(super) label: String,
    pub(super) tip: String,
}

const LEFT: f64 = 38.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// Levels widen the range of the lines at most by this factor; beyond, they are named at the edge.
const WIDENING: f64 = 2.2;

impl Chart {
    pub(super) fn draw(&self) -> String {
        let right = if self.levels.is_empty() { 10.0 } else { 74.0 };
        let (low, high) = self.y_range.unwrap_or_else(|| self.range());
        let plot_width = self.width - LEFT - right;
        let plot_height = self.height - TOP - BOTTOM;
        let x_of = |x: f64| LEFT + plot_width * (x - self.x_range.0) / (self.x_range.1 - self.x_range.0).max(1e-12);
        let y_of = |y: f64| TOP + plot_height * (1.0 - (y - low) / (high - low).max(1e-12));
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            self.width,
            self.height,
            escape(&self.description)
        );
        let (places, decimals) = ticks(low, high, 4);
        for place in places {
            let y = short(y_of(place));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".32em\" text-anchor=\"end\">{}</text>",
                short(LEFT + plot_width),
                LEFT - 6.0,
                minus(&format!("{place:.decimals$}"))
            );
        }
        let base = short(TOP + plot_height);
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\"/>",
            short(LEFT + plot_width)
        );
        for (place, label) in &self.x_ticks {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                short(x_of(*place)),
                short(TOP + plot_height + 13.0),
                escape(label)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            short(LEFT + plot_width / 2.0),
            short(self.height - 5.0),
            escape(&self.x_label)
        );
        self.draw_levels(&mut svg, low, LEFT + plot_width, &y_of);
        for line in &self.lines {
            line.draw(&mut svg, &x_of, &y_of);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The range of the lines with their bands, widened for levels that are near.
    fn range(&self) -> (f64, f64) {
        let marks = self.lines.iter().flat_map(|line| &line.marks);
        let values = marks.flat_map(|mark| {
            let (low, high) = mark.band.unwrap_or((mark.y, mark.y));
            [mark.y, low, high]
        });
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        if values.is_empty() {
            values = self.levels.iter().map(|level| level.y).collect();
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let span = (high - low).max(1e-3 * high.abs()).max(1e-6);
        let (mut widest_low, mut widest_high) = (low, high);
        for level in &self.levels {
            let (lower, upper) = (widest_low.min(level.y), widest_high.max(level.y));
            if upper - lower <= WIDENING * span {
                (widest_low, widest_high) = (lower, upper);
            }
        }
        let margin = 0.06 * (widest_high - widest_low).max(span);
        (widest_low - margin, widest_high + margin)
    }

    fn draw_levels(&self, svg: &mut String, low: f64, right: f64, y_of: &dyn Fn(f64) -> f64) {
        let (top, bottom) = (TOP, self.height - BOTTOM);
        let mut order: Vec<&Level> = self.levels.iter().collect();
        order.sort_by(|a, b| b.y.total_cmp(&a.y));
        let mut places: Vec<f64> = order.iter().map(|level| y_of(level.y).clamp(top, bottom)).collect();
        // Labels keep their order and a line's distance, and stay in the picture.
        let distance = 10.5;
        for index in 1..places.len() {
            places[index] = places[index].max(places[index - 1] + distance);
        }
        let mut limit = bottom;
        for place in places.iter_mut().rev() {
            *place = place.min(limit);
            limit = *place - distance;
        }
        for (level, place) in order.iter().zip(places) {
            let y = y_of(level.y);
            let is_inside = (top - 0.5..=bottom + 0.5).contains(&y);
            let arrow = match (is_inside, level.y < low) {
                (true, _) => "",
                (false, true) => "\u{2193} ",
                (false, false) => "\u{2191} ",
            };
            let _ = write!(svg, "<g class=\"level e{}\" data-e=\"{}\">", level.encoder % NUM_LINES, level.encoder);
            if is_inside {
                let y = short(y);
                let _ = write!(svg, "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>", short(right));
            }
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" dy=\".32em\">{arrow}{}</text><title>{}</title></g>",
                short(right + 4.0),
                short(place),
                escape(&level.label),
                escape(&level.tip)
            );
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, x_of: &dyn Fn(f64) -> f64, y_of: &dyn Fn(f64) -> f64) {
        let class = self.encoder % NUM_LINES;
        let _ = write!(svg, "<g class=\"line e{class}\" data-e=\"{}\">", self.encoder);
        let banded: Vec<(f64, f64, f64)> =
            self.marks.iter().filter_map(|mark| Some((mark.x, mark.band?.0, mark.band?.1))).collect();
        if banded.len() > 1 {
            let upper = banded.iter().map(|(x, _, high)| (*x, *high));
            let lower = banded.iter().rev().map(|(x, low, _)| (*x, *low));
            let _ = write!(svg, "<polygon class=\"band\" points=\"{}\"/>", path(upper.chain(lower), x_of, y_of));
        } else if let [(x, low, high)] = banded.as_slice() {
            let x = short(x_of(*x));
            let (low, high) = (short(y_of(*low)), short(y_of(*high)));
            let _ = write!(svg, "<line class=\"whisker\" x1=\"{x}\" x2=\"{x}\" y1=\"{low}\" y2=\"{high}\"/>");
        }
        let dashes = if self.is_dashed || self.encoder >= NUM_LINES { " dashed" } else { "" };
        let points = self.marks.iter().map(|mark| (mark.x, mark.y));
        let _ = write!(svg, "<polyline class=\"stroke{dashes}\" points=\"{}\"/>", path(points, x_of, y_of));
        for mark in &self.marks {
            let (x, y) = (x_of(mark.x), y_of(mark.y));
            if mark.is_best {
                let _ = write!(svg, "<circle class=\"ring\" cx=\"{}\" cy=\"{}\" r=\"6\"/>", short(x), short(y));
            }
            let _ = write!(svg, "{}", marker(self.encoder, x, y, if mark.is_best { 3.2 } else { 2.3 }, &mark.tip));
        }
        svg.push_str("</g>");
    }
}

/// An encoder's sign at a place: disc, square, triangle, diamond.
pub(super) fn marker(encoder: usize, x: f64, y: f64, size: f64, tip: &str) -> String {
    let tip = if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) };
    let shape = match encoder % 4 {
        0 => {
            return format!(
                "<circle class=\"mark\" cx=\"{}\" cy=\"{}\" r=\"{}\">{tip}</circle>",
                short(x),
                short(y),
                short(size)
            );
        }
        1 => [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)].as_slice(),
        2 => [(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)].as_slice(),
        _ => [(0.0, -1.35), (1.35, 0.0), (0.0, 1.35), (-1.35, 0.0)].as_slice(),
    };
    let points: Vec<String> =
        shape.iter().map(|(dx, dy)| format!("{},{}", short(x + dx * size), short(y + dy * size))).collect();
    format!("<polygon class=\"mark\" points=\"{}\">{tip}</polygon>", points.join(" "))
}

fn path(points: impl Iterator<Item = (f64, f64)>, x_of: &dyn Fn(f64) -> f64, y_of: &dyn Fn(f64) -> f64) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{},{}", short(x_of(x)), short(y_of(y)))).collect();
    points.join(" ")
}

/// A number with a true minus.
pub(super) fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

/// Every layer number where there are few, every second or fourth where there are many.
pub(super) fn layer_ticks(last: usize) -> Vec<(f64, String)> {
    let step = match last {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        _ => last.div_ceil(8),
    };
    (0..=last).step_by(step).map(|layer| (layer as f64, layer.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<script>a & 'b' \"c\"\u{7}\u{202e}"),
            "&lt;script&gt;a &amp; &#39;b&#39; &quot;c&quot;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_level_far_away_is_named_at_the_edge() {
        let mark = |x: f64, y: f64| Mark { x, y, band: None, is_best: false, tip: "tip <1>".into() };
        let level = |y: f64, label: &str| Level { encoder: 1, y, label: label.into(), tip: String::new() };
        let chart = Chart {
            width: 300.0,
            height: 180.0,
            description: "a chart".into(),
            x_label: "layer".into(),
            x_ticks: layer_ticks(2),
            x_range: (0.0, 2.0),
            lines: vec![Line { encoder: 0, is_dashed: false, marks: vec![mark(0.0, 80.0), mark(2.0, 84.0)] }],
            levels: vec![level(78.0, "near"), level(20.0, "far")],
            y_range: None,
        };
        let svg = chart.draw();
        assert!(svg.contains(">near<") && svg.contains("\u{2193} far") && svg.contains("tip &lt;1&gt;"), "{svg}");
        assert_eq!(svg.matches("<line x1").count(), 1, "only the near level is drawn");
        assert!(!svg.contains("NaN"));
    }
}
