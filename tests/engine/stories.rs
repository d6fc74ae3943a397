//! One behaviour each.

use stillroom::engine::request::{FinishReason, RequestId, Sampling};
use stillroom::engine::{Engine, EngineError, EngineLimits, Refusal};

use crate::fake::{Dice, Fake};
use crate::oracle::Question;
use crate::script::{Script, Segment};

const LIMITS: EngineLimits = EngineLimits {
    n_sequences_max: 16,
    n_step_tokens_max: 512,
    n_blocks: 64,
    length_percentile: 90,
};

fn question(id: u64, prompt: Vec<u32>) -> Question {
    let sampling = Sampling { stop_repetition: false, ..Sampling::default() };
    Question { id, prompt, max_new_tokens: 8, stop_tokens: Vec::new(), sampling, script: None }
}

fn engine(limits: EngineLimits) -> Engine<Fake> {
    Engine::new(Fake::new(512), limits).expect("memory")
}

fn drain(engine: &mut Engine<Fake>) -> Vec<stillroom::engine::request::Completion> {
    let mut done = Vec::new();
    while engine.n_in_flight() > 0 {
        done.extend(engine.step().expect("a step"));
    }
    done.sort_by_key(|completion| completion.id);
    done
}

#[test]
fn samples_of_one_prompt_share_its_prefill() {
    let mut engine = engine(LIMITS);
    let prompt = Dice::new(1).tokens(100);
    for id in 0..4 {
        engine.submit(question(id, prompt.clone()).request()).unwrap();
    }
    let done = drain(&mut engine);
    let n_cached: Vec<usize> = done.iter().map(|completion| completion.n_cached).collect();
    assert_eq!(n_cached, [0, 96, 96, 96]);
    assert_ne!(done[0].tokens, done[1].tokens, "each sample has noise of its own");
    assert_eq!(engine.stats().n_prefill_tokens, 100 + 3 * 4);
    assert!((engine.stats().hit_rate() - 0.72).abs() < 1e-9);
}

#[test]
fn a_pinned_prefix_is_computed_once_and_stays() {
    let limits = EngineLimits { n_blocks: 20, ..LIMITS };
    let mut engine = engine(limits);
    let mut dice = Dice::new(2);
    let preamble = dice.tokens(96);
    engine.pin(&preamble).unwrap();
    for wave in 0..3 {
        for id in 0..8 {
            let prompt = [preamble.clone(), dice.tokens(40)].concat();
            engine.submit(question(wave * 100 + id, prompt).request()).unwrap();
        }
        let n_missed = drain(&mut engine).iter().filter(|done| done.n_cached < 96).count();
        assert_eq!(n_missed, usize::from(wave == 0), "wave {wave}");
        // Others push everything out that is not pinned.
        let others = (0..6).map(|id| question(wave * 100 + 50 + id, dice.tokens(300)));
        others.for_each(|other| engine.submit(other.request()).unwrap());
        drain(&mut engine);
    }
}

#[test]
fn what_can_never_fit_is_refused_by_name() {
    let mut engine = engine(EngineLimits { n_blocks: 4, ..LIMITS });
    let refuse = |engine: &mut Engine<Fake>, question: Question| {
        engine.submit(question.request()).unwrap_err()
    };
    assert_eq!(refuse(&mut engine, question(0, vec![])), Refusal::EmptyPrompt);
    let too_long = refuse(&mut engine, question(0, vec![1; 512]));
    assert_eq!(too_long, Refusal::PromptTooLong { n_tokens: 512, max_context: 512 });
    let too_big = refuse(&mut engine, question(0, vec![1; 121]));
    assert_eq!(too_big, Refusal::KvTooSmall { n_tokens: 129, n_blocks: 5, n_blocks_max: 4 });
    assert!(too_big.to_string().contains("129 tokens, which need 5 blocks"), "{too_big}");
    let unknown = refuse(&mut engine, question(0, vec![1, 24]));
    assert_eq!(unknown, Refusal::UnknownToken { token: 24, vocab_size: 24 });
    let mut hot = question(0, vec![1]);
    hot.sampling.temperature = f32::NAN;
    assert!(refuse(&mut engine, hot).to_string().contains("temperature = NaN"));
    let none = Question { max_new_tokens: 0, ..question(0, vec![1]) };
    assert_eq!(refuse(&mut engine, none), Refusal::NothingToGenerate);
    assert_eq!(engine.n_in_flight(), 0);
}

