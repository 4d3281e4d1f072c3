//! Everything that this program prints, and its exit codes.
#![allow(clippy::print_stderr, reason = "the one module that writes messages")]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use solfa_hub::error::HubError;
use solfa_hub::progress::DownloadProgress;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was done.
    Done,
    /// Some inputs failed; everything else was done.
    SomeFailed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::SomeFailed => Self::from(3),
        }
    }
}

/// A command line that parses but makes no sense. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// That what would be written is what is read.
pub(crate) fn output_is_input(output: &Path) -> UsageError {
    UsageError(format!("--output {} is one of the inputs: it would be lost", output.display()))
}

/// Prints why a command failed and says with which code to exit. A reader of standard output that has gone away, as
/// `head` does, is no failure.
pub(crate) fn report_failure(error: &anyhow::Error) -> ExitCode {
    let is_broken_pipe = error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
    if is_broken_pipe {
        return ExitCode::SUCCESS;
    }
    note(&describe(error));
    if error.is::<UsageError>() {
        eprintln!("For help, try `solfa --help` or `solfa help COMMAND`.");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// A message for people, of one line or several.
pub(crate) fn note(message: &str) {
    let lines: Vec<String> = message.split('\n').map(printable).collect();
    eprintln!("solfa: {}", lines.join("\n"));
}

/// How many of many are shown in a message.
const SHOWN_IN_NOTE: usize = 5;

/// Says how many there are of something and shows the first few; nothing where there are none.
pub(crate) fn note_some<T: std::fmt::Display>(what: &str, all: impl IntoIterator<Item = T>) {
    let mut all = all.into_iter();
    let first: Vec<String> = all.by_ref().take(SHOWN_IN_NOTE).map(|one| format!("\n  {one}")).collect();
    let others = all.count();
    if first.is_empty() {
        return;
    }
    let more = if others > 0 { format!("\n  and {others} more") } else { String::new() };
    note(&format!("{} {what}:{}{more}", first.len() + others, first.concat()));
}

/// An error and its causes, each once: some messages quote their cause.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut description = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !description.contains(&cause) {
            description = format!("{description}: {cause}");
        }
    }
    description
}

/// The error, which names the file that it is about.
pub(crate) fn about(path: &str, error: anyhow::Error) -> anyhow::Error {
    let is_named = error.to_string().strip_prefix(path).is_some_and(|rest| rest.starts_with(':'));
    if is_named { error } else { error.context(path.to_owned()) }
}

/// Text of one line in which a file's name cannot break the line or command the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// A number of bytes, for people.
pub(crate) fn size(num_bytes: u64) -> String {
    HumanBytes(num_bytes).to_string()
}

/// A result for machines, on one line of standard output.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A line of standard output.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A table on standard output. Columns whose number is in `numeric` are aligned to the right.
pub(crate) fn print_table(header: &[&str], rows: &[Vec<String>], numeric: &[usize]) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(column, text)| {
            let alignment = if numeric.contains(&column) { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(printable(text)).set_alignment(alignment)
        }));
    }
    print_line(&table.trim_fmt())
}

/// Progress over files on standard error, where that is a terminal; else nothing.
pub(crate) struct Progress {
    bar: ProgressBar,
    seconds: f64,
}

impl Progress {
    pub(crate) fn new(num_files: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(num_files as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("starting");
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self { bar, seconds: 0.0 }
    }

    /// Some more seconds of audio are encoded.
    pub(crate) fn advance(&mut self, seconds: f64) {
        self.seconds += seconds;
        let elapsed = self.bar.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!("{:.0} s of audio, {:.1} a second", self.seconds, self.seconds / elapsed));
    }

    /// So many files and seconds of audio are done in all.
    pub(crate) fn reached(&mut self, num_files: usize, seconds: f64) {
        self.seconds = 0.0;
        self.advance(seconds);
        self.bar.set_position(num_files as u64);
    }

    /// One more file is done.
    pub(crate) fn file_done(&self) {
        self.bar.inc(1);
    }

    /// Runs `print` with the bar out of its way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many of a known number are done, on standard error where that is a terminal; else nothing.
pub(crate) struct Counter {
    bar: ProgressBar,
}

impl Counter {
    /// Counts so many of `what`, once their number is known.
    pub(crate) fn new(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what}, {{eta}} left"));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    pub(crate) fn expect(&self, number: usize) {
        self.bar.set_length(number as u64);
    }

    pub(crate) fn one_done(&self) {
        self.done(1);
    }

    pub(crate) fn done(&self, number: usize) {
        self.bar.inc(number as u64);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Downloads on standard error: a bar for each file where that is a terminal, else a line.
#[derive(Default)]
pub(crate) struct Downloads {
    bar: Option<ProgressBar>,
}

impl DownloadProgress for Downloads {
    fn file_started(&mut self, file: &str, num_bytes: u64, resumed_at: u64) {
        self.finish();
        let bar = ProgressBar::with_draw_target(Some(num_bytes), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(printable(file));
        if bar.is_hidden() {
            let resumed =
                if resumed_at > 0 { format!(", {} are there", HumanBytes(resumed_at)) } else { String::new() };
            note(&format!("downloading {file} ({}{resumed})", HumanBytes(num_bytes)));
        }
        bar.set_position(resumed_at);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn advanced(&mut self, num_bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(num_bytes);
        }
    }

    fn file_finished(&mut self, _file: &str) {
        self.finish();
    }

    fn waiting(&mut self, file: &str) {
        note(&format!("another process is downloading {file}: waiting for it"));
    }

    fn unchecked(&mut self, error: &HubError) {
        note(&format!("using what is in the cache, which could not be checked: {error}"));
    }
}

impl Downloads {
    /// Removes the bar.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
