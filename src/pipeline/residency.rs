//! Which models are in memory when.
//!
//! What fits together runs together. What does not runs stage by stage, in the flow's order: each
//! model is loaded once where the flow allows it, and for that a model that still has to wait for
//! another is put off, so that one load serves its early and its late steps.

/// A step that needs a model, as the plan of stages sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// The step.
    pub(crate) step: usize,
    /// Index of its model.
    pub(crate) model: usize,
    /// Steps with a model that must be done before it.
    pub(crate) after: Vec<usize>,
}

/// Models in memory at the same time, and the steps that they finish.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Stage {
    /// Indices of the models, in the order in which they are loaded.
    pub(crate) models: Vec<usize>,
    /// Steps with a model that are done when the stage ends and were not before.
    pub(crate) steps: Vec<usize>,
}

/// Parts the needs into stages. `bytes[model]` must fit `budget` one by one.
pub(crate) fn stages(needs: &[Need], bytes: &[u64], budget: u64) -> Vec<Stage> {
    let mut done: Vec<usize> = Vec::new();
    let mut stages = Vec::new();
    while done.len() < needs.len() {
        let mut models: Vec<usize> = Vec::new();
        let mut used = 0;
        while let Some(model) = next_model(needs, &done, &models, |model| {
            bytes[model] <= budget.saturating_sub(used) || models.is_empty()
        }) {
            used += bytes[model];
            models.push(model);
        }
        assert!(!models.is_empty(), "a flow without cycles has a step that can go on");
        let steps = runnable(needs, &done, &models);
        done.extend(&steps);
        stages.push(Stage { models, steps });
    }
    stages
}

/// The model to add: the first in the flow's order whose steps could all be finished, else the
/// first with a step that could.
fn next_model(
    needs: &[Need],
    done: &[usize],
    models: &[usize],
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut first = None;
    for need in needs.iter().filter(|need| !done.contains(&need.step)) {
        let model = need.model;
        if models.contains(&model) || !fits(model) {
            continue;
        }
        let with = [models, &[model]].concat();
        let steps = runnable(needs, done, &with);
        let of_model = || needs.iter().filter(|n| n.model == model && !done.contains(&n.step));
        if of_model().all(|n| steps.contains(&n.step)) {
            return Some(model);
        }
        if first.is_none() && of_model().any(|n| steps.contains(&n.step)) {
            first = Some(model);
        }
    }
    first
}

/// Steps that these models can finish, given what is done.
fn runnable(needs: &[Need], done: &[usize], models: &[usize]) -> Vec<usize> {
    let mut steps: Vec<usize> = Vec::new();
    for need in needs {
        let ready = need.after.iter().all(|step| done.contains(step) || steps.contains(step));
        if ready && models.contains(&need.model) && !done.contains(&need.step) {
            steps.push(need.step);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(step: usize, model: usize, after: &[usize]) -> Need {
        Need { step, model, after: after.to_vec() }
    }

    fn check(needs: &[Need], bytes: &[u64], budget: u64, expect: &[(&[usize], &[usize])]) {
        let found = stages(needs, bytes, budget);
        let found: Vec<(&[usize], &[usize])> =
            found.iter().map(|stage| (&stage.models[..], &stage.steps[..])).collect();
        assert_eq!(found, expect);
    }

    /// Llama instructs and answers, Mixtral answers, the judge rates.
    fn math() -> Vec<Need> {
        vec![need(1, 0, &[]), need(3, 0, &[1]), need(4, 1, &[1]), need(6, 2, &[1, 3, 4])]
    }

    #[test]
    fn what_fits_together_runs_together() {
        check(&math(), &[8, 90, 70], 200, &[(&[0, 1, 2], &[1, 3, 4, 6])]);
        check(&math(), &[8, 90, 70], 100, &[(&[0, 1], &[1, 3, 4]), (&[2], &[6])]);
    }

    #[test]
    fn what_does_not_is_loaded_once_in_the_flows_order() {
        check(&math(), &[8, 9, 9], 10, &[(&[0], &[1, 3]), (&[1], &[4]), (&[2], &[6])]);
    }

    #[test]
    fn a_generator_that_also_judges_is_put_off() {
        let needs = [need(1, 0, &[]), need(2, 1, &[]), need(4, 0, &[1, 2])];
        check(&needs, &[9, 9], 10, &[(&[1], &[2]), (&[0], &[1, 4])]);
    }

    #[test]
    fn a_model_that_must_wait_in_between_is_loaded_twice() {
        let needs = [need(1, 0, &[]), need(2, 1, &[1]), need(4, 0, &[1, 2])];
        check(&needs, &[9, 9], 10, &[(&[0], &[1]), (&[1], &[2]), (&[0], &[4])]);
    }

    #[test]
    fn a_flow_without_models_has_no_stages() {
        check(&[], &[], 10, &[]);
    }
}
