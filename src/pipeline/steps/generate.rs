//! TextGeneration: an answer to an instruction, or several.
//!
//! The user's turn is a template over columns of the row; a row's own `system_prompt` wins over
//! the step's. Several answers become as many rows, or one row of lists when grouped.

use std::borrow::Cow;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use super::{Asking, Dropped, Made, Question, Source, metadata, options, take, text};
use crate::data::row::Columns;
use crate::llm::{Answer, Options};
use crate::pipeline::judge::Counter;
use crate::recipe::spec::TextGeneration;
use crate::text::chat::{Message, Role};
use crate::{Error, Result};

const TEMPLATE: &str = "user";

pub(super) struct GenerateStep {
    model: String,
    system_prompt: Option<String>,
    prompt: Prompt,
    n_generations: u64,
    grouped: bool,
    seed: Option<u64>,
    options: Options,
}

/// How the user's turn is made.
enum Prompt {
    /// It is the text of a column; by far the commonest template, and the fastest.
    Column(String),
    /// It is a template over columns.
    Template { environment: Box<Environment<'static>>, columns: Vec<String> },
}

impl GenerateStep {
    pub(super) fn build(spec: &TextGeneration) -> Result<Self> {
        Ok(Self {
            model: spec.model.clone(),
            system_prompt: spec.system_prompt.clone(),
            prompt: Prompt::build(spec)?,
            n_generations: spec.num_generations as u64,
            grouped: spec.group_generations,
            seed: spec.generation.seed,
            options: options(&spec.generation),
        })
    }

    fn messages(&self, row: &Columns) -> Result<Vec<Message>, Dropped> {
        let prompt = self.prompt.render(row)?;
        if prompt.trim().is_empty() {
            return Err(Dropped::new("empty prompt", ""));
        }
        let own = match row.get("system_prompt") {
            Some(Value::String(own)) if !own.is_empty() => Some(own),
            Some(_) | None => None,
        };
        let mut messages = Vec::with_capacity(2);
        if let Some(system) = own.or(self.system_prompt.as_ref()).filter(|text| !text.is_empty()) {
            messages.push(Message { role: Role::System, content: system.clone() });
        }
        messages.push(Message { role: Role::User, content: prompt });
        Ok(messages)
    }
}

impl Asking for GenerateStep {
    fn model(&self) -> &str {
        &self.model
    }

    fn seed(&self) -> Option<u64> {
        self.seed
    }

    fn n_units(&self) -> u64 {
        if self.grouped { 1 } else { self.n_generations }
    }

    fn shared(&self) -> Vec<Vec<Message>> {
        Vec::new()
    }

    fn ask(&self, row: &Columns, unit: u64, _count: Counter<'_>) -> Result<Vec<Question>, Dropped> {
        let messages = self.messages(row)?;
        let samples = if self.grouped { 0..self.n_generations } else { unit..unit + 1 };
        let question = |sample| Question {
            messages: messages.clone(),
            options: self.options.clone(),
            sample,
            order: 0,
        };
        Ok(samples.map(question).collect())
    }

    fn read(
        &self,
        row: &mut Cow<'_, Columns>,
        questions: Vec<Question>,
        answers: Vec<Answer>,
        source: Source<'_>,
    ) -> Result<Made, Dropped> {
        if let Some(answer) = answers.iter().find(|answer| answer.text.trim().is_empty()) {
            return Err(Dropped::new("empty answer", answer.finish.as_str()));
        }
        let mut columns = take(row);
        let mut texts: Vec<Value> =
            answers.iter().map(|answer| Value::String(answer.text.clone())).collect();
        let generation = if self.grouped {
            Value::Array(texts)
        } else {
            texts.pop().expect("a unit has an answer")
        };
        columns.insert("generation".to_owned(), generation);
        metadata::add(&mut columns, questions, answers, source, self.grouped);
        columns.insert("model_name".to_owned(), Value::String(source.model.to_owned()));
        Ok(Made { columns, note: None })
    }
}

impl Prompt {
    fn build(spec: &TextGeneration) -> Result<Self> {
        if let Some(column) = plain_column(&spec.template) {
            return Ok(Self::Column(column.to_owned()));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_template_owned(TEMPLATE, spec.template.clone()).map_err(|error| {
            Error::Usage {
                what: format!("the template `{}` does not parse: {error}", spec.template),
                hint: "correct `template` in the recipe".to_owned(),
            }
        })?;
        Ok(Self::Template { environment: Box::new(environment), columns: spec.columns.clone() })
    }

    fn render(&self, row: &Columns) -> Result<String, Dropped> {
        let (environment, columns) = match self {
            Self::Column(column) => return text(row, column).map(str::to_owned),
            Self::Template { environment, columns } => (environment, columns),
        };
        let mut context = Columns::new();
        for column in columns {
            match row.get(column) {
                Some(Value::Null) => {
                    return Err(Dropped::new(format!("`{column}` is null"), ""));
                }
                Some(value) => context.insert(column.clone(), value.clone()),
                None => return Err(Dropped::new(format!("no column `{column}`"), "")),
            };
        }
        environment
            .get_template(TEMPLATE)
            .and_then(|template| template.render(minijinja::Value::from(Serde(&context))))
            .map_err(|error| Dropped::new("the template fails on this row", error.to_string()))
    }
}

/// The column's name, when the template is nothing but that column.
fn plain_column(template: &str) -> Option<&str> {
    let name = template.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !matches!(name, "true" | "false" | "none" | "True" | "False" | "None");
    is_name.then_some(name)
}
