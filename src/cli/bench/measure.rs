//! One combination of prompt length, output length and batch, timed step by step.
//!
//! All prompts are different, so that the prefix cache holds none of them. Prefill is every step
//! that computes prompts; decode is every step in which each sequence of the batch gets one token,
//! and the median one counts: contexts grow evenly, so that it is also the one of mean context.

use std::time::{Duration, Instant};

use stillroom_models::{Decoder, Model as _};

use super::gap::{Gap, Shares};
use crate::Result;
use crate::engine::Engine;
use crate::engine::request::{Request, RequestId, Sampling, TokenId};
use crate::{Error, engine};

/// A combination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Tokens of each prompt.
    pub(super) n_prompt: usize,
    /// Tokens generated after each.
    pub(super) n_output: usize,
    /// Sequences at a time.
    pub(super) batch: usize,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Prompt tokens computed in `prefill_s`.
    n_prefill_tokens: u64,
    /// Time of the steps with prompts in them.
    pub(super) prefill_s: f64,
    /// Median time of a step that decodes the whole batch; `None` when there was none.
    pub(super) step_s: Option<f64>,
    /// What those steps were made of, where the device works beside the host.
    pub(super) gap: Option<Shares>,
    /// Fastest and slowest of the repeats, as tokens per second of decode.
    pub(super) spread: Option<[f64; 2]>,
}

impl Rates {
    /// Prompt tokens per second.
    pub(super) fn prefill_tokens_per_s(&self) -> f64 {
        self.n_prefill_tokens as f64 / self.prefill_s
    }
}

/// Touches all weights once: a quantised one is rearranged at its first product.
pub(super) fn warm_up(engine: &mut Engine<Decoder>) -> Result<()> {
    run(engine, Cell { n_prompt: 2, n_output: 2, batch: 1 }, u64::MAX)?;
    Ok(())
}

/// Runs the shapes of `cell` once where the device loads a kernel for each shape at its first
/// launch, which would fall into the time of a cell that is run once.
pub(super) fn warm_up_shapes(engine: &mut Engine<Decoder>, cell: Cell, seed: u64) -> Result<()> {
    if !engine.model().device().is_cpu() {
        run_shapes(engine, cell, seed)?;
    }
    Ok(())
}

/// The prompts of `cell` and a first decode, of a seed that no repeat has: the prefix cache is left
/// with nothing that would help them.
pub(super) fn run_shapes(engine: &mut Engine<Decoder>, cell: Cell, seed: u64) -> Result<()> {
    run(engine, Cell { n_output: cell.n_output.min(2), ..cell }, seed << 8 | 0xff)?;
    Ok(())
}

/// Runs a combination `n_repeats` times and takes the one with the median decode.
pub(super) fn median(
    engine: &mut Engine<Decoder>,
    cell: Cell,
    n_repeats: u32,
    seed: u64,
) -> Result<Rates> {
    let repeats = (0..u64::from(n_repeats)).map(|repeat| run(engine, cell, seed << 8 | repeat));
    let mut repeats = repeats.collect::<Result<Vec<Rates>>>()?;
    repeats.sort_by(|a, b| {
        let times = |rates: &Rates| (rates.step_s.unwrap_or(0.0), rates.prefill_s);
        times(a).partial_cmp(&times(b)).expect("times are numbers")
    });
    let rate = |rates: &Rates| rates.step_s.map(|s| cell.batch as f64 / s);
    let fastest = repeats.first().and_then(rate);
    let slowest = repeats.last().and_then(rate);
    let spread = fastest.zip(slowest).map(|(fastest, slowest)| [slowest, fastest]);
    Ok(Rates { spread, ..repeats[repeats.len() / 2] })
}

fn run(engine: &mut Engine<Decoder>, cell: Cell, seed: u64) -> Result<Rates> {
    let vocab_size = engine.model().vocab_size() as u64;
    for number in 0..cell.batch as u64 {
        engine.submit(request(cell, number, seed, vocab_size)).map_err(unfit)?;
    }
    let (mut prefill, mut decode) = (Duration::ZERO, Duration::ZERO);
    let mut steps = Vec::new();
    let mut gap = Gap::default();
    let start_stats = engine.stats();
    let mut before = start_stats;
    while engine.n_in_flight() > 0 {
        let gap_before = Gap::now();
        let start = Instant::now();
        engine.step()?;
        let time = start.elapsed();
        let after = engine.stats();
        if after.n_prefill_tokens > before.n_prefill_tokens {
            prefill += time;
        } else if after.n_decode_tokens - before.n_decode_tokens == cell.batch as u64 {
            decode += time;
            steps.push(time);
            gap.add_since(gap_before);
        }
        before = after;
    }
    Ok(Rates {
        n_prefill_tokens: before.n_prefill_tokens - start_stats.n_prefill_tokens,
        prefill_s: prefill.as_secs_f64(),
        step_s: median_time(&mut steps).map(|time| time.as_secs_f64()),
        gap: gap.shares(decode),
        spread: None,
    })
}

/// The upper one of two in the middle; `None` of none.
fn median_time(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Request `number` of random tokens, no two alike; its end comes by length alone.
pub(super) fn request(cell: Cell, number: u64, seed: u64, vocab_size: u64) -> Request {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    let mut token = || {
        // Knuth's linear congruential generator: the ids need only differ.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        TokenId::try_from((state >> 33) % vocab_size).expect("a token")
    };
    Request {
        id: RequestId(number),
        prompt: (0..cell.n_prompt).map(|_| token()).collect(),
        max_new_tokens: cell.n_output,
        stop_tokens: [].into(),
        sampling: Sampling { temperature: 0.0, stop_repetition: false, ..Sampling::default() },
        noise: number,
        guide: None,
    }
}

/// A request that the engine refuses does not belong in a bench.
pub(super) fn unfit(refusal: engine::Refusal) -> Error {
    Error::Usage { what: refusal.to_string(), hint: "choose a smaller grid".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_step_does_not_count() {
        let mut times = [9, 1, 2, 1, 1].map(Duration::from_millis);
        assert_eq!(median_time(&mut times), Some(Duration::from_millis(1)));
        assert_eq!(median_time(&mut []), None);
    }
}
