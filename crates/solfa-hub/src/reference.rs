//! What a user types to name a model: a short name of the [`catalogue`], or a repository on the hub.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::{self, KnownModel, Source};
use crate::wanted::Wanted;

/// What a name of a repository on the hub starts with.
pub const HUB_PREFIX: &str = "hf:";
/// The revision that is meant where none is named.
pub const DEFAULT_REVISION: &str = "main";

/// A model by name. Whether a text is a path instead is for the caller to decide, before it is parsed as this.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelReference {
    /// One of the catalogue.
    Known(&'static KnownModel),
    /// A repository on the hub: `hf:ORG/NAME`, `hf:NAME`, either with `@REVISION` after it.
    Repository(RepositoryReference),
}

impl ModelReference {
    /// Where the files are, and which of them are wanted.
    ///
    /// # Errors
    /// A model that has no repository on the hub.
    pub fn files(&self) -> Result<HubFiles, ReferenceError> {
        match self {
            Self::Repository(repository) => Ok(HubFiles { repository: repository.clone(), wanted: Wanted::Model }),
            Self::Known(model) => match &model.source {
                Source::Hub { repository, revision, files } => {
                    Ok(HubFiles { repository: RepositoryReference::new(repository, *revision)?, wanted: *files })
                }
                Source::Elsewhere { how_to_get } => Err(ReferenceError::NotOnHub { id: model.id, how_to_get }),
            },
        }
    }
}

impl FromStr for ModelReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.starts_with(HUB_PREFIX) {
            return Ok(Self::Repository(text.parse()?));
        }
        catalogue::find(text).map(Self::Known).ok_or_else(|| ReferenceError::Unknown {
            name: text.to_owned(),
            nearest: nearest_names(text, catalogue::MODELS.iter().map(|model| model.id)),
            looks_like_repository: RepositoryReference::new(text, None).is_ok() && text.contains('/'),
        })
    }
}

impl fmt::Display for ModelReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(model) => formatter.write_str(model.id),
            Self::Repository(repository) => repository.fmt(formatter),
        }
    }
}

/// Files of one repository at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFiles {
    /// Where they are.
    pub repository: RepositoryReference,
    /// Which of them.
    pub wanted: Wanted,
}

/// A repository on the hub, at a branch, tag or commit. Its parts hold only characters that are safe in paths and URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryReference {
    name: String,
    revision: Option<String>,
}

impl RepositoryReference {
    /// A repository by `ORG/NAME` or `NAME`, as other models' configurations name one, at a revision.
    ///
    /// # Errors
    /// A name that the hub would not give, or a revision that is no name of a branch, tag or commit.
    pub fn new(name: &str, revision: Option<&str>) -> Result<Self, ReferenceError> {
        let invalid = |reason: &'static str| ReferenceError::Invalid { text: name.to_owned(), reason };
        check_name(name).map_err(invalid)?;
        revision.map_or(Ok(()), check_revision).map_err(|reason| ReferenceError::Invalid {
            text: format!("{name}@{}", revision.unwrap_or_default()),
            reason,
        })?;
        Ok(Self { name: name.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// `ORG/NAME` or `NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit: `main` where none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }
}

impl FromStr for RepositoryReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let Some(rest) = text.strip_prefix(HUB_PREFIX) else {
            let reason = "expected `hf:` before the name of a repository on the hub";
            return Err(ReferenceError::Invalid { text: text.to_owned(), reason });
        };
        match rest.split_once('@') {
            Some((name, revision)) => Self::new(name, Some(revision)),
            None => Self::new(rest, None),
        }
    }
}

impl fmt::Display for RepositoryReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{HUB_PREFIX}{}", self.name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(formatter, "@{revision}"))
    }
}

