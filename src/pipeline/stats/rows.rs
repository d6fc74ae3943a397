//! The columns that figures are made of, read from a step's lines; all others are passed over.
//!
//! Columns that a stranger's data brought may hold anything: what is not what a figure needs is
//! taken as absent, never as a fault.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::data::row::RowId;

/// A line of a step that asked a model.
#[derive(Debug, Deserialize)]
pub(super) struct AskLine {
    #[serde(default)]
    pub(super) distilabel_metadata: Statistics,
}

/// A line of a judge.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JudgeLine {
    pub(super) distilabel_metadata: Statistics,
    generations: Value,
    generation_models: Value,
    model_names: Value,
    grouped_model_name: Value,
    ratings: Value,
    ratings_entropy: Value,
    ratings_probabilities: Value,
    ratings_orders: Value,
    ratings_per_order: Value,
    aspects: Value,
}

/// A line of a leaf.
#[derive(Debug, Deserialize)]
pub(crate) struct PairLine {
    #[serde(rename = "_row")]
    pub(super) row: Tag,
    #[serde(default)]
    chosen: Value,
    #[serde(default)]
    rejected: Value,
    #[serde(default)]
    chosen_model: Value,
    #[serde(default)]
    rejected_model: Value,
    #[serde(default)]
    chosen_rating: Value,
    #[serde(default)]
    rejected_rating: Value,
    #[serde(default)]
    margin: Value,
}

/// What a line says of its row.
#[derive(Debug, Deserialize)]
pub(crate) struct Tag {
    pub(super) id: RowId,
}

/// What a judge of several aspects said of one of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RatedAspect<'a> {
    pub(super) name: &'a str,
    /// The answers, without their models and lengths.
    pub(super) answers: Vec<Rated<'a>>,
    pub(super) orders: Option<OrderedRatings>,
}

/// One answer that a judge rated.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rated<'a> {
    /// The model that gave it, where that is known.
    pub(super) model: Option<&'a str>,
    /// Its length in characters, where it is text.
    pub(super) n_chars: Option<usize>,
    /// Nothing for "not applicable".
    pub(super) rating: Option<f64>,
    /// Entropy of the rating's distribution, in nats.
    pub(super) entropy: Option<f64>,
    /// `[choices]` the rating's distribution.
    pub(super) probabilities: Vec<f64>,
}

/// Ratings in several orders: who stood where, and what each was worth there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderedRatings {
    /// `[orders, places]` the text that stood there.
    pub(super) orders: Vec<Vec<usize>>,
    /// `[orders, texts]`
    pub(super) ratings: Vec<Vec<Option<f64>>>,
}

/// One side of a pair.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Side<'a> {
    pub(crate) model: Option<&'a str>,
    pub(crate) answer: &'a str,
    pub(crate) n_chars: usize,
    pub(crate) rating: Option<f64>,
}

impl JudgeLine {
    /// The answers, in the flow's order.
    pub(super) fn answers(&self) -> Vec<Rated<'_>> {
        let mut answers = rated(&self.ratings, &self.ratings_entropy, &self.ratings_probabilities);
        let lists = [&self.generation_models, &self.model_names, &self.grouped_model_name];
        let models = lists.map(items).into_iter().find(|list| list.len() == answers.len());
        let (models, texts) = (models.unwrap_or_default(), items(&self.generations));
        for (i, answer) in answers.iter_mut().enumerate() {
            answer.model = models.get(i).and_then(Value::as_str);
            answer.n_chars = texts.get(i).and_then(Value::as_str).map(|text| text.chars().count());
        }
        answers
    }

    /// What each order said, where there were several.
    pub(super) fn orders(&self) -> Option<OrderedRatings> {
        ordered(&self.ratings_orders, &self.ratings_per_order)
    }

    /// What was said of each aspect alone, where there were several.
    pub(super) fn aspects(&self) -> impl Iterator<Item = RatedAspect<'_>> {
        let aspects = self.aspects.as_object().into_iter().flatten();
        aspects.map(|(name, of)| RatedAspect {
            name,
            answers: rated(&of["ratings"], &of["ratings_entropy"], &of["ratings_probabilities"]),
            orders: ordered(&of["ratings_orders"], &of["ratings_per_order"]),
        })
    }
}

