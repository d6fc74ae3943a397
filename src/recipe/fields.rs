//! One table of a recipe, read key by key into values.
//!
//! A value of the wrong type is a fault and is replaced by the default, so that reading goes on
//! and finds the next one. Keys that nobody asked for are unknown; the keys that were asked for
//! are the ones to choose from, so no list of them can fall out of date.

use super::draft::Marks;
use super::nearest::did_you_mean;
use super::place::{Findings, Place};
use super::tree::{Entry, Node, Table, Value};
use super::values::FromNode;

/// A table being read.
pub(super) struct Fields<'a> {
    table: &'a Table,
    asked: Vec<&'static str>,
    pub(super) marks: Marks,
    pub(super) found: &'a mut Findings,
}

impl<'a> Fields<'a> {
    /// Begins with the table at `path` (`steps.judge`).
    pub(super) fn new(
        path: String,
        table: &'a Table,
        place: Place,
        found: &'a mut Findings,
    ) -> Self {
        let mut marks = Marks::nowhere(path);
        marks.place = place;
        for entry in table {
            marks.keys.insert(entry.key.clone(), entry.node.place.clone());
        }
        Self { table, asked: Vec::new(), marks, found }
    }

    /// The value's node, if the key is there. Afterwards the key counts as known.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.table.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of `key`; `None` when it is not there or not of this type.
    pub(super) fn optional<T: FromNode>(&mut self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        match T::from_node(node) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let name = self.marks.name(key);
                let message =
                    format!("{name} is {}, not {}", T::wanted(), wrong.node.value.describe());
                self.found.add(&wrong.node.place, message, wrong.hint);
                self.marks.wrong.insert(key.to_owned());
                None
            }
        }
    }

    /// The value of `key`, or `default`.
    pub(super) fn or<T: FromNode>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of `key`, whose absence is a fault.
    pub(super) fn required<T: FromNode + Default>(&mut self, key: &'static str) -> T {
        if !self.table.iter().any(|entry| entry.key == key) {
            let message = format!("{} is missing", self.marks.name(key));
            let hint = format!("add `{key} = ...`: {}", T::wanted());
            self.found.add(&self.marks.place, message, Some(hint));
            self.marks.wrong.insert(key.to_owned());
        }
        self.optional(key).unwrap_or_default()
    }

    /// Where the value of `key` was written.
    pub(super) fn place_of(&self, key: &str) -> &Place {
        self.marks.keys.get(key).unwrap_or(&self.marks.place)
    }

    /// Reads the table under `key` with `read`; without the key, an empty one.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> T {
        let empty = Table::new();
        let (table, place) = match self.node(key) {
            Some(Node { place, value: Value::Table(table) }) => (table, place.clone()),
            Some(node) => {
                let message =
                    format!("{} is a table, not {}", self.marks.name(key), node.value.describe());
                self.found.add(&node.place, message, None);
                self.marks.wrong.insert(key.to_owned());
                (&empty, node.place.clone())
            }
            None => (&empty, self.marks.place.clone()),
        };
        let path = self.marks.name(key).trim_matches('`').to_owned();
        let mut fields = Fields::new(path, table, place, self.found);
        let value = read(&mut fields);
        let inner = fields.finish();
        for (name, place) in inner.keys {
            self.marks.keys.insert(format!("{key}.{name}"), place);
        }
        self.marks.wrong.extend(inner.wrong.iter().map(|name| format!("{key}.{name}")));
        value
    }

    /// Reports keys that nobody asked for.
    pub(super) fn finish(self) -> Marks {
        for Entry { key, key_place, .. } in self.table {
            if !self.asked.contains(&key.as_str()) {
                let message = format!("{} is no key of a recipe", self.marks.name(key));
                let hint = did_you_mean(key, self.asked.iter().copied());
                self.found.add(key_place, message, hint);
            }
        }
        self.marks
    }
}
