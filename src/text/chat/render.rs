//! A chat template, rendered as transformers renders it.
//!
//! The environment is the one that template authors write for: blocks trimmed, Python's string
//! methods, `raise_exception`, `strftime_now`, `tojson` as Python's `json.dumps` spells it, and
//! `tools` and `documents` present but none. There is no clock here: the time that a template may
//! print is given, so that a prompt does not change with the day on which it is made.

use std::fmt::Write;

use chrono::NaiveDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat;

use super::Message;
use crate::text::json;

/// The texts of the control tokens that templates write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTexts {
    /// Starts a sequence; empty when the model has none.
    pub bos: String,
    /// Ends a turn.
    pub eos: String,
}

/// Why a template gives no prompt: it is malformed, or it refuses the conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// A compiled template.
#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
    special: SpecialTexts,
}

const NAME: &str = "chat_template";

impl Renderer {
    /// Compiles a template; `now` is the time that it may print.
    ///
    /// # Errors
    /// When the template is malformed.
    pub fn new(
        source: &str,
        special: SpecialTexts,
        now: NaiveDateTime,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters are valid"));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, _> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", move |format: String| {
            let mut text = String::new();
            write!(text, "{}", now.format(&format)).map(|()| text).map_err(|_| {
                let what = format!("strftime_now cannot read the format {format:?}");
                minijinja::Error::new(ErrorKind::InvalidOperation, what)
            })
        });
        environment.add_filter("tojson", json::tojson);
        environment.add_template_owned(NAME, source.to_owned()).map_err(told)?;
        Ok(Self { environment, special })
    }

    /// The texts of the control tokens that the template writes.
    pub fn special(&self) -> &SpecialTexts {
        &self.special
    }

    /// The text of a conversation; with the opening of the model's next turn, if asked for.
    ///
    /// # Errors
    /// When the template refuses the conversation, in its own words.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let template = self.environment.get_template(NAME).map_err(told)?;
        let values = context! {
            messages => Value::from(Serde(messages)),
            tools => Value::from(()),
            documents => Value::from(()),
            add_generation_prompt => add_generation_prompt,
            bos_token => &self.special.bos,
            eos_token => &self.special.eos,
        };
        template.render(values).map_err(told)
    }
}

fn told(error: minijinja::Error) -> TemplateError {
    TemplateError(error.detail().map_or_else(|| error.to_string(), str::to_owned))
}
