//! Which notes a chord is played with: near to those before, as voice leading asks.

use super::theory::{Chord, Quality};

/// Notes of a chord from the lowest up, in a compass, moving as little as possible from those before.
///
/// `num_voices` of at least 2. `previous` is empty at the start, and then the middle of the compass decides. Roots and
/// fifths are left out before thirds and sevenths where there are more notes than voices.
pub(crate) fn voice_chord(chord: Chord, num_voices: usize, low: i32, high: i32, previous: &[i32]) -> Vec<i32> {
    let classes = chosen_classes(chord, num_voices);
    let middle = 0.5 * f64::from(low + high);
    let mut best: (f64, Vec<i32>) = (f64::INFINITY, Vec::new());
    for bottom in low..=high {
        let Some(place) = classes.iter().position(|&class| i32::from(class) == bottom.rem_euclid(12)) else { continue };
        for is_open in [false, true] {
            let notes = stack(&classes, place, bottom, num_voices, is_open);
            if notes.last().is_none_or(|&top| top > high + 4) {
                continue;
            }
            let cost = cost(&notes, previous, middle, is_open);
            if cost < best.0 {
                best = (cost, notes);
            }
        }
    }
    if best.1.is_empty() { stack(&classes, 0, low, num_voices, false) } else { best.1 }
}

fn cost(notes: &[i32], previous: &[i32], middle: f64, is_open: bool) -> f64 {
    let mean = notes.iter().map(|&note| f64::from(note)).sum::<f64>() / notes.len() as f64;
    let place = (mean - middle).abs();
    if previous.is_empty() {
        return place + if is_open { 3.0 } else { 0.0 };
    }
    let nearest = |note: i32, others: &[i32]| others.iter().map(|other| (other - note).abs()).min().unwrap_or(0);
    let motion: i32 = notes.iter().map(|&note| nearest(note, previous)).sum();
    let back: i32 = previous.iter().map(|&note| nearest(note, notes)).sum();
    f64::from(motion + back) + 0.35 * place + if is_open { 2.5 } else { 0.0 }
}

/// Pitch classes in close order from the root, at most `num_voices` of them.
fn chosen_classes(chord: Chord, num_voices: usize) -> Vec<u8> {
    let mut classes = chord.classes();
    let is_altered_fifth = matches!(
        chord.quality,
        Quality::Diminished | Quality::HalfDiminished7 | Quality::Diminished7 | Quality::Augmented
    );
    if classes.len() > num_voices && !is_altered_fifth {
        classes.remove(2);
    }
    if classes.len() > num_voices {
        classes.remove(0);
    }
    classes.truncate(num_voices.max(2));
    classes.sort_unstable_by_key(|&class| (class + 12 - chord.root()) % 12);
    classes
}

fn stack(classes: &[u8], place: usize, bottom: i32, num_voices: usize, is_open: bool) -> Vec<i32> {
    let mut notes = vec![bottom];
    let mut next = place;
    while notes.len() < num_voices {
        next += 1;
        let last = notes[notes.len() - 1];
        let class = i32::from(classes[next % classes.len()]);
        let mut note = last + (class - last).rem_euclid(12);
        if note == last {
            note += 12;
        }
        notes.push(note);
    }
    // An open voicing lifts the second voice from below by an octave.
    if is_open && notes.len() >= 3 {
        notes[1] += 12;
        notes.sort_unstable();
    }
    notes
}

/// The note of a pitch class that is nearest to `near`, kept within `low` and `high` by octaves.
pub(crate) fn nearest_of_class(class: u8, near: i32, low: i32, high: i32) -> i32 {
    let mut note = near + (i32::from(class) - near).rem_euclid(12);
    if note - near > 6 {
        note -= 12;
    }
    while note < low {
        note += 12;
    }
    while note > high && note - 12 >= low {
        note -= 12;
    }
    note
}

#[cfg(test)]
mod tests {
    use super::super::theory::{Key, numeral};
    use super::*;

    #[test]
    fn voices_move_little_and_stay_in_their_compass() {
        let key = Key::parse("C major").unwrap();
        let mut previous = Vec::new();
        for text in ["I", "vi", "IV", "V7", "I", "ii7", "V9", "IM7", "#ivø", "V7/V"] {
            let chord = numeral(key, text).unwrap();
            let notes = voice_chord(chord, 4, 50, 72, &previous);
            assert_eq!(notes.len(), 4);
            assert!(notes.is_sorted() && notes[0] >= 50 && notes[3] <= 76, "{text}: {notes:?}");
            assert!(notes.iter().all(|&note| chord.contains(note)), "{text}: {notes:?}");
            if !previous.is_empty() {
                let middle = |notes: &[i32]| notes.iter().sum::<i32>() as f64 / notes.len() as f64;
                assert!((middle(&notes) - middle(&previous)).abs() < 4.0, "{previous:?} {notes:?}");
            }
            previous = notes;
        }
        assert_eq!(nearest_of_class(0, 61, 40, 80), 60);
        assert_eq!(nearest_of_class(0, 67, 61, 80), 72);
        assert_eq!(nearest_of_class(11, 37, 28, 50), 35);
    }
}
