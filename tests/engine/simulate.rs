//! Seeded runs of the whole engine over the fake model.
//!
//! `STILLROOM_SIM_STEPS` sets how many steps are simulated in all, and `STILLROOM_SIM_SEED` the
//! first seed; a failure prints the seed that reproduces it:
//!
//! ```text
//! STILLROOM_SIM_STEPS=500000 cargo test --release --test engine simulate
//! STILLROOM_SIM_SEED=17 STILLROOM_SIM_STEPS=1 cargo test --test engine simulate
//! ```

use std::collections::BTreeMap;

use stillroom::engine::request::{Completion, FinishReason, RequestId, Sampling};
use stillroom::engine::{Engine, EngineLimits, Stats};

use crate::fake::{Dice, Fake, VOCAB_SIZE};
use crate::oracle::{Question, answer};
use crate::script::Script;

/// Steps of a plain `cargo test`.
const N_STEPS: u64 = 10_000;

/// Prints the seed when a run fails in the middle.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing run is STILLROOM_SIM_SEED={} STILLROOM_SIM_STEPS=1", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn simulate() {
    let n_steps = number("STILLROOM_SIM_STEPS").unwrap_or(N_STEPS);
    let mut seed = number("STILLROOM_SIM_SEED").unwrap_or(1);
    let mut total = Stats::default();
    let mut finishes = BTreeMap::new();
    let mut n_cancelled = 0;
    while total.n_steps < n_steps {
        let guard = Seed(seed);
        let run = Run::new(seed).run();
        drop(guard);
        seed += 1;
        n_cancelled += run.n_cancelled;
        total.n_steps += run.engine.stats().n_steps;
        total.n_preemptions += run.engine.stats().n_preemptions;
        total.n_cached_tokens += run.engine.stats().n_cached_tokens;
        total.n_recomputed_tokens += run.engine.stats().n_recomputed_tokens;
        run.finishes.iter().for_each(|finish| *finishes.entry(*finish).or_insert(0) += 1);
    }
    println!("{total:?}\n{finishes:?}, {n_cancelled} cancelled");
    if n_steps >= N_STEPS {
        // The runs are worth something only if all of this happens in them.
        let reasons = [FinishReason::Stop, FinishReason::Length, FinishReason::Repetition];
        assert!(reasons.iter().all(|reason| finishes.contains_key(reason.as_str())));
        assert!(total.n_preemptions > 0 && total.n_recomputed_tokens > 0);
        assert!(total.n_cached_tokens > 0 && n_cancelled > 0);
    }
}

