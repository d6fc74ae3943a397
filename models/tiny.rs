//! Checkpoints with seeded random weights in the real formats: `config.json`, sharded safetensors
//! with an index, a trained `tokenizer.json`, a chat template, `generation_config.json`.
//!
//! Tests, benches and the examples run on them with no network, through the same loader as a real
//! model. Their words mean nothing, but their numbers behave: context changes the logits, and no
//! token is certain. The same shape and seed give the same bytes on every machine, so nothing here
//! uses a transcendental function whose last bit a platform may choose.

mod noise;
mod shapes;
mod tensors;
mod tokenizer;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use shapes::Shape;

use crate::config::ModelConfig;
use crate::draft::draft_beside;
use crate::error::{Error, Result};

/// Raised whenever the bytes that a shape and a seed give change.
const FORMAT: u32 = 1;

/// Writes the checkpoint of `shape` and `seed` into `folder`, which must not exist yet. Its files
/// appear all at once: they are written beside it and the folder is renamed into place.
///
/// # Errors
/// When something is there already, or the disk refuses.
pub fn write(shape: &Shape, seed: u64, folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::write(parent))?;
    let draft = draft_beside(folder);
    fs::create_dir_all(&draft).map_err(Error::write(&draft))?;
    let written = write_files(shape, seed, &draft)
        .and_then(|()| fs::rename(&draft, folder).map_err(Error::write(folder)));
    if written.is_err() {
        // The first error is the one to report; what is left of the draft is only litter.
        let _ = fs::remove_dir_all(&draft);
    }
    written
}

/// The folder under `root` that holds the checkpoint of `shape` and `seed`, written if absent.
/// Two callers at once are safe: the one who comes second uses what the first has written.
///
/// # Errors
/// When the disk refuses.
pub fn cached(shape: &Shape, seed: u64, root: &Path) -> Result<PathBuf> {
    let folder = root.join(format!("tiny-{}-{seed}-v{FORMAT}", shape.name));
    if folder.is_dir() {
        return Ok(folder);
    }
    match write(shape, seed, &folder) {
        Err(Error::Write { .. }) if folder.is_dir() => Ok(folder),
        Err(error) => Err(error),
        Ok(()) => Ok(folder),
    }
}

fn write_files(shape: &Shape, seed: u64, folder: &Path) -> Result<()> {
    let words = tokenizer::train(shape.config.architecture)?;
    assert!(words.n_tokens <= shape.config.vocab_size, "{}: vocabulary too small", shape.name);
    let config = ModelConfig { bos: Some(words.bos), eos: vec![words.eos], ..shape.config.clone() };
    let generation = json!({
        "bos_token_id": words.bos,
        "eos_token_id": words.all_eos,
        "do_sample": true,
        "temperature": 0.7,
    });
    write_json(&folder.join("config.json"), &config.to_json(shape.stored))?;
    write_json(&folder.join("generation_config.json"), &generation)?;
    write_json(&folder.join("tokenizer.json"), &words.tokenizer)?;
    write_json(&folder.join("tokenizer_config.json"), &words.settings(config.max_context))?;
    tensors::write(shape, seed, folder)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = format!("{value:#}\n");
    fs::write(path, text).map_err(Error::write(path))
}

#[cfg(test)]
mod tests;
