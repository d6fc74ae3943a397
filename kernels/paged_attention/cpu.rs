//! Attention on the CPU, for f32: one task for each tile of query rows that share a key/value head.
//!
//! A tile is some neighbouring tokens of one sequence and all the query heads that read one
//! key/value head, so that keys and values are read once for all of them; a decode is a tile of
//! one token. What a row computes does not depend on its tile ([`tile`](super::tile)), hence not
//! on chunking, on its neighbours or on the number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::Attend;
use super::tile::{Scratch, Tile};
use crate::host::HostF32;
use crate::lanes::Isa;
use crate::paged::{BatchOn, KvLayer};

/// Most rows of a tile, unless one token has more heads in a group: their sums and weights stay
/// in the first two cache levels, and the price of turning a block of keys is spread over them.
const TILE_ROWS_MAX: usize = 64;

/// See [`paged_attention`](super::paged_attention); shapes are checked there.
pub(super) fn paged_attention(
    q: &Tensor,
    layer: &KvLayer,
    batch: &BatchOn<'_>,
    attend: Attend,
) -> Result<Tensor> {
    attention_with(Isa::best(), q, layer, batch, attend)
}

pub(super) fn attention_with(
    isa: Isa,
    q: &Tensor,
    layer: &KvLayer,
    batch: &BatchOn<'_>,
    attend: Attend,
) -> Result<Tensor> {
    let (t, hq, d) = q.dims3()?;
    let hkv = layer.k.dim(2)?;
    let (q, k, v) = (HostF32::of(q)?, HostF32::of(&layer.k)?, HostF32::of(&layer.v)?);
    let batch = batch.host;
    let n_tokens_max = (TILE_ROWS_MAX / (hq / hkv)).max(1);
    let mut tiles = Vec::new();
    for j in 0..batch.n_sequences() {
        let rows = batch.rows(j);
        for start in rows.clone().step_by(n_tokens_max) {
            let rows = start..rows.end.min(start + n_tokens_max);
            tiles.extend((0..hkv).map(|kv_head| (j, rows.clone(), kv_head)));
        }
    }

    let mut out = vec![0.0; t * hq * d];
    let sink = Sink::new(&mut out);
    tiles.into_par_iter().for_each_init(Scratch::default, |scratch, (j, rows, kv_head)| {
        let tile = Tile {
            q: &q,
            k: &k,
            v: &v,
            positions: &batch.positions[rows.clone()],
            table: batch.table(j),
            rows: rows.clone(),
            kv_head,
            heads: [hq, hkv, d],
            attend,
            scratch,
        };
        isa.run(tile);
        let group_len = hq / hkv * d;
        for (row, sums) in rows.zip(scratch.out().chunks(group_len)) {
            let start = (row * hkv + kv_head) * group_len;
            // SAFETY: a row belongs to one tile for each key/value head, so no other task has this
            // part of the output.
            unsafe { sink.part(start..start + group_len) }.copy_from_slice(sums);
        }
    });
    Tensor::from_vec(out, (t, hq * d), &Device::Cpu)
}

/// Memory into which tasks write parts that do not overlap.
struct Sink<'a> {
    start: *mut f32,
    len: usize,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: the memory is reached through `part` only, whose callers keep their parts apart.
unsafe impl Sync for Sink<'_> {}

impl<'a> Sink<'a> {
    fn new(memory: &'a mut [f32]) -> Self {
        Self { start: memory.as_mut_ptr(), len: memory.len(), memory: PhantomData }
    }

    /// # Safety
    /// No two parts that live at the same time may overlap.
    #[expect(clippy::mut_from_ref, reason = "handing out parts is what it is for")]
    unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies in the memory, which is borrowed for as long as `self` lives, and
        // the caller promises that nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paged::{BLOCK, Batch};
    use crate::sample::philox::{Philox, Purpose};

    #[test]
    fn fusing_instruction_sets_agree_to_the_bit() {
        let stream = Philox::new(13);
        let noise = |dims: &[usize], seed: u64| {
            let unit = |at: usize| stream.uniform(seed << 32 | at as u64, Purpose::Weights);
            let data: Vec<f32> =
                (0..dims.iter().product()).map(|at| 4.0 * unit(at) as f32 - 2.0).collect();
            Tensor::from_vec(data, dims, &Device::Cpu).unwrap()
        };
        for (hq, hkv, d) in [(1, 1, 6), (7, 1, 64), (8, 2, 80), (4, 4, 96)] {
            let pool = [3, BLOCK, hkv, d];
            let layer = KvLayer { k: noise(&pool, 1), v: noise(&pool, 2) };
            let batch = Batch {
                tokens: vec![0; 20],
                positions: (50..70).collect(),
                slots: vec![0; 20],
                starts: vec![0, 20],
                contexts: vec![70],
                tables: vec![2, 0, 1],
                table_width: 3,
                sample_rows: vec![],
            };
            let on = batch.upload(&Device::Cpu).unwrap();
            let attend = Attend { window: Some(40), scale: 0.3 };
            let bits = |isa| {
                let out = attention_with(isa, &noise(&[20, hq, d], 3), &layer, &on, attend);
                let out = out.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let fusing: Vec<Isa> = Isa::all().into_iter().filter(|isa| isa.fuses()).collect();
            for pair in fusing.windows(2) {
                assert_eq!(bits(pair[0]), bits(pair[1]), "{pair:?}");
            }
        }
    }
}
