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

The folder holds what `solfa probe` and `solfa layers` write: results.jsonl, layer-weights.jsonl, comparisons.jsonl,
similarity/*.json and tracks/*.json. Each of them may be absent. What cannot be read is named, here and in the report,
and the rest is shown; the exit code is then 3.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReportArguments {
    /// The folder of results
    #[arg(value_name = "RESULTS_DIR")]
    pub(crate) results: PathBuf,

    /// Where to write: .html, .md or .tex; may be given several times. Without it, standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,

    /// Format of the output [default: the extension of --output; Markdown on standard output]
    #[arg(long, value_parser = parse_report_format, value_name = "html|markdown|latex")]
    pub(crate) format: Option<ReportFormat>,

    /// Print what the report has as JSON: tasks with their best layers, encoders, outputs, what could not be read
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_report_format(text: &str) -> Result<ReportFormat, String> {
    text.parse().map_err(|error: solfa_eval::report::UnknownReportFormat| error.to_string())
}
