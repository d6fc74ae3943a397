//! One row: from raw logits to a drawn token.
//!
//! Knows one row and its parameters; which rows run beside it is `mod.rs`' concern.

use super::cpu;
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
    /// The tokens that a filter has to put in order.
    candidates: Vec<Candidate>,
    /// Sums of weights by chunk.
    sums: Vec<f64>,
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
    let raw = cpu::summary(logits);
    if !raw.log_sum.is_finite() {
        return Err(fault(logits));
    }
    let token = if params.adjusts() {
        take_adjusted(logits, params, scratch)?
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

fn take_adjusted(
    logits: &[f32],
    params: &RowParams<'_>,
    scratch: &mut Scratch,
) -> Result<u32, Fault> {
    let mut adjusted = std::mem::take(&mut scratch.adjusted);
    adjusted.clear();
    adjusted.extend_from_slice(logits);
    adjust(&mut adjusted, params);
    let (best, top) = cpu::argmax(&adjusted);
    let token = (top > f32::NEG_INFINITY).then(|| take(&adjusted, best, params, scratch));
    scratch.adjusted = adjusted;
    token.ok_or(Fault::NothingLeft)
}

/// Takes a token by temperature and filters; `best` is the likeliest.
fn take(logits: &[f32], best: usize, params: &RowParams<'_>, scratch: &mut Scratch) -> u32 {
    if params.temperature == 0.0 || params.top_k == 1 {
        return best as u32;
    }
    let u = Philox::new(params.key).uniform(params.position, Purpose::Token);
    let top = logits[best];
    let Scratch { weights, candidates, sums, .. } = scratch;
    weights.clear();
    if params.top_k > 0 && params.top_k < logits.len() {
        filter::top_k(logits, params.top_k, candidates);
        weights.extend(candidates.iter().map(|candidate| candidate.score));
        draw::weigh(weights, top, params.temperature);
        weights.truncate(filter::top_p_sorted(weights, params.top_p));
        draw::min_p(weights, params.min_p);
        candidates[draw::index(weights, u, sums)].token
    } else {
        weights.extend_from_slice(logits);
        draw::weigh(weights, top, params.temperature);
        filter::top_p(weights, params.top_p, candidates);
        draw::min_p(weights, params.min_p);
        draw::index(weights, u, sums) as u32
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

/// Finds what is wrong with logits that have no sum.
fn fault(logits: &[f32]) -> Fault {
    let bad = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
    match logits.iter().position(bad) {
        Some(index) => Fault::NotANumber { index, value: logits[index] },
        None => Fault::NothingLeft,
    }
}
