//! Paths into a column: `turns[0]`, `answer.text`, `a.b[2].c`.
//!
//! A column whose own name looks like a path is found by its whole name; where both readings find
//! something, neither is taken, because a wrong guess would be answered and judged unnoticed.

use serde_json::Value;

use super::Fault;
use crate::data::row::Columns;

/// A column, or a place in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPath {
    text: String,
    head: String,
    rest: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

impl ColumnPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, in a phrase.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (head, mut left) = split_name(text);
        if head.is_empty() {
            return Err("it does not begin with a column".to_owned());
        }
        let mut rest = Vec::new();
        while !left.is_empty() {
            if let Some(tail) = left.strip_prefix('.') {
                let (key, tail) = split_name(tail);
                if key.is_empty() {
                    return Err("a `.` is followed by no name".to_owned());
                }
                rest.push(Part::Key(key.to_owned()));
                left = tail;
            } else if let Some(tail) = left.strip_prefix('[') {
                let (index, tail) =
                    tail.split_once(']').ok_or_else(|| "a `[` is not closed".to_owned())?;
                let index = index
                    .parse()
                    .map_err(|_| format!("`[{index}]` holds no number counted from 0"))?;
                rest.push(Part::Index(index));
                left = tail;
            } else {
                return Err(format!("`{left}` follows a `]`"));
            }
        }
        Ok(Self { text: text.to_owned(), head: head.to_owned(), rest })
    }

    /// The column that the path begins with.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The value in these columns.
    ///
    /// # Errors
    /// The path is missing, or the columns can be read in two ways.
    pub fn resolve<'a>(&self, columns: &'a Columns) -> Result<&'a Value, Fault> {
        let walked = self.walk(columns);
        if self.rest.is_empty() {
            return walked;
        }
        match (columns.get(&self.text), walked) {
            (None, walked) => walked,
            (Some(whole), Err(_)) => Ok(whole),
            (Some(_), Ok(_)) => Err(Fault::new(
                format!("`{}` is ambiguous", self.text),
                format!("there is a column of that name and a value in `{}`", self.head),
            )),
        }
    }

    fn walk<'a>(&self, columns: &'a Columns) -> Result<&'a Value, Fault> {
        let missing = |detail: String| Fault::new(format!("`{}` is missing", self.text), detail);
        let mut value = columns.get(&self.head).ok_or_else(|| {
            let names: Vec<_> = columns.keys().map(|name| format!("`{name}`")).collect();
            missing(format!("the row has {}", names.join(", ")))
        })?;
        let mut at = self.head.clone();
        for part in &self.rest {
            let (found, step, has) = match (part, value) {
                (Part::Key(key), Value::Object(map)) => {
                    (map.get(key), format!(".{key}"), format!("has no `{key}`"))
                }
                (Part::Index(i), Value::Array(list)) => {
                    (list.get(*i), format!("[{i}]"), format!("has {} values", list.len()))
                }
                (Part::Key(key), other) => (None, String::new(), no_inside(other, key)),
                (Part::Index(i), other) => (None, String::new(), no_inside(other, i)),
            };
            value = found.ok_or_else(|| missing(format!("`{at}` {has}")))?;
            at += &step;
        }
        Ok(value)
    }
}

fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(['.', '[']).unwrap_or(text.len()))
}

fn no_inside(value: &Value, wanted: impl std::fmt::Display) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("is {kind}, in which there is no `{wanted}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, columns: &str, want: Result<&str, (&str, &str)>) {
        let columns: Columns = serde_json::from_str(columns).unwrap();
        let found = ColumnPath::parse(path).unwrap().resolve(&columns).map(Value::to_string);
        let want = want.map(str::to_owned).map_err(|(reason, detail)| Fault::new(reason, detail));
        assert_eq!(found, want, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check("a", r#"{"a":1}"#, Ok("1"));
        check("turns[1]", r#"{"turns":["x","y"]}"#, Ok("\"y\""));
        check("a.b[2].c", r#"{"a":{"b":[0,1,{"c":"deep"}]}}"#, Ok("\"deep\""));
        check("m[0][1]", r#"{"m":[[1,2]]}"#, Ok("2"));
        check("a.b", r#"{"a.b":1}"#, Ok("1"));
        check("a", r#"{"a":null}"#, Ok("null"));
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_named() {
        check("b", r#"{"a":1,"c":2}"#, Err(("`b` is missing", "the row has `a`, `c`")));
        check("t[2]", r#"{"t":[1]}"#, Err(("`t[2]` is missing", "`t` has 1 values")));
        check("t[0].x", r#"{"t":[{}]}"#, Err(("`t[0].x` is missing", "`t[0]` has no `x`")));
        let detail = "`t` is a text, in which there is no `0`";
        check("t[0]", r#"{"t":"x"}"#, Err(("`t[0]` is missing", detail)));
        let detail = "there is a column of that name and a value in `a`";
        check("a.b", r#"{"a":{"b":1},"a.b":2}"#, Err(("`a.b` is ambiguous", detail)));
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for path in ["", ".a", "[0]", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[0]b"] {
            assert!(ColumnPath::parse(path).is_err(), "{path}");
        }
    }
}
