//! Attention written out over slices, with sums in f64: what every path is measured against.

use super::Attend;
use crate::paged::{BLOCK, Batch};

/// Sizes of the heads.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub hq: usize,
    /// Key/value heads.
    pub hkv: usize,
    /// Size of a head.
    pub d: usize,
}

/// Attention of `q` (`[t, hq, d]`) over the pools `k` and `v` (each `[n, BLOCK, hkv, d]`); returns
/// `[t, hq * d]`.
pub fn paged_attention(
    q: &[f32],
    (k, v): (&[f32], &[f32]),
    batch: &Batch,
    heads: Heads,
    attend: Attend,
) -> Vec<f32> {
    let Heads { hq, hkv, d } = heads;
    let mut out = vec![0.0; q.len()];
    for j in 0..batch.n_sequences() {
        let place = |key: usize, head: usize| {
            let slot = batch.table(j)[key / BLOCK] as usize * BLOCK + key % BLOCK;
            (slot * hkv + head) * d
        };
        for row in batch.rows(j) {
            let position = batch.positions[row] as usize;
            let keys = attend.first_seen(position)..position + 1;
            for head in 0..hq {
                let kv_head = head / (hq / hkv);
                let start = (row * hq + head) * d;
                let scores: Vec<f64> = keys
                    .clone()
                    .map(|key| {
                        let at = place(key, kv_head);
                        let dot: f64 = (0..d).map(|i| wide(q[start + i]) * wide(k[at + i])).sum();
                        dot * wide(attend.scale)
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
                for i in 0..d {
                    let weighted = keys
                        .clone()
                        .zip(&scores)
                        .map(|(key, score)| (score - top).exp() * wide(v[place(key, kv_head) + i]));
                    out[start + i] = (weighted.sum::<f64>() / total) as f32;
                }
            }
        }
    }
    out
}

fn wide(x: f32) -> f64 {
    f64::from(x)
}
