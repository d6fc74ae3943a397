//! SelfInstruct: new instructions from a seed text.
//!
//! What comes back is cleaned into a list: models open with a sentence, number their lines, use
//! bullets and repeat themselves, and each such line would be answered and judged as a prompt.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Asking, Dropped, Made, Question, Source, metadata, options, take, text};
use crate::data::row::Columns;
use crate::engine::request::FinishReason;
use crate::llm::{Answer, Options};
use crate::pipeline::judge::Counter;
use crate::recipe::spec::SelfInstruct;
use crate::text::chat::{Message, Role};

const CRITERIA: &str = "\
- Open the queries with different verbs and vary how they are built.
- Keep each query to one sentence or two.
- Each query stands alone: whoever answers sees neither the context nor the other queries.
- Mix questions with commands.";

pub(super) struct SelfInstructStep {
    model: String,
    n_instructions: usize,
    criteria: String,
    application: String,
    seed: Option<u64>,
    options: Options,
}

impl SelfInstructStep {
    pub(super) fn build(spec: &SelfInstruct) -> Self {
        Self {
            model: spec.model.clone(),
            n_instructions: spec.num_instructions,
            criteria: spec
                .criteria_for_query_generation
                .clone()
                .unwrap_or_else(|| CRITERIA.to_owned()),
            application: spec.application_description.clone(),
            seed: spec.generation.seed,
            options: options(&spec.generation),
        }
    }

    /// Everything but the row's own text, which comes last so that all rows share the rest.
    fn preamble(&self) -> String {
        let n = self.n_instructions;
        format!(
            "Write {n} user queries that the application below could be sent.\n\n\
             # What makes a good query\n{}\n\n\
             # The application\n{}\n\n\
             # Form of your answer\n\
             Exactly {n} lines, one query on each. No numbers or bullets before them, no sentence \
             before the first or after the last.\n\n\
             # Context the queries are about\n",
            self.criteria, self.application
        )
    }
}

impl Asking for SelfInstructStep {
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
        vec![vec![Message { role: Role::User, content: self.preamble() }]]
    }

    fn ask(
        &self,
        row: &Columns,
        _unit: u64,
        _count: Counter<'_>,
    ) -> Result<Vec<Question>, Dropped> {
        let context = text(row, "input")?;
        if context.trim().is_empty() {
            return Err(Dropped::new("empty prompt", "`input` is empty"));
        }
        let messages = vec![Message { role: Role::User, content: self.preamble() + context }];
        Ok(vec![Question { messages, options: self.options.clone(), sample: 0, order: 0 }])
    }

    fn read(
        &self,
        row: &mut Cow<'_, Columns>,
        questions: Vec<Question>,
        answers: Vec<Answer>,
        source: Source<'_>,
    ) -> Result<Made, Dropped> {
        let answer = &answers[0];
        let cut = answer.finish != FinishReason::Stop;
        let mut instructions = clean(&answer.text, cut);
        instructions.truncate(self.n_instructions);
        if instructions.is_empty() {
            return Err(Dropped::new("no instruction in the answer", answer.finish.as_str()));
        }
        let short = instructions.len() < self.n_instructions;
        let mut columns = take(row);
        columns.insert("instructions".to_owned(), json!(instructions));
        metadata::add(&mut columns, questions, answers, source, false);
        columns.insert("model_name".to_owned(), Value::String(source.model.to_owned()));
        let note = short.then_some("fewer instructions than asked for");
        Ok(Made { columns, note })
    }
}

/// The instructions among the lines of an answer, in order; `cut` tells that it did not end by
/// itself, so that its last line may be half of one.
fn clean(answer: &str, cut: bool) -> Vec<String> {
    let mut lines: Vec<&str> = answer.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    if cut && lines.len() > 1 {
        lines.pop();
    }
    let marked: Vec<(bool, &str)> = lines.iter().map(|line| strip_marker(line)).collect();
    let n_marked = marked.iter().filter(|(has, _)| *has).count();
    // Where most lines are numbered or bulleted, the others introduce or close the list.
    let only_marked = n_marked > 0 && 2 * n_marked >= lines.len();
    let mut seen = HashSet::new();
    let mut instructions = Vec::new();
    for (has_marker, line) in marked {
        let line = unwrap(line);
        if (only_marked && !has_marker) || !line.chars().any(char::is_alphabetic) {
            continue;
        }
        if !has_marker && is_frame(line) {
            continue;
        }
        if seen.insert(canonical(line)) {
            instructions.push(line.to_owned());
        }
    }
    instructions
}

