//! A folder of results as something to look at: one HTML page, Markdown, LaTeX.
//!
//! This module must not know: probes, encoders, how a result was made.
