//! A row of the data and its identity.
//!
//! Identity is content, never arrival: a root row is the hash of its columns and of its occurrence
//! number among equal rows; every other row is the hash of its parent, its step and its ordinal
//! among its siblings. So a resumed run meets the rows of the first one.

use std::collections::HashMap;
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
        hasher.update(&serde_json::to_vec(columns).expect("columns are plain JSON"));
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

    /// The id of a record of a source that holds no readable row.
    pub fn unreadable(source: &str, record: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"unreadable\0");
        hasher.update(source.as_bytes());
        hasher.update(&[0]);
        hasher.update(&record.to_le_bytes());
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

/// Gives the rows of one source their ids, in the order in which they stand there.
#[derive(Debug, Default)]
pub struct Roots {
    /// How often the columns with this id (at occurrence 0) were seen: 16 + 8 bytes a row.
    seen: HashMap<RowId, u64>,
}

impl Roots {
    /// The row of these columns, equal rows told apart by their occurrence.
    pub fn row(&mut self, columns: Columns) -> Row {
        let first = RowId::root(&columns, 0);
        let seen = self.seen.entry(first).or_insert(0);
        let id = if *seen == 0 { first } else { RowId::root(&columns, *seen) };
        *seen += 1;
        Row { id, columns }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
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

impl serde::Serialize for RowId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RowId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Columns {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn equal_rows_get_ids_of_their_own_and_the_same_ones_each_time() {
        let ids = || {
            let mut roots = Roots::default();
            ["a", "b", "a", "a"]
                .map(|word| roots.row(columns(&format!(r#"{{"instruction":"{word}"}}"#))).id)
        };
        let [a0, b, a1, a2] = ids();
        assert_eq!(ids(), [a0, b, a1, a2]);
        let distinct: std::collections::BTreeSet<_> = [a0, b, a1, a2].into();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn an_id_survives_its_text() {
        let id = RowId::root(&columns("{}"), 0).child("expand", 3);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("xyz".parse::<RowId>().is_err());
        assert_eq!(serde_json::from_value::<RowId>(serde_json::to_value(id).unwrap()).unwrap(), id);
    }
}
