//! Plain texts, a pair a line, for scripts and for trainers without a chat template.
//!
//! `prompt`, `chosen` and `rejected` are texts and `system` is one where there is one; ratings,
//! models and the margin follow. A longer conversation has no plain text and is left out.

use serde_json::{Map, Value, json};

use super::pair::Pair;
use super::{Place, content, provenance, quoted};

/// Why a prompt does not fit.
pub(super) const SEVERAL_TURNS: &str = "its prompt has several turns";

pub(super) fn row(mut pair: Pair) -> Result<Value, &'static str> {
    let mut row = Map::new();
    let [chosen, rejected] = pair.answers()?;
    let prompt = match &pair.prompt[..] {
        [system, user] if system["role"] == "system" && user["role"] == "user" => {
            row.insert("system".to_owned(), json!(content(system)));
            user
        }
        [user] if user["role"] == "user" => user,
        _ => return Err(SEVERAL_TURNS),
    };
    for (name, turn) in [("prompt", prompt), ("chosen", chosen), ("rejected", rejected)] {
        row.insert(name.to_owned(), json!(content(turn)));
    }
    row.extend(provenance(&mut pair.rest));
    Ok(Value::Object(row))
}

pub(super) fn snippet(place: Place<'_>) -> String {
    let load = |rows: &str, name: &str| {
        let file = quoted(&format!("{}/{name}.jsonl", place.folder));
        format!("\n{rows} = load_dataset(\"json\", data_files={file}, split=\"train\")")
    };
    let test = if place.has_test { load("test_rows", "test") } else { String::new() };
    format!("from datasets import load_dataset\n{}{test}", load("rows", "train"))
}
