//! Stores the keys and values of a batch in the paged pool, each row in its slot.
//!
//! [`rope_kv_write`] is the form a model calls: one pass over the fused projection that rotates
//! queries and keys, stores keys and values and returns the queries. [`kv_write`] is the store by
//! itself, for parity tests and for models without rotation.
//!
//! Both write in place: the pool is the largest allocation but the weights and is never copied.
//! Values are rounded to the pool's type. Slots of one batch are distinct (the engine hands each
//! token its own), which makes the order of the writes irrelevant.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod launch;
pub mod portable;
pub mod reference;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
use portable as cuda;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::paged::{BLOCK, BatchOn, KvLayer};
use crate::rope::Rotation;
use crate::shape::Shapes;
use crate::switch;

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Stores `k` and `v` (each `[t, hkv, d]`) in `layer` at the batch's slots.
///
/// # Errors
/// When a shape, type or device does not fit, or a slot lies outside the pool.
pub fn kv_write(k: &Tensor, v: &Tensor, batch: &BatchOn<'_>, layer: &mut KvLayer) -> Result<()> {
    let mut shapes = Shapes::of("kv_write");
    expect_pool(&mut shapes, batch, layer)?;
    shapes.expect("k", k, ["t", "hkv", "d"])?;
    shapes.expect("v", v, ["t", "hkv", "d"])?;
    shapes.expect_dtype("k", k, &FLOATS)?;
    shapes.expect_dtype("v", v, &[k.dtype()])?;
    match k.device() {
        Device::Cpu if are_f32(k, layer) => cpu::kv_write(k, v, batch, layer),
        Device::Cuda(_) if switch::is_on("kv_write") => cuda::kv_write(k, v, batch, layer),
        Device::Cpu | Device::Cuda(_) | Device::Metal(_) => portable::kv_write(k, v, batch, layer),
    }
}

/// Rotates the queries and keys of `qkv` (`[t, (hq + 2 * hkv) * d]`: all query heads, then all key
/// heads, then all value heads), stores keys and values in `layer` at the batch's slots, and
/// returns the queries, `[t, hq, d]` in the type of `qkv`.
///
/// # Errors
/// When a shape, type or device does not fit, or a slot lies outside the pool.
pub fn rope_kv_write(
    qkv: &Tensor,
    rotation: &Rotation,
    batch: &BatchOn<'_>,
    layer: &mut KvLayer,
) -> Result<Tensor> {
    let mut shapes = Shapes::of("rope_kv_write");
    let [hkv, d] = expect_pool(&mut shapes, batch, layer)?;
    let [_, width] = shapes.expect("qkv", qkv, ["t", "width"])?;
    shapes.expect_dtype("qkv", qkv, &FLOATS)?;
    rotation.check(&mut shapes, d)?;
    if width <= 2 * hkv * d || !width.is_multiple_of(d) {
        bail!(
            "rope_kv_write: qkv has {width} columns, wanted (hq + 2 * hkv) * d with hkv = {hkv} \
             and d = {d}, as in the pool"
        )
    }
    match qkv.device() {
        Device::Cpu if are_f32(qkv, layer) => cpu::rope_kv_write(qkv, rotation, batch, layer),
        Device::Cuda(_) if switch::is_on("kv_write") => {
            cuda::rope_kv_write(qkv, rotation, batch, layer)
        }
        Device::Cpu | Device::Cuda(_) | Device::Metal(_) => {
            portable::rope_kv_write(qkv, rotation, batch, layer)
        }
    }
}

fn are_f32(source: &Tensor, layer: &KvLayer) -> bool {
    [source.dtype(), layer.k.dtype()] == [DType::F32; 2]
}

/// Checks the pool and the batch's slots; returns `[hkv, d]`.
fn expect_pool(shapes: &mut Shapes, batch: &BatchOn<'_>, layer: &KvLayer) -> Result<[usize; 2]> {
    shapes.bind("BLOCK", BLOCK, "the layout")?;
    shapes.bind("t", batch.host.n_tokens(), "the batch")?;
    let [n, _, hkv, d] = shapes.expect("the key pool", &layer.k, ["n", "BLOCK", "hkv", "d"])?;
    shapes.expect("the value pool", &layer.v, ["n", "BLOCK", "hkv", "d"])?;
    shapes.expect_dtype("the key pool", &layer.k, &FLOATS)?;
    shapes.expect_dtype("the value pool", &layer.v, &[layer.k.dtype()])?;
    let slots = &batch.host.slots;
    if let Some(row) = slots.iter().position(|&slot| slot as usize >= n * BLOCK) {
        bail!("kv_write: row {row} has slot {}, the pool has {}", slots[row], n * BLOCK)
    }
    Ok([hkv, d])
}
