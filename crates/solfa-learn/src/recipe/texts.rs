//! What is said of tracks, for methods that learn from words.

use sha2::{Digest, Sha256};

use super::{Ground, PretrainError};
use crate::checkpoint::to_hexadecimal;
use crate::data::Collection;

/// What is said of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackTexts {
    /// Words or short phrases: a genre, an instrument, a mood.
    pub tags: Vec<String>,
    /// Sentences, each about the whole track.
    pub captions: Vec<String>,
}

impl TrackTexts {
    /// The same without spaces around texts, without empty ones, and with each one once.
    #[must_use]
    pub fn tidy(&self) -> Self {
        let tidy = |texts: &[String]| {
            let mut kept: Vec<String> = Vec::with_capacity(texts.len());
            for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
                if !kept.iter().any(|known| known == text) {
                    kept.push(text.to_owned());
                }
            }
            kept
        };
        Self { tags: tidy(&self.tags), captions: tidy(&self.captions) }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.captions.is_empty()
    }
}

/// The texts of a ground, tidied: as many as there are tracks.
pub(super) fn tidied(ground: &Ground<'_>) -> Vec<TrackTexts> {
    let mut texts: Vec<TrackTexts> = ground.texts.iter().map(TrackTexts::tidy).collect();
    texts.resize(ground.collection.len(), TrackTexts::default());
    texts
}

/// The collection without the tracks of which nothing is said.
///
/// # Errors
/// [`PretrainError::NoTexts`] where that is every track.
pub(super) fn described(collection: &Collection, texts: &[TrackTexts]) -> Result<Collection, PretrainError> {
    let is_described = |track: usize| texts.get(track).is_some_and(|texts| !texts.tidy().is_empty());
    if !(0..collection.len()).any(is_described) {
        return Err(PretrainError::NoTexts { count: collection.len() });
    }
    Ok(collection.without(|track| (!is_described(track)).then(|| "nothing is said of it: no tags, no caption".into())))
}

/// The hash of tracks and texts together.
pub(super) fn data_sha256(collection: &Collection, texts: &[TrackTexts]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(collection.data_sha256());
    for TrackTexts { tags, captions } in texts {
        // Texts may hold anything but the byte 0.
        for (kind, texts) in [("tag", tags), ("caption", captions)] {
            texts.iter().for_each(|text| hasher.update(format!("{kind}\0{text}\0")));
        }
        hasher.update("\n");
    }
    to_hexadecimal(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::Chords;
    use super::*;

    fn said(tags: &[&str], captions: &[&str]) -> TrackTexts {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        TrackTexts { tags: owned(tags), captions: owned(captions) }
    }

    #[test]
    fn empty_and_repeated_texts_are_nothing() {
        let texts = said(&[" rock", "", "rock ", "fast"], &["  "]).tidy();
        assert_eq!(texts, said(&["rock", "fast"], &[]));
        assert!(!texts.is_empty() && said(&[" "], &[""]).tidy().is_empty());
    }

    #[test]
    fn tracks_without_words_are_listed_and_words_count_in_the_hash() {
        let chords = Chords { sample_rate: 16_000, num_tracks: 3, seconds: 1.0 };
        let collection = Collection::survey(Arc::new(chords)).unwrap();
        let texts = [said(&["rock"], &[]), said(&[" "], &[])];
        let left = described(&collection, &texts).unwrap();
        let skipped: Vec<usize> = left.unreadable().iter().map(|track| track.track).collect();
        assert_eq!(skipped, [1, 2]);
        assert!(left.unreadable()[0].reason.contains("no tags, no caption"));
        let error = described(&collection, &texts[1..]).err().unwrap().to_string();
        assert!(error.contains("of none of 3 tracks"), "{error}");
        let hash = |texts: &[TrackTexts]| data_sha256(&collection, texts);
        let first = hash(&texts);
        for other in
            [vec![said(&[], &["rock"])], vec![said(&["ro", "ck"], &[])], vec![said(&[], &[]), texts[0].clone()]]
        {
            assert_ne!(first, hash(&other));
        }
    }
}
