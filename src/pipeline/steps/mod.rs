//! What each step makes of a row. One file per step; columns and parameters are distilabel's.
//!
//! A step sees one row at a time (a group: the rows of one ancestor) and must not know files,
//! models in memory or other rows. What is wrong with a row is a [`Dropped`], never an error: it
//! harms no other row.

mod argilla;
mod condition;
mod dedup;
mod dpo;
mod expand;
mod generate;
mod group;
mod human;
mod keep;
mod metadata;
mod pairs;
mod refusals;
mod self_instruct;
mod truncated;
mod ultrafeedback;
mod verdict;

use std::borrow::Cow;

use serde_json::Value;

use super::judge::Counter;
use super::noise::Draw;
use crate::Result;
use crate::data::row::Columns;
use crate::engine::request::Sampling;
use crate::llm::{Answer, Options};
use crate::recipe::spec::{Generation, Step};
use crate::text::chat::Message;

pub(crate) use argilla::{argilla_record, argilla_settings};
#[cfg(feature = "hub")]
pub(crate) use argilla::{rating_question, rationale_question};
pub(crate) use dedup::{DedupStep, Seen};
pub(crate) use group::{Branch, GroupStep};
#[cfg(feature = "hub")]
pub(crate) use human::{HUMAN_RATINGS, HUMAN_RATIONALES, N_ANNOTATORS, rated};
use ultrafeedback::JudgeStep;

/// Why a row goes no further: a short reason that can be counted, and what is special here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// The same words for the same kind of fault.
    pub(crate) reason: String,
    /// The values that clash; empty when there are none.
    pub(crate) detail: String,
}

impl Dropped {
    pub(crate) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

/// One question of a row to a model.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The conversation.
    pub(crate) messages: Vec<Message>,
    /// How the answer is made.
    pub(crate) options: Options,
    /// Which of the row's answers this is; part of the noise key.
    pub(crate) sample: u64,
    /// Which order of presentation; part of the noise key.
    pub(crate) order: u64,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The step that asked.
    pub(crate) step: &'a str,
    /// The model that answered, by the name that `model_name` carries.
    pub(crate) model: &'a str,
    /// Key of the first answer's randomness.
    pub(crate) noise: u64,
}

/// A finished row, and anything the run should count about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    /// Its columns.
    pub(crate) columns: Columns,
    /// Something that the user may want to know, in words that can be counted.
    pub(crate) note: Option<&'static str>,
}

/// A step that asks a model.
///
/// A row becomes `n_units` rows; each is made from the answers to its own questions, so that a
/// crash costs no unit that was finished.
pub(crate) trait Asking {
    /// Name of the model in the recipe.
    fn model(&self) -> &str;

    /// Seed of the step, if it has one of its own.
    fn seed(&self) -> Option<u64>;

    /// Rows made of one row.
    fn n_units(&self) -> u64;

    /// What conversations of all rows start with, where that is worth keeping in memory.
    fn shared(&self) -> Vec<Vec<Message>>;

    /// The questions of one unit; never empty.
    fn ask(&self, row: &Columns, unit: u64, count: Counter<'_>) -> Result<Vec<Question>, Dropped>;

    /// The row that the answers make, in the order of the questions. `row` is left as it was when
    /// none is made.
    fn read(
        &self,
        row: &mut Cow<'_, Columns>,
        questions: Vec<Question>,
        answers: Vec<Answer>,
        source: Source<'_>,
    ) -> Result<Made, Dropped>;
}

/// A step that needs no model: rows out of one row.
pub(crate) trait Plain {
    /// The rows that this row becomes. `row` is left as it was when it becomes none. Randomness
    /// comes from `draw` alone.
    fn apply(&self, row: &mut Cow<'_, Columns>, draw: Draw<'_>) -> Result<Vec<Columns>, Dropped>;
}

/// A step, ready to run.
pub(crate) enum Runner {
    /// Rows come from outside.
    Load,
    /// Rows come out of one row.
    Plain(Box<dyn Plain>),
    /// A model answers.
    Asking(Box<dyn Asking>),
    /// A model judges.
    Judge(Box<JudgeStep>),
    /// Branches meet.
    Group(GroupStep),
    /// Each row is held against those before it, in the data's order.
    Dedup(DedupStep),
}

impl Runner {
    /// Makes a step ready.
    ///
    /// # Errors
    /// When a template does not parse or a rubric cannot be read.
    pub(crate) fn build(step: &Step) -> Result<Self> {
        Ok(match step {
            Step::LoadDataFromDicts(_)
            | Step::LoadDataFromFileSystem(_)
            | Step::LoadDataFromHub(_) => Self::Load,
            Step::SelfInstruct(spec) => {
                Self::Asking(Box::new(self_instruct::SelfInstructStep::build(spec)))
            }
            Step::ExpandColumns(spec) => Self::Plain(Box::new(expand::ExpandStep::build(spec))),
            Step::KeepColumns(spec) => Self::Plain(Box::new(keep::KeepStep::build(spec))),
            Step::TextGeneration(spec) => {
                Self::Asking(Box::new(generate::GenerateStep::build(spec)?))
            }
            Step::GroupColumns(spec) => Self::Group(GroupStep::build(spec)),
            Step::FilterRows(spec) => Self::Plain(Box::new(condition::FilterStep::build(spec)?)),
            Step::DropRefusals(spec) => Self::Plain(Box::new(refusals::RefusalStep::build(spec))),
            Step::DropTruncated(spec) => {
                Self::Plain(Box::new(truncated::TruncatedStep::build(spec)))
            }
            Step::MinHashDedup(spec) => Self::Dedup(DedupStep::build(spec)),
            Step::UltraFeedback(spec) => Self::Judge(Box::new(JudgeStep::build(spec)?)),
            Step::FormatTextGenerationDPO(spec) => {
                Self::Plain(Box::new(dpo::DpoStep::build(spec)?))
            }
            Step::PreferenceToArgilla(spec) => {
                Self::Plain(Box::new(argilla::ArgillaStep::build(spec)))
            }
            Step::PushToHub(_) => unreachable!("rows do not reach it: it is no step of the flow"),
        })
    }

