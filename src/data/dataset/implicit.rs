//! TRL's conversational layout with an implicit prompt: whole conversations in both sides.
//!
//! There must be no `prompt` column: a trainer that sees one takes the sides for mere answers.

use serde_json::{Value, json};

use super::trl;
use crate::data::row::Columns;

/// The row in the implicit layout; a row that is no preference pair keeps its columns.
pub(super) fn layout(row: Columns) -> Columns {
    let mut row = trl::layout(row);
    if !trl::is_explicit(&row) {
        return row;
    }
    let Some(Value::Array(prompt)) = row.shift_remove("prompt") else {
        unreachable!("an explicit prompt is a list")
    };
    for side in ["chosen", "rejected"] {
        let own = row[side].take();
        let own = own.as_array().map(Vec::as_slice).unwrap_or_default();
        row[side] = json!([&prompt[..], own].concat());
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_hold_the_prompt_and_no_column_does() {
        let says = |role: &str, content: &str| json!({"role": role, "content": content});
        let (user, four, five) =
            (says("user", "2+2?"), says("assistant", "4"), says("assistant", "5"));
        let row = json!({
            "prompt": "2+2?", "chosen": [&user, &four], "rejected": [&user, &five],
            "chosen_rating": 5, "rejected_rating": 4.5,
        });
        let want = json!({
            "chosen": [&user, &four], "rejected": [&user, &five],
            "chosen_rating": 5, "rejected_rating": 4.5, "margin": 0.5,
        });
        let Value::Object(row) = row else { panic!("a row is an object") };
        assert_eq!(Value::Object(layout(row)).to_string(), want.to_string());
    }

    #[test]
    fn rows_that_are_no_pairs_keep_their_columns() {
        let row = json!({"prompt": "x", "generation": "y"});
        let Value::Object(row) = row else { panic!("a row is an object") };
        assert_eq!(layout(row.clone()), row);
    }
}
