//! What may come next: the one door through which text rules reach the engine.
//!
//! A guide sees token ids only. Stop strings, grammars and the judge's answer template are guides
//! that `llm` builds from `text`; the engine asks each guide before it samples and tells it every
//! token that was taken.

use super::request::TokenId;

/// Rules for the tokens of one sequence.
pub trait Guide: Send {
    /// What may follow the tokens taken so far. Asked once before the first token and once after
    /// each `take` that let the sequence go on (after the last of several, if they were forced or
    /// an alternative).
    fn next(&mut self) -> Next<'_>;

    /// Takes one token, whether sampled, forced or part of a chosen alternative. A sampled stop
    /// token of the request ends the sequence without being taken: a guide that wants a say in
    /// that comes with a request without stop tokens.
    fn take(&mut self, token: TokenId) -> Progress;
}

/// What may follow.
#[derive(Debug, Clone, Copy)]
pub enum Next<'a> {
    /// Any token.
    Free,
    /// Only the tokens whose bit is set.
    Masked(&'a TokenMask),
    /// Exactly these tokens, without sampling; they become a prefill chunk. Never empty.
    Forced(&'a [TokenId]),
    /// One of these alternatives, each at least one token, none a prefix of another. The engine
    /// scores every one from unmasked, temperature-free logits (one of several tokens by the sum
    /// of its conditional log-probabilities), normalises over them, records the scores and takes
    /// one.
    Choice(&'a [Vec<TokenId>]),
}

/// Whether a sequence goes on after a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    Continue,
    /// The sequence is complete with this token.
    Stop,
}

/// A set of tokens, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    /// Bit `token % 32` of word `token / 32`.
    words: Vec<u32>,
    vocab_size: usize,
}

impl TokenMask {
    /// An empty set over `vocab_size` tokens.
    pub fn empty(vocab_size: usize) -> Self {
        Self { words: vec![0; vocab_size.div_ceil(32)], vocab_size }
    }

    /// The set whose words these are; shorter or longer than a vocabulary's, for one that names
    /// fewer or more tokens than the model has logits.
    pub fn from_words(mut words: Vec<u32>, vocab_size: usize) -> Self {
        words.resize(vocab_size.div_ceil(32), 0);
        if let (Some(last), n @ 1..) = (words.last_mut(), vocab_size % 32) {
            *last &= (1 << n) - 1;
        }
        Self { words, vocab_size }
    }

    /// Adds a token.
    ///
    /// # Panics
    /// When the token lies outside the vocabulary.
    pub fn allow(&mut self, token: TokenId) {
        assert!((token as usize) < self.vocab_size, "token {token} of {}", self.vocab_size);
        self.words[token as usize / 32] |= 1 << (token % 32);
    }

    /// Whether the token is in the set.
    pub fn allows(&self, token: TokenId) -> bool {
        self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// The words, for a device that reads the mask as it is: `[ceil(v / 32)]`.
    pub fn words(&self) -> &[u32] {
        &self.words
    }
}
