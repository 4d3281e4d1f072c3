//! Lists of labels: those of the field's data sets, and people's own.

/// Names that [`LabelSet::builtin`] knows, with what they are.
pub const BUILTIN_LABEL_SETS: [(&str, &str); 5] = [
    ("mtt", "MagnaTagATune, the 50 most frequent tags (Law et al. 2009)"),
    ("jamendo-top50", "MTG-Jamendo, the 50 most frequent tags (Bogdanov et al. 2019)"),
    ("jamendo-genre", "MTG-Jamendo, 87 genres"),
    ("jamendo-instrument", "MTG-Jamendo, 40 instruments"),
    ("jamendo-mood-theme", "MTG-Jamendo, 56 moods and themes"),
];

/// One label, and how it reads in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    name: String,
    phrase: Option<String>,
}

impl Label {
    /// A label with the words that stand for it in a prompt.
    pub fn new(name: &str, phrase: &str) -> Self {
        Self { name: name.to_owned(), phrase: (phrase != name).then(|| phrase.to_owned()) }
    }

    /// The label as its data set has it: `drumnbass`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands for it in a prompt: `drum and bass`; the name where nothing else is said.
    pub fn phrase(&self) -> &str {
        self.phrase.as_deref().unwrap_or(&self.name)
    }
}

/// Labels in order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    labels: Vec<Label>,
}

/// Why a text is no list of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no label in it.
    #[error("expected one label a line, found none")]
    Empty,
    /// A label stands there twice.
    #[error("line {line}: label `{name}` stands there already")]
    Twice {
        /// The line of the second, from 1 on.
        line: usize,
        /// The label.
        name: String,
    },
}

impl LabelSet {
    /// A list that comes with this library, by its name in [`BUILTIN_LABEL_SETS`].
    pub fn builtin(name: &str) -> Option<Self> {
        let text = match name {
            "mtt" => include_str!("label_sets/mtt.tsv"),
            "jamendo-top50" => include_str!("label_sets/jamendo-top50.tsv"),
            "jamendo-genre" => include_str!("label_sets/jamendo-genre.tsv"),
            "jamendo-instrument" => include_str!("label_sets/jamendo-instrument.tsv"),
            "jamendo-mood-theme" => include_str!("label_sets/jamendo-mood-theme.tsv"),
            _ => return None,
        };
        Self::parse(text).ok()
    }

    /// Reads one label a line: its name and, after a tab, the phrase that stands for it in a prompt, where that differs.
    /// Empty lines are skipped, and so are spaces at the ends of lines.
    ///
    /// # Errors
    /// [`LabelError`] for a text without a label, or with one twice.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let mut labels: Vec<Label> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (name, phrase) = line.split_once('\t').unwrap_or((line, ""));
            let (name, phrase) = (name.trim(), phrase.trim());
            if name.is_empty() {
                continue;
            }
            if labels.iter().any(|label| label.name == name) {
                return Err(LabelError::Twice { line: index + 1, name: name.to_owned() });
            }
            let phrase = (!phrase.is_empty()).then(|| phrase.to_owned());
            labels.push(Label { name: name.to_owned(), phrase });
        }
        if labels.is_empty() { Err(LabelError::Empty) } else { Ok(Self { labels }) }
    }

    /// The labels.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_have_the_sizes_of_their_data_sets() {
        for ((name, _), size) in BUILTIN_LABEL_SETS.into_iter().zip([50, 50, 87, 40, 56]) {
            assert_eq!(LabelSet::builtin(name).unwrap().labels().len(), size, "{name}");
        }
        assert_eq!(LabelSet::builtin("musiccaps"), None);
    }

    #[test]
    fn the_most_frequent_jamendo_tags_are_among_the_three_lists() {
        let of = |name| LabelSet::builtin(name).unwrap().labels().to_vec();
        let all = [of("jamendo-genre"), of("jamendo-instrument"), of("jamendo-mood-theme")].concat();
        for label in of("jamendo-top50") {
            assert!(all.contains(&label), "{label:?}");
        }
    }

    #[test]
    fn lists_are_read_as_people_write_them() {
        let labels = LabelSet::parse("drumnbass\tdrum and bass \r\n\n  \n小提琴\r\nno vocals\n").unwrap();
        let found: Vec<_> = labels.labels().iter().map(|label| (label.name(), label.phrase())).collect();
        assert_eq!(found, [("drumnbass", "drum and bass"), ("小提琴", "小提琴"), ("no vocals", "no vocals")]);
        for empty in ["", "\n \n", "\tphrase"] {
            assert_eq!(LabelSet::parse(empty), Err(LabelError::Empty));
        }
        let error = LabelSet::parse("a\nb\n\na\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4: label `a` stands there already");
    }
}
