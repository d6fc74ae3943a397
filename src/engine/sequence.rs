//! One sequence on its way from prompt to completion.
//!
//! It knows its tokens, how many of them lie in KV memory, and what may come next. There are no
//! phases: whatever is known but not yet in KV is pending, be it a whole prompt, forced text or
//! the one token that was just drawn. Which blocks hold the tokens is the scheduler's business.

use std::sync::Arc;

use stillroom_kernels::paged::BLOCK;
use stillroom_kernels::sample::Drawn;

use super::blocks::BlockId;
use super::choice::{Scoring, Taken};
use super::guide::{Guide, Next, Progress, TokenMask};
use super::prefix::{BlockHash, extend_hashes};
use super::repetition;
use super::request::{Choice, Completion, FinishReason, Request, RequestId, Sampling, TokenId};
use super::sampling;
use super::tally::Tally;

/// What the guide says of the next token; asked once for each place.
#[derive(Debug)]
pub(super) enum Rule {
    /// Any token.
    Free,
    /// Only these tokens.
    Masked(TokenMask),
    /// One of these alternatives.
    Choice(Vec<Vec<TokenId>>),
}

/// A request in the engine.
pub(super) struct Sequence {
    /// The request's number, which is also its age: smaller is older.
    pub(super) id: RequestId,
    /// How tokens are drawn.
    pub(super) sampling: Sampling,
    /// Key of this sequence's randomness.
    pub(super) noise: u64,
    /// Blocks that hold its tokens, in order; the scheduler keeps them.
    pub(super) blocks: Vec<BlockId>,
    /// Names of the full blocks, as far as they have been needed.
    pub(super) hashes: Vec<BlockHash>,
    /// Tokens that lie in KV.
    pub(super) n_computed: usize,
    /// Full blocks that the prefix cache knows of.
    pub(super) n_published: usize,
    /// Rows of this sequence in the step at hand.
    pub(super) n_scheduled: usize,
    /// `hashes[promised.0..promised.1]` are promised to the prefix cache.
    pub(super) promised: (usize, usize),
    /// Name of the block that this waiting sequence expects another one to write.
    pub(super) waits_for: Option<BlockHash>,
    /// Prompt tokens that the prefix cache held; `None` before the first admission.
    pub(super) n_cached: Option<usize>,
    /// Tokens whose KV was lost by preemption.
    pub(super) n_lost: usize,

    tokens: Vec<TokenId>,
    n_prompt: usize,
    /// Longest that `tokens` may become.
    n_tokens_max: usize,
    stop_tokens: Arc<[TokenId]>,
    guide: Option<Box<dyn Guide>>,
    rule: Rule,
    /// The choice point that is being scored.
    scoring: Option<Scoring>,
    /// Tokens of the running probe, which follow `tokens` for as long as it runs.
    probe: Vec<TokenId>,
    /// Tokens before this one are none of the model's own making.
    free_from: usize,
    /// Kept only where a penalty asks for it.
    tally: Option<Tally>,
    logprobs: Vec<f32>,
    reported: Vec<Vec<f32>>,
    choices: Vec<Choice>,
    finish: Option<FinishReason>,
}

impl Sequence {
    /// A sequence at its prompt, for a model whose sequences hold `max_context` tokens at most.
    /// It may be complete at once, if its guide says so.
    pub(super) fn new(request: Request, max_context: usize) -> Self {
        let n_prompt = request.prompt.len();
        let tally = request.sampling.has_penalty().then(|| Tally::of_prompt(&request.prompt));
        let mut sequence = Self {
            id: request.id,
            sampling: request.sampling,
            noise: request.noise,
            blocks: Vec::new(),
            hashes: Vec::new(),
            n_computed: 0,
            n_published: 0,
            n_scheduled: 0,
            promised: (0, 0),
            waits_for: None,
            n_cached: None,
            n_lost: 0,
            tokens: request.prompt.to_vec(),
            n_prompt,
            n_tokens_max: n_prompt.saturating_add(request.max_new_tokens).min(max_context),
            stop_tokens: request.stop_tokens,
            guide: request.guide,
            rule: Rule::Free,
            scoring: None,
            probe: Vec::new(),
            free_from: n_prompt,
            tally,
            logprobs: Vec::new(),
            reported: Vec::new(),
            choices: Vec::new(),
            finish: None,
        };
        sequence.ask_guide();
        sequence
    }