/// Why a text names no model that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No short name of the catalogue.
    #[error("`{name}` is not a known model{}", unknown_hint(name, nearest, *looks_like_repository))]
    Unknown {
        /// What was typed.
        name: String,
        /// Known names that are like it, nearest first.
        nearest: Vec<&'static str>,
        /// Whether it could be the name of a repository without `hf:`.
        looks_like_repository: bool,
    },
    /// No name that a repository or revision can have.
    #[error("{text:?} names no repository on the hub: {reason}")]
    Invalid {
        /// What was typed.
        text: String,
        /// What was expected.
        reason: &'static str,
    },
    /// A known model whose files are elsewhere.
    #[error("`{id}` is not on the Hugging Face hub: {how_to_get}")]
    NotOnHub {
        /// Its short name.
        id: &'static str,
        /// Where its files are, and what to do with them.
        how_to_get: &'static str,
    },
}

fn unknown_hint(name: &str, nearest: &[&str], looks_like_repository: bool) -> String {
    if looks_like_repository {
        return format!(": for a repository on the hub write hf:{name} (see `solfa models`)");
    }
    if nearest.is_empty() {
        " (see `solfa models`)".into()
    } else {
        format!(": did you mean {}? (see `solfa models`)", nearest.join(" or "))
    }
}

/// The names among `known` that are most like `name`, nearest first: none where none is near. Those that begin with it
/// or have it within come before those that are only spelled alike.
pub fn nearest_names<'known>(name: &str, known: impl IntoIterator<Item = &'known str>) -> Vec<&'known str> {
    /// Below this share of letters in common, in order, a suggestion would be a guess.
    const LEAST_SIMILARITY: f64 = 0.6;
    /// How much less alike than the best one a further suggestion may be.
    const MARGIN: f64 = 0.1;
    const LONGEST_LIST: usize = 3;
    /// No known name comes near this length, and comparing takes time with the square of it.
    const LONGEST_NAME: usize = 100;
    if name.len() > LONGEST_NAME {
        return Vec::new();
    }
    /// Fewer letters are within too many names.
    const SHORTEST_PART: usize = 3;
    let name = name.to_ascii_lowercase();
    let similarity = |known: &str| {
        let known = known.to_ascii_lowercase();
        if name.len() >= SHORTEST_PART && known.starts_with(&name) {
            3.0
        } else if name.len() >= SHORTEST_PART && known.contains(&name) {
            2.0
        } else {
            strsim::normalized_damerau_levenshtein(&name, &known)
        }
    };
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (similarity(known), known))
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let best = scored.first().map_or(0.0, |(similarity, _)| *similarity);
    scored
        .into_iter()
        .take_while(|(score, _)| *score >= best - MARGIN)
        .take(LONGEST_LIST)
        .map(|(_, name)| name)
        .collect()
}

/// The rules that the hub has for names of repositories.
fn check_name(name: &str) -> Result<(), &'static str> {
    /// Longest name that the hub gives.
    const LONGEST: usize = 96;
    if name.len() > LONGEST {
        return Err("expected at most 96 characters");
    }
    let mut parts = name.split('/');
    let is_right_number = matches!((parts.next(), parts.next(), parts.next()), (Some(_), _, None));
    if !is_right_number {
        return Err("expected NAME or ORG/NAME, found more than one `/`");
    }
    for part in name.split('/') {
        if part.is_empty() {
            return Err("expected NAME or ORG/NAME, found an empty part");
        }
        if !part.chars().all(|character| character.is_ascii_alphanumeric() || "._-".contains(character)) {
            return Err("expected letters, digits, `.`, `_` and `-` only");
        }
        if part.starts_with(['.', '-']) || part.ends_with(['.', '-']) {
            return Err("expected no `.` or `-` at the start or end of a part");
        }
    }
    if name.contains("..") || name.contains("--") {
        return Err("expected neither `..` nor `--`");
    }
    Ok(())
}

