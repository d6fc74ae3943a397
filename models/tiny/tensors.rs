//! The tensors of a shape and the shards that hold them, generated one at a time while written.
//!
//! Names and shapes are those of the real checkpoints. Deviations follow the width of a row, so
//! that activations neither fade nor blow up, and the head is scaled for logits of a spread that
//! real models have: the likeliest of a thousand tokens takes a tenth or so.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use safetensors::tensor::{Dtype, View};
use serde_json::{Map, json};

use super::noise::Noise;
use super::shapes::Shape;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::stored::Stored;

/// Standard deviation of a logit.
const LOGIT_SPREAD: f32 = 2.5;

/// One tensor to be written.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    mean: f32,
    deviation: f32,
    noise: Noise,
    stored: Stored,
}

/// Writes all shards and their index.
pub(super) fn write(shape: &Shape, seed: u64, folder: &Path) -> Result<()> {
    let tensors = tensors(shape, seed);
    let n_bytes: usize = tensors.iter().map(Tensor::data_len).sum();
    let n_shards = shape.n_shards;
    let mut places = Map::new();
    let mut shards: Vec<Vec<Tensor>> = (0..n_shards).map(|_| Vec::new()).collect();
    let mut n_before = 0;
    for tensor in tensors {
        let shard = (n_before * n_shards / n_bytes).min(n_shards - 1);
        n_before += tensor.data_len();
        places.insert(tensor.name.clone(), json!(shard_name(shard, n_shards)));
        shards[shard].push(tensor);
    }
    write_shards(shards, folder)?;
    if n_shards > 1 {
        let index = json!({ "metadata": { "total_size": n_bytes }, "weight_map": places });
        super::write_json(&folder.join("model.safetensors.index.json"), &index)?;
    }
    Ok(())
}

/// Writes the shards, one a thread: the numbers of a tensor depend on nothing but its name, and the
/// large shapes have billions of them.
fn write_shards(shards: Vec<Vec<Tensor>>, folder: &Path) -> Result<()> {
    let n_shards = shards.len();
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(n_shards);
    let next = Mutex::new(shards.into_iter().enumerate());
    let write_some = || {
        loop {
            let taken = next.lock().expect("no thread has panicked").next();
            let Some((i, shard)) = taken else { return Ok(()) };
            write_shard(shard, &folder.join(shard_name(i, n_shards)))?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(write_some)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("writing does not panic"))
    })
}

fn shard_name(i: usize, n_shards: usize) -> String {
    if n_shards == 1 {
        "model.safetensors".to_owned()
    } else {
        format!("model-{:05}-of-{n_shards:05}.safetensors", i + 1)
    }
}

fn write_shard(tensors: Vec<Tensor>, path: &Path) -> Result<()> {
    let named = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(named, Some(metadata), path).map_err(|error| Error::Write {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })
}

fn tensors(shape: &Shape, seed: u64) -> Vec<Tensor> {
    let tensors = names(&shape.config).into_iter().map(|(name, dims)| {
        let is_norm = dims.len() == 1;
        let deviation = match name.as_str() {
            _ if is_norm => 0.1,
            // A tied head is an embedding; its rows are met by normed activations of unit size.
            "lm_head.weight" | "model.embed_tokens.weight" => spread(LOGIT_SPREAD, dims[1]),
            _ => spread(1.0, dims[1]),
        };
        let mean = if is_norm { 1.0 } else { 0.0 };
        let noise = Noise::new(seed, &format!("{}/{name}", shape.name));
        Tensor { name, shape: dims, mean, deviation, noise, stored: shape.stored }
    });
    tensors.collect()
}

/// Deviation of weights whose product with a row of `n` unit variables deviates by `wanted`.
fn spread(wanted: f32, n: usize) -> f32 {
    wanted / (n as f32).sqrt()
}

/// Names and shapes in the order of the layers.
fn names(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (h, i, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![v, h])];
    for layer in 0..config.n_layers {
        let mut add = |name: &str, shape: &[usize]| {
            all.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[h]);
        add("self_attn.q_proj", &[q, h]);
        add("self_attn.k_proj", &[kv, h]);
        add("self_attn.v_proj", &[kv, h]);
        add("self_attn.o_proj", &[h, q]);
        add("post_attention_layernorm", &[h]);
        if let Some(experts) = config.experts {
            add("block_sparse_moe.gate", &[experts.n, h]);
            for e in 0..experts.n {
                add(&format!("block_sparse_moe.experts.{e}.w1"), &[i, h]);
                add(&format!("block_sparse_moe.experts.{e}.w2"), &[h, i]);
                add(&format!("block_sparse_moe.experts.{e}.w3"), &[i, h]);
            }
        } else {
            add("mlp.gate_proj", &[i, h]);
            add("mlp.up_proj", &[i, h]);
            add("mlp.down_proj", &[h, i]);
        }
    }
    all.push(("model.norm.weight".to_owned(), vec![h]));
    if !config.tied {
        all.push(("lm_head.weight".to_owned(), vec![v, h]));
    }
    all
}

impl Tensor {
    fn bytes<const N: usize>(&self, encode: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
        let n: usize = self.shape.iter().product();
        let mut bytes = vec![0; n * N];
        for (number, i) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(0..) {
            *number = encode(self.mean + self.deviation * self.noise.normal(i));
        }
        bytes
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.stored.safetensors()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.stored {
            Stored::F32 => self.bytes(f32::to_le_bytes),
            Stored::F16 => self.bytes(|x| half::f16::from_f32(x).to_le_bytes()),
            Stored::Bf16 => self.bytes(|x| half::bf16::from_f32(x).to_le_bytes()),
        })
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.stored.n_bytes()
    }
}
