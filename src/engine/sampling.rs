//! From a step's logits to one drawn token for each sampled row.
//!
//! The op draws; this file says how each row is to be drawn and gives a row's fault its request's
//! name. Rows of a choice point are drawn plainly: what counts there are the log-probabilities of
//! the alternatives' tokens.

use candle_core::Tensor;
use stillroom_kernels::sample::philox::{Philox, Purpose};
use stillroom_kernels::sample::{self, Drawn, RowParams, SampleError};

use super::error::{EngineError, Refusal};
use super::request::{Sampling, TokenId};
use super::sequence::{Rule, Sequence};

/// One row of logits: the row's sequence, and which of its scheduled rows it is.
struct Row<'a> {
    sequence: &'a Sequence,
    position: usize,
    /// Tokens whose log-probabilities are wanted.
    wanted: Vec<TokenId>,
}

/// Draws for each row of `logits` (`[s, v]`), in the order of the scheduled sequences.
///
/// # Errors
/// Names the first request whose logits are no numbers, or that may take no token.
pub(super) fn draw<'a>(
    logits: &Tensor,
    scheduled: impl Iterator<Item = &'a Sequence>,
) -> Result<Vec<Drawn>, EngineError> {
    let rows: Vec<Row<'_>> = scheduled.flat_map(rows).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let params: Vec<RowParams<'_>> = rows.iter().map(Row::params).collect();
    sample::sample(logits, &params).map_err(|error| match error {
        SampleError::NotANumber { row, index, value } => EngineError::NotANumber {
            request: rows[row].sequence.id,
            position: rows[row].position,
            token: TokenId::try_from(index).expect("a token"),
            value,
        },
        SampleError::NothingLeft { row } => EngineError::NothingAllowed {
            request: rows[row].sequence.id,
            position: rows[row].position,
        },
        SampleError::Tensor(error) => EngineError::Device(error),
    })
}

/// The chance by which a sequence takes an alternative at `position`, in `[0, 1)`.
pub(super) fn chance_of_choice(noise: u64, position: usize) -> f64 {
    Philox::new(noise).uniform(position as u64, Purpose::Choice)
}

/// Refuses what the op could only assert.
///
/// # Errors
/// Names the first option, or token, that lies outside its range.
pub(super) fn expect_valid(sampling: &Sampling, vocab_size: usize) -> Result<(), Refusal> {
    let s = sampling;
    let options = [
        ("temperature", s.temperature, s.temperature >= 0.0),
        ("top_p", s.top_p, s.top_p > 0.0 && s.top_p <= 1.0),
        ("min_p", s.min_p, (0.0..=1.0).contains(&s.min_p)),
        ("repetition_penalty", s.repetition_penalty, s.repetition_penalty > 0.0),
        ("presence_penalty", s.presence_penalty, true),
        ("frequency_penalty", s.frequency_penalty, true),
    ];
    for (option, value, in_range) in options {
        if !in_range || !value.is_finite() {
            return Err(Refusal::OptionOutOfRange { option, value });
        }
    }
    let biased = s.logit_bias.iter().map(|&(token, _)| token);
    expect_known(s.report.iter().copied().chain(biased), vocab_size)
}

/// Refuses tokens that the model does not have.
///
/// # Errors
/// Names the first of them.
pub(super) fn expect_known(
    mut tokens: impl Iterator<Item = TokenId>,
    vocab_size: usize,
) -> Result<(), Refusal> {
    match tokens.find(|&token| token as usize >= vocab_size) {
        Some(token) => Err(Refusal::UnknownToken { token, vocab_size }),
        None => Ok(()),
    }
}

fn rows(sequence: &Sequence) -> impl Iterator<Item = Row<'_>> {
    let first = sequence.n_scheduled - sequence.n_sampled();
    (first..sequence.n_scheduled).map(move |row| Row {
        sequence,
        position: sequence.position_after(row),
        wanted: sequence.wanted(row),
    })
}

impl Row<'_> {
    fn params(&self) -> RowParams<'_> {
        let s = &self.sequence.sampling;
        let row = RowParams {
            report: &self.wanted,
            key: self.sequence.noise,
            position: self.position as u64,
            ..RowParams::default()
        };
        let mask = match self.sequence.rule() {
            Rule::Free => None,
            Rule::Masked(mask) => Some(mask.words()),
            Rule::Choice(_) => return RowParams { temperature: 0.0, ..row },
        };
        let tally = self.sequence.tally();
        RowParams {
            temperature: s.temperature,
            top_k: s.top_k,
            top_p: s.top_p,
            min_p: s.min_p,
            repetition_penalty: s.repetition_penalty,
            presence_penalty: s.presence_penalty,
            frequency_penalty: s.frequency_penalty,
            seen: tally.map_or(&[], |tally| tally.seen()),
            counts: tally.map_or(&[], |tally| tally.counts()),
            bias: &s.logit_bias,
            mask,
            ..row
        }
    }
}
