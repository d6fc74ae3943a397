//! What can go wrong for which the user or the machine must be told.
//!
//! Bad data is no error: it is counted and kept in `dropped.jsonl`. Our own faults are assertions.
//! Each error names the thing, the clashing values and the way out, and maps to one exit code.

use std::io::{self, ErrorKind};
use std::path::Path;

/// The result of everything that can fail for a reason outside this program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure that ends a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recipe is wrong; every fault that was found, each with its place.
    #[error(transparent)]
    Recipe(#[from] crate::recipe::Faults),

    /// The command line asks for something that cannot be.
    #[error("{what}")]
    Usage {
        /// The thing and the clashing values.
        what: String,
        /// The way out.
        hint: String,
    },

    /// Device, memory, model or disk.
    #[error("{what}")]
    Environment {
        /// The thing and the clashing values.
        what: String,
        /// The way out.
        hint: String,
        /// What the machine said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },

    /// The Hub or another remote place.
    #[error("{what}")]
    Remote {
        /// The thing and the clashing values.
        what: String,
        /// The way out.
        hint: String,
        /// What the network said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },

    /// What was asked for was done, and what it was to show is not so.
    #[error("{what}")]
    Gate {
        /// What was found.
        what: String,
        /// The way out.
        hint: String,
    },

    /// The run was stopped from outside after its last finished row was written.
    #[error("interrupted; what was finished is kept")]
    Interrupted {
        /// The command that goes on.
        resume: String,
    },
}

impl Error {
    /// An [`Error::Environment`] without a cause.
    pub fn environment(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Environment { what: what.into(), hint: hint.into(), source: None }
    }

    /// An [`Error::Environment`] with its cause.
    pub fn environment_from(
        what: impl Into<String>,
        hint: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Environment { what: what.into(), hint: hint.into(), source: Some(source.into()) }
    }

    /// An [`Error::Environment`] for what the disk refused; `deed` is what was tried, such as
    /// `write`. Every room's disk faults come through here, so that a full disk reads the same
    /// wherever it happens.
    pub fn disk(deed: &str, path: &Path, source: io::Error) -> Self {
        let is = |kinds: &[ErrorKind]| kinds.contains(&source.kind());
        let mut what = format!("cannot {deed} {}", path.display());
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        let hint = if is(&full) {
            what += ": the disk is full";
            "free some space, then run the same command again; finished rows are kept"
        } else if is(&[ErrorKind::NotFound]) {
            what += ": there is no such file or folder";
            "check the path"
        } else if is(&[ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem]) {
            "give yourself the right to do so, or choose another folder"
        } else {
            "check the disk and the path, then run the same command again; finished rows are kept"
        };
        Self::environment_from(what, hint, source)
    }

    /// The way out, in a sentence.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Recipe(_) => None,
            Self::Usage { hint, .. }
            | Self::Environment { hint, .. }
            | Self::Remote { hint, .. }
            | Self::Gate { hint, .. } => Some(hint),
            Self::Interrupted { resume } => Some(resume),
        }
    }

    /// 1 a gate, 2 recipe or usage, 3 environment, 4 remote, 130 interrupted. (0 is success.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Gate { .. } => 1,
            Self::Recipe(_) | Self::Usage { .. } => 2,
            Self::Environment { .. } => 3,
            Self::Remote { .. } => 4,
            Self::Interrupted { .. } => 130,
        }
    }
}
