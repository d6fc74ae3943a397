//! A model behind the door, from messages to answers, on tiny models with random weights.
//!
//! What is tested holds for any weights: an answer does not depend on who shares the batch, every
//! form that was asked for is kept, and a bad question costs only itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde_json::json;
use stillroom::engine::request::{FinishReason, RequestId, Sampling};
use stillroom::llm::{Answer, Ask, Door, Llm, ModelFolder, Options};
use stillroom::text::chat::Message;
use stillroom::text::guides::{AnswerTemplate, Grammar, Segment};
use stillroom_models::LoadOptions;

const SHAPES: [&str; 3] = ["llama", "mistral", "mixtral"];

fn folder(shape: &str) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny");
    stillroom::llm::tiny(shape, &cache).expect("a tiny checkpoint is written")
}

fn open(shape: &str) -> Llm {
    let folder = ModelFolder::read(folder(shape)).expect("a whole checkpoint");
    let options = LoadOptions::new(Device::Cpu);
    folder.load(shape, &options, 32 << 20, &mut |_| ()).expect("it loads").0
}

fn user(text: &str) -> Vec<Message> {
    vec![Message::user(text)]
}

fn ask(id: u64, text: &str, options: &Options) -> Ask {
    Ask { id: RequestId(id), messages: user(text), options: options.clone(), noise: 7 * id + 1 }
}

fn plain(max_new_tokens: usize) -> Options {
    Options { max_new_tokens, ..Options::default() }
}

/// Submits all and runs until every answer is there.
fn answer_all(llm: &mut Llm, asks: Vec<Ask>) -> HashMap<u64, Answer> {
    for ask in asks {
        llm.submit(ask).expect("the model works").expect("the question is fine");
    }
    let mut answers = HashMap::new();
    while llm.n_in_flight() > 0 {
        let finished = llm.step().expect("the model works");
        answers.extend(finished.into_iter().map(|answer| (answer.id.0, answer)));
    }
    answers
}

fn answer_one(llm: &mut Llm, ask: Ask) -> Answer {
    let id = ask.id.0;
    answer_all(llm, vec![ask]).remove(&id).expect("its answer")
}

fn questions(n: u64, options: &Options) -> Vec<Ask> {
    let text =
        |id| format!("Question {id}: {}", "why does the still drip? ".repeat(id as usize % 5));
    (0..n).map(|id| ask(id, &text(id), options)).collect()
}

#[test]
fn an_answer_is_the_same_alone_and_in_a_crowd() {
    for shape in SHAPES {
        let asks = questions(9, &plain(12));
        let together = answer_all(&mut open(shape), asks.clone());
        for ask in asks {
            let id = ask.id.0;
            let alone = answer_one(&mut open(shape), ask);
            assert_eq!(alone.text, together[&id].text, "{shape} {id}");
            assert_eq!(alone.logprob.to_bits(), together[&id].logprob.to_bits(), "{shape} {id}");
            assert_eq!(alone.n_input_tokens, together[&id].n_input_tokens);
        }
    }
}

#[test]
fn samples_of_one_prompt_differ_by_their_noise_alone() {
    let mut llm = open("llama");
    let sample = |id, noise| Ask { noise, ..ask(id, "Name a colour.", &plain(16)) };
    let asks = [11, 22, 33, 11].into_iter().zip(0..).map(|(noise, id)| sample(id, noise));
    let answers = answer_all(&mut llm, asks.collect());
    assert_eq!(answers[&0].text, answers[&3].text);
    assert_ne!(answers[&0].text, answers[&1].text);
    assert_ne!(answers[&1].text, answers[&2].text);
}

#[test]
fn a_stop_string_ends_the_answer_before_it() {
    for shape in SHAPES {
        let mut llm = open(shape);
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let free = Options { sampling: greedy, ..plain(24) };
        let whole = answer_one(&mut llm, ask(0, "Tell a story.", &free)).text;
        let middle: String = whole.chars().skip(5).take(4).collect();
        assert_eq!(middle.chars().count(), 4, "{shape}: {whole:?} is long enough");
        let stopping = Options { stop: vec![middle.clone(), "never \u{2603}".to_owned()], ..free };
        let cut = answer_one(&mut llm, ask(1, "Tell a story.", &stopping));
        let before = whole.find(&middle).expect("it was taken from there");
        assert_eq!(cut.text, whole[..before], "{shape}: {middle:?} in {whole:?}");
        assert_eq!(cut.finish, FinishReason::Stop);
    }
}

#[test]
fn an_answer_in_a_grammar_always_parses() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["score", "why"],
        "properties": {
            "score": { "type": "integer", "minimum": 1, "maximum": 5 },
            "why": { "type": "string", "maxLength": 8 },
        },
    });
    for shape in SHAPES {
        let mut llm = open(shape);
        let json = Options { grammar: Some(Grammar::Json(schema.clone())), ..plain(160) };
        let word = Options { grammar: Some(Grammar::Regex("(yes|no){1,3}".into())), ..plain(160) };
        let mut asks = questions(8, &json);
        asks.extend((8..12).map(|id| ask(id, "Yes or no?", &word)));
        for (id, answer) in answer_all(&mut llm, asks) {
            let text = &answer.text;
            assert_eq!(answer.finish, FinishReason::Stop, "{shape} {id}: {text:?}");
            if id < 8 {
                let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                let score = value["score"].as_i64().expect("a score");
                assert!((1..=5).contains(&score), "{shape}: {text:?}");
            } else {
                assert_eq!(text.replace("yes", "").replace("no", ""), "", "{shape}: {text:?}");
            }
        }
    }
}

