//! What a value of a recipe may be, and what is said when it is something else.

use std::collections::BTreeMap;

use super::nearest::did_you_mean;
use super::spec::{
    Aspect, Aspects, ColumnNames, FilterOp, Grammar, Orders, PairPolicy, PromptLayout, Quantize,
    RatingsFrom, Rationale, Score, Ties,
};
use super::tree::{Node, Value};
use crate::data::row::Columns;

/// The node that is not what was wanted.
pub(super) struct Mismatch<'n> {
    pub(super) node: &'n Node,
    pub(super) hint: Option<String>,
}

/// A type that a recipe's value can be read as.
pub(super) trait FromNode: Sized {
    /// What is wanted, to go after "is" and before "not".
    fn wanted() -> String;

    /// Reads the value.
    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>>;
}

fn mismatch<T>(node: &Node) -> Result<T, Mismatch<'_>> {
    Err(Mismatch { node, hint: None })
}

impl FromNode for String {
    fn wanted() -> String {
        "a text".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        match &node.value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                Err(Mismatch { node, hint: Some("put it in quotes".to_owned()) })
            }
            Value::Array(_) | Value::Table(_) => mismatch(node),
        }
    }
}

impl FromNode for bool {
    fn wanted() -> String {
        "`true` or `false`".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        if let Value::Boolean(flag) = node.value { Ok(flag) } else { mismatch(node) }
    }
}

impl FromNode for u64 {
    fn wanted() -> String {
        "a whole number from 0".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Integer(number) = node.value else { return mismatch(node) };
        Self::try_from(number).or_else(|_| mismatch(node))
    }
}

impl FromNode for usize {
    fn wanted() -> String {
        u64::wanted()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        Self::try_from(u64::from_node(node)?).or_else(|_| mismatch(node))
    }
}

impl FromNode for f32 {
    fn wanted() -> String {
        "a number".to_owned()
    }

    /// Rounds to the nearest `f32`, which is what the engine samples with.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        if let Value::Integer(number) = node.value {
            return Ok(number as Self);
        }
        let Value::Float(number) = node.value else { return mismatch(node) };
        Ok(number as Self)
    }
}

impl FromNode for f64 {
    fn wanted() -> String {
        "a number".to_owned()
    }

    #[allow(clippy::cast_precision_loss)]
    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        if let Value::Integer(number) = node.value {
            return Ok(number as Self);
        }
        let Value::Float(number) = node.value else { return mismatch(node) };
        Ok(number)
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn wanted() -> String {
        format!("a list, each item {}", T::wanted())
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Array(items) = &node.value else { return mismatch(node) };
        items.iter().map(T::from_node).collect()
    }
}

/// Column names; a single one needs no brackets.
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl FromNode for OneOrMany {
    fn wanted() -> String {
        "a text or a list of texts".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        match String::from_node(node) {
            Ok(name) => Ok(Self(vec![name])),
            Err(_) => Vec::from_node(node).map(Self),
        }
    }
}

impl FromNode for BTreeMap<String, String> {
    fn wanted() -> String {
        "a table of texts".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Table(table) = &node.value else { return mismatch(node) };
        let text = |node| String::from_node(node);
        table.iter().map(|entry| Ok((entry.key.clone(), text(&entry.node)?))).collect()
    }
}

impl FromNode for BTreeMap<String, f32> {
    fn wanted() -> String {
        "a table of numbers".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Table(table) = &node.value else { return mismatch(node) };
        let number = |node| f32::from_node(node);
        table.iter().map(|entry| Ok((entry.key.clone(), number(&entry.node)?))).collect()
    }
}

impl FromNode for ColumnNames {
    fn wanted() -> String {
        "a list of columns or a table of old names to new ones".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        if matches!(node.value, Value::Table(_)) {
            return BTreeMap::from_node(node).map(Self::Renamed);
        }
        OneOrMany::from_node(node).map(|names| Self::Kept(names.0))
    }
}

