//! MinHashDedup: of texts that say the same, the first in the data's order goes on.
//!
//! distilabel's name and column; there the step only flags, and rows that nobody filters are
//! answered and judged all the same. Ours leaves them out, with the row that each duplicates. A
//! verdict depends on the rows before and on nothing else, so the executor brings them in order,
//! and a run that goes on, which brings them all again, comes to the same verdicts.

use std::collections::HashMap;

use serde_json::Value;

use super::{Dropped, text};
use crate::Result;
use crate::data::row::{Columns, RowId};
use crate::recipe::spec::MinHashDedup;
use crate::text::near::{NearIndex, Shingles, normalise};

/// The step, ready to compare.
pub(crate) struct DedupStep {
    spec: MinHashDedup,
}

/// Rows that went on, findable by their text: some hundred bytes a row, however long it is.
pub(crate) struct Seen {
    /// First half of the hash of the normalised text, and the row's number.
    equal: HashMap<u128, u32>,
    near: Option<NearIndex>,
    rows: Vec<SeenRow>,
}

/// A row that went on.
struct SeenRow {
    /// The row as it came.
    id: RowId,
    /// Where it stands in the step's file.
    offset: u64,
}

impl Seen {
    /// Remembers a row that [`DedupStep::look`] found new and that stands at `offset` now.
    pub(crate) fn keep(&mut self, id: RowId, offset: u64) {
        self.rows.push(SeenRow { id, offset });
    }
}

impl DedupStep {
    pub(crate) fn build(spec: &MinHashDedup) -> Self {
        Self { spec: spec.clone() }
    }

    /// Nothing seen yet.
    pub(crate) fn begin(&self) -> Seen {
        let near = (self.spec.threshold < 1.0)
            .then(|| NearIndex::new(self.spec.threshold, self.spec.seed));
        Seen { equal: HashMap::new(), near, rows: Vec::new() }
    }

    /// What a row that says what an earlier one said is dropped for; nothing for a new one, which
    /// [`Seen::keep`] must be told about. `fetch` reads a row of the step's file.
    ///
    /// # Errors
    /// When `fetch` fails.
    pub(crate) fn look(
        &self,
        seen: &mut Seen,
        columns: &Columns,
        fetch: &mut dyn FnMut(u64) -> Result<Columns>,
    ) -> Result<Option<Dropped>> {
        let text = match text(columns, &self.spec.column) {
            Ok(text) => text,
            Err(dropped) => return Ok(Some(dropped)),
        };
        let number = u32::try_from(seen.rows.len()).expect("fewer than four billion rows");
        let known = *seen.equal.entry(digest(text)).or_insert(number);
        if known != number {
            let detail = format!("of row {}", seen.rows[known as usize].id);
            return Ok(Some(Dropped::new(EQUAL, detail)));
        }
        let Seen { near: Some(near), rows, .. } = seen else { return Ok(None) };
        let shingles = |number: u32| -> Result<Shingles> {
            let columns = fetch(rows[number as usize].offset)?;
            let text = columns.get(&self.spec.column).and_then(Value::as_str).unwrap_or_default();
            Ok(Shingles::of(text))
        };
        let found = near.find_or_insert(number, &Shingles::of(text), shingles)?;
        Ok(found.map(|found| {
            // Its equals are near to the same row, not equal to it.
            seen.equal.remove(&digest(text));
            let id = seen.rows[found.number as usize].id;
            Dropped::new(NEAR, format!("of row {id}, alike by {:.3}", found.jaccard))
        }))
    }

    /// Whether a row that is dropped for `dropped` only gets a flag.
    pub(crate) fn only_flags(&self, dropped: &Dropped) -> bool {
        !self.spec.remove && [EQUAL, NEAR].contains(&dropped.reason.as_str())
    }
}

const EQUAL: &str = "equal text";
const NEAR: &str = "nearly equal text";

fn digest(text: &str) -> u128 {
    let hash = blake3::hash(normalise(text).as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Verdicts on texts in order: reason and the number of the row that is duplicated.
    fn verdicts(threshold: f64, texts: &[&str]) -> Vec<Option<(String, usize)>> {
        let step = DedupStep::build(&MinHashDedup { threshold, ..MinHashDedup::default() });
        let row = |i: usize| json!({"text": texts[i]}).as_object().unwrap().clone();
        let id = |i: usize| RowId::unreadable("test", i as u64);
        let mut seen = step.begin();
        let mut verdicts = Vec::new();
        for i in 0..texts.len() {
            let mut fetch = |offset: u64| Ok(row(offset as usize));
            let dropped = step.look(&mut seen, &row(i), &mut fetch).unwrap();
            if dropped.is_none() {
                seen.keep(id(i), i as u64);
            }
            verdicts.push(dropped.map(|dropped| {
                let of = (0..i).find(|of| dropped.detail.contains(&id(*of).to_string()));
                (dropped.reason, of.unwrap())
            }));
        }
        verdicts
    }

    #[test]
    fn the_first_of_equal_and_near_texts_goes_on() {
        let long = "Explain to a child of ten why the sky is blue at noon and red at dusk.";
        let near = "Explain to a child of ten why the sky is blue at noon and red at dusk!";
        let texts = [long, "other", near, " other ", near, long, "Other"];
        let equal = |of| Some((EQUAL.to_owned(), of));
        let like = |of| Some((NEAR.to_owned(), of));
        let found = verdicts(0.9, &texts);
        assert_eq!(found, [None, None, like(0), equal(1), like(0), equal(0), like(1)]);
        let strict = verdicts(1.0, &texts);
        assert_eq!(strict, [None, None, None, equal(1), equal(2), equal(0), None]);
    }

    #[test]
    fn a_row_without_the_text_is_dropped_for_that() {
        let step = DedupStep::build(&MinHashDedup::default());
        let row = json!({"text": null});
        let dropped = step
            .look(&mut step.begin(), row.as_object().unwrap(), &mut |_| unreachable!())
            .unwrap()
            .unwrap();
        assert_eq!(dropped.reason, "`text` is not text");
        assert!(!step.only_flags(&dropped));
    }
}
