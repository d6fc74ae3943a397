//! `silu_mul` on CPU: rows shared out over threads, sixteen columns at a time.
//!
//! The exponential is the whole cost: libm's, one number at a time, takes as long as a good part
//! of the products around it.

use crate::host::HostF32;
use crate::lanes::{Isa, Kernel, LANES, Lanes};
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
    let isa = Isa::best();
    let n_rows = rows_per_task(t, i);
    out.par_chunks_mut(n_rows * i).zip(rows.par_chunks(n_rows * width)).for_each(|(out, rows)| {
        for (out, row) in out.chunks_exact_mut(i).zip(rows.chunks_exact(width)) {
            let (gate, up) = row.split_at(i);
            isa.run(Row { gate, up, out });
        }
    });
    Tensor::from_vec(out, (t, i), gate_up.device())
}

/// One row, `[i]` each.
struct Row<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (gates, last_gates) = self.gate.as_chunks::<LANES>();
        let (ups, last_ups) = self.up.as_chunks::<LANES>();
        let (outs, last_outs) = self.out.as_chunks_mut::<LANES>();
        for ((gate, up), out) in gates.iter().zip(ups).zip(outs) {
            *out = gated::<L>(gate, up);
        }
        let (mut gate, mut up) = ([0.0; LANES], [0.0; LANES]);
        gate[..last_gates.len()].copy_from_slice(last_gates);
        up[..last_ups.len()].copy_from_slice(last_ups);
        last_outs.copy_from_slice(&gated::<L>(&gate, &up)[..last_outs.len()]);
    }
}

/// `gate / (1 + e^-gate) * up`. Below -88 the exponential is held, where it would overflow: the
/// result is as good as zero from there on. NaN stays NaN by way of the division.
#[inline(always)]
fn gated<L: Lanes>(gate: &[f32; LANES], up: &[f32; LANES]) -> [f32; LANES] {
    let held = L::load(gate).max(L::splat(-88.0));
    let mut out = L::splat(0.0).sub(held).exp().to_array();
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + *out) * up;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_ends_and_broken_numbers_come_out_as_they_should() {
        let gate = [1e30, -1e30, f32::INFINITY, 88.5, -88.5, 0.0, f32::NAN];
        for isa in Isa::all() {
            let mut out = [0.0; 7];
            isa.run(Row { gate: &gate, up: &[2.0; 7], out: &mut out });
            assert_eq!([out[0], out[2], out[3], out[5]], [2e30, f32::INFINITY, 177.0, 0.0]);
            assert!(out[1] <= 0.0 && out[1] > -1e-6 && out[4] <= 0.0 && out[4] > -1e-35, "{out:?}");
            assert!(out[6].is_nan());
        }
    }
}
