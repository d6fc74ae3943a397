//! Models that answer at once: what the pipeline's own tests and its bench run against.
//!
//! An answer is a function of the conversation and the noise, as a real model's would be, so a row
//! that is asked again gets the same answer. Which answers come first is another matter: `jitter`
//! shuffles that, and nothing may depend on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stillroom::engine::request::{Choice, FinishReason};
use stillroom::llm::{Answer, Ask, Door, Refusal};
use stillroom::pipeline::{Facts, Opener, Opening};
use stillroom::recipe::spec::{ModelSpec, Quantize};
use stillroom::text::guides::{AnswerTemplate, Segment};
use stillroom::{Error, Result};

/// What all models of a test have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Questions asked of each model.
    pub(crate) n_asked: BTreeMap<String, usize>,
    /// `open`, `ahead` and `close` of each model, in order.
    pub(crate) residency: Vec<String>,
    /// Answers until the interrupt is raised.
    pub(crate) n_until_interrupt: Option<usize>,
    /// Answers until a model fails.
    pub(crate) n_until_failure: Option<usize>,
    /// Raised as said above.
    pub(crate) interrupt: Arc<AtomicBool>,
}

/// Opens instant models.
#[derive(Debug, Clone)]
pub(crate) struct Instant {
    /// What the test sees.
    pub(crate) shared: Rc<RefCell<Shared>>,
    /// Order in which answers come.
    pub(crate) jitter: u64,
    /// Bytes for resident models; each takes 10.
    pub(crate) budget: u64,
    /// Words of an answer.
    pub(crate) n_words: usize,
    /// The model whose memory does not come back.
    pub(crate) leaks: Option<&'static str>,
    /// How free answers end.
    pub(crate) finish: FinishReason,
}

impl Default for Instant {
    fn default() -> Self {
        Self {
            shared: Rc::default(),
            jitter: 0,
            budget: 1000,
            n_words: 3,
            leaks: None,
            finish: FinishReason::Stop,
        }
    }
}

impl Instant {
    /// Questions asked of a model so far.
    pub(crate) fn n_asked(&self, model: &str) -> usize {
        self.shared.borrow().n_asked.get(model).copied().unwrap_or(0)
    }

    /// The flag that the models raise.
    pub(crate) fn interrupt(&self) -> Arc<AtomicBool> {
        self.shared.borrow().interrupt.clone()
    }
}

impl Opener for Instant {
    fn facts(&mut self, name: &str, spec: &ModelSpec) -> Result<Facts> {
        Ok(Facts {
            name: name.to_owned(),
            key: spec.source.clone(),
            weight_bytes: match spec.quantize {
                Quantize::None => 9,
                Quantize::Q8_0 => 5,
                Quantize::Q4K => 3,
            },
            kv_bytes_min: 1,
            max_context: 4096,
            notes: Vec::new(),
        })
    }

    fn n_tokens_max(
        &mut self,
        _name: &str,
        _spec: &ModelSpec,
        template: &AnswerTemplate,
    ) -> Result<Result<usize, Refusal>> {
        Ok(Ok(n_tokens_max(template)))
    }

    fn budget(&self) -> u64 {
        self.budget
    }

    fn open(
        &mut self,
        name: &str,
        _spec: &ModelSpec,
        _bytes: u64,
        _tell: &mut dyn FnMut(Opening<'_>),
    ) -> Result<Box<dyn Door>> {
        self.shared.borrow_mut().residency.push(format!("open {name}"));
        Ok(Box::new(InstantDoor {
            name: name.to_owned(),
            shared: self.shared.clone(),
            jitter: self.jitter,
            n_words: self.n_words,
            finish: self.finish,
            asks: vec![],
        }))
    }

    fn closed(&mut self, name: &str) -> Option<String> {
        (self.leaks == Some(name)).then(|| "its memory has not all come back".to_owned())
    }

    fn read_ahead(&mut self, name: &str, _spec: &ModelSpec) {
        self.shared.borrow_mut().residency.push(format!("ahead {name}"));
    }
}

struct InstantDoor {
    name: String,
    shared: Rc<RefCell<Shared>>,
    jitter: u64,
    n_words: usize,
    finish: FinishReason,
    asks: Vec<Ask>,
}

impl Drop for InstantDoor {
    fn drop(&mut self) {
        self.shared.borrow_mut().residency.push(format!("close {}", self.name));
    }
}

impl Door for InstantDoor {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&mut self, ask: Ask) -> Result<std::result::Result<(), Refusal>> {
        let content = &ask.messages.last().expect("a conversation").content;
        if content.contains("REFUSE") {
            return Ok(Err(Refusal("prompt too long: 9 tokens of 8".to_owned())));
        }
        *self.shared.borrow_mut().n_asked.entry(self.name.clone()).or_default() += 1;
        self.asks.push(ask);
        Ok(Ok(()))
    }

