//! The way of every data set, one process a step.

use serde_json::Value;
use solfa_eval::results::{ResultFolder, ResultRow};
use solfa_eval::task::{Task, TaskKind};

use super::{Case, SET};
use crate::common::{Workplace, json_lines};

/// What makes every probe quick.
const QUICK: &str = "--learning-rates 0.05 --seeds 0,1";

/// The folder of results that are scored again.
pub(super) const RESULTS: &str = "results";

pub(super) struct Steps<'case> {
    case: &'case Case,
    place: Workplace,
}

impl<'case> Steps<'case> {
    /// Makes the data set.
    pub(super) fn new(case: &'case Case) -> Self {
        let place = Workplace::new();
        (case.lay_out)(&place);
        Self { case, place }
    }

    pub(super) fn all(&self) {
        let Case { task, above, probe, .. } = self.case;
        self.import();
        let options = format!("{probe} {QUICK}");
        let heard = self.probe(&options, RESULTS);
        assert!(heard > *above, "{task}: {heard} is not above {above}");
        self.score();
        // The same labels without a sound: the line is out of reach of whoever knows no more than how often each is right.
        self.silence();
        let guessed = self.probe(&options, "silent");
        assert!(guessed <= *above, "{task}: {guessed} from silence is above {above}");
    }

    /// The same by a suite whose `set` says what command lines cannot.
    pub(super) fn all_by_suite(&self, set: &str) {
        let Case { task, above, .. } = self.case;
        self.import();
        let suite = format!("models = [\"mel\"]\n[set]\n{set}\n[[task]]\ntask = \"{task}\"\ndata = \"data.jsonl\"\n");
        self.place.write("suite.toml", suite);
        let heard = self.run(&format!("probe --suite suite.toml --cache cache --output {RESULTS} --json"), RESULTS);
        assert!(heard > *above, "{task}: {heard} is not above {above}");
        self.score();
        self.silence();
        let guessed = self.run("probe --suite suite.toml --cache cache --output silent --json", "silent");
        assert!(guessed <= *above, "{task}: {guessed} from silence is above {above}");
    }

    /// Imports, and compares what was found with what was made.
    pub(super) fn import(&self) {
        let Case { import, rows, num_missing, .. } = self.case;
        let (name, options) = import.split_once(' ').unwrap_or((import, ""));
        let arguments = format!("data import {name} {SET} {options} --output data.jsonl --json");
        let output = self.place.solfa(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if *num_missing == 0 { 0 } else { 3 }), "{arguments}: {told}");
        let report = &json_lines(&output.stdout)[0];
        let found: Vec<u64> = (0..3).map(|split| report["rows"][split]["found"].as_u64().unwrap()).collect();
        assert_eq!(found, rows, "{arguments}: {report}");
        assert_eq!(report["missing"].as_array().unwrap().len(), *num_missing, "{arguments}");
        for nothing in ["unreadable", "duplicates", "left_out", "unused", "problems"] {
            assert_eq!(report[nothing], Value::Array(vec![]), "{arguments}: {nothing}");
        }
        self.place.solfa("data check data.jsonl").assert().success();
    }

    /// Probes, and gives the headline score.
    pub(super) fn probe(&self, options: &str, results: &str) -> f64 {
        let Case { task, kind, .. } = self.case;
        let kind_option = kind.map_or_else(String::new, |kind| format!("--kind {kind} "));
        let arguments = format!(
            "probe --task {task} {kind_option}--data data.jsonl --cache cache --output {results} --json {options}"
        );
        self.run(&arguments, results)
    }

    fn run(&self, arguments: &str, results: &str) -> f64 {
        let Case { task, rows, num_scored, .. } = self.case;
        let output = self.place.solfa(arguments).assert().success();
        assert!(!json_lines(&output.get_output().stdout).is_empty(), "{arguments}: a line for each head");
        let headline = self.kind().headline().name;
        let found = self.rows(results);
        assert!(found.iter().all(|row| row.task == *task && row.value.is_finite()), "{found:?}");
        let mut means = found.iter().filter(|row| row.metric == headline && row.seed.is_none());
        let mean = means.next().unwrap_or_else(|| panic!("{task}: no row for {headline}: {found:?}"));
        assert!(means.next().is_none(), "one layer, one mean over seeds: {found:?}");
        assert_eq!(mean.num_test, *num_scored, "{task}: tracks that were scored");
        assert!(mean.num_train <= rows[0] && mean.num_validation <= rows[1], "{mean:?}");
        mean.value
    }

    /// Makes every recording silent, as long as it was.
    fn silence(&self) {
        for name in self.place.files(SET) {
            let path = self.place.path(&format!("{SET}/{name}"));
            if let Ok(reader) = hound::WavReader::open(&path) {
                self.place.wav(&format!("{SET}/{name}"), reader.spec().sample_rate, &vec![0.0; reader.len() as usize]);
            }
        }
    }

    /// Computes every number again from its predictions.
    pub(super) fn score(&self) {
        let rows: Vec<ResultRow> = self.rows(RESULTS).into_iter().filter(|row| row.predictions.is_some()).collect();
        let mut files: Vec<String> =
            rows.iter().map(|row| format!("{RESULTS}/{}", row.predictions.as_ref().unwrap())).collect();
        files.sort();
        files.dedup();
        let arguments = format!("score predictions {} --data data.jsonl --json", files.join(" "));
        let output = self.place.solfa(&arguments).assert().success();
        let scored = json_lines(&output.get_output().stdout);
        assert_eq!(scored.len(), files.len());
        for row in &rows {
            let file = format!("{RESULTS}/{}", row.predictions.as_ref().unwrap());
            let again = scored.iter().find(|line| line["file"] == file.as_str()).unwrap();
            assert_eq!(again["scores"][&row.metric], row.value, "{}: {} of {file}", row.task, row.metric);
        }
        assert!(rows.iter().any(|row| row.is_headline), "{rows:?}");
    }

    fn kind(&self) -> TaskKind {
        let Case { task, kind, .. } = self.case;
        Task::named(task).map_or_else(|| kind.unwrap().parse().unwrap(), |task| task.kind)
    }

    fn rows(&self, results: &str) -> Vec<ResultRow> {
        let (rows, broken) = ResultFolder::new(self.place.path(results)).rows().unwrap();
        assert!(broken.is_empty());
        rows
    }
}
