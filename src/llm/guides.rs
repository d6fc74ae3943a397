//! The rules of an answer as the engine asks for them: one token at a time.
//!
//! The rules themselves are text's; here they only change their form. None of them ever allows
//! no token at all, which would end the run: where a grammar's own limits are reached, the answer
//! ends and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::guide::{Guide, Next, Progress, TokenMask};
use crate::engine::request::TokenId;
use crate::text::guides::GrammarError;
use crate::text::guides::grammar::Derivation;
use crate::text::guides::script::{Script, Walk, Want};
use crate::text::stop::StopMatcher;
use crate::text::tokenizer::Tokenizer;

/// Ends an answer at a stop string.
pub(super) struct StopGuide {
    tokenizer: Arc<Tokenizer>,
    matcher: StopMatcher,
}

impl StopGuide {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, matcher: StopMatcher) -> Self {
        Self { tokenizer, matcher }
    }
}

impl Guide for StopGuide {
    fn next(&mut self) -> Next<'_> {
        Next::Free
    }

    fn take(&mut self, token: TokenId) -> Progress {
        progress(self.matcher.push(self.tokenizer.bytes(token)).is_some())
    }
}

/// An answer template in the form that both the engine and the reader of answers use.
pub(super) struct Plan {
    pub(super) script: Arc<Script>,
    /// `[marks, sets]`.
    masks: Vec<Vec<TokenMask>>,
}

impl Plan {
    pub(super) fn new(script: Script, tokenizer: &Tokenizer, vocab_size: usize) -> Self {
        let mask = |words: Vec<u32>| TokenMask::from_words(words, vocab_size);
        let sets = script.marks().iter().map(|mark| mark.sets(tokenizer));
        let masks = sets.map(|sets| sets.into_iter().map(mask).collect()).collect();
        Self { masks, script: Arc::new(script) }
    }
}

/// Leads an answer through its template.
pub(super) struct ScriptGuide {
    tokenizer: Arc<Tokenizer>,
    plan: Arc<Plan>,
    walk: Walk,
}

impl ScriptGuide {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, plan: Arc<Plan>) -> Self {
        let walk = Walk::new(plan.script.clone());
        Self { tokenizer, plan, walk }
    }
}

impl Guide for ScriptGuide {
    fn next(&mut self) -> Next<'_> {
        match self.walk.want() {
            Want::Forced(tokens) => Next::Forced(tokens),
            Want::Choice(alternatives) => Next::Choice(alternatives),
            Want::Among { mark, set } => Next::Masked(&self.plan.masks[mark][set]),
            Want::Nothing => unreachable!("`take` has ended the sequence"),
        }
    }

    fn take(&mut self, token: TokenId) -> Progress {
        progress(self.walk.take(token, &self.tokenizer))
    }
}

/// Keeps an answer within a grammar.
pub(super) struct GrammarGuide {
    derivation: Derivation,
    /// Tokens that must come next, and how many of them were taken.
    forced: (Vec<TokenId>, usize),
    /// What may come next, when none is forced.
    mask: TokenMask,
    vocab_size: usize,
    /// Raised when the grammar's own limits ended the answer.
    exhausted: Arc<AtomicBool>,
}

impl GrammarGuide {
    /// # Errors
    /// When already the first token takes more work than the limits allow.
    pub(super) fn new(
        derivation: Derivation,
        vocab_size: usize,
        exhausted: Arc<AtomicBool>,
    ) -> Result<Self, GrammarError> {
        let (forced, mask) = ((Vec::new(), 0), TokenMask::empty(vocab_size));
        let mut guide = Self { derivation, forced, mask, vocab_size, exhausted };
        guide.prepare()?;
        Ok(guide)
    }

    fn prepare(&mut self) -> Result<(), GrammarError> {
        self.forced = (self.derivation.forced(), 0);
        if self.forced.0.is_empty() {
            self.mask = TokenMask::from_words(self.derivation.allowed()?, self.vocab_size);
        }
        Ok(())
    }

    fn advance(&mut self, token: TokenId) -> Result<bool, GrammarError> {
        if self.derivation.take(token)? {
            return Ok(true);
        }
        self.forced.1 += 1;
        if self.forced.1 >= self.forced.0.len() {
            self.prepare()?;
        }
        Ok(false)
    }
}

impl Guide for GrammarGuide {
    fn next(&mut self) -> Next<'_> {
        let (forced, n_taken) = &self.forced;
        if forced.is_empty() { Next::Masked(&self.mask) } else { Next::Forced(&forced[*n_taken..]) }
    }

    fn take(&mut self, token: TokenId) -> Progress {
        progress(self.advance(token).unwrap_or_else(|_| {
            self.exhausted.store(true, Ordering::Relaxed);
            true
        }))
    }
}

fn progress(is_complete: bool) -> Progress {
    if is_complete { Progress::Stop } else { Progress::Continue }
}
