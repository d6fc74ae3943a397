//! Keys of steps: when two runs may share a step's rows.
//!
//! A key hashes the step's part of the recipe, its model's content and its parents' keys. Data is
//! not in it: rows carry their content in their ids, so that a changed prompt costs that prompt
//! and no other. Names of files and folders are not in it either.

use serde_json::{Value, json};

use crate::Result;
use crate::data::disk;
use crate::recipe::spec::{
    FormatTextGenerationDpo, PairPolicy, PromptLayout, RatingsFrom, Recipe, Step,
};

/// Changes when a step's own code makes other rows from the same input.
const CODE: u64 = 1;

/// The key of each step; `model_key` knows the models' content.
///
/// # Errors
/// When a rubric's file cannot be read.
pub(crate) fn step_keys(
    recipe: &Recipe,
    model_key: &dyn Fn(&str) -> String,
) -> Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::with_capacity(recipe.steps.len());
    for (step, (_, kind)) in recipe.steps.iter().enumerate() {
        let parents: Vec<&String> =
            recipe.parents[step].iter().map(|parent| &keys[*parent]).collect();
        let part = json!({
            "code": CODE,
            "step": step_part(kind, recipe.seed)?,
            "model": kind.model().map(|name| json!({
                "key": model_key(name),
                "seed": recipe.seed,
                "deterministic": recipe.deterministic,
            })),
            "parents": parents,
        });
        let key = blake3::hash(part.to_string().as_bytes());
        keys.push(key.to_hex()[..32].to_owned());
    }
    Ok(keys)
}

/// What of a step's parameters changes its rows, beside their content.
fn step_part(step: &Step, seed: u64) -> Result<Value> {
    let whole = || serde_json::to_value(step).expect("a step is plain data");
    Ok(match step {
        // Roots are named by their content: where they come from changes nothing.
        Step::LoadDataFromDicts(_) | Step::LoadDataFromFileSystem(_) | Step::LoadDataFromHub(_) => {
            json!("root")
        }
        Step::UltraFeedback(judge) => {
            let mut part = whole();
            part["model"] = Value::Null;
            if judge.layout == PromptLayout::default() {
                // Older than the option: verdicts from before it are still good.
                part.as_object_mut().expect("a step is a table").shift_remove("layout");
            }
            if let Some(path) = &judge.rubric {
                part["rubric"] = json!(disk::digest(path)?);
            }
            part
        }
        Step::SelfInstruct(_) | Step::TextGeneration(_) => {
            let mut part = whole();
            // The model counts by its content, not by its name in this recipe.
            part["model"] = Value::Null;
            part
        }
        Step::FormatTextGenerationDPO(pairs) => {
            let part = pairs_part(pairs, whole())?;
            match pairs.policy {
                PairPolicy::BestRandomLower => json!([part, seed]),
                PairPolicy::BestWorst | PairPolicy::BestMu2Sigma | PairPolicy::AllOrdered => part,
            }
        }
        // Where the rows are pushed to changes none of them.
        Step::PreferenceToArgilla(step) => json!(["argilla", step.num_generations]),
        Step::ExpandColumns(_)
        | Step::KeepColumns(_)
        | Step::GroupColumns(_)
        | Step::FilterRows(_)
        | Step::DropRefusals(_)
        | Step::DropTruncated(_)
        | Step::MinHashDedup(_)
        | Step::PushToHub(_) => whole(),
    })
}

/// Pairs depend on what people said, and not on the name of the file that holds it. Before a first
/// pull there is none.
fn pairs_part(pairs: &FormatTextGenerationDpo, mut part: Value) -> Result<Value> {
    let table = part.as_object_mut().expect("a step is a table");
    table.shift_remove("human_ratings");
    match &pairs.human_ratings {
        Some(path) if path.is_file() => {
            table.insert("human".to_owned(), json!(disk::digest(path)?));
        }
        Some(_) | None => {}
    }
    if pairs.ratings_from == RatingsFrom::Judge {
        // Older than the option: pairs from before it are still good.
        table.shift_remove("ratings_from");
    }
    Ok(part)
}
