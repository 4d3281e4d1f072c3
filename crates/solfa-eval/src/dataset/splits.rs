//! Splits by chance, for data sets that come without.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Split;

/// What is split: a recording by what it must stay together with, and what it should be spread evenly by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitItem {
    /// Recordings of one group (clips of a song, songs of an artist) come to the same split. A recording on its own has
    /// its own name here.
    pub group: String,
    /// Recordings of each stratum (a class) are spread over the splits on their own; one for all if nothing is to be
    /// spread.
    pub stratum: String,
}

/// How large the splits are to be, relative to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitShares {
    /// Share of the training split.
    pub train: f64,
    /// Share of the validation split.
    pub validation: f64,
    /// Share of the test split.
    pub test: f64,
}

impl SplitShares {
    /// 8 to 1 to 1.
    pub const EIGHT_ONE_ONE: Self = Self { train: 8.0, validation: 1.0, test: 1.0 };

    fn of(&self, split: Split) -> f64 {
        let sum = self.train + self.validation + self.test;
        let share = match split {
            Split::Train => self.train,
            Split::Validation => self.validation,
            Split::Test => self.test,
        };
        share / sum
    }
}

impl std::str::FromStr for SplitShares {
    type Err = String;

    /// Reads `8:1:1`: train, val, test.
    fn from_str(text: &str) -> Result<Self, String> {
        let shares: Option<Vec<f64>> = text.split(':').map(|share| share.trim().parse().ok()).collect();
        match shares.as_deref() {
            Some(&[train, validation, test])
                if [train, validation, test].iter().all(|share| share.is_finite() && *share >= 0.0) && train > 0.0 =>
            {
                Ok(Self { train, validation, test })
            }
            _ => Err(format!("`{text}` are no shares: expected three numbers for train, val and test, such as 8:1:1")),
        }
    }
}

impl std::fmt::Display for SplitShares {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}:{}", self.train, self.validation, self.test)
    }
}

/// Gives every item a split, by chance.
///
/// Within each stratum (in alphabetical order) the groups are sorted, shuffled, and each goes to the split that lacks most
/// of its share. So the result depends on the names and the seed, not on the order of the items. A group of several strata
/// counts for that of its first item by name.
pub fn random_splits(items: &[SplitItem], shares: &SplitShares, seed: u64) -> Vec<Split> {
    let mut groups: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for item in items {
        let (stratum, size) = groups.entry(&item.group).or_insert((&item.stratum, 0));
        *stratum = (*stratum).min(&item.stratum);
        *size += 1;
    }
    let mut strata: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (group, (stratum, size)) in groups {
        strata.entry(stratum).or_default().push((group, size));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut assigned: BTreeMap<&str, Split> = BTreeMap::new();
    for members in strata.values_mut() {
        members.shuffle(&mut random);
        let total: usize = members.iter().map(|(_, size)| size).sum();
        let mut lacking = Split::ALL.map(|split| shares.of(split) * total as f64);
        for (group, size) in members.iter() {
            let mut most = 0;
            for place in 1..lacking.len() {
                if lacking[place] > lacking[most] {
                    most = place;
                }
            }
            lacking[most] -= *size as f64;
            assigned.insert(group, Split::ALL[most]);
        }
    }
    items.iter().map(|item| assigned.get(item.group.as_str()).copied().unwrap_or(Split::Train)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(number: usize, classes: usize, group_size: usize) -> Vec<SplitItem> {
        let item = |index: usize| SplitItem {
            group: format!("song {:03}", index / group_size),
            stratum: format!("class {}", index / group_size % classes),
        };
        (0..number).map(item).collect()
    }

    fn counts(splits: &[Split]) -> [usize; 3] {
        Split::ALL.map(|split| splits.iter().filter(|&&found| found == split).count())
    }

    #[test]
    fn shares_hold_in_every_stratum_and_groups_stay_together() {
        let items = items(600, 3, 2);
        let splits = random_splits(&items, &SplitShares::EIGHT_ONE_ONE, 1);
        assert_eq!(counts(&splits), [480, 60, 60]);
        for class in 0..3 {
            let name = format!("class {class}");
            let of_class: Vec<Split> =
                items.iter().zip(&splits).filter(|(item, _)| item.stratum == name).map(|(_, split)| *split).collect();
            assert_eq!(counts(&of_class), [160, 20, 20]);
        }
        for pair in splits.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
    }

    #[test]
    fn the_seed_and_the_names_decide_and_not_the_order() {
        let items = items(100, 4, 1);
        let splits = random_splits(&items, &SplitShares::EIGHT_ONE_ONE, 7);
        let mut reversed = items.clone();
        reversed.reverse();
        let mut of_reversed = random_splits(&reversed, &SplitShares::EIGHT_ONE_ONE, 7);
        of_reversed.reverse();
        assert_eq!(splits, of_reversed);
        assert_ne!(splits, random_splits(&items, &SplitShares::EIGHT_ONE_ONE, 8));
    }

    #[test]
    fn small_strata_go_to_training_first() {
        let splits = random_splits(&items(1, 1, 1), &SplitShares::EIGHT_ONE_ONE, 0);
        assert_eq!(splits, [Split::Train]);
        assert_eq!(random_splits(&[], &SplitShares::EIGHT_ONE_ONE, 0), []);
        let only_test = "1:0:9".parse::<SplitShares>().unwrap();
        assert_eq!(counts(&random_splits(&items(10, 1, 1), &only_test, 0)), [1, 0, 9]);
    }

    #[test]
    fn shares_are_three_numbers() {
        assert_eq!("8:1:1".parse(), Ok(SplitShares::EIGHT_ONE_ONE));
        assert_eq!(SplitShares::EIGHT_ONE_ONE.to_string(), "8:1:1");
        for wrong in ["", "8", "8:1", "8:1:x", "0:1:1", "8:-1:1", "8:nan:1", "8:1:1:1"] {
            assert!(wrong.parse::<SplitShares>().is_err(), "{wrong}");
        }
    }
}
