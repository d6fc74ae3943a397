//! FormatTextGenerationDPO: chosen and rejected out of rated answers.
//!
//! Which answers make pairs, [`pairs`](super::pairs) decides; best against worst if nobody asks
//! otherwise. What cannot teach a preference makes no pair, and a row without a pair is dropped.
//! distilabel's columns, and the margin as ours.

use std::borrow::Cow;

use serde_json::{Number, Value, json};
use sha2::{Digest, Sha256};

use super::human::{Verdict, Verdicts};
use super::pairs::{self, Rated};
use super::{Dropped, Plain, list, take, text, texts};
use crate::Error;
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::{FormatTextGenerationDpo, RatingsFrom};

pub(super) struct DpoStep {
    spec: FormatTextGenerationDpo,
    human: Verdicts,
}

impl DpoStep {
    pub(super) fn build(spec: &FormatTextGenerationDpo) -> Result<Self, Error> {
        Ok(Self { spec: spec.clone(), human: Verdicts::load(spec)? })
    }

    /// The ratings that count, people's or the judge's.
    fn ratings(
        &self,
        row: &Columns,
        n_generations: usize,
        human: Option<&Verdict>,
    ) -> Result<Vec<Rating>, Dropped> {
        let theirs = human.and_then(|human| human.ratings.as_ref());
        match (self.spec.ratings_from, theirs) {
            (RatingsFrom::Human | RatingsFrom::HumanThenJudge, Some(theirs)) => {
                Ok(theirs.iter().map(Rating::new).collect())
            }
            (RatingsFrom::Human, None) => {
                let detail = human.map_or("", |_| "some of the answers were rated");
                Err(Dropped::new("nobody rated the answers", detail))
            }
            (RatingsFrom::Judge, _) | (RatingsFrom::HumanThenJudge, None) => {
                ratings(row, n_generations)
            }
        }
    }
}

impl Plain for DpoStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, draw: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        let instruction = text(row, "instruction")?;
        let generations = texts(row, "generations")?;
        let human = self.human.of(instruction, &generations);
        let ratings = self.ratings(row, generations.len(), human)?;
        let models = models(row, generations.len());
        let rated = generations.iter().zip(&ratings);
        let rated = rated.map(|(text, rating)| Rated::new(text, rating.value)).collect::<Vec<_>>();
        // Scaled to the number of candidates, 64 bits favour none noticeably.
        let uniform = |n: usize| ((u128::from(draw.key()) * n as u128) >> 64) as usize;
        let pairs = pairs::pick(&self.spec, &rated, &uniform)?;
        if instruction.trim().is_empty() {
            return Err(Dropped::new("empty instruction", ""));
        }
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
        let prompt_id = sha256_hex(instruction);
        let mut made = Vec::with_capacity(pairs.len());
        for (chosen, rejected) in pairs {
            let mut new = vec![
                ("prompt", Value::String(instruction.to_owned())),
                ("prompt_id", Value::String(prompt_id.clone())),
            ];
            let names = [
                ("chosen", "chosen_model", "chosen_rating", chosen),
                ("rejected", "rejected_model", "rejected_rating", rejected),
            ];
            for (side, model, rating, index) in names {
                new.push((side, turns(generations[index])));
                new.extend(models.map(|models| (model, models[index].clone())));
                new.push((rating, Value::Number(ratings[index].written.clone())));
            }
            new.push(("margin", json!(pairs::margin(&rated[chosen], &rated[rejected]))));
            if self.spec.ratings_from != RatingsFrom::Judge {
                new.extend(Verdict::columns(human));
            }
            made.push(new);
        }
        let mut rows = vec![take(row); made.len()];
        for (row, new) in rows.iter_mut().zip(made) {
            row.extend(new.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        Ok(rows)
    }
}

struct Rating {
    /// As the column has it, so that a whole number stays one.
    written: Number,
    value: f64,
}

impl Rating {
    fn new(number: &Number) -> Self {
        Self { written: number.clone(), value: number.as_f64().unwrap_or(f64::NAN) }
    }
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
            Value::Number(number) => ratings.push(Rating::new(number)),
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

/// Names of the models behind the answers, under distilabel's column or the walk-throughs'.
fn models(row: &Columns, n_generations: usize) -> Option<&[Value]> {
    ["generation_models", "model_names"]
        .iter()
        .filter_map(|column| list(row, column).ok())
        .find(|models| models.len() == n_generations)
}

pub(super) fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("below sixteen");
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use crate::recipe::spec::PairPolicy;

