//! Where a value of a recipe was written, and the gathering of what is wrong with it.
//!
//! Values come from the file, from a `--set` or from Rust. A fault is shown at its bytes in the
//! file; one of an override has none there and names the override instead.

use std::ops::Range;

use super::{Fault, Faults};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// These bytes of the recipe's text.
    File(Range<usize>),
    /// The override of this number.
    Set(usize),
    /// A value built in Rust, or one that is not there.
    Nowhere,
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    overrides: Vec<String>,
}

impl Findings {
    /// None yet; `overrides` are the texts that [`Place::Set`] counts.
    pub(super) fn new(overrides: &[String]) -> Self {
        Self { faults: Vec::new(), overrides: overrides.to_vec() }
    }

    /// Adds a fault.
    pub(super) fn add(&mut self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        let (message, place) = match place {
            Place::File(range) => (message.into(), Some(range.clone())),
            Place::Set(idx) => {
                (format!("`--set {}`: {}", self.overrides[*idx], message.into()), None)
            }
            Place::Nowhere => (message.into(), None),
        };
        let fault = Fault { message, hint, place };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All faults in the order of the file, those without a place last.
    pub(super) fn into_faults(mut self, file: &str, source: &str) -> Faults {
        self.faults.sort_by_key(|fault| fault.place.as_ref().map_or(usize::MAX, |at| at.start));
        Faults { file: file.to_owned(), source: source.to_owned(), faults: self.faults }
    }
}
