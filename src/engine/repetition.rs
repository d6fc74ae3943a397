//! Whether the end of a text repeats itself.
//!
//! A model in a loop runs to its limit: that is the usual long tail of a job, and such a row is
//! worth nothing. The test sees only the sequence's own tokens, so its answer does not depend on
//! batching.

use super::request::TokenId;

/// Tokens between two looks.
pub(super) const CHECK_EVERY: usize = 16;
/// Longest loop that is noticed.
const PERIOD_MAX: usize = 128;
/// A loop is a stretch that stands there this often in a row,
const N_COPIES: usize = 3;
/// and is at least this long in all: a rule of dashes or `0000` in a table is no loop.
const N_TOKENS_MIN: usize = 64;

/// Whether `tokens` end in a loop.
pub(super) fn ends_in_loop(tokens: &[TokenId]) -> bool {
    let Some((&last, before)) = tokens.split_last() else { return false };
    // Most periods fall at the first glance: a loop of this period has the same token there.
    let glance = before.iter().rev().take(PERIOD_MAX).zip(1..);
    glance.filter(|&(&token, _)| token == last).any(|(_, period)| repeats(tokens, period))
}

/// Whether `tokens` end in enough copies of a stretch of `period`.
fn repeats(tokens: &[TokenId], period: usize) -> bool {
    let n_tokens = (N_COPIES * period).max(N_TOKENS_MIN);
    // A stretch that equals itself shifted by `period` repeats with that period.
    tokens.len() >= n_tokens && {
        let tail = &tokens[tokens.len() - n_tokens..];
        tail[period..] == tail[..n_tokens - period]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(period: usize, n_tokens: usize) -> Vec<TokenId> {
        let start = (1000..1050).collect::<Vec<_>>();
        let looped = (0..n_tokens).map(|i| (i % period) as TokenId);
        start.into_iter().chain(looped).collect()
    }

    #[test]
    fn loops_are_seen_once_long_enough() {
        for (period, n_tokens) in [(1, 64), (2, 64), (21, 64), (40, 120), (128, 384)] {
            assert!(ends_in_loop(&repeated(period, n_tokens)), "period {period}");
            assert!(!ends_in_loop(&repeated(period, n_tokens - 1)), "period {period}");
        }
        assert!(!ends_in_loop(&repeated(129, 600)));
    }
}
