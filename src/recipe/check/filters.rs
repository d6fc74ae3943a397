//! Conditions that a filter can ask of a row.

use serde_json::Value;

use super::params::check_names;
use crate::data::read::ColumnPath;
use crate::recipe::draft::Marks;
use crate::recipe::nearest::did_you_mean;
use crate::recipe::place::Findings;
use crate::recipe::spec::{DropTruncated, FilterOp, FilterRows, MinHashDedup};

/// The column is a column or a path, and the value is one that the operator compares with.
pub(super) fn check_condition(step: &FilterRows, marks: &Marks, found: &mut Findings) {
    if let Err(why) = ColumnPath::parse(&step.column) {
        let message = format!("`{}` is no path into a column: {why}", step.column);
        let hint = "write a column, or a path such as `ratings[0]` or `meta.title`";
        marks.fault("column", found, message, Some(hint));
    }
    let op = step.op.name();
    let Some(value) = &step.value else {
        if wanted(step.op).is_some() {
            let message = format!("`{op}` compares with a `value`, and there is none");
            marks.fault("op", found, message, Some("add `value = ...`"));
        }
        return;
    };
    match wanted(step.op) {
        None => {
            let message = format!("`{op}` takes no `value`");
            marks.fault("value", found, message, Some("delete `value`"));
        }
        Some(wanted) if !compares(step.op, value) => {
            let message = format!("`{op}` compares with {wanted}, not with {value}");
            marks.fault("value", found, message, None);
        }
        Some(_) => (),
    }
}

/// What an operator compares with, in words; nothing for the operators that stand alone.
fn wanted(op: FilterOp) -> Option<&'static str> {
    match op {
        FilterOp::Equal | FilterOp::NotEqual | FilterOp::Contains | FilterOp::Lacks => {
            Some("a text, a number or a truth value")
        }
        FilterOp::Less | FilterOp::AtMost | FilterOp::More | FilterOp::AtLeast => {
            Some("a number or a text")
        }
        FilterOp::In | FilterOp::NotIn => Some("a list of texts, numbers or truth values"),
        FilterOp::MinLength | FilterOp::MaxLength => Some("a whole number from 0"),
        FilterOp::Null | FilterOp::NotNull => None,
    }
}

fn compares(op: FilterOp, value: &Value) -> bool {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    match op {
        FilterOp::Equal | FilterOp::NotEqual | FilterOp::Contains | FilterOp::Lacks => {
            is_plain(value)
        }
        FilterOp::Less | FilterOp::AtMost | FilterOp::More | FilterOp::AtLeast => {
            value.is_number() || value.is_string()
        }
        FilterOp::In | FilterOp::NotIn => {
            value.as_array().is_some_and(|items| items.iter().all(is_plain))
        }
        FilterOp::MinLength | FilterOp::MaxLength => value.is_u64(),
        FilterOp::Null | FilterOp::NotNull => false,
    }
}

/// Only ends that an answer can have.
pub(super) fn check_truncated(step: &DropTruncated, marks: &Marks, found: &mut Findings) {
    check_names(&step.finish_reasons, "finish_reasons", marks, found);
    for reason in &step.finish_reasons {
        if !DropTruncated::FINISH_REASONS.contains(&reason.as_str()) {
            let message = format!("no answer ends with `{reason}`");
            let hint = did_you_mean(reason, DropTruncated::FINISH_REASONS);
            marks.fault("finish_reasons", found, message, hint.as_deref());
        }
    }
}

/// The threshold is a likeness.
pub(super) fn check_dedup(step: &MinHashDedup, marks: &Marks, found: &mut Findings) {
    // Below, texts that have little to do with each other are alike, and each is compared with all.
    if !(0.1..=1.0).contains(&step.threshold) {
        let message = format!("`threshold` is {:?}", step.threshold);
        let hint = "a share of common shingles, from 0.1 to 1; 1 asks for equal texts";
        marks.fault("threshold", found, message, Some(hint));
    }
    if i64::try_from(step.seed).is_err() {
        let message = "the seed is larger than TOML can hold";
        marks.fault("seed", found, message, Some("take one below 2^63"));
    }
}
