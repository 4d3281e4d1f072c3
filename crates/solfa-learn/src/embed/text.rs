//! Text to vectors in the space that it shares with sound.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use solfa_signal::encoder::sha256_hex;

use super::precision::{Precision, PrecisionError};
use crate::checkpoint::{MulanText, TokenizedText};

/// MuQ-MuLan's text tower: a text to one vector of length one. What the text is like is told by the dot product with a
/// clip's vector, from [`MulanModel::split`](crate::checkpoint::MulanModel::split)'s other half.
pub struct TextEncoder {
    text: MulanText,
    device: Device,
    joint_space_identity: String,
    identity: String,
}

/// A text in the joint space.
#[derive(Clone, Debug, PartialEq)]
pub struct TextEmbedding {
    /// Of length one.
    pub vector: Vec<f32>,
    /// Tokens that were read, start and end included.
    pub num_tokens: usize,
    /// Whether the text was longer than [`TextEncoder::maximum_tokens`], so that its end was not read.
    pub was_cut: bool,
}

/// Why texts could not be encoded. `index` is the text's place in the list, from 0 on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A text in which there is nothing to read.
    #[error("text number {} is empty: expected words, found {found:?}", index + 1)]
    Empty {
        /// Which text.
        index: usize,
        /// The text.
        found: String,
    },
    /// The tokenizer's file does not make tokens of this text.
    #[error("text number {} has no tokens: {reason}", index + 1)]
    Tokenizer {
        /// Which text.
        index: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// A result is NaN or infinite. It is never passed on.
    #[error("the vector of text number {} is not finite at dimension {dimension}", index + 1)]
    NonFinite {
        /// Which text.
        index: usize,
        /// The first such dimension.
        dimension: usize,
    },
    /// The device or backend failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl TextEncoder {
    pub(super) fn new(text: MulanText, device: Device, joint_space_identity: String) -> Self {
        let identity = sha256_hex(format!("{joint_space_identity}\ntokenizer={}\n", text.tokenizer.sha256()));
        Self { text, device, joint_space_identity, identity }
    }

    /// The encoder in another precision than [`Precision::F32`].
    ///
    /// # Errors
    /// [`PrecisionError`]: the tower of texts computes in [`Precision::F32`] only.
    pub fn with_precision(self, precision: Precision) -> Result<Self, PrecisionError> {
        match precision {
            Precision::F32 => Ok(self),
            Precision::Bf16 => Err(PrecisionError { model: "muq-mulan, texts".into(), precision }),
        }
    }

    /// What names the space that sound and text share: the same as the audio encoder's
    /// [`EncoderSpec::identity`](solfa_signal::encoder::EncoderSpec::identity).
    pub fn joint_space_identity(&self) -> &str {
        &self.joint_space_identity
    }

    /// SHA-256, in hexadecimal, of all that determines the vector of a given text: the joint space and the tokenizer.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The longest text that is read whole, in tokens, start and end included.
    pub fn maximum_tokens(&self) -> usize {
        self.text.tokenizer.maximum_tokens()
    }

    /// Every text's vector. Each is encoded on its own: a text gives the same bits whatever it is called with.
    ///
    /// So does the reference with one text. With several in a call it pads them to the longest and lets the padding
    /// count: see [`encode_padded_together`](Self::encode_padded_together).
    ///
    /// # Errors
    /// An empty text, or one that the tokenizer fails on.
    pub fn encode(&self, texts: &[impl AsRef<str>]) -> Result<Vec<TextEmbedding>, TextError> {
        let tokenized = self.tokenize(texts)?;
        tokenized
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let mut found = self.pass(std::slice::from_ref(text), text.tokens.len(), index)?;
                Ok(found.swap_remove(0))
            })
            .collect()
    }

    /// Every text's vector as the released code has it for several texts in one call: all are padded to the longest.
    /// XLM-RoBERTa is told which tokens are padding; the layers after it are not, and their mean goes over all of them.
    /// A text's vector therefore depends on the length of the longest one beside it. For comparisons with published
    /// numbers; [`encode`](Self::encode) has no such dependence.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_padded_together(&self, texts: &[impl AsRef<str>]) -> Result<Vec<TextEmbedding>, TextError> {
        /// As many as share a pass: more would take memory and no less time.
        const TEXTS_PER_PASS: usize = 32;
        let tokenized = self.tokenize(texts)?;
        let longest = tokenized.iter().map(|text| text.tokens.len()).max().unwrap_or(0);
        let mut found = Vec::with_capacity(tokenized.len());
        for texts in tokenized.chunks(TEXTS_PER_PASS) {
            found.extend(self.pass(texts, longest, found.len())?);
        }
        Ok(found)
    }

    fn tokenize(&self, texts: &[impl AsRef<str>]) -> Result<Vec<TokenizedText>, TextError> {
        /// A text's start and end.
        const TOKENS_OF_NOTHING: usize = 2;
        let tokenize = |(index, text): (usize, &str)| {
            let empty = || TextError::Empty { index, found: text.to_owned() };
            if text.trim().is_empty() {
                return Err(empty());
            }
            let tokenized =
                self.text.tokenizer.encode(text).map_err(|reason| TextError::Tokenizer { index, reason })?;
            if tokenized.tokens.len() > TOKENS_OF_NOTHING { Ok(tokenized) } else { Err(empty()) }
        };
        texts.iter().map(AsRef::as_ref).enumerate().map(tokenize).collect()
    }

    /// Several texts in one pass, padded to `longest` tokens, the first of which is number `first`.
    fn pass(&self, texts: &[TokenizedText], longest: usize, first: usize) -> Result<Vec<TextEmbedding>, TextError> {
        let shape = [texts.len(), longest];
        let mut tokens = Vec::with_capacity(texts.len() * longest);
        let mut is_padding = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            let num_padding = longest - text.tokens.len();
            tokens.extend(text.tokens.iter().map(|&token| i64::from(token)));
            tokens.extend(std::iter::repeat_n(i64::from(self.text.tokenizer.padding_token()), num_padding));
            is_padding.extend(std::iter::repeat_n(false, text.tokens.len()));
            is_padding.extend(std::iter::repeat_n(true, num_padding));
        }
        let padding = is_padding
            .contains(&true)
            .then(|| Tensor::<2, Bool>::from_data(TensorData::new(is_padding, shape), &self.device));
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &self.device);
        let MulanText { network, head, .. } = &self.text;
        let layer = network.num_layers();
        let hidden = network.forward(tokens, padding.as_ref(), layer, None).swap_remove(layer);
        let latents = head.forward(hidden);
        let [_, dim] = latents.dims();
        let values =
            latents.into_data().try_to_vec::<f32>().map_err(|error| TextError::Device(format!("{error:?}")))?;
        texts
            .iter()
            .zip(values.chunks_exact(dim))
            .enumerate()
            .map(|(index, (text, vector))| match vector.iter().position(|value| !value.is_finite()) {
                Some(dimension) => Err(TextError::NonFinite { index: first + index, dimension }),
                None => {
                    Ok(TextEmbedding { vector: vector.to_vec(), num_tokens: text.tokens.len(), was_cut: text.was_cut })
                }
            })
            .collect()
    }
}
