//! The page of training runs.

use std::fmt::Write as _;

use super::{Page, Section, put, thousands};
use crate::report::colour::NUM_LINES;
use crate::report::curve_chart::{CurveChart, CurveLine, ShareChart};
use crate::report::svg::escape;
use crate::report::training::{RunSummary, TIMES, TrainingReport, TrainingRun, number, shown, smoothed};

const ABOUT_LOSS: &str = "Faint lines are single steps, strong ones are smoothed over a fiftieth of the run. Red marks at the \
                          bottom are steps that were skipped because a number was not finite.";

const ABOUT_CODES: &str = "How many of the codes are used, and how evenly. A usage that falls towards nothing says that targets \
                           or predictions have collapsed to few codes.";

const ABOUT_COLLAPSE: &str = "How far embeddings of different clips are spread. Deviations near 0 or an effective rank near 1 \
                              say that all clips get the same embedding.";

const ABOUT_TIME: &str = "Seconds of audio learned from in each second, and where the time of a step goes. Data is the time that \
                          the network waited for clips.";

/// Colours of the parts of a step's time.
const TIME_COLOURS: [usize; TIMES.len()] = [1, 0, 6, 4];

/// Stretches that shares of time are summed over.
const STRETCHES: usize = 80;

/// Which section a term goes to, by parts of its name.
const CODES: [&str; 3] = ["usage", "perplexity", "codes_used"];
const COLLAPSE: [&str; 4] = ["deviation", "rank", "spread", "collapse"];

pub(in crate::report) fn page(report: &TrainingReport) -> String {
    let summaries: Vec<RunSummary> = report.runs.iter().map(TrainingRun::summary).collect();
    let title = match report.runs.as_slice() {
        [run] => format!("Training of {}", run.name),
        _ => "Training runs".to_owned(),
    };
    let empty = report
        .runs
        .iter()
        .all(|run| run.steps.is_empty())
        .then_some("There is nothing to draw: no step is logged yet.");
    Page {
        title: &title,
        css: include_str!("training.css"),
        header: header(&title, &summaries),
        sections: sections(report, &summaries),
        empty,
        footer: String::new(),
    }
    .write()
}

