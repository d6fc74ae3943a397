//! A choice point: every alternative is scored, then one is taken.
//!
//! Single tokens are scored from the row that would have been sampled anyway. Longer alternatives
//! need the rows behind their first tokens: the sequence runs them as tentative tokens (a probe)
//! at the places that come next, reads the logits and takes them back. A probe needs no fork, no
//! copied block and no further sequence, and its rows are computed just as any others, so a score
//! does not depend on who shares the batch. The price is one step for each probe; alternatives
//! with a common beginning share one.

use super::request::{Choice, TokenId};

/// The scores of a choice point, as far as they are known.
#[derive(Debug)]
pub(super) struct Scoring {
    alternatives: Vec<Vec<TokenId>>,
    /// `[alternatives, tokens]` conditional log-probability of each token.
    logprobs: Vec<Vec<f32>>,
    /// `[alternatives, tokens, report]` what the request wants reported, by token.
    reported: Vec<Vec<Vec<f32>>>,
    /// Probes still to be run.
    probes: Vec<Vec<TokenId>>,
}

/// An alternative that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its tokens.
    pub(super) tokens: Vec<TokenId>,
    /// `[tokens]` conditional log-probability of each.
    pub(super) logprobs: Vec<f32>,
    /// `[tokens, report]` what the request wants reported.
    pub(super) reported: Vec<Vec<f32>>,
}

impl Scoring {
    /// Nothing is known yet.
    ///
    /// # Panics
    /// When there is no alternative, one is empty, or one begins with another: the guide is wrong.
    pub(super) fn new(alternatives: Vec<Vec<TokenId>>) -> Self {
        assert!(!alternatives.is_empty(), "a choice without alternatives");
        for (i, a) in alternatives.iter().enumerate() {
            assert!(!a.is_empty(), "alternative {i} has no tokens");
            let clash =
                alternatives.iter().skip(i + 1).find(|b| a.starts_with(b) || b.starts_with(a));
            assert!(clash.is_none(), "alternative {a:?} and {clash:?} cannot be told apart");
        }
        let probes = probes(&alternatives);
        let logprobs = alternatives.iter().map(|a| vec![f32::NAN; a.len()]).collect();
        let reported = alternatives.iter().map(|a| vec![Vec::new(); a.len()]).collect();
        Self { alternatives, logprobs, reported, probes }
    }

    /// The next probe to run, if one is left.
    pub(super) fn next_probe(&mut self) -> Option<Vec<TokenId>> {
        self.probes.pop()
    }

    /// The tokens whose log-probabilities are wanted from the row behind `prefix`.
    pub(super) fn wanted(alternatives: &[Vec<TokenId>], prefix: &[TokenId]) -> Vec<TokenId> {
        children(alternatives, prefix).map(|i| alternatives[i][prefix.len()]).collect()
    }

    /// [`Scoring::wanted`] of these alternatives.
    pub(super) fn wanted_behind(&self, prefix: &[TokenId]) -> Vec<TokenId> {
        Self::wanted(&self.alternatives, prefix)
    }

    /// Takes a row: the log-probabilities of the wanted tokens in their order, then those that
    /// the request wants reported.
    pub(super) fn record(&mut self, prefix: &[TokenId], row: &[f32]) {
        let rows: Vec<usize> = children(&self.alternatives, prefix).collect();
        let (scores, reported) = row.split_at(rows.len());
        for (&i, &score) in rows.iter().zip(scores) {
            self.logprobs[i][prefix.len()] = score;
            self.reported[i][prefix.len()] = reported.to_vec();
        }
    }

