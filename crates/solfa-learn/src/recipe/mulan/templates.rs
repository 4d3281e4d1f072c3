//! Tags turned to sentences, so that a text model reads what it was trained on.
//!
//! Half of the time tags stay a plain list, as the MuQ-MuLan recipe has it (`plain_rate` 0.5; Zhu et al. 2025,
//! arXiv:2501.01108). The sentences here are this project's own. They hold for any tag, whether it names a genre, an
//! instrument or a mood; in every language the tags themselves stay in that of the data.

use serde::{Deserialize, Serialize};

use super::super::{ConfigError, TrackTexts};
use crate::views::ClipSeed;

/// What stands for the tags in a sentence.
const SLOT: &str = "{tags}";

/// How the text of a clip is drawn from what is said of its track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::recipe) struct TextConfig {
    /// How often tags stay a plain list, the others being put into a sentence.
    plain_rate: f64,
    /// How often a caption is taken where there are tags too.
    caption_rate: f64,
    /// Tags in one text at most, drawn anew each time; their order is too.
    maximum_tags: usize,
    /// The languages of the sentences, each as often as the others.
    languages: Vec<Language>,
}

/// A language that there are sentences in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Language {
    English,
    Chinese,
    German,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self { plain_rate: 0.5, caption_rate: 0.5, maximum_tags: 10, languages: vec![Language::English] }
    }
}

impl Language {
    /// Its sentences, each with the place of the tags.
    fn templates(self) -> &'static [&'static str] {
        match self {
            Self::English => &[
                "Music with these traits: {tags}.",
                "A recording that listeners tag as {tags}.",
                "If you look for {tags}, play this.",
                "The words for this track are {tags}.",
                "What one hears here: {tags}.",
                "An excerpt of a track, filed under {tags}.",
                "{tags}: this is how the piece sounds.",
                "Someone described this sound as {tags}.",
            ],
            Self::Chinese => &[
                "这段音乐的特点：{tags}。",
                "听众给这首曲子的标签是{tags}。",
                "想听{tags}，就放这一首。",
                "用几个词来说这段录音：{tags}。",
                "这里能听到的是{tags}。",
                "{tags}，这就是它听起来的样子。",
            ],
            Self::German => &[
                "Musik mit diesen Merkmalen: {tags}.",
                "Eine Aufnahme, zu der die Schlagwörter {tags} gehören.",
                "Wer {tags} sucht, ist hier richtig.",
                "In Stichworten klingt dieses Stück so: {tags}.",
                "Was man hier hört: {tags}.",
                "{tags}: So lässt sich der Titel beschreiben.",
            ],
        }
    }

    /// Tags one after the other, as they stand in a sentence.
    fn list(self, tags: &[&str]) -> String {
        let (comma, last) = match self {
            Self::English => (", ", " and "),
            Self::Chinese => ("、", "和"),
            Self::German => (", ", " und "),
        };
        match tags {
            [] => String::new(),
            [tag] => (*tag).to_owned(),
            [first @ .., end] => format!("{}{last}{end}", first.join(comma)),
        }
    }
}

