//! Where a random generator stands, as plain data.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::checkpoint::to_hexadecimal;

/// Where a [`ChaCha8Rng`] stands: the next numbers follow from it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomState {
    /// The key, in hexadecimal.
    key: String,
    /// The stream of that key.
    stream: u64,
    /// 32-bit words that were drawn, in decimal (it may be more than a JSON number holds).
    words: String,
}

/// A state that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("random state: expected {expected}, found `{found}`")]
pub struct RandomStateError {
    expected: &'static str,
    found: String,
}

impl RandomState {
    /// Where a generator stands.
    pub fn of(random: &ChaCha8Rng) -> Self {
        Self {
            key: to_hexadecimal(&random.get_seed()),
            stream: random.get_stream(),
            words: random.get_word_pos().to_string(),
        }
    }

    /// A generator that stands there.
    ///
    /// # Errors
    /// Text that is no state.
    pub fn generator(&self) -> Result<ChaCha8Rng, RandomStateError> {
        /// A generator starts again after so many words.
        const PERIOD_BITS: u32 = 68;
        let error = |expected, found: &str| RandomStateError { expected, found: found.to_owned() };
        let wrong_key = || error("a key of 64 hexadecimal digits", &self.key);
        let mut key = <ChaCha8Rng as SeedableRng>::Seed::default();
        if self.key.len() != 2 * key.len() || !self.key.is_ascii() {
            return Err(wrong_key());
        }
        for (number, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&self.key[2 * number..2 * number + 2], 16).map_err(|_| wrong_key())?;
        }
        let words = self.words.parse::<u128>().ok().filter(|words| words >> PERIOD_BITS == 0);
        let words = words.ok_or_else(|| error("a number of words below 2^68", &self.words))?;
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(self.stream);
        random.set_word_pos(words);
        Ok(random)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_restored_generator_draws_the_same_numbers() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        random.set_stream(u64::MAX);
        for drawn in [0, 1, 15, 16, 1000] {
            (0..drawn).for_each(|_| {
                random.random::<u32>();
            });
            let text = serde_json::to_string(&RandomState::of(&random)).unwrap();
            let state: RandomState = serde_json::from_str(&text).unwrap();
            let mut restored = state.generator().unwrap();
            let mut expected = random.clone();
            assert!((0..100).all(|_| restored.random::<u64>() == expected.random::<u64>()), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_state_is_an_error() {
        let state = RandomState::of(&ChaCha8Rng::seed_from_u64(7));
        let error = |state: RandomState| state.generator().unwrap_err().to_string();
        let found = error(RandomState { key: "0g".repeat(32), ..state.clone() });
        assert!(found.starts_with("random state: expected a key of 64 hexadecimal digits, found `0g"), "{found}");
        assert!(RandomState { key: "ä".repeat(32), ..state.clone() }.generator().is_err());
        assert!(RandomState { key: "00".into(), ..state.clone() }.generator().is_err());
        let found = error(RandomState { words: "-1".into(), ..state.clone() });
        assert_eq!(found, "random state: expected a number of words below 2^68, found `-1`");
        assert!(RandomState { words: (1_u128 << 68).to_string(), ..state }.generator().is_err());
    }
}
