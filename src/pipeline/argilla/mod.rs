//! A run's rows before people, and what they said back in the run's folder.
//!
//! Both ways read the folder alone, so that a run which was stopped, or made last year, is pushed
//! and pulled as one that just ended. Nothing of who asks is written there.

#[cfg(feature = "hub")]
mod pull;
mod push;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::argilla::ArgillaAccess;
use crate::recipe::spec::{Recipe, Step};
use crate::{Error, Result};

/// Which rows and which data set; what is left out, the recipe of the run says.
#[derive(Debug, Clone)]
pub struct ArgillaOptions {
    /// Where Argilla is and who asks.
    pub access: ArgillaAccess,
    /// The step whose rows are meant; may be left out where only one can be.
    pub step: Option<String>,
    /// The data set; the run's name when nobody says.
    pub dataset: Option<String>,
    /// The workspace; the user's only one when nobody says.
    pub workspace: Option<String>,
    /// Most answers of a row; as many as there are when nobody says.
    pub num_generations: Option<usize>,
    /// Look at every row, and open no connection.
    pub dry_run: bool,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The server; absent where it is not known in a dry run.
    pub url: Option<String>,
    /// The workspace; absent where it is not known in a dry run.
    pub workspace: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The step whose rows these are.
    pub step: String,
    /// Most answers of a row.
    pub num_generations: usize,
    /// Its rows.
    pub n_rows: u64,
    /// Rows that make a record.
    pub n_records: u64,
    /// Records that are new there.
    pub n_created: u64,
    /// Records that were there.
    pub n_updated: u64,
    /// Rows with the same texts as one shortly before them, which are one record.
    pub n_same: u64,
    /// Rows that make no record, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Records that the server refused.
    pub n_refused: u64,
    /// The first of those.
    pub refused: Vec<RefusedRow>,
    /// Whether nothing was sent because nobody asked for it.
    pub is_dry_run: bool,
    /// Whether the run was finished; otherwise there are more rows to come.
    pub is_finished: bool,
}

/// A row whose record the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// The row's id.
    pub row: String,
    /// What the server says.
    pub reason: String,
}

/// What people said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// The file that holds it.
    pub file: PathBuf,
    /// The data set.
    pub dataset: String,
    /// The workspace that holds it.
    pub workspace: String,
    /// The step whose rows come first; rows that it lacks are found in other steps.
    pub step: String,
    /// Records of the data set.
    pub n_records: u64,
    /// Answers that were submitted to rows of the run.
    pub n_answers: u64,
    /// People who gave them.
    pub n_annotators: u64,
    /// Rows with an answer.
    pub n_rows: u64,
    /// Rows of those where an answer has no rating: the judge's stay.
    pub n_partly: u64,
    /// Rows where people prefer another answer than the judge does.
    pub n_overruled: u64,
    /// Answered records that belong to no row of the run.
    pub n_gone: u64,
    /// Ratings that are none of those that are asked for, and are not used.
    pub n_strange: u64,
    /// Answers that were begun and not submitted.
    pub n_drafts: u64,
    /// Records that somebody put aside.
    pub n_discarded: u64,
}

/// A data set that a recipe's step pushes to, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgillaChecked {
    /// The step.
    pub step: String,
    /// The server.
    pub url: String,
    /// The data set.
    pub dataset: String,
    /// Whether it is there; otherwise a push makes it.
    pub is_there: bool,
}

/// The names of the steps whose rows a recipe pushes to Argilla.
pub fn argilla_steps(recipe: &Recipe) -> Vec<&str> {
    let named =
        recipe.steps.iter().filter(|(_, step)| matches!(step, Step::PreferenceToArgilla(_)));
    named.map(|(name, _)| name.as_str()).collect()
}

/// Asks whether the rows of such a step could be pushed: server, version, key, workspace, and whether
/// a data set that is there fits. It makes nothing and is meant to be called before any model is
/// loaded.
///
/// # Errors
/// [`crate::Error::Usage`] when address or key are missing or no connection may be opened,
/// [`crate::Error::Remote`] when the server cannot be reached or would refuse.
pub fn check_argilla(
    recipe: &Recipe,
    step: &str,
    access: &ArgillaAccess,
) -> Result<ArgillaChecked> {
    let named = recipe.steps.iter().find(|(name, _)| name == step);
    let Some((_, Step::PreferenceToArgilla(spec))) = named else {
        let hint = format!("its steps of that kind are {}", argilla_steps(recipe).join(", "));
        return Err(Error::Usage { what: format!("`{step}` is no PreferenceToArgilla"), hint });
    };
    push::check(step, spec, access)
}

/// Pushes rows of a run: each is updated where it is there already and made where it is not.
/// `tell` hears how many records are on the server.
///
/// # Errors
/// As [`check_argilla`]; [`crate::Error::Usage`] when the folder holds no run or no such rows,
/// [`crate::Error::Environment`] when the disk refuses. What was sent by then is there, and the same
/// call goes on.
pub fn push_argilla(
    run: &Path,
    options: &ArgillaOptions,
    tell: &mut dyn FnMut(u64),
) -> Result<Pushed> {
    push::push(run, options, tell)
}

/// Brings people's answers into `human.jsonl` in the run's folder, in place of those of an earlier
/// pull.
///
/// # Errors
/// As [`push_argilla`], and when there is no such data set.
#[cfg(feature = "hub")]
pub fn pull_argilla(run: &Path, options: &ArgillaOptions) -> Result<Pulled> {
    pull::pull(run, options)
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn pull_argilla(_run: &Path, _options: &ArgillaOptions) -> Result<Pulled> {
    Err(no_network())
}

/// What a build without the network says.
#[cfg(not(feature = "hub"))]
fn no_network() -> crate::Error {
    crate::Error::Usage {
        what: "this build has no network in it, and Argilla is reached by nothing else".to_owned(),
        hint: "build with the feature `hub`; --dry-run looks at the rows without it".to_owned(),
    }
}
