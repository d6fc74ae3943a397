//! NeMo-RL's `PreferenceDataset`: a `context` and its ranked `completions`, rank 0 the best.
//!
//! Its DPO takes two completions a row, each a single response.

use serde_json::{Value, json};

use super::pair::Pair;
use super::{Place, quoted};

pub(super) fn row(pair: Pair) -> Result<Value, &'static str> {
    let [chosen, rejected] = pair.answers()?;
    Ok(json!({
        "context": pair.prompt,
        "completions": [
            {"rank": 0, "completion": [chosen]},
            {"rank": 1, "completion": [rejected]},
        ],
    }))
}

pub(super) fn snippet(place: Place<'_>) -> String {
    let file = quoted(&format!("{}/train.jsonl", place.folder));
    format!(
        "\
# NeMo-RL: over examples/configs/dpo.yaml
data:
  train:
    dataset_name: PreferenceDataset
    data_path: {file}"
    )
}
