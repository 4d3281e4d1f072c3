//! Any MIDI files, with what is annotated beside them, as sound and labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use solfa_eval::dataset::Record;

use super::SuiteError;
use super::files::{wav_bytes, write_lines, write_whole};
use super::writer::{Form, rows, slashed};
use crate::labels::Task;
use crate::midi;
use crate::render::Renderer;

/// What became of one MIDI file.
#[derive(Debug)]
pub struct RenderedFile {
    /// The MIDI file.
    pub input: PathBuf,
    /// Its sound, below the folder of the output.
    pub output: PathBuf,
    /// Seconds of sound and the tasks that it has labels for, or why there is none.
    pub result: Result<(f64, Vec<Task>), SuiteError>,
}

/// Renders MIDI files into `folder`: each pair is a file and the path of its sound below the folder. Labels go to one
/// JSON lines file for each task that some file has labels for. A file that fails does not keep others from being
/// rendered. `progress` is called after each with its length in seconds, from several threads.
///
/// # Errors
/// A file of labels that cannot be written; what goes wrong with single files is in their results.
pub fn render_files(
    files: &[(PathBuf, PathBuf)],
    folder: &Path,
    renderer: &dyn Renderer,
    sample_rate: u32,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Vec<RenderedFile>, SuiteError> {
    type Rows = Vec<(Task, Record)>;
    let done: Vec<(RenderedFile, Rows)> = files
        .par_iter()
        .map(|(input, output)| {
            let result = render_one(input, output, folder, renderer, sample_rate);
            progress(result.as_ref().map_or(0.0, |done| done.0));
            let (result, rows) = match result {
                Ok((seconds, rows)) => (Ok((seconds, rows.iter().map(|row| row.0).collect())), rows),
                Err(error) => (Err(error), Rows::new()),
            };
            (RenderedFile { input: input.clone(), output: output.clone(), result }, rows)
        })
        .collect();
    let mut tables: BTreeMap<Task, Vec<&Record>> = BTreeMap::new();
    for (task, record) in done.iter().flat_map(|(_, rows)| rows) {
        tables.entry(*task).or_default().push(record);
    }
    for (task, records) in &tables {
        write_lines(&folder.join(format!("{}.jsonl", task.name())), records)?;
    }
    Ok(done.into_iter().map(|(file, _)| file).collect())
}

fn render_one(
    input: &Path,
    output: &Path,
    folder: &Path,
    renderer: &dyn Renderer,
    sample_rate: u32,
) -> Result<(f64, Vec<(Task, Record)>), SuiteError> {
    let mut piece = midi::read(input)?;
    midi::add_annotations(input, &mut piece.labels)?;
    let sound = renderer.render_stereo(&piece.performance, sample_rate)?;
    write_whole(&folder.join(output), &wav_bytes(&sound, true))?;
    let name = slashed(output);
    let form = Form { name: &name, split: None, sample_rate, num_samples: sound.left.len() as u64 };
    Ok((piece.performance.seconds, rows(&piece.labels, &form)))
}
