//! A stretch of a recording, without decoding more than it must.

use std::path::Path;

use super::resample::Ratio;
use super::{AudioError, MonoSource, Resampler, Waveform, open, resample};

/// Reads up to `num_samples` samples of a recording from sample `start` on, at its own rate: bit for bit what
/// [`read`](super::read) gives there. Fewer, or none, come where the recording ends before.
///
/// An MP3 is walked through by its frames' headers; WAV, AIFF, FLAC and Ogg Vorbis are sought in; all else is decoded from
/// its start. Damage before and after the stretch may go unnoticed.
///
/// # Errors
/// As for [`open`].
pub fn read_stretch(path: &Path, start: u64, num_samples: usize) -> Result<Waveform, AudioError> {
    let mut source = open(path)?;
    let samples = take(source.as_mut(), start, num_samples)?;
    Ok(Waveform::new(samples, source.sample_rate()))
}

/// [`read_stretch`] at `rate` Hz: `start` and `num_samples` count samples of that rate. With the resamplers of windowed
/// sincs this is bit for bit the stretch of the whole recording resampled; [`Resampler::Fast`] works in blocks, whose
/// places differ, and is near it.
///
/// # Errors
/// As for [`open`] and [`resample`].
pub fn read_resampled_stretch(
    path: &Path,
    rate: u32,
    resampler: Resampler,
    start: u64,
    num_samples: usize,
) -> Result<Waveform, AudioError> {
    let mut source = open(path)?;
    let ratio = Ratio::new(source.sample_rate(), rate)?;
    if ratio.from == ratio.to {
        let samples = take(source.as_mut(), start, num_samples)?;
        return Ok(Waveform::new(samples, rate));
    }
    let (input, output) = (ratio.input as u64, ratio.output as u64);
    let margin = margin_samples(resampler, ratio);
    // From here on, the phases of the resampler are those of the whole recording.
    let first_cycle = (position(start, input, output)).saturating_sub(margin) / input;
    let last = position(start.saturating_add(num_samples as u64), input, output) + 1 + margin;
    let stretch_start = first_cycle * input;
    let samples = take(source.as_mut(), stretch_start, (last - stretch_start) as usize)?;
    let resampled = resample(&Waveform::new(samples, source.sample_rate()), rate, resampler)?.into_samples();
    let skipped = (start - first_cycle * output) as usize;
    let samples = resampled.into_iter().skip(skipped).take(num_samples).collect();
    Ok(Waveform::new(samples, rate))
}

/// The number of samples of a recording and their rate, as far as this can be said without decoding it: what its header
/// says where that can be relied on, or the number of MP3 frames; else it is decoded.
///
/// # Errors
/// As for [`open`].
pub fn count_samples(path: &Path) -> Result<(u64, u32), AudioError> {
    let mut source = open(path)?;
    let rate = source.sample_rate();
    if let Some(count) = source.num_samples_hint() {
        return Ok((count, rate));
    }
    let mut count = source.pass_over(u64::MAX)?;
    while let Some(block) = source.next_block()? {
        count += block.num_samples() as u64;
    }
    Ok((count, rate))
}

/// Where sample `index` of the new rate stands among the old ones, rounded down.
fn position(index: u64, input: u64, output: u64) -> u64 {
    u64::try_from(u128::from(index) * u128::from(input) / u128::from(output)).unwrap_or(u64::MAX / 2)
}

/// Samples on either side that a resampled one can depend on, at the old rate and rounded up.
fn margin_samples(resampler: Resampler, ratio: Ratio) -> u64 {
    let at_lower_rate = match resampler {
        Resampler::SincHann => 8,
        Resampler::SincKaiser => 72,
        // Two blocks.
        Resampler::Fast => 8_192.max(4 * ratio.input.min(ratio.output)),
    };
    (at_lower_rate * ratio.input.div_ceil(ratio.output) + 8) as u64
}

