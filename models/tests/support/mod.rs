//! Drives a model as the engine would, in a few lines: sequences with blocks of their own, ragged
//! batches over any of them, logits as plain vectors.

#![allow(dead_code, reason = "every test binary uses a part of this")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use stillroom_kernels::paged::{BLOCK, Batch, KvPool};
use stillroom_models::{Decoder, LoadOptions, Model, Quant, device, load};

/// Blocks of a test's pool.
const N_BLOCKS: usize = 64;

/// A model with KV memory and the sequences in it.
pub(crate) struct Bench {
    pub(crate) model: Decoder,
    kv: KvPool,
    n_used: u32,
}

/// A sequence: its blocks and how many tokens lie in them.
pub(crate) struct Sequence {
    blocks: Vec<u32>,
    n_done: usize,
}

/// Tokens to run for a sequence.
pub(crate) type Run<'a> = (&'a mut Sequence, &'a [u32]);

impl Bench {
    pub(crate) fn new(model: Decoder) -> Self {
        let kv = model.new_kv(N_BLOCKS).expect("memory for a small pool");
        Self { model, kv, n_used: 0 }
    }

    pub(crate) fn load(folder: &Path, quantize: Option<Quant>) -> Self {
        Self::load_with(folder, &LoadOptions { quantize, ..LoadOptions::new(Device::Cpu) })
    }

    pub(crate) fn load_with(folder: &Path, options: &LoadOptions) -> Self {
        let loaded = load(folder, options, &mut |_| ()).expect("a checkpoint that loads");
        Self::new(loaded.model)
    }

    /// A sequence with room for `n_tokens`. Blocks are handed out from the end of the pool in
    /// strides, so that no sequence's blocks lie in a row.
    pub(crate) fn sequence(&mut self, n_tokens: usize) -> Sequence {
        let n = u32::try_from(n_tokens.div_ceil(BLOCK)).expect("small");
        let size = u32::try_from(N_BLOCKS).expect("small");
        let block = |i: u32| (size - 1).wrapping_sub((self.n_used + i) * 23) % size;
        let blocks = (0..n).map(block).collect();
        self.n_used += n;
        assert!(self.n_used <= size, "the test's pool is full");
        Sequence { blocks, n_done: 0 }
    }

    /// One forward; logits of every row of every sequence.
    pub(crate) fn run_all(&mut self, runs: &mut [Run<'_>]) -> Vec<Vec<f32>> {
        self.forward(runs, |_, _| true)
    }

    /// One forward; logits of the last row of every sequence.
    pub(crate) fn run_last(&mut self, runs: &mut [Run<'_>]) -> Vec<Vec<f32>> {
        self.forward(runs, |i, n| i + 1 == n)
    }

    /// One forward without logits: a prefill chunk that is not the last one.
    pub(crate) fn run_none(&mut self, runs: &mut [Run<'_>]) {
        let logits = self.forward(runs, |_, _| false);
        assert!(logits.is_empty());
    }

    /// Forgets all sequences.
    pub(crate) fn clear(&mut self) {
        self.n_used = 0;
    }

    fn forward(
        &mut self,
        runs: &mut [Run<'_>],
        wants: impl Fn(usize, usize) -> bool,
    ) -> Vec<Vec<f32>> {
        let mut batch = Batch { starts: vec![0], ..Batch::default() };
        batch.table_width = runs.iter().map(|(seq, _)| seq.blocks.len()).max().unwrap_or(0);
        for (seq, tokens) in runs.iter_mut() {
            for (i, &token) in tokens.iter().enumerate() {
                let position = seq.n_done + i;
                let block = seq.blocks[position / BLOCK] as usize;
                if wants(i, tokens.len()) {
                    batch.sample_rows.push(small(batch.tokens.len()));
                }
                batch.tokens.push(token);
                batch.positions.push(small(position));
                batch.slots.push(small(block * BLOCK + position % BLOCK));
            }
            seq.n_done += tokens.len();
            batch.starts.push(small(batch.tokens.len()));
            batch.contexts.push(small(seq.n_done));
            batch.tables.extend(&seq.blocks);
            batch.tables.resize(batch.contexts.len() * batch.table_width, 0);
        }
        let logits = self.model.forward(&batch, &mut self.kv).expect("forward");
        assert_eq!(logits.dims(), [batch.sample_rows.len(), self.model.vocab_size()]);
        let logits = logits.to_dtype(DType::F32).expect("floats");
        logits.to_vec2().expect("rows of f32")
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).expect("tests are small")
}

/// The GPU, if there is one; a test that needs one checks nothing elsewhere and says so.
pub(crate) fn gpu() -> Option<Device> {
    device("cuda").map_err(|error| eprintln!("no CUDA device here: {error}")).ok()
}

/// Mean absolute difference.
pub(crate) fn mean_gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

/// The likeliest token; the lower of two alike.
pub(crate) fn argmax(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    small(best.expect("a vocabulary"))
}

/// Largest absolute difference.
pub(crate) fn gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The repository's golden checkpoint of this name. Found at run time, for a test that was built
/// elsewhere and carried to a machine with a GPU.
pub(crate) fn golden(name: &str) -> PathBuf {
    let root = std::env::var("CARGO_MANIFEST_DIR");
    let root = root.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&root).join("../tests/golden").join(name)
}
