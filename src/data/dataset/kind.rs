//! What kind of values a column holds, found by looking at all of them.
//!
//! Rows are JSON and may disagree; a column must not. Whole and broken numbers meet as floats;
//! kinds that have nothing in common meet as text, in which a text stays as it is and everything
//! else is written as JSON. Columns that are always null or always an empty object are text too:
//! Parquet cannot store the latter, and readers differ about a column without a type.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields as ArrowFields};
use serde_json::{Number, Value};

use crate::data::row::Columns;

/// The kind of a column's values, all of which may also be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but null so far.
    Null,
    /// `bool`.
    Bool,
    /// `int64`.
    Int,
    /// `float64`.
    Float,
    /// `string`.
    Text,
    /// Kinds that have nothing in common: `string`.
    Mixed,
    /// Lists of one kind.
    List(Box<Kind>),
    /// Objects.
    Struct(Fields),
}

/// Named kinds, in the order in which the names first turned up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields(pub(super) Vec<(String, Kind)>);

impl Fields {
    /// Takes in the values of one object; true when that was news.
    pub(super) fn widen(&mut self, object: &Columns) -> bool {
        let n_before = self.0.len();
        let mut is_news = false;
        for (i, (name, value)) in object.iter().enumerate() {
            // Objects of a column nearly always have the same names in the same order.
            let at = match self.0.get(i) {
                Some((known, _)) if known == name => i,
                _ => self.0.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                    self.0.push((name.clone(), Kind::Null));
                    self.0.len() - 1
                }),
            };
            is_news |= self.0[at].1.widen(value);
        }
        is_news || self.0.len() > n_before
    }

    /// The kinds that can be stored.
    pub(super) fn settled(self) -> Self {
        Self(self.0.into_iter().map(|(name, kind)| (name, kind.settled())).collect())
    }

    /// The columns of a table.
    pub(super) fn to_arrow(&self) -> ArrowFields {
        self.0.iter().map(|(name, kind)| Field::new(name, kind.to_arrow(), true)).collect()
    }
}

impl Kind {
    /// Takes in one value; true when that was news.
    pub(super) fn widen(&mut self, value: &Value) -> bool {
        let wider = match (&mut *self, value) {
            (_, Value::Null)
            | (Self::Mixed, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Float, Value::Number(_))
            | (Self::Text, Value::String(_)) => return false,
            (Self::List(kind), Value::Array(list)) => {
                return list.iter().fold(false, |is_news, value| kind.widen(value) | is_news);
            }
            (Self::Struct(fields), Value::Object(object)) => return fields.widen(object),
            (Self::Int, Value::Number(n)) if n.is_i64() => return false,
            (Self::Int, Value::Number(n)) => Self::of_number(n),
            (Self::Null, value) => Self::of(value),
            _ => Self::Mixed,
        };
        *self = wider;
        true
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(n) => Self::of_number(n),
            Value::String(_) => Self::Text,
            Value::Array(list) => {
                let mut kind = Self::Null;
                for value in list {
                    kind.widen(value);
                }
                Self::List(Box::new(kind))
            }
            Value::Object(object) => {
                let mut fields = Fields::default();
                fields.widen(object);
                Self::Struct(fields)
            }
        }
    }

    /// A whole number beyond 64 bits with sign would lose its last digits as a float.
    fn of_number(n: &Number) -> Self {
        if n.is_i64() {
            Self::Int
        } else if n.is_u64() {
            Self::Mixed
        } else {
            Self::Float
        }
    }

    fn settled(self) -> Self {
        match self {
            Self::Null => Self::Text,
            Self::Struct(fields) if fields.0.is_empty() => Self::Mixed,
            Self::Struct(fields) => Self::Struct(fields.settled()),
            Self::List(kind) => Self::List(Box::new(kind.settled())),
            Self::Bool | Self::Int | Self::Float | Self::Text | Self::Mixed => self,
        }
    }

    /// The column's type in the file.
    pub(super) fn to_arrow(&self) -> DataType {
        match self {
            Self::Null => unreachable!("kinds are settled before they are stored"),
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text | Self::Mixed => DataType::Utf8,
            Self::List(kind) => DataType::List(Arc::new(Self::list_field(kind))),
            Self::Struct(fields) => DataType::Struct(fields.to_arrow()),
        }
    }

    /// The field of a list's values; Parquet and Arrow agree on its name.
    pub(super) fn list_field(kind: &Self) -> Field {
        Field::new_list_field(kind.to_arrow(), true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(values: &[Value], want: Kind) {
        let mut kind = Kind::Null;
        for value in values {
            kind.widen(value);
        }
        let news = values.iter().any(|value| kind.widen(value));
        assert!(!news, "what has been seen is no news: {values:?}");
        assert_eq!(kind.settled(), want, "{values:?}");
    }

    fn list(kind: Kind) -> Kind {
        Kind::List(Box::new(kind))
    }

    #[test]
    fn kinds_widen() {
        check(&[json!(1), json!(null), json!(2)], Kind::Int);
        check(&[json!(1), json!(2.5), json!(3)], Kind::Float);
        check(&[json!(1.5), json!(1)], Kind::Float);
        check(&[json!(1), json!(u64::MAX)], Kind::Mixed);
        check(&[json!("a"), json!(1)], Kind::Mixed);
        check(&[json!(true), json!("a")], Kind::Mixed);
        check(&[json!(null)], Kind::Text);
        check(&[json!({})], Kind::Mixed);
        check(&[json!([])], list(Kind::Text));
        check(&[json!([]), json!([1]), json!([null, 0.5])], list(Kind::Float));
        check(&[json!([1]), json!({"a": 1})], Kind::Mixed);
    }

    #[test]
    fn objects_gather_their_fields_in_order_of_appearance() {
        let want = Kind::Struct(Fields(vec![
            ("role".to_owned(), Kind::Text),
            ("n".to_owned(), Kind::Float),
            ("late".to_owned(), list(Kind::Bool)),
        ]));
        let values = [
            json!({"role": "user", "n": 1}),
            json!({"n": 0.5, "role": null, "late": [true]}),
            json!(null),
        ];
        check(&values, want);
    }
}