impl TextConfig {
    /// Refuses numbers without meaning.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: String| Err(ConfigError::Value { key: format!("method.texts.{key}"), reason });
        for (key, found) in [("plain_rate", self.plain_rate), ("caption_rate", self.caption_rate)] {
            if !(0.0..=1.0).contains(&found) {
                return wrong(key, format!("expected a number from 0 to 1, found {found}"));
            }
        }
        if self.maximum_tags == 0 {
            return wrong("maximum_tags", "expected 1 or more, found 0".into());
        }
        if self.languages.is_empty() {
            return wrong("languages", "expected english, chinese or german, found none".into());
        }
        Ok(())
    }

    /// The text of a clip: a function of what is said of its track, and of the clip's seed. Of a track of which nothing is
    /// said, an empty one.
    pub(super) fn draw(&self, texts: &TrackTexts, clip: ClipSeed) -> String {
        let mut random = clip.stream("text");
        let mut one_of = |count: usize| random.below(count as u64) as usize;
        let TrackTexts { tags, captions } = texts;
        let caption = captions.get(one_of(captions.len()));
        let (language, sentence) = (self.languages[one_of(self.languages.len())], one_of(usize::MAX));
        if let Some(caption) = caption
            && (tags.is_empty() || random.chance(self.caption_rate))
        {
            return caption.clone();
        }
        let is_plain = random.chance(self.plain_rate);
        let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        random.shuffle(&mut tags);
        tags.truncate(self.maximum_tags);
        if is_plain {
            return tags.join(", ");
        }
        let templates = language.templates();
        templates[sentence % templates.len()].replacen(SLOT, &language.list(&tags), 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn texts() -> TrackTexts {
        let tags = ["blues", "piano", "slow"].map(String::from).to_vec();
        TrackTexts { tags, captions: vec!["A slow blues.".into()] }
    }

    fn seed(step: u64, clip: u64) -> ClipSeed {
        ClipSeed { seed: 7, step, clip }
    }

    #[test]
    fn a_text_is_a_function_of_seed_step_and_clip() {
        let config = TextConfig::default();
        let draw = |seed: ClipSeed| config.draw(&texts(), seed);
        let all: BTreeSet<String> = (0..200).map(|step| draw(seed(step, 0))).collect();
        assert!(all.len() > 20, "{all:?}");
        for step in 0..20 {
            assert_eq!(draw(seed(step, 3)), draw(seed(step, 3)));
        }
        let differs = |other: fn(u64) -> ClipSeed| (0..20).any(|step| draw(seed(step, 0)) != draw(other(step)));
        assert!(differs(|step| seed(step, 1)) && differs(|step| ClipSeed { seed: 8, step, clip: 0 }));
    }

    #[test]
    fn half_of_the_texts_are_plain_lists_and_every_sentence_comes() {
        let config = TextConfig { caption_rate: 0.0, ..TextConfig::default() };
        let drawn: Vec<String> = (0..4000).map(|step| config.draw(&texts(), seed(step, 0))).collect();
        let is_plain = |text: &&String| text.len() == "blues, piano, slow".len();
        let plain = drawn.iter().filter(is_plain).count();
        assert!((1850..2150).contains(&plain), "{plain}");
        for template in Language::English.templates() {
            let start = template.split(SLOT).next().unwrap();
            assert!(drawn.iter().any(|text| text.starts_with(start)), "{template}");
        }
        assert!(drawn.iter().all(|text| ["blues", "piano", "slow"].iter().all(|tag| text.contains(tag))));
        let captions = TextConfig { caption_rate: 1.0, ..config.clone() };
        assert_eq!(captions.draw(&texts(), seed(0, 0)), "A slow blues.");
        let only_caption = TrackTexts { tags: Vec::new(), ..texts() };
        assert_eq!(config.draw(&only_caption, seed(0, 0)), "A slow blues.");
    }

    #[test]
    fn every_template_has_one_place_for_tags_and_lists_read_well() {
        for language in [Language::English, Language::Chinese, Language::German] {
            for template in language.templates() {
                assert_eq!(template.matches(SLOT).count(), 1, "{template}");
            }
        }
        assert_eq!(Language::English.list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(Language::Chinese.list(&["a", "b", "c"]), "a、b和c");
        assert_eq!(Language::German.list(&["a"]), "a");
        let odd = TrackTexts { tags: vec!["{tags}".into()], captions: Vec::new() };
        let config = TextConfig { plain_rate: 0.0, ..TextConfig::default() };
        assert_eq!(config.draw(&odd, seed(0, 0)).matches(SLOT).count(), 1);
    }

    #[test]
    fn numbers_without_meaning_are_named() {
        let error = |change: fn(&mut TextConfig)| {
            let mut config = TextConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert_eq!(
            error(|config| config.plain_rate = 1.5),
            "method.texts.plain_rate: expected a number from 0 to 1, found 1.5"
        );
        assert!(error(|config| config.caption_rate = f64::NAN).contains("found NaN"));
        assert!(error(|config| config.maximum_tags = 0).contains("maximum_tags"));
        assert!(error(|config| config.languages.clear()).contains("found none"));
    }
}
