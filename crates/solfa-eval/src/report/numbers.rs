//! How scores are written.

/// What a score counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share, written in percent as the field does: 0.856 is `85.6`.
    Percent,
    /// A number with a unit of its own, such as seconds or decibels.
    Plain,
}

/// Parts of the names of scores that are no shares.
const PLAIN: [&str; 12] =
    ["sdr", "mae", "mse", "deviation", "error", "loss", "information_gain", "rank", "mr1", "bpm", "db", "seconds"];

/// Parts of the names of scores of which less is better.
const LESS_IS_BETTER: [&str; 8] = ["mae", "mse", "deviation", "error", "loss", "rank", "mr1", "false_alarm"];

fn has_part(metric: &str, parts: &[&str]) -> bool {
    let metric = metric.to_ascii_lowercase().replace([' ', '-'], "_");
    parts
        .iter()
        .any(|part| metric.split('_').any(|word| word == *part) || (part.contains('_') && metric.contains(part)))
}

/// What a score counts in, by its name.
pub fn unit_of(metric: &str) -> Unit {
    if has_part(metric, &PLAIN) { Unit::Plain } else { Unit::Percent }
}

/// Whether less is better, by the score's name.
pub(super) fn less_is_better(metric: &str) -> bool {
    has_part(metric, &LESS_IS_BETTER)
}

impl Unit {
    /// The score as a report shows it.
    pub fn write(self, value: f64) -> String {
        let text = match self {
            Self::Percent => format!("{:.1}", 100.0 * value),
            Self::Plain if value.abs() >= 100.0 => format!("{value:.0}"),
            Self::Plain if value.abs() >= 10.0 => format!("{value:.1}"),
            Self::Plain => format!("{value:.2}"),
        };
        let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        if is_zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "\u{2212}") }
    }

    /// An interval: `84.1 to 87.9` in short.
    pub(super) fn interval(self, low: f64, high: f64) -> String {
        format!("{}\u{2013}{}", self.write(low), self.write(high))
    }
}

/// The name of a score for people: underscores become spaces, and names that are abbreviations get their usual letters.
pub(super) fn metric_title(metric: &str) -> String {
    let word = |word: &str| match word {
        "auc" | "roc" | "sdr" | "mae" | "mse" | "map" | "mr1" => word.to_uppercase(),
        "r2" => "R\u{b2}".into(),
        "f1" => "F1".into(),
        "f" => "F".into(),
        "cmlc" => "CMLc".into(),
        "cmlt" => "CMLt".into(),
        "amlc" => "AMLc".into(),
        "amlt" => "AMLt".into(),
        _ => word.to_owned(),
    };
    let words: Vec<String> = metric.split('_').map(word).collect();
    words.join(" ").replace("ROC AUC", "ROC-AUC").replace("F measure", "F-measure")
}

/// Numbers at round steps that lie within a range, about `wanted` of them, and how many decimals they need.
pub(super) fn ticks(low: f64, high: f64, wanted: usize) -> (Vec<f64>, usize) {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return (vec![low], 1);
    }
    let rough = span / wanted.max(1) as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    let is_whole = |decimals: &usize| {
        let scaled = step * 10.0_f64.powi(*decimals as i32);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let decimals = (0..12).find(is_whole).unwrap_or(12);
    ((first..=last).take(50).map(|index| index as f64 * step).collect(), decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_their_field_s_units() {
        assert_eq!(unit_of("accuracy").write(0.8556), "85.6");
        assert_eq!(unit_of("roc_auc_macro").write(0.9), "90.0");
        assert_eq!(unit_of("r2").write(-0.0712), "\u{2212}7.1");
        assert_eq!(unit_of("sdr_vocals").write(5.512), "5.51");
        assert_eq!(unit_of("tempo_mae").write(-0.0), "0.00");
        assert_eq!(unit_of("beat_information_gain"), Unit::Plain);
        assert!(less_is_better("tempo_mae") && less_is_better("mr1") && !less_is_better("map"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 4), (vec![0.0, 0.25, 0.5, 0.75, 1.0], 2));
        assert_eq!(ticks(83.2, 86.1, 3), (vec![84.0, 85.0, 86.0], 0));
        assert_eq!(ticks(5.0, 5.0, 3).0, [5.0]);
        assert_eq!(ticks(0.0, 130.0, 4), (vec![0.0, 50.0, 100.0], 0));
    }
}
