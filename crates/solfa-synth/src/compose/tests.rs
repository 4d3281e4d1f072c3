use std::collections::BTreeSet;

use super::theory::parse_pitch_class;
use super::*;
use crate::events::Instrument;

fn piece(seed: u64) -> Piece {
    compose(&Request { seed, style: None, key: None, seconds: 30.0 }).unwrap()
}

/// Pitch classes of a chord that this crate writes.
fn classes(chord: &str) -> Option<Vec<u8>> {
    let (root, rest) = chord.split_once(':')?;
    let root = parse_pitch_class(root).unwrap();
    let kind = rest.split_once('/').map_or(rest, |(kind, _)| kind);
    let intervals: &[u8] = match kind {
        "maj" => &[0, 4, 7],
        "min" => &[0, 3, 7],
        "dim" => &[0, 3, 6],
        "aug" => &[0, 4, 8],
        "sus4" => &[0, 5, 7],
        "sus2" => &[0, 2, 7],
        "maj7" => &[0, 4, 7, 11],
        "min7" => &[0, 3, 7, 10],
        "7" => &[0, 4, 7, 10],
        "hdim7" => &[0, 3, 6, 10],
        "dim7" => &[0, 3, 6, 9],
        "minmaj7" => &[0, 3, 7, 11],
        "maj6" => &[0, 4, 7, 9],
        "min6" => &[0, 3, 7, 9],
        "maj9" => &[0, 2, 4, 7, 11],
        "min9" => &[0, 2, 3, 7, 10],
        "9" => &[0, 2, 4, 7, 10],
        "sus4(b7)" => &[0, 5, 7, 10],
        other => panic!("{other} is no kind of chord"),
    };
    Some(intervals.iter().map(|interval| (root + interval) % 12).collect())
}

#[test]
fn the_same_request_gives_the_same_piece_and_another_seed_another() {
    for seed in 0..20 {
        assert_eq!(piece(seed), piece(seed));
        assert_ne!(piece(seed).performance.parts, piece(seed + 1).performance.parts);
    }
}

#[test]
fn pieces_can_be_played_and_are_full_of_notes() {
    for seed in 0..300 {
        let piece = piece(seed);
        piece.performance.validate().unwrap();
        let num_notes = piece.performance.num_notes();
        assert!((60..4000).contains(&num_notes), "{seed}, {:?}: {num_notes} notes", piece.style);
        assert!(piece.performance.parts.len() >= 2, "{seed}");
        assert!(
            piece.labels.melody.len() >= 4,
            "{seed}, {:?}: {} melody notes",
            piece.style,
            piece.labels.melody.len()
        );
        let last = piece.labels.onsets[piece.labels.onsets.len() - 1];
        assert!(last > 20.0, "{seed}, {:?}: the last note is at {last} s", piece.style);
    }
}

#[test]
fn notes_of_the_chord_dominate_in_every_chord() {
    let (mut num_chords, mut worst) = (0, 1.0_f64);
    for seed in 0..200 {
        let piece = piece(seed);
        for span in &piece.labels.chords {
            let Some(classes) = classes(&span.chord) else { continue };
            let (mut inside, mut all) = (0.0, 0.0);
            for part in piece.performance.parts.iter().filter(|part| matches!(part.instrument, Instrument::Program(_)))
            {
                for note in &part.notes {
                    let sounding = note.offset.min(span.end) - note.onset.max(span.start);
                    if sounding > 0.0 {
                        all += sounding;
                        inside += if classes.contains(&(note.pitch % 12)) { sounding } else { 0.0 };
                    }
                }
            }
            if span.end - span.start < 0.1 {
                continue;
            }
            assert!(all > 0.0, "{seed}, {:?}: nothing sounds in {span:?}", piece.style);
            worst = worst.min(inside / all);
            assert!(inside / all > 0.5, "{seed}, {:?}: {span:?}: {}", piece.style, inside / all);
            num_chords += 1;
        }
    }
    println!("{num_chords} chords, worst share of chord notes {worst:.2}");
    assert!(num_chords > 2000);
}

