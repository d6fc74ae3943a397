//! On real (tiny) models: who shares a step, how a prompt is cut, what the cache held and who was
//! preempted change no bit of an answer. Log-probabilities are compared exactly; they are the
//! logits' own, for drawn tokens, alternatives and a set of reported ones.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use stillroom::engine::guide::TokenMask;
use stillroom::engine::request::{Completion, Sampling};
use stillroom::engine::{Engine, EngineLimits};
use stillroom_kernels::paged::{Batch, KvPool, KvShape};
use stillroom_models::tiny::{self, Shape};
use stillroom_models::{Decoder, LoadOptions, Model, Quant, load};

use crate::fake::Dice;
use crate::oracle::Question;
use crate::script::{Script, Segment};

const VOCAB_SIZE: usize = 1024;
/// One model for many engines.
struct Shared(Arc<Decoder>);

impl Model for Shared {
    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    fn max_context(&self) -> usize {
        self.0.max_context()
    }

    fn kv_shape(&self) -> KvShape {
        self.0.kv_shape()
    }

    fn new_kv(&self, n_blocks: usize) -> Result<KvPool> {
        self.0.new_kv(n_blocks)
    }

    fn forward(&self, batch: &Batch, kv: &mut KvPool) -> Result<Tensor> {
        self.0.forward(batch, kv)
    }
}

/// Every request fits at once and every prompt into one step.
const ROOMY: EngineLimits = EngineLimits {
    n_sequences_max: 16,
    n_step_tokens_max: 4096,
    n_blocks: 128,
    length_percentile: 90,
};

#[test]
fn llama_answers_do_not_depend_on_the_batch() {
    check("llama", None);
}

#[test]
fn quantised_llama_answers_do_not_depend_on_the_batch() {
    check("llama", Some(Quant::Q8_0));
}

#[test]
fn windowed_answers_do_not_depend_on_the_batch() {
    check("mistral", None);
}

#[test]
fn mixtral_answers_do_not_depend_on_the_batch() {
    check("mixtral", None);
}

#[test]
fn quantised_mixtral_answers_do_not_depend_on_the_batch() {
    check("mixtral", Some(Quant::Q8_0));
}

fn check(shape: &str, quantize: Option<Quant>) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join(shape);
    tiny::write(&Shape::named(shape).expect("a shape"), 3, &folder).expect("a checkpoint");
    let options = LoadOptions { quantize, ..LoadOptions::new(Device::Cpu) };
    let model = Arc::new(load(&folder, &options, &mut |_| ()).expect("a model").model);
    let engine = |limits| Engine::new(Shared(model.clone()), limits).expect("memory");

    // Candle's quantised products keep threads waiting: a few answers have to do there.
    let questions = questions(if quantize.is_some() { 4 } else { 8 });
    // Each in an engine of its own, so that nothing is cached.
    let lone = |question| answers(&mut engine(ROOMY), std::slice::from_ref(question)).remove(0);
    let alone: Vec<Completion> = questions.iter().map(lone).collect();

    let mut crowd = engine(ROOMY);
    assert_eq!(answers(&mut crowd, &questions), alone, "batched differs from alone");
    assert!(crowd.stats().mean_batch() > 2.0);

    assert_eq!(answers(&mut crowd, &questions), alone, "cached differs from uncached");
    assert!(crowd.stats().hit_rate() > 0.5);

    let limits = EngineLimits { n_sequences_max: 5, n_step_tokens_max: 7, ..ROOMY };
    assert_eq!(answers(&mut engine(limits), &questions), alone, "chunked differs from whole");

    let limits = EngineLimits { n_blocks: 5, length_percentile: 0, ..ROOMY };
    let mut tight = engine(limits);
    assert_eq!(answers(&mut tight, &questions), alone, "preempted differs from undisturbed");
    assert!(tight.stats().n_preemptions > 0);
}

/// The answers in the order of the questions, without the counts of cached tokens.
fn answers(engine: &mut Engine<Shared>, questions: &[Question]) -> Vec<Completion> {
    for question in questions {
        engine.submit(question.request()).expect("it fits");
    }
    let mut done = Vec::new();
    while engine.n_in_flight() > 0 {
        done.extend(engine.step().expect("a step"));
        engine.check_integrity();
    }
    done.sort_by_key(|completion| completion.id);
    done.iter_mut().for_each(|completion| completion.n_cached = 0);
    done
}

/// Prompts that share beginnings, drawn greedily and by chance, with and without a guide.
fn questions(n: u64) -> Vec<Question> {
    let mut dice = Dice::new(11);
    let mut tokens = |n: usize| -> Vec<u32> {
        (0..n).map(|_| u32::try_from(dice.pick(0..VOCAB_SIZE)).expect("a token")).collect()
    };
    let preamble = tokens(70);
    (0..n)
        .map(|id| {
            let prompt = match id % 3 {
                0 => tokens(5 + 13 * id as usize),
                1 => [preamble.clone(), tokens(id as usize)].concat(),
                _ => preamble.clone(),
            };
            let sampling = Sampling {
                temperature: if id % 2 == 0 { 0.0 } else { 0.9 },
                top_p: if id % 4 == 1 { 0.9 } else { 1.0 },
                repetition_penalty: if id % 5 == 4 { 1.2 } else { 1.0 },
                report: if id % 4 == 2 { tokens(3) } else { Vec::new() },
                stop_repetition: false,
                ..Sampling::default()
            };
            let script = (id % 4 == 3).then(|| script(&mut tokens));
            let max_new_tokens = if script.is_some() { 44 } else { 28 };
            let stop_tokens = Vec::new();
            Question { id, prompt, max_new_tokens, stop_tokens, sampling, script }
        })
        .collect()
}

/// What a judge's answer looks like: forced text, choices, text under a rule.
fn script(tokens: &mut impl FnMut(usize) -> Vec<u32>) -> Script {
    let mut mask = TokenMask::empty(VOCAB_SIZE);
    tokens(40).into_iter().for_each(|token| mask.allow(token));
    let start = tokens(2);
    let long = |last: u32| [start.clone(), vec![last]].concat();
    Script::new(vec![
        Segment::Drawn { n_tokens: 6, mask: Some(mask) },
        Segment::Forced(tokens(20)),
        Segment::Choice(vec![vec![1], vec![2], vec![3], vec![4, 5]]),
        Segment::Forced(tokens(3)),
        Segment::Choice(vec![long(7), long(8), vec![9, 10, 11, 12]]),
        Segment::Drawn { n_tokens: 5, mask: None },
    ])
}
