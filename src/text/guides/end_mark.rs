//! The mark that ends a free text, and which tokens may come before it.
//!
//! A token may hold the mark in its middle (`.\n\n` for a line break), and what follows the mark
//! would then be lost. So while a free text runs, only tokens are allowed that end with the mark
//! or do not complete it; and none that completes it while nothing visible has been said, or a
//! model that likes to start on a new line would give an empty text. Which tokens those are
//! depends only on a small state, so the sets are computed once for a template.

use crate::text::stop::Pattern;
use crate::text::tokenizer::{TokenId, Tokenizer};

/// A mark, and the tokens that may end the text beside it.
#[derive(Debug)]
pub struct EndMark {
    pattern: Pattern,
    mark: String,
    closing: Vec<TokenId>,
}

/// How far a free text has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Bytes of the mark that the text ends with.
    matched: usize,
    /// Whether something visible stands before them.
    visible: bool,
}

impl State {
    /// Before the first token.
    pub const START: Self = Self { matched: 0, visible: false };
}

impl EndMark {
    /// `closing` tokens (EOS) may end the free text as well, once something visible was said: the
    /// last segment of an answer names them, others none.
    ///
    /// # Panics
    /// When the mark is empty.
    pub fn new(mark: &str, closing: &[TokenId]) -> Self {
        assert!(!mark.is_empty(), "a free text needs a mark that ends it");
        let pattern = Pattern::new(mark.as_bytes());
        Self { pattern, mark: mark.to_owned(), closing: closing.to_vec() }
    }

    /// The tokens allowed next, for every state: `[states, ceil(ids / 32)]`, where bit `id % 32`
    /// of word `id / 32` is set for an allowed token.
    pub fn sets(&self, tokenizer: &Tokenizer) -> Vec<Vec<u32>> {
        let state = |i| State { matched: i / 2, visible: i % 2 == 1 };
        (0..2 * self.mark.len()).map(|i| self.allowed(state(i), tokenizer)).collect()
    }

    /// Which of [`sets`](Self::sets) holds in a state.
    pub fn set_index(&self, state: State) -> usize {
        2 * state.matched + usize::from(state.visible)
    }

    /// The state after a token's bytes; `None` when the mark is complete.
    pub fn advance(&self, mut state: State, bytes: &[u8]) -> Option<State> {
        for &byte in bytes {
            let matched = self.pattern.advance(state.matched, byte);
            if matched == self.mark.len() {
                return None;
            }
            // What no longer belongs to a mark under way is text.
            let under_way = self.mark.as_bytes()[..state.matched].iter().chain([&byte]);
            let mut text = under_way.take(state.matched + 1 - matched);
            state.visible |= text.any(|byte| !byte.is_ascii_whitespace());
            state.matched = matched;
        }
        Some(state)
    }

    /// The text of a free segment's bytes: what stands before its mark, or before the mark that
    /// is put behind it; without half a character.
    pub fn text_before(&self, bytes: &[u8]) -> String {
        let mut text = crate::text::detok::whole_characters(bytes);
        let marked = format!("{text}{}", self.mark);
        text.truncate(marked.find(&self.mark).unwrap_or(text.len()));
        text
    }

    fn allowed(&self, state: State, tokenizer: &Tokenizer) -> Vec<u32> {
        let n_ids = tokenizer.n_ids();
        let mut words = vec![0u32; n_ids.div_ceil(32)];
        let ids = (0..n_ids).filter_map(|id| TokenId::try_from(id).ok());
        let closes = |id| state.visible && self.closing.contains(&id);
        for id in ids.filter(|&id| closes(id) || self.allows(state, tokenizer.bytes(id))) {
            words[id as usize / 32] |= 1 << (id % 32);
        }
        words
    }

    /// Whether a token of these bytes may follow.
    fn allows(&self, state: State, bytes: &[u8]) -> bool {
        let Some((_, all_but_last)) = bytes.split_last() else { return false };
        let Some(before) = self.advance(state, all_but_last) else { return false };
        match self.advance(before, &bytes[all_but_last.len()..]) {
            Some(_) => true,
            // The mark's own first bytes are no text; they are all of `matched`.
            None => before.visible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::testing::{byte_level, sentencepiece};

    #[test]
    fn no_allowed_token_holds_the_mark_in_its_middle() {
        for tokenizer in [byte_level(), sentencepiece()] {
            for mark in ["\n", "\n\n", "aab", " END "] {
                let end = EndMark::new(mark, &[]);
                let sets = end.sets(&tokenizer);
                for matched in 0..mark.len() {
                    for visible in [false, true] {
                        let state = State { matched, visible };
                        check_state(&sets[end.set_index(state)], state, mark, &tokenizer);
                    }
                }
            }
        }
    }

    /// Against searching the whole text.
    fn check_state(set: &[u32], state: State, mark: &str, tokenizer: &Tokenizer) {
        for id in 0..u32::try_from(tokenizer.n_ids()).unwrap() {
            let mut text = if state.visible { b"~".to_vec() } else { Vec::new() };
            text.extend_from_slice(&mark.as_bytes()[..state.matched]);
            // Text before this token that already makes another state stands for none.
            text.extend_from_slice(tokenizer.bytes(id));
            let at = text.windows(mark.len()).position(|window| window == mark.as_bytes());
            let wanted = !tokenizer.bytes(id).is_empty()
                && match at {
                    None => true,
                    Some(at) => {
                        let blank = text[..at].iter().all(u8::is_ascii_whitespace);
                        at + mark.len() == text.len() && !blank
                    }
                };
            let allowed = set[id as usize / 32] >> (id % 32) & 1 == 1;
            assert_eq!(allowed, wanted, "{mark:?} {state:?} {text:?}");
        }
    }

    #[test]
    fn a_free_text_loses_its_mark_and_half_characters() {
        let end = EndMark::new("##", &[]);
        assert_eq!(end.text_before(b"yes##"), "yes");
        assert_eq!(end.text_before(b"yes#"), "yes", "else the first `##` would come too early");
        assert_eq!(end.text_before(b"yes"), "yes");
        assert_eq!(end.text_before("yes\u{e9}".as_bytes().split_last().unwrap().1), "yes");
    }
}
