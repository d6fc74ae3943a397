//! Decoding beside two yardsticks of the same weights, in one run: our decoder at batch 1 and 32,
//! and candle-transformers' own loop, which takes one prompt at a time.
//!
//! ```text
//! cargo bench --bench decode                    # writes llama-160m, measures f32 and q8_0
//! cargo bench --bench decode -- FOLDER          # leaves the checkpoint there for other peers
//! ```
//!
//! Greedy, no stop tokens; prompts of 128 tokens, 32 tokens generated. A figure is the best of
//! three rounds taken in turn, so that a busy machine slows all of them alike.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama;
use stillroom_kernels::paged::{BLOCK, Batch, KvPool};
use stillroom_models::tiny::{self, Shape};
use stillroom_models::{Decoder, LoadOptions, Model, Quant, load};

const N_PROMPT: usize = 128;
const N_NEW: usize = 32;
const N_ROUNDS: usize = 3;
const BATCHES: [usize; 3] = [1, 8, 32];

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .map_or_else(|| temporary.path().join("llama-160m"), PathBuf::from);
    if !folder.join("config.json").exists() {
        let shape = Shape::named("llama-160m").expect("a shape of ours");
        tiny::write(&shape, 7, &folder).expect("the checkpoint is written");
    }
    let theirs = Peer::load(&folder).expect("candle-transformers loads it");
    let f32s = ours(&folder, None);
    let q8_0 = ours(&folder, Some(Quant::Q8_0));

    let mut best = [[0.0f64; 1 + BATCHES.len()]; 2];
    let mut yardstick = 0.0f64;
    for _ in 0..N_ROUNDS {
        yardstick = yardstick.max(theirs.tokens_per_second().expect("it decodes"));
        for (model, best) in [&f32s, &q8_0].into_iter().zip(&mut best) {
            for (i, n) in BATCHES.into_iter().enumerate() {
                let speed = Sequences::new(model, n).measure(model);
                best[0] = best[0].max(speed.prefill);
                best[1 + i] = best[1 + i].max(speed.decode);
            }
        }
    }
    println!("candle-transformers, f32, one prompt at a time: decode {yardstick:.1} tok/s");
    for (name, best) in ["f32", "q8_0"].into_iter().zip(best) {
        println!("{name}: prefill {:.0} tok/s", best[0]);
        for (n, speed) in BATCHES.into_iter().zip(&best[1..]) {
            let ratio = speed / yardstick;
            println!("{name}: decode at batch {n}: {speed:.1} tok/s, {ratio:.2}x the loop");
        }
    }
}

fn ours(folder: &Path, quantize: Option<Quant>) -> Decoder {
    let options = LoadOptions { quantize, ..LoadOptions::new(Device::Cpu) };
    load(folder, &options, &mut |_| ()).expect("our own checkpoint loads").model
}

/// Tokens a second of the two phases.
struct Speed {
    prefill: f64,
    decode: f64,
}

/// Sequences of equal length, each with blocks of its own.
struct Sequences {
    n: usize,
    n_blocks_each: usize,
    kv: KvPool,
}

impl Sequences {
    fn new(model: &Decoder, n: usize) -> Self {
        let n_blocks_each = (N_PROMPT + N_NEW).div_ceil(BLOCK);
        let kv = model.new_kv(n * n_blocks_each).expect("memory for the pool");
        Self { n, n_blocks_each, kv }
    }

    fn measure(&mut self, model: &Decoder) -> Speed {
        let started = Instant::now();
        let mut tokens = Vec::new();
        // Four prompts a forward keep the activations of a step modest, as an engine would.
        for first in (0..self.n).step_by(4) {
            let prompts = first..(first + 4).min(self.n);
            tokens.extend(self.forward(model, prompts, 0, &|row| (row * 37 + 11) % 1000));
        }
        let prefill = (self.n * N_PROMPT) as f64 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        for step in 0..N_NEW - 1 {
            let now = std::mem::take(&mut tokens);
            tokens = self.forward(model, 0..self.n, N_PROMPT + step, &|row| now[row] as usize);
        }
        let decode = (self.n * (N_NEW - 1)) as f64 / started.elapsed().as_secs_f64();
        Speed { prefill, decode }
    }

    /// Runs whole prompts (`n_done` = 0) or one token of each sequence; the likeliest next ones.
    fn forward(
        &mut self,
        model: &Decoder,
        sequences: std::ops::Range<usize>,
        n_done: usize,
        token: &dyn Fn(usize) -> usize,
    ) -> Vec<u32> {
        let n_rows = if n_done == 0 { N_PROMPT } else { 1 };
        let table_width = (n_done + n_rows).div_ceil(BLOCK);
        let mut batch = Batch { starts: vec![0], table_width, ..Batch::default() };
        for sequence in sequences {
            let first_block = sequence * self.n_blocks_each;
            for position in n_done..n_done + n_rows {
                batch.tokens.push(index(token(batch.tokens.len())));
                batch.positions.push(index(position));
                batch.slots.push(index(first_block * BLOCK + position));
            }
            batch.starts.push(index(batch.tokens.len()));
            batch.contexts.push(index(n_done + n_rows));
            batch.tables.extend((first_block..first_block + table_width).map(index));
            batch.sample_rows.push(index(batch.tokens.len() - 1));
        }
        let logits = model.forward(&batch, &mut self.kv).expect("a forward");
        logits.argmax(1).and_then(|ids| ids.to_vec1()).expect("ids on the CPU")
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("benches are small")
}

/// candle-transformers' Llama with its own cache.
struct Peer {
    model: llama::Llama,
    config: llama::Config,
}

impl Peer {
    fn load(folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join("config.json"))?;
        let theirs: llama::LlamaConfig = serde_json::from_str(&text).expect("a Llama's config");
        let theirs = theirs.into_config(false);
        let mut tensors = std::collections::HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                tensors.extend(candle_core::safetensors::load(&path, &Device::Cpu)?);
            }
        }
        let vars = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(Self { model: llama::Llama::load(vars, &theirs)?, config: theirs })
    }

    fn tokens_per_second(&self) -> Result<f64> {
        let mut cache = llama::Cache::new(true, DType::F32, &self.config, &Device::Cpu)?;
        let prompt: Vec<u32> = (0..N_PROMPT).map(|row| index((row * 37 + 11) % 1000)).collect();
        let mut next = self.next(&prompt, 0, &mut cache)?;
        let started = Instant::now();
        for step in 0..N_NEW - 1 {
            next = self.next(&[next], N_PROMPT + step, &mut cache)?;
        }
        Ok((N_NEW - 1) as f64 / started.elapsed().as_secs_f64())
    }

    fn next(&self, tokens: &[u32], position: usize, cache: &mut llama::Cache) -> Result<u32> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        self.model.forward(&input, position, cache)?.i(0)?.argmax(0)?.to_scalar()
    }
}
