//! Everything that is wrong with a recipe, found in one pass and shown at its place.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The thing and the clashing values.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// Bytes of the recipe's text that it concerns; `None` for a fault of `--set`.
    pub place: Option<Range<usize>>,
}

/// All faults of one recipe, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Name of the file, for messages.
    pub file: String,
    /// Its text.
    pub source: String,
    /// What is wrong, in the order of the file.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.faults.len();
        write!(f, "{} has {n} fault{}", self.file, if n == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Faults {}
