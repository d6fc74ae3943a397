//! Top-k and top-p without sorting the vocabulary.
//!
//! Of equally likely tokens the one with the lower id counts as the likelier, so that what is kept is always
//! one definite set.

use std::cmp::Ordering;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Logit or weight; the higher, the likelier.
    pub(super) score: f32,
    pub(super) token: u32,
}

impl Candidate {
    /// The likelier first.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.token.cmp(&other.token))
    }
}

/// Logits that are compared in one go, and mostly passed over.
const GLANCE: usize = 64;

/// Fills `kept` with the `k` likeliest tokens, the likeliest first.
///
/// Tokens that beat the k-th found so far are buffered, and the buffer is cut back to k whenever it
/// is full: most of a vocabulary costs one comparison.
pub(super) fn top_k(logits: &[f32], k: usize, kept: &mut Vec<Candidate>) {
    let n_buffered_max = 2 * k.max(GLANCE);
    kept.clear();
    let mut least = f32::NEG_INFINITY;
    for (logits, first) in logits.chunks(GLANCE).zip((0..).step_by(GLANCE)) {
        let full = kept.len() >= k;
        // Without a branch, so that the compiler compares many at once.
        if full && !logits.iter().fold(false, |some, &logit| some | (logit > least)) {
            continue;
        }
        for (&logit, token) in logits.iter().zip(first..) {
            if logit > least || kept.len() < k {
                kept.push(Candidate { score: logit, token });
            }
        }
        if kept.len() + GLANCE > n_buffered_max {
            kept.select_nth_unstable_by(k - 1, Candidate::order);
            kept.truncate(k);
            least = kept[k - 1].score;
        }
    }
    kept.sort_unstable_by(Candidate::order);
    kept.truncate(k);
}

/// How many of `weights`, which descend, reach the share `top_p` of their sum.
pub(super) fn top_p_sorted(weights: &[f32], top_p: f32) -> usize {
    if top_p >= 1.0 {
        return weights.len();
    }
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let target = total * f64::from(top_p);
    n_to_reach(weights.iter().copied(), 0.0, target)
}

/// Weights are ranked by their exponent and the first three bits of their mantissa, as they stand
/// in an f32: eight ranks for each halving.
const RANK_SHIFT: u32 = 20;
/// Ranks; the last one holds all that weighs less than `2^-48`.
const N_RANKS: usize = 8 * 48 + 1;

/// The rank of a weight in `0.0..=1.0`; the heaviest have rank 0.
fn rank(weight: f32) -> usize {
    let rank = (1.0f32.to_bits() - weight.to_bits()) >> RANK_SHIFT;
    (rank as usize).min(N_RANKS - 1)
}

/// Sets to 0 the weights outside the smallest set of heaviest ones that reaches the share `top_p`.
///
/// Weights are summed by rank, and only the rank in which the share is reached gets sorted.
pub(super) fn top_p(weights: &mut [f32], top_p: f32, candidates: &mut Vec<Candidate>) {
    if top_p >= 1.0 {
        return;
    }
    let mut sums = [0.0f64; N_RANKS];
    for &weight in weights.iter() {
        sums[rank(weight)] += f64::from(weight);
    }
    let target = sums.iter().sum::<f64>() * f64::from(top_p);
    let mut passed = 0.0;
    let mut reached = 0;
    while reached + 1 < N_RANKS && passed + sums[reached] < target {
        passed += sums[reached];
        reached += 1;
    }
    candidates.clear();
    for (weight, token) in weights.iter_mut().zip(0..) {
        let rank = rank(*weight);
        if rank == reached {
            candidates.push(Candidate { score: *weight, token });
        } else if rank > reached {
            *weight = 0.0;
        }
    }
    candidates.sort_unstable_by(Candidate::order);
    let n_kept = n_to_reach(candidates.iter().map(|c| c.score), passed, target);
    for candidate in &candidates[n_kept..] {
        weights[candidate.token as usize] = 0.0;
    }
}

/// How many of `weights` it takes, at least one, until `passed` and their sum reach `target`.
fn n_to_reach(weights: impl ExactSizeIterator<Item = f32>, passed: f64, target: f64) -> usize {
    let n_weights = weights.len();
    let mut sum = passed;
    for (index, weight) in weights.enumerate() {
        sum += f64::from(weight);
        if sum >= target {
            return index + 1;
        }
    }
    n_weights
}
