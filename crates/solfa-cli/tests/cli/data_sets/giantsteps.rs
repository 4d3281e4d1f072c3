//! GiantSteps and GiantSteps-MTG: their two repositories, with the previews that their scripts fetch.

use super::sound::{notes, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const KEY: Case = Case {
    task: "giantsteps-key",
    kind: None,
    import: "giantsteps-key",
    lay_out: keys,
    rows: [6, 2, 5],
    num_missing: 0,
    // One of them is long enough for two clips.
    num_scored: 4,
    probe: "--model mel",
    above: 0.8,
};

/// As annotators write them, with the triad that is heard.
const KEYS: [(&str, [u8; 3]); 2] = [("C major", [60, 64, 67]), ("F# minor", [66, 69, 73])];

/// An artist that the hash of the name puts into the validation split, and one that it does not.
const ARTISTS: [&str; 2] = ["Artist 0", "Ann"];

fn preview(place: &Workplace, repository: &str, id: usize, seconds: f64) {
    let samples = notes(&KEYS[id % 2].1, seconds, id);
    write(place, &format!("{SET}/{repository}/audio/{id}.LOFI.mp3"), &samples);
}

fn keys(place: &Workplace) {
    let test = "giantsteps-key-dataset";
    for id in 1_000..1_004 {
        place.write(&format!("{SET}/{test}/annotations/key/{id}.LOFI.key"), KEYS[id % 2].0.to_lowercase());
        preview(place, test, id, if id == 1_000 { 60.2 } else { 30.2 });
    }
    let train = "giantsteps-mtg-key-dataset";
    let mut annotations = "ID\tMANUAL KEY\tC\tCOMMENTS\n".to_owned();
    let mut metadata = "ID\tARTIST\tSONG\tMIX\tLABEL\tGENRE\n".to_owned();
    for id in 2_000..2_008 {
        let artist = ARTISTS[usize::from(id >= 2_002)];
        annotations += &format!("{id}\t{}\t2\t\n", KEYS[id % 2].0);
        metadata += &format!("{id}\t{artist}, {artist} Jr\tSong {id}\tOriginal Mix\tLabel\tTrance\n");
        place.write(&format!("{SET}/{train}/annotations/key/{id}.LOFI.key"), KEYS[id % 2].0);
        preview(place, train, id, 30.2);
    }
    // Several keys, and low confidence: neither is asked for.
    annotations += "2008\tC major / G major\t2\tmodulates\n2009\tC major\t1\t\n";
    place.write(&format!("{SET}/{train}/annotations/annotations.txt"), annotations);
    place.write(&format!("{SET}/{train}/annotations/beatport_metadata.txt"), metadata);
}
