//! What can be typed after `solfa report`.

use std::path::PathBuf;

use clap::Args;
use solfa_eval::report::ReportFormat;

const EXAMPLES: &str = "\
Examples:
  solfa report results/ --output report.html               one page with all pictures, to open or to send
  solfa report results/ -o report.html -o tables.tex -o README.md
                                                           several at once
  solfa report results/                                    tables on standard output, as Markdown
  solfa report results/ --format latex > tables.tex
  solfa report runs/muq                                    the curves of a training, as runs/muq/report.html
  solfa report runs/a runs/b -o compared.html              curves of several over each other
  solfa report runs/muq --json                             the last and the smallest loss, hours, rates

A folder of results holds what `solfa probe` and `solfa layers` write: results.jsonl, layer-weights.jsonl, comparisons.jsonl,
similarity/*.json and tracks/*.json. Each of them may be absent. What cannot be read is named, here and in the report,
and the rest is shown; the exit code is then 3.

A training run is a folder with config.toml and log.jsonl, as `solfa pretrain` writes them; it may still be going on. Its
page has the loss and every named term over steps, learning rate, gradients, speed and where the time goes, the use of
codes and signals of collapse where they were logged, skipped steps, the configuration and the hash of the data. Formats
are html and markdown.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReportArguments {
    /// The folder of results, or the folders of training runs
    #[arg(value_name = "RESULTS_DIR|RUN_DIR", required = true)]
    pub(crate) folders: Vec<PathBuf>,

    /// Where to write: .html, .md or .tex; may be given several times. Without it, tables on standard output, and of
    /// training runs report.html in the folder of the first
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,

    /// Format of the output [default: the extension of --output; Markdown on standard output]
    #[arg(long, value_parser = parse_report_format, value_name = "html|markdown|latex")]
    pub(crate) format: Option<ReportFormat>,

    /// Print what the report has as JSON: tasks with their best layers, encoders, outputs, what could not be read; of
    /// training runs losses, terms, hours and rates
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_report_format(text: &str) -> Result<ReportFormat, String> {
    text.parse().map_err(|error: solfa_eval::report::UnknownReportFormat| error.to_string())
}