/// Samples from `start` on.
fn take(source: &mut dyn MonoSource, start: u64, num_samples: usize) -> Result<Vec<f32>, AudioError> {
    /// Samples to reserve memory for: a caller can ask for anything.
    const MAXIMUM_RESERVED: usize = 1 << 24;
    let mut to_drop = start - source.pass_over(start)?.min(start);
    let mut samples = Vec::with_capacity(num_samples.min(MAXIMUM_RESERVED));
    while samples.len() < num_samples {
        let Some(block) = source.next_block()? else { break };
        let block = block.samples();
        let dropped = to_drop.min(block.len() as u64) as usize;
        to_drop -= dropped as u64;
        let missing = num_samples - samples.len();
        samples.extend(block[dropped..].iter().take(missing));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::audio::read;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
    }

    const RECORDINGS: [&str; 4] =
        ["audio/hungarian_dance.mp3", "audio/compus.flac", "audio/rainy.wav", "audio/shrine.ogg"];

    #[test]
    fn a_stretch_is_bit_for_bit_that_of_the_whole() {
        let others = ["formats/tone.aiff", "formats/tone-alac.m4a", "formats/tone-aac.m4a", "formats/tone.aac"];
        let tones = ["formats/tone.mp3", "formats/tone-without-tag.mp3"];
        for name in RECORDINGS.iter().chain(&others).chain(&tones) {
            let path = fixture(name);
            let whole = read(&path).unwrap();
            let total = whole.num_samples();
            for (start, length) in [
                (0, 1_000),
                (1, 5_000),
                (total / 7, 1),
                (total / 3, 30_000),
                (total / 2 + 11, 12_345),
                (total * 5 / 6 - 1, 2_000),
                (total - 100, 300),
                (total, 10),
                (total + 1_000_000, 10),
            ] {
                let stretch = read_stretch(&path, start as u64, length).unwrap();
                let from = start.min(total);
                let expected = &whole.samples()[from..total.min(from + length)];
                assert!(stretch.samples() == expected, "{name}: {length} samples from {start} of {total}");
            }
        }
    }

    #[test]
    fn a_resampled_stretch_is_that_of_the_resampled_whole() {
        for name in RECORDINGS {
            let path = fixture(name);
            let whole = read(&path).unwrap();
            for (rate, resampler) in [
                (24_000, Resampler::SincHann),
                (16_000, Resampler::SincKaiser),
                (48_000, Resampler::SincKaiser),
                (whole.sample_rate(), Resampler::SincHann),
            ] {
                let resampled = resample(&whole, rate, resampler).unwrap();
                let total = resampled.num_samples();
                for (start, length) in [(0, 4_000), (total / 3 + 1, 30_000), (total - 50, 100), (total + 5, 10)] {
                    let stretch = read_resampled_stretch(&path, rate, resampler, start as u64, length).unwrap();
                    let from = start.min(total);
                    let expected = &resampled.samples()[from..total.min(from + length)];
                    assert!(stretch.samples() == expected, "{name}: {rate} Hz, {resampler}, from {start} of {total}");
                }
            }
            let resampled = resample(&whole, 24_000, Resampler::Fast).unwrap();
            let stretch = read_resampled_stretch(&path, 24_000, Resampler::Fast, 50_001, 20_000).unwrap();
            crate::testing::assert_close(name, stretch.samples(), &resampled.samples()[50_001..70_001], 1e-3);
        }
    }

    #[test]
    fn samples_are_counted_as_they_are_read() {
        for name in
            RECORDINGS.iter().chain(&["formats/tone-without-tag.mp3", "formats/tone.aac", "formats/tone-aac.m4a"])
        {
            let whole = read(&fixture(name)).unwrap();
            let counted = count_samples(&fixture(name)).unwrap();
            assert_eq!(counted, (whole.num_samples() as u64, whole.sample_rate()), "{name}");
        }
        assert!(count_samples(Path::new("nowhere.wav")).is_err());
        assert!(read_stretch(&fixture("formats/video-only.mp4"), 5, 5).is_err());
    }

    #[test]
    fn a_cut_off_file_is_damaged_where_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        for name in RECORDINGS {
            let bytes = fs_err::read(fixture(name)).unwrap();
            let path = folder.path().join("cut");
            fs_err::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let whole = read(&fixture(name)).unwrap();
            let (total, rate) = (whole.num_samples(), whole.sample_rate() as usize);
            let start = total / 4;
            let before = read_stretch(&path, start as u64, rate).unwrap();
            assert!(before.samples() == &whole.samples()[start..start + rate], "{name}");
            assert!(read_stretch(&path, (total - rate) as u64, rate).is_err(), "{name}");
        }
    }
}
