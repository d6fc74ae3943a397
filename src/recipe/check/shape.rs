//! The flow's shape: names, order, and how many parents each step has.

use super::{step_of, table};
use crate::recipe::draft::Draft;
use crate::recipe::flow::is_name_char;
use crate::recipe::nearest::did_you_mean;
use crate::recipe::place::Findings;

/// Every step of the flow has a table, every table is in the flow, every name can name a file.
pub(super) fn check_names(draft: &Draft, found: &mut Findings) {
    let tables = draft.steps.iter().map(|(name, _)| name.as_str());
    for (name, place) in &draft.graph.names {
        if table(&draft.steps, name).is_none() {
            let hint = did_you_mean(name, tables.clone());
            let hint = hint.unwrap_or_else(|| format!("add a table `[steps.{name}]`"));
            found.add(place, format!("the flow names `{name}`, which is no step"), Some(hint));
        }
    }
    let names = draft.models.iter().map(|(name, model)| (name, &model.marks));
    let names = names.chain(draft.steps.iter().map(|(name, step)| (name, &step.marks)));
    for (name, marks) in names {
        if name.is_empty() || !name.chars().all(is_name_char) {
            let hint = "letters, digits, `_` and `-`, since it also names a file";
            found.add(&marks.place, format!("`{name}` cannot be a name"), Some(hint.to_owned()));
        }
    }
    if draft.marks.wrong.contains("flow") {
        return;
    }
    for (name, step) in &draft.steps {
        if draft.graph.index_of(name).is_none() {
            let hint = format!("add it to `flow`, or delete `[steps.{name}]`");
            found.add(&step.marks.place, format!("step `{name}` is not in the flow"), Some(hint));
        }
    }
}

/// The order of the steps; `None` with a fault when there is none.
pub(super) fn check_order(draft: &Draft, found: &mut Findings) -> Option<Vec<usize>> {
    match draft.graph.order() {
        Ok(order) => Some(order),
        Err(cycle) => {
            let mut names: Vec<&str> =
                cycle.steps.iter().map(|step| draft.graph.names[*step].0.as_str()).collect();
            names.push(names[0]);
            let message = format!("the flow runs in a circle: {}", names.join(" >> "));
            let hint = "every step comes after the steps that feed it; take one `>>` out";
            found.add(&cycle.place, message, Some(hint.to_owned()));
            None
        }
    }
}

/// Loaders stand first, only joins and the flow's end have several parents; a join has at least two,
/// which descend from one step.
pub(super) fn check_parents(draft: &Draft, found: &mut Findings) {
    for (idx, (name, place)) in draft.graph.names.iter().enumerate() {
        let Some((_, step)) = step_of(draft, idx) else { continue };
        let kind = step.type_name();
        let parents = draft.graph.parents(idx);
        let listed = |sep: &str| {
            let names: Vec<&str> =
                parents.iter().map(|p| draft.graph.names[*p].0.as_str()).collect();
            names.join(sep)
        };
        let mut fault = |message: String, hint: String| found.add(place, message, Some(hint));
        match (step.is_loader(), step.is_join(), parents.len()) {
            (true, _, 0) | (false, false, 1) => (),
            (false, false, 2..) if step.is_end() => (),
            (true, _, _) => fault(
                format!("`{name}` loads data ({kind}) but comes after `{}`", listed("`, `")),
                "a loader stands at the start of the flow".to_owned(),
            ),
            (false, _, 0) => fault(
                format!("`{name}` ({kind}) has no step before it"),
                "a flow starts with LoadDataFromDicts, LoadDataFromFileSystem or LoadDataFromHub"
                    .to_owned(),
            ),
            (false, false, _) => fault(
                format!("`{name}` ({kind}) comes after several steps: `{}`", listed("`, `")),
                format!("join them first: `[{}] >> group >> {name}`", listed(", ")),
            ),
            (false, true, 1) => fault(
                format!("`{name}` ({kind}) joins branches but comes after `{}` alone", listed("")),
                format!("give it two or more: `[{}, ...] >> {name}`", listed("")),
            ),
            (false, true, _) => {
                let mut shared = draft.graph.lineage(parents[0]);
                for parent in &parents[1..] {
                    let lineage = draft.graph.lineage(*parent);
                    shared.retain(|step| lineage.contains(step));
                }
                if shared.is_empty() {
                    fault(
                        format!("`{name}` joins `{}`, which share no step", listed("`, `")),
                        "rows are joined by the row they come from: start from one loader"
                            .to_owned(),
                    );
                }
            }
        }
    }
}
