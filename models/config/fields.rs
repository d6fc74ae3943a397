//! One JSON object of a checkpoint, read key by key with faults that name key, value and wish.
//!
//! Knows JSON and the file's name, nothing of models. Numbers are bounded here, so that no later
//! product of two of them can overflow.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Largest value of any size in a configuration. The product of two fits 64 bits with room.
const COUNT_MAX: u64 = 1 << 28;

/// A JSON object and the file that it came from.
pub(super) struct Fields {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads a file that holds one JSON object.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &std::fs::read(path).map_err(Error::read(path))?)
    }

    /// The object in the bytes of a file.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let Value::Object(map) = value else {
            let what = "holds no JSON object".to_owned();
            return Err(Error::Config { path: path.to_owned(), what });
        };
        Ok(Self { path: path.to_owned(), map })
    }

    /// An object inside this one; none when absent or null.
    pub(super) fn object(&self, key: &str) -> Result<Option<Self>> {
        match self.present(key) {
            None => Ok(None),
            Some(Value::Object(map)) => {
                Ok(Some(Self { path: self.path.clone(), map: map.clone() }))
            }
            Some(other) => Err(self.wanted(key, other, "an object")),
        }
    }

    /// An error about this file.
    pub(super) fn fault(&self, what: String) -> Error {
        Error::Config { path: self.path.clone(), what }
    }

    /// Whether the key is there, be it null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Whether the key is there and not null.
    pub(super) fn is_present(&self, key: &str) -> bool {
        self.present(key).is_some()
    }

    /// A size of at least 1.
    pub(super) fn count(&self, key: &str) -> Result<usize> {
        self.count_if_present(key)?
            .ok_or_else(|| self.fault(format!("{key} is missing, wanted a whole number above 0")))
    }

    /// A size of at least 1; none when absent or null.
    pub(super) fn count_if_present(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=COUNT_MAX).contains(&n) => Ok(usize::try_from(n).ok()),
            _ => Err(self.wanted(key, value, &format!("a whole number from 1 to {COUNT_MAX}"))),
        }
    }

    /// A finite number; none when absent or null.
    pub(super) fn number_if_present(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.present(key) else { return Ok(None) };
        match value.as_f64() {
            Some(x) if x.is_finite() => Ok(Some(x)),
            _ => Err(self.wanted(key, value, "a number")),
        }
    }

    /// True or false; false when absent or null.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.present(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wanted(key, other, "true or false")),
        }
    }

    /// A text; none when absent or null.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.present(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wanted(key, other, "a text")),
        }
    }

    /// A list of texts; empty when absent or null.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&str>> {
        let Some(value) = self.present(key) else { return Ok(Vec::new()) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.wanted(key, value, "a list of texts"))
    }

    /// A token id or a list of them; none when absent or null.
    pub(super) fn token_ids(&self, key: &str) -> Result<Option<Vec<u32>>> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value.as_array() {
            Some(list) => list.iter().map(id).collect(),
            None => id(value).map(|id| vec![id]),
        };
        match ids {
            Some(ids) => Ok(Some(ids)),
            None => Err(self.wanted(key, value, "a token id or a list of them")),
        }
    }

    fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wanted(&self, key: &str, found: &Value, wanted: &str) -> Error {
        self.fault(format!("{key} is {found}, wanted {wanted}"))
    }
}
