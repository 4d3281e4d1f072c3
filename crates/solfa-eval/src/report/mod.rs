//! A folder of results as something to look at: one HTML page, Markdown, LaTeX.
//!
//! [`Report::read`] takes what is in the folder, and names what it cannot read. [`Report::render`] makes a text of it, the
//! same one for the same folder. The page is whole in itself: styles, pictures and the little script stand in it, and it
//! asks nothing of any network. [`TrainingReport`] is the same for the curves of training runs.
//!
//! This module must not know: probes, encoders, how a result was made.

mod colour;
mod curve_chart;
mod html;
mod latex;
mod markdown;
mod model;
mod notes;
mod numbers;
mod png;
mod read;
mod svg;
mod training;

use std::path::Path;
use std::str::FromStr;

pub use model::{
    Encoder, LabelCurve, LabelPoint, LearnedMixture, OtherScore, Panel, Point, Provenance, Report, Series,
};
pub use numbers::{Unit, unit_of};
pub use read::{Problem, ReportError};
pub use training::{Curve, CurveSummary, RunSummary, TrainingReport, TrainingReportFormat, TrainingRun};

use crate::store::{StoreError, write_whole};

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// One self-contained page.
    Html,
    /// Tables.
    Markdown,
    /// Tables with booktabs, to be included in a paper.
    Latex,
}

impl ReportFormat {
    /// The format that goes with a file's extension, if any does.
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }
}

/// The text is no format of reports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of reports: html, md and tex are")]
pub struct UnknownReportFormat(String);

impl FromStr for ReportFormat {
    type Err = UnknownReportFormat;

    fn from_str(text: &str) -> Result<Self, UnknownReportFormat> {
        match text {
            "html" | "htm" => Ok(Self::Html),
            "md" | "markdown" => Ok(Self::Markdown),
            "tex" | "latex" => Ok(Self::Latex),
            _ => Err(UnknownReportFormat(text.to_owned())),
        }
    }
}

impl Report {
    /// The report as text.
    pub fn render(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Html => html::page(self),
            ReportFormat::Markdown => markdown::document(self),
            ReportFormat::Latex => latex::tables(self),
        }
    }

    /// Writes the report to a file, which appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the file cannot be written.
    pub fn write(&self, path: &Path, format: ReportFormat) -> Result<(), StoreError> {
        let text = self.render(format);
        write_whole(path, text.as_bytes())
    }
}