fn judge_template(n_answers: usize) -> Arc<AnswerTemplate> {
    let ratings = ["1", "2", "3", "4", "5", "N/A"].map(str::to_owned).to_vec();
    let mut segments = Vec::new();
    for i in 1..=n_answers {
        let gap = if i == 1 { "" } else { "\n" };
        segments.push(Segment::Forced(format!("{gap}Answer {i}\nRating: ")));
        segments.push(Segment::Choice(ratings.clone()));
        segments.push(Segment::Forced("\nReason:".to_owned()));
        segments.push(Segment::Free { n_tokens_max: 9, until: "\n".to_owned() });
    }
    Arc::new(AnswerTemplate { segments })
}

#[test]
fn an_answer_in_a_template_has_every_part() {
    for shape in SHAPES {
        let mut llm = open(shape);
        let asks = (1..=6).map(|id| {
            let template = Some(judge_template(id as usize % 3 + 1));
            ask(id, "Rate the answers.", &Options { template, ..plain(300) })
        });
        for (id, answer) in answer_all(&mut llm, asks.collect()) {
            let template = judge_template(id as usize % 3 + 1);
            assert_eq!(answer.finish, FinishReason::Stop, "{shape}: {:?}", answer.text);
            assert_eq!(answer.parts.len(), template.segments.len(), "{shape}: {:?}", answer.text);
            check_parts(&template, &answer);
        }
    }
}

/// Every part is what its segment allows, and the text is made of the parts.
fn check_parts(template: &AnswerTemplate, answer: &Answer) {
    let (mut text, mut choices) = (String::new(), answer.choices.iter());
    for (segment, part) in template.segments.iter().zip(&answer.parts) {
        text.push_str(part);
        match segment {
            Segment::Forced(forced) => assert_eq!(part, forced),
            Segment::Choice(texts) => {
                let choice = choices.next().expect("each choice point is scored");
                assert_eq!(*part, texts[choice.taken]);
                assert_eq!(choice.logprobs.len(), texts.len());
                let sum: f32 = choice.logprobs.iter().map(|p| p.exp()).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{:?}", choice.logprobs);
            }
            Segment::Free { until, .. } => {
                assert!(!part.contains(until.as_str()), "{part:?}");
                text.push_str(until);
            }
        }
    }
    assert!(choices.next().is_none());
    assert_eq!(answer.text, text);
}

#[test]
fn a_bad_question_costs_only_itself() {
    for shape in SHAPES {
        let mut alone = open(shape);
        let good = questions(3, &plain(10));
        let expected = answer_all(&mut alone, good.clone());
        let mut llm = open(shape);
        let template = Some(judge_template(1));
        let bad = [
            (ask(10, "  \n", &plain(8)), "empty"),
            (ask(11, &"word ".repeat(20_000), &plain(8)), "context"),
            (ask(12, "long", &plain(100_000)), "context"),
            (ask(13, "none", &plain(0)), "0"),
            (
                ask(
                    14,
                    "grammar",
                    &Options { grammar: Some(Grammar::Regex("(".to_owned())), ..plain(8) },
                ),
                "grammar",
            ),
            (ask(15, "short", &Options { template: template.clone(), ..plain(3) }), "form"),
            (ask(16, "both", &Options { template, stop: vec!["x".into()], ..plain(300) }), "two"),
            (Ask { messages: Vec::new(), ..ask(17, "", &plain(8)) }, "empty"),
        ];
        let mut rest = good.into_iter();
        for (question, word) in bad {
            let refusal = llm.submit(question).expect("the model works").expect_err("refused");
            assert!(refusal.0.contains(word), "{shape}: {refusal}");
            if let Some(ask) = rest.next() {
                llm.submit(ask).expect("the model works").expect("the question is fine");
            }
        }
        let answers = answer_all(&mut llm, Vec::new());
        assert_eq!(answers.len(), expected.len());
        for (id, answer) in answers {
            assert_eq!(answer.text, expected[&id].text, "{shape} {id}");
        }
    }
}

#[test]
fn system_text_reaches_models_without_that_role() {
    for shape in SHAPES {
        let mut llm = open(shape);
        let messages = vec![Message::system("Be brief."), Message::user("Why?")];
        let with = Ask { messages, ..ask(0, "", &plain(4)) };
        let answers = answer_all(&mut llm, vec![with, ask(1, "Why?", &plain(4))]);
        assert!(answers[&0].n_input_tokens > answers[&1].n_input_tokens, "{shape}");
    }
}

#[test]
fn a_pinned_preamble_is_computed_once() {
    let mut llm = open("llama");
    let preamble = "You compare answers and rate each from one to five. ".repeat(8);
    llm.pin(&user(&preamble));
    let asks = (0..6).map(|id| ask(id, &format!("{preamble}Answer {id}."), &plain(4)));
    let answers = answer_all(&mut llm, asks.collect());
    let n_hits = answers.values().filter(|answer| answer.n_cached_tokens >= 32).count();
    assert_eq!(n_hits, 5, "all but the first find it");
}
