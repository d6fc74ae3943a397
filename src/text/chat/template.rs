//! Every conversation fits every model: above the model's own template.
//!
//! Where a template has no system role (it raises, or leaves the text out), that text goes to the
//! head of the first user turn; a probe at load tells. A model without a template gets a plain
//! one of ours. And text of a row never becomes a control token: where it spells one, it is cut
//! inside the name before it is tokenised, so that an answer cannot end the judge's turn.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;

use super::render::{Renderer, SpecialTexts, TemplateError};
use super::{Message, Role};
use crate::text::tokenizer::{TokenId, Tokenizer};
use crate::{Error, Result};

/// The plain template, for models that bring none.
const PLAIN: &str = "{{ bos_token }}\
    {% for message in messages %}\
    {% if message.role == 'system' %}{{ message.content + '\\n\\n' }}\
    {% elif message.role == 'user' %}{{ 'User: ' + message.content + '\\n' }}\
    {% else %}{{ 'Assistant: ' + message.content + '\\n' }}{% endif %}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// What a model without a chat template writes when its turn is over.
const PLAIN_STOP: &str = "\nUser:";

/// Marks where a row's text is cut so that it names no control token. A noncharacter, which no
/// text has a use for; a row that brings it gets U+FFFD in its place.
const CUT: char = '\u{FDD0}';

/// What was read of a file; none where there is no such file.
pub type FileRead = io::Result<Option<Cow<'static, [u8]>>>;

/// Reads the file of this name beside a model's weights.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> FileRead;

/// From a conversation to the prompt of one model.
#[derive(Debug)]
pub struct Chat {
    renderer: Renderer,
    has_system_role: bool,
    stops: Vec<String>,
    notes: Vec<String>,
}

/// Why a conversation gives no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The template is malformed, or refuses the conversation.
    #[error("the model's chat template refuses the conversation: {0}")]
    Template(#[from] TemplateError),
    /// The vocabulary cannot spell a text.
    #[error(transparent)]
    Encode(#[from] crate::text::tokenizer::EncodeError),
}

impl Chat {
    /// Reads the template of a model: `chat_template.jinja`, or `chat_template` of
    /// `tokenizer_config.json`; the plain one, with a note, where there is neither. `read` gives
    /// the contents of a file, if it is there; `folder` is only shown.
    ///
    /// # Errors
    /// When a file cannot be read or its template is malformed.
    pub fn read(folder: &Path, read: ReadFile<'_>, now: NaiveDateTime) -> Result<Self> {
        let config = folder.join("tokenizer_config.json");
        let config: Value = match text_of_file(&config, read("tokenizer_config.json"))? {
            None => Value::Null,
            Some(text) => serde_json::from_str(&text).map_err(|e| {
                let what = format!("{}: this is no JSON", config.display());
                Error::environment_from(what, "Fetch the file again.", e)
            })?,
        };
        let text_of = |key: &str| {
            let token = &config[key];
            token.as_str().or(token["content"].as_str()).unwrap_or_default().to_owned()
        };
        let special = SpecialTexts { bos: text_of("bos_token"), eos: text_of("eos_token") };
        let file = "chat_template.jinja";
        let file = text_of_file(&folder.join(file), read(file))?;
        let Some(source) = file.or_else(|| default_template(&config["chat_template"])) else {
            let mut chat = Self::plain(special, now);
            chat.notes.push(format!(
                "{} has no chat template: a plain one (`User: ...`, `Assistant:`) is used, which \
                 suits base models only",
                folder.display()
            ));
            return Ok(chat);
        };
        Self::new(&source, special, now).map_err(|e| {
            let what = format!("{}: its chat template is malformed: {e}", folder.display());
            Error::environment(what, "Put a working template into `chat_template.jinja` there.")
        })
    }

    /// Compiles a template and finds out whether it has a system role.
    ///
    /// # Errors
    /// When the template is malformed.
    pub fn new(
        source: &str,
        special: SpecialTexts,
        now: NaiveDateTime,
    ) -> Result<Self, TemplateError> {
        let renderer = Renderer::new(source, special, now)?;
        let probe = [Message::system("a-probe-of-the-system-role"), Message::user("hello")];
        let rendered = renderer.render(&probe, true);
        let has_system_role = rendered.is_ok_and(|text| text.contains(&probe[0].content));
        Ok(Self { renderer, has_system_role, stops: Vec::new(), notes: Vec::new() })
    }

    /// The plain template, for a model that brings none.
    pub fn plain(special: SpecialTexts, now: NaiveDateTime) -> Self {
        let chat = Self::new(PLAIN, special, now).expect("our own template is well formed");
        Self { stops: vec![PLAIN_STOP.to_owned()], ..chat }
    }

    /// What the plan should say about this model's template.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Texts that end the model's turn, besides its control tokens.
    pub fn stops(&self) -> &[String] {
        &self.stops
    }

    /// The text of the token that ends a turn; empty when none is named.
    pub fn eos(&self) -> &str {
        &self.renderer.special().eos
    }

    /// Whether system text is passed to the template as such.
    pub fn has_system_role(&self) -> bool {
        self.has_system_role
    }

    /// The prompt that opens the model's next turn.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        if self.has_system_role {
            self.renderer.render(messages, true)
        } else {
            self.renderer.render(&fold_system(messages), true)
        }
    }

    /// Ids of the prompt that opens the model's next turn.
    ///
    /// # Errors
    /// When the template refuses the conversation, or the vocabulary cannot spell it.
    pub fn encode(
        &self,
        messages: &[Message],
        tokenizer: &Tokenizer,
    ) -> Result<Vec<TokenId>, PromptError> {
        let messages: Vec<Message> = messages
            .iter()
            .map(|m| Message { role: m.role, content: cut_control_names(&m.content, tokenizer) })
            .collect();
        encode_pieces(&self.render(&messages)?, tokenizer)
    }

    /// Ids with which every prompt starts whose last message starts as the last one here does:
    /// what the prompts of one judge have in common. Maybe empty.
    ///
    /// # Errors
    /// When the template refuses the conversation, or the vocabulary cannot spell it.
    pub fn encode_common(
        &self,
        messages: &[Message],
        tokenizer: &Tokenizer,
    ) -> Result<Vec<TokenId>, PromptError> {
        let goes_on = |end: &str| {
            let mut messages = messages.to_vec();
            if let Some(last) = messages.last_mut() {
                last.content.push_str(end);
            }
            self.encode(&messages, tokenizer)
        };
        // Two continuations that share nothing show how far the common tokens reach.
        let (one, other) = (goes_on("\n1")?, goes_on(" a")?);
        let n_common = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
        Ok(one[..n_common].to_vec())
    }
}

