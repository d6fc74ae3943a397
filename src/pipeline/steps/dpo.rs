//! FormatTextGenerationDPO: chosen and rejected out of rated answers.
//!
//! Best against worst, the first of each where several tie. What cannot teach a preference makes
//! no pair: equal ratings, equal texts, an answer without a rating. distilabel's columns, and the
//! margin as ours.

use std::borrow::Cow;

use serde_json::{Number, Value, json};
use sha2::{Digest, Sha256};

use super::{Dropped, Plain, list, take, text, texts};
use crate::data::row::Columns;

pub(super) struct DpoStep;

impl Plain for DpoStep {
    fn apply(&self, row: &mut Cow<'_, Columns>) -> Result<Vec<Columns>, Dropped> {
        let instruction = text(row, "instruction")?;
        let generations = texts(row, "generations")?;
        let ratings = ratings(row, generations.len())?;
        let models = models(row, generations.len());
        let (best, worst) = best_and_worst(&ratings)?;
        if instruction.trim().is_empty() {
            return Err(Dropped::new("empty instruction", ""));
        }
        if [best, worst].iter().any(|side| generations[*side].trim().is_empty()) {
            return Err(Dropped::new("empty answer", "chosen or rejected would be empty"));
        }
        if generations[best] == generations[worst] {
            return Err(Dropped::new("equal texts", "chosen and rejected would be the same"));
        }
        // Ratings carry six decimals, and so does what lies between them.
        let margin = ((ratings[best].value - ratings[worst].value) * 1e6).round() / 1e6;
        let turns = |answer: &str| {
            let mut turns = Vec::with_capacity(3);
            if let Some(system) = row.get("system_prompt").and_then(Value::as_str)
                && !system.is_empty()
            {
                turns.push(json!({"role": "system", "content": system}));
            }
            turns.push(json!({"role": "user", "content": instruction}));
            turns.push(json!({"role": "assistant", "content": answer}));
            Value::Array(turns)
        };
        let mut new = vec![
            ("prompt", Value::String(instruction.to_owned())),
            ("prompt_id", Value::String(sha256_hex(instruction))),
        ];
        let names = [
            ("chosen", "chosen_model", "chosen_rating", best),
            ("rejected", "rejected_model", "rejected_rating", worst),
        ];
        for (side, model, rating, index) in names {
            new.push((side, turns(generations[index])));
            new.extend(models.map(|models| (model, models[index].clone())));
            new.push((rating, Value::Number(ratings[index].written.clone())));
        }
        new.push(("margin", json!(margin)));
        let mut columns = take(row);
        columns.extend(new.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(vec![columns])
    }
}

struct Rating {
    /// As the column has it, so that a whole number stays one.
    written: Number,
    value: f64,
}

/// All ratings of a row: as many as there are answers, each a number.
fn ratings(row: &Columns, n_generations: usize) -> Result<Vec<Rating>, Dropped> {
    let column = list(row, "ratings")?;
    if column.len() != n_generations {
        return Err(Dropped::new(
            "ratings and answers differ in number",
            format!("{} ratings, {n_generations} answers", column.len()),
        ));
    }
    let mut ratings = Vec::with_capacity(n_generations);
    for (i, rating) in column.iter().enumerate() {
        match rating {
            Value::Number(number) => ratings.push(Rating {
                written: number.clone(),
                value: number.as_f64().unwrap_or(f64::NAN),
            }),
            Value::Null => {
                return Err(Dropped::new("an answer has no rating", format!("answer {}", i + 1)));
            }
            other @ (Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(Dropped::new(
                    "a rating is not a number",
                    format!("answer {}: {other}", i + 1),
                ));
            }
        }
    }
    Ok(ratings)
}

fn best_and_worst(ratings: &[Rating]) -> Result<(usize, usize), Dropped> {
    if ratings.len() < 2 {
        return Err(Dropped::new("fewer than two answers", ""));
    }
    let (mut best, mut worst) = (0, 0);
    for (i, rating) in ratings.iter().enumerate() {
        if rating.value > ratings[best].value {
            best = i;
        }
        if rating.value < ratings[worst].value {
            worst = i;
        }
    }
    if best == worst {
        let rating = &ratings[best].written;
        return Err(Dropped::new("equal ratings", format!("all are {rating}")));
    }
    Ok((best, worst))
}

/// Names of the models behind the answers, under distilabel's column or the walk-throughs'.
fn models(row: &Columns, n_generations: usize) -> Option<&[Value]> {
    ["generation_models", "model_names"]
        .iter()
        .filter_map(|column| list(row, column).ok())
        .find(|models| models.len() == n_generations)
}

fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("below sixteen");
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(generations: Value, ratings: Value) -> Result<Value, Dropped> {
        let row = json!({
            "instruction": "1 + 1?", "generations": generations, "ratings": ratings,
            "model_names": ["a", "b"],
        });
        let mut rows = DpoStep.apply(&mut Cow::Borrowed(row.as_object().unwrap()))?;
        Ok(Value::Object(rows.remove(0)))
    }

    #[test]
    fn the_best_is_chosen_and_the_worst_rejected() {
        let row = pair(json!(["two", "three"]), json!([2, 4.5])).unwrap();
        assert_eq!(row["prompt"], "1 + 1?");
        assert_eq!(row["prompt_id"].as_str().unwrap().len(), 64);
        assert_eq!(row["chosen"][1], json!({"role": "assistant", "content": "three"}));
        assert_eq!(row["rejected"][0], json!({"role": "user", "content": "1 + 1?"}));
        assert_eq!((&row["chosen_model"], &row["rejected_model"]), (&json!("b"), &json!("a")));
        assert_eq!((&row["chosen_rating"], &row["rejected_rating"]), (&json!(4.5), &json!(2)));
        assert_eq!(row["margin"], 2.5);
        let row = pair(json!(["x", "y"]), json!([3.113033, 2.953699])).unwrap();
        assert_eq!(row["margin"], 0.159334);
    }

    #[test]
    fn what_teaches_nothing_makes_no_pair() {
        let reason = |generations, ratings| pair(generations, ratings).unwrap_err().reason;
        assert_eq!(reason(json!(["x", "y"]), json!([3, 3])), "equal ratings");
        assert_eq!(reason(json!(["x", "x"]), json!([3, 4])), "equal texts");
        assert_eq!(reason(json!(["x", "y"]), json!([3, null])), "an answer has no rating");
        assert_eq!(reason(json!(["x", "y"]), json!([4])), "ratings and answers differ in number");
        assert_eq!(reason(json!(["x"]), json!([4])), "fewer than two answers");
        assert_eq!(reason(json!("x"), json!([4])), "`generations` is not a list");
        assert_eq!(reason(json!(["x", " "]), json!([4, 2])), "empty answer");
    }

    #[test]
    fn a_system_prompt_opens_both_conversations() {
        let row = json!({
            "instruction": "i", "generations": ["x", "y"], "ratings": [1, 2],
            "system_prompt": "be kind", "generation_models": ["p", "q"],
        });
        let rows = DpoStep.apply(&mut Cow::Borrowed(row.as_object().unwrap())).unwrap();
        let system = json!({"role": "system", "content": "be kind"});
        assert_eq!((&rows[0]["chosen"][0], &rows[0]["rejected"][0]), (&system, &system));
        assert_eq!(rows[0]["chosen_model"], "q");
    }
}
