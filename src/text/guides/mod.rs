//! Rules for the tokens of an answer: stop strings, grammars and answer templates.
//!
//! What is here is text; the engine's `Guide` is implemented in `llm`, which knows both rooms.

mod end_mark;
pub mod grammar;
pub mod script;
#[cfg(test)]
mod tests;

pub use grammar::GrammarError;
pub use script::ScriptError;

use serde::Serialize;

use super::tokenizer::Tokenizer;

/// A grammar in one of three notations.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
    /// A regular expression.
    Regex(String),
    /// A JSON schema.
    Json(serde_json::Value),
    /// A Lark grammar, as llguidance reads it.
    Lark(String),
}

/// An answer whose form is fixed: it cannot be unreadable, and its longest length is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AnswerTemplate {
    /// What follows what.
    pub segments: Vec<Segment>,
}

/// One stretch of an [`AnswerTemplate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Text that is put there, not sampled.
    Forced(String),
    /// One of these texts, each scored.
    Choice(Vec<String>),
    /// Text of the model's own, up to the end mark (not part of it) or the limit.
    Free {
        /// Most tokens of the text.
        n_tokens_max: usize,
        /// The text that ends it early, usually a line break.
        until: String,
    },
}

impl AnswerTemplate {
    /// Most tokens that an answer of this form takes in a vocabulary.
    ///
    /// # Errors
    /// When the template is malformed, or does not fit the vocabulary.
    pub fn n_tokens_max(&self, tokenizer: &Tokenizer) -> Result<usize, ScriptError> {
        script::Script::new(self, tokenizer, &[]).map(|script| script.n_tokens_max())
    }
}
