//! Files into a data set repository of the Hub: what differs is uploaded, then there is one commit.
//!
//! Everything is compared before anything is sent, so what is there already costs nothing, and a
//! push that was interrupted at any point is repeated from its beginning. The commit names the one
//! that was compared with; where somebody else's has come in between, or where its own answer was
//! lost, the comparison is made anew. It must not know what the files mean: the caller says which
//! there shall be and what becomes of others.

#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod commit;
#[cfg(feature = "hub")]
mod hashed;
#[cfg(feature = "hub")]
mod lfs;
#[cfg(feature = "hub")]
mod plan;
#[cfg(feature = "hub")]
mod repository;
#[cfg(feature = "hub")]
mod session;
#[cfg(feature = "hub")]
mod storage;

use std::path::PathBuf;

#[cfg(feature = "hub")]
pub use session::{check, preview, push};

#[cfg(not(feature = "hub"))]
use super::{HubOptions, Progress};
#[cfg(not(feature = "hub"))]
use crate::{Error, Result};

/// What a repository shall hold.
pub struct Push<'a> {
    /// `owner/name`, or `name` alone for one of the token's own user.
    pub repo: &'a str,
    /// The branch; made where it is not there.
    pub branch: &'a str,
    /// Whether only its owner and those that they invite may see the repository.
    pub is_private: bool,
    /// The commit's first line, and after it what else there is to say.
    pub message: &'a str,
    /// The files that shall be there.
    pub files: Vec<LocalFile>,
    /// What becomes of a file that is not among them, from the repository's README.md (if it has
    /// one) and the file's name.
    pub fate: &'a dyn Fn(Option<&str>, &str) -> Fate,
}

/// A file to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its name in the repository.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is worth a commit; otherwise it goes along with others.
    pub is_news: bool,
}

/// What becomes of a file of the repository that is not pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is nobody's business here.
    Stays,
    /// It is left over from an earlier push and is deleted.
    Goes,
    /// It would be taken for a part of what is pushed, so nothing is.
    Clashes,
}

/// What was pushed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `owner/name`.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// Whether the repository was not there before.
    pub is_created: bool,
    /// The branch's last commit afterwards; none where nothing was made.
    pub commit: Option<String>,
    /// Whether this push made that commit.
    pub is_new: bool,
    /// The page of the commit, or of the branch where there is none.
    pub url: String,
    /// Files that were sent, with their bytes.
    pub sent: Vec<(String, u64)>,
    /// Files that stayed as they were.
    pub same: Vec<String>,
    /// Files that were deleted.
    pub deleted: Vec<String>,
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn push(
    push: &Push<'_>,
    _options: &HubOptions,
    _tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Pushed> {
    Err(no_hub(push.repo))
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn preview(push: &Push<'_>, _options: &HubOptions) -> Result<Pushed> {
    Err(no_hub(push.repo))
}

/// This build has no HTTP client: says so.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub fn check(repo: &str, _branch: &str, _options: &HubOptions) -> Result<()> {
    Err(no_hub(repo))
}

#[cfg(not(feature = "hub"))]
fn no_hub(repo: &str) -> Error {
    Error::Usage {
        what: format!("cannot push to {repo}: this build has no Hub in it"),
        hint: "build with the feature `hub`; the run's `dataset` folder is a repository as it is"
            .into(),
    }
}
