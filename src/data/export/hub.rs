//! What makes a trainer read an export that is a data set with a card.

use super::{Place, quoted};

/// TRL's DPO; CPO and ORPO take the same rows.
pub(super) fn dpo(place: Place<'_>) -> String {
    trainer(place, "DPO")
}

/// TRL's reward model.
pub(super) fn reward(place: Place<'_>) -> String {
    trainer(place, "Reward")
}

/// TRL's KTO.
pub(super) fn kto(place: Place<'_>) -> String {
    trainer(place, "KTO")
}

/// The rows alone.
pub(super) fn rows(place: Place<'_>) -> String {
    let folder = quoted(place.folder);
    let load =
        |rows: &str, split: &str| format!("\n{rows} = load_dataset({folder}, split=\"{split}\")");
    let test = if place.has_test { load("test_rows", "test") } else { String::new() };
    format!("from datasets import load_dataset\n{}{test}", load("rows", "train"))
}

fn trainer(place: Place<'_>, method: &str) -> String {
    let test = if place.has_test { "\n    eval_dataset=test_rows," } else { "" };
    format!(
        "\
from trl import {method}Config, {method}Trainer
{}

trainer = {method}Trainer(
    model=\"MODEL\",  # what shall be trained
    args={method}Config(output_dir=\"OUT\"),
    train_dataset=rows,{test}
)
trainer.train()",
        rows(place)
    )
}
