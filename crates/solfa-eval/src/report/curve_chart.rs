//! Charts of many points: raw values faint, smoothed ones over them.

use std::fmt::Write as _;

use super::colour::NUM_LINES;
use super::numbers::ticks;
use super::svg::{escape, minus, short};

/// One chart over steps.
pub(super) struct CurveChart {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for those who do not see it.
    pub(super) description: String,
    pub(super) lines: Vec<CurveLine>,
    /// Steps that are marked at the bottom, with the run that they are of and a text.
    pub(super) marks: Vec<(usize, f64, String)>,
}

/// A run's line.
pub(super) struct CurveLine {
    pub(super) run: usize,
    /// What it is called in tooltips.
    pub(super) name: String,
    /// Step and value of what was logged.
    pub(super) raw: Vec<(f64, f64)>,
    /// The same, smoothed.
    pub(super) smooth: Vec<(f64, f64)>,
}

/// Shares of a whole over steps, one above the other.
pub(super) struct ShareChart {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) description: String,
    /// What the parts are called, from the bottom up, with the number of their colour.
    pub(super) parts: Vec<(&'static str, usize)>,
    /// Step, and the share of each part.
    pub(super) points: Vec<(f64, Vec<f64>)>,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// Places of a line that show a tooltip.
const TIPS: usize = 48;

/// The share of raw values that a chart may leave out above and below: a spike must not flatten all else.
const LEFT_OUT: f64 = 0.005;

/// Where things are in a picture.
struct Frame {
    width: f64,
    height: f64,
    x_range: (f64, f64),
    y_range: (f64, f64),
}

impl Frame {
    fn x(&self, x: f64) -> f64 {
        let (low, high) = self.x_range;
        LEFT + (self.width - LEFT - RIGHT) * (x - low) / (high - low)
    }

    fn y(&self, y: f64) -> f64 {
        let (low, high) = self.y_range;
        TOP + (self.height - TOP - BOTTOM) * (1.0 - (y.clamp(low, high) - low) / (high - low))
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let points: Vec<String> = points.map(|(x, y)| format!("{},{}", short(self.x(x)), short(self.y(y)))).collect();
        points.join(" ")
    }

    /// The picture's beginning: grid, axes and their numbers.
    fn begin(&self, description: &str, unit: f64) -> String {
        let mut svg = String::new();
        let (right, base) = (self.width - RIGHT, self.height - BOTTOM);
        let _ = write!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            self.width,
            self.height,
            escape(description)
        );
        let (low, high) = self.y_range;
        let (places, decimals) = ticks(unit * low, unit * high, if self.height > 240.0 { 6 } else { 4 });
        let is_small = places.iter().any(|place| *place != 0.0 && place.abs() < 1e-3);
        let is_large = places.iter().any(|place| place.abs() >= 1e5);
        for place in places {
            let y = short(self.y(place / unit));
            let label = match place {
                0.0 => "0".to_owned(),
                _ if is_small || is_large => format!("{place:.1e}").replace(".0e", "e"),
                _ => format!("{place:.decimals$}"),
            };
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{y}\" dy=\".32em\" text-anchor=\"end\">{}</text>",
                short(right),
                LEFT - 6.0,
                minus(&label)
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{1}\" y2=\"{1}\"/>",
            short(right),
            short(base)
        );
        let (places, _) = ticks(self.x_range.0, self.x_range.1, if self.width > 600.0 { 8 } else { 4 });
        for place in places.into_iter().filter(|place| place.fract() == 0.0) {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{place:.0}</text>",
                short(self.x(place)),
                short(base + 13.0)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>",
            short(0.5 * (LEFT + right)),
            short(self.height - 5.0)
        );
        svg
    }
}

/// The range of some steps, with a width.
fn step_range(steps: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        steps.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), step| (low.min(step), high.max(step)));
    match (low.is_finite(), high > low) {
        (false, _) => (0.0, 1.0),
        (true, true) => (low, high),
        (true, false) => (low - 1.0, high + 1.0),
    }
}

