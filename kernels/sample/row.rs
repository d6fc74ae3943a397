//! One row: from raw logits to a drawn token.
//!
//! Knows one row and its parameters; which rows run beside it is `mod.rs`' concern.

use super::draw;
use super::filter::{self, Candidate};
use super::philox::{Philox, Purpose};
use super::{Drawn, RowParams, SampleError};

/// Memory that a thread reuses from row to row.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[v]` logits after penalties, bias and mask.
    adjusted: Vec<f32>,
    /// `[v]` unnormalised probabilities.
    weights: Vec<f32>,
    /// The few tokens that top-k has kept.
    candidates: Vec<Candidate>,
}

/// What goes wrong in a row, before the row has a number.
pub(super) enum Fault {
    NotANumber { index: usize, value: f32 },
    NothingLeft,
}

impl Fault {
    pub(super) fn at(self, row: usize) -> SampleError {
        match self {
            Self::NotANumber { index, value } => SampleError::NotANumber { row, index, value },
            Self::NothingLeft => SampleError::NothingLeft { row },
        }
    }
}

pub(super) fn sample(
    logits: &[f32],
    params: &RowParams<'_>,
    scratch: &mut Scratch,
) -> Result<Drawn, Fault> {
    let raw = Summary::of(logits)?;
    let token = if params.adjusts() {
        let mut adjusted = std::mem::take(&mut scratch.adjusted);
        adjusted.clear();
        adjusted.extend_from_slice(logits);
        adjust(&mut adjusted, params);
        let (best, top) = argmax(&adjusted);
        let token = match top == f32::NEG_INFINITY {
            true => Err(Fault::NothingLeft),
            false => Ok(take(&adjusted, best, params, scratch)),
        };
        scratch.adjusted = adjusted;
        token?
    } else {
        take(logits, raw.argmax, params, scratch)
    };
    let logprob = |token: u32| (f64::from(logits[token as usize]) - raw.log_sum) as f32;
    Ok(Drawn {
        token,
        logprob: logprob(token),
        reported: params.report.iter().map(|&token| logprob(token)).collect(),
    })
}

/// Takes a token by temperature and filters; `best` is the likeliest.
fn take(logits: &[f32], best: usize, params: &RowParams<'_>, scratch: &mut Scratch) -> u32 {
    if params.temperature == 0.0 || params.top_k == 1 {
        return best as u32;
    }
    let u = Philox::new(params.key).uniform(params.position, Purpose::Token);
    let top = logits[best];
    if params.top_k > 0 && params.top_k < logits.len() {
        let candidates = &mut scratch.candidates;
        filter::top_k(logits, params.top_k, candidates);
        let weights = &mut scratch.weights;
        draw::weights(candidates.iter().map(|c| c.score), top, params.temperature, weights);
        let n_kept = filter::top_p_sorted(weights, params.top_p);
        draw::min_p(&mut weights[..n_kept], params.min_p);
        candidates[draw::index(&weights[..n_kept], u)].token
    } else {
        let weights = &mut scratch.weights;
        draw::weights(logits.iter().copied(), top, params.temperature, weights);
        filter::top_p(weights, params.top_p, &mut scratch.candidates);
        draw::min_p(weights, params.min_p);
        draw::index(weights, u) as u32
    }
}

/// Penalties, bias and mask.
fn adjust(logits: &mut [f32], params: &RowParams<'_>) {
    for &token in params.seen {
        let logit = &mut logits[token as usize];
        let penalty = params.repetition_penalty;
        *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
    }
    for &(token, count) in params.counts {
        let logit = &mut logits[token as usize];
        *logit -= params.frequency_penalty * count as f32 + params.presence_penalty;
    }
    for &(token, bias) in params.bias {
        logits[token as usize] += bias;
    }
    if let Some(words) = params.mask {
        for (logits, at) in logits.chunks_mut(32).zip(0..) {
            let word = words.get(at).copied().unwrap_or(0);
            if word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
    }
}

/// What one pass over the raw logits finds.
struct Summary {
    argmax: usize,
    /// Logarithm of the sum of the exponents.
    log_sum: f64,
}

impl Summary {
    fn of(logits: &[f32]) -> Result<Self, Fault> {
        let (argmax, top) = argmax(logits);
        let sum: f64 = logits.iter().map(|logit| f64::from((logit - top).exp())).sum();
        let log_sum = f64::from(top) + sum.ln();
        if log_sum.is_finite() {
            return Ok(Self { argmax, log_sum });
        }
        let bad = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        match logits.iter().position(bad) {
            Some(index) => Err(Fault::NotANumber { index, value: logits[index] }),
            None => Err(Fault::NothingLeft),
        }
    }
}

/// Index and value of the largest logit, of equals the first. NaN is never the largest.
fn argmax(logits: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (index, logit);
        }
    }
    best
}
