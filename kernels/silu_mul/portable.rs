//! `silu_mul` by candle ops; the two halves are strided views and cost no copy of their own.

use candle_core::{D, Result, Tensor};

/// [`silu_mul`](super::silu_mul()) on any device, in any float type.
pub fn silu_mul(gate_up: &Tensor) -> Result<Tensor> {
    let i = gate_up.dim(D::Minus1)? / 2;
    gate_up.narrow(D::Minus1, 0, i)?.silu()? * gate_up.narrow(D::Minus1, i, i)?
}
