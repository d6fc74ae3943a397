//! Logits against candle-transformers in f32, on tiny checkpoints: a second, independent reading of
//! the same formats. Its models take one sequence at a time and compute the last row only.
//!
//! Its limits shape the cases: heads of `hidden / heads`, a Mixtral that knows no absent window,
//! and a window that lets a token see one more than `transformers` does.

#![allow(clippy::unwrap_used, reason = "clippy lets #[test] functions unwrap, but not helpers")]

mod support;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, mistral, mixtral};
use serde_json::{Value, json};
use stillroom_models::config::{Architecture, ModelConfig, RopeScaling};
use stillroom_models::tiny::{self, Shape};
use support::{Bench, gap};

/// Largest difference of a logit that counts as agreement.
const CLOSE: f32 = 1e-4;

/// Logits of the last row of one sequence.
type Oracle = Box<dyn FnMut(&[u32]) -> Result<Tensor>>;

#[test]
fn llama() {
    check(Shape::named("llama").unwrap());
}

#[test]
fn llama_tied_with_scaled_rope() {
    let mut shape = Shape::named("llama-wide").unwrap();
    shape.config.rope.scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64,
    };
    check(shape);
}

#[test]
fn mistral_with_a_window() {
    check(Shape::named("mistral").unwrap());
}

#[test]
fn mixtral() {
    check(Shape::named("mixtral").unwrap());
}

fn check(mut shape: Shape) {
    shape.config.max_context = 256;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("model");
    tiny::write(&shape, 5, &folder).unwrap();
    let config = ModelConfig::read(&folder).unwrap();
    let mut oracle = oracle(&folder, &config).unwrap();
    let mut bench = Bench::load(&folder, None);
    for n in [1, 2, 33, 100] {
        let ids: Vec<u32> = (0..n).map(|i| (i * i * 37 + 11) % 1000).collect();
        bench.clear();
        let mut seq = bench.sequence(ids.len());
        let ours = bench.run_last(&mut [(&mut seq, &ids)]);
        let theirs = oracle(&ids).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let found = gap(&ours[0], &theirs);
        assert!(found < CLOSE, "{n} tokens: {found}");
    }
}

fn oracle(folder: &Path, config: &ModelConfig) -> Result<Oracle> {
    let mut tensors = HashMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "safetensors") {
            tensors.extend(candle_core::safetensors::load(&path, &Device::Cpu)?);
        }
    }
    let vars = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let json = their_config(config);
    let input = |ids: &[u32]| Tensor::new(ids, &Device::Cpu)?.unsqueeze(0);
    Ok(match config.architecture {
        Architecture::Llama => {
            let config: llama::LlamaConfig = serde_json::from_value(json).expect("their config");
            let config = config.into_config(false);
            let model = llama::Llama::load(vars, &config)?;
            Box::new(move |ids| {
                let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
                model.forward(&input(ids)?, 0, &mut cache)
            })
        }
        Architecture::Mistral => {
            let config = serde_json::from_value(json).expect("their config");
            let mut model = mistral::Model::new(&config, vars)?;
            Box::new(move |ids| {
                model.clear_kv_cache();
                model.forward(&input(ids)?, 0)
            })
        }
        // It has no way to clear its cache, so each sequence gets a model of its own.
        Architecture::Mixtral => {
            let config = serde_json::from_value(json).expect("their config");
            Box::new(move |ids| {
                mixtral::Model::new(&config, vars.clone())?.forward(&input(ids)?, 0)
            })
        }
    })
}

/// The configuration in the keys and with the meanings of candle-transformers.
fn their_config(config: &ModelConfig) -> Value {
    let window = match config.architecture {
        Architecture::Mixtral => json!(config.max_context),
        Architecture::Llama | Architecture::Mistral => json!(config.sliding_window.map(|w| w - 1)),
    };
    let mut json = json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": f64::from(config.norm_eps),
        "rope_theta": config.rope.theta,
        "max_position_embeddings": config.max_context,
        "tie_word_embeddings": config.tied,
        "sliding_window": window,
        "num_experts_per_tok": config.experts.map(|experts| experts.n_per_token),
        "num_local_experts": config.experts.map(|experts| experts.n),
        "use_flash_attn": false,
    });
    if let RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    } = config.rope.scaling
    {
        json["rope_scaling"] = json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings,
        });
    }
    json
}
