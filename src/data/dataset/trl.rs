//! distilabel's preference rows in TRL's conversational layout with an explicit prompt.
//!
//! `FormatTextGenerationDPO` gives `prompt` as a text and `chosen`/`rejected` as whole
//! conversations. TRL wants the shared turns in `prompt` and in each side its own turns only: a
//! prompt left implicit is cut out by comparing the sides, and a text beside lists is refused.
//! Messages hold `role` and `content` and nothing else, because TRL renders every key they have.

use serde_json::{Value, json};

use crate::data::row::Columns;

/// Columns that come first, in this order; the others follow as they stood.
const FIRST: [&str; 9] = [
    "prompt",
    "chosen",
    "rejected",
    "chosen_model",
    "rejected_model",
    "chosen_rating",
    "rejected_rating",
    "margin",
    "prompt_id",
];

/// The column whose shape differs from step to step and from row to row.
const METADATA: &str = "distilabel_metadata";

/// The row in TRL's layout; a row that is no preference pair keeps its columns.
///
/// `distilabel_metadata` becomes a JSON text in either case. Its keys are named after steps and
/// its values are a list where branches met and an object where they did not, so that as a struct
/// two runs could not be concatenated, nor even two rows be sure to have one type.
pub(in crate::data) fn layout(mut row: Columns) -> Columns {
    if let Some(metadata) =
        row.get_mut(METADATA).filter(|metadata| !metadata.is_null() && !metadata.is_string())
    {
        *metadata = Value::String(metadata.to_string());
    }
    if !is_conversation(&row, "chosen") || !is_conversation(&row, "rejected") {
        return row;
    }
    let [mut chosen, mut rejected] = ["chosen", "rejected"].map(|side| take_turns(&mut row, side));
    let own_turns = chosen.len().min(rejected.len()) - 1;
    let n_shared = chosen.iter().zip(&rejected).take(own_turns).take_while(|(a, b)| a == b).count();
    let (own, other) = (chosen.split_off(n_shared), rejected.split_off(n_shared));
    let prompt = match row.get("prompt").and_then(Value::as_str) {
        Some(text) if n_shared == 0 => vec![json!({"role": "user", "content": text})],
        _ => chosen,
    };
    for (name, turns) in [("prompt", prompt), ("chosen", own), ("rejected", other)] {
        row.insert(name.to_owned(), Value::Array(turns));
    }
    let rating = |name: &str| row.get(name).and_then(Value::as_f64);
    if let (Some(high), Some(low)) = (rating("chosen_rating"), rating("rejected_rating")) {
        row.entry("margin").or_insert_with(|| json!(high - low));
    }
    let first = FIRST.iter().filter_map(|name| row.shift_remove_entry(*name));
    let mut ordered: Columns = first.collect();
    ordered.extend(row);
    ordered
}

/// Whether columns are a preference pair, or one of its answers with a label.
pub(super) fn is_preference(names: &[&str]) -> bool {
    let has = |wanted: &[&str]| wanted.iter().all(|name| names.contains(name));
    has(&["chosen", "rejected"]) || has(&["prompt", "completion", "label"])
}

/// Whether a row that went through [`layout`] is a pair with an explicit prompt.
pub(in crate::data) fn is_explicit(row: &Columns) -> bool {
    ["prompt", "chosen", "rejected"].iter().all(|column| is_conversation(row, column))
}

/// Whether a column is a list of messages.
fn is_conversation(row: &Columns, column: &str) -> bool {
    let list = row.get(column).and_then(Value::as_array);
    let is_text = |message: &Value, key: &str| message.get(key).is_some_and(Value::is_string);
    list.is_some_and(|list| {
        !list.is_empty() && list.iter().all(|m| is_text(m, "role") && is_text(m, "content"))
    })
}

/// Takes the messages out of a column, each with its role and content only.
fn take_turns(row: &mut Columns, column: &str) -> Vec<Value> {
    let Some(Value::Array(mut turns)) = row.get_mut(column).map(Value::take) else {
        unreachable!("`{column}` is a list: it has just been looked at")
    };
    for turn in &mut turns {
        let [role, content] = ["role", "content"].map(|key| turn[key].take());
        *turn = json!({"role": role, "content": content});
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: Value, want: Value) {
        let Value::Object(row) = row else { panic!("a row is an object") };
        // As texts, because the order of columns counts.
        assert_eq!(Value::Object(layout(row)).to_string(), want.to_string());
    }

    fn says(role: &str, content: &str) -> Value {
        json!({"role": role, "content": content})
    }

    #[test]
    fn shared_turns_go_to_the_prompt_and_own_turns_stay() {
        let (system, user) = (says("system", "Be brief."), says("user", "2+2?"));
        let (four, five) = (says("assistant", "4"), says("assistant", "5"));
        check(
            json!({
                "instruction": "2+2?", "prompt": "2+2?", "prompt_id": "ab",
                "chosen": [&system, &user, &four], "chosen_rating": 5,
                "rejected": [&system, {"content": "2+2?", "role": "user", "id": 1}, &five],
                "rejected_rating": 2, "distilabel_metadata": {"raw": ["x", {}]},
            }),
            json!({
                "prompt": [&system, &user], "chosen": [&four], "rejected": [&five],
                "chosen_rating": 5, "rejected_rating": 2, "margin": 3.0, "prompt_id": "ab",
                "instruction": "2+2?", "distilabel_metadata": "{\"raw\":[\"x\",{}]}",
            }),
        );
    }

    #[test]
    fn sides_that_share_nothing_take_the_prompts_text() {
        let (four, five) = (says("assistant", "4"), says("assistant", "5"));
        check(
            json!({"prompt": "2+2?", "chosen": [&four], "rejected": [&five]}),
            json!({"prompt": [says("user", "2+2?")], "chosen": [&four], "rejected": [&five]}),
        );
    }

    #[test]
    fn equal_sides_keep_a_turn_each() {
        let (user, four) = (says("user", "2+2?"), says("assistant", "4"));
        let side = json!([&user, &four]);
        check(
            json!({"prompt": "2+2?", "chosen": side, "rejected": side}),
            json!({"prompt": [&user], "chosen": [&four], "rejected": [&four]}),
        );
    }

    #[test]
    fn rows_that_are_no_pairs_keep_their_columns() {
        let row = json!({"instruction": "x", "generation": "y", "chosen": null});
        check(row.clone(), row);
    }
}
