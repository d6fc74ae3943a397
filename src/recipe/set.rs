//! `--set a.b.c=value`: overrides written into the recipe before it is checked.
//!
//! A path is a TOML key, so segments may be quoted; a number steps into a list. The value is TOML
//! if it parses as that, else plain text, so that `--set steps.load.path=data/x.jsonl` needs no
//! quotes. An override that the checks refuse is named in the fault.

use toml::de::{DeTable, DeValue};

use super::place::{Findings, Place};
use super::tree::{Entry, Node, Table, Value, parse_override};

/// Writes every override into `root`, in their order.
pub(super) fn apply(root: &mut Table, overrides: &[String], findings: &mut Findings) {
    for (idx, text) in overrides.iter().enumerate() {
        let Some((path, value)) = split(text) else {
            let hint = "write it as `--set steps.answer.generation.temperature=0.9`";
            findings.add(&Place::Set(idx), "this is not KEY=VALUE", Some(hint.to_owned()));
            continue;
        };
        let node = parse_override(value, idx, findings);
        if let Err(message) = write(root, &path, node, &Place::Set(idx)) {
            findings.add(&Place::Set(idx), message, None);
        }
    }
}

/// The path's segments and the value's text. A quoted segment may hold `=`, so the first `=`
/// before which a whole key stands is the one.
fn split(text: &str) -> Option<(Vec<String>, &str)> {
    text.match_indices('=').find_map(|(at, _)| Some((key_path(&text[..at])?, &text[at + 1..])))
}

/// The segments of a dotted key, as TOML reads them.
fn key_path(text: &str) -> Option<Vec<String>> {
    if text.contains('\n') {
        return None;
    }
    let document = format!("{text} = 0");
    let document = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut table = document.get_ref();
    loop {
        let (key, value) = table.iter().next()?;
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => return Some(path),
        }
    }
}

fn write(table: &mut Table, path: &[String], node: Node, place: &Place) -> Result<(), String> {
    let (key, rest) = path.split_first().ok_or("the path is empty")?;
    let entry = match table.iter_mut().position(|entry| entry.key == *key) {
        Some(idx) => &mut table[idx],
        None => {
            let value = Node { place: place.clone(), value: Value::Table(Table::new()) };
            table.push(Entry { key: key.clone(), key_place: place.clone(), node: value });
            table.last_mut().ok_or("just pushed")?
        }
    };
    write_into(&mut entry.node, key, rest, node, place)
}

fn write_into(
    target: &mut Node,
    name: &str,
    rest: &[String],
    node: Node,
    place: &Place,
) -> Result<(), String> {
    let Some((next, after)) = rest.split_first() else {
        *target = node;
        return Ok(());
    };
    match &mut target.value {
        Value::Table(table) => write(table, rest, node, place),
        Value::Array(items) => {
            let n = items.len();
            let item = next.parse().ok().and_then(|idx: usize| items.get_mut(idx));
            let item = item.ok_or(format!("`{name}` is a list of {n}: `{next}` is not in it"))?;
            write_into(item, next, after, node, place)
        }
        other @ (Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)) => {
            Err(format!("`{name}` is {} and holds no `{next}`", other.describe()))
        }
    }
}
