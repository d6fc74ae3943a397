//! PreferenceToArgilla: rows that people shall look at, as they are.
//!
//! The step passes on the rows that make a record and drops the others with a reason, so that what
//! is pushed later is what the step's rows are. Field and question names are distilabel's; who
//! suggests, how sure it is, and what records can be sorted by are ours. Names of models are kept
//! from annotators: who knows the author does not judge the text.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::dpo::sha256_hex;
use super::human::rated_id;
use super::{Dropped, Plain, list, take, text, texts};
use crate::argilla::{
    self, Field, Property, PropertyKind, Question, QuestionKind, Record, Settings, Suggestion,
};
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::MODEL_NAME;
use crate::recipe::spec::PreferenceToArgilla;

/// The options of a rating.
const RATINGS: std::ops::RangeInclusive<i64> = 1..=5;

const GUIDELINES: &str = "Read the instruction and each answer to it. Rate every answer from 1 (of \
    no use) to 5 (nothing to wish for), each by itself: two answers may have the same rating. A \
    rating or a reason that stands there already is a model's proposal. Change it where you see it \
    otherwise; your word counts.";

pub(super) struct ArgillaStep {
    n_generations: usize,
    settings: Settings,
}

impl ArgillaStep {
    pub(super) fn build(spec: &PreferenceToArgilla) -> Self {
        let n_generations = spec.num_generations;
        Self { n_generations, settings: argilla_settings(n_generations) }
    }
}

impl Plain for ArgillaStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        argilla_record(row, self.n_generations, &self.settings)?;
        Ok(vec![take(row)])
    }
}

/// The name of the question for the rating of an answer.
pub(crate) fn rating_question(i: usize) -> String {
    format!("generations-{i}-rating")
}

/// The name of the question for the reason.
pub(crate) fn rationale_question(i: usize) -> String {
    format!("generations-{i}-rationale")
}

/// A data set for rows with up to `n_generations` answers.
pub(crate) fn argilla_settings(n_generations: usize) -> Settings {
    let field = |name: String, title: String, is_required| Field { name, title, is_required };
    let mut fields = vec![
        field("id".to_owned(), "Id".to_owned(), true),
        field("instruction".to_owned(), "Instruction".to_owned(), true),
    ];
    let mut questions = Vec::new();
    let property = |name: &str, title: &str, kind| Property {
        name: name.to_owned(),
        title: title.to_owned(),
        kind,
    };
    let mut metadata = vec![
        property("margin", "Best less worst rating", PropertyKind::Float),
        property("flip", "The best changed with the order", PropertyKind::Terms),
        property("models", "Models that answered", PropertyKind::Terms),
    ];
    for i in 0..n_generations {
        let nth = i + 1;
        fields.push(field(format!("generations-{i}"), format!("Answer {nth}"), i == 0));
        questions.push(Question {
            name: rating_question(i),
            title: format!("How good is answer {nth}?"),
            description: "1: of no use. 5: nothing to wish for.".to_owned(),
            is_required: i == 0,
            kind: QuestionKind::Rating(RATINGS.collect()),
        });
        questions.push(Question {
            name: rationale_question(i),
            title: format!("Why is answer {nth} as good as that?"),
            description: "In a sentence or two.".to_owned(),
            is_required: false,
            kind: QuestionKind::Text,
        });
        let title = format!("The judge's rating of answer {nth}");
        metadata.push(property(&format!("rating-{i}"), &title, PropertyKind::Float));
    }
    Settings { guidelines: GUIDELINES.to_owned(), fields, questions, metadata }
}

/// The record of a row. What a judge left is suggested as far as it can be: no rating, no
/// suggestion.
pub(crate) fn argilla_record(
    row: &Columns,
    n_generations: usize,
    settings: &Settings,
) -> Result<Record, Dropped> {
    let instruction = text(row, "instruction")?;
    let generations = texts(row, "generations")?;
    if generations.is_empty() || generations.len() > n_generations {
        let detail = format!("{}, from 1 to {n_generations} are asked for", generations.len());
        return Err(Dropped::new("another number of answers", detail));
    }
    let mut fields = vec![
        ("id".to_owned(), sha256_hex(instruction)),
        ("instruction".to_owned(), instruction.to_owned()),
    ];
    for (i, generation) in generations.iter().enumerate() {
        fields.push((format!("generations-{i}"), (*generation).to_owned()));
    }
    let ratings = list(row, "ratings").ok().filter(|list| list.len() == generations.len());
    let ratings: Vec<Option<f64>> = ratings.unwrap_or_default().iter().map(Value::as_f64).collect();
    let record = Record {
        external_id: rated_id(instruction, &generations),
        fields,
        metadata: metadata(row, &ratings),
        suggestions: suggestions(row, &ratings, generations.len()),
    };
    record.check(settings).map_err(|fault| Dropped::new(fault.reason, fault.detail))?;
    Ok(record)
}

fn metadata(row: &Columns, ratings: &[Option<f64>]) -> Vec<(String, Value)> {
    let mut metadata = Vec::new();
    if ratings.len() > 1
        && let Some(known) = ratings.iter().copied().collect::<Option<Vec<f64>>>()
    {
        let best = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let worst = known.iter().copied().fold(f64::INFINITY, f64::min);
        let margin = ((best - worst) * 1e6).round() / 1e6;
        metadata.push(("margin".to_owned(), json!(margin)));
    }
    if let Some(flip) = row.get("ratings_flip").and_then(Value::as_bool) {
        metadata.push(("flip".to_owned(), json!(if flip { "yes" } else { "no" })));
    }
    let names = ["generation_models", "model_names"];
    let names = names.iter().filter_map(|name| texts(row, name).ok()).next();
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        metadata.push(("models".to_owned(), json!(names)));
    }
    for (i, rating) in ratings.iter().enumerate() {
        metadata.extend(rating.map(|rating| (format!("rating-{i}"), json!(rating))));
    }
    metadata
}

