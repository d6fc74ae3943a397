//! A repository that is read: its name and a revision become paths and addresses, so they may hold
//! only what the Hub allows.

use hf_hub::{Repo, RepoType};

use crate::{Error, Result};

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    DataSet,
}

/// A repository of the Hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepoId<'a> {
    pub(super) kind: Kind,
    /// `org/name`, or `name` of the oldest ones.
    pub(super) name: &'a str,
}

impl RepoId<'_> {
    /// hf-hub's word for it, at a revision.
    pub(super) fn at(&self, revision: &str) -> Repo {
        let kind = match self.kind {
            Kind::Model => RepoType::Model,
            Kind::DataSet => RepoType::Dataset,
        };
        Repo::with_revision(self.name.to_owned(), kind, revision.to_owned())
    }

    /// Its page below the Hub's address, which its files' addresses begin with.
    pub(super) fn page(&self) -> String {
        self.at("main").url()
    }
}

/// Checks a repository's and a revision's names.
///
/// # Errors
/// [`Error::Usage`], with what a name looks like.
pub(super) fn check_names(repo: &str, revision: &str) -> Result<()> {
    let wrong = |what: String, hint: &str| Err(Error::Usage { what, hint: hint.into() });
    if !matches!(repo.split('/').count(), 1 | 2) || !repo.split('/').all(is_word) {
        let hint = "write it as the Hub does, org/name; a local folder begins with ./ or /";
        return wrong(format!("`{repo}` is no repository of the Hub"), hint);
    }
    if !revision.split('/').all(is_word) {
        return wrong(
            format!("`{revision}` is no revision"),
            "name a branch, a tag or a commit; main is the usual one",
        );
    }
    Ok(())
}

fn is_word(part: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    is_safe(part) && part.bytes().all(is_letter)
}

/// Whether a name from the network stays inside the folder that it is joined to.
pub(super) fn is_safe(name: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
    name.split('/').all(part)
}

/// A part of an address, with everything outside the plainest letters encoded.
pub(super) fn encoded(part: &str) -> String {
    let letter = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    part.bytes().map(letter).collect()
}
