//! ExpandColumns: one row per item of a list.
//!
//! As in distilabel, a list that is renamed stays beside its items. Lists of unequal length, which
//! distilabel fills with whatever is at hand, drop the row.

use std::borrow::Cow;

use serde_json::Value;

use super::{Dropped, Plain, list};
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::{ColumnNames, ExpandColumns};

pub(super) struct ExpandStep {
    /// Old name and new name.
    columns: Vec<(String, String)>,
}

impl ExpandStep {
    pub(super) fn build(spec: &ExpandColumns) -> Self {
        let columns = match &spec.columns {
            ColumnNames::Kept(names) => {
                names.iter().map(|name| (name.clone(), name.clone())).collect()
            }
            ColumnNames::Renamed(names) => {
                names.iter().map(|(old, new)| (old.clone(), new.clone())).collect()
            }
        };
        Self { columns }
    }
}

impl Plain for ExpandStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        let mut lists: Vec<(&str, &[Value])> = Vec::new();
        for (old, new) in &self.columns {
            lists.push((new, list(row, old)?));
        }
        let lengths: Vec<usize> = lists.iter().map(|(_, items)| items.len()).collect();
        let n_rows = lengths.first().copied().unwrap_or(0);
        if lengths.iter().any(|length| *length != n_rows) {
            let detail = self.columns.iter().zip(&lengths);
            let detail: Vec<String> =
                detail.map(|((old, _), length)| format!("`{old}` has {length}")).collect();
            return Err(Dropped::new("lists of unequal length", detail.join(", ")));
        }
        if n_rows == 0 {
            return Err(Dropped::new("nothing to expand", "the list is empty"));
        }
        let expand = |i: usize| {
            let mut columns = (**row).clone();
            for (new, items) in &lists {
                columns.insert((*new).to_owned(), items[i].clone());
            }
            columns
        };
        Ok((0..n_rows).map(expand).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use serde_json::json;

    fn expand(columns: ColumnNames, row: Value) -> Result<Vec<Value>, Dropped> {
        let step = ExpandStep::build(&ExpandColumns { columns });
        let rows = step.apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW)?;
        Ok(rows.into_iter().map(Value::Object).collect())
    }

    fn renamed(old: &str, new: &str) -> ColumnNames {
        ColumnNames::Renamed([(old.to_owned(), new.to_owned())].into())
    }

    #[test]
    fn a_renamed_list_stays_beside_its_items() {
        let rows = expand(renamed("l", "x"), json!({"id": 1, "l": ["a", "b"]})).unwrap();
        assert_eq!(rows[0], json!({"id": 1, "l": ["a", "b"], "x": "a"}));
        assert_eq!(rows[1]["x"], "b");
        let rows = expand(ColumnNames::Kept(vec!["l".to_owned()]), json!({"l": ["a"]})).unwrap();
        assert_eq!(rows, [json!({"l": "a"})]);
    }

    #[test]
    fn lists_that_do_not_match_drop_the_row() {
        let both = ColumnNames::Kept(vec!["a".to_owned(), "b".to_owned()]);
        let dropped = expand(both, json!({"a": [1], "b": [1, 2]})).unwrap_err();
        assert_eq!(dropped, Dropped::new("lists of unequal length", "`a` has 1, `b` has 2"));
        assert_eq!(
            expand(renamed("l", "x"), json!({"l": []})).unwrap_err().reason,
            "nothing to expand"
        );
        assert_eq!(
            expand(renamed("l", "x"), json!({"l": null})).unwrap_err(),
            Dropped::new("`l` is not a list", "it is null")
        );
    }
}
