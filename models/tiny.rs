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

use crate::config::{Architecture, ModelConfig, RopeScaling};
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
    write_json(&folder.join("config.json"), &to_json(&config, shape))?;
    write_json(&folder.join("generation_config.json"), &generation)?;
    write_json(&folder.join("tokenizer.json"), &words.tokenizer)?;
    write_json(&folder.join("tokenizer_config.json"), &words.settings(config.max_context))?;
    tensors::write(shape, seed, folder)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = format!("{value:#}\n");
    fs::write(path, text).map_err(Error::write(path))
}

/// `config.json` of a configuration, in the keys of the real files.
fn to_json(config: &ModelConfig, shape: &Shape) -> Value {
    let mut json = json!({
        "architectures": [config.architecture.name()],
        "model_type": config.architecture.model_type(),
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": plain(config.norm_eps),
        "rope_theta": plain(config.rope.theta),
        "rope_scaling": scaling_to_json(config.rope.scaling),
        "max_position_embeddings": config.max_context,
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.bos,
        "eos_token_id": config.eos[0],
        "torch_dtype": shape.stored.config_name(),
    });
    match config.architecture {
        Architecture::Llama => {
            json["attention_bias"] = json!(false);
            json["mlp_bias"] = json!(false);
        }
        Architecture::Mistral | Architecture::Mixtral => {
            json["sliding_window"] = json!(config.sliding_window);
        }
    }
    if let Some(experts) = config.experts {
        json["num_local_experts"] = json!(experts.n);
        json["num_experts_per_tok"] = json!(experts.n_per_token);
    }
    json
}

fn scaling_to_json(scaling: RopeScaling) -> Value {
    match scaling {
        RopeScaling::Plain => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": plain(factor) }),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            json!({
                "rope_type": "llama3",
                "factor": plain(factor),
                "low_freq_factor": plain(low_freq_factor),
                "high_freq_factor": plain(high_freq_factor),
                "original_max_position_embeddings": original_max_position_embeddings,
            })
        }
    }
}

/// The number as people write it: `1e-5`, not the nearest f32 in seventeen digits.
fn plain(number: f32) -> f64 {
    number.to_string().parse().expect("a float prints as a float")
}

#[cfg(test)]
mod tests;
