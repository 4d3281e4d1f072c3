//! GiantSteps' tempi: the repository with its two generations of annotations and its ten folds.

use super::sound::{add_clicks, silence, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const TEMPO: Case = Case {
    task: "giantsteps-tempo",
    kind: None,
    import: "giantsteps-tempo --fold 3",
    lay_out: previews,
    rows: [16, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model mel",
    above: 0.7,
};

/// Clicks at one of two tempi. A mean over time still knows how many there were.
fn previews(place: &Workplace) {
    for fold in 0..10 {
        let mut names = String::new();
        for (index, tempo) in [85.0, 150.0].into_iter().enumerate() {
            let id = 1_030_000 + 2 * fold + index;
            let period = 60.0 / tempo;
            let first = 0.05 * fold as f64;
            let times: Vec<f64> =
                (0..).map(|beat| first + period * f64::from(beat)).take_while(|time| *time < 4.8).collect();
            let mut samples = silence(5.0, id);
            add_clicks(&mut samples, &times, 70, 0.1);
            write(place, &format!("{SET}/audio/{id}.LOFI.mp3"), &samples);
            place.write(&format!("{SET}/annotations_v2/tempo/{id}.LOFI.bpm"), format!("{tempo:.1}"));
            // What it said first is often twice the tempo.
            place.write(&format!("{SET}/annotations/tempo/{id}.LOFI.bpm"), format!("{}", 2.0 * tempo));
            names += &format!("{id}.LOFI.mp3\n");
        }
        place.write(&format!("{SET}/splits/fold{:02}.txt", fold + 1), names);
    }
}
