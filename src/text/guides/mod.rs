//! Rules for the tokens of an answer: stop strings, grammars and answer templates.
//!
//! What is here is text; the engine's `Guide` is implemented in `llm`, which knows both rooms.

/// A grammar in one of three notations.
#[derive(Debug, Clone, PartialEq)]
pub enum Grammar {
    /// A regular expression.
    Regex(String),
    /// A JSON schema.
    Json(serde_json::Value),
    /// A Lark grammar, as llguidance reads it.
    Lark(String),
}

/// An answer whose form is fixed: it cannot be unreadable, and its longest length is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerTemplate {
    /// What follows what.
    pub segments: Vec<Segment>,
}

/// One stretch of an [`AnswerTemplate`].
#[derive(Debug, Clone, PartialEq, Eq)]
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
