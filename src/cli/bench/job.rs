//! A queue of requests, as a run makes one: more of them than run at a time, in one go.
//!
//! The grid's cells are pure phases; here prompts are computed while others decode, places are
//! filled as they become free, and ramp and tail count. All prompts may begin alike, as a judge's
//! do; and answers may be of any length, as real ones are: few of them then run to the end alone.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use stillroom_kernels::sample::philox::{Philox, Purpose};
use stillroom_models::{Decoder, Model as _};

use super::floor::Work;
use super::gap::{Gap, shown_gap};
use super::machine::Roof;
use super::measure::{Cell, request, unfit};
use crate::Result;
use crate::engine::request::TokenId;
use crate::engine::{Engine, EngineLimits};

/// Deviation of the logarithm of lengths that are spread, and the longest as a multiple of the
/// median: a sample of chats has about these.
const SPREAD: f64 = 0.8;
const LONGEST: usize = 8;

/// A queue, written `[SHARED:]PROMPT+[~]OUTPUT*REQUESTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    /// Tokens that all prompts begin with, of those in `n_prompt`.
    pub(super) n_shared: usize,
    /// Tokens of each prompt.
    pub(super) n_prompt: usize,
    /// Tokens generated after each; the median where they are spread.
    pub(super) n_output: usize,
    /// Whether answers are of log-normal length.
    pub(super) is_spread: bool,
    /// Requests in all.
    pub(super) n_requests: usize,
}

impl FromStr for Job {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = || "wanted [SHARED:]PROMPT+[~]OUTPUT*REQUESTS, such as 128+64*1000".to_owned();
        let (shared, rest) = text.split_once(':').unwrap_or(("0", text));
        let (prompt, rest) = rest.split_once('+').ok_or_else(whole)?;
        let (output, requests) = rest.split_once('*').ok_or_else(whole)?;
        let spread = output.strip_prefix('~');
        let (output, is_spread) = (spread.unwrap_or(output), spread.is_some());
        let number = |text: &str| text.parse::<usize>().map_err(|_| whole());
        let [n_shared, n_prompt, n_output, n_requests] =
            [number(shared)?, number(prompt)?, number(output)?, number(requests)?];
        let count = 1..=1 << 20;
        if ![n_prompt, n_output, n_requests].iter().all(|n| count.contains(n)) {
            return Err("prompt, output and requests are counted from 1 to a million".to_owned());
        }
        if n_shared >= n_prompt {
            return Err(format!("a prompt of {n_prompt} shares fewer tokens than it has"));
        }
        Ok(Self { n_shared, n_prompt, n_output, is_spread, n_requests })
    }
}

impl Job {
    /// Tokens of the longest request, prompt and answer.
    pub(super) fn n_tokens_max(self) -> usize {
        self.n_prompt + if self.is_spread { LONGEST * self.n_output } else { self.n_output }
    }

    /// Tokens to generate for each request, the same in every run.
    fn lengths(self) -> Vec<usize> {
        let stream = Philox::new(self.n_requests as u64);
        let spread = |i: u64| {
            let [u, v] = [2 * i, 2 * i + 1].map(|at| stream.uniform(at, Purpose::Weights));
            // A normal variable by Box and Muller; the logarithm never sees 0.
            let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let length = self.n_output as f64 * (SPREAD * normal).exp();
            (length.round() as usize).clamp(1, LONGEST * self.n_output)
        };
        let length = |i| if self.is_spread { spread(i) } else { self.n_output };
        (0..self.n_requests as u64).map(length).collect()
    }

    /// Least seconds: every own prompt token and the shared ones are computed once, and all
    /// decodes run in full batches. What own rows read of the shared beginning is not counted, so
    /// that the truth may lie a little higher.
    fn floor_s(self, lengths: &[usize], work: &Work, roof: &Roof, limits: &EngineLimits) -> f64 {
        let Self { n_shared, n_prompt, n_output, n_requests, .. } = self;
        let prefill_s = |n_prompt, batch| {
            work.prefill_s(roof, Cell { n_prompt, n_output, batch }, limits.n_step_tokens_max)
        };
        let shared_s = if n_shared > 0 { prefill_s(n_shared, 1) } else { 0.0 };
        let batch = limits.n_sequences_max.min(n_requests);
        let n_made: usize = lengths.iter().sum();
        // The length whose half is read at the mean token: long answers have more tokens.
        let n_output = lengths.iter().map(|length| length * length).sum::<usize>() / n_made;
        let step_s = work.decode_s(roof, Cell { n_prompt, n_output, batch });
        let n_steps = n_made as f64 / batch as f64;
        shared_s + prefill_s(n_prompt - n_shared, n_requests) + n_steps * step_s
    }