/// Lists of ratings and of what is known of each, answer by answer.
fn rated<'a>(ratings: &Value, entropies: &Value, probabilities: &Value) -> Vec<Rated<'a>> {
    let (entropies, probabilities) = (items(entropies), items(probabilities));
    let rated = |(i, rating): (usize, &Value)| Rated {
        rating: rating.as_f64(),
        entropy: entropies.get(i).and_then(Value::as_f64),
        probabilities: probabilities.get(i).map(numbers).unwrap_or_default(),
        ..Rated::default()
    };
    items(ratings).iter().enumerate().map(rated).collect()
}

/// `[orders, places]` texts and `[orders, texts]` ratings, if they fit each other.
fn ordered(orders: &Value, per_order: &Value) -> Option<OrderedRatings> {
    let place = |value: &Value| value.as_u64().and_then(|place| usize::try_from(place).ok());
    let order = |order: &Value| items(order).iter().map(place).collect::<Option<Vec<_>>>();
    let orders: Vec<Vec<usize>> = items(orders).iter().map(order).collect::<Option<_>>()?;
    let of_order = |ratings: &Value| items(ratings).iter().map(Value::as_f64).collect();
    let ratings: Vec<Vec<Option<f64>>> = items(per_order).iter().map(of_order).collect();
    let fits = |(order, ratings): (&Vec<usize>, &Vec<Option<f64>>)| {
        order.len() == ratings.len() && order.iter().all(|text| *text < ratings.len())
    };
    let n_texts = orders.first().map_or(0, Vec::len);
    let is_whole = orders.len() == ratings.len()
        && orders.iter().all(|order| order.len() == n_texts)
        && orders.iter().zip(&ratings).all(fits);
    (is_whole && orders.len() > 1).then_some(OrderedRatings { orders, ratings })
}

impl PairLine {
    /// Chosen and rejected; nothing where the row is no pair.
    pub(crate) fn sides(&self) -> Option<[Side<'_>; 2]> {
        fn side<'a>(turns: &'a Value, model: &'a Value, rating: &Value) -> Option<Side<'a>> {
            let answer = answer_of(turns)?;
            let n_chars = answer.chars().count();
            Some(Side { model: model.as_str(), answer, n_chars, rating: rating.as_f64() })
        }
        let chosen = side(&self.chosen, &self.chosen_model, &self.chosen_rating)?;
        let rejected = side(&self.rejected, &self.rejected_model, &self.rejected_rating)?;
        Some([chosen, rejected])
    }

    /// The last turn of a role in the chosen conversation.
    pub(crate) fn turn(&self, role: &str) -> Option<&str> {
        items(&self.chosen).iter().rev().find(|turn| turn["role"] == role)?["content"].as_str()
    }

    /// By how much the chosen answer is better, where that was kept.
    pub(super) fn margin(&self) -> Option<f64> {
        let [chosen, rejected] = [&self.chosen_rating, &self.rejected_rating].map(Value::as_f64);
        self.margin.as_f64().or_else(|| Some(chosen? - rejected?))
    }
}

/// The answer of a side: a text, or the last of its messages.
fn answer_of(side: &Value) -> Option<&str> {
    match side.as_array() {
        Some(turns) => turns.last()?.get("content")?.as_str(),
        None => side.as_str(),
    }
}

/// The items of a list; none of anything else.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn numbers(value: &Value) -> Vec<f64> {
    items(value).iter().filter_map(Value::as_f64).collect()
}

/// The statistics in a row's metadata, by step; prompts and raw answers are passed over.
#[derive(Debug, Default)]
pub(super) struct Statistics(Vec<(String, Value)>);

