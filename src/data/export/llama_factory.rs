//! LLaMA-Factory's sharegpt ranking: an odd number of turns, then one turn for each side.
//!
//! A side that is a list is taken for ordinary training data without a word, and so is a row whose
//! turns do not alternate; both are left out here. The data set needs an entry in
//! `dataset_info.json`, in whose folder its file lies.

use serde_json::{Value, json};

use super::pair::Pair;
use super::{Place, content, quoted};

/// Why a prompt does not fit.
const NO_TURNS: &str = "the prompt's turns do not go from user to user in turn";

pub(super) fn row(pair: Pair) -> Result<Value, &'static str> {
    let answers = pair.answers()?;
    if answers.iter().any(|turn| turn["role"] != "assistant") {
        return Err("a side is not the assistant's");
    }
    let (system, turns) = match &pair.prompt[..] {
        [first, turns @ ..] if first["role"] == "system" => (content(first), turns),
        turns => ("", turns),
    };
    let mut conversations = Vec::with_capacity(turns.len());
    for (i, turn) in turns.iter().enumerate() {
        let tag = match (i % 2, turn["role"].as_str()) {
            (0, Some("user")) => "human",
            (0, Some("tool")) => "observation",
            (1, Some("assistant")) => "gpt",
            _ => return Err(NO_TURNS),
        };
        conversations.push(json!({"from": tag, "value": content(turn)}));
    }
    if conversations.len().is_multiple_of(2) {
        return Err(NO_TURNS);
    }
    let [chosen, rejected] = answers.map(|turn| json!({"from": "gpt", "value": content(turn)}));
    Ok(json!({
        "system": system, "conversations": conversations, "chosen": chosen, "rejected": rejected,
    }))
}

/// The data set's entry, and that of its test side.
pub(super) fn dataset_info(name: &str, has_test: bool) -> String {
    let columns = json!({
        "messages": "conversations", "system": "system", "chosen": "chosen", "rejected": "rejected",
    });
    let entry = |file: &str| {
        json!({
            "file_name": file, "ranking": true, "formatting": "sharegpt", "columns": columns,
        })
    };
    let mut info = json!({ name: entry("train.jsonl") });
    if has_test {
        info[format!("{name}_test")] = entry("test.jsonl");
    }
    format!("{info:#}\n")
}

pub(super) fn snippet(place: Place<'_>) -> String {
    let test = quoted(&format!("{}_test", place.name));
    let test = if place.has_test { format!("\neval_dataset: {test}") } else { String::new() };
    let (folder, name) = (quoted(place.folder), quoted(place.name));
    format!("# LLaMA-Factory\nstage: dpo\ndataset_dir: {folder}\ndataset: {name}{test}")
}
