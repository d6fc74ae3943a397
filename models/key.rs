//! What makes two checkpoints the same: the key under which runs and quantised copies are kept.
//!
//! All small files count whole: configuration, tokenizer, template. Of the weights, names, sizes
//! and headers count, and slices spread over each file: two fine-tunes of one base have equal
//! headers, but differ everywhere else. A digest of every byte was refused, because 140 GB would
//! be read at each start, and remembering it by time stamp would trust the clock of whoever copied
//! the folder. So a key tells models apart; it does not vouch for every bit of one.

use std::fmt;

use crate::error::{Error, Result};
use crate::files::Files;
use crate::weights::{Checkpoint, Shard};

/// Files besides the weights that change what a model answers.
const SMALL_FILES: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// Slices taken of a shard.
const N_SLICES: usize = 64;

/// Bytes of one slice; a shard with no more than all slices together is read whole.
const SLICE: usize = 64 << 10;

/// Raised whenever what is hashed changes.
const FORMAT: &[u8] = b"stillroom model key 1";

/// The key of a checkpoint: equal for a copy of it in another place, another for any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ModelKey(String);

impl ModelKey {
    /// The key of a checkpoint; `commit` is the Hub's, where it came from there.
    ///
    /// # Errors
    /// When a file cannot be read or a shard is damaged.
    pub fn of(files: impl Into<Files>, commit: Option<&str>) -> Result<Self> {
        let files = files.into();
        Self::of_checkpoint(&files, &Checkpoint::open(&files)?, commit)
    }

    pub(crate) fn of_checkpoint(
        files: &Files,
        checkpoint: &Checkpoint,
        commit: Option<&str>,
    ) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, FORMAT);
        add(&mut hasher, commit.unwrap_or_default().as_bytes());
        for name in SMALL_FILES {
            if let Some(bytes) = files.read(name).map_err(Error::read(&files.path(name)))? {
                add(&mut hasher, name.as_bytes());
                add(&mut hasher, &bytes);
            }
        }
        for shard in checkpoint.shards() {
            add_shard(&mut hasher, shard);
        }
        Ok(Self(hasher.finalize().to_hex()[..32].to_owned()))
    }

    /// 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn add_shard(hasher: &mut blake3::Hasher, shard: &Shard) {
    let n_bytes = shard.n_bytes();
    let name = shard.path().file_name().unwrap_or_default().to_string_lossy();
    add(hasher, name.as_bytes());
    add(hasher, &(n_bytes as u64).to_le_bytes());
    add(hasher, shard.slice(0..shard.n_header()));
    if n_bytes <= N_SLICES * SLICE {
        add(hasher, shard.slice(0..n_bytes));
    } else {
        for i in 0..N_SLICES {
            let start = (n_bytes - SLICE) / (N_SLICES - 1) * i;
            add(hasher, shard.slice(start..start + SLICE));
        }
    }
    shard.release(0..n_bytes);
}

/// Each field with its length, so that no two sequences of fields hash alike.
fn add(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tiny::{self, Shape};

    #[test]
    fn copies_share_a_key_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let llama = Shape::named("llama").unwrap();
        let a = tiny::cached(&llama, 1, root.path()).unwrap();
        let key = ModelKey::of(&a, None).unwrap();
        let copy = root.path().join("copy");
        tiny::write(&llama, 1, &copy).unwrap();
        assert_eq!(ModelKey::of(&copy, None).unwrap(), key);
        assert_ne!(ModelKey::of(&copy, Some("0123")).unwrap(), key);

        let judge = tiny::cached(&Shape::named("judge").unwrap(), 1, root.path()).unwrap();
        assert_ne!(ModelKey::of(&judge, None).unwrap(), key, "same headers, other weights");
        let template = copy.join("chat_template.jinja");
        fs::write(&template, "{{ messages }}").unwrap();
        assert_ne!(ModelKey::of(&copy, None).unwrap(), key, "another template");
    }
}
