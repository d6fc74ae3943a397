//! Everything that a recipe can be refused for once its values are read.
//!
//! Nothing here stops at the first fault, and a fault must not make another: a step that could
//! not be read counts as one that may leave any column and may use any model.

mod columns;
mod filters;
mod judge;
mod pairs;
mod params;
mod push;
mod shape;

use super::draft::{Draft, Drafted};
use super::place::Findings;
use super::spec::{ModelSpec, Named, PushStep, Recipe, Step};

/// Looks into the data of a loader: its columns, or `None` when it cannot tell.
pub type Inspect<'a> = &'a dyn Fn(&Step) -> Option<Vec<String>>;

/// The recipe, if `found` is empty afterwards.
pub(super) fn check(draft: Draft, inspect: Inspect<'_>, found: &mut Findings) -> Option<Recipe> {
    check_top(&draft, found);
    params::check_models(&draft, found);
    for (_, step) in &draft.steps {
        params::check_step(step, found);
    }
    shape::check_names(&draft, found);
    let order = shape::check_order(&draft, found)?;
    shape::check_parents(&draft, found);
    push::check_ends(&draft, found);
    columns::check(&draft, &order, inspect, found);
    judge::check(&draft, found);
    if !found.is_empty() {
        return None;
    }
    Some(build(draft, &order))
}

fn check_top(draft: &Draft, found: &mut Findings) {
    let is_plain = draft.name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if draft.name.is_empty() || draft.name.starts_with('.') || !is_plain {
        let message = format!("`{}` cannot name a run's folder", draft.name);
        let hint = "letters, digits, `-`, `_` and `.`, which does not come first";
        draft.marks.fault("name", found, message, Some(hint));
    }
    if !(0.0..1.0).contains(&draft.test_share) {
        let message = format!("`test_share` is {:?}", draft.test_share);
        let hint = "a share of the prompts: from 0 (no test split), below 1";
        draft.marks.fault("test_share", found, message, Some(hint));
    }
    if i64::try_from(draft.seed).is_err() {
        let message = format!("the seed {} is larger than TOML can hold", draft.seed);
        draft.marks.fault("seed", found, message, Some("take one below 2^63"));
    }
}

/// Puts the steps in order; only called when nothing is wrong.
fn build(draft: Draft, order: &[usize]) -> Recipe {
    let is_end = |step: &usize| step_of(&draft, *step).is_some_and(|(_, step)| step.is_end());
    let flow: Vec<usize> = order.iter().copied().filter(|step| !is_end(step)).collect();
    let place_of = |step: usize| flow.iter().position(|other| *other == step);
    let mut steps = Named::<Step>::new();
    let mut parents = Vec::new();
    let mut push = None;
    for step in order {
        let (name, _) = &draft.graph.names[*step];
        let value = table(&draft.steps, name).and_then(|table| table.value.clone());
        let value = value.expect("a step of the flow has a table of a known type");
        let before = draft.graph.parents(*step).into_iter().filter_map(place_of).collect();
        if let Step::PushToHub(spec) = value {
            push = Some(PushStep { name: name.clone(), spec, parents: before });
        } else {
            steps.push((name.clone(), value));
            parents.push(before);
        }
    }
    let model = |(name, model): (String, Drafted<ModelSpec>)| Some((name, model.value?));
    Recipe {
        name: draft.name,
        seed: draft.seed,
        deterministic: draft.deterministic,
        test_share: draft.test_share,
        models: draft.models.into_iter().filter_map(model).collect(),
        steps,
        parents,
        push,
    }
}

/// The entry called `name`.
fn table<'d, T>(named: &'d Named<Drafted<T>>, name: &str) -> Option<&'d Drafted<T>> {
    named.iter().find(|(known, _)| known == name).map(|(_, entry)| entry)
}

/// The step behind a number of the graph.
fn step_of(draft: &Draft, step: usize) -> Option<(&Drafted<Step>, &Step)> {
    let entry = table(&draft.steps, &draft.graph.names[step].0)?;
    Some((entry, entry.value.as_ref()?))
}