    fn step(&mut self) -> Result<Vec<Answer>> {
        if self.jitter == 0 {
            let asks = std::mem::take(&mut self.asks);
            return asks.into_iter().map(|ask| self.answer(ask)).collect();
        }
        let jitter = self.jitter;
        self.asks.sort_by_key(|ask| hash(&(jitter, ask.id)));
        let n = 1 + hash(&(jitter, self.asks.len())) as usize % self.asks.len();
        let asks: Vec<Ask> = self.asks.drain(..n).collect();
        asks.into_iter().map(|ask| self.answer(ask)).collect()
    }

    fn n_in_flight(&self) -> usize {
        self.asks.len()
    }

    fn n_wanted(&self) -> usize {
        64
    }

    fn n_tokens_max(&self, template: &AnswerTemplate) -> std::result::Result<usize, Refusal> {
        Ok(n_tokens_max(template))
    }
}

impl InstantDoor {
    fn answer(&self, ask: Ask) -> Result<Answer> {
        self.count_down()?;
        let content = &ask.messages.last().expect("a conversation").content;
        let seed = hash(&(&self.name, content, ask.noise));
        let (parts, choices) = match &ask.options.template {
            Some(template) => fill(template, seed),
            None => (Vec::new(), Vec::new()),
        };
        let text = match &ask.options.template {
            Some(_) => parts.concat(),
            None if content.contains("user queries") => instructions(seed),
            None => words(seed, self.n_words),
        };
        Ok(Answer {
            id: ask.id,
            parts,
            choices,
            n_input_tokens: content.len() / 4 + 1,
            n_cached_tokens: 0,
            n_output_tokens: text.len() / 4 + 1,
            logprob: -1.0,
            finish: if ask.options.template.is_some() { FinishReason::Stop } else { self.finish },
            text,
        })
    }

    fn count_down(&self) -> Result<()> {
        let mut shared = self.shared.borrow_mut();
        if let Some(n) = &mut shared.n_until_failure {
            if *n == 0 {
                let hint = "check the weights";
                return Err(Error::environment("the logits are not numbers", hint));
            }
            *n -= 1;
        }
        if let Some(n) = &mut shared.n_until_interrupt {
            *n = n.saturating_sub(1);
            if *n == 0 {
                shared.interrupt.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

fn n_tokens_max(template: &AnswerTemplate) -> usize {
    let longest = |segment: &Segment| match segment {
        Segment::Forced(text) => text.len().div_ceil(4),
        Segment::Choice(_) => 1,
        Segment::Free { n_tokens_max, .. } => n_tokens_max + 1,
    };
    template.segments.iter().map(longest).sum()
}

fn fill(template: &AnswerTemplate, seed: u64) -> (Vec<String>, Vec<Choice>) {
    let (mut parts, mut choices) = (Vec::new(), Vec::new());
    for (i, segment) in template.segments.iter().enumerate() {
        parts.push(match segment {
            Segment::Forced(text) => text.clone(),
            Segment::Free { .. } => words(hash(&(seed, i)), 4),
            Segment::Choice(texts) => {
                let weight = |j: usize| (hash(&(seed, i, j)) % 97 + 1) as f32;
                let total: f32 = (0..texts.len()).map(weight).sum();
                let logprobs = (0..texts.len()).map(|j| (weight(j) / total).ln()).collect();
                let taken = hash(&(seed, i, "taken")) as usize % texts.len();
                choices.push(Choice { at: i, logprobs, taken });
                texts[taken].clone()
            }
        });
    }
    (parts, choices)
}

fn instructions(seed: u64) -> String {
    let line = |i: u64| format!("{}. Explain {}.\n", i + 1, words(hash(&(seed, i)), 3));
    let lines: String = (0..3).map(line).collect();
    format!("Here are some queries:\n{lines}")
}

fn words(seed: u64, n_words: usize) -> String {
    let mut text = String::with_capacity(5 * n_words);
    let mut state = seed;
    for i in 0..n_words {
        // A step of a linear congruential generator is enough for words that mean nothing.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text.push_str(if i == 0 { "w" } else { " w" });
        text.extend((0..3).map(|digit| char::from(b'0' + (state >> (40 + 8 * digit)) as u8 % 10)));
    }
    text
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
