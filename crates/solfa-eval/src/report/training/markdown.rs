//! Training runs as tables in Markdown.

use super::{TIMES, TrainingReport, number};
use crate::report::markdown::{escape, table};

pub(super) fn document(report: &TrainingReport) -> String {
    let summaries: Vec<_> = report.runs.iter().map(|run| run.summary()).collect();
    let mut out = String::from("# Training\n\n");
    let header =
        ["run", "step", "skipped", "first loss", "last loss", "smallest", "at step", "hours", "audio a second"];
    let mut header: Vec<String> = header.map(str::to_owned).to_vec();
    header.extend(TIMES.map(|name| format!("{name}, %")));
    let rows: Vec<Vec<String>> = summaries
        .iter()
        .map(|summary| {
            let of_loss = |of: fn(&super::CurveSummary) -> String| summary.loss.as_ref().map_or_else(String::new, of);
            let mut row = vec![
                escape(&summary.run),
                summary.step.to_string(),
                summary.num_skipped.to_string(),
                of_loss(|loss| number(loss.first)),
                of_loss(|loss| number(loss.last_smoothed)),
                of_loss(|loss| number(loss.minimum)),
                of_loss(|loss| loss.minimum_step.to_string()),
                number(summary.hours),
                format!("{:.1}", summary.audio_seconds_per_second),
            ];
            row.extend(TIMES.map(|name| format!("{:.1}", 100.0 * summary.time_shares[name])));
            row
        })
        .collect();
    table(&mut out, &header, 1, &rows);
    let runs = || report.runs.iter().map(|run| escape(&run.name));
    let names = report.names("terms/");
    if !names.is_empty() {
        out.push_str("\n## Terms\n\nThe first value, and the last one of the smoothed curve.\n\n");
        let header: Vec<String> = std::iter::once("term".to_owned()).chain(runs()).collect();
        let row = |name: &&str| {
            let term = name.trim_start_matches("terms/");
            let cells = summaries.iter().map(|summary| match summary.terms.get(term) {
                Some(curve) => format!("{} \u{2192} {}", number(curve.first), number(curve.last_smoothed)),
                None => "\u{2013}".into(),
            });
            std::iter::once(escape(term)).chain(cells).collect()
        };
        table(&mut out, &header, 1, &names.iter().map(row).collect::<Vec<_>>());
    }
    let mut facts: Vec<&str> = Vec::new();
    for (name, _) in report.runs.iter().flat_map(|run| &run.facts) {
        if !facts.contains(&name.as_str()) {
            facts.push(name);
        }
    }
    if !facts.is_empty() {
        out.push_str("\n## Runs\n\n");
        let header: Vec<String> = std::iter::once(String::new()).chain(runs()).collect();
        let row = |name: &&str| {
            let cells =
                summaries.iter().map(|summary| summary.facts.get(*name).map_or_else(String::new, |fact| escape(fact)));
            std::iter::once(escape(name)).chain(cells).collect()
        };
        table(&mut out, &header, header.len(), &facts.iter().map(row).collect::<Vec<_>>());
    }
    out
}
