//! A judge's verdict on a row, as columns.
//!
//! One aspect fills distilabel's columns and ours. Several fill the columns that they have in
//! common with means over the aspects that apply, text by text, and the column `aspects` holds what
//! each alone would have written: `aspects.honesty.ratings` is `ratings` of honesty.

use serde_json::{Map, Value, json};

use crate::data::row::Columns;
use crate::pipeline::judge::{self, Reading, TextReading, flips};
use crate::recipe::spec::{Aspect, Orders, Score};

/// Every column that a judge writes, by whatever aspects and orders.
const COLUMNS: [&str; 12] = [
    "types",
    "rationales",
    "ratings",
    "rationales-for-ratings",
    "ratings_expected",
    "ratings_sampled",
    "ratings_entropy",
    "ratings_probabilities",
    "ratings_orders",
    "ratings_per_order",
    "ratings_flip",
    "aspects",
];

/// What was read about one aspect.
pub(super) struct AspectReading {
    pub(super) aspect: Aspect,
    pub(super) reading: Reading,
}

/// What was read about a row.
pub(super) struct Verdict<'a> {
    /// At least one.
    pub(super) readings: Vec<AspectReading>,
    /// `orders[nth][position]` is the text that stood there.
    pub(super) orders: &'a [Vec<usize>],
    /// Whether columns about orders are wanted.
    pub(super) asked: Orders,
    /// Which rating counts.
    pub(super) score: Score,
}

impl Verdict<'_> {
    /// Whether another answer comes out best when the order changes; by the mean of the aspects.
    pub(super) fn flips(&self) -> bool {
        flips(&self.per_order())
    }

    /// Writes the columns in place of those of any verdict before.
    pub(super) fn write(&self, columns: &mut Columns) {
        // Another judge's verdict on the same row must not stand half beside this one's.
        COLUMNS.iter().for_each(|name| drop(columns.shift_remove(*name)));
        if let [one] = self.readings.as_slice() {
            return self.write_one(one, columns);
        }
        let n_texts = self.orders[0].len();
        let of = |value: &dyn Fn(usize) -> Value| Value::Array((0..n_texts).map(value).collect());
        let expected = |text: usize| rounded(self.mean(|reading| reading.texts[text].expected));
        let sampled =
            |text: usize| rounded(self.mean(|reading| reading.texts[text].sampled.map(f64::from)));
        let mut put = |name: &str, value: Value| columns.insert(name.to_owned(), value);
        put(
            "ratings",
            match self.score {
                Score::Expected => of(&expected),
                Score::Sampled => of(&sampled),
            },
        );
        put("rationales", of(&|text| self.rationale(text)));
        put("ratings_expected", of(&expected));
        put("ratings_sampled", of(&sampled));
        self.write_orders(&self.per_order(), columns);
        let mut aspects = Map::new();
        for one in &self.readings {
            let mut own = Columns::new();
            self.write_one(one, &mut own);
            aspects.insert(one.aspect.name().to_owned(), Value::Object(own));
        }
        columns.insert("aspects".to_owned(), Value::Object(aspects));
    }

    /// The columns of one aspect, as if it were the only one.
    fn write_one(&self, one: &AspectReading, columns: &mut Columns) {
        let AspectReading { aspect, reading } = one;
        let of = |value: &dyn Fn(&TextReading) -> Value| {
            Value::Array(reading.texts.iter().map(value).collect())
        };
        let mut put = |name: &str, value: Value| columns.insert(name.to_owned(), value);
        let rating_reasons = |text: &TextReading| json!(text.rating_reason);
        if judge::has_kinds(*aspect) {
            put("types", of(&|text| json!(text.kind)));
            put("rationales", of(&|text| json!(text.kind_reason)));
            put("ratings", of(&|text| self.rating(text)));
            put("rationales-for-ratings", of(&rating_reasons));
        } else {
            put("ratings", of(&|text| self.rating(text)));
            put("rationales", of(&rating_reasons));
        }
        put("ratings_expected", of(&|text| rounded(text.expected)));
        put("ratings_sampled", of(&|text| json!(text.sampled)));
        put("ratings_entropy", of(&|text| rounded(Some(text.entropy))));
        let shares = |text: &TextReading| -> Vec<Value> {
            text.probabilities.iter().map(|p| rounded(Some(*p))).collect()
        };
        put("ratings_probabilities", of(&|text| Value::Array(shares(text))));
        self.write_orders(&reading.expected_per_order, columns);
    }

    fn write_orders(&self, per_order: &[Vec<Option<f64>>], columns: &mut Columns) {
        if self.asked == Orders::One {
            return;
        }
        let rows = per_order.iter().map(|ratings| ratings.iter().copied().map(rounded).collect());
        columns.insert("ratings_orders".to_owned(), json!(self.orders));
        columns.insert("ratings_per_order".to_owned(), Value::Array(rows.collect()));
        columns.insert("ratings_flip".to_owned(), Value::Bool(flips(per_order)));
    }

    /// The rating that counts; a digit stays a whole number, as distilabel has it.
    fn rating(&self, text: &TextReading) -> Value {
        match self.score {
            Score::Expected => rounded(text.expected),
            Score::Sampled => json!(text.sampled),
        }
    }

    /// The mean over the aspects that apply; nothing where none does.
    fn mean(&self, rating: impl Fn(&Reading) -> Option<f64>) -> Option<f64> {
        let ratings = self.readings.iter().filter_map(|one| rating(&one.reading));
        let (mut sum, mut n) = (0.0, 0_u32);
        for rating in ratings {
            sum += rating;
            n += 1;
        }
        (n > 0).then(|| sum / f64::from(n))
    }

    /// `[orders, texts]` the mean rating of each text in each order.
    fn per_order(&self) -> Vec<Vec<Option<f64>>> {
        let n_texts = self.orders[0].len();
        let of = |order: usize| {
            let mean = |text| self.mean(|reading| reading.expected_per_order[order][text]);
            (0..n_texts).map(mean).collect()
        };
        (0..self.orders.len()).map(of).collect()
    }

    /// The reasons of all aspects, a line each; null when none was asked for.
    fn rationale(&self, text: usize) -> Value {
        let reason = |one: &AspectReading| {
            let reason = one.reading.texts[text].rating_reason.as_ref()?;
            Some(format!("{}: {reason}", one.aspect.name()))
        };
        let reasons: Vec<String> = self.readings.iter().filter_map(reason).collect();
        if reasons.is_empty() { Value::Null } else { Value::String(reasons.join("\n")) }
    }
}

