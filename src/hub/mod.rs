//! Checkpoints from the Hub, in the standard cache folder, which Python's client shares; data sets
//! to the Hub ([`push`]).
//!
//! Of hf-hub 0.5 this uses the names of the layout; the download is our own loop over its HTTP
//! client. Version 1.0 throws a partial file away. Version 0.5 goes on with it, but a retry whose
//! first attempt brought no byte asks from the start and appends to what is there, a server that
//! ignores the range is not noticed, no read has a time limit, and neither size nor digest is
//! checked. It must not know what the files mean beyond which of them a checkpoint needs.

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
pub mod data_set;
#[cfg(feature = "hub")]
mod digest;
#[cfg(feature = "hub")]
mod download;
mod env;
#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod files;
#[cfg(feature = "hub")]
mod hashing;
#[cfg(test)]
#[cfg(feature = "hub")]
pub(crate) mod loopback;
mod names;
#[cfg(feature = "hub")]
mod outline;
pub mod push;
#[cfg(feature = "hub")]
mod repo_id;
#[cfg(test)]
#[cfg(feature = "hub")]
mod tests;

use std::path::PathBuf;

pub use names::{check_branch, check_repo};

use crate::Result;
use crate::web::Patience;

/// Where the Hub is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Its address without a slash at the end.
    pub endpoint: String,
    /// What `hf auth login` keeps, or `HF_TOKEN`.
    pub token: Option<String>,
    /// The folder that holds `models--org--name`.
    pub cache: PathBuf,
    /// Open no socket; take what is in the cache or say what is not.
    pub offline: bool,
    /// How long the Hub is waited for.
    pub patience: Patience,
}

/// A checkpoint in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The folder of its files, which are links into the cache.
    pub folder: PathBuf,
    /// The commit that they are of.
    pub commit: String,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Its name in the repository.
    pub file: &'a str,
    /// Bytes that are here, those of an earlier attempt among them.
    pub n_done: u64,
    /// Bytes of the whole file.
    pub n_total: u64,
}

/// Brings the files of a checkpoint into the cache: `repo` is `org/name`, `revision` a branch, a
/// tag or a commit. Files that are there already are not asked for again, and a file that was
/// interrupted goes on where it stopped.
///
/// # Errors
/// [`crate::Error::Usage`] for a name that cannot be one, [`crate::Error::Remote`] when the Hub
/// refuses or cannot be reached, [`crate::Error::Environment`] when the disk refuses or, offline,
/// when files are missing.
#[cfg(feature = "hub")]
pub fn fetch(
    repo: &str,
    revision: &str,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint> {
    fetch::fetch(repo, revision, options, fetch::Extent::Whole, progress)
}

/// Brings what sizes and shapes can be read from, and no weights: a checkpoint in a folder below
/// `outlines` whose shards are holes behind their headers, or the whole one where it is in the
/// cache already.
///
/// # Errors
/// As [`fetch()`].
#[cfg(feature = "hub")]
pub fn outline(
    repo: &str,
    revision: &str,
    options: &HubOptions,
    outlines: &std::path::Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint> {
    let folder = outlines.join(repo.replace('/', "--"));
    fetch::fetch(repo, revision, options, fetch::Extent::Outline(&folder), progress)
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn outline(
    repo: &str,
    revision: &str,
    options: &HubOptions,
    _outlines: &std::path::Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint> {
    fetch(repo, revision, options, progress)
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn fetch(
    repo: &str,
    _revision: &str,
    _options: &HubOptions,
    _progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Checkpoint> {
    Err(crate::Error::Usage {
        what: format!("cannot fetch {repo}: this build has no Hub in it"),
        hint: "build with the feature `hub`, or name a local folder as the model's source".into(),
    })
}
