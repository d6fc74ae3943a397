//! UltraFeedback: a judge's ratings of several answers to one instruction.
//!
//! One aspect leaves distilabel's columns (`ratings`, `rationales`; for helpfulness and
//! truthfulness also `types` and `rationales-for-ratings`), and ours: the whole distribution of
//! each rating. Several aspects are asked one by one, the aspects of an order next to each other so
//! that the prefix cache can serve them; [`verdict`](super::verdict) joins what they say.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::verdict::{AspectReading, Verdict};
use super::{Asking, Dropped, Made, Question, Source, metadata, options, take, text, texts};
use crate::Result;
use crate::data::row::Columns;
use crate::llm::{Answer, Options, Refusal};
use crate::pipeline::judge::{self, Counter, Form, FormError, Prompt, Shape, Taking};
use crate::recipe::spec::{Orders, Score, UltraFeedback};
use crate::text::chat::Message;

pub(crate) struct JudgeStep {
    model: String,
    /// At least one, in the recipe's order.
    aspects: Vec<AspectStep>,
    score: Score,
    orders: Orders,
    seed: Option<u64>,
    options: Options,
}

/// One aspect, ready to be asked about.
struct AspectStep {
    prompt: Prompt,
    shape: Shape,
    /// Forms by number of texts: their length is counted once.
    forms: RefCell<BTreeMap<usize, Result<Rc<Form>, FormError>>>,
}

impl JudgeStep {
    pub(crate) fn build(spec: &UltraFeedback) -> Result<Self> {
        let mut options = options(&spec.generation);
        // The template says where the answer ends, and bounds what is free in it: a reason in a loop
        // ends at its bound, and the ratings behind it are still given.
        options.stop.clear();
        options.grammar = None;
        options.sampling.stop_repetition = false;
        let mut aspects = Vec::with_capacity(spec.aspect.0.len());
        for aspect in spec.aspect.0.iter().copied() {
            let rubric = spec.rubric.as_deref();
            aspects.push(AspectStep {
                prompt: Prompt::build(aspect, spec.rationale, spec.layout, rubric)?,
                shape: Shape {
                    aspect,
                    rationale: spec.rationale,
                    n_rationale_tokens: spec.max_rationale_tokens,
                    n_tokens_max: spec.generation.max_new_tokens,
                },
                forms: RefCell::new(BTreeMap::new()),
            });
        }
        Ok(Self {
            model: spec.model.clone(),
            aspects,
            score: spec.score,
            orders: spec.orders,
            seed: spec.generation.seed,
            options,
        })
    }

    /// That there is a form of every aspect for a number of texts, or why the longest answer
    /// cannot fit.
    pub(crate) fn check(&self, n_texts: usize, count: Counter<'_>) -> Result<(), FormError> {
        self.aspects.iter().try_for_each(|aspect| aspect.form(n_texts, count).map(|_| ()))
    }
}

impl AspectStep {
    fn form(&self, n_texts: usize, count: Counter<'_>) -> Result<Rc<Form>, FormError> {
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

    fn shared(&self) -> Vec<Vec<Message>> {
        self.aspects.iter().map(|aspect| aspect.prompt.shared()).collect()
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
        let mut forms = Vec::with_capacity(self.aspects.len());
        for aspect in &self.aspects {
            let form = aspect.form(generations.len(), count);
            forms.push(form.map_err(|error| unfit(error, generations.len()))?);
        }
        let mut questions = Vec::new();
        for (nth, order) in judge::orders(self.orders, generations.len()).iter().enumerate() {
            let shown: Vec<&str> = order.iter().map(|text| generations[*text]).collect();
            for ((aspect, form), sample) in self.aspects.iter().zip(&forms).zip(0..) {
                let template = Some(form.template.clone());
                questions.push(Question {
                    messages: aspect.prompt.messages(instruction, &shown),
                    options: Options { template, ..self.options.clone() },
                    sample,
                    order: nth as u64,
                });
            }
        }
        Ok(questions)
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
        let mut readings = Vec::with_capacity(self.aspects.len());
        for (aspect, nth) in self.aspects.iter().zip(0..) {
            let form = aspect.forms.borrow()[&n_texts].clone();
            let form = form.expect("a form that does not fit was never asked");
            // Order after order, as they were asked.
            let own = answers.iter().skip(nth).step_by(self.aspects.len());
            let own: Vec<&Answer> = own.collect();
            let temperature = self.options.sampling.temperature;
            let taking = Taking { temperature, noise: apart(source.noise, nth as u64) };
            let reading = judge::read(&form, &orders, &own, taking).map_err(|_| {
                Dropped::new("the judge's answer was cut short", own[0].finish.as_str())
            })?;
            readings.push(AspectReading { aspect: aspect.shape.aspect, reading });
        }
        let verdict = Verdict { readings, orders: &orders, asked: self.orders, score: self.score };
        let mut columns = take(row);
        verdict.write(&mut columns);
        let many = self.orders != Orders::One || self.aspects.len() > 1;
        metadata::add(&mut columns, questions, answers, source, many);
        columns.insert("model_name".to_owned(), Value::String(source.model.to_owned()));
        let note = (orders.len() > 1 && verdict.flips())
            .then_some("another order made another answer the best");
        Ok(Made { columns, note })
    }
}

/// The key of an aspect's own draws; the first one's is the row's.
fn apart(noise: u64, nth: u64) -> u64 {
    noise.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn unfit(error: FormError, n_texts: usize) -> Dropped {
    match error {
        FormError::TooLong { n_tokens_needed, n_tokens_max } => Dropped::new(
            "the judge's answer does not fit `max_new_tokens`",
            format!("{n_texts} answers need {n_tokens_needed} tokens, {n_tokens_max} are allowed"),
        ),
        FormError::Unwritable(Refusal(why)) => {
            Dropped::new("the judge's vocabulary cannot write the answer", why)
        }
    }
}
