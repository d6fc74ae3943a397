//! A recipe before its checks: every value read, none believed, each with its place.
//!
//! A file and the Rust API both end here, so that both meet the same checks.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;
use super::place::{Findings, Place};
use super::spec::{ModelSpec, Named, Step};

/// A recipe before its checks.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) deterministic: bool,
    pub(super) test_share: f64,
    /// Places of the keys at the top.
    pub(super) marks: Marks,
    pub(super) models: Named<Drafted<ModelSpec>>,
    pub(super) steps: Named<Drafted<Step>>,
    pub(super) graph: Graph,
}

/// A value with the places of its parts.
#[derive(Debug, Clone)]
pub(super) struct Drafted<T> {
    /// `None` when not even its type is known.
    pub(super) value: Option<T>,
    pub(super) marks: Marks,
}

/// Places of the keys of one table, and which of them are already known to be wrong.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    /// `steps.judge`, for messages; empty at the top.
    pub(super) path: String,
    /// Where the table begins.
    pub(super) place: Place,
    /// By key, dotted below the table.
    pub(super) keys: BTreeMap<String, Place>,
    /// Keys whose value was replaced by a default because it could not be read.
    pub(super) wrong: BTreeSet<String>,
}

impl Marks {
    /// No places, as for a value made in Rust.
    pub(super) fn nowhere(path: String) -> Self {
        Self { path, place: Place::Nowhere, keys: BTreeMap::new(), wrong: BTreeSet::new() }
    }

    /// Adds a fault about the value of `key`, unless its value was no value to begin with.
    pub(super) fn fault(
        &self,
        key: &str,
        found: &mut Findings,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let parent = key.split('.').next().unwrap_or(key);
        if !self.wrong.contains(key) && !self.wrong.contains(parent) {
            let place = self.keys.get(key).or_else(|| self.keys.get(parent));
            found.add(place.unwrap_or(&self.place), message, hint.map(str::to_owned));
        }
    }

    /// `key` with the path of its table before it, in backticks.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() { format!("`{key}`") } else { format!("`{}.{key}`", self.path) }
    }
}
