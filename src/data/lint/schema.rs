//! The layouts in which preference data is found, told apart by columns and their kinds.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::sample::{Answers, Sample, Turn};
use crate::Result;
use crate::data::read;
use crate::data::row::Columns;

/// Rows that are looked at for a file's layout.
const N_PEEKED: usize = 1000;

/// A layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Messages in `prompt`, `chosen` and `rejected`, each its own turns.
    Explicit,
    /// Whole conversations in `chosen` and `rejected`, no prompt.
    Implicit,
    /// Texts in `prompt`, `chosen` and `rejected`.
    Text,
    /// Texts in `chosen` and `rejected` that hold the prompt too.
    TextImplicit,
    /// A text in `prompt`, whole conversations in `chosen` and `rejected`: distilabel's.
    Distilabel,
    /// Messages in `prompt`, texts in `chosen` and `rejected`.
    Mixed,
    /// Messages in `prompt` and `completion`, and a `label`.
    Unpaired,
    /// Texts in `prompt` and `completion`, and a `label`.
    TextUnpaired,
    /// `messages`, and one message in `chosen` and in `rejected`: Axolotl's.
    Axolotl,
    /// `conversations` of `from` and `value`, and one such turn a side: LLaMA-Factory's.
    ShareGpt,
    /// Texts in `instruction`, maybe `input`, `chosen` and `rejected`: LLaMA-Factory's other one.
    Alpaca,
    /// A `context` and ranked `completions`: NeMo-RL's.
    Ranked,
}

