//! GTZAN, as unpacked from Kaggle's archive, and GTZAN-Rhythm beside it.

use serde_json::json;

use super::sound::{add_clicks, silence, timbre, write};
use super::{Case, SET};
use crate::common::Workplace;

/// Genres with numbers of their excerpts that the published split has in training, validation and test.
const EXCERPTS: [(&str, [&[u32]; 3]); 3] = [
    ("blues", [&[29, 30, 31, 97], &[0, 60], &[12, 99]]),
    ("classical", [&[30, 31, 99, 50], &[10, 76], &[11, 79]]),
    ("metal", [&[2, 3, 5, 21], &[0, 1], &[12, 13]]),
];

pub(super) const GENRE: Case = Case {
    task: "gtzan-genre",
    kind: None,
    import: "gtzan",
    lay_out: genres,
    rows: [12, 6, 6],
    num_missing: 930 - 24,
    num_scored: 6,
    probe: "--model mel",
    above: 0.8,
};

pub(super) const BEATS: Case = Case {
    task: "gtzan-beats",
    kind: None,
    import: "gtzan-beats",
    lay_out: beats,
    rows: [8, 4, 4],
    num_missing: 0,
    num_scored: 4,
    probe: "--model mel",
    above: 0.8,
};

/// An excerpt: the places of its genre and of its split, and its name.
struct Excerpt {
    genre: usize,
    split: usize,
    name: String,
    seed: usize,
}

fn excerpts(num_genres: usize) -> Vec<Excerpt> {
    let mut excerpts = Vec::new();
    for (genre, (folder, splits)) in EXCERPTS.iter().enumerate().take(num_genres) {
        for (split, numbers) in splits.iter().enumerate() {
            for number in *numbers {
                let name = format!("{folder}/{folder}.{number:05}");
                excerpts.push(Excerpt { genre, split, name, seed: excerpts.len() });
            }
        }
    }
    excerpts
}

/// A genre is how bright it is.
fn genres(place: &Workplace) {
    for Excerpt { genre, name, seed, .. } in excerpts(3) {
        let samples = timbre(48 + (seed % 5) as u8, [1, 4, 12][genre], 1.0, seed);
        write(place, &format!("{SET}/genres_original/{name}.wav"), &samples);
    }
    // Pictures that lie beside the recordings.
    place.write(&format!("{SET}/images_original/blues/blues00000.png"), "no picture");
}

/// Clicks at 100 or 120 a minute, the first of four higher; the lists of the split lie in the folder, as MARBLE v1 has them.
fn beats(place: &Workplace) {
    let mut lists = [const { String::new() }; 3];
    for Excerpt { genre, split, name, seed } in excerpts(2) {
        lists[split] += &format!("{name}.wav\n");
        let (period, seconds) = ([0.6, 0.5][(seed + genre) % 2], 12.0);
        let first = 0.1 + 0.03 * seed as f64;
        let beat: Vec<f64> =
            (0..).map(|beat| first + period * f64::from(beat)).take_while(|t| *t < seconds - 0.1).collect();
        let downbeat: Vec<f64> = beat.iter().copied().step_by(4).collect();
        let mut samples = silence(seconds, seed);
        add_clicks(&mut samples, &beat, 84, 0.04);
        add_clicks(&mut samples, &downbeat, 100, 0.04);
        write(place, &format!("{SET}/genres/{name}.wav"), &samples);
        let observations = |times: &[f64]| -> Vec<_> {
            times.iter().map(|time| json!({"time": time, "duration": 0.0, "value": 1, "confidence": null})).collect()
        };
        let annotation = |kind: &str, times: &[f64]| {
            json!({
                "namespace": "beat",
                "sandbox": {"annotation_type": kind},
                "annotation_metadata": {"corpus": "GTZAN"},
                "data": observations(times),
            })
        };
        let jams = json!({
            "file_metadata": {"title": name, "duration": seconds},
            "annotations": [
                annotation("8th-note", &[0.0]),
                annotation("beat", &beat),
                annotation("downbeat", &downbeat),
            ],
        });
        let (_, file) = name.split_once('/').unwrap();
        place.write(&format!("{SET}/rhythm/jams/{file}.wav.jams"), jams.to_string());
    }
    for (split, list) in ["train", "valid", "test"].into_iter().zip(lists) {
        place.write(&format!("{SET}/{split}_filtered.txt"), list);
    }
}
