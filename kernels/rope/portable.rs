//! The rotation in candle ops, for any device and type; the arithmetic is f32.
//!
//! Eight small launches. The fused kernel that replaces it on CUDA is `rope_kv_write`.

use candle_core::{DType, Result, Tensor};

use super::Rotation;

/// See [`rope`](super::rope); shapes are checked there.
///
/// # Errors
/// When a candle op fails.
pub fn rope(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let half = x.dim(2)? / 2;
    let (cos, sin) = (rotation.cos.unsqueeze(1)?, rotation.sin.unsqueeze(1)?);
    let wide = x.to_dtype(DType::F32)?;
    let (first, second) = (wide.narrow(2, 0, half)?, wide.narrow(2, half, half)?);
    let out_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let out_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    Tensor::cat(&[out_first, out_second], 2)?.to_dtype(x.dtype())
}
