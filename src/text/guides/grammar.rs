//! Grammars: regular expressions, JSON schemas and Lark, by llguidance over our own vocabulary.
//!
//! A grammar is somebody's input, so its text, its automaton and the work of one token are
//! bounded. It is compiled once for each distinct text; every answer starts from a copy of its
//! own, so that what one answer explored cannot reach into another.

use std::collections::HashMap;
use std::sync::Arc;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{
    ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv,
};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::Grammar;
use crate::text::tokenizer::{TokenId, Tokenizer};

/// Longest text of a grammar, in bytes.
pub const GRAMMAR_BYTES_MAX: usize = 64 * 1024;

/// Why a grammar cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// Too long.
    #[error("the grammar has {0} bytes, more than {GRAMMAR_BYTES_MAX}")]
    Long(usize),
    /// Malformed, or too complex.
    #[error("the grammar cannot be used: {0}")]
    Refused(String),
}

/// The grammars of one vocabulary.
pub struct Grammars {
    factory: ParserFactory,
    /// By notation and text.
    compiled: HashMap<(u8, String), Result<Matcher, GrammarError>>,
}

/// One answer on its way through a grammar.
pub struct Derivation {
    matcher: Matcher,
}

impl Grammar {
    /// Checks the grammar without any model's vocabulary, as a recipe is checked.
    ///
    /// # Errors
    /// When it is malformed or too complex.
    pub fn check(&self) -> Result<(), GrammarError> {
        let mut grammars = Grammars::over(&ApproximateTokEnv::single_byte_env())?;
        grammars.start(self).map(|_| ())
    }

    fn key(&self) -> (u8, String) {
        match self {
            Self::Regex(text) => (0, text.clone()),
            Self::Json(schema) => (1, schema.to_string()),
            Self::Lark(text) => (2, text.clone()),
        }
    }

    fn parsed(&self) -> TopLevelGrammar {
        match self {
            Self::Regex(text) => TopLevelGrammar::from_regex(text),
            Self::Json(schema) => TopLevelGrammar::from_json_schema(with_spacing(schema)),
            Self::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
        }
    }
}

impl Grammars {
    /// Prepares a vocabulary for `n_ids` logits; `closing` tokens (EOS) may end an answer that is
    /// complete.
    ///
    /// # Errors
    /// When there is no closing token, or llguidance refuses the vocabulary.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        n_ids: usize,
        closing: &[TokenId],
    ) -> Result<Self, GrammarError> {
        Self::over(&(Arc::new(Vocabulary::new(tokenizer, n_ids, closing)?) as TokEnv))
    }

    fn over(vocabulary: &TokEnv) -> Result<Self, GrammarError> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(vocabulary, capabilities, &slices).map_err(refused)?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits { verbose_errors: false, ..Default::default() };
        Ok(Self { factory, compiled: HashMap::new() })
    }

    /// Starts an answer in a grammar, compiling it where it is new.
    ///
    /// # Errors
    /// When the grammar is malformed or too complex.
    pub fn start(&mut self, grammar: &Grammar) -> Result<Derivation, GrammarError> {
        let key = grammar.key();
        if key.1.len() > GRAMMAR_BYTES_MAX {
            return Err(GrammarError::Long(key.1.len()));
        }
        let factory = &self.factory;
        let compiled = self.compiled.entry(key).or_insert_with(|| {
            let matcher = Matcher::new(factory.create_parser(grammar.parsed()));
            matcher.get_error().map_or(Ok(matcher), |e| Err(GrammarError::Refused(e)))
        });
        match compiled {
            Ok(matcher) => Ok(Derivation { matcher: matcher.deep_clone() }),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Derivation {
    /// Tokens that must come next; empty when there is a choice.
    pub fn forced(&mut self) -> Vec<TokenId> {
        self.matcher.compute_ff_tokens()
    }

    /// The tokens that may come next, one bit each: bit `id % 32` of word `id / 32`.
    ///
    /// # Errors
    /// When the work of this token exceeds its bound, or nothing is allowed.
    pub fn allowed(&mut self) -> Result<Vec<u32>, GrammarError> {
        let set: SimpleVob = self.matcher.compute_mask_or_eos().map_err(refused)?;
        if set.is_zero() {
            return Err(GrammarError::Refused("it has a dead end".to_owned()));
        }
        Ok(set.as_slice().to_vec())
    }

    /// Takes one token that was forced or allowed; says whether the answer is complete.
    ///
    /// # Errors
    /// When the work of this token exceeds its bound.
    pub fn take(&mut self, token: TokenId) -> Result<bool, GrammarError> {
        self.matcher.consume_token(token).map_err(refused)?;
        Ok(self.matcher.is_stopped())
    }
}

/// A vocabulary as llguidance reads it.
struct Vocabulary {
    tokenizer: Arc<Tokenizer>,
    trie: TokTrie,
}

impl Vocabulary {
    fn new(
        tokenizer: Arc<Tokenizer>,
        n_ids: usize,
        closing: &[TokenId],
    ) -> Result<Self, GrammarError> {
        let too_many = || GrammarError::Refused(format!("{n_ids} tokens are too many"));
        let vocab_size = u32::try_from(n_ids).map_err(|_| too_many())?;
        let Some(&eos) = closing.first() else {
            let what = "the model names no token that ends an answer (`eos_token_id`)";
            return Err(GrammarError::Refused(what.to_owned()));
        };
        let words: Vec<Vec<u8>> = (0..vocab_size)
            .map(|id| {
                // The marker keeps control tokens out of all text.
                let marker = tokenizer.is_special(id).then_some(TokTrie::SPECIAL_TOKEN_MARKER);
                marker.iter().chain(tokenizer.name(id)).copied().collect()
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(vocab_size, eos), &words);
        Ok(Self { tokenizer, trie: trie.with_eos_tokens(closing) })
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let ids = self.tokenizer.encode_after(text);
            ids.unwrap_or_else(|_| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }
}

/// A schema that spells its white space one way, as most models write it, unless it says another:
/// free white space would let an answer run on for ever.
fn with_spacing(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(map) = schema.as_object_mut() {
        map.entry("x-guidance").or_insert_with(|| {
            json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " })
        });
    }
    schema
}

fn refused(error: impl std::fmt::Display) -> GrammarError {
    GrammarError::Refused(error.to_string())
}
