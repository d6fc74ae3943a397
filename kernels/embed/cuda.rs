//! `embed` on CUDA: one launch.

use candle_core::{Result, Tensor};

use super::launch::{self, Shape};
use crate::cuda::{address, device_of, expect_float, launch, unwritten};

pub(super) fn gather(table: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    let (v, h) = table.dims2()?;
    let shape = Shape { float: expect_float(table)?, t: tokens.dim(0)?, v, h };
    let y = unwritten((shape.t, h), table)?;
    let plan = launch::embed(shape, address(table)?, address(tokens)?, address(&y)?);
    // SAFETY: `mod.rs` has checked shapes and types; the kernel writes all of `y`, and reads no row
    // beyond the `v` that the table has.
    unsafe { launch(device_of(table)?, &plan) }?;
    Ok(y)
}
