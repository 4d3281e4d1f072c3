//! What is said of every input.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use solfa_eval::store::EmbeddingSpace;

use crate::terminal::{self, Outcome, Progress};

/// Counts inputs, and prints a table at the end or a line of JSON for each.
pub(super) struct Report {
    json: bool,
    pub(super) progress: Progress,
    rows: Vec<Vec<String>>,
    num_done: usize,
    num_skipped: usize,
    num_failed: usize,
    seconds: f64,
}

/// One input's fate, for machines.
#[derive(Default, Serialize)]
struct JsonRow<'row> {
    path: &'row str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'row str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space_id: Option<&'row str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// Shape of every layer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layers: BTreeMap<usize, Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'row str>,
}

impl Report {
    pub(super) fn new(json: bool, num_files: usize) -> Self {
        let progress = Progress::new(num_files);
        Self { json, progress, rows: Vec::new(), num_done: 0, num_skipped: 0, num_failed: 0, seconds: 0.0 }
    }

    pub(super) fn done(
        &mut self,
        path: &Path,
        output: &Path,
        space: &EmbeddingSpace,
        seconds: f64,
        layers: BTreeMap<usize, Vec<u64>>,
    ) -> anyhow::Result<()> {
        self.num_done += 1;
        self.seconds += seconds;
        self.progress.file_done();
        let (path, output) = (path.to_string_lossy(), output.to_string_lossy());
        if !self.json {
            let shapes: Vec<String> = layers.values().map(|shape| describe_shape(shape)).collect();
            let same = shapes.iter().all(|shape| *shape == shapes[0]);
            let shape = if same { shapes[0].clone() } else { shapes.join(", ") };
            let numbers = describe_numbers(&space.layers);
            self.rows.push(vec![path.into_owned(), format!("{seconds:.2}"), numbers, shape, output.into_owned()]);
            return Ok(());
        }
        let space_id = space.space_id();
        let row = JsonRow {
            path: &path,
            status: "done",
            output: Some(&output),
            space_id: Some(&space_id),
            duration_seconds: Some(seconds),
            layers,
            ..JsonRow::default()
        };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    pub(super) fn skipped(&mut self, path: &Path, output: &Path, space: &EmbeddingSpace) -> anyhow::Result<()> {
        self.num_skipped += 1;
        self.progress.file_done();
        if !self.json {
            return Ok(());
        }
        let (path, output, space_id) = (path.to_string_lossy(), output.to_string_lossy(), space.space_id());
        let row = JsonRow {
            path: &path,
            status: "skipped",
            output: Some(&output),
            space_id: Some(&space_id),
            ..JsonRow::default()
        };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    pub(super) fn failed(&mut self, path: &str, error: anyhow::Error) -> anyhow::Result<()> {
        self.num_failed += 1;
        self.progress.file_done();
        let message = terminal::describe(&terminal::about(path, error));
        self.progress.suspend(|| terminal::note(&terminal::printable(&message)));
        if !self.json {
            return Ok(());
        }
        let row = JsonRow { path, status: "failed", error: Some(&message), ..JsonRow::default() };
        self.progress.suspend(|| terminal::print_json(&row))
    }

    pub(super) fn finish(self, space: &EmbeddingSpace, start: Instant) -> anyhow::Result<Outcome> {
        self.progress.finish();
        if !self.rows.is_empty() {
            terminal::print_table(&["file", "seconds", "layers", "shape", "output"], &self.rows, &[1])?;
        }
        let elapsed = start.elapsed().as_secs_f64();
        let mut summary = format!("{} done", self.num_done);
        if self.seconds > 0.0 {
            let speed = self.seconds / elapsed;
            summary += &format!(", {:.1} s of audio in {elapsed:.1} s ({speed:.0} times realtime)", self.seconds);
        }
        if self.num_skipped > 0 {
            summary += &format!(", {} skipped (already there)", self.num_skipped);
        }
        if self.num_failed > 0 {
            summary += &format!(", {} failed", self.num_failed);
        }
        terminal::note(&format!("{summary}; model {}, space {}", space.model, space.space_id()));
        Ok(if self.num_failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
    }
}

/// `[250, 128]` as `250 x 128`.
fn describe_shape(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

/// `[0, 1, 2, 5]` as `0-2,5`.
fn describe_numbers(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|left, right| left + 1 == *right);
    runs.map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    })
    .collect::<Vec<_>>()
    .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shapes_are_short() {
        assert_eq!(describe_numbers(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(describe_numbers(&[12]), "12");
        assert_eq!(describe_shape(&[250, 128]), "250 x 128");
    }
}
