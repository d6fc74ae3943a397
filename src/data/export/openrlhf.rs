//! OpenRLHF with a prompt key and a chat template: three lists of messages that it joins itself.
//!
//! It renders `prompt` and `prompt + side` and takes the difference, so the sides hold their own
//! turns only. `margin` goes along for the margin loss of its reward training.

use serde_json::{Value, json};

use super::Place;
use super::pair::Pair;

pub(super) fn row(pair: Pair) -> Result<Value, &'static str> {
    let Pair { prompt, chosen, rejected, rest } = pair;
    let mut row = json!({"prompt": prompt, "chosen": chosen, "rejected": rejected});
    if let Some(margin) = rest.get("margin") {
        row["margin"] = margin.clone();
    }
    Ok(row)
}

pub(super) fn snippet(place: Place<'_>) -> String {
    // Quoted as the shell wants it: closed, an escaped quote, opened again.
    let file = |name| format!("'{}/{name}.jsonl'", place.folder.replace('\'', r"'\''"));
    let test = if place.has_test {
        format!("  --eval.dataset {} \\\n  --eval.split train \\\n", file("test"))
    } else {
        String::new()
    };
    let train = file("train");
    format!(
        "\
# OpenRLHF: for train_dpo, or train_rm
python3 -m openrlhf.cli.train_dpo \\
  --data.dataset {train} \\
{test}  --data.prompt_key prompt \\
  --data.chosen_key chosen \\
  --data.rejected_key rejected \\
  --data.apply_chat_template"
    )
}
