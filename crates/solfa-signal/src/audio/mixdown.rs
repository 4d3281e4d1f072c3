//! Channels to mono.

use std::path::Path;

use super::AudioError;

/// The mean of the channels of each frame, in single precision: the sum in channel order, divided by their number.
///
/// `first_frame` is the position of the first frame in the file, for the error message.
pub(super) fn mix_down(
    path: &Path,
    interleaved: &[f32],
    channels: usize,
    sample_rate: u32,
    first_frame: u64,
) -> Result<Vec<f32>, AudioError> {
    let frames = || interleaved.chunks_exact(channels.max(1));
    let mono: Vec<f32> = match channels {
        1 => interleaved.to_vec(),
        2 => interleaved.as_chunks().0.iter().map(|[left, right]| (left + right) / 2.0).collect(),
        _ => frames().map(|frame| frame.iter().sum::<f32>() / channels as f32).collect(),
    };
    // Without a way out in the midst, the compiler checks many samples at once.
    if mono.iter().fold(true, |all, mean| all & mean.is_finite()) {
        return Ok(mono);
    }
    let Some((index, (frame, mean))) = frames().zip(&mono).enumerate().find(|(_, (_, mean))| !mean.is_finite()) else {
        return Ok(mono);
    };
    // Finite samples whose sum overflows have no culprit: the mean itself is reported, for channel 0.
    let (channel, value) =
        frame.iter().copied().enumerate().find(|(_, value)| !value.is_finite()).unwrap_or((0, *mean));
    let seconds = (first_frame + index as u64) as f64 / f64::from(sample_rate);
    Err(AudioError::NonFinite { path: path.to_path_buf(), seconds, channel, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_is_the_mean_of_the_channels() {
        let mono = |interleaved: &[f32], channels| mix_down(Path::new("x"), interleaved, channels, 8_000, 0).unwrap();
        assert_eq!(mono(&[0.5, -0.25, 1.0], 1), [0.5, -0.25, 1.0]);
        assert_eq!(mono(&[0.5, -0.5, 1.0, 0.5], 2), [0.0, 0.75]);
        assert_eq!(mono(&[0.75, 0.0, 0.0], 3), [0.25]);
        assert_eq!(mono(&[], 2), [0.0f32; 0]);
    }

    #[test]
    fn a_sample_that_is_not_finite_is_named() {
        let error = mix_down(Path::new("x"), &[0.0, 0.0, 0.0, f32::NAN], 2, 8_000, 7_999).unwrap_err();
        assert!(
            matches!(error, AudioError::NonFinite { seconds, channel: 1, value, .. } if seconds == 1.0 && value.is_nan()),
            "{error}"
        );
        let error = mix_down(Path::new("x"), &[f32::MAX, f32::MAX], 2, 8_000, 0).unwrap_err();
        assert!(matches!(error, AudioError::NonFinite { channel: 0, value: f32::INFINITY, .. }), "{error}");
    }
}
