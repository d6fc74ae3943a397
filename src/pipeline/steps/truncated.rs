//! DropTruncated: rows whose answer did not come to its own end.
//!
//! The metadata of the task that wrote the text tells how it ended. The task is found by its raw
//! output, not by its name, so that the step works behind any number of tasks, before a group and
//! after it.

use std::borrow::Cow;

use super::{Dropped, Plain, metadata, one_or_more, take};
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::DropTruncated;

pub(super) struct TruncatedStep {
    column: String,
    reasons: Vec<String>,
}

impl TruncatedStep {
    pub(super) fn build(spec: &DropTruncated) -> Self {
        Self { column: spec.column.clone(), reasons: spec.finish_reasons.clone() }
    }
}

impl Plain for TruncatedStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        for (i, text) in one_or_more(row, &self.column)?.into_iter().enumerate() {
            let ends = metadata::finish_reasons(row, text);
            if ends.is_empty() {
                let detail =
                    format!("no task in the metadata wrote text {} of `{}`", i + 1, self.column);
                return Err(Dropped::new("how the answer ended is not known", detail));
            }
            // Two tasks may have written the same text; it is whole if one of them was done.
            let bad = |end: &&str| self.reasons.iter().any(|reason| reason == end);
            if ends.iter().all(bad) {
                let detail = format!("text {} of `{}`", i + 1, self.column);
                return Err(Dropped::new(format!("the answer ended by {}", ends[0]), detail));
            }
        }
        Ok(vec![take(row)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use serde_json::{Value, json};

    fn apply(column: &str, row: Value) -> Result<Vec<Columns>, Dropped> {
        let spec = DropTruncated { column: column.to_owned(), ..DropTruncated::default() };
        TruncatedStep::build(&spec).apply(&mut Cow::Owned(row.as_object().unwrap().clone()), DRAW)
    }

    fn end(reason: &str) -> Value {
        json!({"output_tokens": 3, "finish_reason": reason})
    }

    #[test]
    fn only_the_task_that_wrote_the_answer_counts() {
        let row = |answer: &str| {
            json!({"generation": "x", "distilabel_metadata": {
                "raw_output_instruct": "y", "statistics_instruct": end("length"),
                "raw_output_answer": "x", "statistics_answer": end(answer),
            }})
        };
        assert!(apply("generation", row("stop")).is_ok());
        let reason = |row| apply("generation", row).unwrap_err().reason;
        assert_eq!(reason(row("length")), "the answer ended by length");
        assert_eq!(reason(row("repetition")), "the answer ended by repetition");
        assert_eq!(
            reason(json!({"generation": "z", "distilabel_metadata": {}})),
            "how the answer ended is not known"
        );
    }

    #[test]
    fn grouped_answers_are_looked_at_one_by_one() {
        let row = |second: &str| {
            json!({"generations": ["p", "q", "r"], "distilabel_metadata": {
                "raw_output_a": ["p", "q"], "statistics_a": [end("stop"), end(second)],
                "raw_output_b": "r", "statistics_b": end("stop"),
            }})
        };
        assert!(apply("generations", row("stop")).is_ok());
        let dropped = apply("generations", row("length")).unwrap_err();
        assert_eq!(dropped.detail, "text 2 of `generations`");
    }
}
