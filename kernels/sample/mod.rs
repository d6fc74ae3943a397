//! Draws one token for each row of logits, and reports log-probabilities.
//!
//! Every row has its own parameters, and nothing a row draws depends on its neighbours: the
//! randomness is a function of the row's key and position ([`philox`]). The steps, in this order:
//!
//! 1. repetition, then frequency and presence penalty; bias; mask
//! 2. temperature (0 takes the likeliest token that is left, of equals the lowest id)
//! 3. top-k, then top-p, then min-p, each among what the one before has kept
//! 4. one draw from what is left, renormalised
//!
//! Log-probabilities are those of the model itself, before all of this. They take the exponents in
//! f32 and the sum in f64. On CUDA the draw runs where the logits are and picks the same tokens;
//! those of another device are fetched.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod draw;
mod filter;
pub mod launch;
pub mod philox;
pub mod reference;
mod row;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
mod cuda {
    pub(super) use super::on_host as sample;
}

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::host::HostF32;
use crate::idle::{self, Moment};
use crate::shape::Shapes;
use crate::switch;

/// How one row is drawn.
#[derive(Debug, Clone, Copy)]
pub struct RowParams<'a> {
    /// What logits are divided by; 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of likeliest tokens whose probability reaches this share; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this share as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Divides the logits of `seen` tokens (multiplies them, when negative); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken from the logit of each token in `counts`.
    pub presence_penalty: f32,
    /// Taken from the logit of each token in `counts`, once for each time it was counted.
    pub frequency_penalty: f32,
    /// Tokens of prompt and completion, each once, in any order.
    pub seen: &'a [u32],
    /// Tokens of the completion and how often it holds them, each token once.
    pub counts: &'a [(u32, u32)],
    /// Added to single logits; a token named twice gets both.
    pub bias: &'a [(u32, f32)],
    /// The tokens allowed: bit `token % 32` of word `token / 32`. All are when `None`.
    pub mask: Option<&'a [u32]>,
    /// Tokens whose log-probabilities are wanted beside the drawn one's.
    pub report: &'a [u32],
    /// Key of the row's sequence.
    pub key: u64,
    /// Position of the token that is drawn, in its sequence.
    pub position: u64,
}

impl Default for RowParams<'_> {
    /// The model's own distribution, with key and position 0.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seen: &[],
            counts: &[],
            bias: &[],
            mask: None,
            report: &[],
            key: 0,
            position: 0,
        }
    }
}

/// What was drawn for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// Its log-probability under the model's own distribution.
    pub logprob: f32,
    /// Log-probabilities of `report`'s tokens, likewise.
    pub reported: Vec<f32>,
}

/// Why a row could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The model has made a number that is none.
    #[error("row {row} of the logits holds {value} at index {index}")]
    NotANumber {
        /// Row of the logits.
        row: usize,
        /// First token whose logit is NaN or plus infinity.
        index: usize,
        /// That logit.
        value: f32,
    },
    /// Every logit is minus infinity, before or after bias and mask.
    #[error("row {row} of the logits leaves no token to draw: all are masked or impossible")]
    NothingLeft {
        /// Row of the logits.
        row: usize,
    },
    /// Shape or device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Draws one token for each row of `logits` (`[s, v]`, any float type), by the row's parameters.
///
/// # Errors
/// Names the first row that holds NaN, or that leaves nothing to draw.
///
/// # Panics
/// When a parameter or a token lies outside its range; requests are checked where they enter.
pub fn sample(logits: &Tensor, params: &[RowParams<'_>]) -> Result<Vec<Drawn>, SampleError> {
    let mut shapes = Shapes::of("sample");
    shapes.bind("s", params.len(), "the parameters")?;
    shapes.expect("logits", logits, ["s", "v"])?;
    match logits.device() {
        Device::Cuda(_) if switch::is_on("sample") => cuda::sample(logits, params),
        Device::Cpu | Device::Cuda(_) | Device::Metal(_) => on_host(logits, params),
    }
}

/// [`sample()`] on the CPU; the shape is checked there.
fn on_host(logits: &Tensor, params: &[RowParams<'_>]) -> Result<Vec<Drawn>, SampleError> {
    let v = logits.dim(1)?;
    let logits = logits.to_dtype(DType::F32)?;
    let logits = match logits.device() {
        Device::Cpu => logits,
        Device::Cuda(_) | Device::Metal(_) => {
            idle::tell(Moment::Waits);
            let fetched = logits.to_device(&Device::Cpu)?;
            idle::tell(Moment::Idle);
            fetched
        }
    };
    let logits = HostF32::of(&logits)?;
    let draws: Vec<_> = logits
        .par_chunks(v.max(1))
        .zip(params)
        .map_init(row::Scratch::default, |scratch, (logits, params)| {
            params.assert_valid(v);
            row::sample(logits, params, scratch)
        })
        .collect();
    // Errors are raised in the order of the rows, not in the order that threads found them.
    draws.into_iter().enumerate().map(|(row, drawn)| drawn.map_err(|e| e.at(row))).collect()
}

impl RowParams<'_> {
    /// Whether logits change between the model and the draw.
    fn adjusts(&self) -> bool {
        let penalised = self.repetition_penalty != 1.0 && !self.seen.is_empty()
            || (self.presence_penalty != 0.0 || self.frequency_penalty != 0.0)
                && !self.counts.is_empty();
        penalised || !self.bias.is_empty() || self.mask.is_some()
    }

    fn assert_valid(&self, v: usize) {
        let non_negative = |x: f32| x >= 0.0 && x.is_finite();
        assert!(non_negative(self.temperature), "temperature {}", self.temperature);
        assert!(self.top_p > 0.0 && self.top_p <= 1.0, "top_p {}", self.top_p);
        assert!((0.0..=1.0).contains(&self.min_p), "min_p {}", self.min_p);
        assert!(
            self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite(),
            "repetition_penalty {}",
            self.repetition_penalty
        );
        let addable = |&(_, bias): &(u32, f32)| !bias.is_nan() && bias < f32::INFINITY;
        assert!(self.bias.iter().all(addable), "bias {:?}", self.bias);
        let counted = self.counts.iter().map(|&(token, _)| token);
        let biased = self.bias.iter().map(|&(token, _)| token);
        let named = self.seen.iter().chain(self.report).copied().chain(counted).chain(biased);
        for token in named {
            assert!((token as usize) < v, "token {token} of {v}");
        }
    }
}
