//! The door that generators and judges share: messages in, text out.
//!
//! A trait, because the pipeline's own bench and tests stand a model behind it that answers at
//! once; the real one is [`Llm`](super::Llm).

use std::sync::Arc;

use crate::Result;
use crate::engine::Stats;
use crate::engine::request::{Choice, FinishReason, RequestId, Sampling};
use crate::text::chat::Message;
use crate::text::guides::{AnswerTemplate, Grammar};

/// One question to a model.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The caller's number, unique among those in flight; smaller numbers enter first.
    pub id: RequestId,
    /// The conversation, which ends with a user's turn.
    pub messages: Vec<Message>,
    /// How the answer is made.
    pub options: Options,
    /// Key of this answer's randomness.
    pub noise: u64,
}

/// How an answer is made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Most tokens of the answer, at least one.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// A grammar that the answer follows.
    pub grammar: Option<Grammar>,
    /// Forced text, choice points and bounded free text; excludes `grammar` and `stop`.
    pub template: Option<Arc<AnswerTemplate>>,
}

/// A finished answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The question's number.
    pub id: RequestId,
    /// The whole text, as the model gave it.
    pub text: String,
    /// The text of each segment of the template, in order; empty without one. A template that
    /// was cut short has fewer.
    pub parts: Vec<String>,
    /// The choice points of the template, in order.
    pub choices: Vec<Choice>,
    /// Tokens of the rendered prompt.
    pub n_input_tokens: usize,
    /// Prompt tokens that the prefix cache held.
    pub n_cached_tokens: usize,
    /// Tokens of the answer.
    pub n_output_tokens: usize,
    /// Sum of the log-probabilities of the answer's tokens.
    pub logprob: f32,
    /// Why the answer ended.
    pub finish: FinishReason,
}

/// Why a question cannot be answered; its row is dropped with this as the reason: words that are
/// the same for every question with this fault, then, behind `: `, the particulars of this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A model behind a door.
pub trait Door {
    /// The model's name, as `model_name` carries it.
    fn name(&self) -> &str;

    /// Queues a question, or says why it can never be answered (a prompt longer than the
    /// context, an empty prompt, a template that does not fit).
    ///
    /// # Errors
    /// The outer error ends the run; the inner one drops the row.
    fn submit(&mut self, ask: Ask) -> Result<Result<(), Refusal>>;

    /// Runs one forward and returns the answers that it finished; nothing when idle.
    ///
    /// # Errors
    /// When the device fails, or the model's logits are not numbers.
    fn step(&mut self) -> Result<Vec<Answer>>;

    /// Questions submitted and not yet answered.
    fn n_in_flight(&self) -> usize;

    /// How many questions in flight keep this model busy; the caller need not queue more.
    fn n_wanted(&self) -> usize;

    /// Keeps in memory what all prompts share whose last message starts as the last one here does:
    /// a judge's preamble. A promise of speed only; a door without such memory does nothing.
    fn pin(&mut self, _messages: &[Message]) {}

    /// What the engine behind it did so far, where there is one.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// Most tokens that an answer of this form takes.
    ///
    /// # Errors
    /// Why the model's vocabulary cannot write such an answer.
    fn n_tokens_max(&self, template: &AnswerTemplate) -> Result<usize, Refusal>;
}
