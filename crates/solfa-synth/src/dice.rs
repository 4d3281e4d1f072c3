//! Chance that is the same everywhere: a seed and the name of what it decides give a stream of numbers.
//!
//! Every purpose has a stream of its own, so that a change in how drums are drawn changes no melody. Numbers are made of
//! the generator's bits by integer arithmetic and one exact multiplication, so they do not depend on the machine.

use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A seeded source of decisions.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `purpose` under `seed`.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(fnv(purpose));
        Self(generator)
    }

    /// Uniform within 0 to 1, 1 excluded.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform between two numbers.
    pub(crate) fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `count`; 0 where that is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn integer(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1).max(1) as usize) as i32
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn pick<'choices, T>(&mut self, choices: &'choices [T]) -> &'choices T {
        &choices[self.below(choices.len())]
    }

    /// The place of one of `weights`, by their size.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (place, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return place;
            }
        }
        weights.len() - 1
    }

    /// Near enough to a normal deviate for timing and touch: mean 0, deviation 1, never beyond 3.5.
    pub(crate) fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 1.732_050_807_568_877_2
    }

    /// Puts the items in some order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A seed for something else.
    pub(crate) fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// The FNV-1a hash of a text.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_the_same_each_time_and_differ_by_purpose() {
        let draw = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "bass"), draw(1, "bass"));
        assert_ne!(draw(1, "bass"), draw(1, "drums"));
        assert_ne!(draw(1, "bass"), draw(2, "bass"));
    }

    #[test]
    fn draws_keep_to_their_ranges_and_reach_all_of_them() {
        let mut dice = Dice::new(7, "test");
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[dice.below(5)] += 1;
            assert!((0.0..1.0).contains(&dice.unit()));
            assert!((-3..=3).contains(&dice.integer(-3, 3)));
            assert!(dice.normal().abs() <= 3.5);
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        let weighted = (0..4000).filter(|_| dice.weighted(&[1.0, 3.0]) == 1).count();
        assert!((2850..3150).contains(&weighted), "{weighted}");
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        dice.shuffle(&mut items);
        assert_ne!(items, [0, 1, 2, 3, 4, 5, 6, 7]);
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
