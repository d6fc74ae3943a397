//! What a request must be answered with: the plainest loop, with the whole context each time.
//! It shares the sampling op and the fake's logits with the engine, and nothing else.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use stillroom::engine::guide::{Guide, Next, Progress};
use stillroom::engine::request::{Choice, Completion, FinishReason, Request, RequestId, Sampling};
use stillroom_kernels::sample::philox::{Philox, Purpose};
use stillroom_kernels::sample::{Drawn, RowParams, sample};

use crate::fake::{Fake, VOCAB_SIZE, mix};
use crate::script::Script;

/// A request in plain data, which can be made into any number of equal ones.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) id: u64,
    pub(crate) prompt: Vec<u32>,
    pub(crate) max_new_tokens: usize,
    pub(crate) stop_tokens: Vec<u32>,
    pub(crate) sampling: Sampling,
    pub(crate) script: Option<Script>,
}

impl Question {
    pub(crate) fn request(&self) -> Request {
        Request {
            id: RequestId(self.id),
            prompt: self.prompt.clone().into(),
            max_new_tokens: self.max_new_tokens,
            stop_tokens: self.stop_tokens.clone().into(),
            sampling: self.sampling.clone(),
            noise: self.noise(),
            guide: self.script.clone().map(|script| Box::new(script) as Box<dyn Guide>),
        }
    }

    fn noise(&self) -> u64 {
        mix(self.id)
    }
}

/// An answer in the making.
struct Answer<'a> {
    question: &'a Question,
    model: &'a Fake,
    n_tokens_max: usize,
    context: Vec<u32>,
    script: Option<Script>,
    /// Tokens at the end that the model drew, none of them forced or chosen.
    n_own: usize,
    done: Completion,
}

/// The answer, without a count of cached tokens.
pub(crate) fn answer(model: &Fake, max_context: usize, question: &Question) -> Completion {
    let done = Completion {
        id: RequestId(question.id),
        tokens: Vec::new(),
        logprobs: Vec::new(),
        reported: Vec::new(),
        choices: Vec::new(),
        finish: FinishReason::Length,
        n_cached: 0,
    };
    let n_tokens_max = max_context.min(question.prompt.len() + question.max_new_tokens);
    let context = question.prompt.clone();
    let script = question.script.clone();
    let mut answer = Answer { question, model, n_tokens_max, context, script, n_own: 0, done };
    while answer.go_on().is_continue() {}
    if question.sampling.report.is_empty() {
        answer.done.reported.clear();
    }
    answer.done
}

/// A token with its log-probability and those that are reported.
type Taken = (u32, f32, Vec<f32>);

