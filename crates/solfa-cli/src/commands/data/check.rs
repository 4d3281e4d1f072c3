//! `solfa data check`.

use solfa_eval::dataset::{CheckProgress, CheckedAudio, DataSet, DataSetCheck, Split, check};

use crate::arguments::DataCheckArguments;
use crate::terminal::{self, Counter, Outcome, note_some};

/// Classes that are printed for people; `--json` has all.
const SHOWN_CLASSES: usize = 200;

pub(crate) fn run(arguments: &DataCheckArguments) -> anyhow::Result<Outcome> {
    let data_set = DataSet::read_lines(&arguments.file)?;
    let checked = if arguments.decode { CheckedAudio::Whole } else { CheckedAudio::Beginning };
    let counter = Counter::new("recordings");
    let found = check(&data_set, arguments.audio_root.as_deref(), checked, &|news| match news {
        CheckProgress::Found(number) => counter.expect(number),
        CheckProgress::Opened => counter.one_done(),
    });
    counter.finish();
    note_some("problems of the rows", &found.problems);
    note_some("missing recordings", &found.missing);
    note_some(
        "recordings that cannot be decoded",
        found.unreadable.iter().map(|problem| {
            if problem.reason.contains(&problem.path) {
                problem.reason.clone()
            } else {
                format!("{}: {}", problem.path, problem.reason)
            }
        }),
    );
    let differing = found.differing.iter().map(|problem| format!("{}: {}", problem.path, problem.reason));
    note_some("rows that do not fit their recording", differing);
    for text in &found.notes {
        terminal::note(text);
    }
    if arguments.json {
        terminal::print_json(&found)?;
    } else {
        print(&found)?;
    }
    Ok(if found.is_sound() { Outcome::Done } else { Outcome::SomeFailed })
}

fn print(found: &DataSetCheck) -> anyhow::Result<()> {
    let counts = Split::ALL.map(|split| found.rows.get(split.name()).copied().unwrap_or(0));
    let row = |name: &str, counts: [u64; 3]| {
        let sum: u64 = counts.iter().sum();
        let numbers = counts.into_iter().chain([sum]).map(|number| number.to_string());
        std::iter::once(name.to_owned()).chain(numbers).collect::<Vec<String>>()
    };
    let mut rows = vec![row("rows", counts)];
    rows.extend(found.classes.iter().take(SHOWN_CLASSES).map(|(class, counts)| row(class, *counts)));
    terminal::print_table(&["", "train", "val", "test", "all"], &rows, &[1, 2, 3, 4])?;
    if found.classes.len() > SHOWN_CLASSES {
        terminal::print_line(&format!("and {} more classes", found.classes.len() - SHOWN_CLASSES))?;
    }
    let state = if found.is_sound() { "nothing is wrong" } else { "something is wrong" };
    terminal::print_line(&format!(
        "\n{}: {:.1} h of audio, SHA-256 {}; {state}",
        found.name,
        found.seconds / 3600.0,
        found.sha256
    ))
}