    /// Prompt and completion so far, without the tokens of a probe.
    pub(super) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Tokens of the prompt.
    pub(super) fn n_prompt(&self) -> usize {
        self.n_prompt
    }

    /// Tokens of the completion so far.
    pub(super) fn n_generated(&self) -> usize {
        self.tokens.len() - self.n_prompt
    }

    /// Longest that the sequence may become, prompt included.
    pub(super) fn n_tokens_max(&self) -> usize {
        self.n_tokens_max
    }

    /// Tokens that are known and not yet in KV, those of a probe included.
    pub(super) fn n_pending(&self) -> usize {
        self.tokens.len() + self.probe.len() - self.n_computed
    }

    /// Whether one step is all that stands before the next draw: such sequences go first.
    pub(super) fn is_decoding(&self) -> bool {
        self.n_pending() == 1 || !self.probe.is_empty()
    }

    /// Names the full blocks of what is known by now.
    pub(super) fn extend_hashes(&mut self) {
        extend_hashes(&mut self.hashes, &self.tokens);
    }

    /// Starts to run on top of `cached` blocks and promises the rest of the full ones.
    pub(super) fn enter(&mut self, cached: Vec<BlockId>) {
        self.n_computed = cached.len() * BLOCK;
        self.n_published = cached.len();
        self.promised = (cached.len(), self.hashes.len());
        self.waits_for = None;
        self.blocks = cached;
    }

