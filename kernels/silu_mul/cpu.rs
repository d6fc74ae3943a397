//! `silu_mul` on CPU. The exponential is the whole cost: libm's, one element at a time, takes as
//! long as a good part of the products around it, so there is one of plain multiplies and adds
//! here that a compiler turns into vectors of any width, with the same bits in each.

use crate::host::HostF32;
use crate::split::rows_per_task;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

pub(super) fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    let (t, width) = gate_up.dims2()?;
    let i = width / 2;
    let host = HostF32::of(gate_up)?;
    let rows: &[f32] = &host;
    let mut out = vec![0.0; t * i];
    if out.is_empty() {
        return Tensor::from_vec(out, (t, i), gate_up.device());
    }
    let silu_mul_row = best_row();
    let n_rows = rows_per_task(t, i);
    out.par_chunks_mut(n_rows * i).zip(rows.par_chunks(n_rows * width)).for_each(|(out, rows)| {
        for (out, row) in out.chunks_exact_mut(i).zip(rows.chunks_exact(width)) {
            let (gate, up) = row.split_at(i);
            silu_mul_row(gate, up, out);
        }
    });
    Tensor::from_vec(out, (t, i), gate_up.device())
}

type RowFn = fn(&[f32], &[f32], &mut [f32]);

/// [`row`] compiled for the widest vectors that this machine has.
fn best_row() -> RowFn {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return |gate, up, out| {
                // SAFETY: the feature has just been detected, and machines keep theirs.
                unsafe { row_avx512(gate, up, out) }
            };
        }
        if is_x86_feature_detected!("avx2") {
            return |gate, up, out| {
                // SAFETY: as above.
                unsafe { row_avx2(gate, up, out) }
            };
        }
    }
    row
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn row_avx512(gate: &[f32], up: &[f32], out: &mut [f32]) {
    row(gate, up, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_avx2(gate: &[f32], up: &[f32], out: &mut [f32]) {
    row(gate, up, out);
}

#[inline(always)]
fn row(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// `e^x` to within 2 units in the last place, over the whole range where the result is normal;
/// beyond it the argument is held at the ends. NaN stays NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial for `e^r`, and `2^n` by way of the exponent
/// bits. Separate multiplies and adds, since a fused one is a slow call where there is no such
/// instruction and would give other bits where there is.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: the first is short, so that its product with `n` is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's coefficients 1/7! .. 1/2!: the next term is below 2^-27.
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    let e_r = (p * r * r + r) + 1.0;
    e_r * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_units_of_the_true_one() {
        for step in 0..=1_750_000u32 {
            let x = -87.0 + step as f32 * 1e-4;
            let wanted = f64::from(x).exp();
            let unit = f64::from((wanted as f32).next_up()) - f64::from(wanted as f32);
            let error = (f64::from(exp(x)) - wanted).abs() / unit;
            assert!(error <= 2.0, "e^{x}: {} is {error:.2} units off {wanted}", exp(x));
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e30) > 0.0 && exp(1e30).is_finite());
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let gate: Vec<f32> = (0..1001).map(|i| (i as f32 - 500.0) * 0.21).collect();
        let up: Vec<f32> = (0..1001).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut plain, mut best) = (vec![0.0; 1001], vec![0.0; 1001]);
        row(&gate, &up, &mut plain);
        best_row()(&gate, &up, &mut best);
        assert_eq!(plain, best);
    }
}