    /// The step as one that asks a model, if it does.
    pub(crate) fn asking(&self) -> Option<&dyn Asking> {
        match self {
            Self::Asking(asking) => Some(&**asking),
            Self::Judge(judge) => Some(&**judge),
            Self::Load | Self::Plain(_) | Self::Group(_) | Self::Dedup(_) => None,
        }
    }
}

/// The options of a step's questions, without stop texts' exclusions or a template.
fn options(generation: &Generation) -> Options {
    Options {
        max_new_tokens: generation.max_new_tokens,
        sampling: Sampling {
            temperature: generation.temperature,
            top_k: generation.top_k,
            top_p: generation.top_p,
            min_p: generation.min_p,
            repetition_penalty: generation.repetition_penalty,
            presence_penalty: generation.presence_penalty,
            frequency_penalty: generation.frequency_penalty,
            logit_bias: generation
                .logit_bias
                .iter()
                .filter_map(|(token, bias)| Some((token.parse().ok()?, *bias)))
                .collect(),
            ..Sampling::default()
        },
        stop: generation.stop.clone(),
        grammar: generation.grammar.clone(),
        template: None,
    }
}

/// The columns of a row to build on: its own where nobody else reads them, else a copy.
fn take(row: &mut Cow<'_, Columns>) -> Columns {
    std::mem::take(row.to_mut())
}

/// The text of a column.
fn text<'a>(row: &'a Columns, column: &str) -> Result<&'a str, Dropped> {
    match row.get(column) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Dropped::new(
            format!("`{column}` is not text"),
            format!("it is {}", kind_of(other)),
        )),
        None => Err(Dropped::new(format!("no column `{column}`"), "")),
    }
}

/// The items of a column.
fn list<'a>(row: &'a Columns, column: &str) -> Result<&'a [Value], Dropped> {
    match row.get(column) {
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(Dropped::new(
            format!("`{column}` is not a list"),
            format!("it is {}", kind_of(other)),
        )),
        None => Err(Dropped::new(format!("no column `{column}`"), "")),
    }
}

/// The texts of a column of lists.
fn texts<'a>(row: &'a Columns, column: &str) -> Result<Vec<&'a str>, Dropped> {
    list(row, column)?
        .iter()
        .map(|item| {
            item.as_str().ok_or_else(|| {
                Dropped::new(
                    format!("`{column}` holds something that is not text"),
                    format!("it is {}", kind_of(item)),
                )
            })
        })
        .collect()
}

/// A column of one text or of several; for a step that looks at answers, grouped or not.
fn one_or_more<'a>(row: &'a Columns, column: &str) -> Result<Vec<&'a str>, Dropped> {
    match row.get(column) {
        Some(Value::Array(_)) => texts(row, column),
        Some(_) | None => Ok(vec![text(row, column)?]),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// What the tests of plain steps draw from.
#[cfg(test)]
const DRAW: Draw<'static> = Draw {
    seed: 7,
    row: crate::data::row::RowId([1; 16]),
    step: "test",
    model: "",
    sample: 0,
    order: 0,
};