fn suggestions(row: &Columns, ratings: &[Option<f64>], n: usize) -> Vec<Suggestion> {
    let agent = text(row, MODEL_NAME).ok().and_then(argilla::agent);
    let agent = agent.filter(|_| row.contains_key("ratings"));
    // Of a judge that gives two reasons, the one for the rating.
    let reasons = ["rationales-for-ratings", "rationales"];
    let reasons = reasons.iter().filter_map(|name| list(row, name).ok());
    let reasons = reasons.into_iter().find(|list| list.len() == n);
    let mut suggestions = Vec::new();
    for i in 0..n {
        // A rating between two options proposes the nearer one; itself it is in the metadata.
        let nearest = ratings.get(i).copied().flatten().map(f64::round);
        let nearest = nearest.filter(|rating| (1.0..=5.0).contains(rating));
        if let Some(rating) = nearest {
            let option = rating as i64;
            suggestions.push(Suggestion {
                question: rating_question(i),
                value: argilla::Value::Rating(option),
                score: certainty(row, i, option),
                agent: agent.clone(),
            });
        }
        let reason = reasons.and_then(|list| list[i].as_str());
        if let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) {
            suggestions.push(Suggestion {
                question: rationale_question(i),
                value: argilla::Value::Text(reason.to_owned()),
                score: None,
                agent: agent.clone(),
            });
        }
    }
    suggestions
}

/// The probability that the judge gave to a rating.
fn certainty(row: &Columns, i: usize, option: i64) -> Option<f64> {
    let probabilities = list(row, "ratings_probabilities").ok()?.get(i)?.as_array()?;
    let place = usize::try_from(option - 1).ok()?;
    probabilities.get(place)?.as_f64().filter(|p| (0.0..=1.0).contains(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Value {
        json!({
            "instruction": "1 + 1?", "generations": ["two", "three"], "ratings": [4.6, 1],
            "rationales": ["It is two.", ""], "model_name": "org/judge (v2)",
            "model_names": ["a", "b"], "ratings_flip": false,
            "ratings_probabilities": [[0.0, 0.0, 0.1, 0.2, 0.7], [0.9, 0.1, 0.0, 0.0, 0.0]],
        })
    }

    fn record(row: &Value) -> Result<Record, Dropped> {
        argilla_record(row.as_object().unwrap(), 2, &argilla_settings(2))
    }

    #[test]
    fn a_judged_row_is_a_record_with_suggestions() {
        let record = record(&row()).unwrap();
        let names: Vec<_> = record.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["id", "instruction", "generations-0", "generations-1"]);
        let metadata: serde_json::Map<_, _> = record.metadata.into_iter().collect();
        let want = json!({
            "margin": 3.6, "flip": "no", "models": ["a", "b"], "rating-0": 4.6, "rating-1": 1.0,
        });
        assert_eq!(Value::Object(metadata), want);
        let suggested =
            record.suggestions.iter().map(|s| (s.question.as_str(), s.value.clone(), s.score));
        use argilla::Value::{Rating, Text};
        let want = [
            ("generations-0-rating", Rating(5), Some(0.7)),
            ("generations-0-rationale", Text("It is two.".to_owned()), None),
            ("generations-1-rating", Rating(1), Some(0.9)),
        ];
        assert_eq!(suggested.collect::<Vec<_>>(), want);
        assert!(record.suggestions.iter().all(|s| s.agent.as_deref() == Some("org/judge -v2-")));
    }

    #[test]
    fn a_row_without_a_judge_asks_without_a_suggestion() {
        let record = record(&json!({"instruction": "i", "generations": ["x"]})).unwrap();
        assert!(record.suggestions.is_empty() && record.metadata.is_empty());
        let odd = json!({"instruction": "i", "generations": ["x", "y"], "ratings": [9, null]});
        let record = super::argilla_record(odd.as_object().unwrap(), 2, &argilla_settings(2));
        assert!(record.unwrap().suggestions.is_empty());
    }

    #[test]
    fn a_row_that_is_no_record_says_why() {
        let reason = |change: fn(&mut Value)| {
            let mut row = row();
            change(&mut row);
            record(&row).unwrap_err().reason
        };
        assert_eq!(reason(|row| row["generations"] = json!([])), "another number of answers");
        assert_eq!(
            reason(|row| row["generations"] = json!(["a", "b", "c"])),
            "another number of answers"
        );
        assert_eq!(reason(|row| row["generations"][1] = json!(" ")), "an empty text");
        assert_eq!(reason(|row| row["instruction"] = json!("")), "an empty text");
        assert_eq!(
            reason(|row| row["generations"][1] = json!(3)),
            "`generations` holds something that is not text"
        );
    }

    #[test]
    fn the_id_is_that_of_what_is_rated() {
        let id = |row: &Value| record(row).unwrap().external_id;
        let (mut judged_anew, mut written_anew) = (row(), row());
        judged_anew["ratings"] = json!([2, 2]);
        written_anew["generations"][1] = json!("four");
        assert_eq!(id(&row()), id(&judged_anew));
        assert_ne!(id(&row()), id(&written_anew));
    }

    #[test]
    fn settings_are_such_that_a_server_takes_them() {
        assert_eq!(argilla_settings(1).fault("x"), None);
        assert_eq!(argilla_settings(PreferenceToArgilla::N_GENERATIONS_MAX).fault("x"), None);
    }
}
