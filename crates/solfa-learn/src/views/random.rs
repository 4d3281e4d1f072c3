//! Chance that depends on its name alone.
//!
//! A number drawn for one purpose must not depend on how many were drawn for others, nor on which thread drew them, nor
//! on how many steps a run has made since it was last started. So there is no generator that lives through a run: each
//! purpose opens the stream that its name stands for.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Names the streams of one clip of one step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClipSeed {
    /// The seed of the run.
    pub seed: u64,
    /// The step, counted from 0.
    pub step: u64,
    /// The place of the clip in the step's batch.
    pub clip: u64,
}

impl ClipSeed {
    /// The stream of `purpose`. The three numbers and a hash of the purpose are the key of a ChaCha generator, so no two
    /// streams share anything.
    pub fn stream(self, purpose: &str) -> RandomStream {
        let mut key = [0; 32];
        let words = [self.seed, self.step, self.clip, fnv(purpose)];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        RandomStream { generator: ChaCha8Rng::from_seed(key) }
    }
}

/// A stream of random numbers. They are made of the generator's bits by arithmetic that is the same on every machine.
#[derive(Clone, Debug)]
pub struct RandomStream {
    generator: ChaCha8Rng,
}

impl RandomStream {
    /// Uniform within 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform between two numbers.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `count`; 0 where that is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.generator.next_u64()) * u128::from(count)) >> 64) as u64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Two independent normal deviates of mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal_pair(&mut self) -> [f64; 2] {
        // 1 - unit is never 0.
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * self.unit());
        [radius * cosine, radius * sine]
    }

    /// Calls `put` with a normal deviate of mean 0 and this deviation for each of `values`.
    pub fn normals(&mut self, deviation: f64, values: &mut [f32], mut put: impl FnMut(&mut f32, f32)) {
        for pair in values.chunks_mut(2) {
            for (value, normal) in pair.iter_mut().zip(self.normal_pair()) {
                put(value, (deviation * normal) as f32);
            }
        }
    }

    /// Puts items in some order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// `count` different whole numbers below `total`, in no order; all of them where there are not so many.
    pub fn distinct(&mut self, count: usize, total: usize) -> Vec<usize> {
        let mut items: Vec<usize> = (0..total).collect();
        let count = count.min(total);
        for place in 0..count {
            items.swap(place, place + self.below((total - place) as u64) as usize);
        }
        items.truncate(count);
        items
    }
}

/// The FNV-1a hash of a text.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: ClipSeed = ClipSeed { seed: 1, step: 2, clip: 3 };

    #[test]
    fn a_stream_depends_on_each_part_of_its_name_and_on_nothing_else() {
        let draw = |seed: ClipSeed, purpose| {
            let mut stream = seed.stream(purpose);
            (0..4).map(|_| stream.below(1 << 40)).collect::<Vec<_>>()
        };
        let first = draw(SEED, "gain");
        assert_eq!(first, draw(SEED, "gain"));
        for other in [
            draw(SEED, "noise"),
            draw(ClipSeed { seed: 9, ..SEED }, "gain"),
            draw(ClipSeed { step: 9, ..SEED }, "gain"),
            draw(ClipSeed { clip: 9, ..SEED }, "gain"),
            draw(ClipSeed { seed: 2, step: 1, clip: 3 }, "gain"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn numbers_have_their_distributions() {
        let mut stream = SEED.stream("test");
        let mut values = vec![0.0; 20_001];
        stream.normals(0.1, &mut values, |value, normal| *value = normal);
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / 20_001.0;
        let deviation = super::super::root_mean_square(&values);
        assert!(mean.abs() < 0.003 && (deviation - 0.1).abs() < 0.002, "{mean} {deviation}");
        let beyond = values.iter().filter(|value| value.abs() > 0.196).count();
        assert!((850..1150).contains(&beyond), "5 % lie beyond 1.96 deviations: {beyond}");
        let counts = (0..6000).fold([0; 6], |mut counts, _| {
            counts[stream.below(6) as usize] += 1;
            counts
        });
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!((stream.below(0), stream.below(1)), (0, 0));
        assert!((2_850..3_150).contains(&(0..10_000).filter(|_| stream.chance(0.3)).count()));
        assert!((0..1000).all(|_| (-3.0..2.0).contains(&stream.range(-3.0, 2.0))));
    }

    #[test]
    fn orders_and_choices_hold_everything_once() {
        let mut stream = SEED.stream("test");
        let mut items: Vec<usize> = (0..50).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        let mut chosen = stream.distinct(20, 30);
        chosen.sort_unstable();
        chosen.dedup();
        assert!(chosen.len() == 20 && chosen.iter().all(|&item| item < 30));
        assert_eq!(stream.distinct(5, 3).len(), 3);
        assert!(stream.distinct(5, 0).is_empty());
    }
}
