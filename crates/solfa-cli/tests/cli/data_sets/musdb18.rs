//! MUSDB18-HQ: folders of songs with a mixture and its four stems, stereo.

use super::sound::{RATE, add_clicks, notes, silence};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const SEPARATION: Case = Case {
    task: "musdb18",
    kind: None,
    import: "musdb18",
    lay_out: songs,
    rows: [4, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model mel",
    // Decibels: the mixture in the place of a stem has about -5, silence 0.
    above: 3.0,
};

/// A network that learns four songs of three seconds in a second.
pub(super) const SMALL_NETWORK: &str = r#"
separation = { hidden = 32, num_layers = 2, dropout = 0.0, excerpt_seconds = 1.0, excerpts_per_batch = 16 }
max_epochs = 15
learning_rates = [0.01]
seeds = [0, 1]
"#;

/// Songs by part, of which two are among those that the `musdb` package sets aside for validation.
const SONGS: [(&str, &str); 8] = [
    ("train", "A Classic Education - NightOwl"),
    ("train", "ANiMAL - Clinic A"),
    ("train", "Actions - Devil's Words"),
    ("train", "Aimee Norwich - Child"),
    ("train", "ANiMAL - Rockshow"),
    ("train", "Leaf - Summerghost"),
    ("test", "AM Contra - Heart Peripheral"),
    ("test", "Al James - Schoolboy Facination"),
];

/// Each stem has a range of its own.
fn stems(song: usize) -> [(&'static str, Vec<f32>); 4] {
    const SECONDS: f64 = 3.0;
    let step = (song % 4) as u8;
    let mut drums = silence(SECONDS, 10 * song);
    let beats: Vec<f64> = (0..6).map(|beat| 0.1 + 0.5 * f64::from(beat)).collect();
    add_clicks(&mut drums, &beats, 110, 0.05);
    [
        ("vocals", notes(&[72 + step], SECONDS, 10 * song + 1)),
        ("drums", drums),
        ("bass", notes(&[36 + step], SECONDS, 10 * song + 2)),
        ("other", notes(&[52 + step, 56 + step], SECONDS, 10 * song + 3)),
    ]
}

fn songs(place: &Workplace) {
    for (song, (part, title)) in SONGS.into_iter().enumerate() {
        let stems = stems(song);
        let mixture: Vec<f32> =
            (0..stems[0].1.len()).map(|sample| stems.iter().map(|(_, samples)| 0.5 * samples[sample]).sum()).collect();
        let stereo = |samples: &[f32], by: f32| samples.iter().flat_map(|sample| [by * sample; 2]).collect::<Vec<_>>();
        let write = |name: &str, samples: Vec<f32>| {
            place.wav_of_channels(&format!("{SET}/{part}/{title}/{name}.wav"), RATE, 2, &samples);
        };
        write("mixture", stereo(&mixture, 1.0));
        stems.iter().for_each(|(name, samples)| write(name, stereo(samples, 0.5)));
    }
}
