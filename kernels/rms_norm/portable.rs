//! `rms_norm` by candle ops: six small launches where a kernel of ours would need one.
//!
//! The mean is taken in f32; the normalised row is rounded to the row's own type before the
//! weight is applied, as the published models were trained.

use candle_core::{D, DType, Result, Tensor};

/// [`rms_norm`](super::rms_norm()) on any device, in any float type.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let mean_square = wide.sqr()?.mean_keepdim(D::Minus1)?;
    let norm = (mean_square + f64::from(eps))?.sqrt()?;
    wide.broadcast_div(&norm)?.to_dtype(x.dtype())?.broadcast_mul(w)
}

/// [`add_rms_norm`](super::add_rms_norm()) on any device, in any float type.
pub fn add_rms_norm(
    x: &Tensor,
    residual: &Tensor,
    w: &Tensor,
    eps: f32,
) -> Result<(Tensor, Tensor)> {
    let sum = (x + residual)?;
    Ok((rms_norm(&sum, w, eps)?, sum))
}
