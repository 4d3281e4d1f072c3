//! Decoding files on disk: real music, every format, and files that are broken in every way we know.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use solfa_signal::audio::{AudioError, MonoSource, Waveform, find_ffmpeg, open, read};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// A file of these bytes, for as long as the folder lives.
fn file_of(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<Waveform, AudioError> {
    let (_folder, path) = file_of(name, bytes);
    read(&path)
}

fn fails(name: &str, bytes: &[u8]) -> AudioError {
    match read_bytes(name, bytes) {
        Ok(waveform) => panic!("{name} decodes to {waveform:?}"),
        Err(error) => {
            assert!(error.to_string().contains(name), "the error does not name the file: {error}");
            error
        }
    }
}

fn damaged(name: &str, bytes: &[u8]) -> (f64, String) {
    match fails(name, bytes) {
        AudioError::Damaged { seconds, reason, .. } => (seconds, reason),
        error => panic!("{name}: {error:?}"),
    }
}

fn root_mean_square(samples: &[f32]) -> f64 {
    (samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// A WAV file with hound's writer.
fn wav<S: hound::Sample + Copy>(spec: hound::WavSpec, samples: &[S]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> hound::WavSpec {
    hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format: hound::SampleFormat::Int }
}

fn float_spec(channels: u16, sample_rate: u32) -> hound::WavSpec {
    hound::WavSpec { channels, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float }
}

/// A WAV file whose samples these bytes are, in the format with this tag.
fn raw_wav(tag: u16, channels: u16, sample_rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let align = channels * bits / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend([tag.to_le_bytes(), channels.to_le_bytes()].concat());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * u32::from(align)).to_le_bytes());
    bytes.extend([align.to_le_bytes(), bits.to_le_bytes()].concat());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Lengths, root mean squares and samples at 1/5, 2/5, 3/5, 4/5 and the end are libsndfile's (python-soundfile,
/// float32, channels added in order in float32 and divided by their number).
#[test]
fn real_music_agrees_with_libsndfile() {
    let references: [(&str, u32, usize, f64, [f32; 5]); 4] = [
        ("rainy.wav", 22050, 176_400, 0.013_995_33, [0.006652832, -0.005157471, -0.01248169, 0.01687622, 0.03720093]),
        (
            "compus.flac",
            44100,
            286_054,
            0.052_103_85,
            [0.004501343, -0.0007629395, 0.1300812, -0.0007629395, 1.525879e-05],
        ),
        (
            "hungarian_dance.mp3",
            44100,
            529_200,
            0.086_146_63,
            [0.08580777, 0.04526145, 0.0656996, -0.06491345, -0.06969386],
        ),
        ("shrine.ogg", 48000, 384_000, 0.024_612_71, [-0.02429807, -0.01389945, 0.01889144, 0.004966316, -0.01410643]),
    ];
    for (name, sample_rate, num_samples, rms, values) in references {
        let path = fixture("audio").join(name);
        assert_eq!(open(&path).unwrap().num_samples_hint(), Some(num_samples as u64), "{name}");
        let waveform = read(&path).unwrap();
        assert_eq!(waveform.sample_rate(), sample_rate, "{name}");
        assert_eq!(waveform.num_samples(), num_samples, "{name}");
        // Lossless formats must agree to the digits given; decoders of lossy ones differ a little.
        let tolerance = if name.ends_with("wav") || name.ends_with("flac") { 1e-7 } else { 2e-5 };
        assert!((root_mean_square(waveform.samples()) - rms).abs() < f64::from(tolerance), "{name}");
        let n = num_samples;
        for (position, value) in [n / 5, 2 * n / 5, 3 * n / 5, 4 * n / 5, n - 1].into_iter().zip(values) {
            let found = waveform.samples()[position];
            assert!((found - value).abs() <= tolerance, "{name}: {found} at {position}, {value} expected");
        }
    }
}

#[test]
fn a_stream_gives_the_same_samples_in_blocks_and_then_ends_for_good() {
    for name in ["rainy.wav", "compus.flac", "hungarian_dance.mp3", "shrine.ogg"] {
        let path = fixture("audio").join(name);
        let mut source = open(&path).unwrap();
        let mut samples = Vec::new();
        while let Some(block) = source.next_block().unwrap() {
            assert!(block.num_samples() > 0 && block.num_samples() < 100_000, "{name}: {block:?}");
            assert_eq!(block.sample_rate(), source.sample_rate());
            samples.extend(block.into_samples());
        }
        assert!(source.next_block().unwrap().is_none());
        assert_eq!(samples, read(&path).unwrap().into_samples(), "{name}");
    }
}

/// Every name lies: only the content counts.
#[test]
fn content_decides_and_not_the_name() {
    for name in ["rainy.wav", "compus.flac", "hungarian_dance.mp3", "shrine.ogg"] {
        let path = fixture("audio").join(name);
        let bytes = fs::read(&path).unwrap();
        for alias in ["song.mp3", "song.flac", "song.txt", "song", "-i"] {
            assert_eq!(read_bytes(alias, &bytes).unwrap(), read(&path).unwrap(), "{name} as {alias}");
        }
    }
}

#[test]
fn wav_of_every_width_channels_and_rate() {
    for bits in [8, 16, 24, 32] {
        let full_scale = 2f64.powi(bits - 1);
        for channels in 1..=8u16 {
            for sample_rate in [8_000, 44_100, 192_000] {
                let levels = (0..200).map(|i| f64::from(i % 17 - 8) / 10.0);
                let samples: Vec<i32> = levels.map(|level| (level * full_scale) as i32).collect();
                let whole = samples.len() / usize::from(channels) * usize::from(channels);
                let bytes = wav(spec(channels, sample_rate, bits as u16), &samples[..whole]);
                let waveform = read_bytes("a.wav", &bytes).unwrap();
                assert_eq!(waveform.sample_rate(), sample_rate);
                let expected: Vec<f32> = samples[..whole]
                    .chunks(channels.into())
                    .map(|frame| {
                        let sum: f32 = frame.iter().map(|&sample| (f64::from(sample) / full_scale) as f32).sum();
                        sum / f32::from(channels)
                    })
                    .collect();
                assert_eq!(waveform.samples(), expected, "{bits} bits, {channels} channels");
            }
        }
    }
}

#[test]
fn wav_of_floats() {
    let samples = [0.5f32, -0.25, 1.5, -1.5, 1e-30, 0.0];
    let mono = read_bytes("a.wav", &wav(float_spec(1, 16_000), &samples)).unwrap();
    assert_eq!(mono.samples(), samples);
    let doubles: Vec<u8> = samples.iter().flat_map(|&sample| f64::from(sample).to_le_bytes()).collect();
    assert_eq!(read_bytes("a.wav", &raw_wav(3, 1, 16_000, 64, &doubles)).unwrap().samples(), samples);
    let one = read_bytes("a.wav", &wav(spec(1, 16_000, 16), &[16_384i16])).unwrap();
    assert_eq!(one.samples(), [0.5]);
}

#[test]
fn samples_that_are_not_finite_are_named() {
    for (value, channel, frame) in [(f32::NAN, 0, 3000), (f32::INFINITY, 1, 0), (f32::NEG_INFINITY, 1, 4999)] {
        let mut samples = vec![0.25f32; 10_000];
        samples[2 * frame + channel] = value;
        match fails("nan.wav", &wav(float_spec(2, 1000), &samples)) {
            AudioError::NonFinite { seconds, channel: found, .. } => {
                assert_eq!((seconds, found), (frame as f64 / 1000.0, channel));
            }
            error => panic!("{error:?}"),
        }
    }
    let huge: Vec<u8> = [0.0, 1e300f64].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let error = fails("huge.wav", &raw_wav(3, 1, 16_000, 64, &huge));
    assert!(matches!(error, AudioError::NonFinite { channel: 0, .. }), "{error}");
}

/// 440 Hz at 0.4 left and 660 Hz at 0.2 right: the mono mean has a power of (0.2² + 0.1²) / 2.
fn assert_tone(name: &str, waveform: &Waveform, lengths: std::ops::RangeInclusive<usize>) {
    assert!(lengths.contains(&waveform.num_samples()), "{name}: {waveform:?}");
    let rate = f64::from(waveform.sample_rate());
    let middle = &waveform.samples()[waveform.num_samples() / 5..waveform.num_samples() * 4 / 5];
    let amplitude = |frequency: f64| {
        let angle = |i: usize| 2.0 * std::f64::consts::PI * frequency * i as f64 / rate;
        let sum = |wave: fn(f64) -> f64| -> f64 {
            middle.iter().enumerate().map(|(i, &sample)| f64::from(sample) * wave(angle(i))).sum()
        };
        2.0 * sum(f64::sin).hypot(sum(f64::cos)) / middle.len() as f64
    };
    assert!((amplitude(440.0) - 0.2).abs() < 0.015, "{name}: {}", amplitude(440.0));
    assert!((amplitude(660.0) - 0.1).abs() < 0.015, "{name}: {}", amplitude(660.0));
    assert!((root_mean_square(middle) - (0.05f64 / 2.0).sqrt()).abs() < 0.03, "{name}");
}

#[test]
fn tones_in_every_format_decoded_here() {
    for (name, sample_rate, num_samples) in [
        ("tone.aiff", 8_000, 4_000),
        ("tone-alac.m4a", 8_000, 4_000),
        ("tone-alac-24.m4a", 8_000, 4_000),
        ("tone.mp3", 44_100, 44_100),
        // 40 frames of 1152: without a tag, the encoder's delay stays.
        ("tone-without-tag.mp3", 44_100, 46_080),
        // The edit list takes the 1024 samples of delay away, and the sample table ends with the sound.
        ("tone-aac.m4a", 44_100, 44_100),
        // 45 packets of 1024: ADTS cannot say how much is delay.
        ("tone.aac", 44_100, 46_080),
    ] {
        let waveform = read(&fixture("formats").join(name)).unwrap();
        assert_eq!(waveform.sample_rate(), sample_rate, "{name}");
        assert_tone(name, &waveform, num_samples..=num_samples);
    }
    // AAC-LC at a rate where HE-AAC would be possible.
    assert_eq!(read(&fixture("formats/low-rate-aac.m4a")).unwrap().num_samples(), 22_050);
    assert_eq!(read(&fixture("formats/low-rate.aac")).unwrap().sample_rate(), 22_050);
}

/// The phase is right too: what the MP3 and AAC decoders give fits the tone that was encoded best where it lies.
#[test]
fn the_delay_of_encoders_is_taken_away_to_the_sample() {
    let tone = |i: usize| {
        let time = 2.0 * std::f64::consts::PI * i as f64 / 44_100.0;
        (0.2 * (440.0 * time).sin() + 0.1 * (660.0 * time).sin()) as f32
    };
    for name in ["tone.mp3", "tone-aac.m4a"] {
        let waveform = read(&fixture("formats").join(name)).unwrap();
        let misfit = |late: usize| {
            let difference: Vec<f32> = (2_000..42_000).map(|i| waveform.samples()[i + late] - tone(i + 2)).collect();
            root_mean_square(&difference)
        };
        assert!(misfit(2) < misfit(1) && misfit(2) < misfit(3), "{name}: {} {} {}", misfit(1), misfit(2), misfit(3));
    }
}

#[test]
fn formats_left_to_ffmpeg() {
    if find_ffmpeg().is_none() {
        println!("skipped: there is no ffmpeg on the PATH");
        return;
    }
    for (name, sample_rate, lengths) in [
        ("tone.opus", 48_000, 48_000..=48_000),
        ("tone-opus.webm", 48_000, 47_000..=49_000),
        ("tone.wma", 44_100, 42_000..=47_000),
        ("tone.mp2", 44_100, 44_000..=46_080),
    ] {
        let waveform = read(&fixture("formats").join(name)).unwrap();
        assert_eq!(waveform.sample_rate(), sample_rate, "{name}");
        assert_tone(name, &waveform, lengths);
    }
    // The mean of six channels, (0.1 + 0.2 + 0.3 + 0 + 0.4 + 0.5) / 6 at its peak, and no other mixing rule.
    let surround = read(&fixture("formats/tone-aac-5.1.m4a")).unwrap();
    let rms = root_mean_square(&surround.samples()[8_000..16_000]);
    assert!((rms * 2f64.sqrt() - 0.25).abs() < 0.02, "{rms}");
    // Twice the rate of what a decoder without SBR would give.
    for name in ["he-aac-explicit.m4a", "he-aac-implicit.aac"] {
        assert_eq!(read(&fixture("formats").join(name)).unwrap().sample_rate(), 44_100, "{name}");
    }
    // A name that looks like an option, and one that looks like a protocol.
    let opus = fs::read(fixture("formats/tone.opus")).unwrap();
    for name in ["-y", "-i.opus", "concat:a|b", "a b\u{e9}'\".opus"] {
        assert_eq!(read_bytes(name, &opus).unwrap().num_samples(), 48_000, "{name}");
    }
    // What ffmpeg cannot decode is an error with its words in it.
    let error = fails("broken.opus", &opus[..300]);
    assert!(!matches!(error, AudioError::Unsupported { .. }), "{error}");
    let wma = fs::read(fixture("formats/tone.wma")).unwrap();
    let error = fails("broken.wma", &wma[..60]);
    assert!(matches!(&error, AudioError::Ffmpeg { message, .. } if !message.is_empty()), "{error:?}");
}

#[test]
fn what_is_no_sound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()).unwrap_err(), AudioError::Io { .. }));
    assert!(matches!(read(&folder.path().join("none.wav")).unwrap_err(), AudioError::Io { .. }));
    assert!(matches!(fails("empty.mp3", b""), AudioError::EmptyFile { .. }));
    for (name, bytes) in [
        ("text.wav", "This is no recording.\n".repeat(100).into_bytes()),
        ("short.wav", b"RI".to_vec()),
        ("zeros.mp3", vec![0; 100_000]),
        ("ones.mp3", vec![255; 100_000]),
        ("notes.mid", b"MThd\0\0\0\x06\0\x01\0\x01\0\x60".to_vec()),
        ("page.pdf", b"%PDF-1.7\n".to_vec()),
    ] {
        let error = fails(name, &bytes);
        assert!(matches!(error, AudioError::Unsupported { .. }), "{error:?}");
    }
    let error = read(&fixture("formats/video-only.mp4")).unwrap_err();
    assert!(matches!(&error, AudioError::Unsupported { reason, .. } if reason.contains("audio track")), "{error:?}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let error = read(Path::new("/dev/zero")).unwrap_err();
    assert!(matches!(error, AudioError::Unsupported { .. }), "{error:?}");
}

