//! What can be asked of the step that takes the data set to the Hub, and where it stands.

use super::step_of;
use crate::hub::{check_branch, check_repo};
use crate::recipe::draft::{Draft, Marks};
use crate::recipe::place::Findings;
use crate::recipe::spec::PushToHub;

/// Names that the Hub takes.
pub(super) fn check(step: &PushToHub, marks: &Marks, found: &mut Findings) {
    if let Err(why) = check_repo(&step.repo_id) {
        let hint = "write it as the Hub does, `owner/name`";
        marks.fault("repo_id", found, format!("`{}` {why}", step.repo_id), Some(hint));
    }
    if let Err(why) = check_branch(&step.revision) {
        let hint = "name a branch; `main` is the usual one";
        marks.fault("revision", found, format!("`{}` {why}", step.revision), Some(hint));
    }
    if step.message.as_deref().is_some_and(|message| message.trim().is_empty()) {
        marks.fault("message", found, "`message` is empty", Some("delete it, or say something"));
    }
}

/// One at most, nothing after it, and the data set's leaves before it: all of them and no others,
/// since the data set is pushed as it is.
pub(super) fn check_ends(draft: &Draft, found: &mut Findings) {
    let names = &draft.graph.names;
    let mut ends = (0..names.len()).filter(|step| is_end(draft, *step));
    let Some(first) = ends.next() else { return };
    for end in ends {
        let message = format!("`{}` pushes what `{}` pushes", names[end].0, names[first].0);
        let hint =
            "one PushToHub a recipe; `stillroom push hub RUN --repo NAME` pushes a run again";
        found.add(&names[end].1, message, Some(hint.to_owned()));
    }
    if check_neighbours(draft, first, found) {
        check_leaves(draft, first, found);
    }
}

fn is_end(draft: &Draft, step: usize) -> bool {
    step_of(draft, step).is_some_and(|(_, step)| step.is_end())
}

/// The first step that takes the rows of `step`.
fn fed_by(draft: &Draft, step: usize) -> Option<usize> {
    let mut edges = draft.graph.edges.iter().filter(|edge| edge.from == step);
    edges.find(|edge| !is_end(draft, edge.to)).map(|edge| edge.to)
}

/// Nothing comes after it, and nothing before it that is no leaf; whether that is so.
fn check_neighbours(draft: &Draft, end: usize, found: &mut Findings) -> bool {
    let name = |step: usize| draft.graph.names[step].0.as_str();
    let mut is_good = true;
    for edge in &draft.graph.edges {
        let (message, hint) = if edge.from == end {
            let after = name(edge.to);
            (
                format!("`{after}` comes after `{}`, which gives no rows", name(end)),
                format!("PushToHub ends a flow: put `>> {}` last", name(end)),
            )
        } else if let Some(fed) = fed_by(draft, edge.from).filter(|_| edge.to == end) {
            let (from, end, fed) = (name(edge.from), name(end), name(fed));
            (
                format!(
                    "`{end}` comes after `{from}`, which feeds `{fed}`: its rows are not in the data \
                     set"
                ),
                format!("`{end}` takes what the flow ends in: put `>> {end}` there"),
            )
        } else {
            continue;
        };
        found.add(&edge.place, message, Some(hint));
        is_good = false;
    }
    is_good
}

/// It names all leaves.
fn check_leaves(draft: &Draft, end: usize, found: &mut Findings) {
    let names = &draft.graph.names;
    let parents = draft.graph.parents(end);
    let is_left = |step: &usize| {
        fed_by(draft, *step).is_none() && !is_end(draft, *step) && !parents.contains(step)
    };
    // Without a step before it there is another fault.
    if let Some(left) = (0..names.len()).find(is_left).filter(|_| !parents.is_empty()) {
        let (end, place) = &names[end];
        let left = &names[left].0;
        let message = format!("the data set that `{end}` pushes holds `{left}` too");
        found.add(place, message, Some(format!("say so: `[..., {left}] >> {end}`")));
    }
}
