//! A row's attention has the same bits whatever it is computed beside: in one piece or in chunks,
//! alone or in a batch, wherever its blocks lie, on any number of threads.
//!
//! The engine's promise that a resumed run writes the same bytes stands on this.

use std::ops::Range;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use stillroom_kernels::paged::{BLOCK, Batch, KvLayer};
use stillroom_kernels::paged_attention::{Attend, paged_attention};

use crate::bench::Noise;

/// The queries, keys and values of one sequence, by position.
struct Sequence {
    len: usize,
    /// `[len, hq * d]`
    q: Vec<f32>,
    /// `[len, hkv * d]` each
    kv: [Vec<f32>; 2],
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    hq: usize,
    hkv: usize,
    d: usize,
    attend: Attend,
}

impl Sequence {
    fn new(noise: &mut Noise, len: usize, shape: Shape) -> Self {
        let Shape { hq, hkv, d, .. } = shape;
        let kv = [(); 2].map(|()| noise.spiky(len * hkv * d));
        Self { len, q: noise.spiky(len * hq * d), kv }
    }
}

/// Runs one batch of some rows of each sequence, with blocks in a random order and noise in all
/// slots that no sequence owns; returns the bits of each row.
fn run(noise: &mut Noise, parts: &[(&Sequence, Range<usize>)], shape: Shape) -> Vec<Vec<u32>> {
    let Shape { hq, hkv, d, attend } = shape;
    let width = hkv * d;
    let table_width = parts.iter().map(|(s, _)| s.len.div_ceil(BLOCK)).max().unwrap();
    let n_blocks = parts.len() * table_width + 3;
    let mut free = noise.shuffled(n_blocks);
    let mut pools = [(); 2].map(|()| noise.spiky(n_blocks * BLOCK * width));
    let mut batch = Batch { table_width, starts: vec![0], ..Batch::default() };
    let mut q = Vec::new();
    for (sequence, rows) in parts {
        let table = free.split_off(free.len() - table_width);
        let slot = |position: usize| table[position / BLOCK] as usize * BLOCK + position % BLOCK;
        for (pool, data) in pools.iter_mut().zip(&sequence.kv) {
            for position in 0..rows.end {
                let row = &data[position * width..(position + 1) * width];
                pool[slot(position) * width..][..width].copy_from_slice(row);
            }
        }
        for position in rows.clone() {
            batch.tokens.push(0);
            batch.positions.push(position as u32);
            batch.slots.push(slot(position) as u32);
        }
        q.extend_from_slice(&sequence.q[rows.start * hq * d..rows.end * hq * d]);
        batch.starts.push(batch.tokens.len() as u32);
        batch.contexts.push(rows.end as u32);
        batch.tables.extend(table);
    }
    let [k, v] =
        pools.map(|pool| Tensor::from_vec(pool, (n_blocks, BLOCK, hkv, d), &Device::Cpu).unwrap());
    let q = Tensor::from_vec(q, (batch.n_tokens(), hq, d), &Device::Cpu).unwrap();
    let on = batch.upload(&Device::Cpu).unwrap();
    let out = paged_attention(&q, &KvLayer { k, v }, &on, attend).unwrap();
    let out = out.to_vec2::<f32>().unwrap();
    out.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn chunks_and_neighbours_change_no_bit(
        seed in any::<u64>(),
        len in 1usize..200,
        (hkv, group) in (1usize..4, 1usize..6),
        d in prop::sample::select(vec![2, 20, 64, 80, 128]),
        window in prop::option::of(1usize..100),
    ) {
        let noise = &mut Noise::new(seed);
        let attend = Attend { window, scale: 1.0 / (d as f32).sqrt() };
        let shape = Shape { hq: hkv * group, hkv, d, attend };
        let sequence = Sequence::new(noise, len, shape);
        let whole = run(noise, &[(&sequence, 0..len)], shape);
        let mut start = 0;
        while start < len {
            let longest = if noise.unit() < 0.3 { 1 } else { len - start };
            let rows = start..start + 1 + noise.below(longest);
            let [before, after] = [(); 2].map(|()| {
                let len = 1 + noise.below(70);
                Sequence::new(noise, len, shape)
            });
            let parts = [
                (&before, noise.below(before.len)..before.len),
                (&sequence, rows.clone()),
                (&after, noise.below(after.len)..after.len),
            ];
            let found = run(noise, &parts, shape);
            let first = parts[0].1.len();
            prop_assert_eq!(&found[first..first + rows.len()], &whole[rows.clone()]);
            start = rows.end;
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let noise = &mut Noise::new(11);
    let attend = Attend { window: None, scale: 0.125 };
    let shape = Shape { hq: 6, hkv: 3, d: 64, attend };
    let sequence = Sequence::new(noise, 150, shape);
    let on_threads = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| run(&mut Noise::new(12), &[(&sequence, 0..150)], shape))
    };
    let one = on_threads(1);
    assert_eq!(on_threads(2), one);
    assert_eq!(on_threads(5), one);
}