    fn apply(spec: &FormatTextGenerationDpo, row: &Value) -> Result<Vec<Columns>, Dropped> {
        DpoStep::build(spec).unwrap().apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW)
    }

    fn pair(generations: Value, ratings: Value) -> Result<Value, Dropped> {
        let row = json!({
            "instruction": "1 + 1?", "generations": generations, "ratings": ratings,
            "model_names": ["a", "b"],
        });
        let mut rows = apply(&FormatTextGenerationDpo::default(), &row)?;
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
        let rows = apply(&FormatTextGenerationDpo::default(), &row).unwrap();
        let system = json!({"role": "system", "content": "be kind"});
        assert_eq!((&rows[0]["chosen"][0], &rows[0]["rejected"][0]), (&system, &system));
        assert_eq!(rows[0]["chosen_model"], "q");
    }

    #[test]
    fn several_pairs_of_a_row_are_rows_that_differ_in_their_sides_only() {
        let row = json!({
            "instruction": "i", "generations": ["x", "y", "z"], "ratings": [3, 1, 2],
            "model_names": ["a", "b", "c"],
        });
        let policy = PairPolicy::AllOrdered;
        let spec = FormatTextGenerationDpo { policy, ..FormatTextGenerationDpo::default() };
        let rows = apply(&spec, &row).unwrap();
        let sides = |row: &Columns| {
            let side = |name: &str| row[name][1]["content"].as_str().unwrap().to_owned();
            (side("chosen"), side("rejected"), row["margin"].as_f64().unwrap())
        };
        let of = |chosen: &str, rejected: &str, margin| (chosen.into(), rejected.into(), margin);
        let want: [(String, String, f64); 3] =
            [of("x", "y", 2.0), of("x", "z", 1.0), of("z", "y", 1.0)];
        assert_eq!(rows.iter().map(sides).collect::<Vec<_>>(), want);
        assert_eq!(rows[2]["chosen_model"], "c");
        assert!(rows.iter().all(|row| row["prompt_id"] == rows[0]["prompt_id"]));
    }

    #[test]
    fn people_overrule_the_judge_where_they_rated_all_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("human.jsonl");
        let line = |instruction: &str, ratings: Value| {
            json!({
                "instruction": instruction, "generations": ["x", "y"], "human_ratings": ratings,
                "human_rationales": [["good"], []], "n_annotators": 2,
            })
        };
        let lines = [line("whole", json!([4.5, 1])), line("half", json!([5, null]))];
        std::fs::write(&path, lines.map(|line| format!("{line}\n")).concat()).unwrap();
        let row = |instruction: &str| json!({"instruction": instruction, "generations": ["x", "y"], "ratings": [2, 3]});
        let pair = |ratings_from, instruction: &str| {
            let human_ratings = Some(path.clone());
            let spec =
                FormatTextGenerationDpo { ratings_from, human_ratings, ..Default::default() };
            apply(&spec, &row(instruction)).map(|mut rows| Value::Object(rows.remove(0)))
        };
        let whole = pair(RatingsFrom::HumanThenJudge, "whole").unwrap();
        assert_eq!(
            (&whole["chosen"][1]["content"], &whole["chosen_rating"]),
            (&json!("x"), &json!(4.5))
        );
        assert_eq!((&whole["margin"], &whole["n_annotators"]), (&json!(3.5), &json!(2)));
        assert_eq!(whole, pair(RatingsFrom::Human, "whole").unwrap());
        for (instruction, n_annotators) in [("half", 2), ("none", 0)] {
            let judged = pair(RatingsFrom::HumanThenJudge, instruction).unwrap();
            assert_eq!(judged["chosen"][1]["content"], "y");
            assert_eq!(judged["n_annotators"], n_annotators);
            let reason = pair(RatingsFrom::Human, instruction).unwrap_err().reason;
            assert_eq!(reason, "nobody rated the answers");
        }
        assert!(pair(RatingsFrom::Judge, "whole").unwrap().get("n_annotators").is_none());
    }
}
