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
    let graph = &draft.graph;
    let is_end = |step: usize| step_of(draft, step).is_some_and(|(_, step)| step.is_end());
    let name = |step: usize| graph.names[step].0.as_str();
    let mut first = None;
    for end in (0..graph.names.len()).filter(|step| is_end(*step)) {
        if let Some(first) = first {
            let message = format!("`{}` pushes what `{}` pushes", name(end), name(first));
            let hint =
                "one PushToHub a recipe; `stillroom push hub RUN --repo NAME` pushes a run again";
            found.add(&graph.names[end].1, message, Some(hint.to_owned()));
            continue;
        }
        first = Some(end);
        for edge in graph.edges.iter().filter(|edge| edge.from == end) {
            let message =
                format!("`{}` comes after `{}`, which gives no rows", name(edge.to), name(end));
            let hint = format!("PushToHub ends a flow: put `>> {}` last", name(end));
            found.add(&edge.place, message, Some(hint));
        }
        let feeds = |step: usize| {
            let mut fed = graph.edges.iter().filter(|edge| edge.from == step);
            fed.find(|edge| !is_end(edge.to)).map(|edge| edge.to)
        };
        let parents = graph.parents(end);
        for edge in graph.edges.iter().filter(|edge| edge.to == end) {
            if let Some(fed) = feeds(edge.from) {
                let (from, end) = (name(edge.from), name(end));
                let message = format!(
                    "`{end}` comes after `{from}`, which feeds `{}`: its rows are not in the data set",
                    name(fed)
                );
                let hint = format!("`{end}` takes what the flow ends in: put `>> {end}` there");
                found.add(&edge.place, message, Some(hint));
            }
        }
        let is_left =
            |step: &usize| feeds(*step).is_none() && !is_end(*step) && !parents.contains(step);
        if let Some(left) = (0..graph.names.len()).find(is_left).filter(|_| !parents.is_empty()) {
            let message =
                format!("the data set that `{}` pushes holds `{}` too", name(end), name(left));
            let hint = format!("say so: `[..., {}] >> {}`", name(left), name(end));
            found.add(&graph.names[end].1, message, Some(hint));
        }
    }
}
