//! The Harmonix Set: the repository's `dataset` folder, and recordings of one's own.

use super::sound::{add_clicks, timbre, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const STRUCTURE: Case = Case {
    task: "harmonix-structure",
    kind: None,
    import: "harmonix-structure --shares 6:2:2",
    lay_out: songs,
    rows: [6, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model mel --frame-rate 10",
    // Beginning and end alone would score 0.67.
    above: 0.75,
};

pub(super) const BEATS: Case = Case {
    task: "beats-of-pop",
    kind: Some("beats"),
    import: "harmonix-beats --shares 6:2:2",
    probe: "--model mel",
    above: 0.8,
    ..STRUCTURE
};

/// Labels as annotators write them, and how bright each part is.
const PARTS: [(&str, u8); 3] = [("verse1", 1), ("chorus", 12), ("outro", 4)];

/// A click on each beat, a louder one on each downbeat, a crash where a part begins.
fn songs(place: &Workplace) {
    let mut metadata = "File,Title,Artist,Release,Duration,BPM,Ratio Bars in 4,Time Signature,Genre\n".to_owned();
    for number in 0..10_u8 {
        let name = format!("{:04}_asong", 100 + u32::from(number));
        let tempo = [100.0, 120.0, 125.0][usize::from(number % 3)];
        let period: f64 = 60.0 / tempo;
        // Parts of as many bars as fill at least seven seconds.
        let bars = (7.0 / (4.0 * period)).ceil() + f64::from(number % 2);
        let part = bars * 4.0 * period;
        let (mut segments, mut beats) = (String::new(), String::new());
        let mut samples = Vec::new();
        for (index, (label, num_partials)) in PARTS.into_iter().enumerate() {
            segments += &format!("{:.6} {label}\n", part * index as f64);
            samples.extend(timbre(50 + number % 4, num_partials, part, usize::from(number) * 3 + index));
        }
        segments += &format!("{:.6} end\n", part * 3.0);
        let (mut all, mut first) = (Vec::new(), Vec::new());
        for beat in 0..(3.0 * bars * 4.0) as u32 {
            let time = 0.02 + f64::from(beat) * period;
            beats += &format!("{time:.6}\t{}\t{}\n", beat % 4 + 1, beat / 4 + 1);
            all.push(time);
            if beat % 4 == 0 {
                first.push(time);
            }
        }
        let boundaries: Vec<f64> = (1..3).map(|index| part * f64::from(index)).collect();
        add_clicks(&mut samples, &all, 96, 0.04);
        add_clicks(&mut samples, &first, 108, 0.04);
        add_clicks(&mut samples, &boundaries, 119, 0.1);
        metadata += &format!("{name},A song,\"Artist, {number}\",x,{:.1},{tempo},1.0,4|4,Pop\n", part * 3.0);
        place.write(&format!("{SET}/harmonixset/dataset/segments/{name}.txt"), segments);
        place.write(&format!("{SET}/harmonixset/dataset/beats_and_downbeats/{name}.txt"), beats);
        write(place, &format!("{SET}/music/{name}.mp3"), &samples);
    }
    place.write(&format!("{SET}/harmonixset/dataset/metadata.csv"), metadata);
}
