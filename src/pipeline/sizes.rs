//! How many rows each step makes if nothing is dropped, as far as the recipe alone tells.

use super::graph::{GatherKind, Graph};
use crate::recipe::spec::{ColumnNames, PairPolicy, Recipe, Step};

/// Rows of each step; `n_roots` holds those of the loaders.
pub(crate) fn n_rows(recipe: &Recipe, graph: &Graph, n_roots: &[u64]) -> Vec<Option<u64>> {
    let mut n_rows: Vec<Option<u64>> = Vec::with_capacity(recipe.steps.len());
    for (step, n_roots) in n_roots.iter().enumerate() {
        let from = graph.lines[step].get(1).map_or(Some(*n_roots), |from| n_rows[*from]);
        let factor = factor(recipe, graph, step);
        n_rows.push(from.zip(factor).map(|(rows, factor)| rows * factor));
    }
    n_rows
}

/// Answers that a step is shown at once, when a group above it gathers a known number.
pub(crate) fn n_texts(recipe: &Recipe, graph: &Graph, step: usize) -> Option<usize> {
    let above = graph.lines[step].iter();
    let gathers = &graph.gathers;
    let mut joins = above.filter_map(|step| {
        let group = gathers.iter().find(|gather| gather.step == *step)?;
        if let GatherKind::Join { spread } = &group.kind { Some((group, spread)) } else { None }
    });
    let (group, spread) = joins.next()?;
    let mut n_texts = 0;
    for (parent, spread) in graph.parents[group.step].iter().zip(spread) {
        let mut n = 1;
        for step in graph.lines[*parent].iter().take_while(|step| **step != group.ancestor) {
            n *= factor(recipe, graph, *step)?;
            if let (true, Step::TextGeneration(spec)) = (spread, &recipe.steps[*step].1)
                && spec.group_generations
            {
                n *= spec.num_generations as u64;
            }
        }
        n_texts += n;
    }
    usize::try_from(n_texts).ok()
}

/// Rows that a step makes of one row.
fn factor(recipe: &Recipe, graph: &Graph, step: usize) -> Option<u64> {
    match &recipe.steps[step].1 {
        Step::TextGeneration(spec) if !spec.group_generations => Some(spec.num_generations as u64),
        Step::ExpandColumns(spec) => {
            let mut old_names: Box<dyn Iterator<Item = &String>> = match &spec.columns {
                ColumnNames::Kept(names) => Box::new(names.iter()),
                ColumnNames::Renamed(names) => Box::new(names.keys()),
            };
            old_names.any(|name| name == "instructions").then_some(())?;
            let mut above = graph.lines[step].iter().map(|above| &recipe.steps[*above].1);
            above.find_map(|above| match above {
                Step::SelfInstruct(spec) => Some(spec.num_instructions as u64),
                Step::LoadDataFromDicts(_)
                | Step::LoadDataFromFileSystem(_)
                | Step::LoadDataFromHub(_)
                | Step::ExpandColumns(_)
                | Step::KeepColumns(_)
                | Step::TextGeneration(_)
                | Step::GroupColumns(_)
                | Step::FilterRows(_)
                | Step::DropRefusals(_)
                | Step::DropTruncated(_)
                | Step::MinHashDedup(_)
                | Step::UltraFeedback(_)
                | Step::FormatTextGenerationDPO(_)
                | Step::PreferenceToArgilla(_)
                | Step::PushToHub(_) => None,
            })
        }
        Step::FormatTextGenerationDPO(spec) if spec.policy == PairPolicy::AllOrdered => {
            let n_texts = n_texts(recipe, graph, step)? as u64;
            let n_pairs = n_texts * n_texts.saturating_sub(1) / 2;
            Some(spec.max_pairs_per_prompt.map_or(n_pairs, |n_max| n_pairs.min(n_max as u64)))
        }
        Step::FormatTextGenerationDPO(_) => Some(1),
        Step::LoadDataFromDicts(_)
        | Step::LoadDataFromFileSystem(_)
        | Step::LoadDataFromHub(_)
        | Step::SelfInstruct(_)
        | Step::KeepColumns(_)
        | Step::TextGeneration(_)
        | Step::GroupColumns(_)
        | Step::FilterRows(_)
        | Step::DropRefusals(_)
        | Step::DropTruncated(_)
        | Step::MinHashDedup(_)
        | Step::UltraFeedback(_)
        | Step::PreferenceToArgilla(_)
        | Step::PushToHub(_) => Some(1),
    }
}
