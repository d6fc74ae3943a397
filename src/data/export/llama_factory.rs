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

/// The data set's entry.
pub(super) fn dataset_info(name: &str) -> String {
    let columns = json!({
        "messages": "conversations", "system": "system", "chosen": "chosen", "rejected": "rejected",
    });
    let entry = json!({
        "file_name": "train.jsonl", "ranking": true, "formatting": "sharegpt", "columns": columns,
    });
    format!("{:#}\n", json!({ name: entry }))
}

pub(super) fn snippet(place: Place<'_>) -> String {
    format!(
        "\
# LLaMA-Factory
stage: dpo
dataset_dir: {}
dataset: {}",
        quoted(place.folder),
        quoted(place.name)
    )
}
