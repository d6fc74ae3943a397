//! Answer templates and grammars walked by a model that draws tokens blindly.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::grammar::Grammars;
use super::script::{Script, Walk, Want};
use super::{AnswerTemplate, Grammar, ScriptError, Segment};
use crate::text::testing::{byte_level, sentencepiece};
use crate::text::tokenizer::{TokenId, Tokenizer};

/// A blind model's dice: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn pick_from_set(&mut self, words: &[u32]) -> TokenId {
        let ids = (0..words.len() * 32).filter(|id| words[id / 32] >> (id % 32) & 1 == 1);
        let ids: Vec<usize> = ids.collect();
        TokenId::try_from(*self.pick(&ids)).unwrap()
    }
}

fn forced(text: &str) -> Segment {
    Segment::Forced(text.to_owned())
}

fn choice(texts: &[&str]) -> Segment {
    Segment::Choice(texts.iter().map(|&text| text.to_owned()).collect())
}

fn free(n_tokens_max: usize, until: &str) -> Segment {
    Segment::Free { n_tokens_max, until: until.to_owned() }
}

/// Draws an answer; returns its tokens and the walk.
fn draw(script: &Arc<Script>, tokenizer: &Tokenizer, dice: &mut Dice) -> (Vec<TokenId>, Walk) {
    let sets: Vec<_> = script.marks().iter().map(|mark| mark.sets(tokenizer)).collect();
    let mut walk = Walk::new(script.clone());
    let mut tokens = Vec::new();
    let mut done = false;
    while !done {
        let next: Vec<TokenId> = match walk.want() {
            Want::Forced(tokens) => tokens.to_vec(),
            Want::Choice(alternatives) => dice.pick(alternatives).clone(),
            Want::Among { mark, set } => vec![dice.pick_from_set(&sets[mark][set])],
            Want::Nothing => break,
        };
        assert!(!next.is_empty());
        for token in next {
            assert!(!done, "nothing is put behind the end");
            done = walk.take(token, tokenizer);
            tokens.push(token);
        }
    }
    (tokens, walk)
}

fn rating(n_answers: usize, until: &str) -> AnswerTemplate {
    let mut segments = Vec::new();
    for i in 1..=n_answers {
        segments.push(forced(&format!("Text {i}\nRating: ")));
        segments.push(choice(&["1", "2", "3", "4", "5", "N/A"]));
        segments.push(forced("\nRationale: "));
        segments.push(free(7, until));
    }
    AnswerTemplate { segments }
}

proptest! {
    #[test]
    fn every_answer_fits_its_template(seed: u64, n_answers in 1usize..4, mark in 0usize..4) {
        let until = ["\n", "\n\n", "##", " END "][mark];
        let template = rating(n_answers, until);
        for tokenizer in [byte_level(), sentencepiece()] {
            let script = Arc::new(Script::new(&template, &tokenizer, &[]).unwrap());
            let (tokens, walk) = draw(&script, &tokenizer, &mut Dice(seed));
            let n_max = template.n_tokens_max(&tokenizer).unwrap();
            prop_assert!(tokens.len() <= n_max, "{} of {}", tokens.len(), n_max);
            let parts = walk.parts();
            prop_assert_eq!(parts.len(), template.segments.len());
            let mut text = String::new();
            for (segment, part) in template.segments.iter().zip(&parts) {
                text.push_str(part);
                match segment {
                    Segment::Forced(wanted) => prop_assert_eq!(part, wanted),
                    Segment::Choice(texts) => prop_assert!(texts.contains(part)),
                    Segment::Free { until, .. } => {
                        prop_assert!(!part.contains(until.as_str()));
                        let marked = format!("{part}{until}");
                        prop_assert_eq!(marked.find(until.as_str()), Some(part.len()));
                        text.push_str(until);
                    }
                }
            }
            prop_assert_eq!(walk.text(), text);
        }
    }
}

#[test]
fn alternatives_are_tokenised_with_the_text_before_them() {
    let template = AnswerTemplate { segments: vec![forced("Rating: "), choice(&["1", "N/A"])] };
    let tokenizer = byte_level();
    let script = Arc::new(Script::new(&template, &tokenizer, &[]).unwrap());
    let (mut common, mut behind) = (Vec::new(), Vec::new());
    let mut walk = Walk::new(script);
    if let Want::Forced(tokens) = walk.want() {
        common = tokens.to_vec();
    }
    common.iter().for_each(|&token| assert!(!walk.take(token, &tokenizer)));
    if let Want::Choice(alternatives) = walk.want() {
        behind = alternatives.to_vec();
    }
    for (text, rest) in ["Rating: 1", "Rating: N/A"].iter().zip(behind) {
        let whole = tokenizer.encode_after(text).unwrap();
        assert_eq!([&common[..], &rest].concat(), whole, "{text}");
    }
}

#[test]
fn an_answer_starts_as_the_model_would_start_it() {
    let template = AnswerTemplate { segments: vec![forced("Rating: "), free(3, "\n")] };
    for tokenizer in [byte_level(), sentencepiece()] {
        let script = Arc::new(Script::new(&template, &tokenizer, &[]).unwrap());
        let walk = Walk::new(script);
        let whole = tokenizer.encode("Rating:").unwrap();
        assert_eq!(walk.want(), Want::Forced(&whole), "with a space where there is one");
    }
}

