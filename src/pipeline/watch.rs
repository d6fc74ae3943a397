//! What a run tells while it goes on, and what it says at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::plan::Plan;
use crate::llm::Answer;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The plan is made; nothing has been loaded.
    Planned(&'a Plan),
    /// The models of a stage may be loaded next; all roots pass by again.
    Stage {
        /// Its number, from 0.
        index: usize,
        /// How many there are.
        n_stages: usize,
    },
    /// A model's weights are about to be read.
    Loading {
        /// Its name in the recipe.
        model: &'a str,
    },
    /// Some more of a model's weights lie in their place.
    Reading {
        /// Its name in the recipe.
        model: &'a str,
        /// Parameters that do.
        n_done: u64,
        /// Parameters of the model.
        n_total: u64,
    },
    /// A model answers from now on.
    Loaded {
        /// Its name in the recipe.
        model: &'a str,
    },
    /// A model's memory was given back.
    Unloaded {
        /// Its name in the recipe.
        model: &'a str,
    },
    /// A row of a step was finished.
    Row {
        /// The step.
        step: &'a str,
        /// It was found on disk, not made.
        reused: bool,
    },
    /// A row was dropped.
    Dropped {
        /// The step.
        step: &'a str,
        /// Why.
        reason: &'a str,
        /// It had been dropped by an earlier run.
        reused: bool,
    },
    /// A model gave an answer.
    Answered {
        /// Its name in the recipe.
        model: &'a str,
        /// What it cost.
        tokens: Tokens,
    },
    /// A root row and all that came of it are done.
    RootDone {
        /// Roots done so far in this stage.
        n_done: u64,
    },
    /// Something the user should know.
    Note {
        /// In a sentence.
        text: &'a str,
    },
    /// The data set is being written.
    WritingDataset,
}

/// Someone who is told.
pub trait Watcher {
    /// Takes one event.
    fn on(&mut self, event: &Event<'_>);
}

/// A watcher who keeps nothing.
impl Watcher for () {
    fn on(&mut self, _event: &Event<'_>) {}
}

/// Tokens of one answer or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Tokens {
    /// Answers.
    pub n_answers: u64,
    /// Tokens of prompts.
    pub n_input: u64,
    /// Tokens of prompts that the prefix cache held.
    pub n_cached: u64,
    /// Tokens of answers.
    pub n_output: u64,
}

impl Tokens {
    /// Those of one answer.
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            n_answers: 1,
            n_input: answer.n_input_tokens as u64,
            n_cached: answer.n_cached_tokens as u64,
            n_output: answer.n_output_tokens as u64,
        }
    }
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.n_answers += other.n_answers;
        self.n_input += other.n_input;
        self.n_cached += other.n_cached;
        self.n_output += other.n_output;
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Summary {
    /// The run's folder; gone already after a dry run.
    pub folder: PathBuf,
    /// Rows of the leaf steps, which the data set is made of: pairs, where the leaf makes pairs.
    pub n_pairs: u64,
    /// Root rows.
    pub n_roots: u64,
    /// Rows of each step, in the flow's order: made now, and found finished.
    pub rows: Vec<StepRows>,
    /// Dropped rows by step and reason.
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Remarks that were counted, by step.
    pub notes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Tokens of each model, in this run of the command.
    pub tokens: BTreeMap<String, Tokens>,
    /// Wall-clock time of this run of the command, in seconds.
    pub seconds: f64,
}

/// Rows of one step.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct StepRows {
    /// The step.
    pub step: String,
    /// Rows made by this run of the command.
    pub n_made: u64,
    /// Rows that an earlier run had finished.
    pub n_reused: u64,
}

impl Summary {
    /// Dropped rows of all steps.
    pub fn n_dropped(&self) -> u64 {
        self.dropped.values().flat_map(|reasons| reasons.values()).sum()
    }
}