    /// Runs it and says how fast it went.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn run(
        self,
        engine: &mut Engine<Decoder>,
        (work, roof): (&Work, &Roof),
        seed: u64,
    ) -> Result<Value> {
        let Self { n_shared, n_prompt, n_output, is_spread, n_requests } = self;
        let lengths = self.lengths();
        let cell = Cell { n_prompt, n_output, batch: engine.limits().n_sequences_max };
        let vocab_size = engine.model().vocab_size() as u64;
        let shared = request(cell, u64::MAX, seed, vocab_size).prompt[..n_shared].to_vec();
        let before = engine.stats();
        let gap_before = Gap::now();
        let start = Instant::now();
        for (number, &length) in lengths.iter().enumerate() {
            let mut request = request(cell, number as u64, seed, vocab_size);
            request.max_new_tokens = length;
            let own = &request.prompt[n_shared..];
            request.prompt = Arc::<[TokenId]>::from([&shared[..], own].concat());
            engine.submit(request).map_err(unfit)?;
        }
        while engine.n_in_flight() > 0 {
            engine.step()?;
        }
        let wall = start.elapsed();
        let mut gap = Gap::default();
        gap.add_since(gap_before);
        let gap = gap.shares(wall);
        let wall_s = wall.as_secs_f64();
        let after = engine.stats();
        let n_made = (after.n_generated_tokens - before.n_generated_tokens) as f64;
        let n_read = (after.n_prompt_tokens - before.n_prompt_tokens) as f64;
        let n_cached = (after.n_cached_tokens - before.n_cached_tokens) as f64;
        let n_steps = after.n_steps - before.n_steps;
        let floor_s = self.floor_s(&lengths, work, roof, engine.limits());
        Ok(json!({
            "requests": n_requests,
            "prompt": n_prompt,
            "shared": n_shared,
            "output": n_output,
            "spread": is_spread,
            "batch": cell.batch,
            "wall_s": wall_s,
            "requests_per_s": n_requests as f64 / wall_s,
            "output_tokens_per_s": n_made / wall_s,
            "total_tokens_per_s": (n_read + n_made) / wall_s,
            "share_of_floor": floor_s / wall_s,
            "hit_rate": n_cached / n_read,
            "steps": n_steps,
            "ms_per_step": 1e3 * wall_s / n_steps as f64,
            "idle_share": gap.map(|gap| gap.idle),
            "wait_share": gap.map(|gap| gap.waiting),
            "preemptions": after.n_preemptions - before.n_preemptions,
            "narrowed": after.n_narrowed - before.n_narrowed,
        }))
    }
}

/// One line of the report.
pub(super) fn shown(job: &Value) -> String {
    let number = |name: &str| job[name].as_f64().unwrap_or_default();
    let gap = shown_gap(&job["idle_share"], &job["wait_share"]);
    format!(
        "job      {} requests of {}+{}{} ({} shared), {} at a time: {:.1} s, {:.2} requests/s, {:.0} \
         output tok/s, {:.0} tok/s in all, {:.0}% of the floor{gap}",
        job["requests"],
        job["prompt"],
        if job["spread"] == true { "~" } else { "" },
        job["output"],
        job["shared"],
        job["batch"],
        number("wall_s"),
        number("requests_per_s"),
        number("output_tokens_per_s"),
        number("total_tokens_per_s"),
        100.0 * number("share_of_floor"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_as_it_is_written() {
        let (n_prompt, n_output) = (1350, 64);
        let job = Job { n_shared: 600, n_prompt, n_output, is_spread: false, n_requests: 768 };
        assert_eq!("600:1350+64*768".parse(), Ok(job));
        assert_eq!("1350+64*768".parse(), Ok(Job { n_shared: 0, ..job }));
        assert_eq!("600:1350+~64*768".parse(), Ok(Job { is_spread: true, ..job }));
        for wrong in ["", "128", "128+64", "0+1*1", "1+0*1", "1+1*0", "5:5+1*1", "x+1*1", "1+~*1"] {
            assert!(wrong.parse::<Job>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_as_long_as_those_of_chats() {
        let job: Job = "200+~250*10000".parse().unwrap();
        let mut lengths = job.lengths();
        assert_eq!(lengths, job.lengths());
        lengths.sort_unstable();
        let mean = lengths.iter().sum::<usize>() as f64 / 1e4;
        assert!((330.0..350.0).contains(&mean), "{mean}");
        assert!((240..260).contains(&lengths[5000]), "{}", lengths[5000]);
        assert!(*lengths.last().unwrap() <= 2000);
        assert_eq!(job.n_tokens_max(), 2200);
        assert_eq!(Job { is_spread: false, n_requests: 3, ..job }.lengths(), [250; 3]);
    }
}
