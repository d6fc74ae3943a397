//! What goes into the engine and what comes out: token ids on both sides, never text.

use std::sync::Arc;

use super::guide::Guide;

/// A token's number in its model's vocabulary. An alias, not a newtype: kernels and tokenizers
/// both read `&[u32]`, and a copy per step would buy little.
pub type TokenId = u32;

/// The caller's number for a request, unique among those in flight. Smaller numbers enter first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One sequence to be generated. The n samples of a prompt are n requests with equal prompts;
/// the engine sees that and prefills the prompt once.
pub struct Request {
    /// Carried back by the completion.
    pub id: RequestId,
    /// Token ids of the prompt, at least one; shared between the samples of one prompt.
    pub prompt: Arc<[TokenId]>,
    /// Most tokens that may be generated, at least one.
    pub max_new_tokens: usize,
    /// Tokens that end the sequence (EOS); the one that did is not part of the completion.
    pub stop_tokens: Arc<[TokenId]>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Key of this sequence's randomness: a function of run seed, row, model and sample. The
    /// counter is the position, so that noise never depends on the neighbours.
    pub noise: u64,
    /// Rules for the tokens, if any.
    pub guide: Option<Box<dyn Guide>>,
}

/// How tokens are drawn. The default is the plain distribution of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set whose probability reaches this share; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this share as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Divides (or multiplies, when negative) logits of tokens seen in prompt or completion.
    pub repetition_penalty: f32,
    /// Taken from the logit of each token that the completion already holds.
    pub presence_penalty: f32,
    /// Taken from the logit of a token once for each time that the completion holds it.
    pub frequency_penalty: f32,
    /// Added to single logits.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Tokens whose log-probabilities are reported at each position beside the chosen one's.
    pub report: Vec<TokenId>,
    /// Stop a sequence that goes round in a loop.
    pub stop_repetition: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            report: Vec::new(),
            stop_repetition: true,
        }
    }
}

impl Sampling {
    /// Whether draws depend on the tokens that stand there already.
    pub fn has_penalty(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }
}

/// A finished sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The request's number.
    pub id: RequestId,
    /// Generated tokens: sampled, forced and chosen ones, without the stop token.
    pub tokens: Vec<TokenId>,
    /// `[tokens]` log-probability of each token under the model's own distribution: before
    /// temperature, penalties, bias and mask. NaN-free; 0 for tokens forced without a forward.
    pub logprobs: Vec<f32>,
    /// `[tokens, report]` log-probabilities of the tokens asked for; empty when none were, and
    /// in the place of a forced token.
    pub reported: Vec<Vec<f32>>,
    /// The choice points, in order.
    pub choices: Vec<Choice>,
    /// Why the sequence ended.
    pub finish: FinishReason,
    /// Prompt tokens whose keys and values came from the prefix cache.
    pub n_cached: usize,
}

/// What happened at a [`Next::Choice`](super::guide::Next::Choice).
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Index in `Completion::tokens` of the alternative's first token.
    pub at: usize,
    /// Normalised log-probability of each alternative.
    pub logprobs: Vec<f32>,
    /// The alternative taken.
    pub taken: usize,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// A stop token, or a guide that was satisfied.
    Stop,
    /// `max_new_tokens`, or the model's context, was reached.
    Length,
    /// The sequence repeated itself and was stopped.
    Repetition,
}

impl FinishReason {
    /// The name that data files carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Repetition => "repetition",
        }
    }
}
