//! FilterRows: rows whose value meets a condition go on.
//!
//! One comparison of one value with a constant, by design: what a condition means must not depend
//! on a language, and several conditions are several steps. A value that cannot be compared drops
//! the row under a reason of its own, so that a slip in the recipe is not taken for bad data.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Dropped, Plain, kind_of, take};
use crate::data::read::ColumnPath;
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::{FilterOp, FilterRows};
use crate::{Error, Result};

/// The value of what is not there.
static NOTHING: Value = Value::Null;

pub(super) struct FilterStep {
    path: ColumnPath,
    op: FilterOp,
    value: Value,
    /// What is said of rows that do not meet it.
    reason: String,
}

impl FilterStep {
    pub(super) fn build(spec: &FilterRows) -> Result<Self> {
        let path = ColumnPath::parse(&spec.column).map_err(|why| Error::Usage {
            what: format!("`{}` is no path into a column: {why}", spec.column),
            hint: "correct `column` in the recipe".to_owned(),
        })?;
        let value = spec.value.clone().unwrap_or_default();
        let constant = spec.value.as_ref().map_or(String::new(), |value| format!(" {value}"));
        let reason = format!("not `{} {}{constant}`", spec.column, spec.op.name());
        Ok(Self { path, op: spec.op, value, reason })
    }

    /// Whether a value meets the condition; `None` when the two cannot be compared.
    fn meets(&self, found: &Value) -> Option<bool> {
        let order = || order(found, &self.value);
        Some(match self.op {
            FilterOp::Equal => equal(found, &self.value),
            FilterOp::NotEqual => !equal(found, &self.value),
            FilterOp::Less => order()?.is_lt(),
            FilterOp::AtMost => order()?.is_le(),
            FilterOp::More => order()?.is_gt(),
            FilterOp::AtLeast => order()?.is_ge(),
            FilterOp::In => self.value.as_array()?.iter().any(|item| equal(found, item)),
            FilterOp::NotIn => !self.value.as_array()?.iter().any(|item| equal(found, item)),
            FilterOp::Contains => contains(found, &self.value)?,
            FilterOp::Lacks => !contains(found, &self.value)?,
            FilterOp::MinLength => length(found)? >= self.value.as_u64()?,
            FilterOp::MaxLength => length(found)? <= self.value.as_u64()?,
            FilterOp::Null => found.is_null(),
            FilterOp::NotNull => !found.is_null(),
        })
    }
}

impl Plain for FilterStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        let found = match self.path.resolve(row) {
            Ok(found) => found,
            // What is not there has no value.
            Err(_) if matches!(self.op, FilterOp::Null | FilterOp::NotNull) => &NOTHING,
            Err(fault) => return Err(Dropped::new(fault.reason, fault.detail)),
        };
        match self.meets(found) {
            Some(true) => Ok(vec![take(row)]),
            Some(false) => Err(Dropped::new(self.reason.clone(), shortened(found))),
            None => Err(Dropped::new(
                format!("`{}` cannot answer `{}`", kind_of(found), self.op.name()),
                shortened(found),
            )),
        }
    }
}

/// Numbers are equal by their size: 3 is 3.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn contains(whole: &Value, part: &Value) -> Option<bool> {
    match (whole, part) {
        (Value::String(whole), Value::String(part)) => Some(whole.contains(part)),
        (Value::Array(items), part) => Some(items.iter().any(|item| equal(item, part))),
        _ => None,
    }
}

/// Characters of a text, items of a list.
fn length(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => Some(text.chars().count() as u64),
        Value::Array(items) => Some(items.len() as u64),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// A value for a person to see; the row itself is kept whole beside it.
fn shortened(value: &Value) -> String {
    const N_CHARS: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(N_CHARS) {
        Some((end, _)) => format!("it is {}...", &text[..end]),
        None => format!("it is {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use serde_json::json;

    fn filter(column: &str, op: FilterOp, value: Option<Value>, row: Value) -> Option<Dropped> {
        let spec = FilterRows { column: column.to_owned(), op, value };
        let step = FilterStep::build(&spec).unwrap();
        let made = step.apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW);
        if let Ok(rows) = &made {
            assert_eq!(rows, &[row.as_object().unwrap().clone()], "a filter changes nothing");
        }
        made.err()
    }

    #[test]
    fn rows_that_meet_the_condition_go_on() {
        use FilterOp::*;
        let row = json!({
            "n": 3, "x": 2.5, "t": "caf\u{e9} au lait", "l": [1, "a"], "no": null,
            "meta": {"lang": "en"},
        });
        let met = |column, op, value| filter(column, op, value, row.clone()).is_none();
        for (column, op, value) in [
            ("n", Equal, json!(3.0)),
            ("n", AtLeast, json!(3)),
            ("x", Less, json!(3)),
            ("x", More, json!(-1)),
            ("x", AtMost, json!(2.5)),
            ("t", Contains, json!("au")),
            ("t", Lacks, json!("tea")),
            ("t", MinLength, json!(12)),
            ("t", MaxLength, json!(12)),
            ("t", Less, json!("d")),
            ("l", Contains, json!("a")),
            ("l[1]", Equal, json!("a")),
            ("l", MaxLength, json!(2)),
            ("meta.lang", In, json!(["de", "en"])),
            ("meta.lang", NotIn, json!(["fr"])),
            ("n", NotEqual, json!("3")),
        ] {
            assert!(met(column, op, Some(value.clone())), "{column} {op:?} {value}");
        }
        assert!(met("no", Null, None) && met("n", NotNull, None) && met("absent", Null, None));
        assert!(!met("no", NotNull, None) && !met("n", Null, None));
    }

    #[test]
    fn other_rows_are_dropped_with_the_condition_as_reason() {
        let reason = |column, op, value, row| filter(column, op, value, row).unwrap();
        let low = reason("r[0]", FilterOp::AtLeast, Some(json!(4)), json!({"r": [3.5]}));
        assert_eq!(low, Dropped::new("not `r[0] >= 4`", "it is 3.5"));
        let text = reason("r", FilterOp::Less, Some(json!(4)), json!({"r": "x".repeat(200)}));
        assert_eq!(text.reason, "`text` cannot answer `<`");
        assert!(text.detail.len() < 100, "{}", text.detail);
        let gone = reason("r[7]", FilterOp::Equal, Some(json!(4)), json!({"r": [1]}));
        assert_eq!(gone.reason, "`r[7]` is missing");
    }
}