impl Answer<'_> {
    /// One place or one stretch; breaks when that was the last.
    fn go_on(&mut self) -> ControlFlow<()> {
        let mut script = self.script.clone();
        let stretch = match script.as_mut().map_or(Next::Free, Guide::next) {
            Next::Free => return self.draw_one(None),
            Next::Masked(mask) => return self.draw_one(Some(mask.words())),
            Next::Forced(tokens) => tokens.iter().map(|&t| (t, 0.0, Vec::new())).collect(),
            Next::Choice(alternatives) => self.choose(alternatives)?,
        };
        self.n_own = 0;
        stretch.into_iter().try_for_each(|taken| self.push(taken))
    }

    fn draw_one(&mut self, mask: Option<&[u32]>) -> ControlFlow<()> {
        let drawn = self.draw(mask);
        if self.question.stop_tokens.contains(&drawn.token) {
            return self.finish(FinishReason::Stop);
        }
        self.n_own += 1;
        self.push((drawn.token, drawn.logprob, drawn.reported))?;
        let own = &self.context[self.context.len() - self.n_own..];
        if self.question.sampling.stop_repetition && own.len().is_multiple_of(16) && is_loop(own) {
            return self.finish(FinishReason::Repetition);
        }
        ControlFlow::Continue(())
    }

    fn push(&mut self, (token, logprob, reported): Taken) -> ControlFlow<()> {
        self.context.push(token);
        self.done.tokens.push(token);
        self.done.logprobs.push(logprob);
        self.done.reported.push(reported);
        if self.script.as_mut().is_some_and(|script| script.take(token) == Progress::Stop) {
            return self.finish(FinishReason::Stop);
        }
        if self.context.len() == self.n_tokens_max {
            return self.finish(FinishReason::Length);
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, reason: FinishReason) -> ControlFlow<()> {
        self.done.finish = reason;
        ControlFlow::Break(())
    }

    fn draw(&self, mask: Option<&[u32]>) -> Drawn {
        let s = &self.question.sampling;
        let mut seen = self.context.clone();
        seen.sort_unstable();
        seen.dedup();
        let count = |t: u32| self.done.tokens.iter().filter(|&&other| other == t).count() as u32;
        let counts: Vec<_> = seen.iter().map(|&t| (t, count(t))).filter(|c| c.1 > 0).collect();
        let params = RowParams {
            temperature: s.temperature,
            top_k: s.top_k,
            top_p: s.top_p,
            min_p: s.min_p,
            repetition_penalty: s.repetition_penalty,
            presence_penalty: s.presence_penalty,
            frequency_penalty: s.frequency_penalty,
            seen: &seen,
            counts: &counts,
            bias: &s.logit_bias,
            mask,
            report: &s.report,
            key: self.question.noise(),
            position: self.context.len() as u64,
        };
        row(self.model, &self.context, &params)
    }

    /// Scores each alternative by itself, token for token, and takes one.
    fn choose(&mut self, alternatives: &[Vec<u32>]) -> ControlFlow<(), Vec<Taken>> {
        if alternatives.iter().any(|a| self.context.len() + a.len() > self.n_tokens_max) {
            self.finish(FinishReason::Length)?;
        }
        let scored: Vec<Vec<Taken>> = alternatives.iter().map(|a| self.score(a)).collect();
        let sum = |tokens: &Vec<Taken>| tokens.iter().map(|t| f64::from(t.1)).sum::<f64>();
        let sums: Vec<f64> = scored.iter().map(sum).collect();
        let shares = |t: f64| {
            let max = sums.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = sums.iter().map(|sum| ((sum - max) / t).exp()).collect();
            let total: f64 = weights.iter().sum();
            weights.into_iter().map(move |weight| weight / total).collect::<Vec<_>>()
        };
        let temperature = f64::from(self.question.sampling.temperature);
        let taken = if temperature == 0.0 {
            let max = sums.iter().copied().fold(f64::MIN, f64::max);
            sums.iter().position(|&sum| sum == max).expect("a maximum")
        } else {
            let place = self.context.len() as u64;
            let chance = Philox::new(self.question.noise()).uniform(place, Purpose::Choice);
            let mut below = 0.0;
            let shares = shares(temperature);
            shares
                .iter()
                .position(|share| {
                    below += share;
                    chance < below
                })
                .expect("shares that add up to one")
        };
        let logprobs = shares(1.0).iter().map(|share| share.ln() as f32).collect();
        self.done.choices.push(Choice { at: self.done.tokens.len(), logprobs, taken });
        ControlFlow::Continue(scored[taken].clone())
    }

    fn score(&self, alternative: &[u32]) -> Vec<Taken> {
        let report = &self.question.sampling.report;
        let score = |i: usize| {
            let context = [&self.context, &alternative[..i]].concat();
            let asked = [&[alternative[i]], &report[..]].concat();
            let params = RowParams { temperature: 0.0, report: &asked, ..RowParams::default() };
            let scores = row(self.model, &context, &params).reported;
            (alternative[i], scores[0], scores[1..].to_vec())
        };
        (0..alternative.len()).map(score).collect()
    }
}

fn row(model: &Fake, context: &[u32], params: &RowParams<'_>) -> Drawn {
    let logits = model.logits(context);
    let logits = Tensor::from_vec(logits, (1, VOCAB_SIZE), &Device::Cpu).expect("a row");
    sample(&logits, std::slice::from_ref(params)).expect("a draw").remove(0)
}

fn is_loop(tokens: &[u32]) -> bool {
    (1..=128usize).any(|period| {
        let n = (3 * period).max(64);
        let tail = tokens.len().checked_sub(n).map(|start| &tokens[start..]);
        tail.is_some_and(|tail| (period..n).all(|i| tail[i] == tail[i - period]))
    })
}
