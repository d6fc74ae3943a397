//! GroupColumns (CombineColumns): branches joined by row identity.
//!
//! The rows of one ancestor come in the flow's order, then sample order, whenever they arrived.
//! Other columns come from the last branch, as in distilabel; metadata is merged key by key.

use serde_json::Value;

use super::{Dropped, metadata};
use crate::data::row::Columns;
use crate::recipe::spec::GroupColumns;

/// The step, ready to join.
pub(crate) struct GroupStep {
    /// Column and the list that gathers it.
    columns: Vec<(String, String)>,
    min_generations: Option<usize>,
}

/// One row of a branch.
pub(crate) struct Branch<'a> {
    /// Its columns.
    pub(crate) columns: &'a Columns,
    /// It holds the answers of one row as lists: its items join the group, not the lists.
    pub(crate) spread: bool,
}

impl GroupStep {
    pub(crate) fn build(spec: &GroupColumns) -> Self {
        let name = |i: usize, column: &String| {
            let named = spec.output_columns.as_ref().and_then(|names| names.get(i)).cloned();
            named.unwrap_or_else(|| format!("grouped_{column}"))
        };
        Self {
            columns: spec
                .columns
                .iter()
                .enumerate()
                .map(|(i, column)| (column.clone(), name(i, column)))
                .collect(),
            min_generations: spec.min_generations,
        }
    }

    /// Joins the rows of one ancestor. `lost` tells of branch rows that were dropped on the way.
    pub(crate) fn join(
        &self,
        ancestor: &Columns,
        branches: &[Branch<'_>],
        lost: &[String],
    ) -> Result<Columns, Dropped> {
        let mut lists = vec![Vec::new(); self.columns.len()];
        let mut columns = Columns::new();
        let mut n_generations = 0;
        for branch in branches {
            n_generations += self.gather(branch, &mut lists)?;
            for (column, value) in branch.columns {
                let grouped = self.columns.iter().any(|(old, _)| old == column);
                if !grouped && !metadata::is_metadata(column) {
                    columns.insert(column.clone(), value.clone());
                }
            }
        }
        self.check_count(n_generations, lost)?;
        for ((_, new), list) in self.columns.iter().zip(lists) {
            columns.insert(new.clone(), Value::Array(list));
        }
        if let Some(merged) = metadata::merge(ancestor, branches.iter().map(|b| b.columns)) {
            columns.insert("distilabel_metadata".to_owned(), merged);
        }
        Ok(columns)
    }

    /// Adds one branch row to the lists; returns how many entries it gave.
    fn gather(&self, branch: &Branch<'_>, lists: &mut [Vec<Value>]) -> Result<usize, Dropped> {
        let n_entries = if branch.spread { self.n_spread(branch.columns)? } else { 1 };
        for ((column, _), list) in self.columns.iter().zip(lists) {
            let value = branch
                .columns
                .get(column)
                .ok_or_else(|| Dropped::new(format!("no column `{column}`"), "in a branch"))?;
            match value.as_array().filter(|_| branch.spread) {
                Some(items) => list.extend(items.iter().cloned()),
                None => list.extend(std::iter::repeat_n(value, n_entries).cloned()),
            }
        }
        Ok(n_entries)
    }

    /// Length of the lists that a row of grouped answers holds.
    fn n_spread(&self, row: &Columns) -> Result<usize, Dropped> {
        let mut lengths = self.columns.iter().filter_map(|(column, _)| match row.get(column) {
            Some(Value::Array(items)) => Some(items.len()),
            Some(_) | None => None,
        });
        let n_entries = lengths.next().unwrap_or(1);
        if let Some(other) = lengths.find(|length| *length != n_entries) {
            return Err(Dropped::new(
                "lists of unequal length",
                format!("{n_entries} and {other} in one branch"),
            ));
        }
        Ok(n_entries)
    }

    fn check_count(&self, n_generations: usize, lost: &[String]) -> Result<(), Dropped> {
        let enough = match self.min_generations {
            Some(min) => n_generations >= min,
            None => lost.is_empty(),
        };
        if enough && n_generations > 0 {
            return Ok(());
        }
        let wanted = self.min_generations.map_or("all".to_owned(), |min| min.to_string());
        let mut detail = format!("{n_generations} of {wanted}");
        if let Some(first) = lost.first() {
            detail = format!("{detail}; {first}");
        }
        Err(Dropped::new("too few answers", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(min_generations: Option<usize>) -> GroupStep {
        GroupStep::build(&GroupColumns {
            columns: vec!["generation".to_owned(), "model_name".to_owned()],
            output_columns: Some(vec!["generations".to_owned(), "model_names".to_owned()]),
            min_generations,
        })
    }

    fn join(step: &GroupStep, rows: &[(Value, bool)], lost: &[&str]) -> Result<Value, Dropped> {
        let ancestor = json!({"distilabel_metadata": {"raw_output_first": "f"}});
        let branches: Vec<Branch<'_>> = rows
            .iter()
            .map(|(row, spread)| Branch { columns: row.as_object().unwrap(), spread: *spread })
            .collect();
        let lost: Vec<String> = lost.iter().map(|text| (*text).to_owned()).collect();
        step.join(ancestor.as_object().unwrap(), &branches, &lost).map(Value::Object)
    }

    fn answer(text: &str, step: &str) -> Value {
        json!({
            "instruction": "i", "generation": text, "model_name": step,
            "distilabel_metadata": {"raw_output_first": "f", format!("raw_output_{step}"): text},
        })
    }

    #[test]
    fn lists_gather_and_metadata_merges() {
        let rows =
            [(answer("x", "a"), false), (answer("y", "b"), false), (answer("z", "b"), false)];
        assert_eq!(
            join(&group(None), &rows, &[]).unwrap(),
            json!({
                "instruction": "i",
                "generations": ["x", "y", "z"],
                "model_names": ["a", "b", "b"],
                "distilabel_metadata": {
                    "raw_output_first": "f", "raw_output_a": "x", "raw_output_b": ["y", "z"],
                },
            })
        );
    }

    #[test]
    fn grouped_answers_join_as_answers() {
        let grouped = json!({"generation": ["p", "q"], "model_name": "g"});
        let rows = [(answer("x", "a"), false), (grouped, true)];
        let joined = join(&group(None), &rows, &[]).unwrap();
        assert_eq!(joined["generations"], json!(["x", "p", "q"]));
        assert_eq!(joined["model_names"], json!(["a", "g", "g"]));
    }

    #[test]
    fn a_lost_branch_counts_against_the_least() {
        let rows = [(answer("x", "a"), false)];
        let dropped = join(&group(None), &rows, &["b: empty prompt"]).unwrap_err();
        assert_eq!(dropped, Dropped::new("too few answers", "1 of all; b: empty prompt"));
        assert!(join(&group(Some(1)), &rows, &["b: empty prompt"]).is_ok());
        assert!(join(&group(Some(2)), &rows, &[]).is_err());
        assert!(join(&group(None), &[], &[]).is_err());
    }
}
