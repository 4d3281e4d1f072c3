//! `solfa data`.

mod check;
mod import;
mod sets;

use crate::arguments::{DataArguments, DataCommand};
use crate::terminal::{self, Outcome};

/// How many of many are shown in a message.
const SHOWN: usize = 5;

pub(crate) fn run(arguments: &DataArguments) -> anyhow::Result<Outcome> {
    match &arguments.command {
        DataCommand::Import(arguments) => import::run(arguments),
        DataCommand::Check(arguments) => check::run(arguments),
        DataCommand::Sets(arguments) => sets::run(arguments),
    }
}

/// Says how many there are of something and shows the first few; nothing where there are none.
fn note_some<T: std::fmt::Display>(what: &str, all: impl IntoIterator<Item = T>) {
    let mut all = all.into_iter();
    let first: Vec<String> = all.by_ref().take(SHOWN).map(|one| format!("\n  {one}")).collect();
    let others = all.count();
    if first.is_empty() {
        return;
    }
    let more = if others > 0 { format!("\n  and {others} more") } else { String::new() };
    terminal::note(&format!("{} {what}:{}{more}", first.len() + others, first.concat()));
}
