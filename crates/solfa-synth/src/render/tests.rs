use std::path::Path;

use sha2::{Digest as _, Sha256};
use solfa_signal::features::{Stft, StftConfig};

use super::*;
use crate::compose::{Request, Style, compose};
use crate::events::{Instrument, Note, Part};

fn one_note(program: u8, pitch: u8, seconds: f64) -> Performance {
    let note = Note { onset: 0.1, offset: seconds - 0.4, pitch, velocity: 96 };
    let part = Part {
        name: "note".into(),
        instrument: Instrument::Program(program),
        pan: 0.0,
        volume: 0.9,
        reverb: 0.0,
        notes: vec![note],
    };
    Performance { parts: vec![part], seconds, seed: 11 }
}

fn rms(samples: &[f32]) -> f64 {
    (samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// Mean power spectrum, and Hz from bin to bin.
fn spectrum(sound: &Waveform) -> (Vec<f64>, f64) {
    let fft_samples = 8192;
    let frames = Stft::new(StftConfig::power(sound.sample_rate(), fft_samples, 2048)).unwrap().compute(sound);
    let mut sums = vec![0.0; frames.dim()];
    for frame in frames.data().chunks(frames.dim()) {
        sums.iter_mut().zip(frame).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    (sums, f64::from(sound.sample_rate()) / fft_samples as f64)
}

#[test]
fn every_program_sounds_at_its_pitch() {
    let mut num_checked = 0;
    for program in (0..112).filter(|program| !matches!(program, 47 | 96..=103)) {
        for pitch in [45, 57, 64, 74, 84] {
            let sound = BuiltinSynth.render(&one_note(program, pitch, 1.5), 24_000).unwrap();
            let (power, bin_hertz) = spectrum(&sound);
            let hertz = 440.0 * 2_f64.powf((f64::from(pitch) - 69.0) / 12.0);
            // Energy near the harmonics of the pitch against all of it: a harmonic sound has most of its energy there.
            let harmonics: Vec<f64> = (1..=40).map(|number| hertz * f64::from(number)).collect();
            let near = |frequency: f64| {
                harmonics.iter().any(|harmonic| (frequency - harmonic).abs() < (0.012 * harmonic).max(2.5 * bin_hertz))
            };
            let total: f64 = power.iter().sum();
            let inside: f64 =
                power.iter().enumerate().filter(|(bin, _)| near(*bin as f64 * bin_hertz)).map(|(_, power)| power).sum();
            let share = inside / total;
            // Bars and bells have partials of their own, breathy pipes noise.
            let least = match program {
                8..=14 | 108 => 0.3,
                75 | 77 | 93 => 0.4,
                _ => 0.6,
            };
            assert!(share > least, "program {program}, pitch {pitch}: {share}");
            let bin = (hertz / bin_hertz).round() as usize;
            let at_pitch = power[bin - 2..=bin + 2].iter().cloned().fold(0.0, f64::max);
            let strongest = power.iter().cloned().fold(0.0, f64::max);
            assert!(at_pitch > 1e-4 * strongest, "program {program}, pitch {pitch}: {}", at_pitch / strongest);
            num_checked += 1;
        }
    }
    assert!(num_checked > 450, "{num_checked}");
}

#[test]
fn pitches_are_right_within_a_few_cents() {
    for program in [0, 4, 16, 24, 25, 27, 33, 40, 48, 56, 65, 73, 80, 105] {
        for pitch in [40, 55, 69, 81] {
            let sound = BuiltinSynth.render(&one_note(program, pitch, 2.5), 44_100).unwrap();
            let hertz = 440.0 * 2_f64.powf((f64::from(pitch) - 69.0) / 12.0);
            // The frequency at which the windowed sum is largest, found by trying: every cent within a semitone.
            let samples = &sound.samples()[8_000..60_000];
            let magnitude = |frequency: f64| {
                let step = std::f64::consts::TAU * frequency / 44_100.0;
                let (mut real, mut imaginary) = (0.0, 0.0);
                for (place, &sample) in samples.iter().enumerate() {
                    let window = (std::f64::consts::PI * place as f64 / samples.len() as f64).sin().powi(2);
                    real += window * f64::from(sample) * (step * place as f64).cos();
                    imaginary += window * f64::from(sample) * (step * place as f64).sin();
                }
                real * real + imaginary * imaginary
            };
            let tried =
                (-30..=30).step_by(3).map(|cents| (cents, magnitude(hertz * 2_f64.powf(f64::from(cents) / 1200.0))));
            let best = tried.max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
            assert!(i32::abs(best.0) <= 12, "program {program}, pitch {pitch}: {} cents", best.0);
        }
    }
}

#[test]
fn pieces_are_loud_enough_and_never_clip() {
    for (seed, style) in Style::ALL.into_iter().enumerate() {
        let piece = compose(&Request { seed: seed as u64, style: Some(style), key: None, seconds: 12.0 }).unwrap();
        let stereo = BuiltinSynth.render_stereo(&piece.performance, 24_000).unwrap();
        for channel in [&stereo.left, &stereo.right] {
            assert_eq!(channel.len(), 288_000);
            assert!(channel.iter().all(|sample| sample.abs() < 1.0), "{style:?} clips");
            let mean = channel.iter().map(|&sample| f64::from(sample)).sum::<f64>() / channel.len() as f64;
            assert!(mean.abs() < 0.005, "{style:?}: {mean}");
        }
        let mono = stereo.mono();
        assert!((0.04..0.25).contains(&rms(mono.samples())), "{style:?}: {}", rms(mono.samples()));
        let silent = mono.samples().chunks(2400).filter(|block| rms(block) < 1e-4).count();
        assert!(silent < 40, "{style:?}: {silent} of 120 tenths of a second are silent");
        let steepest = mono.samples().windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.9, "{style:?}: a step of {steepest}");
    }
}

#[test]
fn the_same_performance_gives_the_same_bytes() {
    let piece = compose(&Request { seed: 5, style: Some(Style::Funk), key: None, seconds: 10.0 }).unwrap();
    let bytes = |seed| {
        let performance = Performance { seed, ..piece.performance.clone() };
        let sound = BuiltinSynth.render(&performance, 24_000).unwrap();
        sound.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>()
    };
    assert!(bytes(5) == bytes(5));
    assert!(bytes(5) != bytes(6), "the seed varies timbres");
    let hash: String = Sha256::digest(bytes(5)).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Made on x86-64. Another value on another machine means that something depends on the machine.
    assert_eq!(hash, "dc55ade8ea73ad38");
}

#[test]
fn programs_sound_different_from_each_other() {
    // The balance of octaves, of one note, tells families apart.
    let balance = |program| {
        let sound = BuiltinSynth.render(&one_note(program, 60, 1.2), 24_000).unwrap();
        let (power, bin_hertz) = spectrum(&sound);
        let total: f64 = power.iter().sum();
        let bands: Vec<f64> = (0..7)
            .map(|octave| {
                let (low, high) = (100.0 * 2_f64.powi(octave), 200.0 * 2_f64.powi(octave));
                let within = |bin: usize| (low..high).contains(&(bin as f64 * bin_hertz));
                let sum: f64 = power.iter().enumerate().filter(|(bin, _)| within(*bin)).map(|(_, power)| power).sum();
                (sum / total + 1e-6).log10()
            })
            .collect();
        bands
    };
    let programs = [0, 6, 11, 16, 21, 24, 29, 33, 40, 48, 52, 56, 65, 68, 71, 73, 80, 89];
    let balances: Vec<Vec<f64>> = programs.iter().map(|&program| balance(program)).collect();
    for (place, one) in balances.iter().enumerate() {
        for (other_place, other) in balances.iter().enumerate().take(place) {
            let distance: f64 = one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum();
            assert!(distance > 0.3, "programs {} and {}: {distance}", programs[place], programs[other_place]);
        }
    }
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let piece = one_note(0, 60, 1.0);
    let message = |performance: &Performance, rate| BuiltinSynth.render(performance, rate).unwrap_err().to_string();
    assert_eq!(message(&piece, 8_000), "a sample rate of 8000 Hz: expected 16000 to 192000");
    assert!(message(&Performance { seconds: 0.0, ..piece.clone() }, 24_000).contains("expected more than 0"));
    let silent = Performance { parts: Vec::new(), ..piece };
    assert!(BuiltinSynth.render(&silent, 24_000).unwrap().samples().iter().all(|&sample| sample == 0.0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("font.sf2");
    for bytes in [&b""[..], b"RIFF", b"RIFF\xff\xff\xff\xffsfbkLIST\xff\xff\xff\x7fINFO"] {
        fs_err::write(&path, bytes).unwrap();
        let message = SoundFontSynth::open(&path).unwrap_err().to_string();
        assert!(message.contains("font.sf2: not a SoundFont that can be used"), "{message}");
    }
    assert!(SoundFontSynth::open(&folder.path().join("absent.sf2")).unwrap_err().to_string().contains("absent.sf2"));
}

#[test]
fn a_soundfont_sounds_where_there_is_one() {
    let path = Path::new("/usr/share/sounds/sf2/TimGM6mb.sf2");
    if !path.exists() {
        println!("skipped: {} is not installed", path.display());
        return;
    }
    let synth = SoundFontSynth::open(path).unwrap();
    assert!(synth.identity().starts_with("soundfont TimGM6mb.sf2 sha256:"));
    let piece = compose(&Request { seed: 1, style: Some(Style::Rock), key: None, seconds: 10.0 }).unwrap();
    let stereo = synth.render_stereo(&piece.performance, 24_000).unwrap();
    assert_eq!(stereo.left.len(), 240_000);
    let mono = stereo.mono();
    assert!((0.04..0.25).contains(&rms(mono.samples())), "{}", rms(mono.samples()));
    assert!(mono.samples().iter().all(|sample| sample.abs() < 1.0));
    assert_eq!(stereo, synth.render_stereo(&piece.performance, 24_000).unwrap());
    let many: Vec<Part> = (0..20).map(|program| one_note(program, 60, 1.0).parts.remove(0)).collect();
    let crowd = Performance { parts: many, seconds: 1.0, seed: 0 };
    assert!(rms(synth.render(&crowd, 24_000).unwrap().samples()) > 0.02, "more parts than channels");
}
