//! `solfa data sets`.

use serde::Serialize;
use solfa_eval::dataset::import::{ExpectedRows, KnownDataSet, known_data_sets};

use crate::arguments::JsonArguments;
use crate::terminal::{self, Outcome};

#[derive(Serialize)]
struct Set {
    name: &'static str,
    title: &'static str,
    task: &'static str,
    paper: &'static str,
    layout: &'static str,
    split_rule: &'static str,
    licence: &'static str,
    origin: &'static str,
    expected: ExpectedRows,
}

impl From<&KnownDataSet> for Set {
    fn from(known: &KnownDataSet) -> Self {
        let &KnownDataSet { name, title, task, paper, layout, split_rule, licence, origin, expected, .. } = known;
        Self { name, title, task, paper, layout, split_rule, licence, origin, expected }
    }
}

const FOOTER: &str = "\
rows: train/val/test of the complete data set, or all, where the number is known. Licences are what is known of them; the
data set's own terms count. --json says papers, layouts and how splits come about.";

pub(crate) fn run(arguments: &JsonArguments) -> anyhow::Result<Outcome> {
    let sets: Vec<Set> = known_data_sets().map(Set::from).collect();
    if arguments.json {
        sets.iter().try_for_each(terminal::print_json)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = sets
        .iter()
        .map(|set| {
            let texts = [set.name, set.task, &rows_of(&set.expected), set.licence, set.origin];
            texts.map(str::to_owned).to_vec()
        })
        .collect();
    terminal::print_table(&["set", "task", "rows", "licence", "where it comes from"], &rows, &[])?;
    terminal::print_line(&format!("\n{FOOTER}"))?;
    Ok(Outcome::Done)
}

fn rows_of(expected: &ExpectedRows) -> String {
    match (expected.train, expected.validation, expected.test, expected.total) {
        (Some(train), Some(validation), Some(test), _) => format!("{train}/{validation}/{test}"),
        (_, _, _, Some(total)) => total.to_string(),
        _ => String::new(),
    }
}
