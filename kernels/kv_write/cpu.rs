//! The store on the CPU, for f32: rows in parallel, in place.
//!
//! The slots of a batch lie anywhere in the pool, so the rows are visited in the order of their
//! slots and the pool is split between them: no two tasks can hold the same memory, and a slot
//! named twice is found. Sorting costs microseconds, for the slots of a sequence ascend already.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use crate::host::HostF32;
use crate::paged::{BatchOn, KvLayer};
use crate::rope::{Rotation, rotate_row};

/// Rows that one task takes at least: a row is under a microsecond of work.
const ROWS_PER_TASK: usize = 8;

pub(super) fn kv_write(
    k: &Tensor,
    v: &Tensor,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<()> {
    let copy = |_: usize, source: &[f32], slot: &mut [f32]| slot.copy_from_slice(source);
    let write = WriteRows { slots: &batch.host.slots, write_row: copy };
    layer.k.inplace_op2(k, &write)?;
    layer.v.inplace_op2(v, &write)
}

pub(super) fn rope_kv_write(
    qkv: &Tensor,
    rotation: &Rotation,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<Tensor> {
    let (_, _, hkv, d) = layer.k.dims4()?;
    let (t, width) = qkv.dims2()?;
    let kv_width = hkv * d;
    let q_width = width - 2 * kv_width;
    let slots = &batch.host.slots;
    let (cos, sin) = (HostF32::of(&rotation.cos)?, HostF32::of(&rotation.sin)?);
    let angles = |row: usize| {
        let range = row * d / 2..(row + 1) * d / 2;
        (&cos[range.clone()], &sin[range])
    };

    let write_row = |row: usize, source: &[f32], slot: &mut [f32]| {
        let (cos, sin) = angles(row);
        rotate_row(&source[q_width..q_width + kv_width], cos, sin, slot);
    };
    layer.k.inplace_op2(qkv, &WriteRows { slots, write_row })?;
    let write_row = |_: usize, source: &[f32], slot: &mut [f32]| {
        slot.copy_from_slice(&source[q_width + kv_width..]);
    };
    layer.v.inplace_op2(qkv, &WriteRows { slots, write_row })?;

    let mut q = vec![0.0; t * q_width];
    let qkv = HostF32::of(qkv)?;
    let rows = q.par_chunks_mut(q_width).zip(qkv.par_chunks(width)).with_min_len(ROWS_PER_TASK);
    rows.enumerate().for_each(|(row, (q, source))| {
        let (cos, sin) = angles(row);
        rotate_row(&source[..q_width], cos, sin, q);
    });
    Tensor::from_vec(q, (t, q_width / d, d), rotation.cos.device())
}

/// Writes each row of a source into its slot of a pool, `write_row(row, source row, slot)`.
struct WriteRows<'a, F> {
    /// `[t]`
    slots: &'a [u32],
    write_row: F,
}

impl<F: Fn(usize, &[f32], &mut [f32]) + Sync> InplaceOp2 for WriteRows<'_, F> {
    fn name(&self) -> &'static str {
        "kv_write"
    }

    fn cpu_fwd(
        &self,
        pool: &mut CpuStorage,
        pool_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(pool), Ok(source)) = (pool, source.as_slice::<f32>()) else {
            bail!("kv_write: the CPU path takes f32")
        };
        let [Some((pool_start, pool_end)), Some((start, end))] =
            [pool_layout.contiguous_offsets(), source_layout.contiguous_offsets()]
        else {
            bail!("kv_write: the CPU path takes contiguous tensors")
        };
        if self.slots.is_empty() {
            return Ok(());
        }
        let (pool, source) = (&mut pool[pool_start..pool_end], &source[start..end]);
        let slot_len = pool_layout.dims()[2..].iter().product();
        let row_len = source.len() / self.slots.len();
        slices_in_slot_order(pool, self.slots, slot_len)
            .into_par_iter()
            .with_min_len(ROWS_PER_TASK)
            .for_each(|(row, slot)| {
                (self.write_row)(row, &source[row * row_len..][..row_len], slot);
            });
        Ok(())
    }
}

/// The rows of a batch, each with its own slot of the pool.
fn slices_in_slot_order<'a>(
    mut pool: &'a mut [f32],
    slots: &[u32],
    slot_len: usize,
) -> Vec<(usize, &'a mut [f32])> {
    let mut rows: Vec<usize> = (0..slots.len()).collect();
    rows.sort_by_key(|&row| slots[row]);
    let mut next_slot = 0;
    let slices = rows.into_iter().map(|row| {
        let slot = slots[row] as usize;
        assert!(slot >= next_slot, "two rows of a batch were given slot {slot}");
        let after = std::mem::take(&mut pool).split_at_mut((slot - next_slot) * slot_len).1;
        let (slice, rest) = after.split_at_mut(slot_len);
        (pool, next_slot) = (rest, slot + 1);
        (row, slice)
    });
    slices.collect()
}