/// The time that templates print unless told another: the day that Llama's own templates fall
/// back to. A fixed one, so that a run resumed tomorrow meets the prompts of today.
pub fn fixed_time() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2024, 7, 26)
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .expect("the date exists")
}

/// Moves system text to the head of the first user turn, which is made where there is none.
fn fold_system(messages: &[Message]) -> Vec<Message> {
    let (system, mut turns): (Vec<Message>, Vec<Message>) =
        messages.iter().cloned().partition(|message| message.role == Role::System);
    let texts: Vec<String> = system.into_iter().map(|message| message.content).collect();
    let text = texts.join("\n\n");
    if text.trim().is_empty() {
        return turns;
    }
    match turns.iter_mut().find(|message| message.role == Role::User) {
        Some(first) => first.content = format!("{text}\n\n{}", first.content),
        None => turns.insert(0, Message::user(text)),
    }
    turns
}

/// Marks a cut after the first character of each control token's name.
fn cut_control_names(content: &str, tokenizer: &Tokenizer) -> String {
    let mut content = content.replace(CUT, "\u{FFFD}");
    for name in tokenizer.control_names() {
        if content.contains(name) {
            let n_first = name.chars().next().map_or(0, char::len_utf8);
            let (first, rest) = name.split_at(n_first);
            content = content.replace(name, &format!("{first}{CUT}{rest}"));
        }
    }
    content
}

/// Ids of a rendered text, tokenised apart on either side of each cut.
fn encode_pieces(rendered: &str, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, PromptError> {
    let mut pieces = rendered.split(CUT);
    let mut ids = tokenizer.encode(pieces.next().unwrap_or_default())?;
    for piece in pieces {
        ids.extend(tokenizer.encode_after(piece)?);
    }
    Ok(ids)
}

/// The text in what was read of a file.
fn text_of_file(path: &Path, read: FileRead) -> Result<Option<String>> {
    let text = read.and_then(|bytes| {
        let text = bytes.map(|bytes| String::from_utf8(bytes.into_owned())).transpose();
        text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    text.map_err(|e| {
        let what = format!("{} cannot be read", path.display());
        Error::environment_from(what, "Check the file and its permissions.", e)
    })
}

/// The template of a `chat_template` entry: a text, or a list of named ones, of which `default`
/// (or the first) is taken.
fn default_template(entry: &Value) -> Option<String> {
    if let Some(list) = entry.as_array() {
        let named = list.iter().find(|named| named["name"] == "default").or(list.first())?;
        return named["template"].as_str().map(str::to_owned);
    }
    entry.as_str().map(str::to_owned)
}