impl Statistics {
    /// What a step's answers cost: one object each.
    pub(super) fn of(&self, step: &str) -> Vec<&Value> {
        let own = self.0.iter().find(|(name, _)| name == step).map(|(_, value)| value);
        match own {
            Some(Value::Array(answers)) => answers.iter().collect(),
            Some(answer) => vec![answer],
            None => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Statistics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatisticsVisitor)
    }
}

struct StatisticsVisitor;

impl<'de> Visitor<'de> for StatisticsVisitor {
    type Value = Statistics;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row's metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Statistics, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match key.strip_prefix("statistics_") {
                Some(step) => found.push((step.to_owned(), map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Statistics(found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Statistics, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Statistics::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }

    fn visit_unit<E>(self) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Statistics, E> {
        Ok(Statistics::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(line: Value) -> JudgeLine {
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn answers_come_with_their_models_lengths_and_ratings() {
        let line = judge(json!({
            "generations": ["ab", "äöü"], "model_names": ["a", "b"], "ratings": [2, null],
            "ratings_entropy": [0.5, 0.1], "ratings_probabilities": [[0.5, 0.5], [1.0, 0.0]],
        }));
        let answers = line.answers();
        assert_eq!((answers[0].model, answers[0].rating), (Some("a"), Some(2.0)));
        assert_eq!((answers[1].n_chars, answers[1].rating), (Some(3), None));
        assert_eq!(answers[0].probabilities, [0.5, 0.5]);
        assert_eq!(line.orders(), None);
    }

    #[test]
    fn columns_of_another_shape_are_absent() {
        let odd = judge(json!({
            "distilabel_metadata": "text", "generations": 3, "model_names": {"a": 1},
            "ratings": [1, "x"], "ratings_orders": [[0, 7]], "ratings_per_order": [[1, 2]],
        }));
        let answers = odd.answers();
        assert_eq!((answers.len(), answers[1].rating, answers[0].model), (2, None, None));
        assert_eq!(odd.orders(), None);
        assert!(judge(json!({"ratings": 4, "distilabel_metadata": [1]})).answers().is_empty());
        let orders = |orders: Value, ratings: Value| {
            judge(json!({"ratings_orders": orders, "ratings_per_order": ratings})).orders()
        };
        assert!(orders(json!([[0, 1], [1, 0]]), json!([[1, 2], [3, 4]])).is_some());
        assert_eq!(orders(json!([[0, 1], [0]]), json!([[1, 2], [3]])), None);
    }

    #[test]
    fn statistics_are_found_for_one_answer_and_for_many() {
        let metadata = json!({
            "raw_input_judge": [["long"]], "statistics_judge": [{"input_tokens": 1}, {}],
            "statistics_answer": {"input_tokens": 4},
        });
        let line: AskLine =
            serde_json::from_value(json!({"distilabel_metadata": metadata})).unwrap();
        assert_eq!(line.distilabel_metadata.of("judge").len(), 2);
        assert_eq!(line.distilabel_metadata.of("answer")[0]["input_tokens"], 4);
        assert!(line.distilabel_metadata.of("other").is_empty());
    }

    #[test]
    fn a_pair_needs_two_texts() {
        let pair = |chosen: Value, rejected: Value| -> PairLine {
            let row = json!({"id": "0".repeat(32)});
            let line = json!({"_row": row, "chosen": chosen, "rejected": rejected,
                "chosen_rating": 4, "rejected_rating": 1.5, "chosen_model": "a"});
            serde_json::from_value(line).unwrap()
        };
        let turns =
            json!([{"role": "user", "content": "?"}, {"role": "assistant", "content": "yes"}]);
        let line = pair(turns, json!("no"));
        let [chosen, rejected] = line.sides().unwrap();
        assert_eq!((chosen.n_chars, chosen.model, rejected.n_chars), (3, Some("a"), 2));
        assert_eq!(line.margin(), Some(2.5));
        assert_eq!(pair(json!(null), json!("no")).sides(), None);
    }
}
