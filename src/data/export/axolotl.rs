//! Axolotl's DPO with a chat template: `messages` before, one message for each side.
//!
//! Of a side given as a list it takes the last message alone, so that earlier turns of that side
//! would vanish unseen: such pairs are left out here.

use serde_json::{Value, json};

use super::pair::Pair;
use super::{Place, quoted};

pub(super) fn row(pair: Pair) -> Result<Value, &'static str> {
    let [chosen, rejected] = pair.answers()?;
    Ok(json!({"messages": pair.prompt, "chosen": chosen, "rejected": rejected}))
}

pub(super) fn snippet(place: Place<'_>) -> String {
    let entry = |list: &str, name: &str| {
        let file = quoted(&format!("{}/{name}.jsonl", place.folder));
        format!(
            "\
{list}:
  - path: {file}
    ds_type: json
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected"
        )
    };
    let test = place.has_test.then(|| format!("\n{}", entry("test_datasets", "test")));
    format!("# Axolotl\nrl: dpo\n{}{}", entry("datasets", "train"), test.unwrap_or_default())
}
