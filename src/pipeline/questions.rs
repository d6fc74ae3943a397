//! What a step asks its model about a row, without a run: for a look at the prompts, and for the
//! training of a model that is to answer them.

use std::sync::Arc;

use super::steps::Runner;
use crate::data::row::Columns;
use crate::llm::Refusal;
use crate::recipe::spec::Step;
use crate::text::chat::Message;
use crate::text::guides::{AnswerTemplate, Segment};
use crate::text::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A question of a step to its model.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The form of the answer, where it is fixed.
    pub template: Option<Arc<AnswerTemplate>>,
}

impl Asked {
    /// Names the words of this question: 32 hexadecimal digits, of the conversation and of what
    /// the form fixes. A model that learned one wording does not know another.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        self.messages.iter().for_each(|message| add(&message.content));
        let segments = self.template.iter().flat_map(|template| &template.segments);
        for segment in segments {
            match segment {
                Segment::Forced(text) | Segment::Free { until: text, .. } => add(text),
                Segment::Choice(texts) => texts.iter().for_each(|text| add(text)),
            }
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// The questions that `step` asks about `row` for its first answer, in the order of presentation.
/// The tokenizer tells how long an answer of a fixed form can get.
///
/// # Errors
/// When the step asks no model, or would drop the row.
pub fn questions(step: &Step, row: &Columns, tokenizer: &Tokenizer) -> Result<Vec<Asked>> {
    let runner = Runner::build(step)?;
    let Some(asking) = runner.asking() else {
        return Err(Error::Usage {
            what: format!("{} asks no model", step.type_name()),
            hint: "take a step that has a `model`".to_owned(),
        });
    };
    let count = |template: &AnswerTemplate| {
        template.n_tokens_max(tokenizer).map_err(|error| Refusal(error.to_string()))
    };
    let questions = asking.ask(row, 0, &count).map_err(|dropped| Error::Usage {
        what: format!("{} would drop this row: {}", step.type_name(), dropped.reason),
        hint: dropped.detail,
    })?;
    let asked = questions
        .into_iter()
        .map(|question| Asked { messages: question.messages, template: question.options.template });
    Ok(asked.collect())
}
