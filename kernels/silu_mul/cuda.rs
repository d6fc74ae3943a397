//! `silu_mul` on CUDA: one launch.

use candle_core::{Result, Tensor};

use super::launch::{self, Shape};
use crate::cuda::{address, device_of, expect_float, launch, unwritten};

pub(super) fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    let (t, width) = gate_up.dims2()?;
    let shape = Shape { float: expect_float(gate_up)?, t, i: width / 2 };
    let y = unwritten((t, shape.i), gate_up)?;
    let plan = launch::silu_mul(shape, address(gate_up)?, address(&y)?);
    // SAFETY: `mod.rs` has checked the shape; the kernel writes all of `y`.
    unsafe { launch(device_of(gate_up)?, &plan) }?;
    Ok(y)
}