/// Takes a bullet or a number off the front of a line, and says whether there was one.
fn strip_marker(line: &str) -> (bool, &str) {
    let bare = line.trim_start_matches("**").trim_start_matches('#').trim_start();
    for bullet in ["- ", "* ", "+ ", "\u{2022}", "\u{2013} ", "\u{2014} ", "\u{b7} "] {
        if let Some(rest) = bare.strip_prefix(bullet) {
            return (true, strip_marker(rest.trim_start()).1);
        }
    }
    let opened = bare.strip_prefix(['(', '[']).unwrap_or(bare);
    let labelled = strip_label(opened);
    let after = labelled.unwrap_or(opened).trim_start_matches(|c: char| c.is_ascii_digit());
    let had_digits = after.len() < labelled.unwrap_or(opened).len();
    if !had_digits {
        return (false, line);
    }
    let after = after.trim_start_matches("**");
    match after.strip_prefix(['.', ')', ']', ':']) {
        // `1.5 litres` is no list marker, `1. Litres` is.
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => (false, line),
        Some(rest) => (true, rest.trim_start_matches([':', ')']).trim_start_matches("**").trim()),
        None if labelled.is_some() && after.is_empty() => (true, ""),
        None => (false, line),
    }
}

/// Takes `Query`, `Question`, `Instruction` off the front of `Query 3: ...`.
fn strip_label(line: &str) -> Option<&str> {
    ["query", "question", "instruction", "prompt", "user query"].iter().find_map(|label| {
        let (front, rest) = line.split_at_checked(label.len())?;
        front.eq_ignore_ascii_case(label).then(|| rest.trim_start_matches([' ', '#']))
    })
}

/// Takes quotation marks and bold off a line that stands in them as a whole.
fn unwrap(line: &str) -> &str {
    let pairs = [("**", "**"), ("\"", "\""), ("\u{201c}", "\u{201d}"), ("`", "`"), ("'", "'")];
    for (open, close) in pairs {
        let inner = line.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(inner) = inner.filter(|inner| !inner.contains(close)) {
            return unwrap(inner.trim());
        }
    }
    line
}

/// Whether a line talks about the list instead of being in it.
fn is_frame(line: &str) -> bool {
    let lower = line.to_lowercase();
    let opens = ["sure", "certainly", "of course", "here are", "here is", "here's", "below are"]
        .iter()
        .any(|opener| lower.starts_with(opener));
    let about_list = ["queries", "instructions", "prompts", "questions", "list"]
        .iter()
        .any(|word| lower.contains(word));
    let closes = ["let me know", "i hope", "feel free", "these queries", "these questions"]
        .iter()
        .any(|closer| lower.starts_with(closer));
    line.ends_with(':') || closes || (opens && about_list)
}

/// What two lines have in common when they ask the same.
fn canonical(line: &str) -> String {
    let words = line.split(|c: char| !c.is_alphanumeric() && !"+-*/=<>^".contains(c));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expect: &[&str]) {
        assert_eq!(clean(answer, false), expect, "of {answer:?}");
    }

    #[test]
    fn a_clean_list_stays_as_it_is() {
        check("Solve x + 1 = 2.\nWhat is a vector?", &["Solve x + 1 = 2.", "What is a vector?"]);
        check("1.5 litres of water weigh how much?", &["1.5 litres of water weigh how much?"]);
        check("2 + 2 is what?\n3 + 3 is what?", &["2 + 2 is what?", "3 + 3 is what?"]);
        check("-5 + 3 = ?  Explain why.", &["-5 + 3 = ?  Explain why."]);
    }

    #[test]
    fn prefaces_and_closings_go() {
        check(
            "Sure! Here are five queries:\n\n1. Add 1 and 2.\n2) Name a prime.\n\nHope this helps!",
            &["Add 1 and 2.", "Name a prime."],
        );
        check("Here are the queries you asked for.\nAdd 1 and 2.", &["Add 1 and 2."]);
        check("Add 1 and 2.\nLet me know if you need more.", &["Add 1 and 2."]);
        check("Queries:\nAdd 1 and 2.", &["Add 1 and 2."]);
    }

    #[test]
    fn markers_of_every_kind_go() {
        check("- Add.\n* Name a prime.\n\u{2022} Count.", &["Add.", "Name a prime.", "Count."]);
        check("**1.** Add.\n**Query 2:** Count.\n(3) Halve.", &["Add.", "Count.", "Halve."]);
        check("Query 1: Add.\nQuestion 2. Count.", &["Add.", "Count."]);
        check("1. \"Add.\"\n2. **Count.**", &["Add.", "Count."]);
        check("- 1. Add.\n- 2. Count.", &["Add.", "Count."]);
    }

    #[test]
    fn repeated_lines_count_once() {
        check("Add 1 and 2.\nadd 1 and  2\nAdd 1 and 3.", &["Add 1 and 2.", "Add 1 and 3."]);
        check("What is 1 + 2?\nWhat is 1 - 2?", &["What is 1 + 2?", "What is 1 - 2?"]);
    }

    #[test]
    fn a_line_that_was_cut_short_goes() {
        assert_eq!(clean("Add 1 and 2.\nName a pri", true), ["Add 1 and 2."]);
        assert_eq!(clean("Name a pri", true), ["Name a pri"]);
        check("\n***\n 12 \n", &[]);
    }
}