/// The layout of a file, or the columns that it has instead.
pub(super) fn of_file(path: &Path) -> Result<Result<Schema, String>> {
    let mut columns = BTreeSet::new();
    for record in read::open_records(path)?.take(N_PEEKED) {
        let Ok(row) = record?.columns else { continue };
        if let Some(schema) = Schema::of(&row) {
            return Ok(Ok(schema));
        }
        if columns.len() < 40 {
            columns.extend(row.keys().cloned());
        }
    }
    Ok(Err(columns.into_iter().collect::<Vec<_>>().join(", ")))
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Cell<'a> {
    Absent,
    Null,
    Text(&'a str),
    Turns(&'a [Value]),
    Turn(&'a Map<String, Value>),
    Other,
}

fn cell<'a>(row: &'a Columns, name: &str) -> Cell<'a> {
    let is_turn = |value: &Value| match value {
        Value::Object(turn) => turn.contains_key("role") || turn.contains_key("from"),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    };
    match row.get(name) {
        None => Cell::Absent,
        Some(Value::Null) => Cell::Null,
        Some(Value::String(text)) => Cell::Text(text),
        Some(Value::Array(turns)) if turns.iter().all(is_turn) => Cell::Turns(turns),
        Some(Value::Object(turn)) if is_turn(&row[name]) => Cell::Turn(turn),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Cell::Other,
    }
}

impl Schema {
    /// The layout that a row is in, if it is complete enough to tell.
    pub(super) fn of(row: &Columns) -> Option<Self> {
        let cell = |name| cell(row, name);
        if row.get("completions").is_some_and(Value::is_array) {
            return matches!(cell("context"), Cell::Turns(_)).then_some(Self::Ranked);
        }
        if row.get("label").is_some_and(Value::is_boolean) {
            return match (cell("prompt"), cell("completion")) {
                (Cell::Turns(_), Cell::Turns(_)) => Some(Self::Unpaired),
                (Cell::Text(_), Cell::Text(_)) => Some(Self::TextUnpaired),
                _ => None,
            };
        }
        match (cell("chosen"), cell("rejected")) {
            (Cell::Turn(_), Cell::Turn(_)) => match (cell("conversations"), cell("messages")) {
                (Cell::Turns(_), _) => Some(Self::ShareGpt),
                (_, Cell::Turns(_)) => Some(Self::Axolotl),
                _ => None,
            },
            (Cell::Turns(_), Cell::Turns(_)) => match cell("prompt") {
                Cell::Turns(_) => Some(Self::Explicit),
                Cell::Text(_) => Some(Self::Distilabel),
                Cell::Absent | Cell::Null => Some(Self::Implicit),
                Cell::Turn(_) | Cell::Other => None,
            },
            (Cell::Text(_), Cell::Text(_)) => match (cell("prompt"), cell("instruction")) {
                (Cell::Turns(_), _) => Some(Self::Mixed),
                (Cell::Text(_), _) => Some(Self::Text),
                (_, Cell::Text(_)) => Some(Self::Alpaca),
                (Cell::Absent | Cell::Null, _) => Some(Self::TextImplicit),
                (Cell::Turn(_) | Cell::Other, _) => None,
            },
            _ => None,
        }
    }

    /// The row as the rules see it; none when it is not in this layout. A null stands for any kind.
    pub(super) fn read<'a>(self, row: &'a Columns) -> Option<Sample<'a>> {
        let list = |name| turns(cell(row, name));
        let one = |name| turn(cell(row, name)).map(|turn| vec![turn]);
        let text = |name, role| plain(cell(row, name), role).map(|turn| vec![turn]);
        let pair = |prompt: Option<_>, chosen: Option<_>, rejected: Option<_>| {
            Some(Sample { prompt: prompt?, answers: Answers::Pair([chosen?, rejected?]) })
        };
        let answer = |name| text(name, "assistant");
        match self {
            Self::Explicit => pair(list("prompt"), list("chosen"), list("rejected")),
            Self::Text => pair(text("prompt", "user"), answer("chosen"), answer("rejected")),
            Self::Mixed => pair(list("prompt"), answer("chosen"), answer("rejected")),
            Self::Axolotl => pair(list("messages"), one("chosen"), one("rejected")),
            Self::ShareGpt => pair(with_system(row), one("chosen"), one("rejected")),
            Self::Alpaca => pair(alpaca(row), answer("chosen"), answer("rejected")),
            Self::Implicit | Self::Distilabel => {
                Some(Sample::of_conversations(list("chosen")?, list("rejected")?))
            }
            Self::TextImplicit => text_pair(cell(row, "chosen"), cell(row, "rejected")),
            Self::Unpaired => single(row, list("prompt"), list("completion")),
            Self::TextUnpaired => single(row, text("prompt", "user"), answer("completion")),
            Self::Ranked => ranked(row),
        }
    }

    /// What it is called.
    pub fn words(self) -> &'static str {
        match self {
            Self::Explicit => "TRL preference, conversational, explicit prompt",
            Self::Implicit => "TRL preference, conversational, implicit prompt",
            Self::Text => "preference, plain texts, explicit prompt",
            Self::TextImplicit => "preference, plain texts, implicit prompt",
            Self::Distilabel => "distilabel: prompt as a text, whole conversations in both sides",
            Self::Mixed => "preference, prompt as messages, sides as texts",
            Self::Unpaired => "TRL unpaired (KTO), conversational",
            Self::TextUnpaired => "unpaired (KTO), plain texts",
            Self::Axolotl => "Axolotl chat_template: messages and one message a side",
            Self::ShareGpt => "LLaMA-Factory sharegpt ranking",
            Self::Alpaca => "LLaMA-Factory alpaca ranking",
            Self::Ranked => "NeMo-RL ranked completions",
        }
    }
}

/// A message's role and content, in either pair of words.
fn message(turn: &Map<String, Value>) -> Turn<'_> {
    let text = |names: [&str; 2]| names.iter().find_map(|name| turn.get(*name)?.as_str());
    let role = match text(["role", "from"]).unwrap_or_default() {
        "human" => "user",
        "gpt" | "function_call" => "assistant",
        "observation" => "tool",
        role => role,
    };
    let content = text(["content", "value"]).unwrap_or_default();
    Turn { role, content, has_null: turn.values().any(Value::is_null) }
}