/// Names of branches and tags (`refs/pr/3` too), and commits: what is safe of what git allows.
fn check_revision(revision: &str) -> Result<(), &'static str> {
    /// Longest name that file systems allow.
    const LONGEST: usize = 200;
    if revision.is_empty() || revision.len() > LONGEST {
        return Err("expected a branch, tag or commit of 1 to 200 characters after `@`");
    }
    if !revision.chars().all(|character| character.is_ascii_alphanumeric() || "._-+/".contains(character)) {
        return Err("expected letters, digits, `.`, `_`, `-`, `+` and `/` only in a revision");
    }
    if revision.contains("..") || revision.split('/').any(|part| part.is_empty() || part.starts_with(['.', '-'])) {
        return Err("expected no empty part, `..`, or part that starts with `.` or `-` in a revision");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_parsed() {
        for (text, name, revision) in [
            ("hf:m-a-p/MERT-v1-95M", "m-a-p/MERT-v1-95M", "main"),
            ("hf:xlm-roberta-base", "xlm-roberta-base", "main"),
            ("hf:OpenMuQ/MuQ-large-msd-iter@v1.0", "OpenMuQ/MuQ-large-msd-iter", "v1.0"),
            ("hf:a/b@refs/pr/3", "a/b", "refs/pr/3"),
            ("hf:a/b@0123456789abcdef0123456789abcdef01234567", "a/b", "0123456789abcdef0123456789abcdef01234567"),
        ] {
            let ModelReference::Repository(reference) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!((reference.name(), reference.revision()), (name, revision));
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = format!("hf:a/{}", "b".repeat(95));
        for text in [
            "hf:",
            "hf:/",
            "hf:a/",
            "hf:/b",
            "hf:a/b/c",
            "hf:../x",
            "hf:a/..",
            "hf:a..b/c",
            "hf:.a/b",
            "hf:a/-b",
            "hf:a/b.",
            "hf:a--b/c",
            "hf:a b",
            "hf:a/b?c",
            "hf:a/b#c",
            "hf:a%2Fb",
            "hf:a\\b",
            "hf:a/b\n",
            "hf:é/b",
            "hf:a/b@",
            "hf:a/b@..",
            "hf:a/b@x/../y",
            "hf:a/b@/x",
            "hf:a/b@x/",
            "hf:a/b@-x",
            "hf:a/b@.x",
            "hf:a/b@x y",
            "hf:a/b@x@y",
            "hf:a/b@%2e",
            "hf:hf:a/b",
            "HF:a/b",
            &long,
        ] {
            assert!(text.parse::<ModelReference>().is_err(), "{text:?} was accepted");
        }
        let error = "hf:a/b/c".parse::<ModelReference>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"a/b/c\" names no repository on the hub: expected NAME or ORG/NAME, found more than one `/`"
        );
    }

    #[test]
    fn unknown_names_get_suggestions() {
        let message = |name: &str| name.parse::<ModelReference>().unwrap_err().to_string();
        assert_eq!(
            message("mert-v1-95"),
            "`mert-v1-95` is not a known model: did you mean mert-v1-95m? (see `solfa models`)"
        );
        assert!(message("MuQ-Large-MSD").contains("did you mean muq-large-msd-iter?"), "{}", message("MuQ-Large-MSD"));
        assert_eq!(message("zzz"), "`zzz` is not a known model (see `solfa models`)");
        assert_eq!(message(""), "`` is not a known model (see `solfa models`)");
        assert!(message("m-a-p/MERT-v1-95M").contains("write hf:m-a-p/MERT-v1-95M"));
        assert!(message(&"x".repeat(1 << 20)).contains("not a known model"));
    }

    #[test]
    fn every_known_model_has_files_or_says_where_they_are() {
        for model in catalogue::MODELS {
            let reference: ModelReference = model.id.parse().unwrap();
            assert_eq!(reference.to_string(), model.id);
            match (&model.source, reference.files()) {
                (Source::Hub { repository, .. }, Ok(files)) => assert_eq!(files.repository.name(), *repository),
                (Source::Elsewhere { how_to_get }, Err(error)) => assert!(error.to_string().contains(how_to_get)),
                (_, files) => panic!("{}: {files:?}", model.id),
            }
        }
    }
}
