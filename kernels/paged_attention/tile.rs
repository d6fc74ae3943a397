//! One tile: the rows of neighbouring tokens and one key/value head, block after block of keys.
//!
//! Softmax runs along (Milakov and Gimelshein 2018, as in flash attention): a row keeps its largest
//! score so far, the sum of its weights and the weighted sum of values, and shrinks both when a
//! block brings a larger score.
//!
//! The order of arithmetic is fixed for a row, whatever rows it is computed beside: blocks are
//! those of the sequence, in order; a score is summed over `d` in order, one key a lane; weights
//! are summed by key modulo 16 and these sums in order; values are added key after key. Keys that a
//! row does not see weigh exactly 0. Row counts (8, 4, 2, 1 at once) choose registers only.

use std::ops::Range;

use super::Attend;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::paged::BLOCK;

/// A number for each key of a block.
type PerKey = [[f32; LANES]; BLOCK / LANES];

/// What a tile reads, and where it works.
pub(super) struct Tile<'a> {
    /// `[t, hq, d]`
    pub(super) q: &'a [f32],
    /// `[n, BLOCK, hkv, d]`
    pub(super) k: &'a [f32],
    /// `[n, BLOCK, hkv, d]`
    pub(super) v: &'a [f32],
    /// Positions of the tile's tokens, ascending.
    pub(super) positions: &'a [u32],
    /// Blocks of the sequence.
    pub(super) table: &'a [u32],
    /// The tile's tokens: rows of the batch.
    pub(super) rows: Range<usize>,
    pub(super) kv_head: usize,
    /// `[hq, hkv, d]`
    pub(super) heads: [usize; 3],
    pub(super) attend: Attend,
    pub(super) scratch: &'a mut Scratch,
}

/// Memory that a thread reuses from tile to tile. A tile of `m` rows (tokens times grouped heads,
/// the heads of a token side by side) uses:
#[derive(Default)]
pub(super) struct Scratch {
    /// Scaled queries, packed by rows that are computed at once: `[m / rows][d][rows]`.
    packed: Vec<f32>,
    /// `[BLOCK / 16, d]` one block of keys, turned: one dim of 16 keys in lanes.
    turned: Vec<[f32; LANES]>,
    /// `[m]` scores, then weights, of one block.
    weights: Vec<PerKey>,
    /// `[m]`
    softmax: Vec<Softmax>,
    /// `[m, d]` weighted sums of values, at last divided by the sum of weights.
    sums: Vec<f32>,
}

/// What a row knows of its softmax.
#[derive(Clone, Copy)]
struct Softmax {
    /// Largest score so far.
    top: f32,
    /// Sums of weights, by key modulo 16.
    totals: [f32; LANES],
}

impl Scratch {
    /// `[tokens, heads of the group, d]`: what the last tile found.
    pub(super) fn out(&self) -> &[f32] {
        &self.sums
    }
}

impl Kernel for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        self.start::<L>();
        let first = self.attend.first_seen(self.positions[0] as usize);
        let last = self.positions[self.positions.len() - 1] as usize;
        let stride = self.heads[1] * self.heads[2];
        for block in first / BLOCK..=last / BLOCK {
            let (keys, values) = (&self.k[self.place(block)], &self.v[self.place(block)]);
            let next = if block < last / BLOCK { &self.k[self.place(block + 1)] } else { &[] };
            turn::<L>(keys, values, stride, &mut self.scratch.turned);
            all_scores::<L>(&self.scratch.turned, &self.scratch.packed, &mut self.scratch.weights);
            let seen = self.weigh::<L>(block * BLOCK);
            let Scratch { weights, sums, .. } = &mut *self.scratch;
            let d = self.heads[2];
            Values { values, next, stride, seen, d }.add::<L>(weights, sums);
        }
        self.finish();
    }
}

