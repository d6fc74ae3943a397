//! A pair taken apart: what every format with a line of its own starts from.

use serde_json::Value;

use crate::data::dataset::trl;
use crate::data::row::Columns;

/// Why a row is no pair.
pub(super) const NO_PAIR: &str = "its chosen and rejected are no conversations";

/// Why a side does not fit where one answer is wanted.
pub(super) const SEVERAL_TURNS: &str = "a side has several turns of its own";

/// A pair. Turns are objects of a `role` and a `content`.
pub(super) struct Pair {
    /// The turns that both sides share.
    pub(super) prompt: Vec<Value>,
    /// The chosen side's own turns.
    pub(super) chosen: Vec<Value>,
    /// The rejected side's own turns.
    pub(super) rejected: Vec<Value>,
    /// The other columns.
    pub(super) rest: Columns,
}

impl Pair {
    /// The pair of a row of `FormatTextGenerationDPO`, or why it is none.
    pub(super) fn of(row: Columns) -> Result<Self, &'static str> {
        let mut rest = trl::layout(row);
        if !trl::is_explicit(&rest) {
            return Err(NO_PAIR);
        }
        let mut turns = |column: &str| match rest.shift_remove(column) {
            Some(Value::Array(turns)) => turns,
            other => unreachable!("an explicit pair's `{column}` is a list, not {other:?}"),
        };
        let (prompt, chosen, rejected) = (turns("prompt"), turns("chosen"), turns("rejected"));
        Ok(Self { prompt, chosen, rejected, rest })
    }

    /// The one turn that each side has of its own.
    pub(super) fn answers(&self) -> Result<[&Value; 2], &'static str> {
        match (&self.chosen[..], &self.rejected[..]) {
            ([chosen], [rejected]) => Ok([chosen, rejected]),
            _ => Err(SEVERAL_TURNS),
        }
    }
}
