//! A row of the data and its identity.
//!
//! Identity is content, never arrival: a root row is the hash of its columns and of its occurrence
//! number among equal rows; every other row is the hash of its parent, its step and its ordinal
//! among its siblings. So a resumed run meets the rows of the first one.

use std::fmt;

use serde_json::{Map, Value};

/// Columns of a row, in the order in which steps added them.
pub type Columns = Map<String, Value>;

/// 128 bits that name a row across runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub [u8; 16]);

/// A row between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub id: RowId,
    /// Its columns.
    pub columns: Columns,
}

impl RowId {
    /// The id of a row that was read or written down, not derived from another.
    ///
    /// `occurrence` counts the rows with the same columns that came before it.
    pub fn root(columns: &Columns, occurrence: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"root\0");
        hasher.update(Value::Object(columns.clone()).to_string().as_bytes());
        hasher.update(&occurrence.to_le_bytes());
        Self::finish(&hasher)
    }

    /// The id of the row that `step` makes of this one, `ordinal`-th among its siblings.
    pub fn child(&self, step: &str, ordinal: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"child\0");
        hasher.update(&self.0);
        hasher.update(step.as_bytes());
        hasher.update(&[0]);
        hasher.update(&ordinal.to_le_bytes());
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for RowId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("a row id is 32 hexadecimal digits, not `{text}`");
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut id = [0; 16];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(id))
    }
}
