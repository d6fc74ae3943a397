//! A TOML document as a tree in which every key and value knows where it was written.
//!
//! The tree is our own and not the parser's because overrides write into it: a value from `--set`
//! has no bytes in the file. It must not know what the keys of a recipe mean.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::place::{Findings, Place};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Keys and values in the order of the file.
pub(super) type Table = Vec<Entry>;

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Value {
    /// The value in a few words, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::String(text) => format!("the text {text:?}"),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number:?}"),
            Self::Boolean(flag) => format!("`{flag}`"),
            Self::Datetime(date) => format!("the date {date}"),
            Self::Array(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Parses a document. Faults of the syntax go to `findings`; `None` when what could be read
/// around them is not worth a further check.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<Table> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = false;
    let mut repeated_table = 0..0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let place = Place::File(span.clone());
        if error.message() != "duplicate key" {
            broken = true;
            findings.add(&place, format!("this is not TOML: {}", error.message()), None);
        } else if !repeated_table.contains(&span.start) {
            repeated_table = table_around(text, &span);
            let key = text.get(span).unwrap_or_default().trim_matches(['"', '\'']);
            let hint = "each step, model and key is written once; rename one or delete it";
            findings.add(&place, format!("`{key}` is there twice"), Some(hint.to_owned()));
        }
    }
    (!broken).then(|| table_from(table.get_ref(), &|span| Place::File(span), findings))
}

/// If a table's header holds `key`, the table: its keys are all there twice, which one fault says.
fn table_around(text: &str, key: &Range<usize>) -> Range<usize> {
    let line_start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
    if !text[line_start..].starts_with('[') {
        return 0..0;
    }
    key.start..text[key.end..].find("\n[").map_or(text.len(), |at| key.end + at)
}

/// The value of an override: TOML if it is that, else the text itself.
pub(super) fn parse_override(text: &str, idx: usize, findings: &mut Findings) -> Node {
    match DeValue::parse(text) {
        Ok(value) => node_from(value.get_ref(), Place::Set(idx), &|_| Place::Set(idx), findings),
        Err(_) => Node { place: Place::Set(idx), value: Value::String(text.to_owned()) },
    }
}

type PlaceOf<'a> = &'a dyn Fn(Range<usize>) -> Place;

fn table_from(table: &DeTable<'_>, place_of: PlaceOf<'_>, findings: &mut Findings) -> Table {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: place_of(key.span()),
            node: node_from(value.get_ref(), place_of(value.span()), place_of, findings),
        })
        .collect()
}

fn node_from(
    value: &DeValue<'_>,
    place: Place,
    place_of: PlaceOf<'_>,
    findings: &mut Findings,
) -> Node {
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(parsed.unwrap_or_else(|_| {
                findings.add(&place, format!("{number} does not fit 64 bits"), None);
                0
            }))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| node_from(item.get_ref(), place_of(item.span()), place_of, findings))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_from(table, place_of, findings)),
    };
    Node { place, value }
}