fn header(title: &str, summaries: &[RunSummary]) -> String {
    let mut out = String::new();
    put!(out, "<header class=\"top\">\n<h1>{}</h1>\n", escape(title));
    if let [summary] = summaries {
        out.push_str("<dl class=\"facts\">");
        let loss = summary.loss.map_or_else(|| "\u{2013}".into(), |loss| number(loss.last_smoothed));
        for (name, value) in [
            ("steps", thousands(summary.step)),
            ("loss, smoothed", loss),
            ("of audio a second", format!("{:.1} s", summary.audio_seconds_per_second)),
            ("waiting for data", format!("{:.1} %", 100.0 * summary.time_shares["data"])),
            ("hours", format!("{:.2}", summary.hours)),
            ("steps skipped", thousands(summary.num_skipped as u64)),
        ] {
            put!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        out.push_str("</dl>\n");
    }
    out.push_str("</header>\n");
    out
}

fn sections(report: &TrainingReport, summaries: &[RunSummary]) -> Vec<Section> {
    let has_part = |name: &str, parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let (mut terms, mut codes, mut collapse) = (Vec::new(), Vec::new(), Vec::new());
    for name in report.names("terms/") {
        if has_part(name, &CODES) {
            codes.push(name);
        } else if has_part(name, &COLLAPSE) {
            collapse.push(name);
        } else {
            terms.push(name);
        }
    }
    let mut sections = Vec::new();
    let mut add = |short, id, heading, about: &str, body: String| {
        if !body.is_empty() {
            sections.push(Section { short, id, heading, about: about.to_owned(), body });
        }
    };
    add("Loss", "loss", "Loss", ABOUT_LOSS, loss(report));
    add("Terms", "terms", "What the loss is made of, and what goes with it", "", grid(report, &terms));
    add("Codes", "codes", "Use of codes", ABOUT_CODES, grid(report, &codes));
    add("Collapse", "collapse", "Signals of collapse", ABOUT_COLLAPSE, grid(report, &collapse));
    add("Updates", "updates", "Learning rate and gradients", "", grid(report, &["learning_rate", "gradient_norm"]));
    add("Time", "time", "Speed, and where the time goes", ABOUT_TIME, time(report));
    add("Runs", "runs", "Runs", "", runs(report, summaries));
    sections
}

/// The runs' colours, where there are several; the script makes switches of them.
fn legend(report: &TrainingReport) -> String {
    if report.runs.len() < 2 {
        return String::new();
    }
    let mut out = String::from("<div class=\"legend\">");
    for (index, run) in report.runs.iter().enumerate() {
        let dashed = if index >= NUM_LINES { " dashed" } else { "" };
        put!(
            out,
            "<span class=\"key\" data-e=\"{index}\"><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><g class=\"line e{}\">\
             <polyline class=\"stroke{dashed}\" points=\"1,6 25,6\"/></g></svg>{}</span>",
            index % NUM_LINES,
            escape(&run.name)
        );
    }
    out.push_str("</div>\n");
    out
}

/// One curve of all runs that have it.
fn chart(report: &TrainingReport, name: &str, (width, height): (f64, f64)) -> Option<CurveChart> {
    let lines: Vec<CurveLine> = report
        .runs
        .iter()
        .enumerate()
        .filter_map(|(index, run)| {
            let points = run.points(name);
            let line = CurveLine {
                run: index,
                name: run.name.clone(),
                raw: shown(&points),
                smooth: shown(&smoothed(&points)),
            };
            (!points.is_empty()).then_some(line)
        })
        .collect();
    let description = format!("{} by step", title(name));
    (!lines.is_empty()).then_some(CurveChart { width, height, description, lines, marks: Vec::new() })
}

fn loss(report: &TrainingReport) -> String {
    let Some(mut chart) = chart(report, "loss", (1072.0, 330.0)) else { return String::new() };
    for (index, run) in report.runs.iter().enumerate() {
        let tip = |step: &u64| format!("{}\nstep {step} was skipped", run.name);
        chart.marks.extend(run.skipped.iter().map(|step| (index, *step as f64, tip(step))));
    }
    format!("{}<figure>{}</figure>\n", legend(report), chart.draw())
}

fn grid(report: &TrainingReport, names: &[&str]) -> String {
    let mut figures = String::new();
    for name in names {
        let Some(chart) = chart(report, name, (330.0, 206.0)) else { continue };
        put!(figures, "<figure><figcaption>{}</figcaption>{}</figure>\n", escape(&title(name)), chart.draw());
    }
    if figures.is_empty() { figures } else { format!("{}<div class=\"grid\">\n{figures}</div>\n", legend(report)) }
}

fn time(report: &TrainingReport) -> String {
    let mut out = grid(report, &["audio_seconds_per_second"]);
    let mut figures = String::new();
    for run in &report.runs {
        let points = time_shares(run);
        if points.is_empty() {
            continue;
        }
        let chart = ShareChart {
            width: 330.0,
            height: 206.0,
            description: format!("{}: shares of the time by step", run.name),
            parts: TIMES.into_iter().zip(TIME_COLOURS).collect(),
            points,
        };
        let name = if report.runs.len() > 1 { escape(&run.name) } else { "share of the time".into() };
        put!(
            figures,
            "<figure><figcaption>{name}<small>percent of a step</small></figcaption>{}</figure>\n",
            chart.draw()
        );
    }
    if figures.is_empty() {
        return out;
    }
    out.push_str("<div class=\"legend\">");
    for (name, colour) in TIMES.into_iter().zip(TIME_COLOURS) {
        put!(out, "<span class=\"key\"><i class=\"swatch e{colour}\"></i>{name}</span>");
    }
    put!(out, "</div>\n<div class=\"grid\">\n{figures}</div>\n");
    out
}

/// The shares of each stretch of steps.
fn time_shares(run: &TrainingRun) -> Vec<(f64, Vec<f64>)> {
    let times = run.times();
    let stretch = times.len().div_ceil(STRETCHES).max(1);
    let mut points = Vec::new();
    for (steps, times) in run.steps.chunks(stretch).zip(times.chunks(stretch)) {
        let mut sums = vec![0.0; TIMES.len()];
        for step in times {
            sums.iter_mut().zip(step).for_each(|(sum, seconds)| *sum += seconds);
        }
        let whole: f64 = sums.iter().sum();
        if let (Some(step), true) = (steps.last(), whole > 0.0) {
            points.push((*step as f64, sums.iter().map(|sum| sum / whole).collect()));
        }
    }
    points
}

/// What is known of each run, and its configuration.
fn runs(report: &TrainingReport, summaries: &[RunSummary]) -> String {
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Run</th>");
    for name in ["Step", "Skipped", "First loss", "Last loss", "Smallest loss", "Hours", "Audio a second", "Data"] {
        put!(out, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for summary in summaries {
        put!(out, "<tr><th scope=\"row\">{}</th>", escape(&summary.run));
        let [first, last, smallest] = match &summary.loss {
            Some(loss) => [
                number(loss.first),
                number(loss.last_smoothed),
                format!("{} at {}", number(loss.minimum), thousands(loss.minimum_step)),
            ],
            None => ["\u{2013}"; 3].map(str::to_owned),
        };
        for cell in [
            thousands(summary.step),
            thousands(summary.num_skipped as u64),
            first,
            last,
            smallest,
            format!("{:.2}", summary.hours),
            format!("{:.1} s", summary.audio_seconds_per_second),
            format!("{:.1} %", 100.0 * summary.time_shares["data"]),
        ] {
            put!(out, "<td class=\"number\">{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    for run in &report.runs {
        if report.runs.len() > 1 {
            put!(out, "<h3>{}</h3>\n", escape(&run.name));
        }
        if !run.facts.is_empty() {
            out.push_str("<table><tbody>\n");
            for (name, value) in &run.facts {
                put!(out, "<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>\n", escape(name), escape(value));
            }
            out.push_str("</tbody></table>\n");
        }
        if let Some(config) = &run.config {
            put!(out, "<details><summary>Configuration</summary><pre>{}</pre></details>\n", escape(config));
        }
    }
    out
}

/// The name of a curve for people.
fn title(name: &str) -> String {
    match name {
        "audio_seconds_per_second" => "seconds of audio a second".into(),
        _ => name.trim_start_matches("terms/").replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::training::tests::run;

    #[test]
    fn every_number_has_its_place_and_names_are_no_markup() {
        let html = page(&TrainingReport { runs: vec![run("a<b", 2000), run("second", 1000)] });
        for id in ["loss", "terms", "codes", "collapse", "updates", "time", "runs"] {
            assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
        }
        // Loss, accuracy, usage, rank, learning rate, gradients, speed; shares of each run.
        assert_eq!(html.matches("<svg class=\"chart\"").count(), 7 + 2);
        assert_eq!(html.matches("class=\"skipped\"").count(), 2);
        assert!(html.contains("a&lt;b") && html.contains("ab&lt;c") && html.contains("# &lt;b&gt;"));
        assert!(!html.contains("a<b") && !html.contains("NaN") && !html.contains("inf\""));
        let one = page(&TrainingReport { runs: vec![run("alone", 50)] });
        assert!(one.contains("Training of alone") && !one.contains("data-e=\"0\"><svg"));
    }

    #[test]
    fn a_log_of_half_a_million_steps_gives_a_page_of_common_size() {
        let html = page(&TrainingReport { runs: vec![run("long", 500_000)] });
        assert!(html.len() < 400_000, "{} bytes", html.len());
    }
}
