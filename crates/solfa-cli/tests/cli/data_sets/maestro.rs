//! MAESTRO: a table, and folders of years with a recording and a MIDI file of each performance.

use super::sound::{add, notes, silence, write};
use super::{Case, SET};
use crate::common::Workplace;

pub(super) const NOTES: Case = Case {
    task: "maestro",
    kind: None,
    import: "maestro",
    lay_out: performances,
    rows: [6, 2, 2],
    num_missing: 0,
    num_scored: 2,
    probe: "--model mel",
    above: 0.5,
};

/// Ticks of a quarter note, of which two are a second.
const TICKS_PER_QUARTER: u16 = 384;

/// A note that is played: its start and its end in ticks, and its pitch.
type Played = (u32, u32, u8);

/// A quantity of variable length, as MIDI files have them.
fn variable_length(value: u32) -> Vec<u8> {
    let groups = [value >> 21, value >> 14, value >> 7, value].map(|group| (group & 0x7f) as u8);
    let first = groups.iter().position(|&group| group != 0).unwrap_or(3);
    groups[first..]
        .iter()
        .enumerate()
        .map(|(place, group)| if first + place < 3 { group | 0x80 } else { *group })
        .collect()
}

/// A file of two tracks as MAESTRO's: tempo and meter, then the notes.
fn midi(played: &[Played]) -> Vec<u8> {
    let chunk =
        |kind: &[u8; 4], content: &[u8]| [kind.as_slice(), &(content.len() as u32).to_be_bytes(), content].concat();
    let end = [0, 0xff, 0x2f, 0];
    let conductor = [&[0, 0xff, 0x51, 3, 0x07, 0xa1, 0x20, 0, 0xff, 0x58, 4, 4, 2, 24, 8][..], &end].concat();
    let mut events: Vec<(u32, [u8; 3])> = Vec::new();
    for &(start, stop, pitch) in played {
        events.push((start, [0x90, pitch, 64]));
        events.push((stop, [0x90, pitch, 0]));
    }
    events.sort_by_key(|(time, event)| (*time, event[2]));
    let (mut track, mut now) = (Vec::new(), 0);
    for (time, event) in events {
        track.extend(variable_length(time - now));
        track.extend(event);
        now = time;
    }
    track.extend(end);
    let header = [&[0, 1, 0, 2][..], &TICKS_PER_QUARTER.to_be_bytes()].concat();
    [chunk(b"MThd", &header), chunk(b"MTrk", &conductor), chunk(b"MTrk", &track)].concat()
}

/// Two voices that do not begin together.
fn performances(place: &Workplace) {
    let root = format!("{SET}/maestro-v3.0.0");
    let mut table = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n".to_owned();
    let second = 2 * u32::from(TICKS_PER_QUARTER);
    for number in 0..10_u32 {
        let split = ["train", "validation", "test"][usize::from(number >= 6) + usize::from(number >= 8)];
        let mut played: Vec<Played> = Vec::new();
        for step in 0..6 {
            let start = second / 4 + step * second * 5 / 8;
            played.push((start, start + second / 2, [60, 64, 67][((number + step) % 3) as usize]));
            if step % 2 == 1 {
                played.push((start + second / 4, start + second / 2, [79, 83][((number + step / 2) % 2) as usize]));
            }
        }
        let mut samples = silence(4.5, number as usize);
        for (index, &(start, stop, pitch)) in played.iter().enumerate() {
            let [start, stop] = [start, stop].map(|ticks| f64::from(ticks) / f64::from(second));
            add(&mut samples, start, &notes(&[pitch], stop - start, 100 * number as usize + index));
        }
        let (year, name) = (2004 + number % 3, format!("MIDI-Unprocessed_{number:02}_R1_2004_wav"));
        table += &format!(
            "Frédéric Chopin,\"Étude, Op. 10 No. {number}\",{split},{year},{year}/{name}.midi,{year}/{name}.wav,4.5\n"
        );
        place.write(&format!("{root}/{year}/{name}.midi"), midi(&played));
        write(place, &format!("{root}/{year}/{name}.wav"), &samples);
    }
    place.write(&format!("{root}/maestro-v3.0.0.csv"), table);
    place.write(&format!("{root}/maestro-v3.0.0.json"), "{}");
}
