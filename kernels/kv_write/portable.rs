//! The store in candle ops, for any device and float type, without copying the pool.
//!
//! `scatter_set` writes in place, but wants an index for each element: a `[t, hkv * d]` tensor is
//! spread out of the slots for every call, so a write moves 4 more bytes for each element and
//! launches one kernel more. `slice_set` would need no index and one launch for each run of slots,
//! which in a batch of decodes is each row.

use candle_core::{Result, Tensor};

use crate::paged::{BLOCK, BatchOn, KvLayer};
use crate::rope::{self, Rotation};

/// See [`kv_write`](super::kv_write); shapes are checked there.
///
/// # Errors
/// When a candle op fails.
pub fn kv_write(k: &Tensor, v: &Tensor, batch: &BatchOn<'_>, layer: &mut KvLayer) -> Result<()> {
    let (n, _, hkv, d) = layer.k.dims4()?;
    let rows = (batch.host.n_tokens(), hkv * d);
    let slots = batch.slots.unsqueeze(1)?.broadcast_as(rows)?.contiguous()?;
    for (pool, source) in [(&layer.k, k), (&layer.v, v)] {
        let source = source.to_dtype(pool.dtype())?.contiguous()?.reshape(rows)?;
        // The reshape of a contiguous tensor shares its memory: this writes into the pool.
        pool.reshape((n * BLOCK, hkv * d))?.scatter_set(&slots, &source, 0)?;
    }
    Ok(())
}

/// See [`rope_kv_write`](super::rope_kv_write); shapes are checked there.
///
/// # Errors
/// When a candle op fails.
pub fn rope_kv_write(
    qkv: &Tensor,
    rotation: &Rotation,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<Tensor> {
    let (_, _, hkv, d) = layer.k.dims4()?;
    let (t, width) = qkv.dims2()?;
    let heads = qkv.reshape((t, width / d, d))?;
    let hq = width / d - 2 * hkv;
    let k = rope::portable::rope(&heads.narrow(1, hq, hkv)?, rotation)?;
    kv_write(&k, &heads.narrow(1, hq + hkv, hkv)?, batch, layer)?;
    rope::portable::rope(&heads.narrow(1, 0, hq)?, rotation)?.contiguous()
}
