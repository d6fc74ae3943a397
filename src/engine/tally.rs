//! Which tokens a sequence has seen, kept up as it grows: what the penalties ask for.

use std::collections::HashMap;

use super::request::TokenId;

/// The tokens of prompt and completion, without repeats.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Tokens of prompt and completion, each once.
    seen: Vec<TokenId>,
    /// Tokens of the completion and how often it holds them.
    counts: Vec<(TokenId, u32)>,
    /// Where in `counts` a token stands; `None` for one that only the prompt holds.
    places: HashMap<TokenId, Option<usize>>,
}

impl Tally {
    /// Before the first generated token.
    pub(super) fn of_prompt(prompt: &[TokenId]) -> Self {
        let mut tally = Self::default();
        for &token in prompt {
            let seen = &mut tally.seen;
            tally.places.entry(token).or_insert_with(|| {
                seen.push(token);
                None
            });
        }
        tally
    }

    /// Takes a generated token.
    pub(super) fn add(&mut self, token: TokenId) {
        let next = self.counts.len();
        let seen = &mut self.seen;
        let place = self.places.entry(token).or_insert_with(|| {
            seen.push(token);
            None
        });
        match place {
            Some(at) => self.counts[*at].1 += 1,
            None => {
                *place = Some(next);
                self.counts.push((token, 1));
            }
        }
    }

    /// Tokens of prompt and completion, each once.
    pub(super) fn seen(&self) -> &[TokenId] {
        &self.seen
    }

    /// Tokens of the completion and how often it holds them.
    pub(super) fn counts(&self) -> &[(TokenId, u32)] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_seen_but_not_counted() {
        let mut tally = Tally::of_prompt(&[5, 6, 5]);
        [6, 7, 7].into_iter().for_each(|token| tally.add(token));
        assert_eq!(tally.seen(), [5, 6, 7]);
        assert_eq!(tally.counts(), [(6, 1), (7, 2)]);
    }
}
