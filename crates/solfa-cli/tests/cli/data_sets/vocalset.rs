//! VocalSet: folders of singers, exercises and techniques.

use super::sound::{timbre, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const SINGER: Case = Case {
    task: "vocalset-singer",
    kind: None,
    import: "vocalset-singer",
    lay_out: voices,
    // 48:32:20 of each singer.
    rows: [20, 12, 8],
    num_missing: 0,
    num_scored: 8,
    probe: "--model mel",
    above: 0.7,
};

pub(super) const TECHNIQUE: Case = Case {
    task: "vocalset-technique",
    import: "vocalset-technique",
    // The test singers, and 60:40 of each technique of the others.
    rows: [12, 8, 20],
    num_scored: 20,
    ..SINGER
};

/// Folders of singers, of which the second and the last are the published test singers, and what they sing on.
const SINGERS: [(&str, &str, u8); 4] =
    [("female1", "f1", 60), ("female2", "f2", 67), ("male1", "m1", 46), ("male3", "m3", 53)];

/// Techniques, and how many partials they have here.
const TECHNIQUES: [(&str, u8); 2] = [("belt", 14), ("straight", 2)];

fn voices(place: &Workplace) {
    let mut seed = 0;
    for (folder, singer, pitch) in SINGERS {
        for (technique, num_partials) in TECHNIQUES {
            for vowel in ["a", "e", "i", "o", "u"] {
                seed += 1;
                let name = format!("{singer}_arpeggios_{technique}_{vowel}.wav");
                let samples = timbre(pitch, num_partials, 0.8, seed);
                write(place, &format!("{SET}/FULL/{folder}/arpeggios/{technique}/{name}"), &samples);
            }
        }
    }
    place.write(&format!("{SET}/train_singers_technique.txt"), "female1\nmale1\n");
}
