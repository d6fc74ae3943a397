//! What a checkpoint is, told from its small files and headers without loading it.

use std::path::PathBuf;

use candle_core::DType;
use serde::Serialize;
use serde_json::Value;

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::key::ModelKey;
use crate::layout::pieces;
use crate::place::check;
use crate::weights::Checkpoint;

/// A checkpoint's facts, as `models inspect` shows them and `plan` uses them.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// The folder, or the name of a model that is part of the program.
    pub folder: PathBuf,
    /// The key of the checkpoint.
    pub key: ModelKey,
    /// The architecture's name in `config.json`.
    pub architecture: &'static str,
    /// Numbers in the checkpoint.
    pub n_params: usize,
    /// Numbers that one token meets.
    pub n_active_params: usize,
    /// Formats that the needed tensors are stored in.
    pub formats: Vec<&'static str>,
    /// Files with weights and their bytes.
    pub shards: Vec<(String, usize)>,
    /// Layers.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Query heads and key/value heads.
    pub heads: (usize, usize),
    /// Size of one head.
    pub head_dim: usize,
    /// Experts in a layer and experts a token takes.
    pub experts: Option<(usize, usize)>,
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub max_context: usize,
    /// Tokens that a row sees.
    pub sliding_window: Option<usize>,
    /// Bytes of keys and values for one token in 16 bits.
    pub kv_bytes_per_token_16: usize,
    /// The same in 32 bits, as on CPU.
    pub kv_bytes_per_token_32: usize,
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// Each ends a sequence.
    pub eos: Vec<u32>,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Whether there is a `tokenizer.json`.
    pub has_tokenizer: bool,
    /// Whether there is a chat template.
    pub has_template: bool,
}

/// Reads the facts of a checkpoint.
///
/// # Errors
/// When the configuration is not supported, or a tensor or shard is missing, misshapen or damaged.
pub fn inspect(files: impl Into<Files>) -> Result<Card> {
    let files = files.into();
    let config = ModelConfig::read(&files)?;
    let checkpoint = Checkpoint::open(&files)?;
    let pieces = pieces(&config);
    check(&pieces, &checkpoint)?;
    let mut formats = Vec::new();
    for piece in &pieces {
        for (i, (name, _)) in piece.parts.iter().enumerate() {
            let format = checkpoint.source(name, &piece.part_shape(i))?.stored.config_name();
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
    }
    let shards = checkpoint.shards().iter().map(|shard| {
        let name = shard.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, shard.n_bytes())
    });
    Ok(Card {
        folder: files.place().to_owned(),
        key: ModelKey::of_checkpoint(&files, &checkpoint, None)?,
        architecture: config.architecture.name(),
        n_params: config.n_params(),
        n_active_params: config.n_active_params(),
        formats,
        shards: shards.collect(),
        n_layers: config.n_layers,
        hidden_size: config.hidden_size,
        heads: (config.n_heads, config.n_kv_heads),
        head_dim: config.head_dim,
        experts: config.experts.map(|experts| (experts.n, experts.n_per_token)),
        vocab_size: config.vocab_size,
        max_context: config.max_context,
        sliding_window: config.sliding_window,
        kv_bytes_per_token_16: config.kv_bytes_per_token(DType::BF16),
        kv_bytes_per_token_32: config.kv_bytes_per_token(DType::F32),
        bos: config.bos,
        eos: config.eos,
        tied: config.tied,
        has_tokenizer: files.has("tokenizer.json"),
        has_template: has_template(&files)?,
    })
}

/// Templates lie in a file of their own or, in most checkpoints, in `tokenizer_config.json`.
fn has_template(files: &Files) -> Result<bool> {
    if files.has("chat_template.jinja") {
        return Ok(true);
    }
    let path = files.path("tokenizer_config.json");
    let Some(bytes) = files.read("tokenizer_config.json").map_err(Error::read(&path))? else {
        return Ok(false);
    };
    let settings: Value =
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })?;
    Ok(!settings["chat_template"].is_null())
}
