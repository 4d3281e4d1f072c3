//! `solfa report runs/NAME`: the curves of trainings, as a page, as tables and as numbers.

use std::collections::BTreeMap;
use std::process::Command as Program;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use solfa_learn::train::{Log, LogLine, StepSeconds};

use crate::common::{Workplace, json_lines};

/// A name that would be markup if it were not escaped.
const HOSTILE: &str = "<b>&term";

/// A run's folder with a log of so many steps, the seventh of which was skipped.
fn run(workplace: &Workplace, name: &str, num_steps: u64) {
    let config = "recipe = \"musicfm\"\nsteps = 500\n\n[network]\nhidden = 32\n";
    workplace.write(&format!("{name}/config.toml"), config);
    let mut log = Log::open(&workplace.path(&format!("{name}/log.jsonl")), 0).unwrap();
    for step in 1..=num_steps {
        let wave = (step as f64 * 12.9898).sin();
        let skipped = step == 7;
        let loss = if skipped { f64::NAN } else { 3.5 / (1.0 + 0.01 * step as f64) + 0.1 * wave };
        let terms = [
            ("accuracy", 0.4 - 0.4 / (1.0 + 0.01 * step as f64)),
            ("code_usage_0", 0.8 + 0.05 * wave),
            ("perplexity_0", 20.0 + wave),
            ("effective_rank", 12.0 + wave),
            (HOSTILE, wave),
        ];
        let line = LogLine {
            step,
            loss,
            terms: BTreeMap::from(terms.map(|(name, value)| (name.to_owned(), value))),
            learning_rate: 5e-4 * (step as f64 / 100.0).min(1.0),
            gradient_norm: if skipped { f64::INFINITY } else { 1.0 + 0.5 * wave },
            skipped,
            seconds: StepSeconds { data: 0.02, forward: 0.3 + 0.05 * wave, backward: 0.5, optimizer: 0.1 },
            audio_seconds_per_second: 42.0 + wave,
        };
        log.write(&line).unwrap();
    }
}

#[test]
fn a_run_gets_a_page_tables_and_numbers() {
    let workplace = Workplace::new();
    run(&workplace, "runs/one", 300);
    workplace.solfa("report runs/one").assert().success().stdout("").stderr(contains("report.html is written"));
    let html = String::from_utf8(workplace.read("runs/one/report.html")).unwrap();
    for expected in
        ["Training of one", "Use of codes", "Signals of collapse", "recipe = &quot;musicfm&quot;", "step 7 was skipped"]
    {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!html.contains(HOSTILE) && html.contains("&lt;b&gt;&amp;term") && !html.contains("NaN"));

    workplace.solfa("report runs/one --format md").assert().success().stdout(
        contains("| one | 300 | 1 |")
            .and(contains("| accuracy | 0.0040 \u{2192} 0.29"))
            .and(contains("| recipe | musicfm |")),
    );
    let output = workplace.solfa("report runs/one --json").output().unwrap();
    let summary = &json_lines(&output.stdout)[0]["runs"][0];
    assert_eq!(
        (summary["run"].as_str(), summary["step"].as_u64(), summary["num_skipped"].as_u64()),
        (Some("one"), Some(300), Some(1))
    );
    let number = |name: &str| summary.pointer(name).unwrap().as_f64().unwrap();
    assert!(number("/loss/minimum") < 1.0 && number("/loss/first") > 3.0 && number("/loss/minimum_step") > 200.0);
    assert!((number("/time_shares/data") - 0.02 / 0.92).abs() < 1e-3 && number("/hours") > 0.07);
    assert_eq!(summary["facts"]["configuration SHA-256"].as_str().map(str::len), Some(64));
}

#[test]
fn several_runs_share_their_pictures() {
    let workplace = Workplace::new();
    run(&workplace, "runs/one", 40);
    run(&workplace, "runs/two", 20);
    run(&workplace, "others/two", 20);
    workplace.solfa("report runs/one runs/two -o both.html -o both.md").assert().success();
    let html = String::from_utf8(workplace.read("both.html")).unwrap();
    assert!(
        html.contains("Training runs")
            && html.contains("data-e=\"1\"")
            && !workplace.path("runs/one/report.html").exists()
    );
    assert!(String::from_utf8(workplace.read("both.md")).unwrap().contains("| two | 20 |"));
    // Runs of one name are told apart by their places.
    workplace
        .solfa("report runs/two others/two --format md")
        .assert()
        .success()
        .stdout(contains("| others/two | 20 |"));
}

#[test]
fn a_log_that_is_being_written_is_read_and_a_broken_one_is_named() {
    let workplace = Workplace::new();
    run(&workplace, "a", 5);
    let mut log = workplace.read("a/log.jsonl");
    log.extend_from_slice(b"{\"step\":6,\"lo");
    workplace.write("a/log.jsonl", &log);
    workplace.solfa("report a --format md").assert().success().stdout(contains("| a | 5 |"));
    log.extend_from_slice(b"\n{}\n");
    workplace.write("a/log.jsonl", &log);
    workplace
        .solfa("report a")
        .assert()
        .code(1)
        .stderr(contains("log.jsonl").and(contains("line 6: expected what a step logs")));
    workplace.write("a/log.jsonl", "");
    workplace.solfa("report a").assert().code(1).stderr(contains("expected a line for each step, found none"));
    fs_err::remove_file(workplace.path("a/log.jsonl")).unwrap();
    workplace.solfa("report a").assert().code(1).stderr(contains("the training has not begun"));
    assert!(!workplace.path("a/report.html").exists());
}

#[test]
fn wrong_command_lines_are_named() {
    let workplace = Workplace::new();
    run(&workplace, "a", 5);
    fs_err::create_dir(workplace.path("results")).unwrap();
    for (arguments, expected) in [
        ("report a results", "a is a training run, and results is none"),
        ("report results results", "several folders were given"),
        ("report a --format latex", "no LaTeX"),
        ("report a -o a.tex", "no LaTeX"),
        ("report a -o a.pdf", "expected .html or .md"),
        ("report a --format md -o a/log.jsonl", "it would be lost"),
        ("report", "RESULTS_DIR|RUN_DIR"),
    ] {
        workplace.solfa(arguments).assert().code(2).stderr(contains(expected));
    }
}

/// The page in headless Chromium, where there is one: its script runs without errors.
#[test]
fn a_browser_shows_the_curves() {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|program| Program::new(program).arg("--version").output().is_ok_and(|output| output.status.success()))
    else {
        println!("skipped: there is no Chromium on this machine");
        return;
    };
    let workplace = Workplace::new();
    run(&workplace, "one", 300);
    run(&workplace, "two", 200);
    workplace.solfa("report one two -o both.html").assert().success();
    let output = Program::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0"])
        .args(["--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", workplace.path("profile").display()))
        .arg(format!("file://{}", workplace.path("both.html").display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(!messages.lines().any(|line| line.contains("CONSOLE")), "{messages}");
    // Titles have become tooltips, and runs switches.
    assert!(dom.matches("data-tip=").count() > 100 && dom.matches("role=\"button\"").count() >= 2, "{dom}");
}