/// Six decimals: what f32 logits carry, and no more.
fn rounded(value: Option<f64>) -> Value {
    json!(value.map(|value| (value * 1e6).round() / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratings of two texts in two orders; `None` is not applicable.
    fn reading(aspect: Aspect, per_order: [[Option<f64>; 2]; 2]) -> AspectReading {
        let text = |text: usize| {
            let known = per_order.iter().filter_map(|ratings| ratings[text]);
            let expected = known.clone().next().map(|_| known.clone().sum::<f64>() / 2.0);
            TextReading {
                probabilities: vec![0.2; 5],
                expected,
                sampled: expected.map(|rating| rating as u8),
                entropy: 1.5,
                kind: Some(1),
                rating_reason: Some(format!("why {text}")),
                kind_reason: Some("kind".to_owned()),
            }
        };
        let expected_per_order = per_order.iter().map(|ratings| ratings.to_vec()).collect();
        let reading = Reading { texts: vec![text(0), text(1)], expected_per_order };
        AspectReading { aspect, reading }
    }

    #[test]
    fn several_aspects_leave_their_mean_and_each_its_own_columns() {
        let of = |a, b| [[Some(a), Some(b)]; 2];
        let verdict = Verdict {
            readings: vec![
                reading(Aspect::Helpfulness, of(4.0, 2.0)),
                reading(Aspect::Honesty, [[None, Some(5.0)]; 2]),
            ],
            orders: &[vec![0, 1], vec![1, 0]],
            asked: Orders::Two,
            score: Score::Expected,
        };
        let mut columns =
            json!({"types": "stale", "instruction": "i"}).as_object().unwrap().clone();
        verdict.write(&mut columns);
        assert_eq!(columns["ratings"], json!([4.0, 3.5]), "what does not apply does not count");
        assert_eq!(columns["rationales"][0], "helpfulness: why 0\nhonesty: why 0");
        assert_eq!(columns["ratings_per_order"], json!([[4.0, 3.5], [4.0, 3.5]]));
        assert_eq!(columns["ratings_flip"], false);
        assert!(!columns.contains_key("types"));
        let aspects = &columns["aspects"];
        assert_eq!(aspects["helpfulness"]["ratings"], json!([4.0, 2.0]));
        assert_eq!(aspects["helpfulness"]["types"], json!([1, 1]));
        assert_eq!(aspects["honesty"]["ratings"], json!([null, 5.0]));
        assert!(aspects["honesty"].get("types").is_none());
        let names: Vec<&String> = columns.keys().collect();
        let want = ["instruction", "ratings", "rationales", "ratings_expected", "ratings_sampled"];
        assert_eq!(names[..5], want);
    }

    #[test]
    fn a_flip_of_one_aspect_may_be_none_of_the_mean() {
        let wavers = [[Some(3.0), Some(2.0)], [Some(2.0), Some(3.0)]];
        let sure = [[Some(5.0), Some(1.0)]; 2];
        let orders = [vec![0, 1], vec![1, 0]];
        let verdict = |readings| Verdict {
            readings,
            orders: &orders,
            asked: Orders::Two,
            score: Score::Expected,
        };
        let of = reading;
        assert!(verdict(vec![of(Aspect::Honesty, wavers)]).flips());
        let both = vec![of(Aspect::Honesty, wavers), of(Aspect::Helpfulness, sure)];
        assert!(!verdict(both).flips());
    }

    #[test]
    fn a_text_to_which_no_aspect_applies_has_no_rating() {
        let none = [[None, Some(2.0)]; 2];
        let verdict = Verdict {
            readings: vec![reading(Aspect::Honesty, none), reading(Aspect::Truthfulness, none)],
            orders: &[vec![0, 1]],
            asked: Orders::One,
            score: Score::Sampled,
        };
        let mut columns = Columns::new();
        verdict.write(&mut columns);
        assert_eq!(columns["ratings"], json!([null, 2.0]));
        assert!(!columns.contains_key("ratings_flip"));
    }
}
