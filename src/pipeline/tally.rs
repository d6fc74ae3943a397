//! Counts of a run, kept while it goes on and told to the watcher.

use std::collections::BTreeMap;

use super::watch::{Event, StepRows, Summary, Tokens, Watcher};
use crate::recipe::spec::Recipe;

/// Counts what happens.
pub(crate) struct Tally<'a> {
    recipe: &'a Recipe,
    watcher: &'a mut dyn Watcher,
    /// `[steps]`, of the current stage.
    steps: Vec<StepCount>,
    /// `[models]`, of all stages.
    tokens: Vec<Tokens>,
    n_roots: u64,
    /// `[steps]` whose rows the watcher was told about in an earlier stage.
    told: Vec<bool>,
}

#[derive(Debug, Clone, Default)]
struct StepCount {
    /// Rows made, in all stages.
    n_made: u64,
    /// Rows found or made, in this stage.
    n_seen: u64,
    /// Drops met in this stage.
    dropped: BTreeMap<String, u64>,
    notes: BTreeMap<&'static str, u64>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(recipe: &'a Recipe, watcher: &'a mut dyn Watcher) -> Self {
        let steps = vec![StepCount::default(); recipe.steps.len()];
        let tokens = vec![Tokens::default(); recipe.models.len()];
        let told = vec![false; recipe.steps.len()];
        Self { recipe, watcher, steps, tokens, n_roots: 0, told }
    }

    /// A new stage meets again the rows of the steps that earlier ones ran.
    pub(crate) fn start_stage(&mut self, told: Vec<bool>) {
        self.told = told;
        self.n_roots = 0;
        for step in &mut self.steps {
            step.n_seen = 0;
            step.dropped.clear();
        }
    }

    pub(crate) fn tell(&mut self, event: &Event<'_>) {
        self.watcher.on(event);
    }

    pub(crate) fn row(&mut self, step: usize, reused: bool) {
        self.steps[step].n_seen += 1;
        self.steps[step].n_made += u64::from(!reused);
        if !self.told[step] {
            self.watcher.on(&Event::Row { step: &self.recipe.steps[step].0, reused });
        }
    }

    pub(crate) fn dropped(&mut self, step: usize, reason: &str, reused: bool) {
        let reasons = &mut self.steps[step].dropped;
        match reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                reasons.insert(reason.to_owned(), 1);
            }
        }
        if !self.told[step] {
            self.watcher.on(&Event::Dropped { step: &self.recipe.steps[step].0, reason, reused });
        }
    }

    pub(crate) fn note(&mut self, step: usize, note: &'static str) {
        *self.steps[step].notes.entry(note).or_default() += 1;
    }

    pub(crate) fn answered(&mut self, model: usize, tokens: Tokens) {
        self.tokens[model] += tokens;
        self.watcher.on(&Event::Answered { model: &self.recipe.models[model].0, tokens });
    }

    pub(crate) fn root_done(&mut self) {
        self.n_roots += 1;
        self.watcher.on(&Event::RootDone { n_done: self.n_roots });
    }

    /// What it all came to.
    pub(crate) fn summary(&self) -> Summary {
        let named = |step: usize| self.recipe.steps[step].0.clone();
        let mut summary = Summary { n_roots: self.n_roots, ..Summary::default() };
        for (i, step) in self.steps.iter().enumerate() {
            summary.rows.push(StepRows {
                step: named(i),
                n_made: step.n_made,
                n_reused: step.n_seen.saturating_sub(step.n_made),
            });
            if !step.dropped.is_empty() {
                summary.dropped.insert(named(i), step.dropped.clone());
            }
            if !step.notes.is_empty() {
                let notes = step.notes.iter().map(|(note, n)| ((*note).to_owned(), *n));
                summary.notes.insert(named(i), notes.collect());
            }
        }
        for ((name, _), tokens) in self.recipe.models.iter().zip(&self.tokens) {
            summary.tokens.insert(name.clone(), *tokens);
        }
        summary
    }
}
