//! What is known of a piece, and the forms that data sets give it.
//!
//! This module must not know: how labels came about, where they are written.

use serde_json::{Value, json};

pub use solfa_eval::metrics::tempo::tempo_of_beats;

use crate::events::Performance;

/// A stretch of time with one chord.
#[derive(Clone, Debug, PartialEq)]
pub struct ChordSpan {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// In Harte's notation (Harte et al., ISMIR 2005), `E:min7/5`; `N` where there is none.
    pub chord: String,
}

/// A stretch of time with one part of the form.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// `intro`, `verse`, `chorus`, `bridge`, `inst`, `outro`.
    pub label: String,
}

/// A note of the melody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelodyNote {
    /// Start in seconds.
    pub onset: f64,
    /// End in seconds, at most the onset of the next one.
    pub offset: f64,
    /// MIDI number.
    pub pitch: u8,
}

/// All that is said of one piece. What is not known is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// The name of its style.
    pub style: Option<String>,
    /// `Eb minor`: one of 24, major and minor of C, Db, D, Eb, E, F, Gb, G, Ab, A, Bb, B.
    pub key: Option<String>,
    /// The chords, without gaps.
    pub chords: Vec<ChordSpan>,
    /// Times of all beats, in seconds.
    pub beats: Vec<f64>,
    /// Times of the first beats of bars.
    pub downbeats: Vec<f64>,
    /// Beats per minute: 60 over the median distance of two beats.
    pub tempo: Option<f64>,
    /// `4/4`, `3/4`, `6/8`. In 6/8 a beat is a dotted quarter.
    pub meter: Option<String>,
    /// The form, without gaps.
    pub segments: Vec<Segment>,
    /// The melody, one note at a time.
    pub melody: Vec<MelodyNote>,
    /// Times at which something starts to sound, of all parts and the drums.
    pub onsets: Vec<f64>,
    /// Names of the instruments that play, each once, sorted.
    pub instruments: Vec<String>,
}

/// Onsets that are nearer than this, in seconds, are one: parts that play together are some milliseconds apart.
pub const ONSET_SECONDS: f64 = 0.03;

/// What pieces are labelled with; each is a data set of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// One of 24 keys.
    Key,
    /// Chords with times.
    Chords,
    /// Beats, downbeats, tempo and meter.
    Beats,
    /// Tempo alone.
    Tempo,
    /// Parts of the form with times.
    Structure,
    /// Notes of the melody.
    Melody,
    /// Times of all onsets.
    Onsets,
    /// Which instruments play.
    Instruments,
    /// The style.
    Style,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 9] = [
        Self::Key,
        Self::Chords,
        Self::Beats,
        Self::Tempo,
        Self::Structure,
        Self::Melody,
        Self::Onsets,
        Self::Instruments,
        Self::Style,
    ];

    /// Its name, and that of its file without `.jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Chords => "chords",
            Self::Beats => "beats",
            Self::Tempo => "tempo",
            Self::Structure => "structure",
            Self::Melody => "melody",
            Self::Onsets => "onsets",
            Self::Instruments => "instruments",
            Self::Style => "style",
        }
    }
}

impl Labels {
    /// The label of a task, in the form that data sets have; nothing where it is not known.
    pub fn of_task(&self, task: Task) -> Option<Value> {
        match task {
            Task::Key => self.key.as_ref().map(|key| json!(key)),
            Task::Style => self.style.as_ref().map(|style| json!(style)),
            Task::Tempo => self.tempo.map(|tempo| json!({"tempo": rounded(tempo)})),
            Task::Beats => self.beats_label(),
            Task::Chords => some_list(
                &self.chords,
                |span| json!({"start_time": rounded(span.start), "end_time": rounded(span.end), "chord_str": span.chord}),
            ),
            Task::Structure => some_list(
                &self.segments,
                |segment| json!({"start_time": rounded(segment.start), "end_time": rounded(segment.end), "label": segment.label}),
            ),
            Task::Melody => some_list(
                &self.melody,
                |note| json!({"onset": rounded(note.onset), "offset": rounded(note.offset), "pitch": note.pitch}),
            )
            .map(|notes| json!({"notes": notes})),
            Task::Onsets => {
                some_list(&self.onsets, |&onset| json!(rounded(onset))).map(|times| json!({"onset": times}))
            }
            Task::Instruments => some_list(&self.instruments, |name| json!(name)),
        }
    }