#[test]
fn a_pin_leaves_room_for_those_in_flight() {
    let mut engine = engine(EngineLimits { n_blocks: 8, ..LIMITS });
    engine.submit(question(0, vec![1; 180]).request()).unwrap();
    assert!(engine.pin(&[2; 64]).is_ok());
    assert!(engine.pin(&[3; 32]).is_err(), "six blocks are spoken for");
    assert_eq!(drain(&mut engine).len(), 1);
    let refusal = engine.submit(question(1, vec![1; 200]).request()).unwrap_err();
    assert_eq!(refusal, Refusal::KvTooSmall { n_tokens: 208, n_blocks: 7, n_blocks_max: 6 });
}

#[test]
fn the_model_context_ends_a_sequence() {
    let mut engine = engine(LIMITS);
    let long = Question { max_new_tokens: 1000, ..question(0, vec![1; 500]) };
    engine.submit(long.request()).unwrap();
    let done = drain(&mut engine).remove(0);
    assert_eq!((done.tokens.len(), done.finish), (12, FinishReason::Length));
}

#[test]
fn a_step_without_memory_is_made_smaller_and_changes_no_answer() {
    let run = |fake: Fake| {
        let mut engine = Engine::new(fake, LIMITS).unwrap();
        let mut dice = Dice::new(11);
        for id in 0..9 {
            engine.submit(question(id, dice.tokens(150)).request()).unwrap();
        }
        (drain(&mut engine), engine.stats().n_narrowed, engine.limits().n_step_tokens_max)
    };
    let (wanted, ..) = run(Fake::new(512));
    let (done, n_narrowed, n_step_tokens_max) = run(Fake::cramped(512, 150));
    assert_eq!(format!("{done:?}"), format!("{wanted:?}"));
    assert_eq!((n_narrowed, n_step_tokens_max), (2, 128));

    let mut engine = Engine::new(Fake::cramped(512, 5), LIMITS).unwrap();
    engine.submit(question(0, vec![1; 40]).request()).unwrap();
    let error = engine.step().unwrap_err();
    assert!(matches!(error, EngineError::Device(_)), "sixteen decodes must have room: {error}");
}

#[test]
fn logits_that_are_no_numbers_stop_the_engine() {
    let mut engine = Engine::new(Fake::poisoned(512, 7), LIMITS).unwrap();
    engine.submit(question(3, vec![1, 2, 3]).request()).unwrap();
    engine.submit(question(4, vec![1, 2, 7]).request()).unwrap();
    let error = engine.step().unwrap_err();
    let EngineError::NotANumber { request, position, token, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((request, position, token), (RequestId(4), 3, 5));
    let text = error.to_string();
    assert_eq!(text, "the model gives token 5 the logit NaN, for request 4 at position 3");
}

#[test]
fn a_loop_is_stopped_unless_wanted() {
    let mut engine = engine(LIMITS);
    for (id, stop_repetition) in [(0, true), (1, false)] {
        let mut stuck = Question { max_new_tokens: 100, ..question(id, vec![1]) };
        stuck.sampling.logit_bias = vec![(9, 100.0)];
        stuck.sampling.stop_repetition = stop_repetition;
        engine.submit(stuck.request()).unwrap();
    }
    let done = drain(&mut engine);
    assert_eq!((done[0].finish, done[0].tokens.len()), (FinishReason::Repetition, 64));
    assert_eq!((done[1].finish, done[1].tokens.len()), (FinishReason::Length, 100));
}

#[test]
fn forced_text_rides_with_the_next_row() {
    let mut engine = engine(LIMITS);
    let script = Script::new(vec![
        Segment::Forced(vec![1; 40]),
        Segment::Choice(vec![vec![2], vec![3]]),
        Segment::Forced(vec![4; 30]),
        Segment::Choice(vec![vec![5], vec![6]]),
    ]);
    let judged = Question { max_new_tokens: 100, script: Some(script), ..question(0, vec![8; 10]) };
    engine.submit(judged.request()).unwrap();
    let done = drain(&mut engine).remove(0);
    assert_eq!((done.tokens.len(), done.choices.len()), (72, 2));
    assert_eq!(engine.stats().n_steps, 2, "one forward for each choice");
    let total: f32 = done.choices[1].logprobs.iter().map(|logprob| logprob.exp()).sum();
    assert!((total - 1.0).abs() < 1e-6);
}

#[test]
fn a_wholly_forced_answer_needs_no_forward() {
    let mut engine = engine(LIMITS);
    let script = Some(Script::new(vec![Segment::Forced(vec![1, 2])]));
    engine.submit(Question { script, ..question(0, vec![8]) }.request()).unwrap();
    let done = drain(&mut engine).remove(0);
    assert_eq!((done.tokens, done.finish), (vec![1, 2], FinishReason::Stop));
    assert_eq!(engine.stats().n_steps, 0);
}
