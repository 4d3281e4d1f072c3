//! How features change over time, beside the features themselves.
//!
//! The slope of a line through five frames (Furui 1986; the definition is that of torchaudio 2.11,
//! `functional.compute_deltas` with its default window): `sum over i of i * frame[t + i] / 10`, `i` from -2 to 2. Past its
//! ends a series goes on as its first and last frame.

use crate::frames::Frames;

/// Frames on either side.
const REACH: usize = 2;

/// Frames followed by their slopes, and the slopes of these, `order` times: `order + 1` times as wide. 39 values of 13
/// coefficients are those of order 2.
pub fn with_deltas(frames: &Frames, order: usize) -> Frames {
    let (num_frames, dim) = (frames.num_frames(), frames.dim());
    let mut parts = vec![frames.data().to_vec()];
    for number in 0..order {
        let slopes = slopes(&parts[number], num_frames, dim);
        parts.push(slopes);
    }
    let mut data = Vec::with_capacity(num_frames * dim * (order + 1));
    for frame in 0..num_frames {
        parts.iter().for_each(|part| data.extend_from_slice(&part[frame * dim..(frame + 1) * dim]));
    }
    Frames::new(data, num_frames, dim * (order + 1), frames.frames_per_second())
}

fn slopes(values: &[f32], num_frames: usize, dim: usize) -> Vec<f32> {
    let squares: usize = (1..=REACH).map(|offset| 2 * offset * offset).sum();
    let value = |frame: usize, column: usize| f64::from(values[frame.min(num_frames - 1) * dim + column]);
    (0..num_frames * dim)
        .map(|place| {
            let (frame, column) = (place / dim, place % dim);
            let difference =
                |offset: usize| value(frame + offset, column) - value(frame.saturating_sub(offset), column);
            let sum: f64 = (1..=REACH).map(|offset| offset as f64 * difference(offset)).sum();
            (sum / squares as f64) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_away_from_its_ends() {
        let ramp: Vec<f32> = (0..9).flat_map(|frame| [3.0 * frame as f32, 1.0]).collect();
        let frames = with_deltas(&Frames::new(ramp, 9, 2, 100.0), 2);
        assert_eq!((frames.num_frames(), frames.dim(), frames.frames_per_second()), (9, 6, 100.0));
        assert_eq!(frames.frame(4), [12.0, 1.0, 3.0, 0.0, 0.0, 0.0]);
        // (1 * 3 + 2 * 6) / 10 at the beginning, where the first frame goes on.
        assert_eq!(frames.frame(0)[2], 1.5);
    }

    #[test]
    fn one_frame_and_none() {
        assert_eq!(with_deltas(&Frames::new(vec![2.0], 1, 1, 1.0), 2).data(), [2.0, 0.0, 0.0]);
        assert_eq!(with_deltas(&Frames::new(vec![], 0, 3, 1.0), 1).dim(), 6);
        let plain = Frames::new(vec![1.0, 2.0], 2, 1, 1.0);
        assert_eq!(with_deltas(&plain, 0), plain);
    }
}
