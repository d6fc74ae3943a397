//! The store on CUDA: one launch a call, of the kernel that `launch.rs` chooses.

use candle_core::{Result, Tensor};

use super::launch::{self, Pointers, RopePointers, Shape};
use super::portable;
use crate::cuda::{address, device_of, expect_float, launch, unwritten};
use crate::paged::{BatchOn, KvLayer};
use crate::rope::Rotation;

pub(super) fn kv_write(
    k: &Tensor,
    v: &Tensor,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<()> {
    if k.dtype() != layer.k.dtype() {
        // No model stores in another type than it computes in.
        return portable::kv_write(k, v, batch, layer);
    }
    let (t, hkv, d) = k.dims3()?;
    let shape = Shape { float: expect_float(k)?, t, hq: 0, hkv, d };
    let at = Pointers {
        k: address(k)?,
        v: address(v)?,
        slots: address(&batch.slots)?,
        k_pool: address(&layer.k)?,
        v_pool: address(&layer.v)?,
    };
    // SAFETY: `mod.rs` has checked shapes, types and slots; the tensors live until the launch is
    // on the stream, and memory is freed in the stream's order. The pool is borrowed mutably.
    unsafe { launch(device_of(k)?, &launch::kv_write(shape, &at)) }
}

pub(super) fn rope_kv_write(
    qkv: &Tensor,
    rotation: &Rotation,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<Tensor> {
    if qkv.dtype() != layer.k.dtype() {
        return portable::rope_kv_write(qkv, rotation, batch, layer);
    }
    let (_, _, hkv, d) = layer.k.dims4()?;
    let (t, width) = qkv.dims2()?;
    let hq = width / d - 2 * hkv;
    let q = unwritten((t, hq, d), qkv)?;
    let shape = Shape { float: expect_float(qkv)?, t, hq, hkv, d };
    let at = RopePointers {
        qkv: address(qkv)?,
        cos: address(&rotation.cos)?,
        sin: address(&rotation.sin)?,
        slots: address(&batch.slots)?,
        q: address(&q)?,
        k_pool: address(&layer.k)?,
        v_pool: address(&layer.v)?,
    };
    // SAFETY: as in `kv_write`; the kernel writes every query.
    unsafe { launch(device_of(qkv)?, &launch::rope_kv_write(shape, &at)) }?;
    Ok(q)
}
