//! `solfa data import`.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use solfa_eval::dataset::import::{
    ImportError, ImportOptions, ImportProgress, ImportReport, TableOptions, import, known_data_sets,
};

use crate::arguments::DataImportArguments;
use crate::terminal::{self, Counter, Outcome, UsageError, note_some};

#[derive(Serialize)]
struct Printed<'report> {
    #[serde(flatten)]
    report: &'report ImportReport,
    output: &'report Path,
    sha256: &'report str,
    problems: Vec<String>,
}

pub(crate) fn run(arguments: &DataImportArguments) -> anyhow::Result<Outcome> {
    check_output(&arguments.output)?;
    let output_folder = arguments.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let table = &arguments.table;
    let options = ImportOptions {
        seed: arguments.seed,
        shares: arguments.shares,
        fold: arguments.fold,
        drop_duplicates: arguments.drop_duplicates,
        relative_to: Some(output_folder.unwrap_or(Path::new(".")).to_owned()),
        table: TableOptions {
            file: table.table.clone(),
            path: table.path.clone(),
            labels: table.label.clone(),
            form: table.label_form.into(),
            separator: table.separator,
            split: table.split.clone(),
            group: table.group.clone(),
            filters: table.filters.clone(),
            minimum_of_class: table.min_per_class,
        },
    };
    let counter = Counter::new("recordings");
    let imported = import(&arguments.set, &arguments.folder, &options, &|news| match news {
        ImportProgress::Found(number) => counter.expect(number),
        ImportProgress::Opened => counter.one_done(),
    });
    counter.finish();
    let imported = imported.map_err(|error| match error {
        ImportError::Unknown { .. } | ImportError::Option(_) => UsageError(error.to_string()).into(),
        error => anyhow::Error::from(error),
    })?;
    let report = imported.report.clone();
    let data_set = imported.into_data_set()?;
    data_set
        .write(&arguments.output)
        .with_context(|| format!("nothing was written to {}", arguments.output.display()))?;
    let problems: Vec<String> =
        data_set.problems(&solfa_eval::dataset::Split::ALL).iter().map(ToString::to_string).collect();

    note_report(&report, &problems);
    terminal::note(&format!("{}: SHA-256 {}", arguments.output.display(), data_set.sha256()));
    if arguments.json {
        let result = Printed { report: &report, output: &arguments.output, sha256: data_set.sha256(), problems };
        terminal::print_json(&result)?;
    } else {
        print_counts(&report)?;
    }
    let is_whole = report.missing.is_empty() && report.unreadable.is_empty();
    Ok(if is_whole { Outcome::Done } else { Outcome::SomeFailed })
}

/// One file holds all splits, so it must not be named as one of MARBLE's three.
fn check_output(output: &Path) -> Result<(), UsageError> {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let is_one_of_three = [".train.jsonl", ".val.jsonl", ".test.jsonl"].iter().any(|ending| name.ends_with(ending));
    if !name.ends_with(".jsonl") || is_one_of_three {
        return Err(UsageError(format!(
            "--output {}: expected a name that ends in .jsonl, and not in .train.jsonl, .val.jsonl or .test.jsonl: one \
             file holds all splits",
            output.display()
        )));
    }
    Ok(())
}

fn note_report(report: &ImportReport, problems: &[String]) {
    note_some("missing recordings", &report.missing);
    let unreadable = report.unreadable.iter().map(|problem| match problem.reason.contains(&problem.path) {
        true => problem.reason.clone(),
        false => format!("{}: {}", problem.path, problem.reason),
    });
    note_some("recordings that cannot be decoded", unreadable);
    let duplicates = report.duplicates.iter().map(|pair| {
        format!(
            "{} ({}) has the content of {} ({})",
            pair.path,
            pair.split.name(),
            pair.same_as,
            pair.same_as_split.name()
        )
    });
    note_some("recordings with the content of another one", duplicates);
    note_some("left out", report.left_out.iter().map(|part| format!("{}: {}", part.what, part.reason)));
    note_some("audio files that no row uses", &report.unused);
    note_some("problems of the rows", problems);
    for text in &report.notes {
        terminal::note(text);
    }
    let seed = report.seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
    terminal::note(&format!("splits: {}{seed}", report.split_rule));
    if let Some(known) = known_data_sets().find(|known| known.name == report.data_set) {
        terminal::note(&format!("licence: {}", known.licence));
    }
}

fn print_counts(report: &ImportReport) -> anyhow::Result<()> {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let mut rows: Vec<Vec<String>> = report
        .rows
        .iter()
        .map(|count| vec![count.split.clone(), count.found.to_string(), number(count.expected)])
        .collect();
    for (name, count) in [
        ("missing", report.missing.len()),
        ("unreadable", report.unreadable.len()),
        ("duplicate", report.duplicates.len()),
        ("left out", report.left_out.len()),
        ("unused", report.unused.len()),
    ] {
        rows.push(vec![name.to_owned(), count.to_string(), String::new()]);
    }
    terminal::print_table(&["", "found", "expected"], &rows, &[1, 2])
}
