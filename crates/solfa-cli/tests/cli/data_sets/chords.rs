//! Chords: Isophonics' folders of `.lab` files with recordings in folders of the same names, and McGill Billboard's folders
//! by number.

use super::sound::{notes, silence, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const CHORDS: Case = Case {
    task: "chords",
    kind: None,
    import: "chords --shares 6:2:2",
    lay_out: songs,
    rows: [6, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model chroma --frame-rate 10",
    above: 0.7,
};

/// In Harte's syntax, and what is heard.
const CHORDS_HEARD: [(&str, &[u8]); 4] =
    [("C", &[48, 52, 55, 60]), ("A:min/b3", &[48, 57, 64]), ("F:maj", &[53, 57, 60]), ("G:7", &[55, 59, 62, 65])];

fn songs(place: &Workplace) {
    for song in 0..10 {
        let mut lab = "0.000000 0.600000 N\n".to_owned();
        let mut samples = silence(0.6, 1_000 + song);
        for part in 0..4 {
            let (name, pitches) = CHORDS_HEARD[(song + part * (1 + song % 2 * 2)) % 4];
            let start = 0.6 + 1.4 * part as f64;
            // Some ends are off by rounding, as in Isophonics.
            lab += &format!("{start:.6} {:.6} {name}\n", start + 1.4 + 0.000_02 * (song % 3) as f64);
            samples.extend(notes(pitches, 1.4, song * 4 + part));
        }
        if song < 6 {
            let name = format!("The Beatles/0{}_-_An_Album/{song:02}_-_A_Song", song % 2);
            place.write(&format!("{SET}/chordlab/{name}.lab"), lab);
            write(place, &format!("{SET}/audio/{name}.flac"), &samples);
        } else {
            place.write(&format!("{SET}/McGill-Billboard/{song:04}/full.lab"), &lab);
            place.write(&format!("{SET}/McGill-Billboard/{song:04}/majmin.lab"), lab.replace("G:7", "G:maj"));
            write(place, &format!("{SET}/billboard-audio/{song:04}.mp3"), &samples);
        }
    }
}
