//! Annotations as text: times, labelled intervals, notes, keys, tempi and melodies, as `mir_eval` and the data sets write
//! them.
//!
//! | function | a line | written by |
//! |---|---|---|
//! | [`read_events`] | `time` | `mir_eval`: beats, onsets |
//! | [`read_beats`] | `time`, `time position` or `time position bar` | `.beats`, Harmonix `beats_and_downbeats` |
//! | [`read_intervals`] | `start end` | `mir_eval` |
//! | [`read_labelled_intervals`] | `start end label` | `.lab`: structure |
//! | [`read_chords`] | `start end chord`, in Harte's syntax | `.lab`: Isophonics, Billboard |
//! | [`read_data_set_chords`] | the same, with what rounding does to them put right | `.lab`: Isophonics, Billboard |
//! | [`read_section_starts`] | `start label`, the last one `end` | Harmonix `segments` |
//! | [`read_section_boundaries`] | the same, whatever the last label is | Harmonix `segments` |
//! | [`read_time_series`] | `time value` | `mir_eval`: melody |
//! | [`read_notes`] | `onset offset Hz` | `mir_eval`: transcription |
//! | [`read_key`] | `tonic mode` or `X`, alone | `mir_eval` |
//! | [`read_tempo`] | `tempo tempo weight`, alone | `mir_eval`, MIREX |
//! | [`read_beats_per_minute`] | a number, alone | `.bpm`: GiantSteps |
//! | [`Jams`] | JSON | JAMS |
//! | [`MidiFile`] | not text: notes, tempi and signatures | MIDI files |
//!
//! Columns are separated by spaces or tabs, those of numbers alone by commas too. Lines that start with `#` and empty lines
//! are skipped. An empty file of events, intervals or notes is an empty annotation. Files are read whole, up to
//! [`MAXIMUM_BYTES`]; every error names the file, the line, what is expected and what is found.
//!
//! This module must not know: data sets, tasks.

mod beats;
mod chords;
mod error;
mod events;
mod intervals;
mod jams;
mod key;
mod lines;
mod midi;
mod notes;
mod tempo;
mod time_series;

pub use beats::{Beat, downbeats, read_beats};
pub use chords::{read_chords, read_data_set_chords};
pub use error::AnnotationError;
pub use events::read_events;
pub use intervals::{read_intervals, read_labelled_intervals, read_section_boundaries, read_section_starts};
pub use jams::{Jams, JamsAnnotation, JamsObservation};
pub use key::read_key;
pub use lines::MAXIMUM_BYTES;
pub use midi::{MidiFile, MidiKeySignature, MidiNote, MidiTimeSignature, MidiVoice};
pub use notes::read_notes;
pub use tempo::{TempoAnnotation, read_beats_per_minute, read_tempo};
pub use time_series::{TimeSeries, read_time_series};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub(crate) use midi::tests::file_of as midi_file_of;
