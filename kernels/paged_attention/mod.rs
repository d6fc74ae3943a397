//! Causal attention of a ragged batch over paged keys and values.
//!
//! Query row `r` of a sequence, at position `p`, attends the keys at positions
//! `max(0, p + 1 - window) ..= p` of its own sequence:
//!
//! `out[r] = sum_j softmax_j(scale * q[r] . k[j]) v[j]`
//!
//! Query heads are grouped: head `i` reads key/value head `i / (hq / hkv)`. A row's own key and
//! value must be in the pool already (`rope_kv_write` comes first), so that prefill and decode are
//! the same op.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub mod launch;
pub mod portable;
pub mod reference;
mod tile;

// Without the feature no tensor lies on such a device, and the name serves the dispatch alone.
#[cfg(not(feature = "cuda"))]
use portable as cuda;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::paged::{BLOCK, BatchOn, KvLayer};
use crate::shape::Shapes;
use crate::switch;

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// What a row attends to and how its scores are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attend {
    /// Positions that a row sees, its own among them; all before it when `None`.
    pub window: Option<usize>,
    /// Factor on the products of query and key, commonly `1 / sqrt(d)`.
    pub scale: f32,
}

/// Attention of the queries `q` (`[t, hq, d]`) over `layer`; returns `[t, hq * d]` in the type of
/// `q`. Sums are f32 or wider.
///
/// # Errors
/// When a shape, type or device does not fit, `d` is odd, or a block lies outside the pool.
pub fn paged_attention(
    q: &Tensor,
    layer: &KvLayer,
    batch: &BatchOn<'_>,
    attend: Attend,
) -> Result<Tensor> {
    let mut shapes = Shapes::of("paged_attention");
    shapes.bind("BLOCK", BLOCK, "the layout")?;
    shapes.bind("t", batch.host.n_tokens(), "the batch")?;
    let [_, hq, d] = shapes.expect("q", q, ["t", "hq", "d"])?;
    let [n, _, hkv, _] = shapes.expect("the key pool", &layer.k, ["n", "BLOCK", "hkv", "d"])?;
    shapes.expect("the value pool", &layer.v, ["n", "BLOCK", "hkv", "d"])?;
    shapes.expect_dtype("q", q, &FLOATS)?;
    shapes.expect_dtype("the key pool", &layer.k, &FLOATS)?;
    shapes.expect_dtype("the value pool", &layer.v, &[layer.k.dtype()])?;
    if !d.is_multiple_of(2) || !hq.is_multiple_of(hkv) || attend.window == Some(0) {
        bail!(
            "paged_attention: d = {d} must be even, hq = {hq} a multiple of hkv = {hkv}, \
             window {:?} above 0",
            attend.window
        )
    }
    for j in 0..batch.host.n_sequences() {
        if let Some(block) = batch.host.table(j).iter().find(|&&block| block as usize >= n) {
            bail!("paged_attention: sequence {j} has block {block}, the pool has {n}")
        }
    }
    let are_f32 = [q.dtype(), layer.k.dtype()] == [DType::F32; 2];
    match q.device() {
        Device::Cpu if are_f32 => cpu::paged_attention(q, layer, batch, attend),
        Device::Cuda(_) if switch::is_on("paged_attention") => {
            cuda::paged_attention(q, layer, batch, attend)
        }
        Device::Cpu | Device::Cuda(_) | Device::Metal(_) => {
            portable::paged_attention(q, layer, batch, attend)
        }
    }
}

impl Attend {
    /// The first position that a row at `position` sees.
    pub fn first_seen(self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}
