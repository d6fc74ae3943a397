//! `stillroom plan`: what a run would do. It reads small files and headers, never weights.

use super::args::PlanArgs;
use super::models::{bytes, local};
use super::run::{limit, read};
use super::screen::Screen;
use crate::Result;
use crate::pipeline::Plan;

/// Plans a recipe and shows the plan.
pub(super) fn plan(args: &PlanArgs, screen: &Screen) -> Result<()> {
    let mut models = local(&args.recipe.machine, screen, false)?;
    let limit = limit(&args.recipe);
    let recipe = read(&args.recipe, limit, &mut models)?;
    let mut models = models.deterministic(recipe.deterministic).only_planned();
    let plan = Plan::build(&recipe, limit, &mut models)?;
    screen.answer(args.json, &plan, || shown(&plan));
    Ok(())
}

fn shown(plan: &Plan) -> String {
    let mut lines = vec![format!("{}: {} rows to begin with", plan.name, plan.n_roots)];
    lines.push(String::new());
    let width = plan.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for step in &plan.steps {
        let n_rows = step.n_rows.map_or("?".to_owned(), |n| n.to_string());
        let model = step.model.as_ref().map_or(String::new(), |model| format!(" by {model}"));
        let after = match step.parents.as_slice() {
            [] => String::new(),
            parents => format!(", after {}", parents.join(", ")),
        };
        lines.push(format!("  {:width$} {n_rows:>8} rows  {}{model}{after}", step.name, step.kind));
    }
    lines.push(String::new());
    let width = plan.models.iter().map(|model| model.name.len()).max().unwrap_or(0);
    for model in &plan.models {
        lines.push(format!(
            "  {:width$} {}: {} of weights, at least {} for keys and values, context {}",
            model.name,
            model.spec.source,
            bytes(model.facts.weight_bytes),
            bytes(model.facts.kv_bytes_min),
            model.facts.max_context,
        ));
        lines.extend(model.facts.notes.iter().map(|note| format!("  {:width$} note: {note}", "")));
    }
    lines.extend(plan.notes.iter().map(|note| format!("  note: {note}")));
    lines.push(format!("  memory for all of it: {}", bytes(plan.budget_bytes)));
    if plan.stages.len() > 1 {
        lines.push(String::new());
        lines.push("The models do not fit together and take turns:".to_owned());
        for (idx, stage) in plan.stages.iter().enumerate() {
            let (models, steps) = (stage.models.join(", "), stage.steps.join(", "));
            lines.push(format!("  {}. {models} for {steps}", idx + 1));
        }
    }
    lines.join("\n")
}
