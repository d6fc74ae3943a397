//! Tokens as a trainer counts them: the model's chat template and its vocabulary.

use std::path::Path;

use stillroom_models::Files;

use crate::Result;
use crate::text::chat::template::fixed_time;
use crate::text::chat::{Chat, Message, Role};
use crate::text::tokenizer::Tokenizer;

/// A model's template and vocabulary.
pub(super) struct Cutter {
    tokenizer: Tokenizer,
    chat: Chat,
}

impl Cutter {
    /// Reads both from a model's folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::read(&folder.join("tokenizer.json"))?;
        let files = Files::from(folder);
        Ok(Self { tokenizer, chat: Chat::read(folder, &|name| files.read(name), fixed_time())? })
    }

    /// Tokens of a prompt with the opening of the answer; none where the template has no such role
    /// or refuses the conversation.
    pub(super) fn prompt_len(&self, turns: &[(&str, &str)]) -> Option<usize> {
        let message = |(role, content): &(&str, &str)| {
            let role = match *role {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => return None,
            };
            Some(Message { role, content: (*content).to_owned() })
        };
        let messages: Vec<Message> = turns.iter().map(message).collect::<Option<_>>()?;
        self.chat.encode(&messages, &self.tokenizer).ok().map(|ids| ids.len())
    }

    /// Tokens of an answer.
    pub(super) fn ids(&self, text: &str) -> Option<Vec<u32>> {
        self.tokenizer.encode_after(text).ok()
    }

    /// The model's control tokens.
    pub(super) fn control_tokens(&self) -> &[String] {
        self.tokenizer.control_names()
    }
}
