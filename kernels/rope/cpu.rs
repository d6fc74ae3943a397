//! The rotation on the CPU: rows in parallel, plain loops that the compiler vectorises.
//!
//! The product and the sum are rounded one by one (no fused multiply-add), as in the code that the
//! checkpoints were made with; the op waits for memory either way.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::Rotation;
use crate::host::HostF32;

/// Rows that one task takes at least: a row is under a microsecond of work.
const ROWS_PER_TASK: usize = 8;

/// Cosines and sines, each `[t, d / 2]`, of `positions` (`[t]`) times `inv_freq` (`[d / 2]`).
pub(super) fn cos_sin(positions: &[u32], inv_freq: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let half = inv_freq.len();
    let mut cos = vec![0.0; positions.len() * half];
    let mut sin = vec![0.0; positions.len() * half];
    let rows = cos.par_chunks_mut(half).zip(sin.par_chunks_mut(half)).with_min_len(ROWS_PER_TASK);
    rows.zip(positions).for_each(|((cos, sin), &position)| {
        for ((cos, sin), freq) in cos.iter_mut().zip(sin).zip(inv_freq) {
            let angle = f64::from(position as f32 * freq);
            (*cos, *sin) = (angle.cos() as f32, angle.sin() as f32);
        }
    });
    (cos, sin)
}

pub(super) fn rope(x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let (t, heads, d) = x.dims3()?;
    let (x, cos, sin) = (HostF32::of(x)?, HostF32::of(&rotation.cos)?, HostF32::of(&rotation.sin)?);
    let mut out = vec![0.0; t * heads * d];
    let row_len = (heads * d).max(1);
    let rows = out.par_chunks_mut(row_len).zip(x.par_chunks(row_len)).with_min_len(ROWS_PER_TASK);
    rows.enumerate().for_each(|(row, (out, x))| {
        let angles = row * d / 2..(row + 1) * d / 2;
        rotate_row(x, &cos[angles.clone()], &sin[angles], out);
    });
    Tensor::from_vec(out, (t, heads, d), &Device::Cpu)
}

/// Rotates all heads of one row: `x` and `out` are `[heads, d]`, `cos` and `sin` `[d / 2]`.
pub(crate) fn rotate_row(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
    let half = cos.len();
    for (x, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
        let (first, second) = x.split_at(half);
        let (out_first, out_second) = out.split_at_mut(half);
        for i in 0..half {
            out_first[i] = first[i] * cos[i] - second[i] * sin[i];
            out_second[i] = second[i] * cos[i] + first[i] * sin[i];
        }
    }
}
