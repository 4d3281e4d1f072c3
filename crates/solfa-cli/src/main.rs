//! The command `solfa`: parses what was typed, calls the libraries, prints.
//!
//! Results go to standard output; messages, progress and errors go to standard error. The exit code is 0 when all is
//! done, 2 for a wrong command line, 3 when some inputs failed and everything else was done, and 1 for anything else.

mod arguments;
mod commands;
mod encoders;
mod encoding;
mod inputs;
mod terminal;
mod training_data;
mod training_progress;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use arguments::{Arguments, Command};
use terminal::Outcome;

/// Elementwise operations on large activations are bound by page faults with the system's allocator: this one keeps
/// and reuses its pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = limit_threads(arguments.command.threads()).and_then(|()| run(arguments.command));
    match result {
        Ok(outcome) => outcome.into(),
        Err(error) => terminal::report_failure(&error),
    }
}

/// Makes the one pool of threads that features, networks and Burn's kernels all compute on.
fn limit_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().with_context(|| format!("--threads {threads}: the threads cannot be started"))?;
    }
    Ok(())
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Embed(arguments) => commands::embed::run(&arguments),
        Command::Tag(arguments) => commands::tag::run(&arguments),
        Command::Tokens(arguments) => commands::tokens::run(&arguments),
        Command::Data(arguments) => commands::data::run(&arguments),
        Command::Layers(arguments) => commands::layers::run(&arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments),
        Command::Probe(arguments) => commands::probe::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Score(arguments) => commands::score::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Models(arguments) => commands::models::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Synth(arguments) => commands::synth::run(&arguments),
        Command::Completions { shell } => commands::completions::run(shell),
    }
}