#[test]
fn a_cut_answer_has_fewer_parts() {
    let tokenizer = byte_level();
    let template = rating(2, "\n");
    let script = Arc::new(Script::new(&template, &tokenizer, &[]).unwrap());
    let (tokens, _) = draw(&script, &tokenizer, &mut Dice(5));
    for n in 0..tokens.len() {
        let mut walk = Walk::new(script.clone());
        tokens[..n].iter().for_each(|&token| assert!(!walk.take(token, &tokenizer)));
        assert!(walk.parts().len() < template.segments.len(), "{n} of {}", tokens.len());
    }
}

#[test]
fn eos_may_end_the_last_free_text_only() {
    let tokenizer = byte_level();
    let eos = tokenizer.id("<|end|>").unwrap();
    let template = AnswerTemplate { segments: vec![free(3, "\n"), forced("So: "), free(9, "\n")] };
    let script = Arc::new(Script::new(&template, &tokenizer, &[eos]).unwrap());
    let allows = |walk: &Walk| match walk.want() {
        Want::Among { mark, set } => {
            let sets = script.marks()[mark].sets(&tokenizer);
            sets[set][eos as usize / 32] >> (eos % 32) & 1 == 1
        }
        Want::Forced(_) | Want::Choice(_) | Want::Nothing => false,
    };
    let mut walk = Walk::new(script.clone());
    let word = tokenizer.encode_after("clear").unwrap();
    walk.take(word[0], &tokenizer);
    assert!(!allows(&walk), "text follows");
    let line = tokenizer.encode_after("\n").unwrap();
    line.iter().for_each(|&token| assert!(!walk.take(token, &tokenizer)));
    while let Want::Forced(tokens) = walk.want() {
        let token = tokens[0];
        walk.take(token, &tokenizer);
    }
    assert!(!allows(&walk), "nothing was said yet");
    walk.take(word[0], &tokenizer);
    assert!(allows(&walk));
    walk.close();
    assert_eq!(walk.want(), Want::Nothing);
    assert_eq!(walk.parts().len(), 3);
}

#[test]
fn malformed_templates_are_refused() {
    let tokenizer = sentencepiece();
    let refused =
        |segments: Vec<Segment>| Script::new(&AnswerTemplate { segments }, &tokenizer, &[]).err();
    assert_eq!(refused(vec![]), Some(ScriptError::Empty));
    assert_eq!(refused(vec![free(0, "\n")]), Some(ScriptError::Endless));
    assert_eq!(refused(vec![free(3, "")]), Some(ScriptError::Endless));
    for texts in [&[][..], &["1", "1"], &["1", "12"], &["", "1"]] {
        let error = refused(vec![forced("Rating: "), choice(texts)]);
        assert!(matches!(error, Some(ScriptError::Alternatives(_))), "{texts:?}");
    }
    assert_eq!(refused(vec![choice(&["alone"])]), None);
}

/// Draws an answer of at most `n_max` tokens; `None` when it was not complete by then.
fn derive(
    grammars: &mut Grammars,
    grammar: &Grammar,
    tokenizer: &Tokenizer,
    (closing, n_max): (TokenId, usize),
    dice: &mut Dice,
) -> Option<String> {
    let mut derivation = grammars.start(grammar).unwrap();
    let mut tokens = Vec::new();
    while tokens.len() < n_max {
        let forced = derivation.forced();
        let next = if forced.is_empty() {
            vec![dice.pick_from_set(&derivation.allowed().unwrap())]
        } else {
            forced
        };
        for token in next {
            if token == closing {
                return Some(tokenizer.decode(&tokens));
            }
            tokens.push(token);
            if derivation.take(token).unwrap() {
                return Some(tokenizer.decode(&tokens));
            }
        }
    }
    None
}

#[test]
fn blind_answers_follow_their_grammar() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["rating", "reason"],
        "properties": {
            "rating": { "type": "integer", "minimum": 1, "maximum": 5 },
            "reason": { "type": "string", "maxLength": 12 },
        },
    });
    let lark = "start: \"yes\" | \"no\" \" \" NUMBER\nNUMBER: /[0-9]{2}/".to_owned();
    for (tokenizer, eos) in [(byte_level(), "<|end|>"), (sentencepiece(), "</s>")] {
        let closing = tokenizer.id(eos).unwrap();
        // A model may have more logits than its vocabulary has tokens.
        let n_ids = tokenizer.n_ids() + 40;
        let mut grammars = Grammars::new(tokenizer.clone(), n_ids, &[closing]).unwrap();
        for seed in 0..20 {
            let mut drawn = |grammar: Grammar| {
                let limits = (closing, 200);
                derive(&mut grammars, &grammar, &tokenizer, limits, &mut Dice(seed)).unwrap()
            };
            let text = drawn(Grammar::Json(schema.clone()));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!((1..=5).contains(&value["rating"].as_i64().unwrap()), "{text}");
            let text = drawn(Grammar::Regex("[ab]{3}-\u{e9}?".to_owned()));
            assert!(text.len() >= 4 && text[..3].chars().all(|c| "ab".contains(c)), "{text}");
            let text = drawn(Grammar::Lark(lark.clone()));
            assert!(text == "yes" || text.strip_prefix("no ").is_some_and(|n| n.len() == 2));
        }
    }
}

#[test]
fn bad_grammars_are_refused_before_any_model_is_there() {
    for grammar in [
        Grammar::Regex("(".to_owned()),
        Grammar::Regex("a".repeat(70_000)),
        Grammar::Json(json!({ "type": "no such type" })),
        Grammar::Lark("start: missing".to_owned()),
    ] {
        let error = grammar.check().unwrap_err().to_string();
        assert!(error.starts_with("the grammar"), "{error}");
    }
    assert_eq!(Grammar::Regex("[0-9]+".to_owned()).check(), Ok(()));
}
