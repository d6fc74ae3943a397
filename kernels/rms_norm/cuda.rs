//! `rms_norm` on CUDA: one launch a call, with or without the sum.

use candle_core::{Result, Tensor};

use super::launch::{self, AddPointers, Pointers, Shape};
use crate::cuda::{address, device_of, expect_float, launch, unwritten};

pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    let shape = shape(x, &[w])?;
    let y = unwritten(x.shape(), x)?;
    let at = Pointers { x: address(x)?, w: address(w)?, y: address(&y)? };
    // SAFETY: `mod.rs` has checked the shapes and `shape` the types; the kernel writes all of `y`.
    unsafe { launch(device_of(x)?, &launch::rms_norm(shape, eps, &at)) }?;
    Ok(y)
}

pub(super) fn add_rms_norm(
    x: &Tensor,
    residual: &Tensor,
    w: &Tensor,
    eps: f32,
) -> Result<(Tensor, Tensor)> {
    let shape = shape(x, &[residual, w])?;
    let (y, sum) = (unwritten(x.shape(), x)?, unwritten(x.shape(), x)?);
    let at = Pointers { x: address(x)?, w: address(w)?, y: address(&y)? };
    let add = AddPointers { residual: address(residual)?, sum: address(&sum)? };
    // SAFETY: as in `rms_norm`; the kernel writes all of `y` and `sum`.
    unsafe { launch(device_of(x)?, &launch::add_rms_norm(shape, eps, &at, &add)) }?;
    Ok((y, sum))
}

/// Sizes of the rows; the other tensors must have their type.
fn shape(x: &Tensor, others: &[&Tensor]) -> Result<Shape> {
    let (t, h) = x.dims2()?;
    let float = expect_float(x)?;
    if let Some(other) = others.iter().find(|other| other.dtype() != x.dtype()) {
        candle_core::bail!("rms_norm: {:?} beside rows of {:?}", other.dtype(), x.dtype())
    }
    Ok(Shape { float, t, h })
}