#[test]
fn no_samples_are_no_sound() {
    let error = fails("none.wav", &wav::<i16>(spec(2, 44_100, 16), &[]));
    assert!(matches!(error, AudioError::NoSound { found: 0, .. }), "{error:?}");
}

#[test]
fn headers_that_make_no_sense_are_errors() {
    let data = [0; 400];
    fails("rate.wav", &raw_wav(1, 1, 0, 16, &data));
    fails("channels.wav", &raw_wav(1, 0, 8_000, 16, &data));
    fails("bits.wav", &raw_wav(1, 1, 8_000, 0, &data));
    // Symphonia 0.6.1 panics on this one where overflow is checked.
    assert!(read(&fixture("formats/hostile.aiff")).is_err());
    fails("codec.wav", &raw_wav(0x7777, 1, 8_000, 16, &data));
}

/// The lengths in the message are those of the header and of what is there.
#[test]
fn files_cut_off_are_damaged_and_say_by_how_much() {
    for (name, seconds) in
        [("rainy.wav", 8.0), ("compus.flac", 6.486), ("hungarian_dance.mp3", 12.0), ("shrine.ogg", 8.0)]
    {
        let bytes = fs::read(fixture("audio").join(name)).unwrap();
        for part in [0.3, 0.9] {
            let (found, reason) = damaged(name, &bytes[..(bytes.len() as f64 * part) as usize]);
            assert!(found < seconds && found > 0.1 * seconds, "{name} cut at {part}: {found} s, {reason}");
            assert!(name == "shrine.ogg" || reason.contains("promises"), "{name}: {reason}");
        }
    }
    for name in ["tone-aac.m4a", "tone-alac.m4a", "tone.aiff"] {
        let bytes = fs::read(fixture("formats").join(name)).unwrap();
        damaged(name, &bytes[..bytes.len() / 2]);
    }
    // All that was read before the damage is handed out, and nothing after.
    let bytes = fs::read(fixture("audio/rainy.wav")).unwrap();
    let (_folder, path) = file_of("cut.wav", &bytes[..44 + 2 * 100_000]);
    let mut source = open(&path).unwrap();
    let mut num_samples = 0;
    let error = loop {
        match source.next_block() {
            Ok(Some(block)) => num_samples += block.num_samples(),
            Ok(None) => panic!("the end was reached"),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(num_samples, 100_000);
    assert!(error.contains("promises 176400 samples (8.00 s), and the file holds 100000 (4.54 s)"), "{error}");
    assert!(source.next_block().unwrap().is_none());
}

#[test]
fn a_header_that_claims_more_or_knows_no_length() {
    let mut bytes = wav(spec(1, 8_000, 16), &[100i16; 1000]);
    let place = bytes.windows(4).position(|window| window == b"data").unwrap() + 4;
    bytes[place..place + 4].copy_from_slice(&0x7fff_ff00u32.to_le_bytes());
    damaged("longer-than-riff.wav", &bytes);
    bytes[4..8].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    let (seconds, reason) = damaged("claim.wav", &bytes);
    assert_eq!(seconds, 0.125);
    assert!(reason.contains("1073741696"), "{reason}");
    bytes[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read_bytes("pipe.wav", &bytes).unwrap().num_samples(), 1000);
}

#[test]
fn damage_in_the_middle_is_found() {
    for name in ["compus.flac", "hungarian_dance.mp3", "shrine.ogg"] {
        let bytes = fs::read(fixture("audio").join(name)).unwrap();
        let (from, to) = (bytes.len() / 2, bytes.len() / 2 + 20_000);
        let missing = [&bytes[..from], &bytes[to..]].concat();
        damaged(name, &missing);
        let mut overwritten = bytes.clone();
        overwritten[from..to].fill(0x55);
        damaged(name, &overwritten);
    }
}

#[test]
fn an_mp3_without_a_tag_is_as_long_as_its_frames() {
    let bytes = fs::read(fixture("formats/tone-without-tag.mp3")).unwrap();
    let half = read_bytes("half.mp3", &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(half.num_samples() % 1152, 0);
    assert!((19 * 1152..=20 * 1152).contains(&half.num_samples()), "{half:?}");
}

#[test]
fn harmless_junk_round_an_mp3_changes_nothing() {
    let bytes = fs::read(fixture("formats/tone.mp3")).unwrap();
    let expected = read(&fixture("formats/tone.mp3")).unwrap();
    let sound = {
        let length = bytes[6..10].iter().fold(0, |size, &byte| size << 7 | usize::from(byte));
        assert!(bytes.starts_with(b"ID3"));
        &bytes[10 + length..]
    };
    // A picture of 5 MB in an ID3v2 tag: 5,242,880 is 2, 64, 0, 0 in digits of 7 bits.
    let mut large_tag = b"ID3\x04\0\0\x02\x40\0\0".to_vec();
    large_tag.resize(large_tag.len() + 5_242_880, 0xff);
    let mut old_tag = b"TAG".to_vec();
    old_tag.resize(128, b' ');
    let garbage = b"garbage without any frame in it ".repeat(100);
    for (name, parts) in [
        ("no-tag.mp3", vec![sound]),
        ("large-tag.mp3", vec![&large_tag, sound]),
        ("junk-in-front.mp3", vec![&garbage, sound]),
        ("zeros-in-front.mp3", vec![&[0; 3000], sound]),
        ("junk-behind.mp3", vec![sound, &garbage]),
        ("tags-behind.mp3", vec![sound, &old_tag]),
        ("zeros-behind.mp3", vec![sound, &[0; 100_001]]),
        ("half-a-frame-behind.mp3", vec![sound, &sound[300..500]]),
    ] {
        assert_eq!(read_bytes(name, &parts.concat()).unwrap(), expected, "{name}");
    }
}

#[test]
fn damage_at_the_very_start_of_an_mp3_costs_no_time() {
    let bytes = fs::read(fixture("formats/tone-without-tag.mp3")).unwrap();
    let start = bytes.windows(2).position(|window| window == [0xff, 0xfb]).unwrap();
    let mut broken = bytes.clone();
    broken[start + 4..start + 60].fill(0xff);
    assert_eq!(read_bytes("broken.mp3", &broken).unwrap().num_samples(), 46_080);
    // Two songs in one file: the first one's tag does not cut the second one off.
    let tagged = fs::read(fixture("formats/tone.mp3")).unwrap();
    let joined = read_bytes("joined.mp3", &[&tagged[..], &tagged].concat()).unwrap();
    assert!(joined.num_samples() > 2 * 44_100, "{joined:?}");
}

/// Prefixes and corruptions of every fixture: an error or sound, and never a panic or an endless loop.
/// `SOLFA_CORRUPTIONS` sets how many there are of each, for a longer search.
#[test]
fn nothing_panics() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let corruptions: usize =
        std::env::var("SOLFA_CORRUPTIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile");
    let mut names: Vec<PathBuf> = ["he-aac-explicit.m4a", "low-rate.aac", "tone-aac.m4a", "tone-alac.m4a", "tone.aac"]
        .into_iter()
        .chain(["tone.aiff", "tone.mp3", "tone-without-tag.mp3"])
        .map(|name| fixture("formats").join(name))
        .collect();
    names.extend(["shrine.ogg", "compus.flac", "rainy.wav"].map(|name| fixture("audio").join(name)));
    for name in names {
        let mut bytes = fs::read(&name).unwrap();
        bytes.truncate(20_000);
        for _ in 0..corruptions {
            let mut hostile = bytes.clone();
            match random() % 3 {
                0 => hostile.truncate(random() % bytes.len()),
                1 => (0..1 + random() % 8).for_each(|_| hostile[random() % bytes.len()] = random() as u8),
                // Headers are where the trouble lies.
                _ => (0..1 + random() % 8).for_each(|_| hostile[random() % bytes.len().min(700)] = random() as u8),
            }
            fs::write(&path, &hostile).unwrap();
            let outcome = std::panic::catch_unwind(|| read(&path).map(|waveform| waveform.num_samples()));
            if outcome.is_err() {
                let kept = std::env::temp_dir().join("solfa-hostile");
                fs::write(&kept, &hostile).unwrap();
                panic!("a corruption of {} panics: see {}", name.display(), kept.display());
            }
        }
    }
    // Random bytes, some of which contain what looks like MPEG frames.
    for _ in 0..20 {
        let hostile: Vec<u8> = (0..100_000).map(|_| random() as u8).collect();
        fs::write(&path, &hostile).unwrap();
        assert!(read(&path).is_err());
    }
}
