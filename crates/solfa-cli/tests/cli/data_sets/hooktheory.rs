//! HookTheory: Sheet Sage's `Hooktheory.json`, and whole songs by their number on YouTube.

use serde_json::{Map, Value, json};

use super::sound::{notes, write};
use super::{Case, SET};
use crate::common::Workplace;

/// Two excerpts of each song.
pub(super) const STRUCTURE: Case = Case {
    task: "hooktheory-structure",
    kind: None,
    import: "hooktheory-structure",
    lay_out: songs,
    rows: [16, 6, 8],
    num_missing: 0,
    num_scored: 8,
    probe: "--model mel --clip 1",
    above: 0.7,
};

pub(super) const KEY: Case = Case {
    task: "hooktheory-key",
    import: "hooktheory-key",
    // Excerpts of a song in one key are one track; the last song of the test split changes its key.
    num_scored: 5,
    probe: "--model chroma --clip 1",
    ..STRUCTURE
};

/// The pitch class of a tonic, steps of the scale, and the triad.
const KEYS: [(u64, [u64; 6], [u8; 3]); 2] =
    [(0, [2, 2, 1, 2, 2, 2], [60, 64, 67]), (6, [2, 1, 2, 2, 1, 2], [54, 57, 61])];

/// Seconds of an excerpt, four beats.
const EXCERPT: f64 = 2.0;

/// The triad of a key, which a chorus has three octaves higher as well.
fn excerpt_sound(key: usize, is_chorus: bool, seed: usize) -> Vec<f32> {
    let mut pitches = KEYS[key].2.to_vec();
    if is_chorus {
        pitches.extend(KEYS[key].2.iter().map(|pitch| pitch + 36));
    }
    notes(&pitches, EXCERPT, seed)
}

fn excerpt(split: &str, song: usize, is_chorus: bool, key: usize) -> Value {
    let (tonic, steps, _) = KEYS[key];
    let start = if is_chorus { EXCERPT } else { 0.0 };
    let section = if is_chorus { "chorus" } else { "verse-2" };
    let address = format!("https://www.hooktheory.com/theorytab/view/artist/song-{song}");
    let alignment = json!({"beats": [0, 4], "times": [start, start + EXCERPT]});
    json!({
        "tags": ["AUDIO_AVAILABLE", "MELODY"],
        "split": split,
        "hooktheory": {
            "id": format!("x{song}"), "artist": "artist", "song": format!("song-{song}"),
            "urls": {"song": address, "clip": format!("{address}#{section}")},
        },
        "youtube": {"id": format!("youtube-{song:03}"), "url": "https://www.youtube.com", "duration": 2.0 * EXCERPT},
        "alignment": {"user": alignment, "refined": alignment},
        "annotations": {
            "num_beats": 4,
            "meters": [{"beat": 0, "beats_per_bar": 4, "beat_unit": 4}],
            "keys": [{"beat": 0, "tonic_pitch_class": tonic, "scale_degree_intervals": steps}],
            "melody": [{"onset": 0, "offset": 4, "octave": 0, "pitch_class": tonic}],
            "harmony": [{"onset": 0, "offset": 4, "root_pitch_class": tonic, "root_position_intervals": [4, 3], "inversion": 0}],
        },
    })
}

fn songs(place: &Workplace) {
    let mut excerpts = Map::new();
    for song in 0..15 {
        let split = ["TRAIN", "VALID", "TEST"][usize::from(song >= 8) + usize::from(song >= 11)];
        let mut samples = Vec::new();
        for is_chorus in [false, true] {
            let key = (song + usize::from(song == 14 && is_chorus)) % 2;
            excerpts.insert(
                format!("excerpt{song:02}{}", if is_chorus { "b" } else { "a" }),
                excerpt(split, song, is_chorus, key),
            );
            samples.extend(excerpt_sound(key, is_chorus, 2 * song + usize::from(is_chorus)));
        }
        write(place, &format!("{SET}/audio/youtube-{song:03}.mp3"), &samples);
    }
    place.write(&format!("{SET}/Hooktheory.json"), Value::Object(excerpts).to_string());
}
