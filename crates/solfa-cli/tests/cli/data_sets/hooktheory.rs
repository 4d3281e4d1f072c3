//! HookTheory: Sheet Sage's `Hooktheory.json`, and whole songs by their number on YouTube.

use serde_json::{Map, Value, json};

use super::sound::{add, notes, silence, write};
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
    probe: "--model mel",
    above: 0.7,
};

pub(super) const KEY: Case = Case {
    task: "hooktheory-key",
    import: "hooktheory-key",
    // Excerpts of a song in one key are one track; the last song of the test split changes its key.
    num_scored: 5,
    probe: "--model chroma",
    ..STRUCTURE
};

pub(super) const MELODY: Case = Case {
    task: "hooktheory-melody",
    import: "hooktheory-melody",
    lay_out: melodies,
    rows: [8, 3, 4],
    num_scored: 4,
    probe: "--model mel",
    ..STRUCTURE
};

/// The pitch class of a tonic, steps of the scale, and the triad.
const KEYS: [(u64, [u64; 6], [u8; 3]); 2] =
    [(0, [2, 2, 1, 2, 2, 2], [60, 64, 67]), (6, [2, 1, 2, 2, 1, 2], [54, 57, 61])];

/// Seconds of an excerpt, four beats.
const EXCERPT: f64 = 2.0;

const TAGS: [&str; 4] = ["AUDIO_AVAILABLE", "HARMONY", "MELODY", "REFINED_ALIGNMENT"];

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
        "tags": TAGS,
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

fn split(song: usize) -> &'static str {
    ["TRAIN", "VALID", "TEST"][usize::from(song >= 8) + usize::from(song >= 11)]
}

fn songs(place: &Workplace) {
    let mut excerpts = Map::new();
    for song in 0..15 {
        let split = split(song);
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

/// Notes of one beat or two, half a second each, with a rest: as an excerpt of its own, or in a song that begins before it.
fn melodies(place: &Workplace) {
    /// Pitch classes, octaves above middle C, and the MIDI numbers that they are.
    const NOTES: [(u64, i64, u8); 3] = [(0, 0, 60), (4, 0, 64), (7, -1, 55)];
    let mut excerpts = Map::new();
    for song in 0..15 {
        let is_whole_song = song % 2 == 1;
        let start = if is_whole_song { 1.5 } else { 0.0 };
        let mut samples = silence(start + 4.5, song);
        let mut melody = Vec::new();
        for (place_of_note, beat) in [0, 1, 3, 4, 6].into_iter().enumerate() {
            let (pitch_class, octave, pitch) = NOTES[(song + place_of_note * (1 + song % 2)) % 3];
            let num_beats = 1 + place_of_note % 2;
            melody.push(json!({
                "onset": beat, "offset": beat + num_beats, "octave": octave, "pitch_class": pitch_class,
            }));
            let sound = notes(&[pitch], 0.5 * num_beats as f64, 10 * song + place_of_note);
            add(&mut samples, start + 0.5 * beat as f64, &sound);
        }
        let (id, youtube) = (format!("melody{song:02}"), format!("youtube-{song:03}"));
        let name = if is_whole_song { &youtube } else { &id };
        write(place, &format!("{SET}/audio/{name}.mp3"), &samples);
        let alignment = json!({"beats": [0, 9], "times": [start, start + 4.5]});
        let excerpt = json!({
            "tags": TAGS,
            "split": split(song),
            "youtube": {"id": youtube, "duration": start + 4.5},
            "alignment": {"user": alignment, "refined": alignment},
            "annotations": {"num_beats": 9, "melody": melody},
        });
        excerpts.insert(id, excerpt);
    }
    place.write(&format!("{SET}/Hooktheory.json"), Value::Object(excerpts).to_string());
}