impl Tile<'_> {
    fn group(&self) -> usize {
        self.heads[0] / self.heads[1]
    }

    /// Where the tile's head of a block of the sequence lies in the pools.
    fn place(&self, block: usize) -> Range<usize> {
        let [_, hkv, d] = self.heads;
        let start = (self.table[block] as usize * BLOCK * hkv + self.kv_head) * d;
        start..start + (BLOCK - 1) * hkv * d + d
    }

    /// Packs the queries and clears what is summed.
    #[inline(always)]
    fn start<L: Lanes>(&mut self) {
        let [hq, _, d] = self.heads;
        let group = self.group();
        let m = self.rows.len() * group;
        let Scratch { packed, turned, weights, softmax, sums } = &mut *self.scratch;
        packed.resize(m * d, 0.0);
        turned.resize(BLOCK / LANES * d, [0.0; LANES]);
        weights.resize(m, PerKey::default());
        softmax.clear();
        softmax.resize(m, Softmax { top: f32::NEG_INFINITY, totals: [0.0; LANES] });
        sums.clear();
        sums.resize(m * d, 0.0);
        let mut start = 0;
        while start < m {
            let n_rows = rows_at_once(L::ROWS, m - start);
            let packed = &mut packed[start * d..(start + n_rows) * d];
            for r in 0..n_rows {
                let (token, head) = ((start + r) / group, (start + r) % group);
                let row = (self.rows.start + token) * hq + self.kv_head * group + head;
                let q = &self.q[row * d..(row + 1) * d];
                for (packed, q) in packed[r..].iter_mut().step_by(n_rows).zip(q) {
                    *packed = q * self.attend.scale;
                }
            }
            start += n_rows;
        }
    }

    /// Turns the scores of the block at `first_key` into weights, and returns the keys of the
    /// block that some row sees.
    #[inline(always)]
    fn weigh<L: Lanes>(&mut self, first_key: usize) -> Range<usize> {
        let (group, d) = (self.group(), self.heads[2]);
        let (mut first, mut end) = (BLOCK, 0);
        let Scratch { weights, softmax, sums, .. } = &mut *self.scratch;
        for (m, ((weights, softmax), sums)) in
            weights.iter_mut().zip(softmax).zip(sums.chunks_exact_mut(d)).enumerate()
        {
            let position = self.positions[m / group] as usize;
            let within = |key: usize| key.saturating_sub(first_key).min(BLOCK);
            let seen = within(self.attend.first_seen(position))..within(position + 1);
            if seen.is_empty() {
                *weights = PerKey::default();
                continue;
            }
            (first, end) = (first.min(seen.start), end.max(seen.end));
            let scores = weights.as_flattened_mut();
            scores[..seen.start].fill(f32::NEG_INFINITY);
            scores[seen.end..].fill(f32::NEG_INFINITY);
            softmax.weigh::<L>(weights, sums);
        }
        first..end
    }

    fn finish(&mut self) {
        let d = self.heads[2];
        let Scratch { softmax, sums, .. } = &mut *self.scratch;
        for (softmax, sums) in softmax.iter().zip(sums.chunks_exact_mut(d)) {
            let total: f32 = softmax.totals.iter().sum();
            sums.iter_mut().for_each(|sum| *sum /= total);
        }
    }
}

impl Softmax {
    /// Turns one block's scores into weights relative to the largest score so far, which this
    /// block may raise: then all that was summed before shrinks.
    #[inline(always)]
    fn weigh<L: Lanes>(&mut self, weights: &mut PerKey, sums: &mut [f32]) {
        let scores = weights.each_ref().map(L::load);
        let top = scores[0].max(scores[1]).largest();
        let mut totals = L::load(&self.totals);
        if top > self.top {
            let shrink = L::splat(self.top - top).exp();
            totals = totals.mul(shrink);
            let (lanes, rest) = sums.as_chunks_mut::<LANES>();
            for lanes in lanes {
                L::load(lanes).mul(shrink).store(lanes);
            }
            let shrink = shrink.to_array()[0];
            rest.iter_mut().for_each(|sum| *sum *= shrink);
            self.top = top;
        }
        for (weights, scores) in weights.iter_mut().zip(scores) {
            let weight = scores.sub(L::splat(self.top)).exp();
            totals = totals.add(weight);
            weight.store(weights);
        }
        totals.store(&mut self.totals);
    }
}

/// Turns a block of keys (`BLOCK` rows of `d`, `stride` apart) so that one dim of 16 keys lies in
/// lanes: `turned[half][i][key] = keys[16 * half + key][i]`. Meanwhile asks for the block's values.
#[inline(always)]
fn turn<L: Lanes>(keys: &[f32], values: &[f32], stride: usize, turned: &mut [[f32; LANES]]) {
    let d = turned.len() / (BLOCK / LANES);
    for (half, turned) in turned.chunks_exact_mut(d).enumerate() {
        let (keys, values) = (&keys[half * LANES * stride..], &values[half * LANES * stride..]);
        let (sixteens, rest) = turned.as_chunks_mut::<LANES>();
        let tail = d - rest.len();
        for (at, columns) in sixteens.iter_mut().enumerate() {
            for key in 0..LANES {
                L::prefetch(&values[key * stride + at * LANES..]);
            }
            L::transpose(&keys[at * LANES..], stride, columns);
        }
        for (i, column) in rest.iter_mut().enumerate() {
            for (key, x) in column.iter_mut().enumerate() {
                *x = keys[key * stride + tail + i];
            }
        }
    }
}

/// How many of `n_left` rows are computed at once.
#[inline(always)]
fn rows_at_once(n_rows_max: usize, n_left: usize) -> usize {
    [8, 4, 2].into_iter().find(|&n| n <= n_rows_max && n <= n_left).unwrap_or(1)
}

