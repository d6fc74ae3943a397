//! The models of a stage, each opened when the first question for it comes.
//!
//! A run that finds all rows of a model on disk never reads its weights. It must not know rows:
//! who asks, and what, is the executor's business.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::log::Log;
use super::opener::{Opener, Opening};
use super::plan::Plan;
use super::tally::Tally;
use super::watch::{Event, Tokens};
use crate::Result;
use crate::llm::{Answer, Door};
use crate::recipe::spec::Recipe;
use crate::text::chat::Message;

/// The models that may be resident now.
pub(crate) struct Doors<'a> {
    recipe: &'a Recipe,
    opener: &'a mut dyn Opener,
    log: Log,
    /// Beginnings that all prompts of a step share, with the index of the step's model.
    shared: Vec<(usize, Vec<Message>)>,
    /// Bytes that each model of the stage may take.
    shares: BTreeMap<usize, u64>,
    /// Models of the next stage, as long as nothing of them was read.
    next: Vec<usize>,
    open: BTreeMap<usize, Open>,
}

/// A model in memory, and what it has done there.
struct Open {
    door: Box<dyn Door>,
    /// Time of its forwards.
    busy: Duration,
    tokens: Tokens,
}

impl<'a> Doors<'a> {
    /// No model may be opened before [`Doors::change_stage`] names some.
    pub(crate) fn new(
        recipe: &'a Recipe,
        opener: &'a mut dyn Opener,
        log: Log,
        shared: Vec<(usize, Vec<Message>)>,
    ) -> Self {
        let (shares, next, open) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { recipe, opener, log, shared, shares, next, open }
    }

    /// What happened is written here.
    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Closes what the stage of the `wanted` models does not need, and lets those be opened; the
    /// stage after it will want `next`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn change_stage(
        &mut self,
        [wanted, next]: [&[usize]; 2],
        plan: &Plan,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let resident: Vec<usize> = self.open.keys().copied().collect();
        for model in resident.into_iter().filter(|model| !wanted.contains(model)) {
            self.log_use(model)?;
            self.open.remove(&model);
            let name = &self.recipe.models[model].0;
            self.log.write("unloaded", json!({"model": name}))?;
            tally.tell(&Event::Unloaded { model: name });
            if let Some(note) = self.opener.closed(name) {
                self.log.write("note", json!({"model": name, "text": note}))?;
                tally.tell(&Event::Note { text: &format!("{name}: {note}") });
            }
        }
        self.next = next.iter().filter(|model| !wanted.contains(model)).copied().collect();
        let bytes: u64 = wanted.iter().map(|model| plan.models[*model].bytes()).sum();
        let spare = plan.budget_bytes.saturating_sub(bytes) / wanted.len().max(1) as u64;
        let share = |model: &usize| (*model, plan.models[*model].bytes() + spare);
        self.shares = wanted.iter().map(share).collect();
        Ok(())
    }

    /// A model of this stage, opened if nobody has asked it yet.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(crate) fn door(&mut self, model: usize, tally: &mut Tally<'_>) -> Result<&mut dyn Door> {
        if !self.open.contains_key(&model) {
            let door = self.open(model, tally)?;
            let (busy, tokens) = (Duration::ZERO, Tokens::default());
            self.open.insert(model, Open { door, busy, tokens });
        }
        Ok(&mut *self.open.get_mut(&model).expect("it was just opened").door)
    }

    /// Runs one forward of an open model and returns the answers that it finished.
    ///
    /// # Errors
    /// When the model fails.
    pub(crate) fn step(&mut self, model: usize) -> Result<Vec<Answer>> {
        let open = self.open.get_mut(&model).expect("only open models owe answers");
        let started = Instant::now();
        let answers = open.door.step()?;
        open.busy += started.elapsed();
        answers.iter().for_each(|answer| open.tokens += Tokens::of(answer));
        Ok(answers)
    }

    /// Writes down what the open models have done, where the run ends before its time.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn log_uses(&mut self) -> Result<()> {
        let models: Vec<usize> = self.open.keys().copied().collect();
        models.into_iter().try_for_each(|model| self.log_use(model))
    }

    fn log_use(&mut self, model: usize) -> Result<()> {
        let Open { door, busy, tokens } = &self.open[&model];
        let used = json!({
            "model": self.recipe.models[model].0,
            "seconds": busy.as_secs_f64(),
            "tokens": tokens,
            "engine": door.stats(),
        });
        self.log.write("used", used)
    }

    /// The name that rows of an open model carry.
    pub(crate) fn name(&self, model: usize) -> &str {
        self.open[&model].door.name()
    }

    /// The open models that owe an answer, in the recipe's order.
    pub(crate) fn busy(&self) -> Vec<usize> {
        let busy = self.open.iter().filter(|(_, open)| open.door.n_in_flight() > 0);
        busy.map(|(model, _)| *model).collect()
    }

    /// Questions in flight that keep all open models busy.
    pub(crate) fn n_wanted(&self) -> usize {
        self.open.values().map(|open| open.door.n_wanted()).sum()
    }

    fn open(&mut self, opened: usize, tally: &mut Tally<'_>) -> Result<Box<dyn Door>> {
        let (name, spec) = &self.recipe.models[opened];
        let bytes = *self.shares.get(&opened).expect("a step runs in the stage of its model");
        tally.tell(&Event::Loading { model: name });
        let started = Instant::now();
        let mut door = self.opener.open(name, spec, bytes, &mut |opening| match opening {
            Opening::Read { n_done, n_total } => {
                tally.tell(&Event::Reading { model: name, n_done, n_total });
            }
            Opening::Note(text) => tally.tell(&Event::Note { text: &format!("{name}: {text}") }),
        })?;
        for (_, messages) in self.shared.iter().filter(|(asked, _)| *asked == opened) {
            door.pin(messages);
        }
        let seconds = started.elapsed().as_secs_f64();
        self.log.write("loaded", json!({"model": name, "seconds": seconds}))?;
        tally.tell(&Event::Loaded { model: name });
        // Not before a model of this stage was needed: a run that finds all rows on disk reads
        // no weights. And not while one is read, for the disk is busy then.
        if self.shares.keys().all(|model| self.open.contains_key(model) || *model == opened) {
            for model in std::mem::take(&mut self.next) {
                let (name, spec) = &self.recipe.models[model];
                self.opener.read_ahead(name, spec);
            }
        }
        Ok(door)
    }
}
