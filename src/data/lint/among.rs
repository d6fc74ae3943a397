//! A row among those before it: copies, opposites, prompts in two splits.

use std::collections::{HashMap, HashSet};

use super::lengths::Lengths;
use super::rules::{Facts, Rule};

/// What a row is known by: hashes of its prompt, of the whole row, and of its opposite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) prompt: u64,
    pub(super) row: u64,
    pub(super) opposite: u64,
}

/// The rows so far.
#[derive(Debug, Default)]
pub(super) struct Among {
    /// Lengths of their answers.
    pub(super) lengths: Lengths,
    rows: HashSet<u64>,
    /// The first split that each prompt was in.
    splits: HashMap<u64, &'static str>,
    /// `[rows]` prompts; nothing of a row that could not be read.
    prompts: Vec<Option<u64>>,
}

impl Among {
    /// Takes in a row and says what is wrong with it among the others.
    pub(super) fn see(&mut self, facts: &Facts, split: &'static str) -> Vec<Rule> {
        self.prompts.push(facts.keys.map(|keys| keys.prompt));
        let Some(Keys { prompt, row, opposite }) = facts.keys else { return Vec::new() };
        match (&facts.lengths[..], facts.label) {
            ([chosen, rejected], _) => self.lengths.see_pair(*chosen, *rejected),
            ([answer, ..], Some(label)) => self.lengths.see(*answer, label),
            _ => unreachable!("a row has two answers, or one with a label"),
        }
        let mut rules = Vec::new();
        if *self.splits.entry(prompt).or_insert(split) != split {
            rules.push(Rule::SplitLeak);
        }
        if !self.rows.insert(row) {
            rules.push(Rule::Duplicate);
        } else if row != opposite && self.rows.contains(&opposite) {
            rules.push(Rule::Contradiction);
        }
        rules
    }

    /// Whether two rows have different prompts: those of one prompt may well be alike.
    pub(super) fn differ_in_prompt(&self, row: u32, other: u32) -> bool {
        self.prompts[row as usize] != self.prompts[other as usize]
    }
}