/// The scores of all rows with one block of keys.
#[inline(always)]
fn all_scores<L: Lanes>(turned: &[[f32; LANES]], packed: &[f32], scores: &mut [PerKey]) {
    let d = turned.len() / (BLOCK / LANES);
    let mut start = 0;
    while start < scores.len() {
        let n_rows = rows_at_once(L::ROWS, scores.len() - start);
        let packed = &packed[start * d..];
        let scores = &mut scores[start..];
        match n_rows {
            8 => some_scores::<L, 8>(turned, packed, scores),
            4 => some_scores::<L, 4>(turned, packed, scores),
            2 => some_scores::<L, 2>(turned, packed, scores),
            _ => some_scores::<L, 1>(turned, packed, scores),
        }
        start += n_rows;
    }
}

#[inline(always)]
fn some_scores<L: Lanes, const ROWS: usize>(
    turned: &[[f32; LANES]],
    packed: &[f32],
    scores: &mut [PerKey],
) {
    let mut sums = [[L::splat(0.0); BLOCK / LANES]; ROWS];
    let (packed, _) = packed.as_chunks::<ROWS>();
    let (first, second) = turned.split_at(turned.len() / 2);
    for ((first, second), q) in first.iter().zip(second).zip(packed) {
        let keys = [L::load(first), L::load(second)];
        for (sums, q) in sums.iter_mut().zip(q) {
            let q = L::splat(*q);
            for (sum, keys) in sums.iter_mut().zip(keys) {
                *sum = q.mul_add(keys, *sum);
            }
        }
    }
    for (scores, sums) in scores.iter_mut().zip(sums) {
        for (scores, sum) in scores.iter_mut().zip(sums) {
            sum.store(scores);
        }
    }
}

/// The values of one block: `BLOCK` rows of `d`, `stride` apart.
struct Values<'a> {
    values: &'a [f32],
    /// The keys of the block after this one, which are asked for meanwhile; empty at the last.
    next: &'a [f32],
    stride: usize,
    /// The keys that some row sees.
    seen: Range<usize>,
    d: usize,
}

impl Values<'_> {
    /// Adds the weighted values to the sums of all rows.
    #[inline(always)]
    fn add<L: Lanes>(mut self, weights: &[PerKey], sums: &mut [f32]) {
        let mut start = 0;
        while start < weights.len() {
            // Half as many rows as for scores: the values want the other registers.
            let n_rows = rows_at_once(L::ROWS / 2, weights.len() - start);
            let weights = &weights[start..];
            let sums = &mut sums[start * self.d..(start + n_rows) * self.d];
            match n_rows {
                4 => self.add_rows::<L, 4>(weights, sums),
                2 => self.add_rows::<L, 2>(weights, sums),
                _ => self.add_rows::<L, 1>(weights, sums),
            }
            self.next = &[];
            start += n_rows;
        }
    }

    #[inline(always)]
    fn add_rows<L: Lanes, const ROWS: usize>(&self, weights: &[PerKey], sums: &mut [f32]) {
        let weights: [&[f32]; ROWS] = std::array::from_fn(|r| weights[r].as_flattened());
        let n_lanes_max = L::ROWS / 2;
        let mut column = 0;
        while column + LANES <= self.d {
            let n_lanes = rows_at_once(n_lanes_max, (self.d - column) / LANES);
            match n_lanes {
                4 => self.add_columns::<L, ROWS, 4>(weights, column, sums),
                2 => self.add_columns::<L, ROWS, 2>(weights, column, sums),
                _ => self.add_columns::<L, ROWS, 1>(weights, column, sums),
            }
            column += n_lanes * LANES;
        }
        for column in column..self.d {
            for (weights, sums) in weights.iter().zip(sums.chunks_exact_mut(self.d)) {
                for key in self.seen.clone() {
                    let value = self.values[key * self.stride + column];
                    sums[column] = L::mul_add_one(weights[key], value, sums[column]);
                }
            }
        }
    }

    #[inline(always)]
    fn add_columns<L: Lanes, const ROWS: usize, const N: usize>(
        &self,
        weights: [&[f32]; ROWS],
        column: usize,
        sums: &mut [f32],
    ) {
        let mut held = [[L::splat(0.0); N]; ROWS];
        for (r, held) in held.iter_mut().enumerate() {
            let (lanes, _) = sums[r * self.d + column..].as_chunks::<LANES>();
            for (held, lanes) in held.iter_mut().zip(lanes) {
                *held = L::load(lanes);
            }
        }
        for key in self.seen.clone() {
            let at = key * self.stride + column;
            for lanes in self.next.get(at..at + N * LANES).unwrap_or_default().chunks(LANES) {
                L::prefetch(lanes);
            }
            let (values, _) = self.values[at..].as_chunks::<LANES>();
            let values: [L; N] = std::array::from_fn(|i| L::load(&values[i]));
            for (held, weights) in held.iter_mut().zip(weights) {
                let weight = L::splat(weights[key]);
                for (held, value) in held.iter_mut().zip(values) {
                    *held = weight.mul_add(value, *held);
                }
            }
        }
        for (r, held) in held.iter().enumerate() {
            let (lanes, _) = sums[r * self.d + column..].as_chunks_mut::<LANES>();
            for (held, lanes) in held.iter().zip(lanes) {
                held.store(lanes);
            }
        }
    }
}
