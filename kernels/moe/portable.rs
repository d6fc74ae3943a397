//! `moe` by candle ops, with the routing left on the device.
//!
//! Without a host copy nobody knows how many rows an expert has, so every expert runs on every row
//! and its output is weighted, with 0 where it was not chosen: `e / k` times the arithmetic that
//! is needed (4 times for Mixtral) and no synchronisation. For a decode of a few rows, which is
//! bound by reading weights, it costs little once each expert is wanted by some row; for prefill
//! it costs all of that, which CUDA's own kernels save.
//!
//! Top-k without a sort: an expert's rank is the number of those that beat it. Candle's sort on
//! CUDA is limited in width and leaves ties open.

use super::Expert;
use candle_core::{D, DType, Result, Tensor};

/// [`moe`](super::moe()) on any device, in any float type.
pub fn moe(x: &Tensor, logits: &Tensor, experts: &[Expert], top_k: usize) -> Result<Tensor> {
    let weights = dense_weights(logits, top_k)?.to_dtype(x.dtype())?;
    let mut sum = x.zeros_like()?;
    for (i, expert) in experts.iter().enumerate() {
        let weight = weights.narrow(D::Minus1, i, 1)?;
        sum = (sum + expert.forward(x)?.broadcast_mul(&weight)?)?;
    }
    Ok(sum)
}

/// `logits [t, e]` to f32 `[t, e]`: the weight of each expert, 0 where it was not chosen.
fn dense_weights(logits: &Tensor, top_k: usize) -> Result<Tensor> {
    let (_, e) = logits.dims2()?;
    let logits = logits.to_dtype(DType::F32)?;
    let exps = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?.exp()?;
    let probabilities = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
    // [t, e, 1] against [t, 1, e]: does the expert of the last dimension beat that of the middle?
    let (own, other) = (logits.unsqueeze(2)?, logits.unsqueeze(1)?);
    let more = other.broadcast_gt(&own)?;
    let index = Tensor::arange(0u32, e as u32, logits.device())?;
    let earlier = index.reshape((1, 1, e))?.broadcast_lt(&index.reshape((1, e, 1))?)?;
    let tied = other.broadcast_eq(&own)?.broadcast_mul(&earlier)?;
    let rank = (more + tied)?.to_dtype(DType::F32)?.sum(D::Minus1)?;
    let chosen = rank.lt(top_k as f64)?.to_dtype(DType::F32)?;
    let kept = (probabilities * chosen)?;
    kept.broadcast_div(&kept.sum_keepdim(D::Minus1)?)
}
