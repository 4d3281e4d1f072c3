//! NSynth: three folders of notes with their `examples.json`.

use serde_json::{Map, json};

use super::sound::{timbre, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const PITCH: Case = Case {
    task: "nsynth-pitch",
    kind: None,
    import: "nsynth-pitch",
    lay_out: notes,
    rows: [18, 9, 9],
    num_missing: 0,
    num_scored: 9,
    probe: "--model chroma",
    above: 0.8,
};

pub(super) const INSTRUMENT: Case =
    Case { task: "nsynth-instrument", import: "nsynth-instrument", probe: "--model mel", ..PITCH };

/// Families with their numbers there, and how many partials they have here.
const FAMILIES: [(&str, u32, u8); 3] = [("bass", 0, 1), ("keyboard", 4, 4), ("reed", 7, 12)];

const PITCHES: [u8; 3] = [60, 64, 67];

fn notes(place: &Workplace) {
    // No instrument is in two splits.
    let mut seed = 0;
    for (split, instruments) in [("train", 0..2), ("valid", 2..3), ("test", 3..4)] {
        let mut examples = Map::new();
        for (family, family_number, num_partials) in FAMILIES {
            for instrument in instruments.clone() {
                for pitch in PITCHES {
                    seed += 1;
                    let name = format!("{family}_synthetic_{instrument:03}");
                    let key = format!("{name}-{pitch:03}-075");
                    let note = json!({
                        "note": seed, "note_str": key, "instrument": instrument, "instrument_str": name, "pitch": pitch,
                        "velocity": 75, "sample_rate": 16_000, "qualities": [0, 1], "qualities_str": ["bright"],
                        "instrument_family": family_number, "instrument_family_str": family,
                        "instrument_source": 2, "instrument_source_str": "synthetic",
                    });
                    let samples = timbre(pitch, num_partials, 1.0, seed);
                    write(place, &format!("{SET}/nsynth-{split}/audio/{key}.wav"), &samples);
                    examples.insert(key, note);
                }
            }
        }
        let examples = serde_json::to_string_pretty(&examples).unwrap();
        place.write(&format!("{SET}/nsynth-{split}/examples.json"), examples);
    }
}
