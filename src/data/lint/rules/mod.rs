//! The rules, each in a file of its own: what it looks for, and what it does not take for it.

mod empty;
mod identical;
mod leaked;
mod markup;
mod roles;
mod truncated;

use super::sample::{Answers, Sample, Turn, text};
use super::schema::Schema;
use super::{Tools, among::Keys};
use crate::data::read::RawRecord;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A record that is no row.
    Unreadable,
    /// A row in another layout than its file's, or a file in one that the trainer does not read.
    Schema,
    /// A null in a message, or in the place of one.
    Null,
    /// Turns that do not follow each other, or of somebody unknown.
    Roles,
    /// A prompt or an answer without text.
    Empty,
    /// Both sides are the same text.
    Identical,
    /// Both sides are nearly the same text.
    NearIdentical,
    /// Both sides are the same once the trainer has cut them.
    Truncated,
    /// An answer repeats the prompt.
    LeakedPrompt,
    /// Control tokens or the marks of a chat template in a text.
    Markup,
    /// A row that was there before.
    Duplicate,
    /// A row that is nearly one that was there before.
    NearDuplicate,
    /// A row that says the opposite of one that was there before.
    Contradiction,
    /// A prompt that is in another split too.
    SplitLeak,
    /// One side is much longer than the other, over the whole data set.
    LengthSkew,
}

impl Rule {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Schema => "schema",
            Self::Null => "null",
            Self::Roles => "roles",
            Self::Empty => "empty",
            Self::Identical => "identical",
            Self::NearIdentical => "near-identical",
            Self::Truncated => "truncated",
            Self::LeakedPrompt => "leaked-prompt",
            Self::Markup => "markup",
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near-duplicate",
            Self::Contradiction => "contradiction",
            Self::SplitLeak => "split-leak",
            Self::LengthSkew => "length-skew",
        }
    }

    /// What is the matter.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "no JSON object, or longer than 8 MiB",
            Self::Schema => "not in the layout of the file, or not in one that the trainer reads",
            Self::Null => "a null in a message or in its place",
            Self::Roles => {
                "turns out of order, an unknown role, or the last turn not the assistant's"
            }
            Self::Empty => "a prompt or an answer without text",
            Self::Identical => "chosen and rejected are the same text",
            Self::NearIdentical => "chosen and rejected are nearly the same text",
            Self::Truncated => "chosen and rejected are the same once they are cut at --max-len",
            Self::LeakedPrompt => "an answer repeats the prompt",
            Self::Markup => "control tokens or marks of a chat template in a text",
            Self::Duplicate => "the same row as an earlier one",
            Self::NearDuplicate => "nearly the same row as an earlier one, under another prompt",
            Self::Contradiction => "the opposite of an earlier row",
            Self::SplitLeak => "a prompt that another split holds too",
            Self::LengthSkew => "one side is much longer than the other, over the whole data set",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => "mend or delete these records: most loaders stop at the first",
            Self::Schema => {
                "write these rows in one layout, the trainer's; `stillroom export` does"
            }
            Self::Null => "write messages with a role and a content, and no other keys",
            Self::Roles => {
                "system first if at all, then user and assistant in turn, the assistant last"
            }
            Self::Empty => "drop these rows: an empty side teaches to say nothing",
            Self::Identical => "drop these rows: they teach nothing",
            Self::NearIdentical => "keep only those whose difference is what shall be taught",
            Self::Truncated => "drop these rows or train with a greater length",
            Self::LeakedPrompt => {
                "cut the prompt out of the answers; sides hold their own turns only"
            }
            Self::Markup => "take it out: the trainer puts the chat template on by itself",
            Self::Duplicate => "keep one of each",
            Self::NearDuplicate => "keep one of each, or they count twice in training",
            Self::Contradiction => "drop both, or judge them again",
            Self::SplitLeak => "split by the prompt's hash, so that a prompt never crosses",
            Self::LengthSkew => "drop the pairs with the greatest difference in length, or balance",
        }
    }
}