impl CurveChart {
    pub(super) fn draw(&self) -> String {
        let steps = self.lines.iter().flat_map(|line| &line.raw).map(|point| point.0);
        let frame = Frame {
            width: self.width,
            height: self.height,
            x_range: step_range(steps.chain(self.marks.iter().map(|mark| mark.1))),
            y_range: self.y_range(),
        };
        let mut svg = frame.begin(&self.description, 1.0);
        for line in &self.lines {
            let class = line.run % NUM_LINES;
            let _ = write!(svg, "<g class=\"line e{class}\" data-e=\"{}\">", line.run);
            if line.raw != line.smooth {
                let _ = write!(svg, "<polyline class=\"raw\" points=\"{}\"/>", frame.path(line.raw.iter().copied()));
            }
            let dashes = if line.run >= NUM_LINES { " dashed" } else { "" };
            let path = frame.path(line.smooth.iter().copied());
            let _ = write!(svg, "<polyline class=\"stroke{dashes}\" points=\"{path}\"/>");
            if let [(x, y)] = line.smooth.as_slice() {
                let _ = write!(
                    svg,
                    "<circle class=\"mark\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
                    short(frame.x(*x)),
                    short(frame.y(*y))
                );
            }
            for (x, y) in line.smooth.iter().step_by(line.smooth.len().div_ceil(TIPS).max(1)) {
                let _ = write!(
                    svg,
                    "<circle class=\"hit\" cx=\"{}\" cy=\"{}\" r=\"9\"><title>{}\nstep {x:.0}: {}</title></circle>",
                    short(frame.x(*x)),
                    short(frame.y(*y)),
                    escape(&line.name),
                    super::training::number(*y)
                );
            }
            svg.push_str("</g>");
        }
        let base = self.height - BOTTOM;
        for (run, step, tip) in &self.marks {
            let x = short(frame.x(*step));
            let _ = write!(
                svg,
                "<line class=\"skipped\" data-e=\"{run}\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"><title>{}</title></line>",
                short(base - 9.0),
                short(base),
                escape(tip)
            );
        }
        svg.push_str("</svg>");
        svg
    }

    /// All of the smoothed lines, and nearly all of the raw ones.
    fn y_range(&self) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for line in &self.lines {
            let mut raw: Vec<f64> = line.raw.iter().map(|point| point.1).collect();
            raw.sort_by(f64::total_cmp);
            let skipped = (LEFT_OUT * raw.len() as f64) as usize;
            let ends = [raw.get(skipped), raw.len().checked_sub(1 + skipped).and_then(|place| raw.get(place))];
            for value in line.smooth.iter().map(|point| &point.1).chain(ends.into_iter().flatten()) {
                (low, high) = (low.min(*value), high.max(*value));
            }
        }
        if !low.is_finite() || !high.is_finite() {
            return (0.0, 1.0);
        }
        let span = (high - low).max(1e-3 * high.abs().max(low.abs()));
        let span = if span > 0.0 { span } else { 1.0 };
        (low - 0.05 * span, high + 0.05 * span)
    }
}

impl ShareChart {
    pub(super) fn draw(&self) -> String {
        let frame = Frame {
            width: self.width,
            height: self.height,
            x_range: step_range(self.points.iter().map(|point| point.0)),
            y_range: (0.0, 1.0),
        };
        let mut svg = frame.begin(&self.description, 100.0);
        let below = |shares: &[f64], parts: usize| shares.iter().take(parts).sum::<f64>();
        for (place, (name, colour)) in self.parts.iter().enumerate() {
            let upper = self.points.iter().map(|(step, shares)| (*step, below(shares, place + 1)));
            let lower = self.points.iter().rev().map(|(step, shares)| (*step, below(shares, place)));
            let _ = write!(
                svg,
                "<polygon class=\"area e{}\" points=\"{}\"><title>{name}</title></polygon>",
                colour % NUM_LINES,
                frame.path(upper.chain(lower))
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(raw: &[(f64, f64)]) -> CurveChart {
        let line = CurveLine { run: 0, name: "a <run>".into(), raw: raw.to_vec(), smooth: raw.to_vec() };
        CurveChart {
            width: 330.0,
            height: 200.0,
            description: "a chart".into(),
            lines: vec![line],
            marks: vec![(0, 2.0, "step 2 <skipped>".into())],
        }
    }

    #[test]
    fn any_points_give_a_picture() {
        for points in [
            &[][..],
            &[(1.0, 5.0)],
            &[(1.0, 0.0), (2.0, 0.0)],
            &[(1.0, 1e-9), (2.0, 3e-9), (900_000.0, 2e-9)],
            &[(1.0, 1e30), (2.0, -1e30)],
        ] {
            let svg = chart(points).draw();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.contains("step 2 &lt;skipped&gt;"), "{svg}");
        }
        let shares = ShareChart {
            width: 330.0,
            height: 200.0,
            description: "shares".into(),
            parts: vec![("data", 0), ("rest", 1)],
            points: vec![(1.0, vec![0.25, 0.75]), (2.0, vec![0.5, 0.5])],
        };
        let svg = shares.draw();
        assert!(svg.contains(">100<") && svg.matches("<polygon").count() == 2, "{svg}");
    }

    #[test]
    fn small_numbers_have_their_powers_and_spikes_do_not_flatten_the_rest() {
        let small = chart(&[(1.0, 0.0), (100.0, 5e-4)]).draw();
        assert!(small.contains("2e\u{2212}4"), "{small}");
        let mut raw: Vec<(f64, f64)> = (0..1000).map(|step| (f64::from(step), 1.0 + f64::from(step % 3))).collect();
        let smooth = raw.clone();
        raw[500].1 = 1e6;
        let mut spiked = chart(&raw);
        spiked.lines[0].smooth = smooth;
        assert!(spiked.y_range().1 < 3.2);
    }
}