    fn beats_label(&self) -> Option<Value> {
        let beats = some_list(&self.beats, |&time| json!(rounded(time)))?;
        let downbeats: Vec<f64> = self.downbeats.iter().map(|&time| rounded(time)).collect();
        let mut label = json!({"beat": beats, "downbeat": downbeats});
        if let Some(tempo) = self.tempo {
            label["tempo"] = json!(rounded(tempo));
        }
        if let Some(meter) = &self.meter {
            label["meter"] = json!(meter);
        }
        Some(label)
    }

    /// Fills in what the notes themselves say: onsets and instruments.
    pub fn add_notes(&mut self, performance: &Performance) {
        self.onsets = onsets(performance);
        let sounding = performance.parts.iter().filter(|part| !part.notes.is_empty());
        self.instruments = sounding.map(|part| part.instrument.tag().to_owned()).collect();
        self.instruments.sort();
        self.instruments.dedup();
    }
}

/// To the microsecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

fn some_list<T>(items: &[T], form: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| Value::Array(items.iter().map(form).collect()))
}

fn onsets(performance: &Performance) -> Vec<f64> {
    let notes = performance.parts.iter().flat_map(|part| &part.notes);
    let mut times: Vec<f64> = notes.map(|note| note.onset).filter(|&onset| onset < performance.seconds).collect();
    times.sort_by(f64::total_cmp);
    let mut kept: Vec<f64> = Vec::new();
    for time in times {
        if kept.last().is_none_or(|last| time - last >= ONSET_SECONDS) {
            kept.push(time);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Instrument, Note, Part};

    #[test]
    fn labels_have_the_forms_of_data_sets() {
        let labels = Labels {
            style: Some("rock".into()),
            key: Some("Eb minor".into()),
            chords: vec![ChordSpan { start: 0.0, end: 1.5, chord: "Eb:min".into() }],
            beats: vec![0.1, 0.6],
            downbeats: vec![0.1],
            tempo: Some(120.0),
            meter: Some("4/4".into()),
            segments: vec![Segment { start: 0.0, end: 1.5, label: "verse".into() }],
            melody: vec![MelodyNote { onset: 0.1, offset: 0.4, pitch: 70 }],
            onsets: vec![0.1],
            instruments: vec!["piano".into()],
        };
        let expected = [
            json!("Eb minor"),
            json!([{"start_time": 0.0, "end_time": 1.5, "chord_str": "Eb:min"}]),
            json!({"beat": [0.1, 0.6], "downbeat": [0.1], "tempo": 120.0, "meter": "4/4"}),
            json!({"tempo": 120.0}),
            json!([{"start_time": 0.0, "end_time": 1.5, "label": "verse"}]),
            json!({"notes": [{"onset": 0.1, "offset": 0.4, "pitch": 70}]}),
            json!({"onset": [0.1]}),
            json!(["piano"]),
            json!("rock"),
        ];
        for (task, expected) in Task::ALL.into_iter().zip(expected) {
            assert_eq!(labels.of_task(task), Some(expected), "{}", task.name());
            assert_eq!(Labels::default().of_task(task), None);
        }
    }

    #[test]
    fn notes_that_start_together_are_one_onset() {
        let note = |onset| Note { onset, offset: onset + 0.5, pitch: 60, velocity: 80 };
        let part =
            |instrument, notes| Part { name: String::new(), instrument, pan: 0.0, volume: 1.0, reverb: 0.0, notes };
        let parts = vec![
            part(Instrument::Program(0), vec![note(0.5), note(1.0)]),
            part(Instrument::Drums(0), vec![note(0.51), note(1.2), note(9.0)]),
            part(Instrument::Program(40), Vec::new()),
        ];
        let mut labels = Labels::default();
        labels.add_notes(&Performance { parts, seconds: 2.0, seed: 0 });
        assert_eq!(labels.onsets, [0.5, 1.0, 1.2]);
        assert_eq!(labels.instruments, ["drums", "piano"]);
    }

    #[test]
    fn the_tempo_is_that_of_the_middle_distance() {
        assert_eq!(tempo_of_beats(&[0.0, 0.5, 1.0, 3.0]), Some(120.0));
        assert_eq!(tempo_of_beats(&[0.0, 0.5, 1.5]), Some(80.0));
        assert_eq!(tempo_of_beats(&[1.0]), None);
        assert_eq!(tempo_of_beats(&[1.0, 1.0]), None);
    }
}