/// What is known of a row by itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What is wrong with it.
    pub(super) rules: Vec<Rule>,
    /// What it is known by among others; none where it could not be read.
    pub(super) keys: Option<Keys>,
    /// `[answers]` characters, the chosen one's first, and the label of a single one.
    pub(super) lengths: Vec<usize>,
    /// Whether a single answer is a good one.
    pub(super) label: Option<bool>,
    /// What its likes are found by; empty where there is nothing to find.
    pub(super) text: String,
}

impl Facts {
    /// Looks at a record.
    pub(super) fn of(record: &RawRecord, schema: Schema, tools: Tools<'_>) -> Self {
        let only = |rule| Self { rules: vec![rule], ..Self::default() };
        let Ok(row) = &record.columns else { return only(Rule::Unreadable) };
        let Some(sample) = schema.read(row) else { return only(Rule::Schema) };
        let answers: Vec<String> = sample.answers().map(text).collect();
        let tidy: Vec<_> = answers.iter().map(|answer| (tools.normalise)(answer)).collect();
        let seen = Seen { sample: &sample, answers: &answers, tidy: &tidy, tools };
        let mut rules = Vec::new();
        let mut add = |is_broken: bool, rule| rules.extend(is_broken.then_some(rule));
        add(sample.turns().any(|turn| turn.has_null), Rule::Null);
        add(roles::is_broken(&sample), Rule::Roles);
        let is_empty = empty::is_broken(&seen);
        add(is_empty, Rule::Empty);
        let alike = if is_empty { None } else { identical::found(&seen) };
        add(alike.is_some(), alike.unwrap_or(Rule::Identical));
        add(alike.is_none() && truncated::is_broken(&seen), Rule::Truncated);
        add(leaked::is_broken(&seen), Rule::LeakedPrompt);
        add(markup::is_broken(&sample, tools.control_tokens), Rule::Markup);
        let label = match sample.answers {
            Answers::Pair(_) => None,
            Answers::Single(_, label) => Some(label),
        };
        Self {
            rules,
            keys: Some(keys(&seen, label)),
            lengths: answers.iter().map(|answer| answer.chars().count()).collect(),
            label,
            text: near_text(&seen),
        }
    }
}

/// A row with what several rules look at.
struct Seen<'a> {
    sample: &'a Sample<'a>,
    /// The answers' texts.
    answers: &'a [String],
    /// The same, without what no reader sees.
    tidy: &'a [std::borrow::Cow<'a, str>],
    tools: Tools<'a>,
}

impl Seen<'_> {
    /// What the user said last.
    fn question(&self) -> &str {
        let is_users = |turn: &&Turn<'_>| turn.role == "user";
        self.sample.prompt.iter().rev().find(is_users).map_or("", |turn| turn.content)
    }
}

/// What the row is known by: its prompt, itself, and its opposite.
fn keys(seen: &Seen<'_>, label: Option<bool>) -> Keys {
    let mut hasher = blake3::Hasher::new();
    for turn in &seen.sample.prompt {
        for part in [turn.role, &*(seen.tools.normalise)(turn.content)] {
            hasher.update(part.as_bytes()).update(&[0]);
        }
    }
    let with = |parts: [&str; 2]| {
        let mut hasher = hasher.clone();
        for part in parts {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        short(&hasher)
    };
    let name = |label: bool| if label { "good" } else { "bad" };
    let (row, opposite) = match (seen.tidy, label) {
        ([chosen, rejected], _) => (with([chosen, rejected]), with([rejected, chosen])),
        ([answer, ..], Some(label)) => (with([answer, name(label)]), with([answer, name(!label)])),
        _ => unreachable!("a sample has two answers, or one with a label"),
    };
    Keys { prompt: short(&hasher), row, opposite }
}

fn short(hasher: &blake3::Hasher) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// The question and the answers: what makes a row like another. What stands before the question
/// (a system prompt, a conversation) is often shared by rows that have nothing else in common.
fn near_text(seen: &Seen<'_>) -> String {
    let mut text = seen.question().to_owned();
    for answer in seen.answers {
        text.push('\n');
        text.push_str(answer);
    }
    text
}