#[test]
fn labels_are_in_order_and_cover_the_piece() {
    for seed in 0..200 {
        let Piece { labels, performance, style, .. } = piece(seed);
        let increasing = |times: &[f64]| times.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(increasing(&labels.beats) && increasing(&labels.downbeats) && increasing(&labels.onsets));
        assert!(labels.downbeats.iter().all(|time| labels.beats.contains(time)));
        let beats_per_bar = match labels.meter.as_deref() {
            Some("4/4") => 4,
            Some("3/4") => 3,
            _ => 2,
        };
        assert_eq!(labels.downbeats.len(), labels.beats.len().div_ceil(beats_per_bar));
        let tempo = labels.tempo.unwrap();
        assert!((48.0..216.0).contains(&tempo), "{style:?}: {tempo}");
        for (place, times) in [
            labels.chords.iter().map(|span| (span.start, span.end)).collect::<Vec<_>>(),
            labels.segments.iter().map(|segment| (segment.start, segment.end)).collect(),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!((times[0].0, times[times.len() - 1].1), (0.0, performance.seconds), "{seed} {place}");
            assert!(times.windows(2).all(|pair| pair[0].1 == pair[1].0), "{seed} {place}: {times:?}");
            assert!(times.iter().all(|(start, end)| end > start), "{seed} {place}: {times:?}");
        }
        let melody = &labels.melody;
        assert!(melody.windows(2).all(|pair| pair[0].offset <= pair[1].onset && pair[0].onset < pair[1].onset));
        assert_eq!(
            labels.instruments.contains(&"drums".to_owned()),
            performance.parts.iter().any(|part| part.name == "drums")
        );
        // Chords change on beats.
        for span in labels.chords.iter().skip(1) {
            assert!(labels.beats.iter().any(|beat| (beat - span.start).abs() < 1e-9), "{seed}: {span:?}");
        }
    }
}

#[test]
fn notes_are_on_the_grid_within_what_hands_do() {
    for seed in 0..60 {
        let Piece { labels, performance, style, .. } = piece(seed);
        if labels.meter.as_deref() == Some("6/8") {
            continue;
        }
        // Every beat that has a note has one within some milliseconds.
        let near = |time: f64| labels.onsets.iter().map(|onset| (onset - time).abs()).fold(f64::INFINITY, f64::min);
        let on_beat = labels.beats.iter().filter(|&&beat| near(beat) < 0.04).count();
        assert!(
            on_beat as f64 > 0.55 * labels.beats.len() as f64,
            "{seed}, {style:?}: {on_beat} of {}",
            labels.beats.len()
        );
        assert!(performance.num_notes() > 0);
    }
}

#[test]
fn most_notes_are_in_the_keys_scale() {
    let (mut total, mut num_pieces) = (0.0, 0.0);
    for seed in 0..240 {
        let piece = piece(seed);
        let mut scale: Vec<u8> = piece.key.scale().to_vec();
        if piece.key.mode == Mode::Minor {
            // The leading tone is minor's own.
            scale.push(11);
        }
        let pitched = piece.performance.parts.iter().filter(|part| matches!(part.instrument, Instrument::Program(_)));
        let notes: Vec<_> = pitched.flat_map(|part| &part.notes).collect();
        let fits = |pitch: u8| scale.contains(&((pitch + 12 - piece.key.tonic) % 12));
        let share = notes.iter().filter(|note| fits(note.pitch)).count() as f64 / notes.len() as f64;
        // Blues and funk are made of sevenths that no scale has all of; jazz leads by dominants of other keys.
        // Rock borrows chords from minor.
        let least = if matches!(piece.style, Style::Rock | Style::Blues | Style::Funk | Style::Jazz | Style::Bossa) {
            0.6
        } else {
            0.8
        };
        assert!(share > least, "{seed}, {:?}, {}: {share}", piece.style, piece.key.name());
        total += share;
        num_pieces += 1.0;
    }
    println!("share of notes in the scale: {:.3}", total / num_pieces);
    assert!(total / num_pieces > 0.9);
}

#[test]
fn everything_occurs() {
    let (mut styles, mut keys, mut meters, mut segments, mut tags) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut progressions = BTreeSet::new();
    let mut melodies = BTreeSet::new();
    for seed in 0..600 {
        let piece = piece(seed);
        styles.insert(piece.style);
        keys.insert(piece.key);
        meters.insert(piece.labels.meter.clone().unwrap());
        segments.extend(piece.labels.segments.iter().map(|segment| segment.label.clone()));
        tags.extend(piece.labels.instruments.iter().cloned());
        progressions.insert(piece.labels.chords.iter().map(|span| span.chord.clone()).collect::<Vec<_>>());
        let first = piece.labels.melody[0].pitch;
        melodies.insert(
            piece.labels.melody.iter().take(12).map(|note| note.pitch as i32 - first as i32).collect::<Vec<_>>(),
        );
    }
    assert_eq!((styles.len(), keys.len(), meters.len(), segments.len()), (12, 24, 3, 6));
    assert!(tags.len() >= 20, "{tags:?}");
    assert!(progressions.len() > 590 && melodies.len() > 580, "{} {}", progressions.len(), melodies.len());
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for seconds in [0.0, -1.0, 7.9, 601.0, f64::NAN, f64::INFINITY] {
        let error = compose(&Request { seed: 0, style: None, key: None, seconds }).unwrap_err();
        assert!(error.to_string().contains("expected 8 to 600"), "{error}");
    }
    for seconds in [10.0, 12.5, 90.0, 600.0] {
        let piece = compose(&Request { seed: 3, style: None, key: None, seconds }).unwrap();
        piece.performance.validate().unwrap();
        assert!(piece.labels.onsets.last().unwrap() > &(0.3 * seconds), "{seconds}");
    }
}
