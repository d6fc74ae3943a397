//! Attention on CUDA: planned once a forward, launched once a layer.
//!
//! The plan is made on the host from the host's copy of the batch, so that nothing waits for the
//! device, and its work lists are uploaded with the first layer that asks.

use candle_core::{Device, Result, Tensor};

use super::launch::{Plan, Pointers, Shape, Split};
use super::{Attend, portable};
use crate::cuda::{address, card_of, device_of, expect_float, launch, unwritten, unwritten_as};
use crate::paged::{BatchOn, KvLayer};

/// Largest head size that a kernel takes.
const HEAD_DIM_MAX: usize = 256;

/// The plan of one forward, and what of it lies on the device.
#[derive(Debug)]
pub(crate) struct Planned {
    shape: Shape,
    window: Option<usize>,
    plan: Plan,
    /// [`Plan::work`], uploaded.
    work: Tensor,
}

pub(super) fn paged_attention(
    q: &Tensor,
    layer: &KvLayer,
    batch: &BatchOn<'_>,
    attend: Attend,
) -> Result<Tensor> {
    let (t, hq, d) = q.dims3()?;
    let (_, _, hkv, _) = layer.k.dims4()?;
    if q.dtype() != layer.k.dtype() || d > HEAD_DIM_MAX {
        return portable::paged_attention(q, layer, batch, attend);
    }
    let shape = Shape { float: expect_float(q)?, hq, hkv, d };
    let made;
    let planned = match batch.planned.get() {
        Some(planned) if planned.serves(shape, attend) => planned,
        Some(_) => {
            made = Planned::new(batch, shape, attend, q.device())?;
            &made
        }
        None => {
            let planned = Planned::new(batch, shape, attend, q.device())?;
            batch.planned.get_or_init(|| planned)
        }
    };
    let out = unwritten((t, hq * d), q)?;
    let n_workspace = planned.plan.n_workspace().max(1);
    let workspace = unwritten_as(n_workspace, candle_core::DType::F32, q.device())?;
    let at = Pointers {
        q: address(q)?,
        k: address(&layer.k)?,
        v: address(&layer.v)?,
        tables: address(&batch.tables)?,
        work: address(&planned.work)?,
        workspace: address(&workspace)?,
        out: address(&out)?,
    };
    let device = device_of(q)?;
    let launches = planned.plan.launches(attend.scale, &at);
    let most = launches.iter().map(|launch| launch.shared_bytes as usize).max().unwrap_or(0);
    if most > card_of(device)?.shared_bytes_max {
        // Very many query heads for one of keys, which no model here has.
        return portable::paged_attention(q, layer, batch, attend);
    }
    for plan in &launches {
        // SAFETY: `mod.rs` has checked shapes, types and that every block lies in the pool; the
        // plan has its work and its workspace; the launches together write all of `out`.
        unsafe { launch(device, plan) }?;
    }
    Ok(out)
}

impl Planned {
    fn new(batch: &BatchOn<'_>, shape: Shape, attend: Attend, device: &Device) -> Result<Self> {
        let n_sms = card_of(device.as_cuda_device()?)?.n_multiprocessors;
        let plan = Plan::new(batch.host, shape, attend.window, Split::Fill { n_sms });
        let work = Tensor::from_slice(plan.work(), plan.work().len(), device)?;
        Ok(Self { shape, window: attend.window, plan, work })
    }

    fn serves(&self, shape: Shape, attend: Attend) -> bool {
        self.shape == shape && self.window == attend.window
    }
}
