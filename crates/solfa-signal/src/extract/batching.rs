//! Which clips are encoded in one call.

use crate::audio::Waveform;

/// What clips one call of [`Encoder::encode`](crate::encoder::Encoder::encode) is given. The result does not depend on
/// it; memory and the use of all cores do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Clips at most.
    pub clips: usize,
    /// Samples of all clips together at most. A clip that alone has more is encoded alone.
    pub samples: usize,
    /// Whether clips of different lengths may be in one call: an encoder that makes one pass for clips of equal length
    /// gains nothing from others.
    pub mixes_lengths: bool,
}

impl Batching {
    /// Up to `clips` clips of equal length.
    pub fn equal_lengths(clips: usize) -> Self {
        Self { clips, samples: usize::MAX, mixes_lengths: false }
    }

    /// Clips of any lengths, as many as have `samples` samples together.
    pub fn any_lengths(clips: usize, samples: usize) -> Self {
        Self { clips, samples, mixes_lengths: true }
    }

    /// Whether a clip of `num_samples` may join those whose lengths are `waiting`.
    pub(super) fn takes(&self, waiting: impl ExactSizeIterator<Item = usize> + Clone, num_samples: usize) -> bool {
        let Some(first) = waiting.clone().next() else { return true };
        waiting.len() < self.clips
            && (self.mixes_lengths || first == num_samples)
            && waiting.sum::<usize>().saturating_add(num_samples) <= self.samples
    }

    /// Whether those whose lengths are `waiting` can be joined by no other.
    pub(super) fn is_full(&self, waiting: impl ExactSizeIterator<Item = usize>) -> bool {
        waiting.len() >= self.clips || waiting.sum::<usize>() >= self.samples
    }

    /// Cuts clips into calls, in order.
    pub fn calls<'clips>(&self, clips: &'clips [Waveform]) -> impl Iterator<Item = &'clips [Waveform]> {
        let (batching, mut rest) = (*self, clips);
        std::iter::from_fn(move || {
            let fits = |count: &usize| {
                let waiting = rest[..*count].iter().map(Waveform::num_samples);
                batching.takes(waiting, rest[*count].num_samples())
            };
            let count = (0..rest.len()).take_while(fits).count();
            let (call, after) = rest.split_at(count);
            rest = after;
            (!call.is_empty()).then_some(call)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(batching: Batching, clips: &[usize]) -> Vec<Vec<usize>> {
        let clips: Vec<Waveform> = clips.iter().map(|&length| Waveform::new(vec![0.0; length], 8_000)).collect();
        batching.calls(&clips).map(|call| call.iter().map(Waveform::num_samples).collect()).collect()
    }

    #[test]
    fn calls_keep_the_order_and_every_limit() {
        let clips = [5, 5, 5, 2, 2, 9, 1];
        assert_eq!(lengths(Batching::equal_lengths(2), &clips), [vec![5, 5], vec![5], vec![2, 2], vec![9], vec![1]]);
        assert_eq!(
            lengths(Batching::any_lengths(3, 8), &clips),
            [vec![5], vec![5], vec![5, 2], vec![2], vec![9], vec![1]]
        );
        assert_eq!(lengths(Batching::any_lengths(9, usize::MAX), &clips), [clips.to_vec()]);
        assert_eq!(lengths(Batching::equal_lengths(1), &[]), Vec::<Vec<usize>>::new());
        assert_eq!(lengths(Batching::any_lengths(0, 0), &[3, 3]), [[3], [3]], "no call is without a clip");
    }
}
