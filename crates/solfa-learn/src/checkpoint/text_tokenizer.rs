//! A text tower's own tokenizer: Hugging Face's `tokenizer.json`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::xlm_roberta::{SpecialTokens, XlmRobertaFile};
use super::{CheckpointError, folder_of, hash, source};

/// The names that XLM-RoBERTa's tokenizer has for the tokens that stand for no text.
const START: &str = "<s>";
const END: &str = "</s>";
const PADDING: &str = "<pad>";

/// Text to the numbers of its tokens, between a start and an end.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    path: PathBuf,
    vocabulary_size: usize,
    maximum_tokens: usize,
    special_tokens: SpecialTokens,
    sha256: String,
}

/// A text as its tower reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedText {
    /// Numbers of the tokens, start and end included.
    pub tokens: Vec<u32>,
    /// Whether the text was longer than the tower can read: then its end is missing, and the end token stands after
    /// what is left.
    pub was_cut: bool,
}

impl TextTokenizer {
    /// Reads `tokenizer.json` and holds it against the text model's configuration, which was read from `config_path`.
    pub(super) fn read(path: &Path, model: &XlmRobertaFile, config_path: &Path) -> Result<Self, CheckpointError> {
        let config_error = |reason: String| CheckpointError::Config { path: path.to_owned(), reason };
        if !path.is_file() {
            let found = source::list_names(folder_of(path));
            return Err(config_error(format!("expected the text model's tokenizer, found {found}")));
        }
        let text = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        let mut tokenizer =
            check_template(&text).and_then(|()| guarded(|| Tokenizer::from_bytes(&text))).map_err(|fault| {
                config_error(format!("expected a tokenizer, found {} bytes with this fault: {fault}", text.len()))
            })?;
        // The reference cuts nothing and pads only where several texts share a pass, whatever the file says.
        tokenizer.with_padding(None);
        guarded(|| tokenizer.with_truncation(None).map(|_| ())).map_err(config_error)?;
        let does_not_fit = |reason: String| {
            config_error(format!("the tokenizer does not fit the text model of {}: {reason}", config_path.display()))
        };
        let vocabulary_size = model.network.vocabulary_size;
        if let Some((token, number)) = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, number)| *number)
            && number as usize >= vocabulary_size
        {
            return Err(does_not_fit(format!(
                "expected numbers of tokens below vocab_size {vocabulary_size}, found {number} for `{token}`"
            )));
        }
        let special_tokens = model.special_tokens;
        for (name, token, expected) in [
            ("bos_token_id", START, special_tokens.start),
            ("eos_token_id", END, special_tokens.end),
            ("pad_token_id", PADDING, special_tokens.padding),
        ] {
            let found = tokenizer.token_to_id(token);
            if found.map(|number| number as usize) != Some(expected) {
                let found = found.map_or("no such token".into(), |number| number.to_string());
                return Err(does_not_fit(format!("expected `{token}` to be {name} {expected}, found {found}")));
            }
        }
        let maximum_tokens = model.network.maximum_tokens();
        let sha256 = hash::sha256_of_files(&[path.to_owned()])?;
        let tokenizer =
            Self { tokenizer, path: path.to_owned(), vocabulary_size, maximum_tokens, special_tokens, sha256 };
        let found = tokenizer.all_tokens("a").map_err(does_not_fit)?;
        let ends = [special_tokens.start as u32, special_tokens.end as u32];
        match found.as_slice() {
            [start, _, .., end] if [*start, *end] == ends => Ok(tokenizer),
            _ => Err(does_not_fit(format!(
                "expected a text's tokens between `{START}` ({}) and `{END}` ({}), found {found:?} for `a`",
                ends[0], ends[1]
            ))),
        }
    }

    /// The tokens of a text; of a longer one than [`maximum_tokens`](Self::maximum_tokens), its beginning.
    ///
    /// # Errors
    /// A sentence that says why the text has no tokens.
    pub fn encode(&self, text: &str) -> Result<TokenizedText, String> {
        let mut tokens = self.all_tokens(text)?;
        let was_cut = tokens.len() > self.maximum_tokens;
        if was_cut {
            let end = tokens[tokens.len() - 1];
            tokens.truncate(self.maximum_tokens - 1);
            tokens.push(end);
        }
        Ok(TokenizedText { tokens, was_cut })
    }

    /// The longest text that its tower can read, in tokens, start and end included.
    pub fn maximum_tokens(&self) -> usize {
        self.maximum_tokens
    }

    /// The number of the token that fills a text up to another one's length.
    pub fn padding_token(&self) -> u32 {
        self.special_tokens.padding as u32
    }

    /// The numbers of the tokens that stand for no text.
    pub(super) fn special_tokens(&self) -> SpecialTokens {
        self.special_tokens
    }

    /// The file that it was read from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the file still has the bytes that it was read from.
    pub(super) fn check_unchanged(&self, bytes: &[u8]) -> Result<(), CheckpointError> {
        if hash::to_hexadecimal(&Sha256::digest(bytes)) == self.sha256 {
            return Ok(());
        }
        let reason =
            "expected the tokenizer that the model was loaded with, found a file that was changed since".into();
        Err(CheckpointError::Config { path: self.path.clone(), reason })
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn all_tokens(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true))
            .map_err(|fault| format!("{}: expected tokens, found this fault: {fault}", self.path.display()))?;
        let tokens = encoding.get_ids();
        match tokens.iter().find(|&&token| token as usize >= self.vocabulary_size) {
            None => Ok(tokens.to_vec()),
            Some(token) => Err(format!(
                "{}: expected numbers of tokens below vocab_size {}, found {token}",
                self.path.display(),
                self.vocabulary_size
            )),
        }
    }
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, vocabulary_size, maximum_tokens, .. } = self;
        formatter
            .debug_struct("TextTokenizer")
            .field("path", path)
            .field("vocabulary_size", vocabulary_size)
            .field("maximum_tokens", maximum_tokens)
            .finish_non_exhaustive()
    }
}

/// Checks that what is put around a text is made of tokens that the file declares; the library panics where it is not.
fn check_template(text: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        post_processor: Value,
    }
    let File { post_processor } = serde_json::from_slice(text).map_err(|fault| fault.to_string())?;
    match undeclared_token(&post_processor) {
        None => Ok(()),
        Some(token) => Err(format!("post_processor: `{token}` is not among its special_tokens")),
    }
}

fn undeclared_token(post_processor: &Value) -> Option<&str> {
    let list = |name: &str| post_processor.get(name).and_then(Value::as_array).into_iter().flatten();
    let declared = post_processor.get("special_tokens");
    let mut pieces = list("single").chain(list("pair"));
    let undeclared = pieces.find_map(|piece| {
        let token = piece.get("SpecialToken")?.get("id")?.as_str()?;
        declared.is_none_or(|declared| declared.get(token).is_none()).then_some(token)
    });
    undeclared.or_else(|| list("processors").find_map(undeclared_token))
}

/// What the library makes of a file that someone gave us: where it panics on a contradiction, that is an error here.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("its parts contradict each other".into()),
    }
}