    /// Normalises over the alternatives and takes one: the likeliest at temperature 0, else by
    /// chance at that temperature, where `uniform` in `[0, 1)` is the chance.
    pub(super) fn settle(mut self, at: usize, temperature: f32, uniform: f64) -> (Choice, Taken) {
        let sum = |logprobs: &Vec<f32>| logprobs.iter().map(|&p| f64::from(p)).sum::<f64>();
        let scores = log_normalised(&self.logprobs.iter().map(sum).collect::<Vec<_>>());
        let taken = if temperature == 0.0 {
            first_of_the_likeliest(&scores)
        } else {
            by_chance(&scores, f64::from(temperature), uniform)
        };
        let logprobs = scores.iter().map(|&score| score as f32).collect();
        let taken_parts = Taken {
            tokens: self.alternatives.swap_remove(taken),
            logprobs: self.logprobs.swap_remove(taken),
            reported: self.reported.swap_remove(taken),
        };
        (Choice { at, logprobs, taken }, taken_parts)
    }
}

/// The alternatives that go on behind `prefix`.
fn children(alternatives: &[Vec<TokenId>], prefix: &[TokenId]) -> impl Iterator<Item = usize> {
    let goes_on = |a: &[TokenId]| a.len() > prefix.len() && a.starts_with(prefix);
    (0..alternatives.len()).filter(move |&i| goes_on(&alternatives[i]))
}

/// The alternatives without their last tokens, less those that another one covers.
fn probes(alternatives: &[Vec<TokenId>]) -> Vec<Vec<TokenId>> {
    let inner = |a: &Vec<TokenId>| (a.len() > 1).then(|| a[..a.len() - 1].to_vec());
    let mut probes: Vec<_> = alternatives.iter().filter_map(inner).collect();
    // Sorted backwards, what a probe covers stands right behind it.
    probes.sort_unstable_by(|a, b| b.cmp(a));
    probes.dedup_by(|next, kept| kept.starts_with(next));
    probes
}

/// `scores` less the logarithm of the sum of their exponentials.
fn log_normalised(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
    scores.iter().map(|score| score - max - sum.ln()).collect()
}

fn first_of_the_likeliest(scores: &[f64]) -> usize {
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    best
}

/// The alternative whose share of the unit interval `uniform` falls into.
fn by_chance(scores: &[f64], temperature: f64, uniform: f64) -> usize {
    let tempered: Vec<f64> = scores.iter().map(|score| score / temperature).collect();
    let mut left = uniform;
    for (i, logprob) in log_normalised(&tempered).iter().enumerate() {
        left -= logprob.exp();
        if left < 0.0 {
            return i;
        }
    }
    first_of_the_likeliest(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_cover_each_other() {
        let alternatives = [vec![1, 2, 3], vec![1, 2, 4], vec![1, 5], vec![6, 7, 8], vec![9]];
        assert_eq!(probes(&alternatives), vec![vec![6, 7], vec![1, 2]]);
    }

    #[test]
    fn an_alternative_is_worth_the_sum_of_its_tokens() {
        let mut scoring = Scoring::new(vec![vec![1, 2], vec![1, 3], vec![4]]);
        assert_eq!(scoring.wanted_behind(&[]), [1, 1, 4]);
        scoring.record(&[], &[0.5f32.ln(), 0.5f32.ln(), 0.25f32.ln()]);
        assert_eq!(scoring.next_probe(), Some(vec![1]));
        assert_eq!(scoring.wanted_behind(&[1]), [2, 3]);
        scoring.record(&[1], &[0.75f32.ln(), 0.25f32.ln()]);
        assert_eq!(scoring.next_probe(), None);
        let (choice, taken) = scoring.settle(0, 0.0, 0.0);
        assert_eq!((choice.taken, taken.tokens), (0, vec![1, 2]));
        let shares = [0.375 / 0.75, 0.125 / 0.75, 0.25 / 0.75];
        for (logprob, share) in choice.logprobs.iter().zip(shares) {
            assert!((logprob.exp() - share).abs() < 1e-6);
        }
    }

    #[test]
    fn chance_follows_the_shares() {
        let scores = [0.5f64.ln(), 0.3f64.ln(), 0.2f64.ln()];
        let taken = |uniform| by_chance(&scores, 1.0, uniform);
        assert_eq!(
            [taken(0.0), taken(0.49), taken(0.51), taken(0.79), taken(0.81)],
            [0, 0, 1, 1, 2]
        );
    }
}