/// One engine and what is asked of it.
struct Run {
    dice: Dice,
    engine: Engine<Fake>,
    oracle: Fake,
    max_context: usize,
    /// Whether most answers are long, so that blocks run out.
    is_tight: bool,
    prompts: Vec<Vec<u32>>,
    /// Numbers to be given out, in no order.
    ids: Vec<u64>,
    asked: BTreeMap<RequestId, Question>,
    finishes: Vec<&'static str>,
    n_cancelled: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let max_context = dice.pick(60..400);
        let n_sequences_max = dice.pick(1..10);
        let limits = EngineLimits {
            n_sequences_max,
            n_step_tokens_max: n_sequences_max + dice.pick(0..100),
            n_blocks: dice.pick(2..24),
            length_percentile: [0, 0, 0, 90][dice.pick(0..4)],
        };
        let prompt_len_max = [150, 20][dice.pick(0..2)];
        let mut prompts: Vec<Vec<u32>> = Vec::new();
        for _ in 0..dice.pick(1..8) {
            let mut prompt = match prompts.last() {
                Some(other) if dice.one_in(2) => other[..dice.pick(0..other.len()) + 1].to_vec(),
                _ => Vec::new(),
            };
            let n = dice.pick(1..prompt_len_max);
            prompt.extend(dice.tokens(n));
            prompts.push(prompt);
        }
        let mut ids: Vec<u64> = (0..dice.pick(1..100) as u64).collect();
        if dice.one_in(2) {
            // Requests that come out of the order of their numbers.
            ids.sort_by_key(|id| crate::fake::mix(id ^ seed));
        } else {
            ids.reverse();
        }
        let mut engine = Engine::new(Fake::new(max_context), limits).expect("memory");
        if dice.one_in(2) {
            let pinned = &prompts[dice.pick(0..prompts.len())];
            // A pin that does not fit is refused; the run goes on without it.
            let _ = engine.pin(&pinned[..dice.pick(0..pinned.len())]);
        }
        let is_tight = dice.one_in(2);
        Self {
            dice,
            engine,
            oracle: Fake::new(max_context),
            max_context,
            is_tight,
            prompts,
            ids,
            asked: BTreeMap::new(),
            finishes: Vec::new(),
            n_cancelled: 0,
        }
    }

    fn run(mut self) -> Self {
        let n_at_once = self.dice.pick(1..40);
        for n_steps in 0.. {
            assert!(n_steps < 100_000, "the run does not end");
            while self.asked.len() < n_at_once && !self.ids.is_empty() {
                self.submit();
            }
            if self.dice.one_in(40) {
                self.cancel();
            }
            let done = self.engine.step().expect("a step");
            self.engine.check_integrity();
            done.into_iter().for_each(|completion| self.check(completion));
            assert_eq!(self.engine.n_in_flight(), self.asked.len());
            if self.asked.is_empty() && self.ids.is_empty() {
                break;
            }
        }
        let stats = self.engine.stats();
        assert!(stats.n_cached_tokens <= stats.n_prompt_tokens);
        assert!(stats.n_blocks_peak <= self.engine.limits().n_blocks);
        self
    }

    fn submit(&mut self) {
        let Some(id) = self.ids.pop() else { return };
        let question = self.question(id);
        let n_tokens = self.max_context.min(question.prompt.len() + question.max_new_tokens);
        match self.engine.submit(question.request()) {
            Ok(()) => {
                self.asked.insert(RequestId(id), question);
            }
            Err(refusal) => {
                let fits = n_tokens.div_ceil(32) * 2 <= self.engine.limits().n_blocks;
                let has_room = question.prompt.len() < self.max_context;
                assert!(!(fits && has_room), "{refusal} but {n_tokens} tokens fit");
            }
        }
    }

    fn question(&mut self, id: u64) -> Question {
        let dice = &mut self.dice;
        let prompt = self.prompts[dice.pick(0..self.prompts.len())].clone();
        let max_new_tokens = if self.is_tight { dice.pick(100..250) } else { dice.pick(1..250) };
        let n_stop_tokens = usize::from(!self.is_tight && dice.one_in(3));
        let n_reported = if dice.one_in(4) { dice.pick(1..4) } else { 0 };
        let sampling = Sampling {
            temperature: [0.0, 0.7, 1.0, 2.0][dice.pick(0..4)],
            top_k: [0, 0, 3][dice.pick(0..3)],
            top_p: [1.0, 0.8][dice.pick(0..2)],
            min_p: [0.0, 0.1][dice.pick(0..2)],
            repetition_penalty: [1.0, 1.0, 1.3][dice.pick(0..3)],
            presence_penalty: [0.0, 0.0, 0.5][dice.pick(0..3)],
            frequency_penalty: [0.0, 0.0, 0.2][dice.pick(0..3)],
            // Sometimes so strong that the sequence loops.
            logit_bias: match dice.one_in(5) {
                true => vec![(dice.pick(0..VOCAB_SIZE) as u32, 100.0)],
                false => Vec::new(),
            },
            report: dice.tokens(n_reported),
            stop_repetition: !dice.one_in(4),
        };
        let stop_tokens = dice.tokens(n_stop_tokens);
        let script = dice.one_in(3).then(|| Script::seeded(dice));
        // A mask and a strong bias or a stop token may meet; that is part of the run.
        Question { id, prompt, max_new_tokens, stop_tokens, sampling, script }
    }

    fn cancel(&mut self) {
        let nth = self.dice.pick(0..self.asked.len().max(1));
        if let Some(&id) = self.asked.keys().nth(nth) {
            assert!(self.engine.cancel(id));
            assert!(!self.engine.cancel(id));
            self.asked.remove(&id);
            self.n_cancelled += 1;
        }
    }

    fn check(&mut self, mut completion: Completion) {
        let question = self.asked.remove(&completion.id).expect("it was asked, and not cancelled");
        assert!(completion.n_cached <= question.prompt.len());
        completion.n_cached = 0;
        let mut expected = answer(&self.oracle, self.max_context, &question);
        // The oracle normalises in another order; which alternative is taken must agree exactly.
        for (choice, expected) in completion.choices.iter().zip(&mut expected.choices) {
            for (logprob, expected) in choice.logprobs.iter().zip(&mut expected.logprobs) {
                assert!((*logprob - *expected).abs() <= 1e-5 * expected.abs().max(1.0));
                *expected = *logprob;
            }
        }
        assert_eq!(completion, expected);
        self.finishes.push(completion.finish.as_str());
    }
}
