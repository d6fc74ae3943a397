//! TRL's unpaired layout: one answer a row, with a label that says whether it was chosen.
//!
//! Several pairs of one prompt share answers, and the one in the middle of a ranking is chosen in
//! one pair and rejected in another: such an answer has no label and is left out, and no answer
//! stands twice. For that the pairs of a prompt are gathered, which stand side by side in a run.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::layout::{Placed, PlacedStream};
use super::trl;
use crate::Result;
use crate::data::row::Columns;

/// The rows of pairs, unpaired.
pub(super) struct Unpaired<'a> {
    rows: PlacedStream<'a>,
    /// Rows of a prompt whose pairs have all been seen.
    ready: VecDeque<Placed>,
    /// The prompt whose pairs are being gathered.
    open: Option<Answers>,
}

/// The answers to one prompt.
struct Answers {
    prompt: Value,
    is_test: bool,
    prompt_id: Option<Value>,
    answers: Vec<Answer>,
}

/// An answer in one pair or in several.
struct Answer {
    completion: Value,
    /// Whether it was rejected somewhere, and chosen somewhere.
    labels: [bool; 2],
    model: Option<Value>,
    rating: Option<Value>,
}

impl<'a> Unpaired<'a> {
    /// Unpairs `rows`.
    pub(super) fn new(rows: PlacedStream<'a>) -> Self {
        Self { rows, ready: VecDeque::new(), open: None }
    }

    /// Takes in a row in the explicit layout.
    fn take(&mut self, mut row: Columns, is_test: bool) {
        if !trl::is_explicit(&row) {
            self.close();
            self.ready.push_back((row, is_test));
            return;
        }
        let prompt = row["prompt"].take();
        if self.open.as_ref().is_none_or(|open| (&open.prompt, open.is_test) != (&prompt, is_test))
        {
            self.close();
        }
        let prompt_id = row.shift_remove("prompt_id");
        let new = Answers { prompt, is_test, prompt_id, answers: Vec::new() };
        let open = self.open.get_or_insert(new);
        for (label, side) in [(true, "chosen"), (false, "rejected")] {
            let completion = row[side].take();
            let mut column = |what: &str| row.shift_remove(&format!("{side}_{what}"));
            let (model, rating) = (column("model"), column("rating"));
            let known = open.answers.iter_mut().find(|known| known.completion == completion);
            let answer = match known {
                Some(answer) => answer,
                None => {
                    open.answers.push(Answer { completion, labels: [false; 2], model, rating });
                    open.answers.last_mut().expect("it has just been pushed")
                }
            };
            answer.labels[usize::from(label)] = true;
        }
    }

    /// Lets the answers to the gathered prompt go.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Answers { prompt, is_test, prompt_id, answers } = open;
        for Answer { completion, labels: [rejected, chosen], model, rating } in answers {
            if rejected && chosen {
                continue;
            }
            let mut row = Columns::new();
            row.insert("prompt".to_owned(), prompt.clone());
            row.insert("completion".to_owned(), completion);
            row.insert("label".to_owned(), json!(chosen));
            let others = [("model", model), ("rating", rating), ("prompt_id", prompt_id.clone())];
            for (name, value) in others {
                row.extend(value.map(|value| (name.to_owned(), value)));
            }
            self.ready.push_back((row, is_test));
        }
    }
}

impl Iterator for Unpaired<'_> {
    type Item = Result<Placed>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            match self.rows.next() {
                Some(Ok((row, is_test))) => self.take(trl::layout(row), is_test),
                Some(Err(error)) => return Some(Err(error)),
                None if self.open.is_some() => self.close(),
                None => return None,
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str, &str)], want: &[(&str, &str, bool)]) {
        let side = |prompt: &str, answer: &str| {
            let says = |role: &str, content: &str| json!({"role": role, "content": content});
            json!([says("user", prompt), says("assistant", answer)])
        };
        let rows = pairs.iter().map(|(prompt, chosen, rejected)| {
            let row = json!({
                "prompt": prompt, "chosen": side(prompt, chosen),
                "rejected": side(prompt, rejected), "chosen_model": chosen,
                "rejected_model": rejected, "chosen_rating": 5, "prompt_id": prompt,
            });
            Ok((row.as_object().expect("a row is an object").clone(), false))
        });
        let rows: Vec<Columns> = Unpaired::new(Box::new(rows)).map(|row| row.unwrap().0).collect();
        let found: Vec<(&str, &str, bool)> = rows
            .iter()
            .map(|row| {
                let text = |name: &str| row[name][0]["content"].as_str().unwrap();
                assert_eq!(row["model"], text("completion"));
                assert_eq!(row["prompt_id"], text("prompt"));
                assert_eq!(row.contains_key("rating"), row["label"] == true);
                (text("prompt"), text("completion"), row["label"].as_bool().unwrap())
            })
            .collect();
        assert_eq!(found, want, "{pairs:?}");
    }

    #[test]
    fn a_pair_makes_two_answers() {
        check(
            &[("p", "a", "b"), ("q", "c", "d")],
            &[("p", "a", true), ("p", "b", false), ("q", "c", true), ("q", "d", false)],
        );
        check(&[], &[]);
    }

    #[test]
    fn an_answer_stands_once_and_never_under_two_labels() {
        check(
            &[("p", "a", "b"), ("p", "b", "c"), ("p", "a", "c"), ("q", "a", "b")],
            &[("p", "a", true), ("p", "c", false), ("q", "a", true), ("q", "b", false)],
        );
    }
}
