//! What the engine says when it cannot go on, or cannot take a request.
//!
//! A refusal concerns one request and costs one row; an error ends the run. Both name the two
//! values that clash. Our own faults are assertions and are not here.

use stillroom_kernels::fault;

use super::request::{RequestId, TokenId};

/// Why a request can never be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// No token may be generated.
    #[error("max_new_tokens is 0")]
    NothingToGenerate,
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {n_tokens} tokens, the model's context holds {max_context}")]
    PromptTooLong {
        /// Tokens of the prompt.
        n_tokens: usize,
        /// Longest sequence of the model.
        max_context: usize,
    },
    /// The sequence would not fit KV memory even if it were alone there.
    #[error(
        "the request may grow to {n_tokens} tokens, which need {n_blocks} blocks of KV memory; \
         {n_blocks_max} are there"
    )]
    KvTooSmall {
        /// Prompt and longest completion.
        n_tokens: usize,
        /// Blocks that they fill.
        n_blocks: usize,
        /// Blocks that one request can have.
        n_blocks_max: usize,
    },
    /// A sampling option that means nothing.
    #[error("{option} = {value} is outside its range")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        value: f32,
    },
    /// A token that the model has no embedding for.
    #[error("token {token} is outside the model's vocabulary of {vocab_size}")]
    UnknownToken {
        /// The token.
        token: TokenId,
        /// Tokens of the model.
        vocab_size: usize,
    },
}

/// Why the engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A logit is not a number: the weights or a kernel are broken.
    #[error(
        "the model gives token {token} the logit {value}, for request {} at position {position}",
        request.0
    )]
    NotANumber {
        /// The request whose row it was.
        request: RequestId,
        /// The place in the sequence that was to be filled.
        position: usize,
        /// The first token with such a logit.
        token: TokenId,
        /// Its logit.
        value: f32,
    },
    /// A guide allows no token at all.
    #[error("the rules for request {} allow no token at position {position}", request.0)]
    NothingAllowed {
        /// The request.
        request: RequestId,
        /// The place in the sequence that was to be filled.
        position: usize,
    },
    /// The device failed.
    #[error("the forward pass failed")]
    Device(#[from] candle_core::Error),
}

impl EngineError {
    /// Whether the device had no memory for the step.
    pub(super) fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Device(error) => fault::is_out_of_memory(error),
            Self::NotANumber { .. } | Self::NothingAllowed { .. } => false,
        }
    }
}

impl EngineError {
    /// The error as it is told where several models run.
    pub(crate) fn of_model(self, model: &str) -> crate::Error {
        match crate::Error::from(self) {
            crate::Error::Environment { what, hint, source } => {
                crate::Error::Environment { what: format!("{model}: {what}"), hint, source }
            }
            other @ (crate::Error::Recipe(_)
            | crate::Error::Usage { .. }
            | crate::Error::Remote { .. }
            | crate::Error::Gate { .. }
            | crate::Error::Interrupted { .. }) => other,
        }
    }
}

impl From<EngineError> for crate::Error {
    fn from(error: EngineError) -> Self {
        let hint = match &error {
            EngineError::NotANumber { .. } => {
                "the weights are broken or the format is too narrow: check the files, or load \
                 without quantisation"
            }
            EngineError::NothingAllowed { .. } => "the grammar has a dead end: simplify it",
            EngineError::Device(_) => "a smaller batch or less KV memory may help",
        };
        match error {
            EngineError::Device(cause) => {
                Self::environment_from("the forward pass failed", hint, cause)
            }
            EngineError::NotANumber { .. } | EngineError::NothingAllowed { .. } => {
                Self::environment(error.to_string(), hint)
            }
        }
    }
}
