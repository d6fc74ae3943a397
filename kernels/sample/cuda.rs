//! The draw on CUDA: parameters go up, tokens and log-probabilities come back.

use candle_core::{DType, Tensor};

use super::launch::{Plan, Pointers, VOCABULARY_MAX};
use super::{Drawn, RowParams, SampleError, on_host};
use crate::cuda::{address, device_of, expect_float, launch, unwritten_as};
use crate::idle::{self, Moment};

pub(super) fn sample(logits: &Tensor, params: &[RowParams<'_>]) -> Result<Vec<Drawn>, SampleError> {
    let (s, v) = logits.dims2()?;
    if s == 0 || v > VOCABULARY_MAX {
        return on_host(logits, params);
    }
    let float = expect_float(logits)?;
    let device = logits.device();
    let plan = Plan::new(params, v);
    let words = Tensor::from_slice(plan.words(), plan.words().len(), device)?;
    let workspace = unwritten_as((s, v), DType::F32, device)?;
    let out = unwritten_as(plan.n_out(), DType::U32, device)?;
    let at = Pointers {
        logits: address(logits)?,
        words: address(&words)?,
        workspace: address(&workspace)?,
        out: address(&out)?,
    };
    // SAFETY: `mod.rs` has checked the shape, the plan its parameters; all memory is as large as
    // the plan says, and the kernel writes all of `out`.
    unsafe { launch(device_of(logits)?, &plan.launch(float, &at)) }?;
    // The one place of a step where the host waits for the device.
    idle::tell(Moment::Waits);
    let words = out.to_vec1::<u32>()?;
    idle::tell(Moment::Idle);
    plan.read(&words)
}