fn turns(cell: Cell<'_>) -> Option<Vec<Turn<'_>>> {
    let of = |value: &'static str| Turn::plain(value, None);
    match cell {
        Cell::Turns(turns) => {
            let turns = turns.iter().map(|turn| turn.as_object().map_or(of("assistant"), message));
            Some(turns.collect())
        }
        Cell::Null => Some(vec![of("assistant")]),
        Cell::Absent | Cell::Text(_) | Cell::Turn(_) | Cell::Other => None,
    }
}

fn turn(cell: Cell<'_>) -> Option<Turn<'_>> {
    match cell {
        Cell::Turn(turn) => Some(message(turn)),
        Cell::Null => Some(Turn::plain("assistant", None)),
        Cell::Absent | Cell::Text(_) | Cell::Turns(_) | Cell::Other => None,
    }
}

fn plain<'a>(cell: Cell<'a>, role: &'static str) -> Option<Turn<'a>> {
    match cell {
        Cell::Text(text) => Some(Turn::plain(role, Some(text))),
        Cell::Null => Some(Turn::plain(role, None)),
        Cell::Absent | Cell::Turns(_) | Cell::Turn(_) | Cell::Other => None,
    }
}

/// LLaMA-Factory's turns, after the system text of a column of its own.
fn with_system(row: &Columns) -> Option<Vec<Turn<'_>>> {
    let mut prompt = turns(cell(row, "conversations"))?;
    if let Cell::Text(system) = cell(row, "system")
        && !system.is_empty()
    {
        prompt.insert(0, Turn::plain("system", Some(system)));
    }
    Some(prompt)
}

/// An instruction; its input is a part of what the user says, but of no rule's concern by itself.
fn alpaca(row: &Columns) -> Option<Vec<Turn<'_>>> {
    let instruction = plain(cell(row, "instruction"), "user")?;
    let mut prompt = Vec::new();
    if let Cell::Text(input) = cell(row, "input")
        && !input.is_empty()
    {
        prompt.push(Turn::plain("system", Some(input)));
    }
    prompt.push(instruction);
    Some(prompt)
}

/// Texts that hold the prompt: what both begin with, up to a blank.
fn text_pair<'a>(chosen: Cell<'a>, rejected: Cell<'a>) -> Option<Sample<'a>> {
    let [chosen, rejected] = [plain(chosen, "assistant")?, plain(rejected, "assistant")?];
    let same = chosen.content.char_indices().zip(rejected.content.chars());
    let mut n_shared = 0;
    for ((at, a), b) in same {
        if a != b {
            break;
        }
        if a.is_whitespace() {
            n_shared = at + a.len_utf8();
        }
    }
    let (prompt, _) = chosen.content.split_at(n_shared);
    let own = |turn: Turn<'a>| vec![Turn { content: &turn.content[n_shared..], ..turn }];
    Some(Sample {
        prompt: vec![Turn::plain("user", Some(prompt))],
        answers: Answers::Pair([own(chosen), own(rejected)]),
    })
}

fn single<'a>(
    row: &'a Columns,
    prompt: Option<Vec<Turn<'a>>>,
    answer: Option<Vec<Turn<'a>>>,
) -> Option<Sample<'a>> {
    let label = row.get("label")?.as_bool()?;
    Some(Sample { prompt: prompt?, answers: Answers::Single(answer?, label) })
}

/// The best and the worst of ranked completions, as NeMo-RL's DPO takes them.
fn ranked(row: &Columns) -> Option<Sample<'_>> {
    let completions = row.get("completions")?.as_array()?;
    let mut ranked = Vec::with_capacity(completions.len());
    for completion in completions {
        let completion = completion.as_object()?;
        ranked.push((completion.get("rank")?.as_i64()?, turns(cell(completion, "completion"))?));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    if ranked.len() < 2 {
        return None;
    }
    let (_, rejected) = ranked.pop()?;
    let (_, chosen) = ranked.swap_remove(0);
    Some(Sample {
        prompt: turns(cell(row, "context"))?,
        answers: Answers::Pair([chosen, rejected]),
    })
}
