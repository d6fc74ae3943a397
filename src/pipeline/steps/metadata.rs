//! `distilabel_metadata`: raw input, raw output, token counts and finish reasons of every task.
//!
//! Each task adds keys of its own name and takes none away, so that a pair still tells how its
//! answers and its ratings came about. Of several answers in one row each key holds a list.

use serde_json::{Map, Value, json};

use super::{Question, Source};
use crate::data::row::Columns;
use crate::llm::Answer;
use crate::text::chat::Message;

const COLUMN: &str = "distilabel_metadata";

/// Adds what one task did to the row; lists when `many`.
pub(super) fn add(
    columns: &mut Columns,
    questions: Vec<Question>,
    answers: Vec<Answer>,
    source: Source<'_>,
    many: bool,
) {
    let keep = |mut values: Vec<Value>| {
        if many { Value::Array(values) } else { values.pop().unwrap_or(Value::Null) }
    };
    let inputs = questions.into_iter().map(raw_input).collect();
    let statistics = answers.iter().map(statistics).collect();
    let outputs = answers.into_iter().map(|answer| Value::String(answer.text)).collect();
    let metadata = columns.entry(COLUMN).or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        // Our own data sets hold it as a JSON text.
        let text = metadata.as_str().unwrap_or_default();
        let read = serde_json::from_str(text).ok().filter(Value::is_object);
        *metadata = read.unwrap_or_else(|| Value::Object(Map::new()));
    }
    if let Value::Object(metadata) = metadata {
        metadata.insert(format!("raw_output_{}", source.step), keep(outputs));
        metadata.insert(format!("raw_input_{}", source.step), keep(inputs));
        metadata.insert(format!("statistics_{}", source.step), keep(statistics));
    }
}

/// What the branches of one ancestor say, key by key: a key that the ancestor had is kept as it
/// was, one that a single branch row has keeps its value, and of several rows come lists.
pub(super) fn merge<'a>(
    ancestor: &Columns,
    branches: impl Iterator<Item = &'a Columns>,
) -> Option<Value> {
    let object = |columns: &'a Columns| columns.get(COLUMN).and_then(Value::as_object);
    let inherited = ancestor.get(COLUMN).and_then(Value::as_object);
    let mut found: Vec<(&String, Vec<&Value>)> = Vec::new();
    for (key, value) in branches.filter_map(object).flatten() {
        match found.iter_mut().find(|(name, _)| *name == key) {
            Some((_, values)) => values.push(value),
            None => found.push((key, vec![value])),
        }
    }
    if found.is_empty() {
        return None;
    }
    let mut merged = Map::new();
    for (key, values) in found {
        let value = match (inherited.and_then(|inherited| inherited.get(key)), &values[..]) {
            (Some(kept), _) => kept.clone(),
            (None, [one]) => (*one).clone(),
            (None, several) => Value::Array(several.iter().copied().cloned().collect()),
        };
        merged.insert(key.clone(), value);
    }
    Some(Value::Object(merged))
}

/// How the answers with this text ended, over all tasks that gave it.
pub(super) fn finish_reasons<'a>(row: &'a Columns, text: &str) -> Vec<&'a str> {
    let Some(metadata) = row.get(COLUMN).and_then(Value::as_object) else { return Vec::new() };
    let mut ends = Vec::new();
    for (key, output) in metadata {
        let Some(step) = key.strip_prefix("raw_output_") else { continue };
        if let Some(statistics) = metadata.get(&format!("statistics_{step}")) {
            collect_ends(text, output, statistics, &mut ends);
        }
    }
    ends
}

/// Outputs and statistics have one shape: single values, or lists of lists of them.
fn collect_ends<'a>(text: &str, output: &Value, statistics: &'a Value, ends: &mut Vec<&'a str>) {
    match (output, statistics) {
        (Value::Array(outputs), Value::Array(statistics)) => {
            for (output, statistics) in outputs.iter().zip(statistics) {
                collect_ends(text, output, statistics, ends);
            }
        }
        (output, statistics) if output.as_str() == Some(text) => {
            ends.extend(statistics["finish_reason"].as_str());
        }
        _ => {}
    }
}

/// Whether a column is merged rather than taken from the last branch.
pub(super) fn is_metadata(column: &str) -> bool {
    column == COLUMN
}

fn raw_input(question: Question) -> Value {
    let turn = |message: Message| {
        let mut turn = Map::new();
        turn.insert("role".to_owned(), json!(message.role));
        turn.insert("content".to_owned(), Value::String(message.content));
        Value::Object(turn)
    };
    Value::Array(question.messages.into_iter().map(turn).collect())
}

fn statistics(answer: &Answer) -> Value {
    json!({
        "input_tokens": answer.n_input_tokens,
        "output_tokens": answer.n_output_tokens,
        "finish_reason": answer.finish.as_str(),
    })
}