impl Default for ColumnNames {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

impl FromNode for serde_json::Value {
    fn wanted() -> String {
        "a value that JSON can hold".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        Ok(match &node.value {
            Value::String(text) | Value::Datetime(text) => Self::String(text.clone()),
            Value::Integer(number) => Self::from(*number),
            Value::Float(number) if number.is_finite() => Self::from(*number),
            Value::Float(_) => return mismatch(node),
            Value::Boolean(flag) => Self::Bool(*flag),
            Value::Array(_) => Self::Array(Vec::from_node(node)?),
            Value::Table(_) => Self::Object(Columns::from_node(node)?),
        })
    }
}

impl FromNode for Columns {
    fn wanted() -> String {
        "a table of columns".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Table(table) = &node.value else { return mismatch(node) };
        let value = |node| serde_json::Value::from_node(node);
        table.iter().map(|entry| Ok((entry.key.clone(), value(&entry.node)?))).collect()
    }
}

impl FromNode for Grammar {
    fn wanted() -> String {
        "one of `{ regex = TEXT }`, `{ json = SCHEMA }` and `{ lark = TEXT }`".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::Table(table) = &node.value else { return mismatch(node) };
        let [entry] = table.as_slice() else { return mismatch(node) };
        match entry.key.as_str() {
            "regex" => String::from_node(&entry.node).map(Self::Regex),
            "lark" => String::from_node(&entry.node).map(Self::Lark),
            "json" => serde_json::Value::from_node(&entry.node).map(Self::Json),
            _ => mismatch(node),
        }
    }
}

/// A closed set of words.
trait Word: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Word for Quantize {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("q8_0", Self::Q8_0), ("q4_k", Self::Q4K)];
}

impl Word for Aspect {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("overall-rating", Self::OverallRating),
        ("helpfulness", Self::Helpfulness),
        ("honesty", Self::Honesty),
        ("instruction-following", Self::InstructionFollowing),
        ("truthfulness", Self::Truthfulness),
    ];
}

impl Word for PromptLayout {
    const WORDS: &'static [(&'static str, Self)] =
        &[("rubric-first", Self::RubricFirst), ("content-first", Self::ContentFirst)];
}

impl Word for PairPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("best-worst", Self::BestWorst),
        ("best-random-lower", Self::BestRandomLower),
        ("best-mu2sigma", Self::BestMu2Sigma),
        ("all-ordered", Self::AllOrdered),
    ];
}

impl Word for Ties {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drop", Self::Drop), ("shorter", Self::Shorter)];
}

impl Word for RatingsFrom {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("judge", Self::Judge),
        ("human", Self::Human),
        ("human-then-judge", Self::HumanThenJudge),
    ];
}

impl Word for FilterOp {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        ("<=", Self::AtMost),
        (">", Self::More),
        (">=", Self::AtLeast),
        ("in", Self::In),
        ("not-in", Self::NotIn),
        ("contains", Self::Contains),
        ("lacks", Self::Lacks),
        ("min-length", Self::MinLength),
        ("max-length", Self::MaxLength),
        ("null", Self::Null),
        ("not-null", Self::NotNull),
    ];
}

impl Word for Rationale {
    const WORDS: &'static [(&'static str, Self)] =
        &[("after", Self::After), ("before", Self::Before), ("none", Self::None)];
}

impl Word for Score {
    const WORDS: &'static [(&'static str, Self)] =
        &[("expected", Self::Expected), ("sampled", Self::Sampled)];
}

impl<T: Word> FromNode for T {
    fn wanted() -> String {
        let words: Vec<String> = T::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("one of {}", words.join(", "))
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        let Value::String(found) = &node.value else { return mismatch(node) };
        match T::WORDS.iter().find(|(word, _)| word == found) {
            Some((_, value)) => Ok(*value),
            None => {
                let hint = did_you_mean(found, T::WORDS.iter().map(|(word, _)| *word));
                Err(Mismatch { node, hint })
            }
        }
    }
}

impl FromNode for Aspects {
    fn wanted() -> String {
        format!("{}, or a list of such", Aspect::wanted())
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        match node.value {
            Value::Array(_) => Vec::from_node(node).map(Self),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => Aspect::from_node(node).map(Self::from),
        }
    }
}

impl FromNode for Orders {
    fn wanted() -> String {
        "1, 2 or \"all\"".to_owned()
    }

    fn from_node(node: &Node) -> Result<Self, Mismatch<'_>> {
        if let Value::String(word) = &node.value {
            return if word == "all" { Ok(Self::All) } else { mismatch(node) };
        }
        match u64::from_node(node)? {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => mismatch(node),
        }
    }
}
