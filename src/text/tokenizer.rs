//! A vocabulary: text to token ids and back.
//!
//! Wraps the `tokenizers` crate with truncation and padding off (a `tokenizer.json` may ask for
//! either, and would silently cut a prompt) and with the table of token bytes beside it. A chat
//! template writes its own control tokens, so the post-processor, which would add a second BOS,
//! runs only where raw text is encoded. It must not know models or conversations.

use std::io;
use std::path::Path;

use super::detok::Detokenizer;
use super::pieces::Pieces;
use crate::{Error, Result};

/// A token's number.
pub type TokenId = u32;

/// A vocabulary and its rules.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pieces: Pieces,
    control_names: Vec<String>,
    /// Texts put before a continuation while it is encoded, with their ids: see
    /// [`encode_after`](Tokenizer::encode_after).
    anchors: Vec<(&'static str, Vec<TokenId>)>,
}

/// A text that this vocabulary cannot spell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model's vocabulary cannot spell {0:?}")]
pub struct EncodeError(pub String);

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// When the file is missing, is no tokenizer, or is of a kind unknown here.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, std::fs::read(path))
    }

    /// The tokenizer in what was read of a `tokenizer.json`; `path` is only shown.
    ///
    /// # Errors
    /// As [`Tokenizer::read`].
    pub fn parse(path: &Path, read: io::Result<impl AsRef<[u8]>>) -> Result<Self> {
        let shown = path.display();
        let bytes = read.map_err(|e| {
            let hint = "A model folder holds a `tokenizer.json` beside its weights; models that \
                        ship only `tokenizer.model` need converting first.";
            Error::environment_from(format!("{shown}: no tokenizer can be read"), hint, e)
        })?;
        Self::from_json(bytes.as_ref())
            .map_err(|e| Error::environment(format!("{shown}: {e}"), "Fetch the file again."))
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// In words, when it is no tokenizer or one of a kind unknown here.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
        inner.with_truncation(None).map_err(|e| e.to_string())?.with_padding(None);
        let decoder = serde_json::to_value(inner.get_decoder()).map_err(|e| e.to_string())?;
        let tokens = tokens(&inner);
        let pieces = Pieces::build(&tokens, &decoder)?;
        let control = tokens.into_iter().flatten().filter(|(_, special)| *special);
        let control_names = control.map(|(name, _)| name).filter(|n| !n.is_empty()).collect();
        let mut tokenizer = Self { inner, pieces, control_names, anchors: Vec::new() };
        let anchors = ["\n", "x", "."].into_iter().filter_map(|anchor| {
            let ids = tokenizer.encode(anchor).ok()?;
            (!ids.is_empty()).then_some((anchor, ids))
        });
        tokenizer.anchors = anchors.collect();
        Ok(tokenizer)
    }

    /// Highest id plus one; a model needs at least as many logits.
    pub fn n_ids(&self) -> usize {
        self.pieces.n_ids()
    }

    /// The id of a token as the vocabulary writes it, control tokens among them.
    pub fn id(&self, token: &str) -> Option<TokenId> {
        self.inner.token_to_id(token)
    }

    /// Whether a token is a control token, which is no part of a text.
    pub fn is_special(&self, id: TokenId) -> bool {
        self.pieces.is_special(id)
    }

    /// The names of all control tokens.
    pub fn control_names(&self) -> &[String] {
        &self.control_names
    }

    /// What a token adds to a text, maybe half a character; nothing for a control token.
    pub fn bytes(&self, id: TokenId) -> &[u8] {
        self.pieces.bytes(id)
    }

    /// The bytes of a token; of a control token, its name.
    pub fn name(&self, id: TokenId) -> &[u8] {
        self.pieces.name(id)
    }

    /// Whether a text at the start of an answer loses one space, which encoding had put there.
    pub fn strips_space(&self) -> bool {
        self.pieces.strips_space
    }

    /// Ids of a text that stands for itself, such as a rendered conversation: control tokens
    /// named in it become ids, and nothing is added.
    ///
    /// # Errors
    /// When the vocabulary cannot spell it.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, EncodeError> {
        self.encoded(text, false)
    }

    /// Ids of a raw text with what the post-processor adds, commonly BOS; never a BOS twice, even
    /// where the text itself names it.
    ///
    /// # Errors
    /// When the vocabulary cannot spell it.
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<TokenId>, EncodeError> {
        let mut ids = self.encoded(text, true)?;
        if let [first, second, ..] = ids[..]
            && first == second
            && self.is_special(first)
        {
            ids.remove(0);
        }
        Ok(ids)
    }

    /// Ids of a text that goes on after other text. SentencePiece vocabularies would put a space
    /// before it; so it is encoded behind an anchor, whose ids are cut off again. One anchor may
    /// melt into the text (a line break where two are one token), then the next is tried. The
    /// ids stand for exactly the bytes of `text` (a control token for its name).
    ///
    /// # Errors
    /// When the vocabulary cannot spell it.
    pub fn encode_after(&self, text: &str) -> Result<Vec<TokenId>, EncodeError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let spells = |ids: &[TokenId]| ids.iter().flat_map(|&id| self.name(id)).eq(text.as_bytes());
        let plain = self.encode(text)?;
        if !self.pieces.strips_space && spells(&plain) {
            return Ok(plain);
        }
        for (anchor, anchor_ids) in &self.anchors {
            let ids = self.encode(&format!("{anchor}{text}"))?;
            if let Some(rest) = ids.strip_prefix(&anchor_ids[..])
                && spells(rest)
            {
                return Ok(rest.to_vec());
            }
        }
        if spells(&plain) { Ok(plain) } else { Err(EncodeError(text.to_owned())) }
    }

    /// The text of an answer: no control tokens, no space that encoding put at its start, and no
    /// half character at its end.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let mut detokenizer = Detokenizer::new(self);
        ids.iter().map(|&id| detokenizer.push(id)).collect()
    }

    fn encoded(&self, text: &str, special: bool) -> Result<Vec<TokenId>, EncodeError> {
        let encoding = self.inner.encode_fast(text, special);
        encoding.map(|e| e.get_ids().to_vec()).map_err(|_| EncodeError(text.to_owned()))
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("n_ids", &self.n_ids()).finish_non_exhaustive()
    }
}

/// Every id's token, and whether it is a control token.
fn tokens(inner: &tokenizers::Tokenizer) -> Vec<Option<(String, bool)>> {
    let added = inner.get_added_tokens_decoder();
    let vocabulary = inner.get_vocab(true);
    let n_ids = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    let mut tokens = vec![None; n_ids];
    for (token, id) in vocabulary {
        let special = added.get(&id).is_some_and(|token| token.special);
        tokens[id as usize] = Some((token, special));
    }
    tokens
}
