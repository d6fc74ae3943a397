//! Columns walked along the flow: each step finds what it needs.

use std::collections::BTreeMap;

use super::{Inspect, step_of};
use crate::data::read::ColumnPath;
use crate::recipe::contract::ColumnSet;
use crate::recipe::draft::{Draft, Marks};
use crate::recipe::nearest::{did_you_mean, listed, nearest};
use crate::recipe::place::Findings;
use crate::recipe::spec::Step;

/// Checks every step of the flow, in `order`.
pub(super) fn check(draft: &Draft, order: &[usize], inspect: Inspect<'_>, found: &mut Findings) {
    let mut sets: Vec<ColumnSet> = vec![ColumnSet::open(); order.len()];
    for idx in order {
        let Some((entry, step)) = step_of(draft, *idx) else { continue };
        let parents = draft.graph.parents(*idx);
        let mut file = None;
        let data = if let Step::LoadDataFromFileSystem(loader) = step {
            Some((loader.path.display().to_string(), &loader.columns))
        } else if let Step::LoadDataFromHub(loader) = step {
            Some((loader.repo_id.clone(), &loader.columns))
        } else {
            None
        };
        if let Some((name, columns)) = data {
            file = Some(()).filter(|()| entry.marks.wrong.is_empty()).and_then(|()| inspect(step));
            check_mapping(&name, columns, &entry.marks, file.as_deref(), found);
        }
        let mut missed = Vec::new();
        for parent in &parents {
            let name = &draft.graph.names[*parent].0;
            missed.extend(check_inputs(step, &entry.marks, name, &sets[*parent], found));
        }
        let feeding: Vec<&ColumnSet> = parents.iter().map(|parent| &sets[*parent]).collect();
        let mut set = step.outputs(&feeding, file.as_deref());
        // One fault for a missing column, not one more at every step after it.
        set.names.extend(missed);
        set.is_open |= !entry.marks.wrong.is_empty();
        sets[*idx] = set;
    }
}

/// Faults for what `step` needs and is not among the `columns` that `parent` leaves; returns it.
fn check_inputs(
    step: &Step,
    marks: &Marks,
    parent: &str,
    columns: &ColumnSet,
    found: &mut Findings,
) -> Vec<String> {
    let mut missed = Vec::new();
    let name = marks.path.trim_start_matches("steps.");
    for (column, key) in step.inputs() {
        if columns.may_have(&column) {
            continue;
        }
        let message = if step.is_join() {
            format!("`{name}` needs the column `{column}`, which `{parent}` does not provide")
        } else {
            format!("`{name}` needs the column `{column}`, which nothing before it provides")
        };
        let names = columns.names.iter().map(String::as_str);
        let hint = match nearest(&column, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the columns after `{parent}` are {}", listed(names)),
        };
        marks.fault(key.unwrap_or("type"), found, message, Some(&hint));
        missed.push(column);
    }
    missed
}

/// What a loader takes new columns from is in its file.
fn check_mapping(
    data: &str,
    columns: &BTreeMap<String, String>,
    marks: &Marks,
    file: Option<&[String]>,
    found: &mut Findings,
) {
    for path in columns.values() {
        let head = match ColumnPath::parse(path) {
            Ok(parsed) => parsed.head().to_owned(),
            Err(why) => {
                let message = format!("`{path}` is no path into a column: {why}");
                let hint = "write a column, or a path such as `turns[0]` or `meta.title`";
                marks.fault("columns", found, message, Some(hint));
                continue;
            }
        };
        let Some(file) = file else { continue };
        if !file.iter().any(|column| column == path || *column == head) {
            let message = format!("{data} has no column `{head}`");
            let hint = did_you_mean(&head, file.iter().map(String::as_str));
            marks.fault("columns", found, message, hint.as_deref());
        }
    }
}
