//! Mel spectrograms of clips as the input of a network.

use burn::tensor::{Device, Tensor, TensorData};
use solfa_signal::audio::Waveform;
use solfa_signal::encoder::Encoder;
use solfa_signal::features::MelSpectrogram;

/// Which frames of a centred spectrogram a network sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MelFrames {
    /// All of them.
    All,
    /// All but the last, whose centre is less than a hop before the end of the clip.
    WithoutLast,
}

/// The spectrograms of clips, every value as `scale` makes it of its band's number and itself.
///
/// # Shapes
/// - clips: all of the same number of samples
/// - output: `[clips, frames, mels]`
///
/// # Panics
/// If the clips have different lengths, are too short or at another rate.
pub(super) fn mel_of_clips(
    mel: &MelSpectrogram,
    clips: &[Waveform],
    which: MelFrames,
    scale: impl Fn(usize, f32) -> f32,
    device: &Device,
) -> Tensor<3> {
    let num_mels = mel.spec().layers[0].dim;
    let mut values = Vec::new();
    let mut num_frames = 0;
    for clip in clips {
        let frames = mel.compute(clip);
        num_frames = match which {
            MelFrames::All => frames.num_frames(),
            MelFrames::WithoutLast => frames.num_frames() - 1,
        };
        for frame in frames.slice(0..num_frames).chunks_exact(num_mels) {
            values.extend(frame.iter().enumerate().map(|(band, &value)| scale(band, value)));
        }
    }
    Tensor::from_data(TensorData::new(values, [clips.len(), num_frames, num_mels]), device)
}
