//! `rms_norm` on CPU: one pass for the squares, one for the result, rows shared out over threads.
//!
//! Sixteen running sums, added up in a fixed order at the end: wide enough for vectors, and the
//! same sums whatever the vector width, the number of rows or of threads.

use crate::host::HostF32;
use crate::split::rows_per_task;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

const LANES: usize = 16;

pub(super) fn rms_norm(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    let (t, h) = x.dims2()?;
    let (x_host, w_host) = (HostF32::of(x)?, HostF32::of(w)?);
    let (x_rows, w): (&[f32], &[f32]) = (&x_host, &w_host);
    let mut out = vec![0.0; t * h];
    let chunk = rows_per_task(t, h) * h;
    out.par_chunks_mut(chunk).zip(x_rows.par_chunks(chunk)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(h).zip(x.chunks_exact(h)) {
            normalise(x, w, eps, out);
        }
    });
    Tensor::from_vec(out, (t, h), x.device())
}

pub(super) fn add_rms_norm(
    x: &Tensor,
    residual: &Tensor,
    w: &Tensor,
    eps: f32,
) -> Result<(Tensor, Tensor)> {
    let (t, h) = x.dims2()?;
    let (x_host, residual, w_host) = (HostF32::of(x)?, HostF32::of(residual)?, HostF32::of(w)?);
    let (x_rows, residual, w): (&[f32], &[f32], &[f32]) = (&x_host, &residual, &w_host);
    let (mut normed, mut sum) = (vec![0.0; t * h], vec![0.0; t * h]);
    let chunk = rows_per_task(t, h) * h;
    let sources = x_rows.par_chunks(chunk).zip(residual.par_chunks(chunk));
    let targets = normed.par_chunks_mut(chunk).zip(sum.par_chunks_mut(chunk));
    targets.zip(sources).for_each(|((normed, sum), (x, residual))| {
        for (sum, (x, residual)) in sum.iter_mut().zip(x.iter().zip(residual)) {
            *sum = x + residual;
        }
        for (normed, sum) in normed.chunks_exact_mut(h).zip(sum.chunks_exact(h)) {
            normalise(sum, w, eps, normed);
        }
    });
    let normed = Tensor::from_vec(normed, (t, h), x.device())?;
    Ok((normed, Tensor::from_vec(sum, (t, h), x.device())?))
}

/// One row: `out = x / sqrt(mean(x^2) + eps) * w`.
fn normalise(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
    let mut sums = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x * x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x * x;
    }
    let mean_square = sums.iter().sum::<f32>() / x.len() as f32;
    let scale = 1.0 / (mean_square + eps).sqrt();
    for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
        *out = x * scale * w;
    }
}
