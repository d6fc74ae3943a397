//! UltraFeedback: a judge's ratings of several answers to one instruction.
//!
//! distilabel's columns for each aspect (`ratings`, `rationales`; for helpfulness and truthfulness
//! also `types` and `rationales-for-ratings`), and ours: the whole distribution of each rating.
//! With `rationale = "none"` the rationales are null.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Asking, Dropped, Made, Question, Source, metadata, options, take, text, texts};
use crate::Result;
use crate::data::row::Columns;
use crate::llm::{Answer, Options, Refusal};
use crate::pipeline::judge::{
    self, Counter, Form, FormError, Prompt, Reading, Shape, Taking, TextReading,
};
use crate::recipe::spec::{Orders, Score, UltraFeedback};
use crate::text::chat::Message;

/// Every column that a judge writes, by whatever aspect and orders.
const COLUMNS: [&str; 11] = [
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
];

pub(crate) struct JudgeStep {
    model: String,
    prompt: Prompt,
    shape: Shape,
    score: Score,
    orders: Orders,
    seed: Option<u64>,
    options: Options,
    /// Forms by number of texts: their length is counted once.
    forms: RefCell<BTreeMap<usize, Result<Rc<Form>, FormError>>>,
}

impl JudgeStep {
    pub(crate) fn build(spec: &UltraFeedback) -> Result<Self> {
        let mut options = options(&spec.generation);
        // The template says where the answer ends.
        options.stop.clear();
        options.grammar = None;
        Ok(Self {
            model: spec.model.clone(),
            prompt: Prompt::build(spec.aspect, spec.rationale, spec.rubric.as_deref())?,
            shape: Shape {
                aspect: spec.aspect,
                rationale: spec.rationale,
                n_rationale_tokens: spec.max_rationale_tokens,
                n_tokens_max: spec.generation.max_new_tokens,
            },
            score: spec.score,
            orders: spec.orders,
            seed: spec.generation.seed,
            options,
            forms: RefCell::new(BTreeMap::new()),
        })
    }

    /// The form for a number of texts, or why the longest answer cannot fit.
    pub(crate) fn form(&self, n_texts: usize, count: Counter<'_>) -> Result<Rc<Form>, FormError> {
        let mut forms = self.forms.borrow_mut();
        let form = forms
            .entry(n_texts)
            .or_insert_with(|| Form::build(self.shape, n_texts, count).map(Rc::new));
        form.clone()
    }
}

impl Asking for JudgeStep {
    fn model(&self) -> &str {
        &self.model
    }

    fn seed(&self) -> Option<u64> {
        self.seed
    }

    fn n_units(&self) -> u64 {
        1
    }

    fn shared(&self) -> Option<Vec<Message>> {
        Some(self.prompt.shared())
    }

    fn ask(&self, row: &Columns, _unit: u64, count: Counter<'_>) -> Result<Vec<Question>, Dropped> {
        let instruction = text(row, "instruction")?;
        let generations = texts(row, "generations")?;
        if instruction.trim().is_empty() {
            return Err(Dropped::new("empty instruction", ""));
        }
        if generations.is_empty() {
            return Err(Dropped::new("nothing to judge", "`generations` is empty"));
        }
        let form = self.form(generations.len(), count).map_err(|error| match error {
            FormError::TooLong { n_tokens_needed, n_tokens_max } => Dropped::new(
                "the judge's answer does not fit `max_new_tokens`",
                format!(
                    "{} answers need {n_tokens_needed} tokens, {n_tokens_max} are allowed",
                    generations.len()
                ),
            ),
            FormError::Unwritable(Refusal(why)) => {
                Dropped::new("the judge's vocabulary cannot write the answer", why)
            }
        })?;
        let orders = judge::orders(self.orders, generations.len());
        let question = |(nth, order): (usize, &Vec<usize>)| {
            let shown: Vec<&str> = order.iter().map(|text| generations[*text]).collect();
            Question {
                messages: self.prompt.messages(instruction, &shown),
                options: Options { template: Some(form.template.clone()), ..self.options.clone() },
                sample: 0,
                order: nth as u64,
            }
        };
        Ok(orders.iter().enumerate().map(question).collect())
    }

    fn read(
        &self,
        row: &mut Cow<'_, Columns>,
        questions: Vec<Question>,
        answers: Vec<Answer>,
        source: Source<'_>,
    ) -> Result<Made, Dropped> {
        let n_texts = texts(row, "generations")?.len();
        let orders = judge::orders(self.orders, n_texts);
        let form = self.forms.borrow()[&n_texts].clone();
        let form = form.expect("a form that does not fit was never asked");
        let taking = Taking { temperature: self.options.sampling.temperature, noise: source.noise };
        let reading = judge::read(&form, &orders, &answers, taking).map_err(|_| {
            Dropped::new("the judge's answer was cut short", answers[0].finish.as_str())
        })?;
        let mut columns = take(row);
        self.write(&mut columns, &reading, &orders);
        let many = self.orders != Orders::One;
        metadata::add(&mut columns, questions, answers, source, many);
        columns.insert("model_name".to_owned(), Value::String(source.model.to_owned()));
        let note = (orders.len() > 1 && reading.flips())
            .then_some("another order made another answer the best");
        Ok(Made { columns, note })
    }
}

impl JudgeStep {
    fn write(&self, columns: &mut Columns, reading: &Reading, orders: &[Vec<usize>]) {
        // Another judge's verdict on the same row must not stand half beside this one's.
        COLUMNS.iter().for_each(|name| drop(columns.shift_remove(*name)));
        let of = |value: &dyn Fn(&TextReading) -> Value| {
            Value::Array(reading.texts.iter().map(value).collect())
        };
        let mut put = |name: &str, value: Value| columns.insert(name.to_owned(), value);
        let rating_reasons = |text: &TextReading| json!(text.rating_reason);
        if judge::has_kinds(self.shape.aspect) {
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
        if self.orders != Orders::One {
            let per_order = reading.expected_per_order.iter();
            let per_order = per_order
                .map(|ratings| Value::Array(ratings.iter().copied().map(rounded).collect()));
            put("ratings_orders", json!(orders));
            put("ratings_per_order", Value::Array(per_order.collect()));
            put("ratings_flip", Value::Bool(reading.flips()));
        }
    }

    /// The rating that counts; a digit stays a whole number, as distilabel has it.
    fn rating(&self, text: &TextReading) -> Value {
        match self.score {
            Score::Expected => rounded(text.expected),
            Score::Sampled => json!(text.sampled),
        }
    }
}

/// Six decimals: what f32 logits carry, and no more.
fn rounded(value: Option<f64>) -> Value {
    json!(value.map(|value| (value * 1e6).round() / 1e6))
}
