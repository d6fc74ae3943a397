//! Attention alone: decode at several contexts and batches, and a prefill chunk.
//!
//! Each line gives time, GB/s of keys and values read, GFLOP/s, and the share of this machine's
//! floor: memory bandwidth (a sum over memory far larger than the caches, on the same threads) or
//! arithmetic (a large matrix product by candle), whichever binds. The layers of a model take
//! turns, as in a forward, so that decode finds its keys in memory and not in a cache. Run with
//! `cargo bench --bench attention`, quiet machine, best of several rounds.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use stillroom_kernels::paged::{BLOCK, Batch, KvPool, KvShape};
use stillroom_kernels::paged_attention::{Attend, paged_attention};

/// Query heads, key/value heads and head size: Llama 3.2 1B's, Llama 3 8B's, a 160 M Llama's.
const HEADS: [(usize, usize, usize); 3] = [(32, 8, 64), (32, 8, 128), (12, 12, 64)];
/// Bytes of keys and values that a case has at least over all layers.
const POOL_BYTES: usize = 256 << 20;

fn main() {
    let threads = rayon::current_num_threads();
    let (gb_floor, gflop_floor) = (memory_floor(), arithmetic_floor());
    println!("{threads} threads; floors {gb_floor:.1} GB/s, {gflop_floor:.0} GFLOP/s");
    println!("heads       rows x context  batch       ms     GB/s  GFLOP/s  of the floor");
    for heads in HEADS {
        for (n_sequences, n_rows, context) in [
            (1, 1, 128),
            (1, 1, 1024),
            (1, 1, 4096),
            (32, 1, 128),
            (32, 1, 1024),
            (32, 1, 4096),
            (1, 512, 512),
            (1, 512, 4096),
        ] {
            let case = Case::new(heads, n_sequences, n_rows, context);
            let seconds = case.seconds_a_layer();
            let gb = case.bytes() / seconds / 1e9;
            let gflop = case.flops() / seconds / 1e9;
            let share = (gb / gb_floor).max(gflop / gflop_floor);
            let (hq, hkv, d) = heads;
            println!(
                "{hq:>2}/{hkv:<2} x {d:<4} {n_rows:>4} x {context:<7} {n_sequences:>5} {:>10.3} \
                 {gb:>8.1} {gflop:>8.1} {:>9.0} %",
                seconds * 1e3,
                share * 100.0
            );
        }
    }
}

struct Case {
    heads: (usize, usize, usize),
    batch: Batch,
    pool: KvPool,
    q: Tensor,
}

impl Case {
    /// Sequences whose last `n_rows` of `context` tokens are computed.
    fn new(
        heads: (usize, usize, usize),
        n_sequences: usize,
        n_rows: usize,
        context: usize,
    ) -> Self {
        let (hq, hkv, d) = heads;
        let table_width = context.div_ceil(BLOCK);
        let n_blocks = n_sequences * table_width;
        // A step that shares no factor with a power of two scatters the blocks.
        let tables: Vec<u32> =
            (0..n_blocks).map(|at| (at * (2 * table_width + 1) % n_blocks) as u32).collect();
        let t = n_sequences * n_rows;
        let batch = Batch {
            tokens: vec![0; t],
            positions: (0..t).map(|row| (context - n_rows + row % n_rows) as u32).collect(),
            slots: vec![0; t],
            starts: (0..=n_sequences).map(|j| (j * n_rows) as u32).collect(),
            contexts: vec![context as u32; n_sequences],
            tables,
            table_width,
            sample_rows: Vec::new(),
        };
        let layer_bytes = 2 * n_blocks * BLOCK * hkv * d * 4;
        let n_layers = POOL_BYTES.div_ceil(layer_bytes);
        let shape = KvShape { n_layers, n_kv_heads: hkv, head_dim: d, dtype: DType::F32 };
        let mut pool = KvPool::new(&shape, n_blocks, &Device::Cpu).expect("memory");
        for layer in &mut pool.layers {
            // Zeroed memory is not there until it is written.
            layer.k = layer.k.affine(1.0, 0.1).expect("memory");
            layer.v = layer.v.affine(1.0, 0.1).expect("memory");
        }
        let q = Tensor::ones((t, hq, d), DType::F32, &Device::Cpu).expect("memory");
        Self { heads, batch, pool, q }
    }

    fn seconds_a_layer(&self) -> f64 {
        let attend = Attend { window: None, scale: 0.1 };
        let on = self.batch.upload(&Device::Cpu).expect("memory");
        best_of(|| {
            for layer in &self.pool.layers {
                black_box(paged_attention(&self.q, layer, &on, attend).expect("shapes fit"));
            }
        }) / self.pool.layers.len() as f64
    }

    /// Keys and values that one layer reads at least.
    fn bytes(&self) -> f64 {
        let (_, hkv, d) = self.heads;
        let keys: usize = self.batch.contexts.iter().map(|&context| context as usize).sum();
        (2 * keys * hkv * d * 4) as f64
    }

    /// Two products for each query and the keys it sees.
    fn flops(&self) -> f64 {
        let (hq, _, d) = self.heads;
        let keys: f64 = self.batch.positions.iter().map(|&position| f64::from(position + 1)).sum();
        keys * (4 * hq * d) as f64
    }
}

/// The shortest of at least five rounds that take half a second together.
fn best_of(mut round: impl FnMut()) -> f64 {
    round();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut n_rounds = 0;
    while n_rounds < 5 || begin.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_secs_f64());
        n_rounds += 1;
    }
    best
}

/// GB/s of a sum over 512 MiB.
fn memory_floor() -> f64 {
    let data = vec![1.0f32; 128 << 20];
    let seconds = best_of(|| {
        let sum_of = |part: &[f32]| {
            let mut sums = [0.0f32; 64];
            for lanes in part.chunks_exact(64) {
                sums.iter_mut().zip(lanes).for_each(|(sum, x)| *sum += x);
            }
            sums.iter().sum::<f32>()
        };
        black_box(data.par_chunks(1 << 16).map(sum_of).sum::<f32>());
    });
    (data.len() * 4) as f64 / seconds / 1e9
}

/// GFLOP/s of candle's matrix product of 1024 squared.
fn arithmetic_floor() -> f64 {
    let a = Tensor::ones((1024, 1024), DType::F32, &Device::Cpu).expect("memory");
    let seconds = best_of(|| {
        black_box(a.matmul(&a).expect("shapes fit"));
    });
    2.0 * 1024f64.powi(3) / seconds / 1e9
}
