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
    let entry = |part: &str, name: &str| {
        let file = quoted(&format!("{}/{name}.jsonl", place.folder));
        format!("\n  {part}:\n    dataset_name: PreferenceDataset\n    data_path: {file}")
    };
    let test = if place.has_test { entry("validation", "test") } else { String::new() };
    format!("# NeMo-RL: over examples/configs/dpo.yaml\ndata:{}{test}", entry("train", "train"))
}
