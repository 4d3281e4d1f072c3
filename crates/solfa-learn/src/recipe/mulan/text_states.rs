//! Hidden states of a text model that does not learn, kept for texts that come again.
//!
//! Texts of a batch are padded to the longest, as published: XLM-RoBERTa is told what is padding, the layers after it are
//! not. A padding token's hidden state is the same wherever in the text it stands, and no other token depends on it; so a
//! text is computed once, by itself, with one padding token after it, and that one's state is repeated. A text has the
//! same bits whatever it is in a batch with.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::checkpoint::TextModel;

/// Hidden states that are kept: of XLM-RoBERTa's base size, of about 4000 texts of 20 tokens.
const CACHE_BYTES: usize = 1 << 28;

/// A text's start and end.
const TOKENS_OF_NOTHING: usize = 2;

/// The model, and what it made of texts.
pub(super) struct TextStates {
    model: TextModel,
    device: Device,
    capacity: usize,
    cache: Mutex<Cache>,
}

/// `[tokens + 1, hidden_size]` row by row: the last one is that of padding.
type Rows = Arc<[f32]>;

#[derive(Default)]
struct Cache {
    rows: HashMap<String, Rows>,
    /// The texts that are kept, the oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl TextStates {
    /// `device` is the one that the model is on, without gradients.
    pub(super) fn new(model: TextModel, device: &Device) -> Self {
        Self { model, device: device.clone(), capacity: CACHE_BYTES, cache: Mutex::default() }
    }

    /// Why a text cannot be read.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        self.tokens(text).map(drop)
    }

    /// The last hidden states of a batch of texts, without gradients.
    ///
    /// # Shapes
    /// - output: `[texts, tokens of the longest, hidden_size]`
    ///
    /// # Errors
    /// Why a text cannot be read.
    pub(super) fn of(&self, texts: &[String], device: &Device) -> Result<Tensor<3>, String> {
        let dim = self.model.config.hidden_size;
        let rows = texts.iter().map(|text| self.rows(text)).collect::<Result<Vec<Rows>, String>>()?;
        let num_tokens = |rows: &Rows| rows.len() / dim - 1;
        let longest = rows.iter().map(num_tokens).max().unwrap_or(0);
        let mut values = Vec::with_capacity(rows.len() * longest * dim);
        for rows in &rows {
            let (tokens, padding) = rows.split_at(num_tokens(rows) * dim);
            values.extend_from_slice(tokens);
            (num_tokens(rows)..longest).for_each(|_| values.extend_from_slice(padding));
        }
        Ok(Tensor::from_data(TensorData::new(values, [rows.len(), longest, dim]), device))
    }

    fn rows(&self, text: &str) -> Result<Rows, String> {
        if let Some(rows) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).rows.get(text) {
            return Ok(rows.clone());
        }
        let rows = self.compute(text)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += size_of_val(&*rows);
        cache.rows.insert(text.to_owned(), rows.clone());
        cache.order.push_back(text.to_owned());
        while cache.bytes > self.capacity {
            let Some(oldest) = cache.order.pop_front() else { break };
            cache.bytes -= cache.rows.remove(&oldest).map_or(0, |rows| size_of_val(&*rows));
        }
        Ok(rows)
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, String> {
        let tokens = self.model.tokenizer.encode(text)?.tokens;
        if tokens.len() > TOKENS_OF_NOTHING { Ok(tokens) } else { Err("it has no tokens".into()) }
    }

    fn compute(&self, text: &str) -> Result<Rows, String> {
        let TextModel { tokenizer, network, .. } = &self.model;
        let mut tokens: Vec<i64> = self.tokens(text)?.into_iter().map(i64::from).collect();
        let mut is_padding = vec![false; tokens.len()];
        tokens.push(i64::from(tokenizer.padding_token()));
        is_padding.push(true);
        let shape = [1, tokens.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &self.device);
        let is_padding = Tensor::<2, Bool>::from_data(TensorData::new(is_padding, shape), &self.device);
        let layer = network.num_layers();
        let hidden = network.forward(tokens, Some(&is_padding), layer, None).swap_remove(layer);
        let rows: Vec<f32> = hidden.into_data().convert::<f32>().iter::<f32>().collect();
        Ok(rows.into())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::device::test_device;

    fn states() -> TextStates {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/mulan-tiny/tiny-xlm-roberta-base");
        TextStates::new(TextModel::open(&folder, &test_device()).unwrap(), &test_device())
    }

    fn values(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn states_are_those_of_texts_that_are_padded_together() {
        let states = states();
        let texts = ["fast metal guitar", "piano", "a slow, calm piece of a soft ensemble"].map(String::from);
        let found = states.of(&texts, &test_device()).unwrap();
        let TextModel { tokenizer, network, .. } = &states.model;
        let tokens: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap().tokens).collect();
        let longest = tokens.iter().map(Vec::len).max().unwrap();
        let padding = tokenizer.padding_token();
        let padded: Vec<i64> = tokens
            .iter()
            .flat_map(|tokens| tokens.iter().copied().chain(std::iter::repeat(padding)).take(longest))
            .map(i64::from)
            .collect();
        let flags: Vec<bool> =
            tokens.iter().flat_map(|tokens| (0..longest).map(|place| place >= tokens.len())).collect();
        let shape = [texts.len(), longest];
        let flags = Tensor::<2, Bool>::from_data(TensorData::new(flags, shape), &test_device());
        let padded = Tensor::<2, Int>::from_data(TensorData::new(padded, shape), &test_device());
        let layer = network.num_layers();
        let expected = network.forward(padded, Some(&flags), layer, None).swap_remove(layer);
        assert_eq!(found.dims(), expected.dims());
        for (found, expected) in values(found).iter().zip(values(expected)) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn a_text_has_the_same_bits_from_the_cache_and_after_it_was_dropped() {
        let mut states = states();
        states.capacity = 3000;
        let texts: Vec<String> = ["piano", "guitar", "flute", "bass", "a"].map(String::from).to_vec();
        let first = values(states.of(&texts, &test_device()).unwrap());
        assert!(states.cache.lock().unwrap().bytes <= states.capacity);
        assert!(states.cache.lock().unwrap().rows.len() < texts.len(), "some were dropped");
        assert_eq!(first, values(states.of(&texts, &test_device()).unwrap()));
        let alone = values(states.of(&texts[..1], &test_device()).unwrap());
        assert_eq!(alone, first[..alone.len()]);
    }

    #[test]
    fn texts_of_nothing_are_errors_and_long_ones_are_cut() {
        let states = states();
        assert!(states.check("").is_err() && states.of(&[String::new()], &test_device()).is_err());
        let long = "a slow piece, ".repeat(20);
        let found = states.of(&[long], &test_device()).unwrap();
        assert_eq!(found.dims(), [1, states.model.tokenizer.maximum_tokens(), 48]);
    }
}