    /// The tokens that this step computes.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = TokenId> + '_ {
        let known = self.tokens.iter().chain(&self.probe).copied();
        known.skip(self.n_computed).take(self.n_scheduled)
    }

    /// How many of the scheduled rows, counted from the last, need logits: each row of a probe,
    /// and the row of the last known token.
    pub(super) fn n_sampled(&self) -> usize {
        if self.n_computed + self.n_scheduled < self.tokens.len() {
            0
        } else if self.probe.is_empty() {
            1
        } else {
            self.n_scheduled
        }
    }

    /// What may come next.
    pub(super) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The tokens seen so far, where a penalty asks for them.
    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// The place of the token that scheduled row `row` predicts.
    pub(super) fn position_after(&self, row: usize) -> usize {
        self.n_computed + row + 1
    }

    /// The tokens whose log-probabilities are wanted from scheduled row `row`.
    pub(super) fn wanted(&self, row: usize) -> Vec<TokenId> {
        let mut wanted = match (&self.rule, &self.scoring) {
            (Rule::Free | Rule::Masked(_), _) => Vec::new(),
            (Rule::Choice(alternatives), None) => Scoring::wanted(alternatives, &[]),
            (Rule::Choice(_), Some(scoring)) => {
                scoring.wanted_behind(&self.probe[..self.position_after(row) - self.tokens.len()])
            }
        };
        wanted.extend_from_slice(&self.sampling.report);
        wanted
    }

    /// Takes the step's results, one [`Drawn`] for each of the sampled rows in their order.
    /// Returns true once the sequence is complete.
    pub(super) fn commit(&mut self, drawn: impl IntoIterator<Item = Drawn>) -> bool {
        self.n_computed += std::mem::take(&mut self.n_scheduled);
        let mut drawn = drawn.into_iter();
        if !self.probe.is_empty() {
            self.commit_probe(drawn);
        } else if let Some(drawn) = drawn.next() {
            self.commit_row(drawn);
        }
        self.finish.is_some()
    }

    /// Whether the sequence is complete.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Forgets what lay in KV, and a choice that was being scored: both are made again.
    pub(super) fn forget_kv(&mut self) {
        self.n_lost = self.n_computed.min(self.tokens.len());
        self.n_computed = 0;
        self.n_scheduled = 0;
        self.probe.clear();
        self.scoring = None;
    }

    /// The finished sequence.
    ///
    /// # Panics
    /// When it is not finished.
    pub(super) fn into_completion(self) -> Completion {
        Completion {
            id: self.id,
            tokens: self.tokens[self.n_prompt..].to_vec(),
            logprobs: self.logprobs,
            reported: if self.sampling.report.is_empty() { Vec::new() } else { self.reported },
            choices: self.choices,
            finish: self.finish.expect("only a finished sequence becomes a completion"),
            n_cached: self.n_cached.unwrap_or(0),
        }
    }

    fn commit_row(&mut self, drawn: Drawn) {
        if let Rule::Choice(alternatives) = &self.rule {
            let mut scoring = Scoring::new(alternatives.clone());
            scoring.record(&[], &drawn.reported);
            self.score_on(scoring);
        } else if self.stop_tokens.contains(&drawn.token) {
            self.finish = Some(FinishReason::Stop);
        } else {
            self.push(drawn.token, drawn.logprob, drawn.reported);
            self.check_repetition();
            self.ask_guide();
        }
    }

    fn commit_probe(&mut self, drawn: impl Iterator<Item = Drawn>) {
        let mut scoring = self.scoring.take().expect("a probe belongs to a choice");
        let n_before = self.n_computed - self.tokens.len();
        let drawn: Vec<Drawn> = drawn.collect();
        let first = n_before + 1 - drawn.len();
        for (row, drawn) in drawn.iter().enumerate() {
            scoring.record(&self.probe[..first + row], &drawn.reported);
        }
        if n_before < self.probe.len() {
            self.scoring = Some(scoring);
            return;
        }
        self.score_on(scoring);
    }

    /// Starts the next probe, or takes an alternative if nothing is left to score.
    fn score_on(&mut self, mut scoring: Scoring) {
        self.n_computed = self.tokens.len();
        self.probe.clear();
        if let Some(probe) = scoring.next_probe() {
            self.probe = probe;
            self.scoring = Some(scoring);
            return;
        }
        let chance = sampling::chance_of_choice(self.noise, self.tokens.len());
        let (choice, taken) = scoring.settle(self.n_generated(), self.sampling.temperature, chance);
        self.choices.push(choice);
        let Taken { tokens, logprobs, reported } = taken;
        for ((token, logprob), reported) in tokens.into_iter().zip(logprobs).zip(reported) {
            self.push(token, logprob, reported);
        }
        self.free_from = self.tokens.len();
        self.ask_guide();
    }

    /// Appends a token, unless the sequence is complete already.
    fn push(&mut self, token: TokenId, logprob: f32, reported: Vec<f32>) {
        if self.finish.is_some() {
            return;
        }
        self.tokens.push(token);
        self.logprobs.push(logprob);
        self.reported.push(reported);
        if let Some(tally) = &mut self.tally {
            tally.add(token);
        }
        let progress = self.guide.as_mut().map_or(Progress::Continue, |guide| guide.take(token));
        if progress == Progress::Stop {
            self.finish = Some(FinishReason::Stop);
        } else if self.tokens.len() >= self.n_tokens_max {
            self.finish = Some(FinishReason::Length);
        }
    }

    /// Appends what the guide forces and keeps what it says of the token after that.
    fn ask_guide(&mut self) {
        while self.finish.is_none() {
            let Some(guide) = &mut self.guide else { return };
            let forced = match guide.next() {
                Next::Free => {
                    self.rule = Rule::Free;
                    return;
                }
                Next::Masked(mask) => {
                    match &mut self.rule {
                        Rule::Masked(kept) => kept.clone_from(mask),
                        Rule::Free | Rule::Choice(_) => self.rule = Rule::Masked(mask.clone()),
                    }
                    return;
                }
                Next::Choice(alternatives) => {
                    let longest = alternatives.iter().map(Vec::len).max().unwrap_or(0);
                    if self.tokens.len() + longest > self.n_tokens_max {
                        // Taking among those that still fit would favour the short ones.
                        self.finish = Some(FinishReason::Length);
                    }
                    self.rule = Rule::Choice(alternatives.to_vec());
                    return;
                }
                Next::Forced(tokens) => tokens.to_vec(),
            };
            assert!(!forced.is_empty(), "request {} is forced to take nothing", self.id.0);
            for token in forced {
                self.push(token, 0.0, Vec::new());
            }
            self.free_from = self.tokens.len();
        }
    }

    fn check_repetition(&mut self) {
        let own = &self.tokens[self.free_from..];
        if self.finish.is_none()
            && self.sampling.stop_repetition
            && own.len().is_multiple_of(repetition::CHECK_EVERY)
            && repetition::ends_in_loop(own)
        {
            self.finish = Some(FinishReason::Repetition);
        }
    }
}
