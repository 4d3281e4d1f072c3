//! `solfa completions`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::terminal::Outcome;

pub(crate) fn run(shell: Shell) -> anyhow::Result<Outcome> {
    // Generated into memory first: the generator panics where its output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "solfa", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Outcome::Done)
}
